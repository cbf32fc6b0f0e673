//! Referees that this site accepts, by way of the referee handler (PROTOCOL 9.3 item 3, 10.5).

use crate::notices;
use crate::record::{Lift, Ruling};
use serde_json::{Value, json};
use tallyho_plugin::record::{AgentId, Chad, Timestamp};
use tallyho_plugin::services::{LogLevel, NOT_SERVED};
use tallyho_plugin::{Context, Fault};

/// The referee handler.
const REFEREE: &str = "referee";

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

/// What a referee at this site answers to `commit` and `check`; `None` where there is none, or no answer.
///
/// # Errors
/// The referee handler's faults.
pub fn rule(context: &mut Context<'_>, action: &str, object: &Value) -> Result<Option<Value>, Fault> {
    let asked = json!({ "action": action, "object": object });
    match context.invoke::<Value>(REFEREE, "rule", &asked) {
        Err(fault) if fault.code == NOT_SERVED => Ok(None),
        answer => Ok(answer?.get("answer").cloned()),
    }
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
