//! The services of a site in memory, for one event.

use super::dice::Dice;
use super::effects::{Effect, Effects};
use super::keys::Keys;
use super::plugin::{Plugin, Work};
use super::state::{State, Table};
use super::{hosted, limits};
use crate::event::Command;
use crate::record::{AgentId, Timestamp, signing};
use crate::services::{
    Check, LogLevel, NOT_SERVED, OUTBOX_FULL, Outgoing, Range, Relation, Row, Services, host_command,
};
use crate::{Event, Fault, FaultKind};
use serde_json::Value;
use std::collections::BTreeMap;

/// One event being handled. Reads the state, changes only the effects.
pub(crate) struct Running<'a> {
    pub state: &'a State,
    pub plugins: &'a [Plugin],
    pub keys: &'a Keys,
    pub now: Timestamp,
    pub effects: Effects,
    /// Checks that `prepare` named and the host has made beforehand.
    pub prepared: BTreeMap<Vec<u8>, bool>,
    pub dice: Dice,
    /// Signatures made in the first run, so that a second one sees the same (ECDSA is randomised).
    pub tape: &'a mut Tape,
    /// Plugins on the stack, the running one last.
    pub stack: Vec<String>,
    /// The fault of an invoked handler: the event's, whatever its caller makes of it.
    pub doomed: Option<Fault>,
    /// A migration wants another transaction.
    pub again: bool,
}

/// Answers of a run that must be the same in a second run of the event.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    signatures: Vec<Vec<u8>>,
    position: usize,
}

impl Tape {
    pub fn rewind(&mut self) {
        self.position = 0;
    }

    fn next(&mut self, make: impl FnOnce() -> Result<Vec<u8>, Fault>) -> Result<Vec<u8>, Fault> {
        if self.position == self.signatures.len() {
            self.signatures.push(make()?);
        }
        self.position += 1;
        Ok(self.signatures[self.position - 1].clone())
    }
}

impl Running<'_> {
    /// Has this plugin do something.
    pub fn run(&mut self, plugin: &Plugin, work: &Work<'_>) -> Result<Value, Fault> {
        if self.stack.iter().any(|name| name == plugin.name()) {
            return Err(Fault::failed(format!("{} is called while it is running", plugin.name())));
        }
        self.stack.push(plugin.name().to_owned());
        let answer = plugin.work(work, self);
        self.stack.pop();
        match self.doomed.take() {
            Some(fault) => Err(fault),
            None => answer,
        }
    }

    /// The plugin whose call it is.
    pub fn plugin(&self) -> &str {
        // `run` pushes a name before the handler gets hold of the services.
        self.stack.last().map_or("", String::as_str)
    }

    fn own_table(&self, table: &str) -> Result<String, Fault> {
        let plugin = self.plugin();
        let owned = self.manifest(plugin).is_some_and(|manifest| manifest.tables.iter().any(|own| own == table));
        if owned { Ok(format!("{plugin}.{table}")) } else { Err(no_table(plugin, table)) }
    }

    fn readable(&self, table: &str) -> Result<String, Fault> {
        let plugin = self.plugin();
        if self.manifest(plugin).is_some_and(|manifest| manifest.reads.iter().any(|name| name == table)) {
            return Ok(table.to_owned());
        }
        self.own_table(table)
    }

    fn manifest(&self, name: &str) -> Option<&crate::Manifest> {
        self.plugins.iter().find(|plugin| plugin.name() == name).map(|plugin| &*plugin.manifest)
    }

    fn write(&mut self, table: &str, key: &[u8], value: Option<Vec<u8>>) -> Result<(), Fault> {
        let table = self.own_table(table)?;
        self.effects.writes.entry(table).or_default().insert(key.to_vec(), value);
        Ok(())
    }

    /// The plugin that serves this command to others.
    fn serving(&self, plugin: &str, command: &str) -> Option<&Plugin> {
        let serves =
            |candidate: &&Plugin| candidate.manifest.commands.iter().any(|spec| spec.name == command && spec.invocable);
        self.plugins.iter().find(|candidate| candidate.name() == plugin).filter(serves)
    }

    fn call(&mut self, plugin: &str, command: &str, argument: &[u8]) -> Result<Vec<u8>, Fault> {
        if plugin == "host" && command == host_command::MIGRATE_AGAIN {
            self.again = true;
            return crate::context::to_cbor(&Value::Null);
        }
        if plugin == "host" {
            return hosted::call(self, command, argument);
        }
        if self.stack.len() >= limits::CALL_DEPTH {
            return Err(Fault::failed(format!("{plugin} {command}: more than {} calls deep", limits::CALL_DEPTH)));
        }
        let callee = self.serving(plugin, command).cloned().ok_or_else(|| {
            let text = format!("no plugin {plugin} serves a command {command} to other plugins");
            Fault::not_found(text).code(NOT_SERVED)
        })?;
        let caller = Some(self.plugin().to_owned());
        let event = Event::Command(Command { name: command.to_owned(), caller, body: argument.to_vec() });
        crate::context::to_cbor(&self.run(&callee, &Work::Event(&event))?)
    }
}

impl Services for Running<'_> {
    fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let table = self.readable(table)?;
        if let Some(own) = self.effects.writes.get(&table).and_then(|rows| rows.get(key)) {
            return Ok(own.clone());
        }
        Ok(self.state.tables.get(&table).and_then(|rows| rows.get(key)).cloned())
    }

    fn scan(&mut self, table: &str, range: &Range) -> Result<Vec<Row>, Fault> {
        let name = self.readable(table)?;
        let mut rows: Table = self.state.tables.get(&name).cloned().unwrap_or_default();
        for (key, value) in self.effects.writes.get(&name).into_iter().flatten() {
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        let inside =
            |key: &[u8]| key >= range.from.as_slice() && range.to.as_ref().is_none_or(|to| key < to.as_slice());
        let rows = rows.into_iter().filter(|(key, _)| inside(key));
        let limit = range.limit.min(limits::SCAN_ROWS) as usize;
        Ok(if range.reverse { rows.rev().take(limit).collect() } else { rows.take(limit).collect() })
    }

    fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        if key.len() > limits::KEY_BYTES || value.len() > limits::VALUE_BYTES {
            let text = format!("a row of table {table} is too large: key {}, value {} bytes", key.len(), value.len());
            return Err(Fault::failed(text));
        }
        self.write(table, key, Some(value.to_vec()))
    }

    fn delete(&mut self, table: &str, key: &[u8]) -> Result<(), Fault> {
        self.write(table, key, None)
    }

    fn send(&mut self, message: &Outgoing) -> Result<(), Fault> {
        if !message.from.is_empty() && !self.keys.users.contains_key(&message.from) {
            return Err(Fault::refused(format!("{} is no user of this site", message.from)));
        }
        message.check_restricted()?;
        if self.state.outbox_full {
            return Err(Fault::host("many messages wait for that agent already").code(OUTBOX_FULL));
        }
        let plugin = self.plugin().to_owned();
        self.effects.list.push(Effect::Send { plugin, message: Box::new(message.clone()) });
        Ok(())
    }

    fn withdraw(&mut self, agent: &AgentId, key: &str) -> Result<bool, Fault> {
        let plugin = self.plugin().to_owned();
        let mut there = self
            .state
            .outbox
            .iter()
            .any(|sent| sent.plugin == plugin && sent.message.to.agent == *agent && sent.message.key == key);
        for effect in &self.effects.list {
            match effect {
                Effect::Send { plugin: by, message } => {
                    there |= *by == plugin && message.to.agent == *agent && message.key == key;
                }
                Effect::Withdraw { plugin: by, agent: to, key: name } => {
                    there &= !(*by == plugin && to == agent && name == key);
                }
                _ => {}
            }
        }
        self.effects.list.push(Effect::Withdraw { plugin, agent: agent.clone(), key: key.to_owned() });
        Ok(there)
    }

    fn notice(&mut self, user: &str, notice: &Value) -> Result<(), Fault> {
        self.effects.list.push(Effect::Notice { user: user.to_owned(), notice: notice.clone() });
        Ok(())
    }

    fn set_timer(&mut self, key: &str, at: Timestamp) -> Result<(), Fault> {
        let plugin = self.plugin().to_owned();
        self.effects.list.push(Effect::SetTimer { plugin, key: key.to_owned(), at });
        Ok(())
    }

    fn cancel_timer(&mut self, key: &str) -> Result<(), Fault> {
        let plugin = self.plugin().to_owned();
        self.effects.list.push(Effect::CancelTimer { plugin, key: key.to_owned() });
        Ok(())
    }

    fn invoke(&mut self, plugin: &str, command: &str, argument: &[u8]) -> Result<Vec<u8>, Fault> {
        let answer = self.call(plugin, command, argument);
        // A question about what does not exist changes nothing, so it may be asked freely of the host; so may
        // what nobody serves.
        let unserved = plugin != "host" && self.serving(plugin, command).is_none();
        let harmless = |fault: &Fault| unserved || plugin == "host" && fault.kind == FaultKind::NotFound;
        if let Err(fault) = &answer
            && !harmless(fault)
        {
            self.doomed.get_or_insert_with(|| fault.clone());
        }
        answer
    }

    fn verify(&mut self, check: &Check) -> bool {
        let known = crate::context::to_cbor(check).ok().and_then(|key| self.prepared.get(&key).copied());
        known.unwrap_or_else(|| signing::verify(check))
    }

    fn sign_agent(&mut self, text: &[u8]) -> Result<Vec<u8>, Fault> {
        self.tape.next(|| Ok(self.keys.agent.sign(text).to_vec()))
    }

    fn sign_user(&mut self, user: &str, text: &[u8]) -> Result<Vec<u8>, Fault> {
        let keys = self.keys;
        self.tape.next(|| keys.sign(user, text))
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn random(&mut self, buffer: &mut [u8]) {
        self.dice.fill(buffer);
    }

    fn log(&mut self, level: LogLevel, text: &str) {
        let plugin = self.plugin().to_owned();
        self.effects.list.push(Effect::Log { plugin, level: level as u8, text: text.to_owned() });
    }

    fn metric(&mut self, name: &str, add: i64) {
        let plugin = self.plugin().to_owned();
        self.effects.list.push(Effect::Metric { plugin, name: name.to_owned(), add });
    }

    fn relate(&mut self, relation: &Relation) -> Result<(), Fault> {
        if !self.keys.users.contains_key(&relation.user) {
            return Err(Fault::refused(format!("{} is no user of this site", relation.user)));
        }
        self.effects.list.push(Effect::Relate(Box::new(relation.clone())));
        Ok(())
    }

    fn unrelate(&mut self, user: &str, subject: &str, agent: &AgentId) -> Result<(), Fault> {
        let (user, subject, agent) = (user.to_owned(), subject.to_owned(), agent.clone());
        self.effects.list.push(Effect::Unrelate { user, subject, agent });
        Ok(())
    }
}

fn no_table(plugin: &str, table: &str) -> Fault {
    Fault::refused(format!("table {table} is neither {plugin}'s own nor granted to it"))
        .fix(format!("name it in Manifest::tables, or read it as PLUGIN.{table} after naming that in Manifest::reads"))
}
