//! After a start: halves that are behind are raised at once, the others compare ends with their partners
//! (PROTOCOL 6.3 S3, 11.2). Some at a time; timers see to the rest.

use super::{checkpoint, limits, send};
use crate::desk::Desk;
use crate::half::{Phase, Stat};
use crate::store::{TALLIES, UNSETTLED, key};
use serde::de::IgnoredAny;
use tallyho_plugin::context::Scan;
use tallyho_plugin::services::LogLevel;
use tallyho_plugin::{Context, Fault};

/// Timer that goes on raising halves that are behind; the last one raised follows, `HOLDER/TALLY`.
pub const BEHIND: &str = "behind/";
/// Timer that goes on comparing halves that seemed equal; the last one follows, `TALLY/HOLDER`.
pub const EQUAL: &str = "equal/";

/// Begins with the first.
///
/// # Errors
/// The host's faults.
pub fn started(context: &mut Context<'_>) -> Result<(), Fault> {
    behind(context, "")
}

/// Raises halves that are behind, from the one after `last`.
///
/// # Errors
/// The host's faults.
pub fn behind(context: &mut Context<'_>, last: &str) -> Result<(), Fault> {
    let rows: Vec<(Vec<u8>, ())> = context.scan(UNSETTLED, &after(last))?;
    for (key, ()) in &rows {
        let Some((holder, tally)) = parts(key) else { continue };
        raise(context, &holder, &tally, |desk| {
            if checkpoint::is_near(desk) {
                return Ok(());
            }
            desk.half.tries = 0;
            checkpoint::check(desk, 1)
        });
    }
    let next = rows.last().filter(|_| rows.len() >= limits::RAISED_AT_ONCE as usize).and_then(|(key, ())| parts(key));
    match next {
        Some((holder, tally)) => context.set_timer(&format!("{BEHIND}{holder}/{tally}"), context.now()),
        None => context.set_timer(EQUAL, context.now().plus(limits::RAISED_EVERY)),
    }
}

/// Compares ends of halves that seemed equal, from the one after `last`: either side may have been
/// restored from an old copy. A half without an account of its own is among them, for that copy may be
/// older than its first chit.
///
/// # Errors
/// The host's faults.
pub fn equal(context: &mut Context<'_>, last: &str) -> Result<(), Fault> {
    let rows: Vec<(Vec<u8>, IgnoredAny)> = context.scan(TALLIES, &after(last))?;
    for (key, _) in &rows {
        let Some((tally, holder)) = parts(key) else { continue };
        raise(context, &holder, &tally, |desk| {
            let half = &desk.half;
            let usable = half.is_settled() && half.phase != Phase::Closed && half.stat != Stat::Broken;
            if usable { send::compare(desk) } else { Ok(()) }
        });
    }
    let next = rows.last().filter(|_| rows.len() >= limits::RAISED_AT_ONCE as usize).and_then(|(key, _)| parts(key));
    match next {
        Some((tally, holder)) => {
            context.set_timer(&format!("{EQUAL}{tally}/{holder}"), context.now().plus(limits::RAISED_EVERY))
        }
        None => Ok(()),
    }
}

fn raise(
    context: &mut Context<'_>,
    holder: &str,
    tally: &str,
    act: impl FnOnce(&mut Desk<'_, '_>) -> Result<(), Fault>,
) {
    let raised = Desk::open(context, holder, tally).and_then(|desk| {
        let Some(mut desk) = desk else { return Ok(()) };
        let before = desk.half.clone();
        act(&mut desk)?;
        // An account is not made just because somebody looked.
        if desk.half == before { Ok(()) } else { desk.close() }
    });
    // One that cannot be raised (its partner's outbox is full) must not keep the others back.
    if let Err(fault) = raised {
        context.log(LogLevel::Error, &format!("chain of {holder}/{tally} is not raised: {fault}"));
    }
}

fn after(last: &str) -> Scan {
    let from = last.split_once('/').map_or_else(Vec::new, |(one, other)| key(&[one, other, ""]));
    Scan { from, limit: limits::RAISED_AT_ONCE, ..Scan::default() }
}

fn parts(key: &[u8]) -> Option<(String, String)> {
    let (one, other) = std::str::from_utf8(key).ok()?.split_once('\0')?;
    Some((one.to_owned(), other.to_owned()))
}
