//! Referees that this site accepts, by way of the referee handler (PROTOCOL 9.3 item 3, 10.5).

use crate::notices;
use crate::record::{Lift, Ruling};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::record::{AgentId, Chad, Timestamp};
use tallyho_plugin::services::{LogLevel, NOT_SERVED};
use tallyho_plugin::{Context, Fault, Message};

/// The referee handler.
const REFEREE: &str = "referee";

/// The first byte of a CBOR map with two members.
const MAP_OF_TWO: u8 = 0xA2;

/// Accepted referees that rule on a lift with this expiry; only this one where an agent is given.
///
/// # Errors
/// The referee handler's faults.
pub fn accepted(
    context: &mut Context<'_>,
    agent: Option<&AgentId>,
    expires: Option<Timestamp>,
) -> Result<Vec<Chad>, Fault> {
    let mut asked = json!({});
    if let Some(agent) = agent {
        asked["agent"] = agent.as_str().into();
    }
    if let Some(expires) = expires {
        asked["expires"] = expires.0.into();
    }
    match context.invoke(REFEREE, "accepted", &asked) {
        Err(fault) if fault.code == NOT_SERVED => Ok(Vec::new()),
        answer => answer,
    }
}

/// What a referee at this site answers to this `commit` or `check`; `None` where there is none, or no answer.
///
/// # Errors
/// The referee handler's faults.
pub fn rule(context: &mut Context<'_>, message: &Message) -> Result<Option<Value>, Fault> {
    match context.invoke_encoded::<Value>(REFEREE, "rule", &handed_on(message)?) {
        Err(fault) if fault.code == NOT_SERVED => Ok(None),
        answer => Ok(answer?.get_mut("answer").map(Value::take)),
    }
}

/// `{action, object}` with the object as it came: a referee's site does this for every stranger, and nobody here
/// reads it.
fn handed_on(message: &Message) -> Result<Vec<u8>, Fault> {
    message.object::<IgnoredAny>()?;
    let mut map = vec![MAP_OF_TWO];
    for text in ["action", &message.action, "object"] {
        map.extend(to_cbor(&text)?);
    }
    map.extend(&message.body);
    Ok(map)
}

/// L38: the referee has said both. The first ruling stands, both are kept, no new lift may name this referee.
///
/// # Errors
/// The host's faults.
pub fn contradicts(context: &mut Context<'_>, lift: &mut Lift, other: Option<&Ruling>) -> Result<(), Fault> {
    if lift.evidence.is_some() {
        return Ok(());
    }
    lift.evidence = other.cloned();
    let agent = lift.core.referee().agent.clone();
    let (uuid, hash) = (lift.core.uuid(), lift.core.hash());
    let line = format!("referee {agent} has ruled lift {uuid} ({hash}) both valid and void; both rulings are kept");
    context.log(LogLevel::Error, &line);
    context.metric("contradictions", 1);
    if !accepted(context, Some(&agent), None)?.is_empty() {
        context.invoke::<Value>(REFEREE, "refuse", &json!({ "chad": agent.as_str() }))?;
    }
    notices::tell(context, lift, "contradiction")
}
