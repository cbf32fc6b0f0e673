//! What one event wants to change, kept apart until its handler has succeeded.

use super::state::{Sent, State};
use super::tickets::Issued;
use crate::record::{AgentId, Timestamp};
use crate::services::{Keep, Outgoing, Relation};
use serde_json::Value;
use std::collections::BTreeMap;

/// One event's buffered effects. Two runs of the same event over the same store must give equal ones.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Effects {
    /// By `plugin.table`, then key; `None` deletes.
    pub writes: BTreeMap<String, BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
    /// Everything else, in the order it was asked for.
    pub list: Vec<Effect>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    Send { plugin: String, message: Box<Outgoing> },
    Withdraw { plugin: String, agent: AgentId, key: String },
    Notice { user: String, notice: Value },
    SetTimer { plugin: String, key: String, at: Timestamp },
    CancelTimer { plugin: String, key: String },
    Relate(Box<Relation>),
    Unrelate { user: String, subject: String, agent: AgentId },
    Ticket(Box<Issued>),
    Metric { plugin: String, name: String, add: i64 },
    Log { plugin: String, level: u8, text: String },
}

impl Effects {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.writes.values().map(BTreeMap::len).sum::<usize>() + self.list.len()
    }

    /// Makes them part of the state.
    pub fn apply(self, state: &mut State) {
        for (table, rows) in self.writes {
            let table = state.tables.entry(table).or_default();
            for (key, value) in rows {
                match value {
                    Some(value) => table.insert(key, value),
                    None => table.remove(&key),
                };
            }
        }
        for effect in self.list {
            effect.apply(state);
        }
    }
}

impl Effect {
    fn apply(self, state: &mut State) {
        match self {
            Effect::Send { plugin, message } => {
                state.outbox.retain(|sent| !replaced(sent, &plugin, &message));
                state.sent += 1;
                let (id, message) = (state.sent, *message);
                state.outbox.push(Sent { id, plugin, message, attempts: 0, stalled: false, handed_over: false });
            }
            Effect::Withdraw { plugin, agent, key } => {
                state
                    .outbox
                    .retain(|sent| sent.plugin != plugin || sent.message.to.agent != agent || sent.message.key != key);
            }
            Effect::Notice { user, notice } => state.notices.push((user, notice)),
            Effect::SetTimer { plugin, key, at } => {
                state.timers.insert((plugin, key), at);
            }
            Effect::CancelTimer { plugin, key } => {
                state.timers.remove(&(plugin, key));
            }
            Effect::Relate(relation) => {
                let key = (relation.user.clone(), relation.subject.clone(), relation.agent.clone());
                state.relations.insert(key, *relation);
            }
            Effect::Unrelate { user, subject, agent } => {
                state.relations.remove(&(user, subject, agent));
            }
            Effect::Ticket(issued) => {
                state.tickets.insert(issued.token.clone(), *issued);
            }
            Effect::Metric { plugin, name, add } => *state.metrics.entry((plugin, name)).or_default() += add,
            Effect::Log { .. } => {}
        }
    }
}

/// Whether a message takes the place of one waiting: same plugin, agent and name, and the waiting one
/// has not left, or is kept until withdrawn.
fn replaced(waiting: &Sent, plugin: &str, message: &Outgoing) -> bool {
    !message.key.is_empty()
        && waiting.plugin == plugin
        && waiting.message.to.agent == message.to.agent
        && waiting.message.key == message.key
        && (!waiting.handed_over || waiting.message.keep == Keep::Withdrawn)
}
