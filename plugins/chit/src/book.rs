//! Writing a chit's row: sums and indexes follow it wherever it changes.

use crate::desk::Desk;
use crate::entry::{Entry, Status};
use crate::store::{REQUESTS, UNSIGNED};
use crate::sums;
use tallyho_plugin::Fault;

/// Writes a chit's row as it has become, `None` being no row; false, and nothing written, where the sums
/// would not fit.
///
/// # Errors
/// The host's faults.
pub fn write(
    desk: &mut Desk<'_, '_>,
    chit: &str,
    before: Option<&Entry>,
    after: Option<&Entry>,
) -> Result<bool, Fault> {
    let Some(half) = sums::counted(&desk.half, desk.side(), before, after) else { return Ok(false) };
    desk.half = half;
    let key = desk.chit_key(chit);
    let unsigned = |entry: Option<&Entry>| entry.is_some_and(|entry| entry.status != Status::Good);
    let asked = |entry: Option<&Entry>| entry.is_some_and(|entry| entry.request.is_some());
    for (table, was, is) in [(UNSIGNED, unsigned(before), unsigned(after)), (REQUESTS, asked(before), asked(after))] {
        match (was, is) {
            (false, true) => desk.context.put(table, &key, &())?,
            (true, false) => desk.context.delete(table, &key)?,
            _ => {}
        }
    }
    match after {
        Some(entry) => desk.put_entry(chit, entry)?,
        None => desk.context.delete(crate::store::CHITS, &key)?,
    }
    Ok(true)
}
