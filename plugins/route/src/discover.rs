//! What the site does of its own: automatic discovery (PROTOCOL 8.5), and what follows when an exit closes.

use crate::paths::From;
use crate::route::Name;
use crate::rules::{self, Input, Who};
use crate::store::{self, EXITS, SETTINGS, parts};
use crate::table::Happening;
use crate::{limits, links, wants};
use tallyho_plugin::context::Scan;
use tallyho_plugin::record::{AgentId, Chad};
use tallyho_plugin::{Context, Fault};

/// What the name of the timer begins with that follows a tally's opening or closing.
pub const LOOK: &str = "look";

/// The timer of the periodic scan.
pub const SCAN: &str = "scan";

/// The row of [`SETTINGS`] that says how far the periodic scan has come: a key of [`EXITS`].
const PLACE: &str = "scan";

/// Looks in an event of its own at what follows from this tally's opening or closing.
///
/// # Errors
/// The host's faults.
pub fn later(context: &mut Context<'_>, user: &str, tally: &str) -> Result<(), Fault> {
    let now = context.now();
    context.set_timer(&format!("{LOOK}:{user}/{tally}"), now)
}

/// A boundary tally has opened or closed, `USER/UUID`: segments from it upwards are looked for routes, or routes
/// over it lead nowhere.
///
/// # Errors
/// The host's faults.
pub fn look(context: &mut Context<'_>, tally: &str) -> Result<(), Fault> {
    let Some((user, tally)) = tally.split_once('/') else { return Ok(()) };
    match links::link(context, user, tally)?.and_then(|link| link.partner()) {
        Some(partner) if store::settings(context)?.autoquery => seek(context, user, tally, &partner),
        Some(_) => Ok(()),
        None => closed(context, user, tally),
    }
}

/// The circular need of every segment from this tally up: whether value pushed out above can come back in here.
fn seek(context: &mut Context<'_>, user: &str, tally: &str, partner: &Chad) -> Result<(), Fault> {
    let from = From { user: user.to_owned(), tally: Some(tally.to_owned()) };
    wants::begin(context, &from, partner, Who::User("")).map(drop)
}

/// Routes over a tally that has closed, a page at a time.
fn closed(context: &mut Context<'_>, user: &str, tally: &str) -> Result<(), Fault> {
    let names = store::routes_over(context, user, tally, limits::CLOSED)?;
    for name in &names {
        rules::step(context, name, Happening::ExitClosed, Input::Nothing)?;
        // Nobody can use it again: a tally that has closed stays so.
        store::put_route(context, name, None, false)?;
    }
    if names.len() == limits::CLOSED as usize { later(context, user, tally) } else { Ok(()) }
}

/// The periodic scan: some boundary tallies at a time, in turn.
///
/// # Errors
/// The host's faults.
pub fn scan(context: &mut Context<'_>) -> Result<(), Fault> {
    let at = context.now().plus(limits::SCAN_EVERY);
    context.set_timer(SCAN, at)?;
    if !store::settings(context)?.autoquery {
        return Ok(());
    }
    let place: Option<String> = context.get(SETTINGS, PLACE)?;
    let mut page = Scan { limit: limits::SCANNED, ..Scan::default() };
    if let Some(place) = &place {
        page.from = [place.as_bytes(), b"\0"].concat();
    }
    let rows: Vec<(Vec<u8>, ())> = context.scan(EXITS, &page)?;
    for (row, ()) in &rows {
        if let Some([agent, cuid, user, tally]) = parts(row) {
            seek(context, user, tally, &Chad::user(cuid, AgentId(agent.to_owned())))?;
        }
    }
    match rows.last() {
        Some((last, ())) if rows.len() == limits::SCANNED as usize => {
            context.put(SETTINGS, PLACE, &String::from_utf8_lossy(last))
        }
        _ if place.is_some() => context.delete(SETTINGS, PLACE),
        _ => Ok(()),
    }
}

/// What begins with a start.
///
/// # Errors
/// The host's faults.
pub fn started(context: &mut Context<'_>) -> Result<(), Fault> {
    let at = context.now().plus(limits::SCAN_EVERY);
    context.set_timer(SCAN, at)
}

/// Whether a route's exit is there no more.
///
/// # Errors
/// The host's faults.
pub fn is_closed(context: &mut Context<'_>, name: &Name) -> Result<bool, Fault> {
    Ok(links::link(context, &name.user, &name.tally)?.is_none())
}
