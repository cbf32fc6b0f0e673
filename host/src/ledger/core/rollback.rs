//! A build on probation has failed, and the generation before it serves again: written down with the event
//! that it failed on.

use super::batch::Turn;
use crate::ledger::buffer::Buffer;
use crate::ledger::remembered::{self, BuildFile, Remembered, SwappedIn};
use crate::ledger::table::{PluginTable, RolledBack, Seat};
use crate::store::{StoreError, Transaction};
use serde_json::json;
use std::sync::Arc;

/// Whether the generation before may serve again unasked: it must know the tables as this one leaves them.
pub(super) fn is_reversible(seat: &Seat) -> bool {
    let state = seat.serving.manifest().state_version;
    seat.previous.as_ref().is_some_and(|previous| {
        let manifest = previous.manifest();
        manifest.state_version == state || manifest.reads_state.contains(&state)
    })
}

/// Writes a roll-back down, for the next start and for people. The turn's table has the generation before.
pub(super) fn record(
    transaction: &mut (dyn Transaction + '_),
    turn: &mut Turn,
    rolled_back: &RolledBack,
) -> Result<(), StoreError> {
    let RolledBack { name, from, to, version, why } = rolled_back;
    let table: Arc<PluginTable> = Arc::clone(&turn.table);
    let Some(serving) = table.named(name) else { return Ok(()) };
    let mut buffer = Buffer::new(transaction);
    let known = remembered::of(&mut buffer, serving.manifest())?;
    let file = BuildFile::of(&*serving.plugin);
    let swapped =
        known.swapped.and_then(|swapped| Some(SwappedIn { file: file?, at: turn.now, previous: None, ..swapped }));
    let state = serving.manifest().state_version;
    remembered::put(&mut buffer, name, &Remembered { swapped, state, ..known });
    buffer.keep()?;
    turn.changed = true;
    log::error!(target: "tallyho::plugin", "{name}: generation {to} serves again, generation {from} has failed");
    turn.released.notices.push(json!({
        "about": "plugin",
        "name": name,
        "reason": "rolled back",
        "from": from,
        "to": to,
        "failed": version,
        "why": why,
        "at": turn.now.to_string(),
    }));
    Ok(())
}
