//! What travels between two sites in memory.

use super::state::Sent;
use crate::event::Message;
use crate::record::Chad;
use crate::services::{Outgoing, Schedule};
use serde_json::Value;

/// A message on its way (PROTOCOL 3.1), its `object` in CBOR.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// Recipient.
    pub to: Chad,
    /// Sender, as the sending agent fills it in.
    pub from: Chad,
    /// Subsystem.
    pub target: String,
    /// Verb.
    pub action: String,
    /// The `object` member, CBOR; empty: none.
    pub object: Vec<u8>,
    /// The envelope's `tally`.
    pub tally: Option<String>,
    /// The envelope's `ticket`.
    pub ticket: Option<Value>,
    /// It goes by a restricted channel (PROTOCOL 1.5, `R`), whoever its sender is to its recipient.
    pub restricted: bool,
    /// Its recipient has opened that channel and asked.
    pub asked: bool,
}

impl Envelope {
    /// What leaves the site of this address for a message of its outbox.
    pub fn of(message: &Outgoing, site: &Chad) -> Self {
        let cuid = (!message.from.is_empty()).then(|| message.from.clone());
        Envelope {
            to: message.to.clone(),
            from: Chad { cuid, ..site.clone() },
            target: message.target.clone(),
            action: message.action.clone(),
            object: message.object.clone(),
            tally: message.tally.clone(),
            ticket: message.ticket.clone(),
            restricted: message.restricted,
            asked: message.restricted && message.schedule == Schedule::Answer,
        }
    }

    /// A message made up by a test: `target/action` with this object, from one party to another.
    ///
    /// # Panics
    /// Where `verb` has no `/`, or the object cannot be expressed.
    #[allow(clippy::expect_used)]
    pub fn new(from: &Chad, to: &Chad, verb: &str, object: &Value) -> Self {
        let (target, action) = verb.split_once('/').expect("a verb is written target/action");
        let object = crate::context::to_cbor(object).expect("JSON can always be expressed in CBOR");
        let (target, action) = (target.to_owned(), action.to_owned());
        let (to, from) = (to.clone(), from.clone());
        Envelope { to, from, target, action, object, tally: None, ticket: None, restricted: false, asked: false }
    }

    /// The `object` member as JSON; `Null` where there is none.
    pub fn json(&self) -> Value {
        super::json(&self.object)
    }

    pub(crate) fn message(&self) -> Message {
        Message {
            target: self.target.clone(),
            action: self.action.clone(),
            to: self.to.clone(),
            from: self.from.clone(),
            tally: self.tally.clone(),
            ticket: None,
            restricted: self.restricted,
            asked: self.asked,
            attempt: None,
            body: self.object.clone(),
        }
    }
}

impl Sent {
    /// What leaves the site of this address.
    pub fn envelope(&self, site: &Chad) -> Envelope {
        Envelope::of(&self.message, site)
    }
}
