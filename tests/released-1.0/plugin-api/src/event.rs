//! What happens to a handler: one event at a time, each in a transaction of its own.

use crate::record::{AgentId, Chad, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Everything that can happen to a handler.
///
/// The variants' own fields travel over the ABI as CBOR maps, so fields may be added in a minor
/// version; readers ignore those they do not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
// One event exists at a time, so the size of the largest costs nothing; a box would cost an allocation.
#[allow(clippy::large_enum_variant)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Event {
    /// A message from another site, or from a user of this one.
    Message(Message),
    /// A local command, or a call by another plugin.
    Command(Command),
    /// A timer that the handler set has come due.
    Timer(Timer),
    /// What became of a message that the handler sent and asked to be told about.
    Delivery(Delivery),
    /// The plugin's own life.
    Life(Life),
}

/// A message whose sender's agent is proven and whose recipient is this site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Subsystem the message is for; one of the manifest's targets.
    pub target: String,
    /// Verb inside the subsystem.
    pub action: String,
    /// Recipient. `agent` is this site's; `cuid`, where present, is a user of this site.
    pub to: Chad,
    /// Sender. `agent` is the agent that the channel proved, unless `restricted`.
    pub from: Chad,
    /// The envelope's `tally` member, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tally: Option<String>,
    /// Set for `ticket` messages only: the host has found the ticket valid (PROTOCOL 2.4 steps 1
    /// to 4) and will mark it used in this event's transaction. Return a refusal to leave it
    /// unused and close the channel unanswered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Presented>,
    /// The message came on a channel that proved nothing about its sender (PROTOCOL 1.5, `R`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restricted: bool,
    /// How often the sender says it has sent this message (diagnostic only).
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "try")]
    pub attempt: Option<u64>,
    /// The `object` member as CBOR; empty where the message has none.
    #[serde(skip)]
    pub body: Vec<u8>,
}

/// A valid ticket, presented.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Presented {
    /// The token itself.
    pub token: String,
    /// The local user who issued it.
    pub user: String,
    /// The handler's own name for what the ticket leads to, as given when it was issued.
    pub subject: String,
    /// A decal: the token stays valid and the subject is a template.
    pub reuse: bool,
    /// A consumed one-time token presented again by the same party (PROTOCOL 2.4, repeat rule):
    /// nothing may change, but what is on offer may be sent again.
    pub repeat: bool,
    /// The presenting user's certificate, as received. Its `chad` names the proven agent.
    pub cert: Value,
}

impl Message {
    /// Reads the `object` member.
    ///
    /// # Errors
    /// A refusal naming what does not fit, when the object is absent or of another shape.
    pub fn object<T: DeserializeOwned>(&self) -> Result<T, crate::Fault> {
        ciborium::from_reader(self.body.as_slice()).map_err(|error| {
            crate::Fault::refused(format!("{}/{}: object does not fit: {error}", self.target, self.action))
        })
    }

    /// A message back to the sender, from the user it was sent to, with the same target; see
    /// `Outgoing::new` for the defaults. Whoever proved nothing is answered on the channel that brought
    /// the message and nowhere else (`Schedule::Answer`).
    ///
    /// # Errors
    /// `Failed` where the object cannot be expressed.
    pub fn reply(&self, action: &str, object: &impl Serialize) -> Result<crate::services::Outgoing, crate::Fault> {
        let user = self.to.cuid.clone().unwrap_or_default();
        let mut reply = crate::services::Outgoing::new(self.from.clone(), user, &self.target, action, object)?;
        if self.restricted {
            reply.schedule = crate::services::Schedule::Answer;
        }
        Ok(reply)
    }
}

/// A command: from the operator, or from another plugin through `Context::invoke`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// The command's name, as in the manifest (`offer`, `ticket.new`).
    pub name: String,
    /// The plugin that called, or `None` for the site's operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// The arguments, a CBOR map.
    #[serde(skip)]
    pub body: Vec<u8>,
}

impl Command {
    /// Reads the arguments.
    ///
    /// # Errors
    /// A usage fault naming what does not fit.
    pub fn arguments<T: DeserializeOwned>(&self) -> Result<T, crate::Fault> {
        ciborium::from_reader(self.body.as_slice())
            .map_err(|error| crate::Fault::usage(format!("{}: arguments do not fit: {error}", self.name)))
    }
}

/// A timer that came due. It is gone when the handler returns; set it again to go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timer {
    /// The handler's own name for it.
    pub key: String,
    /// When it was due.
    pub due: Timestamp,
}

/// What became of a message sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// The handler's own name for the message, as given in `Outgoing::key`.
    pub key: String,
    /// To whom it was addressed.
    pub to: AgentId,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a message sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fate {
    /// The transport took the whole message on an authenticated channel (PROTOCOL 11.1). It can
    /// still be lost, except where receipts are in force.
    HandedOver,
    /// An attempt failed; the schedule goes on (PROTOCOL 11.2).
    Delayed {
        /// Attempts so far.
        attempts: u32,
        /// Why, for a person.
        why: String,
    },
    /// The schedule is used up or its deadline has passed; the message stays until withdrawn and is
    /// tried again after a restart or when sent again.
    Stalled {
        /// Attempts made.
        attempts: u32,
        /// Whether not one byte of it was ever written to a socket.
        unsent: bool,
        /// Why, for a person.
        why: String,
    },
    /// A ticket's issuer has answered `A`.
    Accepted,
    /// A ticket's issuer closed without an answer (PROTOCOL 2.5).
    Refused,
}

/// A turn in the plugin's own life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "life", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Life {
    /// The site has started with this plugin, or the plugin has begun to serve. Requests that were
    /// under way are raised again here (PROTOCOL 11.2).
    Started,
}
