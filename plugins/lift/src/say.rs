//! What the handler says to others (PROTOCOL 9.2). A row of the outbox when the event commits, so it leaves
//! only then.

use crate::chits::unwritable;
use crate::limits;
use crate::record::{Boundary, Lift, Ruling};
use serde_json::{Value, json};
use tallyho_plugin::record::{AgentId, Arrival, Chad, LiftCore, Pledge, Release, Timestamp};
use tallyho_plugin::services::{Outgoing, Schedule};
use tallyho_plugin::{Context, Fault};

/// The target of all messages about lifts.
pub const TARGET: &str = "lift";

/// A message to the partner on a tally of ours.
///
/// # Errors
/// `Failed` where the object cannot be expressed.
pub fn along(over: &Boundary, action: &str, object: &Value, key: String, until: Timestamp) -> Result<Outgoing, Fault> {
    let mut message = Outgoing::new(over.partner.clone(), over.user.as_str(), TARGET, action, object)?;
    message.tally = Some(over.tally.clone());
    message.key = key;
    message.schedule = Schedule::Until(until);
    Ok(message)
}

/// A message to an agent with whom we may share nothing: an originator, a referee, a terminus. By a restricted
/// channel (PROTOCOL 9.8, 10.2), but for this site itself.
///
/// # Errors
/// `Failed` where the object cannot be expressed.
pub fn stranger(
    context: &mut Context<'_>,
    to: &Chad,
    action: &str,
    object: &Value,
    key: String,
    until: Timestamp,
) -> Result<Outgoing, Fault> {
    let agent = Chad { cuid: None, ..to.clone() };
    let mut message = Outgoing::new(agent, "", TARGET, action, object)?;
    if to.agent != context.site()?.agent {
        message = message.by_restricted_channel();
    }
    message.key = key;
    message.schedule = Schedule::Until(until);
    Ok(message)
}

/// How the message with our promise is called in the outbox.
pub fn promise_key(lift: &Lift, top: &str) -> String {
    format!("promise {} {top}", lift.name().text())
}

/// How the notice of arrival is called in the outbox.
pub fn term_key(lift: &Lift) -> String {
    format!("term {}", lift.name().text())
}

/// `promise` upstream; the transport tries until this instant.
///
/// # Errors
/// The host's faults; `Failed` where there is no pledge to send.
pub fn promise(context: &mut Context<'_>, lift: &Lift, until: Timestamp) -> Result<(), Fault> {
    let (Some(top), Some(given)) = (&lift.top, &lift.given) else {
        return Err(Fault::failed(format!("lift {}: nothing to promise", lift.core.uuid())));
    };
    let mut object = lift.core.value().clone();
    object["pledge"] = pledge_value(given);
    let mut message = along(top, "promise", &object, promise_key(lift, &top.tally), until)?;
    message.report = true;
    context.send(&message)
}

/// `term` to the originator, until expiry; with our pledge where the lift comes back to it (O-49).
///
/// # Errors
/// The host's faults; `Failed` where nothing has arrived.
pub fn term(context: &mut Context<'_>, lift: &Lift) -> Result<(), Fault> {
    let Some(arrival) = &lift.arrival else {
        return Err(Fault::failed(format!("lift {}: nothing has arrived", lift.core.uuid())));
    };
    let mut object = json!({ "lift": lift.core.uuid(), "hash": arrival.hash, "term": arrival });
    let until = lift.core.expires();
    let mut message = match (&lift.top, &lift.given) {
        (Some(top), Some(given)) => {
            object["pledge"] = pledge_value(given);
            along(top, "term", &object, term_key(lift), until)?
        }
        _ => stranger(context, lift.core.org(), "term", &object, term_key(lift), until)?,
    };
    message.report = true;
    context.send(&message)
}

/// Our agent's word that the lift has arrived.
///
/// # Errors
/// The host's faults.
pub fn arrival(context: &mut Context<'_>, core: &LiftCore) -> Result<Arrival, Fault> {
    let (agent, at) = (context.site()?.agent, context.now().text());
    let mut arrival = Arrival { agent, at, hash: core.hash(), sign: String::new() };
    arrival.sign = context.sign_agent(arrival.text().map_err(unwritable)?.as_bytes())?;
    Ok(arrival)
}

/// The object of a `fail` with our release of the pledge on this tally.
///
/// # Errors
/// The host's faults.
pub fn release(context: &mut Context<'_>, core: &LiftCore, tally: &str, why: Option<&str>) -> Result<Value, Fault> {
    let (agent, hash, tally) = (context.site()?.agent, core.hash(), tally.to_owned());
    let mut release = Release { agent, hash, tally, sign: String::new() };
    release.sign = context.sign_agent(release.text().map_err(unwritable)?.as_bytes())?;
    let mut object = json!({ "lift": core.uuid(), "hash": release.hash, "release": release });
    if let Some(why) = why {
        object["why"] = why.into();
    }
    Ok(object)
}

/// `fail` downstream.
///
/// # Errors
/// The host's faults.
pub fn fail(context: &mut Context<'_>, over: &Boundary, hash: &str, object: &Value) -> Result<(), Fault> {
    let until = context.now().plus(limits::PUSH);
    context.send(&along(over, "fail", object, format!("fail {hash} {}", over.tally), until)?)
}

/// `commit` to the referee (PROTOCOL 10.3), with our consent.
///
/// # Errors
/// The host's faults.
pub fn commit(context: &mut Context<'_>, lift: &Lift) -> Result<(), Fault> {
    let text = lift.core.valid_text(true).map_err(unwritable)?;
    let mut object = lift.core.with_valid(true);
    object["signed"] = context.sign_agent(text.as_bytes())?.into();
    let (key, until) = (format!("commit {}", lift.name().text()), context.now().plus(limits::COMMIT));
    let message = stranger(context, lift.core.referee(), "commit", &object, key, until)?;
    context.send(&message)
}

/// `check` to the upstream neighbour, the originator or the referee (PROTOCOL 9.8).
///
/// # Errors
/// The host's faults.
pub fn check(context: &mut Context<'_>, lift: &Lift, whom: crate::record::Asked) -> Result<(), Fault> {
    use crate::record::Asked;
    let until = context.now().plus(limits::STEP);
    let key = format!("check {}", lift.name().text());
    let names = json!({ "lift": lift.core.uuid(), "hash": lift.core.hash() });
    let message = match (whom, &lift.top) {
        (Asked::Neighbour, Some(top)) => along(top, "check", &names, key, until)?,
        (Asked::Neighbour, None) => return Ok(()),
        (Asked::Originator, _) => stranger(context, lift.core.org(), "check", &names, key, until)?,
        (Asked::Referee, _) => stranger(context, lift.core.referee(), "check", lift.core.value(), key, until)?,
    };
    context.send(&message)
}

/// The ruling as `good` or `void`, to a neighbour or to a linear lift's terminus.
///
/// # Errors
/// The host's faults.
pub fn push(context: &mut Context<'_>, lift: &Lift, ruling: &Ruling, upstream: bool) -> Result<(), Fault> {
    let (action, object) = (if ruling.valid { "good" } else { "void" }, ruled(&lift.core, ruling));
    let until = context.now().plus(limits::PUSH);
    let key = |tally: &str| format!("ruling {} {tally}", lift.core.hash());
    let over = if upstream { &lift.top } else { &lift.bottom };
    match (over, &lift.terminus) {
        (Some(over), _) => context.send(&along(over, action, &object, key(&over.tally), until)?),
        (None, Some(terminus)) if !upstream => {
            let message = stranger(context, terminus, action, &object, key("term"), until)?;
            context.send(&message)
        }
        _ => Ok(()),
    }
}

/// `{lift, hash, valid, signed}`: the object of `good`, `void` and a ruled `status`.
pub fn ruled(core: &LiftCore, ruling: &Ruling) -> Value {
    json!({ "lift": core.uuid(), "hash": core.hash(), "valid": ruling.valid, "signed": ruling.signed })
}

/// `{lift, hash, pend, now}`: the object of a `status` without a ruling.
pub fn pending(core: &LiftCore, now: Timestamp) -> Value {
    json!({ "lift": core.uuid(), "hash": core.hash(), "pend": true, "now": now.text() })
}

/// Takes back what waits of our promise or notice of arrival, of a commit and of questions; but not a promise that
/// may have left where the ruling binds us to it: who is to get our chit should have heard of the lift before.
///
/// # Errors
/// The host's faults.
pub fn withdraw(context: &mut Context<'_>, lift: &Lift) -> Result<(), Fault> {
    let name = lift.name().text();
    let mut all: Vec<(AgentId, String)> = vec![
        (lift.core.org().agent.clone(), term_key(lift)),
        (lift.core.org().agent.clone(), format!("check {name}")),
        (lift.core.referee().agent.clone(), format!("check {name}")),
        (lift.core.referee().agent.clone(), format!("commit {name}")),
    ];
    if let Some(top) = &lift.top {
        let binds = lift.left && lift.ruling.as_ref().is_some_and(|ruling| ruling.valid);
        if !binds {
            all.push((top.partner.agent.clone(), promise_key(lift, &top.tally)));
        }
        all.push((top.partner.agent.clone(), term_key(lift)));
    }
    for (agent, key) in all {
        context.withdraw(&agent, &key)?;
    }
    Ok(())
}

fn pledge_value(pledge: &Pledge) -> Value {
    let Pledge { agent, by, hash, tally, units, sign } = pledge;
    json!({ "agent": agent, "by": by, "hash": hash, "tally": tally, "units": units, "sign": sign })
}
