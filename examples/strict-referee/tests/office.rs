//! What the strict referee promises, tried on a site in memory.

use tallyho_plugin::prelude::*;
use tallyho_plugin::record::base64v;
use tallyho_plugin::record::signing::AgentKey;
use tallyho_plugin::testkit::{CommitRequest, Site};
use tallyho_referee::Referee;
use tallyho_strict_referee::{KNOWN, Strict};

/// A site in memory begins on Friday, 5 November 2021, at noon.
const HOUR: i64 = 3_600_000;

/// The key of the first agent that the referee knows, whose seed the protocol publishes for tests.
fn known() -> AgentKey {
    let seed = base64v::decode_array("-sByrNF_OmRvh1C9_GEMB4ebgoOB8QciO9gJFTlQJgc").expect("32 bytes");
    AgentKey::from_seed(&seed).expect("a key")
}

#[test]
fn a_known_agent_is_served_in_office_hours() -> Result<(), Fault> {
    assert_eq!(known().id().as_str(), KNOWN[0]);
    let mut site = Site::new(1).with::<Referee<Strict>>();
    let answer = CommitRequest::by(&known()).ask(&mut site)?.unwrap_or_default();
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
        let answer = CommitRequest::by(&known()).ask(&mut site)?.unwrap_or_default();
        assert_eq!((answer["valid"] == true, answer["err"] == "policy"), (served, !served), "after {hours} hours");
    }
    Ok(())
}

#[test]
fn an_agent_that_is_not_known_hears_nothing_until_its_lift_is_void() -> Result<(), Fault> {
    let stranger = AgentKey::from_seed(&[7; 32]).expect("a key");
    let mut site = Site::new(1).with::<Referee<Strict>>();
    let request = CommitRequest::by(&stranger).dated(site.now());
    assert_eq!(request.ask(&mut site)?, None);
    site.advance(120_001);
    let answer = request.ask(&mut site)?.unwrap_or_default();
    assert_eq!(answer["valid"], false);
    Ok(())
}
