//! What a site in memory has made durable.

use super::tickets::Issued;
use crate::record::{AgentId, Timestamp};
use crate::services::{Outgoing, Relation};
use serde_json::Value;
use std::collections::BTreeMap;

/// Rows of one table.
pub(crate) type Table = BTreeMap<Vec<u8>, Vec<u8>>;

/// Who a relation joins: local user, subject, the other agent.
pub(crate) type RelationKey = (String, String, AgentId);

/// Everything that a committed event leaves behind.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct State {
    /// By `plugin.table`.
    pub tables: BTreeMap<String, Table>,
    /// By plugin and the plugin's own name.
    pub timers: BTreeMap<(String, String), Timestamp>,
    pub outbox: Vec<Sent>,
    /// The outbox takes nothing more.
    pub outbox_full: bool,
    pub notices: Vec<(String, Value)>,
    pub relations: BTreeMap<RelationKey, Relation>,
    pub tickets: BTreeMap<String, Issued>,
    pub metrics: BTreeMap<(String, String), i64>,
    /// Messages sent so far; the next one's id is one more.
    pub sent: u64,
    /// State versions of plugins' tables, by plugin.
    pub versions: BTreeMap<String, u32>,
}

/// A message in the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// Rises with each message of the site.
    pub id: u64,
    /// The plugin that sent it.
    pub plugin: String,
    /// The message.
    pub message: Outgoing,
    /// How often its sending has failed.
    pub attempts: u32,
    /// Its schedule is used up; it waits for a restart or for being sent again.
    pub stalled: bool,
    /// The transport has taken it at least once.
    pub handed_over: bool,
}

impl Sent {
    /// `target/action`.
    pub fn verb(&self) -> String {
        format!("{}/{}", self.message.target, self.message.action)
    }

    /// The `object` member as JSON; `Null` where there is none.
    pub fn object(&self) -> Value {
        super::json(&self.message.object)
    }
}
