//! Messages, from peers and from this site to itself.

use super::batch::Batch;
use super::deliveries::{HOST, Told, again_key};
use crate::ledger::buffer::Buffer;
use crate::ledger::inbound::Verdict;
use crate::ledger::input::{Inbound, MessageEvent, Outcome, Refused};
use crate::ledger::limits::TIMER_RETRY_MS;
use crate::ledger::line::Line;
use crate::ledger::outbox;
use crate::ledger::router::{self, Cleared};
use crate::ledger::timers;
use crate::ledger::verify::Checked;
use crate::site::tickets::{self, Presentation};
use crate::store::StoreError;
use tallyho_plugin::fault::STRIKE;
use tallyho_plugin::{Event, Fate, Fault, FaultKind, Message};

/// What came of a message that somebody may send.
enum Routed {
    /// Its plugin was given it, or none is there.
    Handled(Outcome),
    /// Its plugin, of this name, is held.
    Held(String),
}

impl Batch<'_> {
    pub(super) fn peer(&mut self, inbound: &Inbound, checked: &Checked) -> Result<Outcome, StoreError> {
        let agent = &inbound.message.from.agent;
        self.turn.origin = inbound.origin;
        if let Some(mid) = inbound.mid
            && self.turn.windows.verdict(&mut *self.transaction, agent, mid)? == Verdict::Again
        {
            return Ok(Outcome::Done(Vec::new()));
        }
        let message = &inbound.message;
        // A stranger's message is kept for nobody, and a ticket's subject waits for the answer.
        let is_kept = inbound.mid.is_none() && inbound.ticket.is_none() && !message.restricted;
        let outcome = match self.routed(message, inbound.cleared, inbound.ticket.as_ref(), checked)? {
            Routed::Held(plugin) if is_kept => self.keep(&plugin, message.event())?,
            other => self.outcome(other),
        };
        match (inbound.mid, &outcome) {
            // The host could not serve the handler: the peer keeps the message.
            (Some(mid), Outcome::Fault(fault)) if fault.kind == FaultKind::Host => {
                if !self.turn.windows.hold(agent, mid) {
                    log::warn!("agent {} has sent more than a peer may before its receipts", agent.0);
                }
            }
            (Some(mid), _) => self.turn.windows.apply(agent, mid),
            (None, _) => {}
        }
        self.refused(inbound, &outcome);
        Ok(outcome)
    }

    /// What a refusal means for the channel that brought the message (PROTOCOL 2.5, 9.8, 10.2).
    fn refused(&mut self, inbound: &Inbound, outcome: &Outcome) {
        let (Some(origin), Outcome::Fault(fault)) = (self.turn.origin.take(), outcome) else { return };
        let stranger = inbound.message.restricted && !inbound.message.asked;
        let strike = fault.code == STRIKE;
        let close = stranger && fault.kind == FaultKind::Refused;
        if strike || close {
            self.turn.released.refused.push(Refused { origin, strike, close });
        }
    }

    /// Takes a message to the plugin it is for, if its sender may send it (PROTOCOL 3.1).
    fn routed(
        &mut self,
        message: &MessageEvent,
        cleared: Option<Cleared>,
        ticket: Option<&serde_json::Value>,
        checked: &Checked,
    ) -> Result<Routed, StoreError> {
        match router::route_within(
            &self.turn.table,
            &self.turn.relations,
            &self.turn.released.relations,
            message,
            cleared,
            self.turn.now,
        ) {
            Ok(plugin) if self.turn.table.held(&plugin).is_some() => Ok(Routed::Held(plugin)),
            Ok(plugin) => self.message(&plugin, message, ticket, checked).map(Routed::Handled),
            Err(dropped) => {
                let Message { target, action, from, .. } = &**message;
                log::debug!("{target}/{action} from agent {} is dropped: {dropped}", from.agent.0);
                Ok(Routed::Handled(Outcome::Fault(Fault::refused(dropped.to_string()))))
            }
        }
    }

    fn outcome(&self, routed: Routed) -> Outcome {
        match routed {
            Routed::Handled(outcome) => outcome,
            Routed::Held(plugin) => {
                let hold = self.turn.table.held(&plugin);
                Outcome::Fault(hold.map_or_else(|| Fault::host("it is held"), |hold| hold.fault(&plugin)))
            }
        }
    }

    /// A message, from a peer or from this site itself; a ticket in it is checked and consumed.
    fn message(
        &mut self,
        plugin: &str,
        message: &MessageEvent,
        ticket: Option<&serde_json::Value>,
        checked: &Checked,
    ) -> Result<Outcome, StoreError> {
        let Some(ticket) = ticket else {
            let outcome = self.event(plugin, message.event(), checked, |_| Ok(None))?;
            // Nobody knows who a stranger is, so nothing of one is kept.
            return if message.restricted { Ok(outcome) } else { self.set_aside(plugin, message.event(), outcome, 1) };
        };
        let now = self.turn.now;
        let presentation = Presentation {
            target: &message.target,
            action: &message.action,
            to: &message.to,
            from: &message.from,
            ticket,
        };
        let (own, proven) = (self.turn.host.agent(), &message.from.agent);
        let mut buffer = Buffer::new(&mut *self.transaction);
        let refused = |why: String| Ok(Outcome::Fault(Fault::refused(why).code("ticket")));
        let valid = match tickets::present(&mut buffer, own, proven, &presentation, now)? {
            Ok(valid) => valid,
            Err(refusal) => return refused(refusal.to_string()),
        };
        if valid.plugin() != plugin {
            return refused("the token is another plugin's".to_owned());
        }
        let event = Event::Message(Message { ticket: Some(valid.presented()), ..Message::clone(message) }).into();
        let outcome = self.event(plugin, &event, checked, |buffer| match valid.consume(buffer, now) {
            Ok(()) => Ok(None),
            // Not another process, since this is one transaction: the handler itself has changed it.
            Err(StoreError::Conflict) => Ok(Some(Fault::failed("the handler has changed the ticket it was given"))),
            Err(error) => Err(error),
        })?;
        // One that fails is not set aside: the token stays unused, and whoever has it presents it again.
        Ok(match outcome {
            Outcome::Fault(fault) if fault.kind == FaultKind::Refused => Outcome::Fault(fault.code("ticket")),
            other => other,
        })
    }

    /// A message of this site to itself: reported as handed over, handled, and taken out of the outbox,
    /// all in one transaction. Where the host cannot serve the handler it stays, and comes again.
    pub(super) fn local(&mut self, mid: u64) -> Result<Outcome, StoreError> {
        let own = self.turn.host.agent().clone();
        let line = Line::from(&own);
        let Some(row) = self.buffered(|buffer| outbox::get(buffer, &line, mid))? else {
            return Ok(Outcome::Done(Vec::new())); // withdrawn meanwhile
        };
        let told = row.handed || !row.message.report || row.message.ticket.is_some();
        let outbox::OutboxRow { plugin: sender, message: sent, .. } = row;
        if !told {
            self.report(&sender, &sent.key, &own, Fate::HandedOver, (Told::Once, Some(mid)))?;
        }
        let from = Some(sent.from.clone()).filter(|from| !from.is_empty());
        let message = Message {
            target: sent.target.clone(),
            action: sent.action.clone(),
            to: sent.to.clone(),
            from: tallyho_plugin::record::Chad { cuid: from, agent: own.clone(), host: None, port: None },
            tally: sent.tally.clone(),
            ticket: None,
            restricted: false,
            asked: false,
            attempt: None,
            body: sent.object.clone(),
        };
        let routed = self.routed(&message.into(), None, sent.ticket.as_ref(), &Checked::new())?;
        let outcome = self.outcome(routed);
        if matches!(&outcome, Outcome::Fault(fault) if fault.kind == FaultKind::Host) {
            let later = self.turn.now.plus(TIMER_RETRY_MS);
            self.buffered(|buffer| Ok(timers::set(buffer, HOST, &again_key(mid), later)?))?;
            return Ok(outcome);
        }
        self.buffered(|buffer| outbox::remove(buffer, &line, mid))?;
        if sent.ticket.is_some() {
            let fate = if matches!(outcome, Outcome::Done(_)) { Fate::Accepted } else { Fate::Refused };
            self.report(&sender, &sent.key, &own, fate, (Told::Once, None))?;
        }
        Ok(outcome)
    }
}
