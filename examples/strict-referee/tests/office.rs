//! What the strict referee promises, tried on a site in memory.

use tallyho_plugin::prelude::*;
use tallyho_plugin::record::signing::AgentKey;
use tallyho_plugin::record::{LiftCore, base64v};
use tallyho_plugin::testkit::{Envelope, Site};
use tallyho_referee::Referee;
use tallyho_strict_referee::{KNOWN, Strict};

/// A site in memory begins on Friday, 5 November 2021, at noon.
const HOUR: i64 = 3_600_000;

/// The key of the first agent that the referee knows, whose seed the protocol publishes for tests.
fn known() -> AgentKey {
    let seed = base64v::decode_array("-sByrNF_OmRvh1C9_GEMB4ebgoOB8QciO9gJFTlQJgc").expect("32 bytes");
    AgentKey::from_seed(&seed).expect("a key")
}

/// Commits a lift of this originator, two minutes long from `date` on, as anybody may; the referee's
/// answer, if it gives one.
fn commit(site: &mut Site, originator: &AgentKey, date: Timestamp) -> Result<Option<Value>, Fault> {
    let address = |agent: &str| json!({ "agent": agent, "host": "localhost", "port": 65430 });
    let lift = json!({
        "lift": "5e2d9a54-8f1b-4c0e-a1d2-6b7c8d9e0f10", "date": date.text(), "life": 120, "units": 4000,
        "find": { "cuid": "dora", "agent": KNOWN[1] },
        "org": address(originator.id().as_str()), "ref": address(site.agent().as_str()),
    });
    let core = LiftCore::parse(lift).map_err(|error| Fault::failed(error.to_string()))?;
    let text = core.valid_text(true).map_err(|error| Fault::failed(error.to_string()))?;
    let mut object = core.with_valid(true);
    object["signed"] = base64v::encode(originator.sign(text.as_bytes())).into();

    let stranger = Site::new(99).address();
    site.deliver(&Envelope::new(&stranger, &site.address(), "lift/commit", &object))?;
    Ok(site.take_sent().first().map(|sent| sent.object()))
}

#[test]
fn a_known_agent_is_served_in_office_hours() -> Result<(), Fault> {
    assert_eq!(known().id().as_str(), KNOWN[0]);
    let mut site = Site::new(1).with::<Referee<Strict>>();
    let now = site.now();
    let answer = commit(&mut site, &known(), now)?.unwrap_or_default();
    assert_eq!(answer["valid"], true);
    assert_eq!(site.log()[0].text, "lift 5e2d9a54-8f1b-4c0e-a1d2-6b7c8d9e0f10 ruled good");
    Ok(())
}

#[test]
fn out_of_office_hours_it_is_asked_to_wait() -> Result<(), Fault> {
    // Friday evening, Saturday noon, Monday before nine, Monday at nine.
    for (hours, served) in [(5, false), (24, false), (68, false), (69, true)] {
        let mut site = Site::new(1).with::<Referee<Strict>>();
        site.advance(hours * HOUR);
        let now = site.now();
        let answer = commit(&mut site, &known(), now)?.unwrap_or_default();
        assert_eq!((answer["valid"] == true, answer["err"] == "policy"), (served, !served), "after {hours} hours");
    }
    Ok(())
}

#[test]
fn an_agent_that_is_not_known_hears_nothing_until_its_lift_is_void() -> Result<(), Fault> {
    let stranger = AgentKey::from_seed(&[7; 32]).expect("a key");
    let mut site = Site::new(1).with::<Referee<Strict>>();
    let begin = site.now();
    assert_eq!(commit(&mut site, &stranger, begin)?, None);
    site.advance(120_001);
    let answer = commit(&mut site, &stranger, begin)?.unwrap_or_default();
    assert_eq!(answer["valid"], false);
    Ok(())
}
