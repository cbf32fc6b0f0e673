//! From an outbox row to bytes, and from bytes to an input of the other site's ledger, as the host does.

use super::site::{Job, Running, SimSite};
use tallyho::ledger::input::{Inbound, Input, Origin};
use tallyho::ledger::outbox::OutboxRow;
use tallyho::ledger::router::clear;
use tallyho::wire::envelope::{authenticate, unproven};
use tallyho::wire::ext::{self, Receipt};
use tallyho::wire::{Encoding, Envelope};
use tallyho_plugin::Message;
use tallyho_plugin::record::{AgentId, Chad, Timestamp};

/// A row as it leaves `own`.
///
/// # Panics
/// When it does not fit a message.
pub fn encoded(own: &Chad, row: &OutboxRow, mid: u64, attempt: u32, receipts: bool, now: Timestamp) -> Vec<u8> {
    let message = &row.message;
    let from = Chad { cuid: Some(message.from.clone()).filter(|cuid| !cuid.is_empty()), ..own.clone() };
    let envelope = Envelope {
        object: Some(message.object.clone()).filter(|object| !object.is_empty()),
        tally: message.tally.clone(),
        ticket: message.ticket.clone(),
        attempt: Some(u64::from(attempt)),
        last: Some(now.to_string()),
        mid: Some(mid).filter(|_| receipts && message.ticket.is_none()),
        ..Envelope::new(&message.target, &message.action, message.to.clone(), from)
    };
    bytes(&envelope, receipts)
}

/// A receipt as it leaves `own`.
pub fn receipt(own: &Chad, to: &AgentId, receipt: &Receipt) -> Vec<u8> {
    let to = Chad { cuid: None, agent: to.clone(), host: None, port: None };
    bytes(&receipt.message(to, own.clone()), true)
}

fn bytes(envelope: &Envelope, receipts: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoding = if receipts { Encoding::Cbor } else { Encoding::Json };
    envelope.encode(encoding, &mut bytes).expect("a message of a handler fits");
    bytes
}

/// How something came.
pub enum Way {
    /// By a channel that proves this agent.
    Peer {
        /// Who.
        agent: AgentId,
        /// Both acknowledge what they get.
        receipts: bool,
    },
    /// By a channel that a stranger has opened.
    Stranger {
        /// The channel.
        origin: Option<Origin>,
    },
    /// By a restricted channel that this site has opened to this agent.
    Asked {
        /// Whom.
        agent: AgentId,
    },
}

/// What came, as jobs of the site's ledger. `call`: the call that waits for the outcome.
///
/// # Panics
/// When it is no message, or not from that agent: no site sends such.
pub fn arrived(site: &mut SimSite, way: &Way, bytes: &[u8], call: Option<usize>, now: Timestamp) {
    let own = site.own.agent.clone();
    let envelope = Envelope::parse(bytes).expect("sites send messages");
    let envelope = match way {
        Way::Peer { agent, .. } | Way::Asked { agent } => {
            authenticate(envelope, agent, &own).expect("sites send in their own name").into_inner()
        }
        Way::Stranger { .. } => unproven(envelope, &own).expect("sites ask whom they mean").into_inner(),
    };
    let users = site.users.clone();
    let Some(running) = &mut site.running else { return };
    let (receipts, agent) = match way {
        Way::Peer { agent, receipts } => (*receipts, Some(agent)),
        Way::Stranger { .. } | Way::Asked { .. } => (false, None),
    };
    if let Some(agent) = agent.filter(|_| envelope.target == ext::HOST) {
        let receipt = Receipt::read(&envelope).expect("sites send whole receipts");
        running.waiting.push_back(Job::Input(Input::Receipt { agent: agent.clone(), receipt }, None));
        return;
    }
    let mid = envelope.mid.filter(|_| receipts);
    let input = match inbound(running, &users, envelope, way, mid, now) {
        Some(inbound) => Some(Input::Peer(inbound)),
        None => agent.cloned().zip(mid).map(|(agent, mid)| Input::Dropped { agent, mid }),
    };
    running.waiting.extend(input.map(|input| Job::Input(input, call)));
}

fn inbound(
    running: &Running,
    users: &[&str],
    envelope: Envelope,
    way: &Way,
    mid: Option<u64>,
    now: Timestamp,
) -> Option<Inbound> {
    let Envelope { target, action, to, from, object, tally, ticket, attempt, .. } = envelope;
    if to.cuid.as_deref().is_some_and(|cuid| !users.contains(&cuid)) {
        return None;
    }
    let body = object.unwrap_or_default();
    let (restricted, asked, origin) = match way {
        Way::Peer { .. } => (false, false, None),
        Way::Stranger { origin } => (true, false, *origin),
        Way::Asked { .. } => (true, true, None),
    };
    let message = Message { target, action, to, from, tally, ticket: None, restricted, asked, attempt, body };
    match clear(&running.table, &running.relations, &message, now) {
        Err(dropped) if !dropped.may_pass() || restricted => None,
        cleared => Some(Inbound { message: message.into(), ticket, mid, cleared: cleared.ok(), origin }),
    }
}
