//! The inputs of one transaction, one after another.

use super::rehearse::{Rehearsed, Trial};
use super::rollback;
use super::{Seeds, unreadable};
use crate::ledger::buffer::Buffer;
use crate::ledger::difference::{Made, what};
use crate::ledger::host::{Host, HostCall};
use crate::ledger::inbound::Windows;
use crate::ledger::input::{Input, Origin, Outcome, Released};
use crate::ledger::journal::{Journal, NewEntry};
use crate::ledger::outbox::OutboxError;
use crate::ledger::recording::{Tape, Taped};
use crate::ledger::seeds::Random;
use crate::ledger::services::{EventServices, blame};
use crate::ledger::signed::Signed;
use crate::ledger::table::{PluginTable, RolledBack, Serving};
use crate::ledger::verify::Checked;
use crate::plugin::Given;
use crate::plugin::process::LOST;
use crate::site::addresses::{self, Source};
use crate::site::relations::RelationRegistry;
use crate::store::{StoreError, Transaction};
use std::sync::Arc;
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::{Command, Event, Fault, FaultKind};

/// What a batch works with, apart from the transaction.
pub(super) struct Turn {
    pub(super) table: Arc<PluginTable>,
    /// Candidates that are given the same events without effect.
    pub(super) trials: Vec<Trial>,
    pub(super) host: Arc<dyn Host>,
    pub(super) relations: Arc<RelationRegistry>,
    pub(super) seeds: Seeds,
    pub(super) windows: Windows,
    pub(super) journal: Journal,
    /// Room for a row of it.
    pub(super) scratch: Vec<u8>,
    pub(super) now: Timestamp,
    pub(super) released: Released,
    /// Where the message at hand came from.
    pub(super) origin: Option<Origin>,
    /// There is something to commit.
    pub(super) changed: bool,
    /// What is written, while effects are recorded.
    pub(super) tape: Option<Tape>,
    /// What plugins have counted, to be added once all this is durable.
    pub(super) measures: Vec<(Arc<Serving>, String, i64)>,
}

/// Inputs of one transaction.
pub(super) struct Batch<'b> {
    pub(super) transaction: &'b mut (dyn Transaction + 'b),
    pub(super) turn: Turn,
}

/// Runs inputs in a transaction, its writes on tape where they are recorded.
pub(super) fn batch<R>(transaction: &mut (dyn Transaction + '_), turn: Turn, run: impl FnOnce(Batch<'_>) -> R) -> R {
    match turn.tape.clone() {
        None => run(Batch { transaction, turn }),
        Some(tape) => run(Batch { transaction: &mut Taped { transaction, tape }, turn }),
    }
}

impl Batch<'_> {
    /// Runs one input. On an error the transaction is to be given up.
    pub(super) fn input(&mut self, input: &Input, checked: &Checked) -> Result<Outcome, StoreError> {
        // Of these it depends on what they find whether there is anything to commit.
        self.turn.changed |= !matches!(input, Input::Command { .. } | Input::Delivery { .. } | Input::Receipt { .. });
        match input {
            Input::Peer(inbound) => self.peer(inbound, checked),
            Input::Dropped { agent, mid } => {
                self.turn.windows.verdict(&mut *self.transaction, agent, *mid)?;
                self.turn.windows.apply(agent, *mid);
                Ok(Outcome::Done(Vec::new()))
            }
            Input::Command { plugin, name, argument } if plugin == "host" => self.host_command(name, argument),
            Input::Command { plugin, name, argument } => {
                let body = argument.clone();
                let event = Event::Command(Command { name: name.clone(), caller: None, body }).into();
                self.event(plugin, &event, checked, |_| Ok(None))
            }
            Input::Delivery { line, mid, fate, receipts } => self.delivery(line, *mid, fate, *receipts),
            Input::Receipt { agent, receipt } => self.receipt(agent, receipt),
            Input::Local { mid } => self.local(*mid),
            Input::Timer { plugin, key, due } => self.timer(plugin, key, *due),
            Input::Waiting { plugin, number } => self.waiting(plugin, *number),
            Input::Retry { number } => self.retry(*number),
            Input::Forget { number } => self.forget(*number),
            Input::Life { plugin, life } => {
                self.event(plugin, &Event::Life(life.clone()).into(), checked, |_| Ok(None))
            }
            Input::Learn { from } => {
                let now = self.turn.now;
                let mut buffer = Buffer::new(&mut *self.transaction);
                let place = addresses::news(&mut buffer, from, Source::Message, now)?;
                buffer.keep()?;
                self.turn.released.places.extend(place);
                Ok(Outcome::Done(Vec::new()))
            }
            Input::Speaks { agent, compat } => {
                let mut buffer = Buffer::new(&mut *self.transaction);
                if addresses::found(&mut buffer, agent, *compat)? {
                    let known = addresses::get(&mut buffer, agent)?.unwrap_or_default();
                    self.turn.released.places.push((agent.clone(), known));
                }
                buffer.keep()?;
                Ok(Outcome::Done(Vec::new()))
            }
        }
    }

    /// Host rows changed apart from any plugin's event.
    pub(super) fn buffered<T>(
        &mut self,
        change: impl FnOnce(&mut Buffer<'_>) -> Result<T, OutboxError>,
    ) -> Result<T, StoreError> {
        let mut buffer = Buffer::new(&mut *self.transaction);
        let value = change(&mut buffer).map_err(unreadable)?;
        buffer.keep()?;
        Ok(value)
    }

    /// Gives one event to one plugin. `along` changes host rows that belong to the event, or says why
    /// it must not succeed after all; they are kept only where it does.
    pub(super) fn event(
        &mut self,
        plugin: &str,
        event: &Given,
        checked: &Checked,
        along: impl FnOnce(&mut Buffer<'_>) -> Result<Option<Fault>, StoreError>,
    ) -> Result<Outcome, StoreError> {
        if let Some(hold) = self.turn.table.held(plugin) {
            return Ok(Outcome::Fault(hold.fault(plugin)));
        }
        let seed = self.turn.seeds.draw();
        let tape = self.turn.tape.clone();
        let mut rehearsed = self.rehearse(plugin, event, checked, seed)?;
        let mut table = Arc::clone(&self.turn.table);
        let host = &*self.turn.host;
        // A build on probation that fails: what it did, and what the generation before made of the event.
        let mut tried = None;
        let mut lost = false;
        let (services, mut result) = loop {
            let buffer = Buffer::new(&mut *self.transaction);
            let mut services = EventServices::new(buffer, &table, host, checked, self.turn.now, seed);
            services.origin = self.turn.origin;
            services.signed =
                rehearsed.as_mut().map(Rehearsed::signed).or_else(|| tape.as_ref().map(|_| Signed::default()));
            let result = services.run(plugin, event);
            // Its process was ended by something else than the event, as far as can be told.
            if !lost && result.as_ref().is_err_and(|fault| fault.code == LOST) {
                lost = true;
                continue;
            }
            let why = match &result {
                Err(fault) if fault.kind == FaultKind::Failed && tried.is_none() => fault.to_string(),
                _ => break (services, result),
            };
            let why = format!("{} failed: {why}", what(event));
            let before = services.failed.as_deref().and_then(|failed| table.rolled_back(failed, &why));
            let Some((before, rolled_back)) = before else { break (services, result) };
            drop(services);
            table = Arc::new(before);
            tried = Some(rolled_back);
        };
        let EventServices { mut buffer, released, broken, metrics, signed, failed, .. } = services;
        if let Some(error) = broken {
            return Err(error);
        }
        let made = (rehearsed.is_some() || tape.is_some()).then(|| {
            let notices = released.notices.clone();
            Made { writes: buffer.writes().clone(), notices, result: result.clone() }
        });
        if let (Some(rehearsed), Some(made)) = (rehearsed, &made) {
            rehearsed.compare(&mut self.turn.trials, event, self.turn.now, made);
        }
        if result.is_ok()
            && let Some(fault) = along(&mut buffer)?
        {
            result = Err(fault);
        }
        if let Err(fault) = &mut result {
            blame(fault, plugin, failed.as_deref());
        }
        let failed_before_too = result.as_ref().is_err_and(|fault| fault.kind == FaultKind::Failed);
        let only_looked = buffer.count() == 0 && released.is_empty() && matches!(**event, Event::Command(_));
        // What has no entry in the journal leaves on tape what was there.
        let tape = tape.filter(|_| !(only_looked && result.is_ok()));
        let before = tape.as_ref().map(Tape::take).unwrap_or_default();
        if result.is_ok() {
            buffer.keep()?;
            self.turn.released.append(released);
            for ((plugin, name), add) in metrics {
                self.turn
                    .measures
                    .extend(self.turn.table.named(&plugin).map(|serving| (Arc::clone(serving), name, add)));
            }
        }
        let recorded = tape.zip(made).and_then(|(tape, made)| tape.recorded(before, &made, signed.unwrap_or_default()));
        match tried {
            None => {
                let probation = self.turn.table.seat(plugin).and_then(|seat| seat.probation.as_ref());
                probation.into_iter().for_each(|probation| probation.pass());
            }
            // A fault that both have is the event's.
            Some(_) if failed_before_too => {}
            Some(rolled_back) => self.fall_back(rolled_back, &table)?,
        }
        if let (Ok(answer), true) = (&result, only_looked) {
            return Ok(Outcome::Done(answer.clone()));
        }
        self.turn.changed = true;
        let fault = result.as_ref().err();
        if let Some(fault) = fault.filter(|fault| fault.kind == FaultKind::Failed) {
            log::error!(target: "tallyho::plugin", "{plugin}: {} failed and had no effect: {fault}", what(event));
        }
        let why = fault.map(ToString::to_string);
        let entry = NewEntry {
            at: self.turn.now,
            plugin,
            generation: table.named(plugin).map_or(0, |serving| serving.generation()),
            header: event.header().map_err(|fault| StoreError::Engine(fault.to_string()))?,
            body: event.body(),
            seed: &seed,
            fault: why.as_deref(),
            recorded: recorded.as_ref(),
        };
        self.turn.journal.write(&mut *self.transaction, entry, &mut self.turn.scratch)?;
        Ok(match result {
            Ok(answer) => Outcome::Done(answer),
            Err(fault) => Outcome::Fault(fault),
        })
    }

    /// A build on probation has failed an event that the generation before it has just handled.
    fn fall_back(&mut self, rolled_back: RolledBack, before: &Arc<PluginTable>) -> Result<(), StoreError> {
        let RolledBack { name, from, to, why, .. } = &rolled_back;
        log::error!(target: "tallyho::plugin", "{name}: generation {from}, on probation: {why}; generation {to} handles it");
        let seat = self.turn.table.seat(name);
        let probation = seat.and_then(|seat| seat.probation.as_ref());
        if probation.is_none_or(|probation| probation.fail()) {
            self.turn.table = Arc::clone(before);
            self.turn.trials.retain(|trial| trial.name() != name);
            rollback::record(&mut *self.transaction, &mut self.turn, &rolled_back)?;
        }
        Ok(())
    }

    fn host_command(&mut self, name: &str, argument: &[u8]) -> Result<Outcome, StoreError> {
        let mut buffer = Buffer::new(&mut *self.transaction);
        let mut random = Random::new(self.turn.seeds.draw());
        let mut released = Released::default();
        let mut call = HostCall {
            buffer: &mut buffer,
            caller: None,
            now: self.turn.now,
            random: &mut random,
            released: &mut released,
        };
        Ok(match self.turn.host.command(&mut call, name, argument) {
            Ok(answer) => {
                self.turn.changed |= buffer.count() > 0 || !released.is_empty();
                buffer.keep()?;
                self.turn.released.append(released);
                Outcome::Done(answer)
            }
            Err(fault) => Outcome::Fault(fault),
        })
    }
}
