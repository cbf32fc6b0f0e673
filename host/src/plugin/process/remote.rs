//! The services of the host in the process of a plugin: asked for over the channel.
//!
//! What returns nothing is kept back and handed over with the next call that is waited for, or with the answer: an
//! event of a few writes thus costs one turn. The host carries effects out in order and before it answers, so reads
//! see them; the fault of one that it refuses comes with the next call, and is the event's whatever becomes of it.

use super::channel::{Broken, Channel};
use super::words::{Parts, Put, ask, effect, order, word};
use crate::plugin::limits::{EFFECTS_KEPT_BACK, MAX_RANDOM};
use serde_json::Value;
use tallyho_plugin::Fault;
use tallyho_plugin::abi_adapt::{fault_bytes, fault_from, rows_from_bytes};
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::record::{AgentId, Timestamp};
use tallyho_plugin::services::{Check, LogLevel, Outgoing, Range, Relation, Row, Services};

use super::drive::MOST;

/// Services by way of the channel, for one event.
pub struct Remote<'c> {
    channel: &'c mut Channel,
    now: Timestamp,
    effects: Vec<u8>,
}

impl<'c> Remote<'c> {
    /// Services for an event at this time.
    pub fn new(channel: &'c mut Channel, now: Timestamp) -> Self {
        Remote { channel, now, effects: Vec::new() }
    }

    /// Tells how the event has ended.
    ///
    /// # Errors
    /// [`Broken`]: there is nobody to tell.
    pub fn end(self, result: Result<Vec<u8>, Fault>) -> Result<(), Broken> {
        end(self.channel, &self.effects, result)
    }

    /// Makes a call and waits for its answer.
    fn ask(&mut self, asked: u8, write: impl FnOnce(&mut Vec<u8>)) -> Result<Vec<u8>, Fault> {
        let effects = std::mem::take(&mut self.effects);
        let sent = self.channel.send(None, |out| {
            out.push(word::ASK);
            out.part(&effects);
            out.push(asked);
            write(out);
        });
        match sent {
            Ok(()) => {}
            Err(Broken::Bad(what)) => {
                // Nothing was sent, so nothing of it is done yet.
                self.effects = effects;
                return Err(Fault::failed(what).code("too-large"));
            }
            Err(_) => orphaned(),
        }
        if self.channel.receive(None).is_err() {
            orphaned();
        }
        let mut frame = Parts(self.channel.frame());
        match frame.byte() {
            Ok(order::ANSWER) => Ok(frame.0.to_vec()),
            Ok(order::FAULT) => Err(fault_from(frame.0, Fault::host)),
            _ => orphaned(),
        }
    }

    /// Keeps an effect back.
    fn keep(&mut self, effect: u8, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Fault> {
        let before = self.effects.len();
        self.effects.push(effect);
        write(&mut self.effects);
        match self.effects.len() {
            0..EFFECTS_KEPT_BACK => Ok(()),
            length if length > MOST => {
                self.effects.truncate(before);
                Err(Fault::failed(format!("one call has {} bytes, expected at most {MOST}", length - before)))
            }
            _ => self.ask(ask::EFFECTS, |_| {}).map(drop),
        }
    }
}

/// Tells how a call has ended.
///
/// # Errors
/// [`Broken`]: there is nobody to tell.
pub fn end(channel: &mut Channel, effects: &[u8], result: Result<Vec<u8>, Fault>) -> Result<(), Broken> {
    channel.send(None, |out| match &result {
        Ok(answer) => {
            out.push(word::DONE);
            out.part(effects);
            out.extend_from_slice(answer);
        }
        Err(fault) => {
            out.push(word::FAULT);
            out.part(effects);
            out.extend_from_slice(&fault_bytes(fault));
        }
    })
}

/// The host has gone, and with it what this process is for. No destructors: they are the plugin's.
pub fn orphaned() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

impl Services for Remote<'_> {
    fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let mut row = self.ask(ask::GET, |out| {
            out.part(table.as_bytes());
            out.part(key);
        })?;
        Ok((row.first() == Some(&1)).then(|| row.split_off(1)))
    }

    fn scan(&mut self, table: &str, range: &Range) -> Result<Vec<Row>, Fault> {
        let range = to_cbor(range)?;
        let rows = self.ask(ask::SCAN, |out| {
            out.part(table.as_bytes());
            out.part(&range);
        })?;
        rows_from_bytes(&rows)
    }

    fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.keep(effect::PUT, |out| {
            out.part(table.as_bytes());
            out.part(key);
            out.part(value);
        })
    }

    fn delete(&mut self, table: &str, key: &[u8]) -> Result<(), Fault> {
        self.keep(effect::DELETE, |out| {
            out.part(table.as_bytes());
            out.part(key);
        })
    }

    // Its fault may be one that the handler goes on without (`OUTBOX_FULL`), so it is waited for.
    fn send(&mut self, message: &Outgoing) -> Result<(), Fault> {
        let message = to_cbor(message)?;
        self.ask(ask::SEND, |out| out.part(&message)).map(drop)
    }

    fn withdraw(&mut self, agent: &AgentId, key: &str) -> Result<bool, Fault> {
        let was = self.ask(ask::WITHDRAW, |out| {
            out.part(agent.0.as_bytes());
            out.part(key.as_bytes());
        })?;
        Ok(was == [1])
    }

    fn notice(&mut self, user: &str, notice: &Value) -> Result<(), Fault> {
        let notice = to_cbor(notice)?;
        self.keep(effect::NOTICE, |out| {
            out.part(user.as_bytes());
            out.part(&notice);
        })
    }

    fn set_timer(&mut self, key: &str, at: Timestamp) -> Result<(), Fault> {
        self.keep(effect::SET_TIMER, |out| {
            out.part(key.as_bytes());
            out.number(at.0);
        })
    }

    fn cancel_timer(&mut self, key: &str) -> Result<(), Fault> {
        self.keep(effect::CANCEL_TIMER, |out| out.part(key.as_bytes()))
    }

    fn invoke(&mut self, plugin: &str, command: &str, argument: &[u8]) -> Result<Vec<u8>, Fault> {
        self.ask(ask::INVOKE, |out| {
            out.part(plugin.as_bytes());
            out.part(command.as_bytes());
            out.part(argument);
        })
    }

    fn verify(&mut self, check: &Check) -> bool {
        to_cbor(check).and_then(|check| self.ask(ask::VERIFY, |out| out.part(&check))).is_ok_and(|stands| stands == [1])
    }

    fn sign_agent(&mut self, text: &[u8]) -> Result<Vec<u8>, Fault> {
        self.ask(ask::SIGN_AGENT, |out| out.part(text))
    }

    fn sign_user(&mut self, user: &str, text: &[u8]) -> Result<Vec<u8>, Fault> {
        self.ask(ask::SIGN_USER, |out| {
            out.part(user.as_bytes());
            out.part(text);
        })
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn random(&mut self, buffer: &mut [u8]) {
        for part in buffer.chunks_mut(MAX_RANDOM) {
            let length = i64::try_from(part.len()).unwrap_or(0);
            // Where it is refused the event fails anyway, by the effect that was refused before.
            match self.ask(ask::RANDOM, |out| out.number(length)) {
                Ok(bytes) if bytes.len() == part.len() => part.copy_from_slice(&bytes),
                _ => {}
            }
        }
    }

    fn log(&mut self, level: LogLevel, text: &str) {
        // A refusal comes again with the next call.
        let _ = self.keep(effect::LOG, |out| {
            out.push(level as u8);
            out.part(text.as_bytes());
        });
    }

    fn metric(&mut self, name: &str, add: i64) {
        let _ = self.keep(effect::METRIC, |out| {
            out.part(name.as_bytes());
            out.number(add);
        });
    }

    fn relate(&mut self, relation: &Relation) -> Result<(), Fault> {
        let relation = to_cbor(relation)?;
        self.ask(ask::RELATE, |out| out.part(&relation)).map(drop)
    }

    fn unrelate(&mut self, user: &str, subject: &str, agent: &AgentId) -> Result<(), Fault> {
        self.ask(ask::UNRELATE, |out| {
            out.part(user.as_bytes());
            out.part(subject.as_bytes());
            out.part(agent.0.as_bytes());
        })
        .map(drop)
    }
}
