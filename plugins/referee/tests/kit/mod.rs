//! What the tests of the referee share: the agents of PROTOCOL appendix C, lifts, and ways to ask.

#![allow(dead_code, clippy::unwrap_used)]

use serde_json::{Value, json};
use std::sync::OnceLock;
use tallyho_plugin::Fault;
use tallyho_plugin::record::signing::AgentKey;
use tallyho_plugin::record::{Chad, LiftCore, Timestamp, base64v};
use tallyho_plugin::testkit::{Envelope, Site};
use tallyho_referee::{Policy, Referee, Standard};

/// `tests/vectors/records.json`.
pub fn vectors() -> &'static Value {
    static VECTORS: OnceLock<Value> = OnceLock::new();
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/records.json"));
    VECTORS.get_or_init(|| serde_json::from_str(text).unwrap())
}

/// The key of an agent of the vectors: `A`, `B` or `R`.
pub fn agent(name: &str) -> AgentKey {
    AgentKey::from_seed(&seed(name)).unwrap()
}

fn seed(name: &str) -> [u8; 32] {
    base64v::decode_array(vectors()["agents"][name]["seed"].as_str().unwrap()).unwrap()
}

/// The standard referee at the vectors' agent R, at the date of the vectors' lift.
pub fn referee() -> Site {
    with::<Standard>()
}

/// A referee with this policy there, which serves everybody.
pub fn with<P: Policy>() -> Site {
    let mut site = Site::of_agent(&seed("R")).with::<Referee<P>>();
    site.call("referee", "serve", json!({ "whom": "all" })).unwrap();
    site
}

/// A lift of originator A for this referee, dated `date`, 120 s long; `n` tells it from others.
pub fn lift(site: &Site, n: usize, date: Timestamp) -> Value {
    let mut lift = vectors()["lift"].clone();
    lift["lift"] = format!("5e2d9a54-8f1b-4c0e-a1d2-{n:012x}").into();
    lift["date"] = date.text().into();
    lift["ref"]["agent"] = site.agent().0.into();
    lift
}

/// Of a lift: its hash.
pub fn hash(lift: &Value) -> String {
    core(lift).hash()
}

/// Of a lift: the checked record.
pub fn core(lift: &Value) -> LiftCore {
    LiftCore::parse(lift.clone()).unwrap()
}

/// The object of `lift/commit`, signed by originator A.
pub fn commit(lift: &Value) -> Value {
    signed_by(lift, &agent("A"))
}

/// The same, signed by somebody.
pub fn signed_by(lift: &Value, key: &AgentKey) -> Value {
    let core = core(lift);
    let mut object = core.with_valid(true);
    object["signed"] = base64v::encode(key.sign(core.valid_text(true).unwrap().as_bytes())).into();
    object
}

/// The object of a `lift/check` by names alone.
pub fn names(lift: &Value) -> Value {
    json!({ "lift": lift["lift"], "hash": hash(lift) })
}

/// The address of somebody who has no relation with anybody.
pub fn stranger() -> Chad {
    Site::new(99).address()
}

/// Sends `lift/ACTION` as a stranger; the object of the answer, if there is one.
pub fn ask(site: &mut Site, action: &str, object: &Value) -> Result<Option<Value>, Fault> {
    let envelope = Envelope::new(&stranger(), &site.address(), &format!("lift/{action}"), object);
    site.deliver(&envelope)?;
    let sent = site.take_sent();
    assert!(sent.len() <= 1, "one answer at most");
    Ok(sent.first().map(|sent| {
        assert_eq!((sent.verb().as_str(), &sent.message.to), ("lift/status", &stranger()));
        sent.object()
    }))
}

/// The same where an answer must come.
pub fn told(site: &mut Site, action: &str, object: &Value) -> Value {
    ask(site, action, object).unwrap().expect("an answer")
}

/// Whether this is the ruling on the lift, with the referee's signature over it.
pub fn is_ruling(site: &Site, lift: &Value, valid: bool, answer: &Value) -> bool {
    let core = core(lift);
    let check = core.ruling_check(valid, answer["signed"].as_str().unwrap_or_default()).unwrap();
    let expected = json!({ "lift": lift["lift"], "hash": core.hash(), "valid": valid, "signed": answer["signed"] });
    core.referee().agent == site.agent() && *answer == expected && tallyho_plugin::record::signing::verify(&check)
}

/// A site with the same key and the same store whose clock shows another time.
pub fn with_clock_at<P: Policy>(site: &Site, now: Timestamp) -> Site {
    let mut other = with::<P>();
    assert!(other.now() <= now, "a site in memory does not go back before its beginning");
    other.set(now);
    other.restore(&site.backup());
    other.restart();
    other
}
