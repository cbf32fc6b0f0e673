//! From an outbox row to bytes, and from bytes to an input of the other site's ledger, as the host does.

use super::site::{Job, Running, SimSite};
use tallyho::ledger::input::{Inbound, Input};
use tallyho::ledger::outbox::OutboxRow;
use tallyho::ledger::router::route;
use tallyho::wire::envelope::authenticate;
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

/// What came from `agent`, as jobs of the site's ledger. `call`: the call that waits for the outcome.
///
/// # Panics
/// When it is no message, or not from that agent: no site sends such.
pub fn arrived(site: &mut SimSite, agent: &AgentId, bytes: &[u8], receipts: bool, call: Option<usize>, now: Timestamp) {
    let own = site.own.agent.clone();
    let envelope = Envelope::parse(bytes).expect("sites send messages");
    let envelope = authenticate(envelope, agent, &own).expect("sites send in their own name").into_inner();
    let users = site.users.clone();
    let Some(running) = &mut site.running else { return };
    if envelope.target == ext::HOST {
        let receipt = Receipt::read(&envelope).expect("sites send whole receipts");
        running.waiting.push_back(Job::Input(Input::Receipt { agent: agent.clone(), receipt }, None));
        return;
    }
    let mid = envelope.mid.filter(|_| receipts);
    let input = match inbound(running, &users, envelope, mid, now) {
        Some(inbound) => Some(Input::Peer(inbound)),
        None => mid.map(|mid| Input::Dropped { agent: agent.clone(), mid }),
    };
    running.waiting.extend(input.map(|input| Job::Input(input, call)));
}

fn inbound(running: &Running, users: &[&str], envelope: Envelope, mid: Option<u64>, now: Timestamp) -> Option<Inbound> {
    let Envelope { target, action, to, from, object, tally, ticket, attempt, .. } = envelope;
    if to.cuid.as_deref().is_some_and(|cuid| !users.contains(&cuid)) {
        return None;
    }
    let body = object.unwrap_or_default();
    let message =
        Message { target, action, to, from, tally, ticket: None, restricted: false, asked: false, attempt, body };
    match route(&running.table, &running.relations, &message, now) {
        Err(dropped) if !dropped.may_pass() => None,
        _ => Some(Inbound { message: message.into(), ticket, mid }),
    }
}
