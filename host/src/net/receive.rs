//! From a decrypted message to an input of the ledger: the checks of PROTOCOL 3.1.

use super::Net;
use super::channel::Channel;
use crate::ledger::input::{Inbound, Input};
use crate::ledger::queue::Tell;
use crate::ledger::router::route;
use crate::wire::envelope::{Envelope, authenticate, unproven};
use crate::wire::ext::{self, Receipt};
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

impl Net {
    /// Takes a message from an open channel.
    pub(super) fn receive(&self, channel: &Channel, message: &[u8]) -> Received {
        let envelope = match Envelope::parse(message) {
            Ok(envelope) => envelope,
            Err(error) => return self.drop_message(channel, &error.to_string()),
        };
        match &channel.agent {
            Some(agent) => self.authenticated(channel, agent, envelope),
            None => self.unproven(channel, envelope),
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
        match self.inbound(envelope, mid, false) {
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
        if !self.public_request(channel.address.ip()) {
            return Received::Close("too many public requests");
        }
        let envelope = match unproven(envelope, &self.own().agent) {
            Ok(envelope) => envelope.into_inner(),
            Err(_) => return Received::Close("not for this site"),
        };
        match self.inbound(envelope, None, true) {
            Ok(inbound) => Received::Inputs(vec![(Input::Peer(inbound), None)]),
            Err(_) => Received::Close("not served to strangers"),
        }
    }

    /// The envelope as the ledger takes it.
    pub(super) fn inbound(&self, envelope: Envelope, mid: Option<u64>, restricted: bool) -> Result<Inbound, String> {
        let Envelope { target, action, to, from, object, tally, ticket, attempt, .. } = envelope;
        let user_known = to.cuid.as_deref().is_none_or(|cuid| self.users().knows(cuid));
        if !user_known {
            return Err(format!("to.cuid {} is no user here", to.cuid.unwrap_or_default()));
        }
        let body = object.unwrap_or_default();
        let message =
            Message { target, action, to, from, tally, ticket: None, restricted, asked: false, attempt, body };
        let table = self.ledger().table();
        match route(&table, self.relations(), &message, self.now()) {
            Ok(_) => Ok(Inbound { message: message.into(), ticket, mid }),
            // A message that is still on its way to the ledger may make it fit.
            Err(dropped) if dropped.may_pass() && !message.restricted => {
                Ok(Inbound { message: message.into(), ticket, mid })
            }
            Err(dropped) => Err(format!("{}/{}: {dropped}", message.target, message.action)),
        }
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
