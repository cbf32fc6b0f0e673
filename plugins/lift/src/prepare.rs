//! Names the signature checks of a message beforehand, so that the host makes them on other processors. A ruling's
//! text needs the lift on record and is not known here.

use crate::messages::{Arrived, Failed};
use crate::promise;
use serde_json::Value;
use tallyho_plugin::Event;
use tallyho_plugin::record::LiftCore;
use tallyho_plugin::services::Check;

/// The checks that handling the event will ask for, as far as the event alone tells.
pub fn checks(event: &Event) -> Vec<Check> {
    let Event::Message(message) = event else { return Vec::new() };
    let mut checks = Vec::new();
    match message.action.as_str() {
        "promise" => checks.extend(promise::read(message).ok().and_then(|(_, pledge)| pledge.check().ok())),
        "fail" => checks.extend(message.object::<Failed>().ok().and_then(|failed| failed.release.check().ok())),
        "term" => {
            let Ok(Arrived { term, pledge, .. }) = message.object() else { return checks };
            checks.extend(term.check().ok());
            checks.extend(pledge.and_then(|pledge| pledge.check().ok()));
        }
        "commit" => checks.extend(message.object().ok().as_ref().and_then(consent)),
        _ => {}
    }
    checks
}

/// The originator's consent, which the referee at this site checks when it is given the commit (PROTOCOL 10.3).
fn consent(commit: &Value) -> Option<Check> {
    let core = LiftCore::from_object(commit, &["valid", "signed", "hash"]).ok()?;
    core.commit_check(commit["signed"].as_str()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;
    use tallyho_plugin::Message;
    use tallyho_plugin::context::to_cbor;
    use tallyho_plugin::record::signing::{AgentKey, verify};
    use tallyho_plugin::record::{Chad, base64v};

    #[test]
    fn the_consent_that_a_referee_here_will_check_is_named_beforehand() {
        let (key, referee) = (AgentKey::from_seed(&[7; 32]).unwrap(), AgentKey::from_seed(&[8; 32]).unwrap());
        let address = |key: &AgentKey| json!({ "agent": key.id(), "host": "localhost", "port": 65430 });
        let core = LiftCore::parse(json!({
            "lift": "5e2d9a54-8f1b-4c0e-a1d2-000000000001", "date": "2026-11-26T12:00:00.000Z", "life": 120,
            "units": 4000, "find": { "cuid": "dora", "agent": key.id() }, "org": address(&key), "ref": address(&referee),
        }));
        let core = core.unwrap();
        let mut commit = core.with_valid(true);
        commit["signed"] = base64v::encode(key.sign(core.valid_text(true).unwrap().as_bytes())).into();
        let agent = |key: &AgentKey| Chad { cuid: None, agent: key.id().clone(), host: None, port: None };
        let mut message = Message {
            target: "lift".to_owned(),
            action: "commit".to_owned(),
            to: agent(&referee),
            from: agent(&key),
            tally: None,
            ticket: None,
            restricted: true,
            asked: false,
            attempt: None,
            body: to_cbor(&commit).unwrap(),
        };
        let named = checks(&Event::Message(message.clone()));
        assert_eq!(named, [core.commit_check(commit["signed"].as_str().unwrap()).unwrap()]);
        assert!(verify(&named[0]));
        // What is of another shape names nothing.
        message.body = to_cbor(&json!({ "valid": true, "signed": 7 })).unwrap();
        assert_eq!(checks(&Event::Message(message)), []);
    }
}
