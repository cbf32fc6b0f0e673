//! Runs events in one store transaction, without thread, clock or sockets.

use super::buffer::Buffer;
use super::inbound::{Verdict, Windows};
use super::input::{Inbound, Input, Outcome, Post, Released};
use super::journal::{self, Entry, Journal};
use super::limits::{NOTICE_SLOTS, QUARANTINE_SLOTS, TIMER_RETRY_MS};
use super::outbox::{self, OutboxError};
use super::router;
use super::services::{EventServices, Host, HostCall, Random};
use super::table::PluginTable;
use super::timers;
use super::verify::Checked;
use crate::crash::crash_point;
use crate::site::addresses::{self, Source};
use crate::site::relations::RelationRegistry;
use crate::site::tickets::{self, Presentation};
use crate::store::{Store, StoreError, Transaction};
use arc_swap::ArcSwap;
use std::sync::Arc;
use tallyho_plugin::record::{AgentId, Timestamp};
use tallyho_plugin::services::{Keep, Schedule};
use tallyho_plugin::{Command, Delivery, Event, Fate, Fault, FaultKind, Life, Message, Timer};

/// What a core is made of.
pub struct Parts {
    /// Where everything is kept.
    pub store: Box<dyn Store>,
    /// Who serves what.
    pub table: Arc<ArcSwap<PluginTable>>,
    /// Keys and the host's own commands.
    pub host: Arc<dyn Host>,
    /// Who may talk to whom; changed after each commit.
    pub relations: Arc<RelationRegistry>,
    /// Seeds for events' random bytes.
    pub seeds: Box<dyn FnMut() -> [u8; 32] + Send>,
}

/// Runs events; see the module.
pub struct Core {
    parts: Parts,
    windows: Windows,
    journal: Journal,
    latest: Timestamp,
    next_timer: Option<Timestamp>,
}

/// What came of a batch: an outcome for each input, and what may leave.
#[derive(Debug)]
pub struct Done {
    /// One for each input, in order.
    pub outcomes: Vec<Outcome>,
    /// What may leave now.
    pub released: Released,
}

impl Core {
    /// A core over its parts.
    ///
    /// # Errors
    /// The store's.
    pub fn open(mut parts: Parts) -> Result<Self, StoreError> {
        let mut transaction = parts.store.begin()?;
        let journal = Journal::open(&mut *transaction)?;
        let (_, next_timer) = timers::due(&mut *transaction, Timestamp(i64::MIN))?;
        transaction.commit()?;
        Ok(Core { parts, windows: Windows::default(), journal, latest: Timestamp(0), next_timer })
    }

    /// What has to be done at start: plugins are told, then whatever waits is released.
    ///
    /// # Errors
    /// The store's.
    pub fn start(&mut self, now: Timestamp) -> Result<Released, StoreError> {
        let table = self.parts.table.load_full();
        let lives = table
            .all()
            .into_iter()
            .map(|serving| Input::Life { plugin: serving.manifest().name.clone(), life: Life::Started });
        let inputs: Vec<(Input, Checked)> = lives.map(|life| (life, Checked::new())).collect();
        for (outcome, (input, _)) in self.apply(&inputs, now)?.outcomes.iter().zip(&inputs) {
            if let (Outcome::Fault(fault), Input::Life { plugin, .. }) = (outcome, input) {
                log::error!("plugin {plugin} could not take up its work: {fault}");
            }
        }
        // Everything is read from the outbox once more, so what these events sent is included.
        let mut released = Released::default();
        let mut transaction = self.parts.store.begin()?;
        let own = self.parts.host.agent().clone();
        for (agent, _) in outbox::agents(&mut *transaction).map_err(unreadable)? {
            if agent == own {
                let mut after = 0;
                loop {
                    let rows = outbox::window(&mut *transaction, &own, after).map_err(unreadable)?;
                    let Some((last, _)) = rows.last() else { break };
                    after = *last;
                    released.local.extend(rows.iter().map(|(mid, _)| *mid));
                }
            } else {
                released.posts.append(&mut posts(&mut *transaction, &agent, 0)?);
            }
        }
        Ok(released)
    }

    /// Messages for `agent` above the id `after`, one window of them.
    ///
    /// # Errors
    /// The store's.
    pub fn refill(&mut self, agent: &AgentId, after: u64) -> Result<Vec<Post>, StoreError> {
        posts(&mut *self.parts.store.begin()?, agent, after)
    }

    /// Timers due now, as inputs.
    ///
    /// # Errors
    /// The store's.
    pub fn due(&mut self, now: Timestamp) -> Result<Vec<Input>, StoreError> {
        if self.next_timer.is_none_or(|next| next > now) {
            return Ok(Vec::new());
        }
        let mut transaction = self.parts.store.begin()?;
        let (due, next) = timers::due(&mut *transaction, now)?;
        self.next_timer = due.first().map(|timer| timer.due).or(next);
        Ok(due.into_iter().map(|timers::Due { plugin, key, due }| Input::Timer { plugin, key, due }).collect())
    }

    /// When the next timer comes due.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.next_timer
    }

    /// Reads the store outside any event, for `status` and the like.
    ///
    /// # Errors
    /// The store's, or whatever `read` makes.
    pub fn read<T>(
        &mut self,
        read: impl FnOnce(&mut dyn Transaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        read(&mut *self.parts.store.begin()?)
    }

    /// What a command answers that changes nothing, without a commit: while the store refuses writes,
    /// people can still look. `None`: it would change something, or is no command.
    ///
    /// # Errors
    /// The store's.
    pub fn look(&mut self, input: &Input, now: Timestamp) -> Result<Option<Outcome>, StoreError> {
        let Input::Command { plugin, name, argument } = input else { return Ok(None) };
        let Parts { store, table, host, seeds, .. } = &mut self.parts;
        if plugin == "host" {
            return Ok(None); // those that come here all write; see `node::views` for the others
        }
        let table = table.load_full();
        let mut transaction = store.begin()?;
        let (buffer, checked) = (Buffer::new(&mut *transaction), Checked::new());
        let mut services = EventServices::new(buffer, &table, &**host, &checked, self.latest.max(now), seeds());
        let command = Command { name: name.clone(), caller: None, body: argument.clone() };
        let result = services.run(plugin, &Event::Command(command));
        let EventServices { buffer, released, broken, .. } = services;
        if let Some(error) = broken {
            return Err(error);
        }
        Ok(match result {
            Ok(answer) if buffer.count() == 0 && released.is_empty() => Some(Outcome::Done(answer)),
            Ok(_) => None,
            Err(fault) => Some(Outcome::Fault(fault)),
        })
    }

    /// Runs the inputs, each with the signature checks made for it, and commits. The time of an event
    /// never lies before that of an earlier one.
    ///
    /// # Errors
    /// The store's: then nothing has happened, and the same inputs may be given again.
    pub fn apply(&mut self, inputs: &[(Input, Checked)], now: Timestamp) -> Result<Done, StoreError> {
        self.latest = self.latest.max(now);
        let journal = self.journal;
        let result = self.run(inputs);
        match &result {
            Ok(done) => {
                self.windows.commit();
                self.parts.relations.apply(done.released.relations.iter().cloned());
            }
            Err(_) => {
                self.windows.roll_back();
                self.journal = journal;
                // Look again: the timers found may not have been run.
                self.next_timer = Some(self.latest);
            }
        }
        result
    }

    fn run(&mut self, inputs: &[(Input, Checked)]) -> Result<Done, StoreError> {
        let Core { parts, windows, journal, latest, next_timer } = self;
        let table = parts.table.load_full();
        let mut transaction = parts.store.begin()?;
        let mut batch = Batch {
            transaction: &mut *transaction,
            table: &table,
            host: &*parts.host,
            relations: &parts.relations,
            seeds: &mut *parts.seeds,
            windows,
            journal,
            now: *latest,
            released: Released::default(),
            changed: false,
        };
        let mut outcomes = Vec::with_capacity(inputs.len());
        for (input, checked) in inputs {
            outcomes.push(batch.input(input, checked)?);
        }
        let Batch { mut released, changed, .. } = batch;
        if !changed {
            // Commands that only look cost no commit.
            return Ok(Done { outcomes, released });
        }
        released.receipts = windows.write(&mut *transaction)?;
        journal.mark(&mut *transaction)?;
        for notice in &released.notices {
            let bytes = serde_json::to_vec(notice).map_err(|error| StoreError::Engine(error.to_string()))?;
            journal::ring(&mut *transaction, "host.notices", NOTICE_SLOTS, &bytes)?;
        }
        let (due, next) = timers::due(&mut *transaction, *latest)?;
        *next_timer = due.first().map(|timer| timer.due).or(next);
        crash_point("before-commit");
        transaction.commit()?;
        crash_point("after-commit");
        Ok(Done { outcomes, released })
    }
}

fn posts(transaction: &mut dyn Transaction, agent: &AgentId, after: u64) -> Result<Vec<Post>, StoreError> {
    let rows = outbox::window(transaction, agent, after).map_err(unreadable)?;
    Ok(rows.into_iter().map(|(mid, row)| Post { agent: agent.clone(), mid, row: Arc::new(row) }).collect())
}

fn unreadable(error: OutboxError) -> StoreError {
    match error {
        OutboxError::Store(error) => error,
        other => StoreError::Engine(other.to_string()),
    }
}

/// Inputs of one transaction.
struct Batch<'b> {
    transaction: &'b mut (dyn Transaction + 'b),
    table: &'b PluginTable,
    host: &'b dyn Host,
    relations: &'b RelationRegistry,
    seeds: &'b mut (dyn FnMut() -> [u8; 32] + Send),
    windows: &'b mut Windows,
    journal: &'b mut Journal,
    now: Timestamp,
    released: Released,
    /// There is something to commit.
    changed: bool,
}

impl Batch<'_> {
    fn input(&mut self, input: &Input, checked: &Checked) -> Result<Outcome, StoreError> {
        self.changed |= !matches!(input, Input::Command { .. });
        match input {
            Input::Peer(inbound) => self.peer(inbound, checked),
            Input::Dropped { agent, mid } => {
                self.windows.touch(&mut *self.transaction, agent, *mid)?.apply(*mid);
                Ok(Outcome::Done(Vec::new()))
            }
            Input::Command { plugin, name, argument } if plugin == "host" => self.host_command(name, argument),
            Input::Command { plugin, name, argument } => {
                let body = argument.clone();
                let event = Event::Command(Command { name: name.clone(), caller: None, body });
                self.event(plugin, &event, checked, |_| Ok(None))
            }
            Input::Delivery { agent, mid, fate, receipts } => self.delivery(agent, *mid, fate, *receipts),
            Input::Receipt { agent, receipt } => {
                let received = self.buffered(|buffer| outbox::receive(buffer, agent, receipt.upto, &receipt.also))?;
                self.released.withdrawn.extend(received.into_iter().map(|mid| (agent.clone(), mid)));
                Ok(Outcome::Done(Vec::new()))
            }
            Input::Local { mid } => self.local(*mid),
            Input::Timer { plugin, key, due } => self.timer(plugin, key, *due),
            Input::Life { plugin, life } => self.event(plugin, &Event::Life(life.clone()), checked, |_| Ok(None)),
            Input::Learn { from } => {
                let now = self.now;
                let mut buffer = Buffer::new(&mut *self.transaction);
                let place = addresses::news(&mut buffer, from, Source::Message, now)?;
                buffer.keep()?;
                self.released.places.extend(place);
                Ok(Outcome::Done(Vec::new()))
            }
        }
    }

    /// Host rows changed apart from any plugin's event.
    fn buffered<T>(&mut self, change: impl FnOnce(&mut Buffer<'_>) -> Result<T, OutboxError>) -> Result<T, StoreError> {
        let mut buffer = Buffer::new(&mut *self.transaction);
        let value = change(&mut buffer).map_err(unreadable)?;
        buffer.keep()?;
        Ok(value)
    }

    /// Gives one event to one plugin. `along` changes host rows that belong to the event, or says why
    /// it must not succeed after all; they are kept only where it does.
    fn event(
        &mut self,
        plugin: &str,
        event: &Event,
        checked: &Checked,
        along: impl FnOnce(&mut Buffer<'_>) -> Result<Option<Fault>, StoreError>,
    ) -> Result<Outcome, StoreError> {
        let seed = (self.seeds)();
        let buffer = Buffer::new(&mut *self.transaction);
        let mut services = EventServices::new(buffer, self.table, self.host, checked, self.now, seed);
        let mut result = services.run(plugin, event);
        let EventServices { mut buffer, released, broken, metrics, .. } = services;
        if let Some(error) = broken {
            return Err(error);
        }
        if result.is_ok()
            && let Some(fault) = along(&mut buffer)?
        {
            result = Err(fault);
        }
        let only_looked = buffer.count() == 0 && released.is_empty() && matches!(event, Event::Command(_));
        if result.is_ok() {
            buffer.keep()?;
            self.released.append(released);
            for (plugin, name, add) in metrics {
                if let Some(serving) = self.table.named(&plugin) {
                    serving.measure(&name, add);
                }
            }
        }
        if let (Ok(answer), true) = (&result, only_looked) {
            return Ok(Outcome::Done(answer.clone()));
        }
        self.changed = true;
        let fault = result.as_ref().err();
        if let Some(fault) = fault.filter(|fault| fault.kind == FaultKind::Failed) {
            log::error!(target: "tallyho::plugin", "{plugin}: {} failed and had no effect: {fault}", what(event));
        }
        let entry = Entry {
            number: 0,
            at: self.now,
            plugin: plugin.to_owned(),
            generation: self.table.named(plugin).map_or(0, |serving| serving.plugin.generation()),
            event: event.clone(),
            body: body(event).to_vec(),
            seed: seed.to_vec(),
            fault: fault.map(ToString::to_string),
        };
        self.journal.write(&mut *self.transaction, entry)?;
        Ok(match result {
            Ok(answer) => Outcome::Done(answer),
            Err(fault) => Outcome::Fault(fault),
        })
    }

    fn host_command(&mut self, name: &str, argument: &[u8]) -> Result<Outcome, StoreError> {
        let mut buffer = Buffer::new(&mut *self.transaction);
        let mut random = Random::new((self.seeds)());
        let mut released = Released::default();
        let mut call =
            HostCall { buffer: &mut buffer, caller: None, now: self.now, random: &mut random, released: &mut released };
        Ok(match self.host.command(&mut call, name, argument) {
            Ok(answer) => {
                self.changed |= buffer.count() > 0 || !released.is_empty();
                buffer.keep()?;
                self.released.append(released);
                Outcome::Done(answer)
            }
            Err(fault) => Outcome::Fault(fault),
        })
    }

    fn peer(&mut self, inbound: &Inbound, checked: &Checked) -> Result<Outcome, StoreError> {
        let agent = &inbound.message.from.agent;
        if let Some(mid) = inbound.mid
            && self.windows.touch(&mut *self.transaction, agent, mid)?.verdict(mid) == Verdict::Again
        {
            return Ok(Outcome::Done(Vec::new()));
        }
        let outcome = self.message(&inbound.plugin, &inbound.message, inbound.ticket.as_ref(), checked)?;
        if let Some(mid) = inbound.mid {
            let window = self.windows.touch(&mut *self.transaction, agent, mid)?;
            match &outcome {
                // The host could not serve the handler, or nobody serves: the peer keeps the message.
                Outcome::Fault(fault) if fault.kind == FaultKind::Host => {
                    window.hold(mid);
                }
                _ => window.apply(mid),
            }
        }
        Ok(outcome)
    }

    /// A message, from a peer or from this site itself; a ticket in it is checked and consumed.
    fn message(
        &mut self,
        plugin: &str,
        message: &Message,
        ticket: Option<&serde_json::Value>,
        checked: &Checked,
    ) -> Result<Outcome, StoreError> {
        let Some(ticket) = ticket else {
            let event = Event::Message(message.clone());
            let outcome = self.event(plugin, &event, checked, |_| Ok(None))?;
            self.set_aside(plugin, message, &outcome)?;
            return Ok(outcome);
        };
        let now = self.now;
        let presentation = Presentation {
            target: &message.target,
            action: &message.action,
            to: &message.to,
            from: &message.from,
            ticket,
        };
        let (own, proven) = (self.host.agent(), &message.from.agent);
        let mut buffer = Buffer::new(&mut *self.transaction);
        let refused = |why: String| Ok(Outcome::Fault(Fault::refused(why).code("ticket")));
        let valid = match tickets::present(&mut buffer, own, proven, &presentation, now)? {
            Ok(valid) => valid,
            Err(refusal) => return refused(refusal.to_string()),
        };
        if valid.plugin() != plugin {
            return refused("the token is another plugin's".to_owned());
        }
        let event = Event::Message(Message { ticket: Some(valid.presented()), ..message.clone() });
        let outcome = self.event(plugin, &event, checked, |buffer| match valid.consume(buffer, now) {
            Ok(()) => Ok(None),
            // Not another process, since this is one transaction: the handler itself has changed it.
            Err(StoreError::Conflict) => Ok(Some(Fault::failed("the handler has changed the ticket it was given"))),
            Err(error) => Err(error),
        })?;
        let outcome = match outcome {
            Outcome::Fault(fault) if fault.kind == FaultKind::Refused => Outcome::Fault(fault.code("ticket")),
            other => other,
        };
        self.set_aside(plugin, message, &outcome)?;
        Ok(outcome)
    }

    /// A message that its handler could not handle is kept for the operator: nothing is lost, and
    /// the peer is not asked for it for ever.
    fn set_aside(&mut self, plugin: &str, message: &Message, outcome: &Outcome) -> Result<(), StoreError> {
        let Outcome::Fault(fault) = outcome else { return Ok(()) };
        if fault.kind != FaultKind::Failed {
            return Ok(());
        }
        let body = serde_bytes::Bytes::new(&message.body);
        let mut bytes = Vec::new();
        ciborium::into_writer(&(self.now, plugin, message, body, fault.to_string()), &mut bytes)
            .map_err(|error| StoreError::Engine(error.to_string()))?;
        journal::ring(&mut *self.transaction, "host.quarantine", QUARANTINE_SLOTS, &bytes).map(drop)
    }

    fn timer(&mut self, plugin: &str, key: &str, due: Timestamp) -> Result<Outcome, StoreError> {
        let mut buffer = Buffer::new(&mut *self.transaction);
        if timers::cancel(&mut buffer, plugin, key)? != Some(due) {
            return Ok(Outcome::Done(Vec::new())); // moved or cancelled since it was read
        }
        buffer.keep()?;
        let event = Event::Timer(Timer { key: key.to_owned(), due });
        let outcome = self.event(plugin, &event, &Checked::new(), |_| Ok(None))?;
        if matches!(outcome, Outcome::Fault(_)) {
            let later = self.now.plus(TIMER_RETRY_MS);
            let mut buffer = Buffer::new(&mut *self.transaction);
            timers::set(&mut buffer, plugin, key, later)?;
            buffer.keep()?;
        }
        Ok(outcome)
    }

    fn delivery(&mut self, agent: &AgentId, mid: u64, fate: &Fate, receipts: bool) -> Result<Outcome, StoreError> {
        let Some(row) = self.buffered(|buffer| outbox::get(buffer, agent, mid))? else {
            return Ok(Outcome::Done(Vec::new())); // withdrawn, or received, meanwhile
        };
        let gone = match fate {
            Fate::Accepted | Fate::Refused => true,
            Fate::HandedOver => !receipts && row.message.keep == Keep::HandedOver,
            // Given up for good; a request stands (PROTOCOL 11.2).
            Fate::Stalled { .. } => row.message.schedule != Schedule::Request,
            _ => false,
        };
        if gone {
            self.buffered(|buffer| outbox::remove(buffer, agent, mid))?;
            self.released.withdrawn.push((agent.clone(), mid));
        }
        let terminal = matches!(fate, Fate::Accepted | Fate::Refused | Fate::Stalled { .. });
        if row.message.report || terminal {
            let delivery = Delivery { key: row.message.key, to: agent.clone(), fate: fate.clone() };
            return self.event(&row.plugin, &Event::Delivery(delivery), &Checked::new(), |_| Ok(None));
        }
        Ok(Outcome::Done(Vec::new()))
    }

    /// A message of this site to itself: taken out of the outbox, reported as handed over, and
    /// handled, all in one transaction.
    fn local(&mut self, mid: u64) -> Result<Outcome, StoreError> {
        let own = self.host.agent().clone();
        let Some(row) = self.buffered(|buffer| outbox::remove(buffer, &own, mid))? else {
            return Ok(Outcome::Done(Vec::new())); // withdrawn meanwhile
        };
        let outbox::OutboxRow { plugin: sender, message: sent, .. } = row;
        let report = |batch: &mut Self, fate: Fate| {
            let delivery = Delivery { key: sent.key.clone(), to: own.clone(), fate };
            batch.event(&sender, &Event::Delivery(delivery), &Checked::new(), |_| Ok(None))
        };
        if sent.report && sent.ticket.is_none() {
            report(self, Fate::HandedOver)?;
        }
        let from = Some(sent.from.clone()).filter(|from| !from.is_empty());
        let message = Message {
            target: sent.target.clone(),
            action: sent.action.clone(),
            to: sent.to.clone(),
            from: tallyho_plugin::record::Chad { cuid: from, agent: own.clone(), host: None, port: None },
            tally: sent.tally.clone(),
            ticket: None,
            restricted: false,
            attempt: None,
            body: sent.object.clone(),
        };
        let outcome = match router::route(self.table, self.relations, &message, self.now) {
            Ok(plugin) => self.message(&plugin, &message, sent.ticket.as_ref(), &Checked::new())?,
            Err(dropped) => Outcome::Fault(Fault::refused(dropped.to_string())),
        };
        if sent.ticket.is_some() {
            let fate = if matches!(outcome, Outcome::Done(_)) { Fate::Accepted } else { Fate::Refused };
            report(self, fate)?;
        }
        Ok(outcome)
    }
}

fn body(event: &Event) -> &[u8] {
    match event {
        Event::Message(message) => &message.body,
        Event::Command(command) => &command.body,
        _ => &[],
    }
}

fn what(event: &Event) -> String {
    match event {
        Event::Message(message) => format!("message {}/{}", message.target, message.action),
        Event::Command(command) => format!("command {}", command.name),
        Event::Timer(timer) => format!("timer {}", timer.key),
        Event::Delivery(delivery) => format!("report on {}", delivery.key),
        _ => "a turn of its life".to_owned(),
    }
}
