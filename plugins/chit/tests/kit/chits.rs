//! Chits as partners, forgers and other programs write them.

use super::TALLY;
use serde_json::{Value, json};
use tallyho_plugin::record::{AgentId, ChitRecord, LiftCore};
use tallyho_plugin::testkit::UserKey;

/// A uuid for each number.
pub fn uuid(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// The key of a user of the test kit, whose site has this seed.
pub fn key_of(user: &str, site_seed: u64) -> UserKey {
    UserKey::of(&format!("user {user} of {site_seed}"))
}

/// A payment, unsigned.
pub fn tran(number: u64, by: &str, units: i64) -> Value {
    json!({
        "tally": TALLY, "by": by, "type": "tran", "uuid": uuid(number), "date": "2021-11-04T09:30:00.500Z",
        "units": units, "memo": "Rye loaf",
    })
}

/// Settings, unsigned.
pub fn set(number: u64, by: &str, settings: Value) -> Value {
    json!({
        "tally": TALLY, "by": by, "type": "set", "uuid": uuid(number), "date": "2021-11-04T09:30:00.500Z",
        "ref": settings,
    })
}

/// The chit with hash and signature by this key.
pub fn signed(chit: Value, key: &UserKey) -> Value {
    let mut record = ChitRecord::parse(chit).unwrap().to_record();
    let core = ChitRecord::parse(record.clone()).unwrap().core_canonical().to_owned();
    record["sign"] = key.sign(&core).into();
    record
}

/// Ed25519 agents of a test's own: what they sign is made as a user's Ed25519 key signs.
pub fn agent(label: &str) -> (AgentId, UserKey) {
    let key = UserKey::of(label);
    (AgentId(key.public()["x"].as_str().unwrap().to_owned()), key)
}

/// The core of a lift under the referee of this label.
pub fn lift(number: u64, units: i64, referee: &str) -> LiftCore {
    let (referee, _) = agent(referee);
    LiftCore::parse(json!({
        "lift": uuid(number), "date": "2021-11-05T12:00:00.000Z", "life": 120, "units": units,
        "find": { "cuid": "dora", "agent": agent("dora's site").0 },
        "org": { "agent": agent("org").0, "host": "localhost", "port": 65434 },
        "ref": { "agent": referee, "host": "localhost", "port": 65440 },
    }))
    .unwrap()
}

/// The ruling of that referee.
pub fn ruling(lift: &LiftCore, referee: &str, valid: bool) -> String {
    agent(referee).1.sign(&lift.valid_text(valid).unwrap())
}
