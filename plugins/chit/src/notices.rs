//! What a half's holder is told of single chits.

use crate::desk::Desk;
use crate::entry::Entry;
use serde_json::{Value, json};
use tallyho_plugin::Fault;
use tallyho_plugin::record::ChitRecord;

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
