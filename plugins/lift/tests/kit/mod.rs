//! What the tests of the lift handler share: sites in memory with the real chit, referee and lift handlers, and
//! stand-ins for the tally and route handlers, joined by a network of the tests' own.

#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

pub mod bench;
pub mod net;
pub mod places;
pub mod standins;

use serde_json::{Value, json};
use tallyho_plugin::record::{AgentId, Arrival, LiftCore, Pledge, Release, base64v, signing::AgentKey};
use tallyho_plugin::testkit::{Envelope, Site};

/// A key that no site has.
pub fn stranger() -> AgentKey {
    AgentKey::from_seed(&[7; 32]).unwrap()
}

/// A signature in text.
pub fn sign(key: &AgentKey, text: &str) -> String {
    base64v::encode(key.sign(text.as_bytes()))
}

/// The ruling of this key on a lift.
pub fn ruling(core: &LiftCore, key: &AgentKey, valid: bool) -> Value {
    let signed = sign(key, &core.valid_text(valid).unwrap());
    json!({ "lift": core.uuid(), "hash": core.hash(), "valid": valid, "signed": signed })
}

/// The object of a promise.
pub fn promised(core: &LiftCore, pledge: &Pledge) -> Value {
    let mut object = core.value().clone();
    object["pledge"] = serde_json::to_value(pledge).unwrap();
    object
}

/// A pledge of this key.
pub fn pledge(core: &LiftCore, key: &AgentKey, side: tallyho_plugin::record::Side, tally: &str) -> Pledge {
    let mut pledge = Pledge::new(key.id().clone(), side, core, tally);
    pledge.sign = sign(key, &pledge.text().unwrap());
    pledge
}

/// A release of this key.
pub fn release(core: &LiftCore, key: &AgentKey, tally: &str) -> Value {
    let mut release =
        Release { agent: key.id().clone(), hash: core.hash(), tally: tally.to_owned(), sign: String::new() };
    release.sign = sign(key, &release.text().unwrap());
    json!({ "lift": core.uuid(), "hash": core.hash(), "release": release })
}

/// An arrival of this key.
pub fn arrival(core: &LiftCore, key: &AgentKey, at: &str) -> Value {
    let mut arrival = Arrival { agent: key.id().clone(), at: at.to_owned(), hash: core.hash(), sign: String::new() };
    arrival.sign = sign(key, &arrival.text().unwrap());
    json!({ "lift": core.uuid(), "hash": core.hash(), "term": arrival })
}

/// An address of an agent that is no site here.
pub fn elsewhere(agent: &AgentId) -> Value {
    json!({ "agent": agent, "host": "localhost", "port": 65440 })
}

/// The verbs that wait in a site's outbox.
pub fn verbs(site: &Site) -> Vec<String> {
    site.sent().iter().map(|sent| sent.message.action.clone()).collect()
}

/// A message over a tally.
pub fn over(mut envelope: Envelope, tally: &str) -> Envelope {
    envelope.tally = Some(tally.to_owned());
    envelope
}
