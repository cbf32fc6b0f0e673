//! What the host does for a handler during one event.

use super::at_work::at_work;
use super::buffer::Buffer;
use super::host::{Host, HostCall};
use super::input::{Answer, Origin, Post, Released};
use super::limits::{
    ANSWERS, EFFECTS, ENVELOPE_ROOM, INVOKE_DEPTH, KEY_BYTES, LOG_BYTES, LOG_LINES, METRICS, SCAN_ROWS, VALUE_BYTES,
};
use super::line::Line;
use super::made::Made;
use super::outbox::{self, OutboxError, OutboxRow};
use super::seeds::Random;
use super::signed::Signed;
use super::table::PluginTable;
use super::timers;
use super::verify::Checked;
use crate::plugin::Given;
use crate::site::addresses::{self, Source};
use crate::site::endpoint::is_host;
use crate::site::relations::{self, RelationError};
use crate::store::StoreError;
use crate::wire::envelope::{Envelope, check_object};
use crate::wire::limits::{MAX_MESSAGE, MAX_OPENING_MESSAGE};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::record::{AgentId, Chad, Timestamp};
use tallyho_plugin::services::{
    Check, LogLevel, NOT_SERVED, OUTBOX_FULL, Outgoing, Range, Relation, Row, Schedule, Services, host_command,
};
use tallyho_plugin::{Command, Event, Fault, FaultKind};

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
        if result.as_ref().is_err_and(|fault| fault.kind == FaultKind::Failed) {
            self.failed.get_or_insert_with(|| plugin.to_owned());
        }
        let result = match self.spoilt.clone() {
            Some(fault) => Err(fault),
            None => result,
        };
        match &mut self.rehearsal {
            None => {
                serving.times.add(took);
                serving.count(result.as_ref().is_err_and(|fault| fault.kind == FaultKind::Failed));
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

/// In whose name it is kept what was unsealed; no user is called so.
const UNSEALED: &str = "host/unseal";

/// A handler's name for a message or a timer becomes part of a key.
fn named(name: &str) -> Result<(), Fault> {
    match name.len() {
        0..=KEY_BYTES => Ok(()),
        length => Err(Fault::failed(format!("a message's or timer's name has {length} bytes of {KEY_BYTES}"))),
    }
}

/// A plugin's line as it is logged. It must not pass for another one's, for fail2ban reads this log, and
/// it must end.
fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(LOG_BYTES));
    for c in text.chars() {
        if line.len() >= LOG_BYTES {
            line.push_str("...");
            break;
        }
        match c.is_control() {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    line
}

impl Services for EventServices<'_> {
    fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let table = self.readable(table)?;
        self.buffer.get(table, key).map_err(|error| self.store_failed(error))
    }

    fn scan(&mut self, table: &str, range: &Range) -> Result<Vec<Row>, Fault> {
        let table = self.readable(table)?;
        let range = Range { limit: range.limit.min(SCAN_ROWS), ..range.clone() };
        self.buffer.scan(table, &range).map_err(|error| self.store_failed(error))
    }

    fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        if key.len() > KEY_BYTES || value.len() > VALUE_BYTES {
            let (key, value) = (key.len(), value.len());
            return Err(Fault::failed(format!(
                "a row of table {table} is too large: key {key} of {KEY_BYTES}, value {value} of {VALUE_BYTES} bytes"
            )));
        }
        self.room()?;
        let table = self.own(table)?;
        self.buffer.put(table, key, value);
        Ok(())
    }

    fn delete(&mut self, table: &str, key: &[u8]) -> Result<(), Fault> {
        self.room()?;
        let table = self.own(table)?;
        self.buffer.delete(table, key);
        Ok(())
    }

    fn send(&mut self, message: &Outgoing) -> Result<(), Fault> {
        self.room()?;
        named(&message.key)?;
        self.fits(message)?;
        let agent = message.to.agent.clone();
        if message.schedule == Schedule::Answer && &agent != self.host.agent() {
            return self.answer(message);
        }
        if message.restricted {
            message.check_restricted()?;
            let host = message.to.host.as_deref();
            if !host.is_some_and(is_host) {
                let text = format!("{} is no host that could be called", line(host.unwrap_or("nothing")));
                return Err(Fault::refused(text).code("no-address").fix("name it as AGENT@HOST:PORT"));
            }
        }
        let plugin = self.current();
        let sent = outbox::send(&mut self.buffer, plugin, message, self.now);
        let (replaced, mid, row) = sent.map_err(|error| self.outbox_failed(error))?;
        if message.ticket.is_some() {
            self.news(&message.to, Source::Ticket)?;
        }
        if let Some(replaced) = replaced {
            self.released.withdrawn.push(replaced);
        }
        if &agent == self.host.agent() {
            self.released.local.push(mid);
        } else {
            self.released.posts.push(Post { line: Line::of(message), mid, row });
        }
        Ok(())
    }

    fn withdraw(&mut self, agent: &AgentId, key: &str) -> Result<bool, Fault> {
        self.room()?;
        let plugin = self.current();
        let withdrawn = outbox::withdraw(&mut self.buffer, plugin, agent, key);
        let withdrawn = withdrawn.map_err(|error| self.outbox_failed(error))?;
        let there = withdrawn.is_some();
        if let Some((line, mid)) = withdrawn {
            self.released.posts.retain(|post| post.mid != mid || post.line != line);
            self.released.withdrawn.push((line, mid));
        }
        Ok(there)
    }

    fn notice(&mut self, user: &str, notice: &Value) -> Result<(), Fault> {
        if self.released.notices.len() >= EFFECTS {
            return Err(Fault::failed(format!("the event has more than {EFFECTS} notices")));
        }
        let mut notice = notice.clone();
        if let Value::Object(members) = &mut notice {
            members.insert("user".to_owned(), user.into());
            members.insert("plugin".to_owned(), self.current().into());
            members.insert("at".to_owned(), self.now.to_string().into());
        }
        self.released.notices.push(notice);
        Ok(())
    }

    fn set_timer(&mut self, key: &str, at: Timestamp) -> Result<(), Fault> {
        self.room()?;
        named(key)?;
        let plugin = self.current();
        timers::set(&mut self.buffer, plugin, key, at).map_err(|error| self.store_failed(error))
    }

    fn cancel_timer(&mut self, key: &str) -> Result<(), Fault> {
        self.room()?;
        let plugin = self.current();
        timers::cancel(&mut self.buffer, plugin, key).map(drop).map_err(|error| self.store_failed(error))
    }

    fn invoke(&mut self, plugin: &str, command: &str, argument: &[u8]) -> Result<Vec<u8>, Fault> {
        let caller = self.current();
        if let (Some(again), "host", host_command::MIGRATE_AGAIN) = (&mut self.migrating, plugin, command) {
            *again = true;
            return to_cbor(&Value::Null);
        }
        if plugin == "host" {
            let mut call = HostCall {
                buffer: &mut self.buffer,
                caller: Some(caller),
                now: self.now,
                random: &mut self.random,
                released: &mut self.released,
            };
            let mut answer = || self.host.command(&mut call, command, argument);
            // It takes the agent's key, which no replay has.
            return match &mut self.signed {
                Some(signed) if command == host_command::UNSEAL => signed.or_sign(Some(UNSEALED), argument, answer),
                _ => answer(),
            };
        }
        if self.stack.contains(&plugin) {
            return Err(Fault::failed(format!("{caller} calls {plugin}, which is already at work on this event")));
        }
        if self.stack.len() >= INVOKE_DEPTH {
            return Err(Fault::failed(format!("{caller} calls {plugin}: more than {INVOKE_DEPTH} plugins deep")));
        }
        let spec = self
            .table
            .named(plugin)
            .and_then(|serving| serving.manifest().commands.iter().find(|spec| spec.name == command && spec.invocable));
        if spec.is_none() {
            let text = format!("no plugin {plugin} serves a command {command} to other plugins");
            return Err(Fault::not_found(text).code(NOT_SERVED));
        }
        let event = Event::Command(Command {
            name: command.to_owned(),
            caller: Some(caller.to_owned()),
            body: argument.to_vec(),
        })
        .into();
        let result = self.run(plugin, &event);
        if let Err(fault) = &result {
            self.spoilt.get_or_insert_with(|| fault.clone());
        }
        result
    }

    fn verify(&mut self, check: &Check) -> bool {
        match self.checked.get(check) {
            Some(stands) => *stands,
            None => self.made.has(check, self.host) || tallyho_plugin::record::signing::verify(check),
        }
    }

    fn sign_agent(&mut self, text: &[u8]) -> Result<Vec<u8>, Fault> {
        let signature = match &mut self.signed {
            None => self.host.sign_agent(text),
            Some(signed) => signed.or_sign(None, text, || Ok::<_, Fault>(self.host.sign_agent(text)))?,
        };
        self.made.note(None, text, &signature);
        Ok(signature)
    }

    fn sign_user(&mut self, user: &str, text: &[u8]) -> Result<Vec<u8>, Fault> {
        let signature = match &mut self.signed {
            None => self.host.sign_user(user, text)?,
            Some(signed) => signed.or_sign(Some(user), text, || self.host.sign_user(user, text))?,
        };
        self.made.note(Some(user), text, &signature);
        Ok(signature)
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn random(&mut self, buffer: &mut [u8]) {
        self.random.fill(buffer);
    }

    fn log(&mut self, level: LogLevel, text: &str) {
        if self.rehearsal.is_some() {
            return; // the build that serves says it once
        }
        let level = match level {
            LogLevel::Error => log::Level::Error,
            LogLevel::Warn => log::Level::Warn,
            LogLevel::Info => log::Level::Info,
            LogLevel::Debug => log::Level::Debug,
        };
        self.lines += 1;
        match self.lines.cmp(&LOG_LINES) {
            Ordering::Less => log::log!(target: "tallyho::plugin", level, "{}: {}", self.current(), line(text)),
            Ordering::Equal => log::warn!(target: "tallyho::plugin", "{}: more lines are left out", self.current()),
            Ordering::Greater => {}
        }
    }

    fn metric(&mut self, name: &str, add: i64) {
        let name = (self.current().to_owned(), name.to_owned());
        if let Some(value) = self.metrics.get_mut(&name) {
            *value = value.saturating_add(add);
        } else if self.metrics.len() < METRICS {
            self.metrics.insert(name, add);
        }
    }

    fn relate(&mut self, relation: &Relation) -> Result<(), Fault> {
        self.room()?;
        let plugin = self.current();
        // A renewal takes no more room, and an end takes less.
        if !self.host.has_room()
            && !relations::is_granted(&mut self.buffer, plugin, relation).map_err(|error| self.store_failed(error))?
        {
            return Err(Fault::host("the site has as many relations as it may have").code("full"));
        }
        let granted = relations::relate(&mut self.buffer, plugin, relation).map_err(|error| match error {
            RelationError::Store(error) => self.store_failed(error),
            other => Fault::failed(other.to_string()),
        })?;
        self.released.relations.push(granted);
        let Relation { agent, host, port, .. } = relation.clone();
        // How old a handler's word is nobody knows: a certificate may be of years ago.
        let known = addresses::get(&mut self.buffer, &agent).map_err(|error| self.store_failed(error))?;
        match known.is_some_and(|known| known.learnt.is_some()) {
            true => Ok(()),
            false => self.news(&Chad { cuid: None, agent, host, port }, Source::Plugin),
        }
    }

    fn unrelate(&mut self, user: &str, subject: &str, agent: &AgentId) -> Result<(), Fault> {
        self.room()?;
        let plugin = self.current();
        let ended = relations::unrelate(&mut self.buffer, plugin, user, subject, agent);
        let ended = ended.map_err(|error| self.store_failed(error))?;
        self.released.relations.extend(ended);
        Ok(())
    }
}

#[cfg(test)]
#[path = "services_tests.rs"]
mod tests;

#[cfg(test)]
mod log_tests {
    use super::{LOG_BYTES, line};

    #[test]
    fn a_plugins_line_is_one_line_and_ends() {
        assert_eq!(line("all is well: \u{e9}"), "all is well: \u{e9}");
        assert_eq!(line("a\nstrike from 192.0.2.1: x\u{1b}"), "a\\nstrike from 192.0.2.1: x\\u{1b}");
        let long = line(&"\u{7f}".repeat(LOG_BYTES * 10));
        assert!(long.ends_with("...") && long.len() < LOG_BYTES + 16, "{}", long.len());
    }
}
