//! What a handler may ask of the host, one call after another.

use super::EventServices;
use crate::ledger::host::HostCall;
use crate::ledger::input::Post;
use crate::ledger::limits::{EFFECTS, INVOKE_DEPTH, KEY_BYTES, LOG_BYTES, LOG_LINES, METRICS, SCAN_ROWS, VALUE_BYTES};
use crate::ledger::line::Line;
use crate::ledger::outbox::{self};
use crate::ledger::timers;
use crate::site::addresses::{self, Source};
use crate::site::endpoint::is_host;
use crate::site::relations::{self, RelationError};
use serde_json::Value;
use std::cmp::Ordering;
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::record::{AgentId, Chad, Timestamp};
use tallyho_plugin::services::{
    Check, LogLevel, NOT_SERVED, Outgoing, Range, Relation, Row, Schedule, Services, host_command,
};
use tallyho_plugin::{Command, Event, Fault};

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
#[path = "calls_tests.rs"]
mod tests;

#[cfg(test)]
mod log_tests {
    use super::line;
    use crate::ledger::limits::LOG_BYTES;

    #[test]
    fn a_plugins_line_is_one_line_and_ends() {
        assert_eq!(line("all is well: \u{e9}"), "all is well: \u{e9}");
        assert_eq!(line("a\nstrike from 192.0.2.1: x\u{1b}"), "a\\nstrike from 192.0.2.1: x\\u{1b}");
        let long = line(&"\u{7f}".repeat(LOG_BYTES * 10));
        assert!(long.ends_with("...") && long.len() < LOG_BYTES + 16, "{}", long.len());
    }
}
