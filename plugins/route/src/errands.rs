//! Queries on their way, and the wait for their answers (PROTOCOL 8.2, 11.2).

use crate::links;
use crate::route::{Name, Route};
use crate::{answers, discover, limits, rules, table::Happening};
use serde_json::{Value, json};
use tallyho_plugin::record::Chad;
use tallyho_plugin::services::{LogLevel, OUTBOX_FULL, Outgoing, Schedule};
use tallyho_plugin::{Context, Delivery, Fate, Fault, Timer};

/// What the name of a query in the outbox begins with; behind it stands the route's.
const QUERY: &str = "query:";

/// What the name of the timer of an unanswered query begins with; behind it stands the route's.
pub const WAIT: &str = "wait";

/// Where the destination was said to be.
pub fn place(find: &Chad) -> Option<(String, u16)> {
    find.host.clone().zip(find.port)
}

/// Sends the query, instead of one that still waits.
///
/// # Errors
/// The host's faults.
pub fn ask(context: &mut Context<'_>, name: &Name, route: &Route) -> Result<(), Fault> {
    context.cancel_timer(&format!("{WAIT}:{}", name.text()))?;
    let mut find = name.find.clone();
    if let Some((host, port)) = &route.at {
        find = find.at(host.as_str(), *port);
    }
    let object = json!({ "find": find.to_value(), "tally": name.tally, "step": route.step });
    let sent = send(context, name.exit(), "query", &format!("{QUERY}{}", name.text()), &object, true)?;
    // Whatever becomes of it, the wait ends.
    if sent { Ok(()) } else { wait(context, name) }
}

/// Begins the wait for an answer.
///
/// # Errors
/// The host's faults.
pub fn wait(context: &mut Context<'_>, name: &Name) -> Result<(), Fault> {
    // The state is `pend.X` behind that instant.
    let at = context.now().plus(limits::PEND + 1);
    context.set_timer(&format!("{WAIT}:{}", name.text()), at)
}

/// Takes the query back, and waits no longer.
///
/// # Errors
/// The host's faults.
pub fn stop(context: &mut Context<'_>, name: &Name) -> Result<(), Fault> {
    context.cancel_timer(&format!("{WAIT}:{}", name.text()))?;
    if let Some(partner) = links::link(context, &name.user, &name.tally)?.and_then(|link| link.partner()) {
        context.withdraw(&partner.agent, &format!("{QUERY}{}", name.text()))?;
    }
    Ok(())
}

/// Sends a message to the partner of a boundary tally; whether it is on its way.
///
/// # Errors
/// The host's faults, but for an outbox that is full: the schedules of PROTOCOL 8.4 do for that.
pub fn send(
    context: &mut Context<'_>,
    (user, tally): (&str, &str),
    action: &str,
    key: &str,
    object: &Value,
    report: bool,
) -> Result<bool, Fault> {
    let Some(partner) = links::link(context, user, tally)?.and_then(|link| link.partner()) else { return Ok(false) };
    let mut message = Outgoing::new(partner, user, "route", action, object)?;
    message.key = key.to_owned();
    message.report = report;
    // What is not there by then is asked for again.
    message.schedule = Schedule::Until(context.now().plus(limits::PEND));
    match context.send(&message) {
        Err(fault) if fault.code == OUTBOX_FULL => {
            context.log(LogLevel::Warn, &format!("route/{action} over tally {user}/{tally} is not sent: {fault}"));
            Ok(false)
        }
        sent => sent.map(|()| true),
    }
}

/// Takes a report about a query (R3, R4), or an answer that nobody takes: whoever wants it asks again.
///
/// # Errors
/// The host's faults.
pub fn delivery(delivery: &Delivery, context: &mut Context<'_>) -> Result<(), Fault> {
    if delivery.key.starts_with(answers::KEY) && matches!(delivery.fate, Fate::Stalled { .. }) {
        return context.withdraw(&delivery.to, &delivery.key).map(drop);
    }
    let Some(name) = delivery.key.strip_prefix(QUERY).and_then(Name::parse) else { return Ok(()) };
    let on = match &delivery.fate {
        Fate::HandedOver => Happening::HandedOver,
        Fate::Stalled { .. } => Happening::NotDelivered,
        _ => return Ok(()),
    };
    rules::step(context, &name, on, rules::Input::Nothing).map(drop)
}

/// The wait for an answer is over (R7 to R9).
///
/// # Errors
/// The host's faults.
pub fn due(timer: &Timer, context: &mut Context<'_>) -> Result<(), Fault> {
    let Some(name) = timer.key.split_once(':').and_then(|(_, name)| Name::parse(name)) else { return Ok(()) };
    let gone = discover::is_closed(context, &name)?;
    let on = if gone { Happening::ExitClosed } else { Happening::Due };
    let outcome = rules::step(context, &name, on, rules::Input::Nothing)?;
    if outcome.rule.is_none() && outcome.state == crate::route::State::Draft {
        // The outbox was full when it was to be sent.
        rules::step(context, &name, Happening::NotDelivered, rules::Input::Nothing)?;
    }
    Ok(())
}
