//! When which message leaves for which peer: the outbox's schedule (PROTOCOL 11), without I/O.
//!
//! The courier holds a window of each peer's outbox rows in memory. It says what to dial and what to
//! hand to an open channel, and is told what became of that. A row leaves the courier when the
//! ledger says so (receipt, withdrawal) or when its schedule is used up; it is the ledger that
//! deletes it from the store.
//!
//! **Order is not a nicety.** A peer that gives receipts takes an id below one that it has applied for a
//! repeat (PROTOCOL A.4), and drops it. So towards such a peer no row may ever overtake an older
//! one: a call carries the oldest row, a new channel begins with the oldest, and rows that stay
//! behind in the store hold back all newer ones.

use super::limits::{REDIAL_MS, REQUEST_RETRY_MS, REQUEST_TRIES, TICKET_RETRY_MS, TICKET_TRIES};
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
    /// Handed over without a receipt: it is sent again only when it comes due, channel or not.
    handed: bool,
    /// Not one byte of it was ever written to a socket, as far as is known.
    unsent: bool,
}

/// In place of a channel's id while a dial has the row.
const DIALLING: ChannelId = 0;

/// A row whose schedule is used up: nobody is dialled for it, but a channel takes it along.
const NEVER: Timestamp = Timestamp(i64::MAX);

#[derive(Debug, Default)]
struct Peer {
    rows: BTreeMap<u64, Waiting>,
    channels: Vec<(ChannelId, bool)>,
    dialling: bool,
    /// The store has rows beyond those in memory; no newer one is taken before them.
    more: bool,
    /// They have been asked for.
    asked: bool,
    last: u64,
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

    /// Rows to deliver. `fresh`: they have just been sent, rather than found in the store at start; of
    /// those found, a whole window of one peer means that there may be more.
    pub fn post(&mut self, posts: Vec<Post>, fresh: bool, now: Timestamp) -> Vec<Order> {
        let mut found: BTreeMap<AgentId, usize> = BTreeMap::new();
        for post in posts {
            *found.entry(post.agent.clone()).or_default() += 1;
            let peer = self.peers.entry(post.agent.clone()).or_default();
            if fresh && (peer.more || peer.asked) {
                peer.more = true;
                continue;
            }
            peer.take(post, fresh, now);
        }
        let mut orders = Vec::new();
        for (agent, count) in found {
            if let Some(peer) = self.peers.get_mut(&agent) {
                peer.more |= !fresh && count >= OUTBOX_WINDOW;
            }
            orders.append(&mut self.work(&agent, now));
        }
        orders
    }

    /// Rows of a peer read from the store after [`Order::Refill`].
    pub fn refill(&mut self, agent: &AgentId, posts: Vec<Post>, now: Timestamp) -> Vec<Order> {
        let peer = self.peers.entry(agent.clone()).or_default();
        peer.asked = false;
        peer.more = false;
        let orders = self.post(posts, false, now);
        self.forget(agent);
        orders
    }

    /// The store could not be read after [`Order::Refill`]; it is asked again when more rows leave.
    pub fn not_refilled(&mut self, agent: &AgentId) {
        if let Some(peer) = self.peers.get_mut(agent) {
            (peer.more, peer.asked) = (true, false);
        }
    }

    /// These rows are received or withdrawn.
    pub fn remove(&mut self, agent: &AgentId, mids: &[u64]) -> Vec<Order> {
        let Some(peer) = self.peers.get_mut(agent) else { return Vec::new() };
        for mid in mids {
            peer.rows.remove(mid);
        }
        let orders = peer.refill(agent).into_iter().collect();
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
            waiting.next = now.plus(REDIAL_MS);
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
                    waiting.handed = true;
                    waiting.next = now.plus(delay.unwrap_or(REQUEST_RETRY_MS.1));
                }
            }
        }
        let mut orders = vec![Order::Report { agent: agent.clone(), mid, fate: Fate::HandedOver, receipts }];
        orders.extend(peer.refill(agent));
        orders
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
            // The peer has called meanwhile, and its channel has taken the row along.
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
        if let Some(waiting) = peer.rows.get_mut(&mid).filter(|waiting| waiting.with == Some(DIALLING)) {
            waiting.unsent &= unsent;
            waiting.with = None;
            waiting.next = waiting.next.min(now);
            if closed && waiting.row.message.ticket.is_some() {
                peer.rows.remove(&mid);
                orders.push(report(mid, Fate::Refused));
            }
        }
        // Every row that waited for this dial has had its attempt.
        let mut over = Vec::new();
        for (mid, waiting) in peer.rows.iter_mut().filter(|(_, waiting)| waiting.is_due(now)) {
            waiting.attempts += 1;
            let schedule = waiting.row.message.schedule;
            let delay = delay(schedule, waiting.attempts, &mut self.jitter);
            let next = delay.map(|delay| now.plus(delay)).filter(|next| match schedule {
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
                    // A request stays (PROTOCOL 11.2), and must stay in its place before newer ones.
                    waiting.next = NEVER;
                    if schedule != Schedule::Request {
                        over.push(*mid);
                    }
                    let (attempts, unsent) = (waiting.attempts, waiting.unsent);
                    orders.push(report(*mid, Fate::Stalled { attempts, unsent, why: why.to_owned() }));
                }
            }
        }
        for mid in over {
            peer.rows.remove(&mid);
        }
        orders.extend(peer.refill(agent));
        orders.append(&mut self.work(agent, now));
        self.forget(agent);
        orders
    }

    /// What has come due.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Order> {
        let due = |peer: &Peer| peer.rows.values().any(|waiting| waiting.is_due(now));
        let agents: Vec<AgentId> =
            self.peers.iter().filter(|(_, peer)| due(peer)).map(|(agent, _)| agent.clone()).collect();
        agents.iter().flat_map(|agent| self.work(agent, now)).collect()
    }

    /// Rows waiting for a peer, as far as they are in memory.
    pub fn queued(&self, agent: &AgentId) -> usize {
        self.peers.get(agent).map_or(0, |peer| peer.rows.len())
    }

    /// Hands rows of a peer to its channel, in order, or has it dialled where one is due.
    fn work(&mut self, agent: &AgentId, now: Timestamp) -> Vec<Order> {
        let Some(peer) = self.peers.get_mut(agent) else { return Vec::new() };
        let mut orders = Vec::new();
        let channel = peer.channels.first().copied();
        if let Some((channel, receipts)) = channel {
            for (mid, waiting) in peer.rows.iter_mut().filter(|(_, waiting)| waiting.row.message.ticket.is_none()) {
                // What a dial carries goes along, or newer rows would overtake it; the peer applies it once.
                let free = waiting.with.is_none() || (receipts && waiting.with == Some(DIALLING));
                if free && (receipts || !waiting.rests(now)) {
                    waiting.with = Some(channel);
                    let (row, attempt) = (Arc::clone(&waiting.row), waiting.attempts + 1);
                    orders.push(Order::Send { channel, mid: *mid, row, attempt });
                }
            }
        }
        if !peer.dialling
            && let Some((mid, waiting)) = peer.next_call(channel.is_none(), now)
        {
            waiting.with = Some(DIALLING);
            let (row, attempt) = (Arc::clone(&waiting.row), waiting.attempts + 1);
            orders.push(Order::Dial { to: row.message.to.clone(), mid, row, attempt });
            peer.dialling = true;
        }
        orders
    }

    /// Drops a peer that nothing is known of any more.
    fn forget(&mut self, agent: &AgentId) {
        let idle = |peer: &Peer| {
            peer.rows.is_empty() && peer.channels.is_empty() && !peer.dialling && !peer.more && !peer.asked
        };
        if self.peers.get(agent).is_some_and(idle) {
            self.peers.remove(agent);
        }
    }
}

impl Waiting {
    /// Whether it is time to dial for it.
    fn is_due(&self, now: Timestamp) -> bool {
        self.with.is_none() && self.next <= now
    }

    /// Whether the peer has it already, as far as can be known without receipts, and its next copy is
    /// not due yet.
    fn rests(&self, now: Timestamp) -> bool {
        self.handed && self.next > now
    }
}

impl Peer {
    /// Takes a row into memory, if there is room.
    fn take(&mut self, post: Post, fresh: bool, now: Timestamp) {
        if self.rows.len() >= OUTBOX_WINDOW {
            self.more = true;
            return;
        }
        self.last = self.last.max(post.mid);
        let waiting = Waiting { row: post.row, attempts: 0, next: now, with: None, handed: false, unsent: fresh };
        self.rows.entry(post.mid).or_insert(waiting);
    }

    /// The row that a call carries: a ticket that is due, which has its channel for itself, as its
    /// answer is the only one there is; otherwise, with `others`, the oldest row, where any is due.
    fn next_call(&mut self, others: bool, now: Timestamp) -> Option<(u64, &mut Waiting)> {
        let is_ticket = |waiting: &Waiting| waiting.row.message.ticket.is_some();
        let due = |waiting: &Waiting| waiting.is_due(now) && (others || is_ticket(waiting));
        let first_due =
            self.rows.iter().find(|(_, waiting)| due(waiting)).map(|(mid, waiting)| (*mid, is_ticket(waiting)))?;
        let mid = match first_due {
            (mid, true) => mid,
            (mid, false) => {
                let oldest = self
                    .rows
                    .iter()
                    .find(|(_, waiting)| !is_ticket(waiting) && waiting.with.is_none() && !waiting.rests(now));
                oldest.map_or(mid, |(mid, _)| *mid)
            }
        };
        self.rows.get_mut(&mid).map(|waiting| (mid, waiting))
    }

    /// Asks for more rows when few are left.
    fn refill(&mut self, agent: &AgentId) -> Option<Order> {
        if !self.more || self.asked || self.rows.len() >= OUTBOX_WINDOW / 2 {
            return None;
        }
        (self.more, self.asked) = (false, true);
        Some(Order::Refill { agent: agent.clone(), after: self.last })
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
