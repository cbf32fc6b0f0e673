//! When which message leaves for which peer: the outbox's schedule (PROTOCOL 11), without I/O.
//!
//! Order matters. A host that gives receipts takes an id below the highest it has seen for a repeat and
//! drops it (PROTOCOL A.4), and a receipt covers all ids up to its own. So on every channel with receipts
//! the rows go out from the lowest id on, without a gap: the schedule says when a peer is called, not
//! which rows go once it is reached.
//!
//! The courier holds a window of each peer's outbox rows in memory. It says what to dial and what to
//! hand to an open channel, and is told what became of that. A row leaves the courier when the
//! ledger says so (receipt, withdrawal) or when its schedule is used up; it is the ledger that
//! deletes it from the store.

use super::limits::{REQUEST_RETRY_MS, REQUEST_TRIES, TICKET_RETRY_MS, TICKET_TRIES};
use crate::ledger::input::Post;
use crate::ledger::limits::OUTBOX_WINDOW;
use crate::ledger::outbox::OutboxRow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tallyho_plugin::record::{AgentId, Timestamp};
use tallyho_plugin::services::{Keep, Schedule};
use tallyho_plugin::{Fate, record::Chad};

/// Names an open channel.
pub type ChannelId = u64;

/// Something the courier wants done.
#[derive(Debug, Clone)]
pub enum Order {
    /// Open a channel to this peer, this row being its opening message.
    Dial {
        /// The peer, with hints where it may be found.
        to: Chad,
        /// The row.
        mid: u64,
        /// The row's message.
        row: Arc<OutboxRow>,
        /// How often it has been sent before, this time included.
        attempt: u32,
    },
    /// Hand a row to an open channel.
    Send {
        /// Which channel.
        channel: ChannelId,
        /// The row.
        mid: u64,
        /// The row's message.
        row: Arc<OutboxRow>,
        /// How often it has been sent before, this time included.
        attempt: u32,
    },
    /// Tell the ledger what became of a row.
    Report {
        /// The peer.
        agent: AgentId,
        /// The row.
        mid: u64,
        /// What became of it.
        fate: Fate,
        /// Receipts are in force on the channel.
        receipts: bool,
    },
    /// Read more rows of this peer from the store, above this id.
    Refill {
        /// The peer.
        agent: AgentId,
        /// The last id known.
        after: u64,
    },
}

#[derive(Debug)]
struct Waiting {
    row: Arc<OutboxRow>,
    attempts: u32,
    next: Timestamp,
    /// The channel that has it, or the dial under way ([`DIALLING`]).
    with: Option<ChannelId>,
    /// Not one byte of it was ever written to a socket, as far as is known.
    unsent: bool,
}

/// In place of a channel's id while a dial has the row.
const DIALLING: ChannelId = 0;

#[derive(Debug, Default)]
struct Peer {
    rows: BTreeMap<u64, Waiting>,
    channels: Vec<(ChannelId, bool)>,
    dialling: bool,
    /// The store has rows beyond those in memory.
    more: bool,
    last: u64,
}

impl Waiting {
    /// A ticket always opens a channel of its own, whose answer is the only one there is.
    fn is_ticket(&self) -> bool {
        self.row.message.ticket.is_some()
    }
}

impl Peer {
    /// The row to call the peer with, where one has come due: a ticket, or the lowest of the others.
    fn next_call(&mut self, now: Timestamp) -> Option<(u64, &mut Waiting)> {
        let reached = !self.channels.is_empty();
        let due = |waiting: &Waiting| waiting.with.is_none() && waiting.next <= now;
        let ticket = self.rows.values().find(|waiting| due(waiting) && (waiting.is_ticket() || !reached))?.is_ticket();
        let mut rows = self.rows.iter_mut().filter(|(_, waiting)| waiting.with.is_none());
        let (mid, waiting) = rows.find(|(_, waiting)| match ticket {
            true => waiting.is_ticket() && waiting.next <= now,
            false => !waiting.is_ticket(),
        })?;
        Some((*mid, waiting))
    }

    /// Asks for more rows where the store has some and there is room.
    fn replenish(&mut self, agent: &AgentId) -> Option<Order> {
        if !self.more || self.rows.len() >= OUTBOX_WINDOW / 2 {
            return None;
        }
        self.more = false; // asked for once; the answer says whether there is still more
        Some(Order::Refill { agent: agent.clone(), after: self.last })
    }
}

/// The schedule of all peers; see the module.
#[derive(Debug, Default)]
pub struct Courier {
    peers: HashMap<AgentId, Peer>,
    jitter: u64,
}

impl Courier {
    /// A courier whose random delays are drawn from `seed`.
    pub fn new(seed: u64) -> Self {
        Courier { peers: HashMap::new(), jitter: seed | 1 }
    }

    /// Rows to deliver. `fresh`: they have just been sent, rather than found in the store at start.
    pub fn post(&mut self, posts: Vec<Post>, fresh: bool, now: Timestamp) -> Vec<Order> {
        let mut agents = Vec::new();
        let mut found: HashMap<AgentId, usize> = HashMap::new();
        for Post { agent, mid, row } in posts {
            if !fresh {
                *found.entry(agent.clone()).or_default() += 1;
            }
            let peer = self.peers.entry(agent.clone()).or_default();
            if peer.rows.len() >= OUTBOX_WINDOW || (peer.more && fresh) {
                peer.more = true;
                continue;
            }
            peer.last = peer.last.max(mid);
            peer.rows.insert(mid, Waiting { row, attempts: 0, next: now, with: None, unsent: fresh });
            if agents.last() != Some(&agent) {
                agents.push(agent);
            }
        }
        for (agent, _) in found.into_iter().filter(|(_, rows)| *rows >= OUTBOX_WINDOW) {
            // A whole window was found in the store: there may be more.
            self.peers.entry(agent).or_default().more = true;
        }
        agents.iter().flat_map(|agent| self.work(agent, now)).collect()
    }

    /// Rows of a peer read from the store after [`Order::Refill`].
    pub fn refill(&mut self, agent: &AgentId, posts: Vec<Post>, now: Timestamp) -> Vec<Order> {
        self.peers.entry(agent.clone()).or_default().more = false; // `post` looks how many there are
        let orders = self.post(posts, false, now);
        self.forget(agent);
        orders
    }

    /// These rows are received or withdrawn.
    pub fn remove(&mut self, agent: &AgentId, mids: &[u64]) -> Vec<Order> {
        let Some(peer) = self.peers.get_mut(agent) else { return Vec::new() };
        for mid in mids {
            peer.rows.remove(mid);
        }
        let orders = peer.replenish(agent).into_iter().collect();
        self.forget(agent);
        orders
    }

    /// A channel to this peer is open; `receipts`: they are in force on it.
    pub fn opened(&mut self, agent: &AgentId, channel: ChannelId, receipts: bool, now: Timestamp) -> Vec<Order> {
        self.peers.entry(agent.clone()).or_default().channels.push((channel, receipts));
        self.work(agent, now)
    }

    /// A channel has closed; what it had not got through is sent again on the next.
    pub fn closed(&mut self, agent: &AgentId, channel: ChannelId, now: Timestamp) -> Vec<Order> {
        let Some(peer) = self.peers.get_mut(agent) else { return Vec::new() };
        peer.channels.retain(|(open, _)| *open != channel);
        for waiting in peer.rows.values_mut().filter(|waiting| waiting.with == Some(channel)) {
            waiting.with = None;
            waiting.next = now.plus(REQUEST_RETRY_MS.0.min(1_000));
        }
        let orders = self.work(agent, now);
        self.forget(agent);
        orders
    }

    /// A row has been written to a channel, whole.
    pub fn handed(&mut self, agent: &AgentId, channel: ChannelId, mid: u64, now: Timestamp) -> Vec<Order> {
        let Some(peer) = self.peers.get_mut(agent) else { return Vec::new() };
        let receipts = peer.channels.iter().any(|(open, receipts)| *open == channel && *receipts);
        let Some(waiting) = peer.rows.get_mut(&mid) else { return Vec::new() };
        waiting.unsent = false;
        waiting.attempts += 1;
        if !receipts {
            match waiting.row.message.keep {
                Keep::HandedOver => drop(peer.rows.remove(&mid)),
                Keep::Withdrawn => {
                    let delay = delay(waiting.row.message.schedule, waiting.attempts, &mut self.jitter);
                    waiting.with = None;
                    waiting.next = now.plus(delay.unwrap_or(REQUEST_RETRY_MS.1));
                }
            }
        }
        vec![Order::Report { agent: agent.clone(), mid, fate: Fate::HandedOver, receipts }]
    }

    /// A dial ended with an open channel; a ticket that it `carried` was accepted, another opening
    /// message handed over. `receipts`: they are in force on it.
    pub fn answered(
        &mut self,
        agent: &AgentId,
        channel: ChannelId,
        mid: u64,
        carried: bool,
        receipts: bool,
        now: Timestamp,
    ) -> Vec<Order> {
        let Some(peer) = self.peers.get_mut(agent) else { return Vec::new() };
        peer.dialling = false;
        peer.channels.push((channel, receipts));
        let mut orders = Vec::new();
        match peer.rows.get_mut(&mid) {
            Some(waiting) if waiting.row.message.ticket.is_some() => {
                peer.rows.remove(&mid);
                orders.push(Order::Report { agent: agent.clone(), mid, fate: Fate::Accepted, receipts });
            }
            // Another channel has it by now, where the peer has called too.
            Some(waiting) if waiting.with != Some(DIALLING) => {}
            Some(waiting) if carried => {
                waiting.with = Some(channel);
                orders = self.handed(agent, channel, mid, now);
            }
            Some(waiting) => waiting.with = None,
            None => {}
        }
        orders.append(&mut self.work(agent, now));
        orders
    }

    /// A dial ended without a channel. `closed`: the peer took the opening packet and closed without
    /// an answer, which refuses a ticket (PROTOCOL 2.5); `unsent`: not one byte was written.
    pub fn failed(
        &mut self,
        agent: &AgentId,
        mid: u64,
        closed: bool,
        unsent: bool,
        why: &str,
        now: Timestamp,
    ) -> Vec<Order> {
        let Some(peer) = self.peers.get_mut(agent) else { return Vec::new() };
        peer.dialling = false;
        let mut orders = Vec::new();
        let report = |mid, fate| Order::Report { agent: agent.clone(), mid, fate, receipts: false };
        if let Some(waiting) = peer.rows.get_mut(&mid) {
            waiting.unsent &= unsent;
            if waiting.with == Some(DIALLING) {
                waiting.with = None;
            }
            if closed && waiting.row.message.ticket.is_some() {
                peer.rows.remove(&mid);
                orders.push(report(mid, Fate::Refused));
            }
        }
        // Every row that waited for this dial has had its attempt.
        let mut over = Vec::new();
        for (mid, waiting) in peer.rows.iter_mut().filter(|(_, waiting)| waiting.with.is_none() && waiting.next <= now)
        {
            waiting.attempts += 1;
            let delay = delay(waiting.row.message.schedule, waiting.attempts, &mut self.jitter);
            let next = delay.map(|delay| now.plus(delay)).filter(|next| match waiting.row.message.schedule {
                Schedule::Until(end) => *next < end,
                _ => true,
            });
            match next {
                Some(next) => {
                    waiting.next = next;
                    if waiting.row.message.report {
                        orders.push(report(*mid, Fate::Delayed { attempts: waiting.attempts, why: why.to_owned() }));
                    }
                }
                None => {
                    match waiting.row.message.schedule {
                        // The request stands (PROTOCOL 11.2): it goes when the peer shows itself, and
                        // must then go before what was sent later.
                        Schedule::Request => waiting.next = Timestamp(i64::MAX),
                        _ => over.push(*mid),
                    }
                    let (attempts, unsent) = (waiting.attempts, waiting.unsent);
                    orders.push(report(*mid, Fate::Stalled { attempts, unsent, why: why.to_owned() }));
                }
            }
        }
        for mid in over {
            peer.rows.remove(&mid);
        }
        orders.extend(peer.replenish(agent));
        orders.append(&mut self.work(agent, now));
        self.forget(agent);
        orders
    }

    /// What has come due.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Order> {
        let due = |peer: &Peer| peer.rows.values().any(|waiting| waiting.with.is_none() && waiting.next <= now);
        let agents: Vec<AgentId> =
            self.peers.iter().filter(|(_, peer)| due(peer)).map(|(agent, _)| agent.clone()).collect();
        agents.iter().flat_map(|agent| self.work(agent, now)).collect()
    }

    /// When the next row comes due.
    pub fn next(&self) -> Option<Timestamp> {
        let idle = self.peers.values().filter(|peer| !peer.dialling);
        idle.flat_map(|peer| peer.rows.values()).filter(|row| row.with.is_none()).map(|row| row.next).min()
    }

    /// Rows waiting for a peer, as far as they are in memory.
    pub fn queued(&self, agent: &AgentId) -> usize {
        self.peers.get(agent).map_or(0, |peer| peer.rows.len())
    }

    /// Hands a peer's rows to its channel, in order, or has it dialled.
    fn work(&mut self, agent: &AgentId, now: Timestamp) -> Vec<Order> {
        let Some(peer) = self.peers.get_mut(agent) else { return Vec::new() };
        let mut orders = Vec::new();
        if let Some((channel, receipts)) = peer.channels.first().copied() {
            for (mid, waiting) in peer.rows.iter_mut().filter(|(_, waiting)| !waiting.is_ticket()) {
                let free = match waiting.with {
                    None => receipts || waiting.attempts == 0 || waiting.next <= now,
                    // The peer has called while it was being called: what the call carries has to come
                    // before what follows on this channel, whichever arrives first.
                    Some(DIALLING) => receipts,
                    Some(_) => false,
                };
                if free {
                    waiting.with = Some(channel);
                    let (row, attempt) = (Arc::clone(&waiting.row), waiting.attempts + 1);
                    orders.push(Order::Send { channel, mid: *mid, row, attempt });
                }
            }
        }
        if !peer.dialling
            && let Some((mid, waiting)) = peer.next_call(now)
        {
            waiting.with = Some(DIALLING);
            let (row, attempt) = (Arc::clone(&waiting.row), waiting.attempts + 1);
            peer.dialling = true;
            orders.push(Order::Dial { to: row.message.to.clone(), mid, row, attempt });
        }
        orders
    }

    /// Drops a peer that nothing is known of any more.
    fn forget(&mut self, agent: &AgentId) {
        let idle = |peer: &Peer| peer.rows.is_empty() && peer.channels.is_empty() && !peer.dialling && !peer.more;
        if self.peers.get(agent).is_some_and(idle) {
            self.peers.remove(agent);
        }
    }
}

/// Milliseconds from attempt `n` to the next; `None`: there is none (PROTOCOL 11.2).
fn delay(schedule: Schedule, n: u32, jitter: &mut u64) -> Option<i64> {
    match schedule {
        Schedule::Request if n < REQUEST_TRIES => {
            let (step, most) = REQUEST_RETRY_MS;
            let delay = (step * i64::from(n)).min(most);
            // xorshift64: spreads retries of many sites, nothing depends on its quality.
            *jitter ^= *jitter << 13;
            *jitter ^= *jitter >> 7;
            *jitter ^= *jitter << 17;
            let percent = i64::try_from(*jitter % 41).unwrap_or(0) - 20;
            Some(delay + delay * percent / 100)
        }
        Schedule::Ticket if n < TICKET_TRIES => Some(TICKET_RETRY_MS),
        Schedule::Until(_) => Some(2_000i64 << n.saturating_sub(1).min(8)),
        _ => None,
    }
}

#[cfg(test)]
#[path = "courier_tests.rs"]
mod tests;
