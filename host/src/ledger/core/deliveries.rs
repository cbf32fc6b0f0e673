//! Timers, and what became of messages sent.

use super::batch::Batch;
use super::unreadable;
use crate::ledger::buffer::Buffer;
use crate::ledger::input::Outcome;
use crate::ledger::limits::{TIMER_RETRY_MS, TIMER_TRIES};
use crate::ledger::line::Line;
use crate::ledger::outbox;
use crate::ledger::timers;
use crate::ledger::verify::Checked;
use crate::plugin::Given;
use crate::store::StoreError;
use crate::wire::ext::Receipt;
use tallyho_plugin::record::{AgentId, Timestamp};
use tallyho_plugin::services::{Keep, Schedule};
use tallyho_plugin::{Delivery, Event, Fate, FaultKind, Timer};

/// Whose timers the host's own are.
pub(super) const HOST: &str = "host";

/// The name of the timer that has a message of this site to itself come again.
pub(super) fn again_key(mid: u64) -> String {
    format!("{AGAIN}{mid}")
}

const AGAIN: &str = "local/";

/// Whether a report that its plugin fails comes again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Never: nothing is left that could be reported on.
    Once,
    /// At the next attempt, or with the receipt.
    Again,
}

impl Batch<'_> {
    pub(super) fn timer(&mut self, plugin: &str, key: &str, due: Timestamp) -> Result<Outcome, StoreError> {
        let mut buffer = Buffer::new(&mut *self.transaction);
        let found = timers::take(&mut buffer, plugin, key)?;
        let Some((_, failed)) = found.filter(|(at, _)| *at == due) else {
            return Ok(Outcome::Done(Vec::new())); // moved or cancelled since it was read
        };
        buffer.keep()?;
        if let Some(mid) = key.strip_prefix(AGAIN).filter(|_| plugin == HOST) {
            return self.local(mid.parse().unwrap_or_default());
        }
        if self.turn.table.held(plugin).is_some() {
            self.park(plugin, key, due)?;
            return Ok(Outcome::Done(Vec::new()));
        }
        let event = Given::from(Event::Timer(Timer { key: key.to_owned(), due }));
        let mut outcome = self.event(plugin, &event, &Checked::new(), |_| Ok(None))?;
        let Outcome::Fault(fault) = &outcome else { return Ok(outcome) };
        let is_own = fault.kind == FaultKind::Failed;
        let failed = failed.saturating_add(u32::from(is_own));
        if is_own && failed >= TIMER_TRIES {
            outcome = self.set_aside(plugin, &event, outcome, failed)?;
            if matches!(&outcome, Outcome::Fault(fault) if fault.kind == FaultKind::Failed) {
                return Ok(outcome);
            }
        }
        let later = self.turn.now.plus(TIMER_RETRY_MS);
        let mut buffer = Buffer::new(&mut *self.transaction);
        timers::set_again(&mut buffer, plugin, key, later, failed)?;
        buffer.keep()?;
        Ok(outcome)
    }

    pub(super) fn delivery(
        &mut self,
        line: &Line,
        mid: u64,
        fate: &Fate,
        receipts: bool,
    ) -> Result<Outcome, StoreError> {
        let Some(row) = self.buffered(|buffer| outbox::get(buffer, line, mid))? else {
            return Ok(Outcome::Done(Vec::new())); // withdrawn, or received, meanwhile
        };
        let message = &row.message;
        let gone = match fate {
            Fate::Accepted | Fate::Refused => true,
            // Given up for good; a request stands (PROTOCOL 11.2).
            Fate::Stalled { .. } => message.schedule != Schedule::Request,
            Fate::HandedOver => !receipts && message.keep == Keep::HandedOver,
            _ => false,
        };
        if gone {
            self.turn.changed = true;
            self.buffered(|buffer| outbox::remove(buffer, line, mid))?;
            self.turn.released.withdrawn.push((line.clone(), mid));
        }
        let terminal = matches!(fate, Fate::Accepted | Fate::Refused | Fate::Stalled { .. });
        let again = *fate == Fate::HandedOver && row.handed;
        if again || !(message.report || terminal) {
            return Ok(Outcome::Done(Vec::new()));
        }
        let mark = (*fate == Fate::HandedOver && receipts).then_some(mid);
        let told = if gone || terminal { Told::Once } else { Told::Again };
        self.report(&row.plugin, &message.key, &message.to.agent, fate.clone(), (told, mark))
    }

    /// What a peer's host has committed is taken out of the outbox. Received is handed over: the
    /// report may still be on its way, where the receipt came over another channel.
    pub(super) fn receipt(&mut self, agent: &AgentId, receipt: &Receipt) -> Result<Outcome, StoreError> {
        let received = self.buffered(|buffer| outbox::receive(buffer, agent, receipt.upto, &receipt.also))?;
        self.turn.changed |= !received.is_empty();
        for outbox::Received { mid, untold } in received {
            self.turn.released.withdrawn.push((agent.into(), mid));
            if let Some((plugin, key)) = untold {
                self.report(&plugin, &key, agent, Fate::HandedOver, (Told::Once, None))?;
            }
        }
        Ok(Outcome::Done(Vec::new()))
    }

    /// Tells a plugin what became of its message. `mark`: the row that stays and is not to be told of
    /// again.
    pub(super) fn report(
        &mut self,
        plugin: &str,
        key: &str,
        to: &AgentId,
        fate: Fate,
        (told, mark): (Told, Option<u64>),
    ) -> Result<Outcome, StoreError> {
        let event = Given::from(Event::Delivery(Delivery { key: key.to_owned(), to: to.clone(), fate }));
        let along = |buffer: &mut Buffer<'_>| {
            if let Some(mid) = mark {
                outbox::mark_handed(buffer, &to.into(), mid).map_err(unreadable)?;
            }
            Ok(None)
        };
        if self.turn.table.held(plugin).is_some() {
            let kept = self.keep(plugin, &event)?;
            let mut buffer = Buffer::new(&mut *self.transaction);
            along(&mut buffer)?;
            buffer.keep()?;
            return Ok(kept);
        }
        let outcome = self.event(plugin, &event, &Checked::new(), along)?;
        if told != Told::Once || !matches!(&outcome, Outcome::Fault(fault) if fault.kind == FaultKind::Failed) {
            return Ok(outcome);
        }
        let mut outcome = self.set_aside(plugin, &event, outcome, 1)?;
        if matches!(&outcome, Outcome::Fault(fault) if fault.kind == FaultKind::Host) {
            // No room there, and nobody else has it.
            outcome = self.keep(plugin, &event)?;
        }
        let mut buffer = Buffer::new(&mut *self.transaction);
        along(&mut buffer)?;
        buffer.keep()?;
        Ok(outcome)
    }
}
