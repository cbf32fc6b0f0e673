//! What a route that is good, or leads nowhere, means for those who want it (R5, R6, R9).

use crate::lading::Lading;
use crate::paths::{self, From};
use crate::route::{Name, Requester, Route};
use crate::{errands, limits, store};
use serde_json::{Value, json};
use tallyho_plugin::record::Chad;
use tallyho_plugin::services::NOT_SERVED;
use tallyho_plugin::{Context, Fault};

/// What the name of an answer in the outbox begins with; behind it stands tally and destination.
pub const KEY: &str = "answer:";

/// Says `good` to the partner of a tally that a query came in on.
///
/// # Errors
/// The host's faults.
pub fn send_good(context: &mut Context<'_>, tally: (&str, &str), find: &Chad, lading: Lading) -> Result<(), Fault> {
    let object = json!({ "find": find.to_value(), "tally": tally.1, "lading": lading.rounded().shown() });
    answer(context, tally, "good", find, &object)
}

/// Says `none`.
///
/// # Errors
/// The host's faults.
pub fn send_none(context: &mut Context<'_>, tally: (&str, &str), find: &Chad) -> Result<(), Fault> {
    answer(context, tally, "none", find, &json!({ "find": find.to_value(), "tally": tally.1 }))
}

fn answer(
    context: &mut Context<'_>,
    tally: (&str, &str),
    action: &str,
    find: &Chad,
    object: &Value,
) -> Result<(), Fault> {
    // Of two answers to one query the later counts.
    let key = format!("{KEY}{}", Name::new(tally.0, tally.1, find).text());
    errands::send(context, tally, action, &key, object, false).map(drop)
}

/// The network's part of R5: each requester gets `good` with the lading of its own way, once for each query.
///
/// # Errors
/// The host's faults.
pub fn good(context: &mut Context<'_>, name: &Name, route: &mut Route) -> Result<(), Fault> {
    let mut requesters = std::mem::take(&mut route.requesters);
    for requester in requesters.iter_mut().filter(|requester| !requester.good_told) {
        let tally = (requester.user.as_str(), requester.tally.as_str());
        let from = From { user: requester.user.clone(), tally: Some(requester.tally.clone()) };
        let path = match paths::bottom(context, &from)? {
            Some(bottom) => paths::over_route(context, &bottom, name, route.lading)?,
            None => None,
        };
        match path {
            Some(path) => {
                send_good(context, tally, &name.find, path.lading)?;
                requester.good_told = true;
            }
            // The way to the exit has been used up meanwhile.
            None => no_way(context, name, requester)?,
        }
    }
    route.requesters = requesters;
    Ok(())
}

/// The network's part of R6: a requester gets `none` when its last hope is gone (O-37), once for each query.
///
/// # Errors
/// The host's faults.
pub fn none(context: &mut Context<'_>, name: &Name, route: &mut Route) -> Result<(), Fault> {
    for requester in &mut route.requesters {
        no_way(context, name, requester)?;
    }
    Ok(())
}

fn no_way(context: &mut Context<'_>, name: &Name, requester: &mut Requester) -> Result<(), Fault> {
    let waits = |route: &Route| route.requester(&requester.user, &requester.tally).is_some();
    if requester.none_told || has_hope(context, name, waits)? {
        return Ok(());
    }
    send_none(context, (&requester.user, &requester.tally), &name.find)?;
    requester.none_told = true;
    Ok(())
}

/// Whether another route to the same destination, of these, is good or may become so.
fn has_hope(context: &mut Context<'_>, name: &Name, of: impl Fn(&Route) -> bool) -> Result<bool, Fault> {
    let now = context.now();
    let others = store::routes_to(context, &name.find, limits::ROUTES_LOOKED)?;
    Ok(others.iter().any(|(other, route)| other != name && of(route) && route.state(now).is_hopeful()))
}

/// The local part of R5, R6 and R9: users get a notice, and a lift handler is told.
///
/// # Errors
/// The host's faults; the lift handler's.
pub fn tell_natives(context: &mut Context<'_>, name: &Name, route: &Route, reason: &str) -> Result<(), Fault> {
    let find = name.find.to_value();
    for user in route.natives.iter().filter(|user| !user.is_empty()) {
        let mut notice = json!({
            "about": "route", "user": user, "dest": find, "via": { "user": name.user, "tally": name.tally },
            "status": reason, "reason": reason,
        });
        if reason == "good" {
            notice["lading"] = route.lading.shown();
        }
        context.notice(user, &notice)?;
    }
    if !route.lift || reason == "none" && has_hope(context, name, |other| other.lift)? {
        return Ok(());
    }
    let told = context.invoke::<Value>("lift", "route.told", &json!({ "find": find, "status": reason }));
    match told {
        Err(fault) if fault.code != NOT_SERVED => Err(fault),
        _ => Ok(()),
    }
}
