//! What becomes of the events of a plugin that is held: they wait until it serves again.

use super::batch::Batch;
use crate::ledger::buffer::Buffer;
use crate::ledger::input::Outcome;
use crate::ledger::remembered::{self, Remembered};
use crate::ledger::verify::Checked;
use crate::ledger::{timers, waiting};
use crate::plugin::Given;
use crate::store::{StoreError, Transaction};
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::{Event, Fault, FaultKind};

impl Batch<'_> {
    /// Keeps an event for a plugin that is held.
    pub(super) fn keep(&mut self, plugin: &str, event: &Event) -> Result<Outcome, StoreError> {
        self.turn.changed = true;
        let mut buffer = Buffer::new(&mut *self.transaction);
        if !waiting::put(&mut buffer, plugin, event)? {
            log::warn!("plugin {plugin} is held and too much waits for it: an event is dropped");
            return Ok(Outcome::Fault(Fault::host(format!("too much waits for plugin {plugin}")).code("full")));
        }
        buffer.keep()?;
        Ok(Outcome::Done(Vec::new()))
    }

    /// Puts a timer away that came due while its plugin is held.
    pub(super) fn park(&mut self, plugin: &str, key: &str, due: Timestamp) -> Result<(), StoreError> {
        let mut buffer = Buffer::new(&mut *self.transaction);
        timers::park(&mut buffer, plugin, key, due);
        if let Some(serving) = self.turn.table.named(plugin) {
            let known = remembered::of(&mut buffer, serving.manifest())?;
            if !known.parked {
                remembered::put(&mut buffer, plugin, &Remembered { parked: true, ..known });
            }
        }
        buffer.keep()
    }

    /// An event that has waited for its plugin.
    pub(super) fn waiting(&mut self, plugin: &str, number: u64) -> Result<Outcome, StoreError> {
        if self.turn.table.held(plugin).is_some() {
            return Ok(Outcome::Done(Vec::new())); // held again: it waits on
        }
        let found = waiting::get(&mut Buffer::new(&mut *self.transaction), plugin, number)?;
        let Some(event) = found else { return Ok(Outcome::Done(Vec::new())) };
        let event = Given::from(event);
        let outcome = self.event(plugin, &event, &Checked::new(), |_| Ok(None))?;
        let outcome = self.set_aside(plugin, &event, outcome, 1)?;
        if matches!(&outcome, Outcome::Fault(fault) if fault.kind == FaultKind::Host) {
            return Ok(outcome); // it waits on
        }
        let mut buffer = Buffer::new(&mut *self.transaction);
        waiting::remove(&mut buffer, plugin, number)?;
        buffer.keep()?;
        Ok(outcome)
    }
}

/// Has what has waited for a plugin go on: its timers at once, its events as inputs, by their numbers.
pub(super) fn let_go(transaction: &mut (dyn Transaction + '_), plugin: &str) -> Result<Vec<(String, u64)>, StoreError> {
    let mut buffer = Buffer::new(&mut *transaction);
    if let Some(known) = remembered::get(&mut buffer, plugin)?.filter(|known| known.parked) {
        timers::unpark(&mut buffer, plugin)?;
        remembered::put(&mut buffer, plugin, &Remembered { parked: false, ..known });
    }
    buffer.keep()?;
    let numbers = waiting::list(transaction, plugin)?;
    Ok(numbers.into_iter().map(|number| (plugin.to_owned(), number)).collect())
}
