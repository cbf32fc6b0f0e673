//! What a host does for a handler while it handles one event, in bytes.
//!
//! [`Context`](crate::Context) is the comfortable face of it. The host implements [`Services`] over
//! the event's buffered effects, the test kit over a site in memory; the ABI carries the same calls
//! across the border of a loaded library.

use crate::Fault;
use crate::record::{AgentId, Chad, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A signature check: does `signature` by `key` stand over `text`?
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Check {
    /// Who must have signed.
    pub key: CheckKey,
    /// The signed bytes: the UTF-8 canonical string.
    #[serde(with = "serde_bytes")]
    pub text: Vec<u8>,
    /// The signature in base64url without padding, as records carry it.
    pub signature: String,
}

/// Whose signature.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckKey {
    /// An agent's Ed25519 key: the agent id itself.
    Agent(AgentId),
    /// A user's key: the canonical JSON text of the JWK (P-521 or Ed25519, PROTOCOL 1.4).
    User(String),
}

/// Part of a table in key order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Range {
    /// First key (inclusive).
    #[serde(with = "serde_bytes")]
    pub from: Vec<u8>,
    /// Key to stop before; `None`: to the end of the table.
    #[serde(default)]
    pub to: Option<serde_bytes::ByteBuf>,
    /// Highest keys first.
    #[serde(default)]
    pub reverse: bool,
    /// Most rows to return; a host returns fewer only at the end of the range. At most 10,000.
    pub limit: u32,
}

impl Range {
    /// All keys that begin so, at most `limit` rows of them.
    pub fn beginning(prefix: impl Into<Vec<u8>>, limit: u32) -> Self {
        let from = prefix.into();
        let mut to = from.clone();
        // The first key behind them: a trailing 0xff cannot be raised.
        while to.pop_if(|last| *last == u8::MAX).is_some() {}
        if let Some(last) = to.last_mut() {
            *last += 1;
        }
        Range { from, to: Some(to.into()).filter(|to: &serde_bytes::ByteBuf| !to.is_empty()), reverse: false, limit }
    }
}

/// A row: key and value.
pub type Row = (Vec<u8>, Vec<u8>);

/// A message to send. It becomes a row of the outbox when the event commits and leaves only then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outgoing {
    /// Recipient; `agent` is where it goes, `host` and `port` are hints where to dial.
    pub to: Chad,
    /// Sending user of this site; empty for the agent itself.
    pub from: String,
    /// Subsystem.
    pub target: String,
    /// Verb.
    pub action: String,
    /// The `object` member, CBOR; empty: none.
    #[serde(with = "serde_bytes")]
    pub object: Vec<u8>,
    /// The envelope's `tally` member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tally: Option<String>,
    /// The envelope's `ticket` member (`tally/ticket` only): presented by an IK opening packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Value>,
    /// The handler's own name for the message: sending another under the same name to the same
    /// agent replaces it where it has not been handed over. Unique within the plugin.
    pub key: String,
    /// When it is tried again and when that ends.
    pub schedule: Schedule,
    /// Until when the message is kept where the peer gives no receipts.
    pub keep: Keep,
    /// Whether `Event::Delivery` tells of each fate; terminal ones (`Stalled`, `Accepted`,
    /// `Refused`) are always told.
    pub report: bool,
}

/// When a message is tried again (PROTOCOL 11.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Schedule {
    /// Tally and chit requests: min(5 s x n, 5 min) +-20 %, 100 times.
    Request,
    /// Tickets: 10 s, 3 times.
    Ticket,
    /// Lift messages: 2 s, 4 s, 8 s ... until this instant.
    Until(Timestamp),
    /// Sent if a channel is open or can be opened at the first try; otherwise forgotten.
    Once,
    /// The answer to the message at hand: sent once, by the channel that brought it; forgotten where
    /// that has gone. Nobody is called for it. So whoever came by a restricted channel is answered
    /// thus: its address is unproven, and may be somebody else's.
    Answer,
}

/// Until when a message is kept for a peer that gives no receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Until the transport took it.
    HandedOver,
    /// Until the handler withdraws it; repeated on the schedule until then.
    Withdrawn,
}

/// A right of a foreign user's agent to talk with a local user (PROTOCOL 1.5, 3.1 item 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    /// The local user.
    pub user: String,
    /// What it is about: a tally's uuid, or any other word the plugin chooses.
    pub subject: String,
    /// The partner's user name; empty: the agent as such, for any user of it.
    pub partner: String,
    /// The partner's agent.
    pub agent: AgentId,
    /// Where the partner's agent was last said to be; a hint for dialling.
    #[serde(default)]
    pub host: Option<String>,
    /// See `host`.
    #[serde(default)]
    pub port: Option<u16>,
    /// Ends by itself at this instant.
    #[serde(default)]
    pub until: Option<Timestamp>,
}

/// A ticket to be issued (PROTOCOL 2.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketOrder {
    /// The local user who issues it.
    pub user: String,
    /// The handler's own name for what it leads to; handed back when it is presented.
    pub subject: String,
    /// A decal: any number of subjects.
    #[serde(default)]
    pub reuse: bool,
    /// Last instant of use; `None` only with `reuse`.
    #[serde(default)]
    pub expires: Option<Timestamp>,
    /// Only this party may use it.
    #[serde(default)]
    pub limit: Option<Chad>,
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum LogLevel {
    /// Something failed.
    Error = 1,
    /// Something is odd.
    Warn = 2,
    /// Something happened.
    Info = 3,
    /// For the plugin's developer.
    Debug = 4,
}

/// The calls a handler may make during one event. All effects are buffered: the event's own reads
/// see them first, others once it has succeeded.
///
/// Errors are faults of kind `Host` (store failed, a bound reached) or `Refused` (a table that is
/// neither own nor granted, an unknown user); a handler passes them on with `?`.
pub trait Services {
    /// A row's value. `table` is an own table's name, or `plugin.table` where granted.
    ///
    /// # Errors
    /// As for the trait.
    fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;
    /// Rows in key order, this event's own writes included.
    ///
    /// # Errors
    /// As for the trait.
    fn scan(&mut self, table: &str, range: &Range) -> Result<Vec<Row>, Fault>;
    /// Writes a row of an own table. Key at most 512 bytes, value at most 1 MiB.
    ///
    /// # Errors
    /// As for the trait.
    fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), Fault>;
    /// Deletes a row of an own table, if there.
    ///
    /// # Errors
    /// As for the trait.
    fn delete(&mut self, table: &str, key: &[u8]) -> Result<(), Fault>;
    /// Sends a message when the event commits.
    ///
    /// # Errors
    /// As for the trait; of code [`OUTBOX_FULL`] where so many wait for that agent that no more is taken: a
    /// handler that will send it again anyway may go on without.
    fn send(&mut self, message: &Outgoing) -> Result<(), Fault>;
    /// Takes back messages not yet received, by their `Outgoing::key`; whether there was one.
    ///
    /// # Errors
    /// As for the trait.
    fn withdraw(&mut self, agent: &AgentId, key: &str) -> Result<bool, Fault>;
    /// Tells the site's people something (`watch`), when the event commits. `user`: whom it is for.
    ///
    /// # Errors
    /// As for the trait.
    fn notice(&mut self, user: &str, notice: &Value) -> Result<(), Fault>;
    /// Sets (or moves) the timer of this name.
    ///
    /// # Errors
    /// As for the trait.
    fn set_timer(&mut self, key: &str, at: Timestamp) -> Result<(), Fault>;
    /// Removes the timer of this name, if set.
    ///
    /// # Errors
    /// As for the trait.
    fn cancel_timer(&mut self, key: &str) -> Result<(), Fault>;
    /// Calls another plugin's command (or the host's, plugin `host`) inside this event's transaction.
    /// Argument and answer are CBOR. Its fault is this event's too: pass it on, unless its code is [`NOT_SERVED`].
    ///
    /// # Errors
    /// As for the trait, and the called handler's own.
    fn invoke(&mut self, plugin: &str, command: &str, argument: &[u8]) -> Result<Vec<u8>, Fault>;
    /// Whether the signature stands. An unusable key or malformed signature does not.
    fn verify(&mut self, check: &Check) -> bool;
    /// Signs with the agent's key; 64 bytes.
    ///
    /// # Errors
    /// As for the trait.
    fn sign_agent(&mut self, text: &[u8]) -> Result<Vec<u8>, Fault>;
    /// Signs with a user's key; 132 bytes (P-521) or 64 (Ed25519).
    ///
    /// # Errors
    /// As for the trait; `Refused` with code `custody` where the key is kept elsewhere.
    fn sign_user(&mut self, user: &str, text: &[u8]) -> Result<Vec<u8>, Fault>;
    /// The event's time: the same throughout, never earlier than an earlier event's.
    fn now(&self) -> Timestamp;
    /// Random bytes, unpredictable to others, recorded with the event so that a replay sees the same.
    fn random(&mut self, buffer: &mut [u8]);
    /// A line for the log, tagged with the plugin's name.
    fn log(&mut self, level: LogLevel, text: &str);
    /// Adds to a counter of the plugin's, shown by `status`.
    fn metric(&mut self, name: &str, add: i64);
    /// Grants (or renews) a relation.
    ///
    /// # Errors
    /// As for the trait.
    fn relate(&mut self, relation: &Relation) -> Result<(), Fault>;
    /// Revokes the relation of this local user and subject with this agent.
    ///
    /// # Errors
    /// As for the trait.
    fn unrelate(&mut self, user: &str, subject: &str, agent: &AgentId) -> Result<(), Fault>;
}

/// The code of a fault, of kind `NotFound`, by which [`Services::invoke`] says that no plugin loaded serves that
/// command to others. It alone is not the event's too: a handler may go on without that plugin.
pub const NOT_SERVED: &str = "not-served";

/// The code of a fault by which [`Services::send`] says that the outbox takes no more for that agent. It is not the
/// event's too.
pub const OUTBOX_FULL: &str = "outbox-full";

/// Commands of the pseudo-plugin `host`, which every plugin may invoke; `Context` wraps them.
pub mod host_command {
    /// `{}` → `{agent, host, port}`: this site's own address.
    pub const SITE: &str = "site";
    /// `{}` → null, while `Handler::migrate` runs: it is to be called again, in another transaction.
    pub const MIGRATE_AGAIN: &str = "migrate.again";
    /// `{cuid}` → `{cuid, name, public, custody, cert}`: a local user; fault `NotFound` otherwise.
    pub const USER: &str = "user";
    /// A `TicketOrder` → `{token, expires, link, uri, invite}`.
    pub const TICKET_ISSUE: &str = "ticket.issue";
    /// `{token}` → `{}`: the token is dead from now on.
    pub const TICKET_REVOKE: &str = "ticket.revoke";
    /// `{subject?}` → array of the calling plugin's tokens: `{token, user, subject, reuse, expires, limit, used, by, revoked}`.
    pub const TICKET_LIST: &str = "ticket.list";
}
