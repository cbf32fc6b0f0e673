//! Keys at hand for checks made beforehand (`Handler::prepare`): a hint that saves time, never the truth.
//! Whatever is not here, or is out of date, is checked when the event asks for it.

use crate::limits::KEYS;
use crate::party::Party;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tallyho_plugin::record::{AgentId, ChitRecord, Side};
use tallyho_plugin::services::Check;
use tallyho_plugin::{Event, Message};

/// The keys of one half's two sides.
#[derive(Debug, Clone, PartialEq)]
struct Sides {
    stock: (String, AgentId),
    foil: (String, AgentId),
}

/// Keys by half, `HOLDER/TALLY`, of those spoken about since the plugin began to serve.
#[derive(Debug, Default)]
pub struct Keys(Mutex<HashMap<String, Sides>>);

impl Keys {
    /// Remembers the keys of a half at work.
    pub fn keep(&self, party: &Party) {
        let name = party.name();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains_key(&name) {
            return;
        }
        if known.len() >= KEYS {
            known.clear();
        }
        let of = |side: Side| (party.key(side).to_owned(), party.agent(side).clone());
        known.insert(name, Sides { stock: of(Side::Stock), foil: of(Side::Foil) });
    }

    /// The checks that a message will ask for, where its tally's keys are at hand.
    pub fn checks(&self, event: &Event) -> Vec<Check> {
        let Event::Message(message) = event else { return Vec::new() };
        self.of_message(message).unwrap_or_default()
    }

    fn of_message(&self, message: &Message) -> Option<Vec<Check>> {
        let object: Value = message.object().ok()?;
        let tally = object["tally"].as_str()?.to_owned();
        let name = format!("{}/{tally}", message.to.cuid.as_deref()?);
        let sides = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned()?;
        let records = match (message.action.as_str(), object) {
            ("good", object) => vec![object],
            ("chain", Value::Object(mut members)) => match members.remove("chits") {
                Some(Value::Array(chits)) => chits,
                _ => return None,
            },
            _ => return None,
        };
        let chits = records.into_iter().filter_map(|record| ChitRecord::parse(record).ok());
        Some(chits.filter_map(|chit| checks(&chit, &tally, &sides)).flatten().collect())
    }
}

fn checks(chit: &ChitRecord, tally: &str, sides: &Sides) -> Option<Vec<Check>> {
    let (key, agent) = match chit.by() {
        Side::Stock => &sides.stock,
        Side::Foil => &sides.foil,
    };
    chit.checks_on(tally, key, agent).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;
    use tallyho_plugin::context::to_cbor;
    use tallyho_plugin::record::Chad;
    use tallyho_plugin::services::CheckKey;

    const TALLY: &str = "9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55";

    fn party(tally: &str) -> Party {
        let agent = |byte| AgentId::from_bytes(&[byte; 32]);
        Party {
            holder: "alice".to_owned(),
            tally: tally.to_owned(),
            side: Side::Stock,
            partner: Chad::user("bob", agent(2)),
            agent: agent(1),
            stock_key: "stock key".to_owned(),
            foil_key: "foil key".to_owned(),
            hash: String::new(),
            terms: Value::Null,
        }
    }

    fn event(action: &str, object: &Value) -> Event {
        let party = party(TALLY);
        Event::Message(Message {
            target: "chit".to_owned(),
            action: action.to_owned(),
            to: Chad::user("alice", party.agent),
            from: party.partner,
            tally: None,
            ticket: None,
            restricted: false,
            asked: false,
            attempt: None,
            body: to_cbor(object).unwrap(),
        })
    }

    fn chit(by: &str) -> Value {
        json!({ "tally": TALLY, "by": by, "type": "tran", "uuid": "00000000-0000-4000-8000-000000000001",
            "date": "2021-11-04T09:30:00.500Z", "units": 5, "sign": "s" })
    }

    #[test]
    fn checks_are_named_with_the_key_of_the_side_that_signs_once_it_is_known() {
        let keys = Keys::default();
        assert!(keys.checks(&event("good", &chit("foil"))).is_empty(), "not known yet");
        keys.keep(&party(TALLY));
        let named = keys.checks(&event("good", &chit("foil")));
        assert_eq!(named.len(), 1);
        assert_eq!(named[0].key, CheckKey::User("foil key".to_owned()));
        let list = json!({ "tally": TALLY, "cmd": "upd", "chits": [chit("foil"), chit("stock"), 5] });
        let named: Vec<CheckKey> = keys.checks(&event("chain", &list)).into_iter().map(|check| check.key).collect();
        assert_eq!(named, [CheckKey::User("foil key".to_owned()), CheckKey::User("stock key".to_owned())]);
        for (action, object) in
            [("chain", json!({ "tally": TALLY, "cmd": "ack" })), ("void", chit("foil")), ("good", json!(5))]
        {
            assert!(keys.checks(&event(action, &object)).is_empty());
        }
    }

    #[test]
    fn no_more_keys_are_kept_than_the_bound_says() {
        let keys = Keys::default();
        for number in 0..=KEYS {
            keys.keep(&party(&number.to_string()));
        }
        assert_eq!(keys.0.lock().unwrap().len(), 1);
    }
}
