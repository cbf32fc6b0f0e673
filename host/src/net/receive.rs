//! From a decrypted message to an input of the ledger: the checks of PROTOCOL 3.1.

use super::Net;
use super::channel::Channel;
use super::limits::ANSWERS_PER_QUESTION;
use crate::ledger::input::{Inbound, Input, Origin};
use crate::ledger::queue::Tell;
use crate::ledger::router::clear;
use crate::wire::envelope::{Envelope, authenticate, unproven};
use crate::wire::ext::{self, Receipt};
use std::sync::atomic::Ordering;
use tallyho_plugin::Message;
use tallyho_plugin::record::AgentId;

/// What a message means.
pub enum Received {
    /// Nothing: it is dropped, the channel stays.
    Nothing,
    /// Something for the ledger.
    Inputs(Vec<(Input, Option<Tell>)>),
    /// The channel has to close.
    Close(&'static str),
}

/// How a message came.
pub enum Way<'c> {
    /// With an opening that presents a ticket: there is no channel yet.
    Ticket,
    /// By a channel that has proven its agent; under this id, where receipts are in force.
    Peer {
        /// Which.
        channel: &'c Channel,
        /// The message's id.
        mid: Option<u64>,
    },
    /// By a channel that a stranger has opened.
    Stranger {
        /// Which.
        channel: &'c Channel,
    },
    /// By a restricted channel that this site has opened.
    Asked {
        /// Which.
        channel: &'c Channel,
    },
}

impl Way<'_> {
    fn mid(&self) -> Option<u64> {
        if let Way::Peer { mid, .. } = self { *mid } else { None }
    }

    fn origin(&self) -> Option<Origin> {
        match self {
            Way::Ticket => None,
            Way::Peer { channel, .. } | Way::Stranger { channel } | Way::Asked { channel } => {
                Some(Origin { channel: channel.id, address: channel.address.ip() })
            }
        }
    }
}

impl Net {
    /// Takes a message from an open channel.
    pub(super) fn receive(&self, channel: &Channel, message: &[u8]) -> Received {
        let envelope = match Envelope::parse(message) {
            Ok(envelope) => envelope,
            Err(_) if channel.agent.is_none() => return Received::Close("not a message"),
            Err(error) => return self.drop_message(channel, &error.to_string()),
        };
        match &channel.agent {
            Some(agent) if channel.is_asking() => self.asked(channel, agent, envelope),
            Some(agent) => self.authenticated(channel, agent, envelope),
            None if !self.public_request(channel.address.ip()) => Received::Close("too many public requests"),
            None => self.unproven(channel, envelope),
        }
    }

    /// Takes the message that came with a stranger's opening, which has been counted as a request.
    pub(super) fn opened_with(&self, channel: &Channel, message: &[u8]) -> Received {
        match Envelope::parse(message) {
            Ok(envelope) => self.unproven(channel, envelope),
            Err(_) => Received::Close("not a message"),
        }
    }

    /// A message whose channel has proven an agent.
    pub(super) fn authenticated(&self, channel: &Channel, agent: &AgentId, envelope: Envelope) -> Received {
        let envelope = match authenticate(envelope, agent, &self.own().agent) {
            Ok(envelope) => envelope.into_inner(),
            Err(error) => return self.drop_message(channel, &error.to_string()),
        };
        if envelope.target == ext::HOST {
            return self.host_message(agent, channel, &envelope);
        }
        let mut inputs = Vec::with_capacity(1);
        if let (Some(host), Some(port)) = (&envelope.from.host, envelope.from.port)
            && !self.addresses().has_learnt(agent, host, port)
        {
            inputs.push((Input::Learn { from: envelope.from.clone() }, None));
        }
        let mid = envelope.mid.filter(|_| channel.extensions.receipt);
        match self.inbound(envelope, &Way::Peer { channel, mid }) {
            Ok(inbound) => {
                // The repeat of a faulty ticket on an open channel costs a strike (PROTOCOL 2.5).
                let tell = inbound.ticket.is_some().then(|| self.strike_if_refused(channel.address.ip()));
                inputs.push((Input::Peer(inbound), tell));
            }
            Err(why) => {
                self.drop_message(channel, &why);
                // It will never be handled, so its sender need not keep it.
                inputs.extend(mid.map(|mid| (Input::Dropped { agent: agent.clone(), mid }, None)));
            }
        }
        Received::Inputs(inputs)
    }

    fn unproven(&self, channel: &Channel, envelope: Envelope) -> Received {
        let envelope = match unproven(envelope, &self.own().agent) {
            Ok(envelope) => envelope.into_inner(),
            Err(_) => return Received::Close("not for this site"),
        };
        match self.inbound(envelope, &Way::Stranger { channel }) {
            Ok(inbound) => Received::Inputs(vec![(Input::Peer(inbound), None)]),
            Err(_) => Received::Close("not served to strangers"),
        }
    }

    /// What comes by a restricted channel that this site has opened: from the agent that it was opened to.
    fn asked(&self, channel: &Channel, agent: &AgentId, envelope: Envelope) -> Received {
        let (received, sent) = (channel.frames.0.load(Ordering::Relaxed), channel.frames.1.load(Ordering::Relaxed));
        // The opening message is none of the frames.
        if received > (sent + 1).saturating_mul(ANSWERS_PER_QUESTION) {
            return Received::Close("it says more than it was asked");
        }
        let envelope = match authenticate(envelope, agent, &self.own().agent) {
            Ok(envelope) => envelope.into_inner(),
            Err(error) => return self.drop_message(channel, &error.to_string()),
        };
        match self.inbound(envelope, &Way::Asked { channel }) {
            Ok(inbound) => Received::Inputs(vec![(Input::Peer(inbound), None)]),
            Err(why) => self.drop_message(channel, &why),
        }
    }

    /// The envelope as the ledger takes it.
    pub(super) fn inbound(&self, envelope: Envelope, way: &Way<'_>) -> Result<Inbound, String> {
        let (restricted, asked) = match way {
            Way::Ticket | Way::Peer { .. } => (false, false),
            Way::Stranger { .. } => (true, false),
            Way::Asked { .. } => (true, true),
        };
        let (mid, origin) = (way.mid(), way.origin());
        let Envelope { target, action, to, from, object, tally, ticket, attempt, .. } = envelope;
        let user_known = to.cuid.as_deref().is_none_or(|cuid| self.users().knows(cuid));
        if !user_known {
            return Err(format!("to.cuid {} is no user here", to.cuid.unwrap_or_default()));
        }
        let body = object.unwrap_or_default();
        let message = Message { target, action, to, from, tally, ticket: None, restricted, asked, attempt, body };
        let table = self.ledger().table();
        let cleared = match clear(&table, self.relations(), &message, self.now()) {
            Ok(cleared) => Some(cleared),
            // A message that is still on its way to the ledger may make it fit.
            Err(dropped) if dropped.may_pass() && !message.restricted => None,
            Err(dropped) => return Err(format!("{}/{}: {dropped}", message.target, message.action)),
        };
        Ok(Inbound { message: message.into(), ticket, mid, cleared, origin })
    }

    fn host_message(&self, agent: &AgentId, channel: &Channel, envelope: &Envelope) -> Received {
        if Receipt::is_one(envelope) && channel.extensions.receipt {
            return match Receipt::read(envelope) {
                Ok(receipt) => Received::Inputs(vec![(Input::Receipt { agent: agent.clone(), receipt }, None)]),
                Err(error) => self.drop_message(channel, &format!("host/receipt: {error}")),
            };
        }
        Received::Nothing
    }

    fn drop_message(&self, channel: &Channel, why: &str) -> Received {
        log::debug!("a message from {} is dropped: {why}", channel.address);
        Received::Nothing
    }
}
