//! Letting go of routes that nobody uses (R14).

use crate::limits;
use crate::rules::{self, Input};
use crate::store::{self, ASKED, Asked};
use crate::table::Happening;
use tallyho_plugin::context::Scan;
use tallyho_plugin::{Context, Fault};

/// What the name of its timer begins with; behind it stands the route that the page comes after.
pub const TIMER: &str = "sweep";

/// Sets the timer of the first sweep: soon, since a site may be started anew each day.
///
/// # Errors
/// The host's faults.
pub fn start(context: &mut Context<'_>) -> Result<(), Fault> {
    next(context, limits::SWEEP_FIRST)
}

fn next(context: &mut Context<'_>, after: i64) -> Result<(), Fault> {
    let at = context.now().plus(after);
    context.set_timer(&format!("{TIMER}:"), at)
}

/// Sweeps a page of routes, behind the route of this name (or from the first).
///
/// # Errors
/// The host's faults.
pub fn sweep(context: &mut Context<'_>, behind: &str) -> Result<(), Fault> {
    let from = crate::route::Name::parse(behind).map_or_else(Vec::new, |name| store::behind(&name));
    if from.is_empty() {
        sweep_asked(context)?;
    }
    let page = store::routes(context, &Scan { from, limit: limits::PAGE, ..Scan::default() })?;
    for (name, _) in &page {
        rules::step(context, name, Happening::Sweep, Input::Nothing)?;
    }
    match page.last() {
        Some((last, _)) if page.len() == limits::PAGE as usize => {
            let at = context.now().plus(limits::SWEEP_PAUSE);
            context.set_timer(&format!("{TIMER}:{}", last.text()), at)
        }
        _ => next(context, limits::SWEEP_EVERY),
    }
}

/// Counts of queries that are over. There is one at most for each boundary tally.
fn sweep_asked(context: &mut Context<'_>) -> Result<(), Fault> {
    let now = context.now();
    let rows: Vec<(Vec<u8>, Asked)> = context.scan(ASKED, &Scan { limit: limits::PAGE, ..Scan::default() })?;
    for (row, asked) in rows {
        if now >= asked.since.plus(limits::ASKED_EVERY) {
            context.delete(ASKED, row)?;
        }
    }
    Ok(())
}
