//! What a half's holder is told of single chits.

use crate::desk::Desk;
use crate::entry::{Entry, Status};
use serde_json::{Value, json};
use tallyho_plugin::Fault;
use tallyho_plugin::record::ChitRecord;

/// A signed chit came in: C3 `good`, or C3b `own` for one that our own user has signed elsewhere. Where it
/// takes the place of an invoice, `asked` says how much that was for.
///
/// # Errors
/// The host's faults.
pub fn binding(desk: &mut Desk<'_, '_>, chit: &ChitRecord, entry: &Entry, before: Option<&Entry>) -> Result<(), Fault> {
    let reason = if entry.by == desk.side() { "own" } else { "good" };
    let asked = before.filter(|asked| asked.status == Status::Pend && asked.sign.is_none()).map(|asked| asked.units);
    tell(desk, chit, entry, reason, &json!({ "asked": asked }))
}

/// Tells the holder about a chit; `more` has members to add, nulls being left out.
///
/// # Errors
/// The host's faults.
pub fn tell(
    desk: &mut Desk<'_, '_>,
    chit: &ChitRecord,
    entry: &Entry,
    reason: &str,
    more: &Value,
) -> Result<(), Fault> {
    let holder = desk.party.holder.clone();
    let mut notice = json!({
        "about": "chit", "tally": desk.party.tally, "uuid": chit.uuid(), "user": holder,
        "state": entry.code(desk.side()), "reason": reason, "by": entry.by, "type": entry.kind,
    });
    if entry.units != 0 {
        notice["units"] = entry.units.into();
    }
    if !chit.memo().is_empty() {
        notice["memo"] = chit.memo().into();
    }
    for (name, value) in more.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        notice[name] = value.clone();
    }
    desk.context.notice(&holder, &notice)
}
