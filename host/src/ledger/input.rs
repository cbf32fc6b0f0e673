//! What the ledger takes in, and what it lets out once it is durable.

use super::line::Line;
use super::outbox::OutboxRow;
use super::router::Cleared;
use crate::plugin::Given;
use crate::site::addresses::Known;
use crate::site::config::Compat;
use crate::site::relations::RelationChange;
use crate::wire::ext::Receipt;
use serde_json::Value;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use tallyho_plugin::record::{AgentId, Chad, Timestamp};
use tallyho_plugin::{Event, Fate, Fault, Life, Message};

/// Something that happens.
// Nearly all inputs are messages, the largest: boxing them would only cost allocations.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone)]
pub enum Input {
    /// A message from another site. The ledger finds out whose it is: only there is it known what the
    /// messages before it have changed.
    Peer(Inbound),
    /// A message that goes nowhere, but whose sender waits for its receipt.
    Dropped {
        /// The peer.
        agent: AgentId,
        /// The message's id.
        mid: u64,
    },
    /// A command: by the operator or by the host itself.
    Command {
        /// The plugin, or `host`.
        plugin: String,
        /// The command's name.
        name: String,
        /// CBOR map.
        argument: Vec<u8>,
    },
    /// What became of an outbox row.
    Delivery {
        /// Where it waits.
        line: Line,
        /// Which row.
        mid: u64,
        /// What became of it.
        fate: Fate,
        /// Receipts are in force on that channel, so that the row stays until its receipt.
        receipts: bool,
    },
    /// A peer's host has committed messages of ours (PROTOCOL A.4).
    Receipt {
        /// The peer.
        agent: AgentId,
        /// Which.
        receipt: Receipt,
    },
    /// An outbox row addressed to this site's own agent.
    Local {
        /// Which row.
        mid: u64,
    },
    /// A timer of a plugin came due.
    Timer {
        /// Whose.
        plugin: String,
        /// Its name.
        key: String,
        /// When it was due.
        due: Timestamp,
    },
    /// An event that has waited for its plugin to serve again.
    Waiting {
        /// Whose.
        plugin: String,
        /// Its number among those.
        number: u64,
    },
    /// An event set aside is tried again.
    Retry {
        /// Its number among those.
        number: u64,
    },
    /// An event set aside is forgotten.
    Forget {
        /// Its number among those.
        number: u64,
    },
    /// A turn in a plugin's life.
    Life {
        /// Whose.
        plugin: String,
        /// Which turn.
        life: Life,
    },
    /// Where an agent was found (PROTOCOL 1.1).
    Learn {
        /// The address that a proven sender gives as its own.
        from: Chad,
    },
    /// How an agent was found to speak (PROTOCOL A.3).
    Speaks {
        /// The agent.
        agent: AgentId,
        /// As whom; `None`: as the protocol has it.
        compat: Option<Compat>,
    },
}

/// A message from another site whose sender is proven (or marked `restricted`).
#[derive(Debug, Clone)]
pub struct Inbound {
    /// What the handler will see; its `ticket` is filled in by the ledger.
    pub message: MessageEvent,
    /// The envelope's `ticket` member, unchecked.
    pub ticket: Option<Value>,
    /// The message's id, where receipts are in force.
    pub mid: Option<u64>,
    /// That its sender may send it, where that was found out before.
    pub cleared: Option<Cleared>,
    /// Where it came from; `None`: nobody can be answered there.
    pub origin: Option<Origin>,
}

/// The channel that brought a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Its name ([`crate::net::courier::ChannelId`]).
    pub channel: u64,
    /// Where its other end is.
    pub address: IpAddr,
}

/// A message as the event that its handler is given. Shared, because its checks are made on other
/// threads meanwhile; a copy of a message costs a dozen allocations.
#[derive(Debug, Clone)]
pub struct MessageEvent(Arc<Given>);

impl MessageEvent {
    /// The event.
    pub fn event(&self) -> &Arc<Given> {
        &self.0
    }
}

impl From<Message> for MessageEvent {
    fn from(message: Message) -> Self {
        MessageEvent(Arc::new(Event::Message(message).into()))
    }
}

impl Deref for MessageEvent {
    type Target = Message;

    fn deref(&self) -> &Message {
        match &**self.0 {
            Event::Message(message) => message,
            _ => unreachable!("it is made from a message alone"),
        }
    }
}

/// What came of one input.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Done; a command's answer as CBOR, otherwise empty.
    Done(Vec<u8>),
    /// It had no effect.
    Fault(Fault),
}

/// A message that may leave now.
#[derive(Debug, Clone)]
pub struct Post {
    /// Where it waits.
    pub line: Line,
    /// Its id (PROTOCOL A.4), also its place in the order of sending.
    pub mid: u64,
    /// The message.
    pub row: Arc<OutboxRow>,
}

/// The answer to a message, for the channel that brought it and for no other (`Schedule::Answer`). It is kept
/// nowhere: where the channel has gone, so has whoever asked.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Where the message came from.
    pub origin: Origin,
    /// The answer.
    pub row: Arc<OutboxRow>,
}

/// A message that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Where it came from.
    pub origin: Origin,
    /// It costs its sender's address a strike (PROTOCOL 2.5).
    pub strike: bool,
    /// It came from a stranger, whose channel is closed (PROTOCOL 9.8, 10.2).
    pub close: bool,
}

/// What a commit lets out.
#[derive(Debug, Default)]
pub struct Released {
    /// Messages for other agents, in order of sending for each.
    pub posts: Vec<Post>,
    /// Messages taken back.
    pub withdrawn: Vec<(Line, u64)>,
    /// Answers to messages at hand.
    pub answers: Vec<Answer>,
    /// Messages refused in a way that concerns their channel.
    pub refused: Vec<Refused>,
    /// Receipts owed to peers.
    pub receipts: Vec<(AgentId, Receipt)>,
    /// Rows addressed to this site itself, to be run as [`Input::Local`].
    pub local: Vec<u64>,
    /// Events that have waited for their plugin, by its name and their number, to be run as
    /// [`Input::Waiting`].
    pub waiting: Vec<(String, u64)>,
    /// Notices for people.
    pub notices: Vec<Value>,
    /// Relations granted or ended.
    pub relations: Vec<RelationChange>,
    /// What is known of agents' addresses, where that has changed.
    pub places: Vec<(AgentId, Known)>,
}

impl Released {
    /// Whether nothing is let out.
    pub fn is_empty(&self) -> bool {
        let Released { posts, withdrawn, answers, refused, receipts, local, waiting, notices, relations, places } =
            self;
        posts.is_empty()
            && withdrawn.is_empty()
            && answers.is_empty()
            && refused.is_empty()
            && receipts.is_empty()
            && local.is_empty()
            && waiting.is_empty()
            && notices.is_empty()
            && relations.is_empty()
            && places.is_empty()
    }

    /// Adds what a later event of the same batch lets out.
    pub fn append(&mut self, mut other: Released) {
        self.posts.append(&mut other.posts);
        self.withdrawn.append(&mut other.withdrawn);
        self.answers.append(&mut other.answers);
        self.refused.append(&mut other.refused);
        self.receipts.append(&mut other.receipts);
        self.local.append(&mut other.local);
        self.waiting.append(&mut other.waiting);
        self.notices.append(&mut other.notices);
        self.relations.append(&mut other.relations);
        self.places.append(&mut other.places);
    }
}
