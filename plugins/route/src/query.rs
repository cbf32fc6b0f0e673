//! What partners say (PROTOCOL 8.2, 8.3).

use crate::exits::{Exit, exits};
use crate::lading::Lading;
use crate::path::{Root, Wanted};
use crate::paths::{self, From};
use crate::route::{Name, State};
use crate::rules::{self, Demand, Input, Who};
use crate::store::{ASKED, Asked, key};
use crate::table::Happening;
use crate::{answers, edges, limits, links};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use tallyho_plugin::record::{Chad, integer, is_uuid};
use tallyho_plugin::services::LogLevel;
use tallyho_plugin::{Context, Fault, Message};

/// Takes a message. One that does not fit the state has no effect and is no error (PROTOCOL 0).
///
/// # Errors
/// The host's faults.
pub fn message(message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
    let object: Value = message.object()?;
    let (Some(tally), Some(user)) = (object["tally"].as_str(), message.to.cuid.as_deref()) else { return Ok(()) };
    if !is_uuid(tally) {
        return Ok(());
    }
    // PROTOCOL 3.1 item 5, O-13: our partner on this tally and nobody else.
    let partner = links::link(context, user, tally)?.and_then(|link| link.partner());
    if partner.is_none_or(|partner| !partner.same_party(&message.from)) {
        return Ok(());
    }
    let find = match Chad::from_value(&object["find"]) {
        Ok(find) if find.cuid.is_some() => find,
        _ => return ignored(context, message, "its find is no user's address"),
    };
    let name = Name::new(user, tally, &find);
    match message.action.as_str() {
        "query" if edges::is_open(context, user, tally)? => query(context, (user, tally), &find, &object["step"]),
        "good" => match Lading::read(&object["lading"]) {
            Some(lading) => rules::step(context, &name, Happening::PeerGood, Input::Lading(lading)).map(drop),
            None => ignored(context, message, "its lading is none"),
        },
        "none" => rules::step(context, &name, Happening::PeerNone, Input::Nothing).map(drop),
        _ => Ok(()),
    }
}

fn ignored(context: &mut Context<'_>, message: &Message, why: &str) -> Result<(), Fault> {
    context.log(LogLevel::Warn, &format!("route/{} from {} ignored: {why}", message.action, message.from));
    context.metric("ignored", 1);
    Ok(())
}

/// PROTOCOL 8.3, rule by rule.
fn query(context: &mut Context<'_>, tally: (&str, &str), find: &Chad, step: &Value) -> Result<(), Fault> {
    let (user, uuid) = tally;
    // A missing step counts as 0 (O-53).
    let step = integer(step).and_then(|step| u64::try_from(step).ok()).unwrap_or(0).saturating_add(1);
    let from = From { user: user.to_owned(), tally: Some(uuid.to_owned()) };
    // Where nothing fits into the tally of entry, nothing fits beyond it.
    let Some(bottom) = paths::bottom(context, &from)? else {
        return answers::send_none(context, tally, find);
    };
    // Rules 1 and 2.
    if let Some(lading) = direct(context, &bottom, find)? {
        return answers::send_good(context, tally, find, lading);
    }
    // Our own user, whom no path here leads to: a way outside that comes back in is not looked for.
    if find.agent == context.site()?.agent || step > limits::MAXSTEP {
        return answers::send_none(context, tally, find);
    }
    let mut hope = false;
    let mut best: Option<(Lading, usize)> = None;
    for exit in exits(context, &bottom, find)? {
        match pass_on(context, tally, &exit, find, step)? {
            State::Good => {
                hope = true;
                let joined = known(context, &exit, &bottom)?;
                let better = |lading: &Lading, edges| {
                    best.is_none_or(|(best, others)| lading.order(edges, &best, others) == Ordering::Less)
                };
                best = joined.filter(|(lading, edges)| better(lading, *edges)).or(best);
            }
            State::Draft | State::Pend => hope = true,
            _ => {}
        }
    }
    match best {
        Some((lading, _)) => answers::send_good(context, tally, find, lading),
        // Rule 6.
        None if !hope => answers::send_none(context, tally, find),
        None => Ok(()),
    }
}

/// Rules 1 and 2: the lading of the best path to a user of ours, or over a tally with the destination itself.
///
/// # Errors
/// The host's faults.
pub fn direct(context: &mut Context<'_>, bottom: &Root, find: &Chad) -> Result<Option<Lading>, Fault> {
    let nothing = BTreeSet::new();
    let wanted = Wanted { units: None, avoid: &nothing };
    let paths = match find.cuid.as_deref() {
        Some(user) if find.agent == context.site()?.agent => paths::to_user(context, wanted, bottom, user, 1)?,
        _ => paths::to_partner(context, wanted, bottom, find, 1)?,
    };
    Ok(paths.first().map(|path| path.lading))
}

/// Rule 5 (and 7) for one exit: the state of its route as far as this query is concerned.
fn pass_on(
    context: &mut Context<'_>,
    tally: (&str, &str),
    exit: &Exit,
    find: &Chad,
    step: u64,
) -> Result<State, Fault> {
    if exit.state == State::Absent && !may_begin(context, tally)? {
        return Ok(State::None);
    }
    let demand = Demand { who: Who::Tally(tally.0, tally.1), step, find };
    let outcome = rules::step(context, &exit.name, Happening::Query, Input::Demand(demand))?;
    Ok(if outcome.rule.is_some() { outcome.state } else { State::None })
}

/// The joined lading over a route that is known to be good (7.3), and its edges.
fn known(context: &mut Context<'_>, exit: &Exit, bottom: &Root) -> Result<Option<(Lading, usize)>, Fault> {
    let Some(beyond) = crate::store::route(context, &exit.name)?.and_then(|route| route.good_lading()) else {
        return Ok(None);
    };
    let path = paths::over_route(context, bottom, &exit.name, beyond)?;
    Ok(path.map(|path| (path.lading, path.hops.len())))
}

/// Whether a partner may have us begin one more search; it counts then.
fn may_begin(context: &mut Context<'_>, (user, tally): (&str, &str)) -> Result<bool, Fault> {
    let (now, row) = (context.now(), key(&[user, tally]));
    let asked: Option<Asked> = context.get(ASKED, &row)?;
    let recent = asked.filter(|asked| now < asked.since.plus(limits::ASKED_EVERY));
    let mut asked = recent.unwrap_or(Asked { since: now, count: 0 });
    if asked.count >= limits::ASKED {
        return Ok(false);
    }
    asked.count += 1;
    context.put(ASKED, &row, &asked)?;
    Ok(true)
}
