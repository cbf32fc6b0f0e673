//! Lift cores and what is signed about them (PROTOCOL 9.1), for tests of referees.

use serde_json::{Value, json};
use tallyho_plugin::record::signing::{AgentKey, verify};
use tallyho_plugin::record::{AgentId, LiftCore, Timestamp, base64v};

/// A lift of this originator for this referee, two minutes long; `n` tells it from others.
///
/// # Panics
/// Never.
pub fn lift(originator: &AgentKey, referee: &AgentId, n: u64, date: Timestamp) -> LiftCore {
    lasting(120, originator, referee, n, date)
}

/// The same, so many seconds long.
///
/// # Panics
/// Where a lift cannot last so long.
pub fn lasting(life: u32, originator: &AgentKey, referee: &AgentId, n: u64, date: Timestamp) -> LiftCore {
    let address = |agent: &AgentId| json!({ "agent": agent, "host": "localhost", "port": 65430 });
    let core = LiftCore::parse(json!({
        "lift": format!("5e2d9a54-8f1b-4c0e-a1d2-{n:012x}"), "date": date.text(), "life": life, "units": 4000,
        "find": { "cuid": "dora", "agent": originator.id() },
        "org": address(originator.id()), "ref": address(referee),
    }));
    core.expect("a core with all its members")
}

/// The object of `lift/commit`.
///
/// # Panics
/// Never: a core that was read has a canonical form.
pub fn commit(lift: &LiftCore, by: &AgentKey) -> Value {
    let text = lift.valid_text(true).expect("a core that was read");
    let mut object = lift.with_valid(true);
    object["signed"] = base64v::encode(by.sign(text.as_bytes())).into();
    object
}

/// Whether this `status` is the ruling on the lift, with its referee's signature.
///
/// # Panics
/// Never: a core that was read has a canonical form.
pub fn is_ruling(lift: &LiftCore, valid: bool, answer: &Value) -> bool {
    let signed = answer["signed"].as_str().unwrap_or_default();
    let check = lift.ruling_check(valid, signed).expect("a core that was read");
    answer["valid"] == valid && answer["hash"] == lift.hash() && verify(&check)
}
