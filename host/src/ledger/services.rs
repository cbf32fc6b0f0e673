//! What the host does for a handler during one event.

mod calls;

use super::at_work::at_work;
use super::buffer::Buffer;
use super::host::Host;
use super::input::{Answer, Origin, Released};
use super::limits::{ANSWERS, EFFECTS, ENVELOPE_ROOM};
use super::made::Made;
use super::outbox::{OutboxError, OutboxRow};
use super::seeds::Random;
use super::signed::Signed;
use super::table::PluginTable;
use super::verify::Checked;
use crate::plugin::Given;
use crate::site::addresses::{self, Source};
use crate::store::StoreError;
use crate::wire::envelope::{Envelope, check_object};
use crate::wire::limits::{MAX_MESSAGE, MAX_OPENING_MESSAGE};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tallyho_plugin::record::{Chad, Timestamp};
use tallyho_plugin::services::{OUTBOX_FULL, Outgoing};
use tallyho_plugin::{Fault, FaultKind};

/// An event given to a candidate without effect.
#[derive(Debug, Clone, Copy)]
pub struct Rehearsal {
    /// The candidate's generation.
    pub generation: u64,
    /// It has been called.
    pub at_work: bool,
}

/// The services of one event; see [`Services`].
pub struct EventServices<'e> {
    /// The event's writes.
    pub buffer: Buffer<'e>,
    /// Who serves what, for `invoke`.
    pub table: &'e PluginTable,
    /// Keys and the host's own commands.
    pub host: &'e dyn Host,
    /// Signature checks made beforehand.
    pub checked: &'e Checked,
    /// The event's time.
    pub now: Timestamp,
    /// The event's random bytes.
    pub random: Random,
    /// What the commit will let out.
    pub released: Released,
    /// Where the message at hand came from, and its answers go.
    pub origin: Option<Origin>,
    /// The plugins at work, the one called last at the end.
    stack: Vec<&'e str>,
    /// An invoked plugin's fault, which is the event's.
    spoilt: Option<Fault>,
    /// Whether a migration is under way, and wants another transaction.
    pub migrating: Option<bool>,
    /// The plugin that failed first, by its own fault.
    pub failed: Option<String>,
    /// The store failed: whatever the handler makes of it, the event has to be run again.
    pub broken: Option<StoreError>,
    /// The event is only rehearsed by a candidate: nothing is counted or logged.
    pub rehearsal: Option<Rehearsal>,
    /// Signatures, where the event is run more than once.
    pub signed: Option<Signed>,
    /// Signatures made in it.
    made: Made,
    /// Effects that it may have.
    pub most: usize,
    /// Lines logged.
    lines: usize,
    /// Counted by plugin and name.
    pub metrics: BTreeMap<(String, String), i64>,
}

impl<'e> EventServices<'e> {
    /// Services for one event of `plugin`.
    pub fn new(
        buffer: Buffer<'e>,
        table: &'e PluginTable,
        host: &'e dyn Host,
        checked: &'e Checked,
        now: Timestamp,
        seed: [u8; 32],
    ) -> Self {
        EventServices {
            buffer,
            table,
            host,
            checked,
            now,
            random: Random::new(seed),
            released: Released::default(),
            origin: None,
            stack: Vec::new(),
            spoilt: None,
            migrating: None,
            failed: None,
            broken: None,
            most: EFFECTS,
            rehearsal: None,
            signed: None,
            made: Made::default(),
            metrics: BTreeMap::new(),
            lines: 0,
        }
    }

    /// Gives the event to the plugin; its answer as CBOR.
    ///
    /// # Errors
    /// The handler's fault, or that of a plugin it called.
    pub fn run(&mut self, plugin: &str, event: &Given) -> Result<Vec<u8>, Fault> {
        let table = self.table;
        let Some(seat) = table.seat(plugin) else {
            return Err(Fault::not_found(format!("no plugin {plugin} serves")).fix("see `tallyho plugin list`"));
        };
        if let Some(hold) = seat.hold() {
            return Err(hold.fault(plugin));
        }
        let serving = &seat.serving;
        self.stack.push(&serving.manifest().name);
        let (_in_flight, _at_work, begun) = (serving.enter(), at_work(serving.generation()), Instant::now());
        let result = serving.plugin.handle(event, self);
        let took = begun.elapsed();
        self.stack.pop();
        // Who passes on the fault of a plugin that it called has not failed itself.
        let failed = result.as_ref().is_err_and(|fault| fault.kind == FaultKind::Failed)
            && self.failed.get_or_insert_with(|| plugin.to_owned()) == plugin;
        let result = match self.spoilt.clone() {
            Some(fault) => Err(fault),
            None => result,
        };
        match &mut self.rehearsal {
            None => {
                serving.times.add(took);
                serving.count(failed && result.as_ref().is_err_and(|fault| fault.kind == FaultKind::Failed));
            }
            Some(rehearsal) => rehearsal.at_work |= rehearsal.generation == serving.generation(),
        }
        result
    }

    /// Has the plugin bring its tables from an older state version to its own.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub fn migrate(&mut self, plugin: &str, from: u32) -> Result<(), Fault> {
        let table = self.table;
        let Some(serving) = table.named(plugin) else {
            return Err(Fault::not_found(format!("no plugin {plugin} serves")));
        };
        self.stack.push(&serving.manifest().name);
        self.migrating = Some(false);
        let _at_work = at_work(serving.generation());
        let result = serving.plugin.migrate(from, self);
        self.stack.pop();
        match self.spoilt.clone() {
            Some(fault) => Err(fault),
            None => result,
        }
    }

    fn current(&self) -> &'e str {
        self.stack.last().copied().unwrap_or("host")
    }

    /// The full name of an own table.
    fn own(&self, table: &str) -> Result<&'e str, Fault> {
        let plugin = self.current();
        let own = self.table.named(plugin).and_then(|serving| serving.own_table(table));
        own.ok_or_else(|| Fault::failed(format!("plugin {plugin} owns no table {table}; its manifest must list it")))
    }

    /// The full name of a table that may be read.
    fn readable(&self, table: &str) -> Result<&'e str, Fault> {
        if !table.contains('.') {
            return self.own(table);
        }
        let plugin = self.current();
        let mut granted = self.table.named(plugin).into_iter().flat_map(|serving| &serving.manifest().reads);
        let granted = granted.find(|read| *read == table).map(String::as_str);
        granted
            .ok_or_else(|| Fault::failed(format!("plugin {plugin} may not read {table}; its manifest must ask for it")))
    }

    fn store_failed(&mut self, error: StoreError) -> Fault {
        let fault = Fault::host(error.to_string());
        self.broken.get_or_insert(error);
        fault
    }

    fn outbox_failed(&mut self, error: OutboxError) -> Fault {
        match error {
            OutboxError::Store(error) => self.store_failed(error),
            full @ OutboxError::Full { .. } => Fault::host(full.to_string()).code(OUTBOX_FULL),
            other => Fault::host(other.to_string()),
        }
    }

    /// Learns where an agent can be reached, if it is another than this site's.
    fn news(&mut self, chad: &Chad, from: Source) -> Result<(), Fault> {
        if &chad.agent != self.host.agent() {
            let news = addresses::news(&mut self.buffer, chad, from, self.now);
            let news = news.map_err(|error| self.store_failed(error))?;
            self.released.places.extend(news);
        }
        Ok(())
    }

    /// Whether the message can ever leave: it must fit its packet, in the longer of both encodings.
    fn fits(&self, message: &Outgoing) -> Result<(), Fault> {
        let refused = |why: String| Fault::failed(format!("{}/{}: {why}", message.target, message.action));
        if !message.object.is_empty() {
            check_object(&message.object).map_err(|error| refused(format!("object: {error}")))?;
        }
        // Text may need six bytes in JSON for one in CBOR, numbers less: only large messages are measured.
        if message.object.len() < MAX_MESSAGE / 8 && message.ticket.is_none() {
            return Ok(());
        }
        let from = Chad { cuid: Some(message.from.clone()), agent: self.host.agent().clone(), host: None, port: None };
        let envelope = Envelope {
            object: Some(message.object.clone()).filter(|object| !object.is_empty()),
            tally: message.tally.clone(),
            ticket: message.ticket.clone(),
            ..Envelope::new(&message.target, &message.action, message.to.clone(), from)
        };
        let most = if message.ticket.is_some() { MAX_OPENING_MESSAGE } else { MAX_MESSAGE };
        let mut text = Vec::new();
        match envelope.encode_json(&mut text) {
            Ok(()) if text.len() + ENVELOPE_ROOM <= most => Ok(()),
            Ok(()) => Err(refused(format!("{} bytes as JSON, at most {} fit", text.len(), most - ENVELOPE_ROOM))),
            Err(error) => Err(refused(error.to_string())),
        }
    }

    /// The answer to the message at hand leaves by the channel that brought it, and never waits in the outbox.
    fn answer(&mut self, message: &Outgoing) -> Result<(), Fault> {
        if self.released.answers.len() >= ANSWERS {
            return Err(Fault::failed(format!("the event gives more than {ANSWERS} answers")));
        }
        let (plugin, message) = (self.current().to_owned(), message.clone());
        match self.origin {
            Some(origin) => {
                let row = Arc::new(OutboxRow { plugin, message, created: self.now, handed: false });
                self.released.answers.push(Answer { origin, row });
            }
            None => log::debug!("{}/{}: the channel it answers has gone", message.target, message.action),
        }
        Ok(())
    }

    fn room(&self) -> Result<(), Fault> {
        match (self.buffer.count() < self.most, self.migrating) {
            (true, _) => Ok(()),
            (false, None) => {
                Err(Fault::failed(format!("the event has more than {EFFECTS} effects; do less in one event")))
            }
            (false, Some(_)) => {
                let text = format!("the migration has more than {} effects in one part", self.most);
                Err(Fault::failed(text).fix("do less in one call of Handler::migrate, and ask for another"))
            }
        }
    }
}

/// Says in an event's fault whose it is, where another plugin failed than the one whose event it was: or people would
/// mend the wrong one.
pub fn blame(fault: &mut Fault, plugin: &str, failed: Option<&str>) {
    if let Some(failed) = failed.filter(|failed| *failed != plugin && fault.kind == FaultKind::Failed) {
        fault.text = format!("plugin {failed}, which it called: {}", fault.text);
    }
}
