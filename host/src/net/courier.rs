//! When which message leaves for which peer: the outbox's schedule (PROTOCOL 11), without I/O.
//!
//! The courier holds a window of each peer's outbox rows in memory. It says what to dial and what to
//! hand to an open channel, and is told what became of that. A row leaves the courier when the
//! ledger says so (receipt, withdrawal) or when its schedule is used up; it is the ledger that
//! deletes it from the store. A peer is a line of the outbox ([`Line`]): an agent, or a stranger at an address.
//!
//! A peer that gives receipts takes an id at or below the highest it has seen as seen before (PROTOCOL
//! A.4). So no message may overtake another that has no receipt yet, whatever the schedule says:
//!
//! - all rows on their way are on one channel; the next one gets them all, lowest id first;
//! - the opening message of a dial is the lowest row of all, and the others wait until it has ended, or
//!   until the peer itself has opened a channel with receipts: all of them leave over that one, the
//!   lowest too, whose second copy the peer knows by its id. Without receipts they wait, since a late
//!   copy of an earlier message would be taken for a new one;
//! - a row given up stays in its place, and leaves with the others once a channel is there;
//! - rows that have no room in memory keep later ones out of it.
//!
//! Tickets are apart from all this: each is presented by an opening packet of its own, whose answer
//! is the only one there is, and carries no id.
//!
//! Orders must be carried out in the order in which they are given.

#[cfg(test)]
mod order_tests;
mod peer;
#[cfg(test)]
mod properties;
mod rows;
mod schedule;
#[cfg(test)]
mod tests;

use super::limits::REQUEST_RETRY_MS;
use crate::ledger::input::Post;
use crate::ledger::line::Line;
use crate::ledger::outbox::OutboxRow;
use peer::{Peer, Place, Waiting};
use schedule::Jitter;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tallyho_plugin::record::Timestamp;
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
        /// Where it waits.
        line: Line,
        /// The row.
        mid: u64,
        /// What became of it.
        fate: Fate,
        /// Receipts are in force on the channel.
        receipts: bool,
    },
    /// Read more rows of this peer from the store, above this id.
    Refill {
        /// Where it waits.
        line: Line,
        /// The last id known.
        after: u64,
    },
}

/// The schedule of all peers; see the module.
#[derive(Debug)]
pub struct Courier {
    peers: BTreeMap<Line, Peer>,
    jitter: Jitter,
}

impl Courier {
    /// A courier whose random delays are drawn from `seed`.
    pub fn new(seed: u64) -> Self {
        Courier { peers: BTreeMap::new(), jitter: Jitter::new(seed) }
    }

    /// Rows to deliver, each peer's in order of ids. `fresh`: they have just been sent, rather than
    /// found in the store at start, where each peer's are the first window of those there are.
    pub fn post(&mut self, posts: Vec<Post>, fresh: bool, now: Timestamp) -> Vec<Order> {
        let mut lines = BTreeSet::new();
        let mut found: BTreeMap<Line, (usize, usize)> = BTreeMap::new();
        for Post { line, mid, row } in posts {
            let peer = self.peers.entry(line.clone()).or_default();
            let bytes = row.bytes();
            // A small one must not get in past a larger one that had no room.
            if peer.more || !peer.take(mid, row, fresh, now) {
                peer.revive(now);
            }
            if !fresh {
                let found = found.entry(line.clone()).or_default();
                *found = (found.0 + 1, found.1 + bytes);
            }
            lines.insert(line);
        }
        for (line, (rows, bytes)) in found {
            if let Some(peer) = self.peers.get_mut(&line).filter(|_| rows::fill(rows, bytes)) {
                peer.more = true;
            }
        }
        lines.iter().flat_map(|line| self.work(line, now)).collect()
    }

    /// Rows of a peer read from the store after [`Order::Refill`]. No commit may lie between the read
    /// and this call.
    pub fn refill(&mut self, line: &Line, posts: Vec<Post>, now: Timestamp) -> Vec<Order> {
        let Some(peer) = self.peers.get_mut(line) else { return Vec::new() };
        peer.asked = None;
        peer.more = rows::fill(posts.len(), posts.iter().map(|post| post.row.bytes()).sum());
        for Post { mid, row, .. } in posts {
            if !peer.take(mid, row, false, now) {
                break;
            }
        }
        self.work(line, now)
    }

    /// These rows are received or withdrawn.
    pub fn remove(&mut self, line: &Line, mids: &[u64], now: Timestamp) -> Vec<Order> {
        let Some(peer) = self.peers.get_mut(line) else { return Vec::new() };
        for mid in mids {
            peer.rows.remove(*mid);
        }
        self.work(line, now)
    }

    /// A channel to this peer is open, beside those there are; `receipts`: they are in force on it.
    pub fn opened(&mut self, line: &Line, channel: ChannelId, receipts: bool, now: Timestamp) -> Vec<Order> {
        self.peers.entry(line.clone()).or_default().channels.push((channel, receipts));
        self.work(line, now)
    }

    /// The peer has opened a channel, and not to present a ticket: as far as it knows there is no other.
    /// With receipts, what older channels have got no receipt for leaves over this one, which is also the
    /// first choice for what comes later: an older one may be dead for minutes without our seeing it.
    /// Whatever older channels have not written is to be taken back from them.
    pub fn called_us(&mut self, line: &Line, channel: ChannelId, receipts: bool, now: Timestamp) -> Vec<Order> {
        let peer = self.peers.entry(line.clone()).or_default();
        peer.channels.insert(0, (channel, receipts));
        if receipts {
            peer.rows.values_mut().for_each(Waiting::leave_channel);
        }
        self.work(line, now)
    }

    /// A channel has closed; what it had not got through is sent again: on another that is open, or
    /// when its schedule says.
    pub fn closed(&mut self, line: &Line, channel: ChannelId, now: Timestamp) -> Vec<Order> {
        let Some(peer) = self.peers.get_mut(line) else { return Vec::new() };
        peer.channels.retain(|(open, _)| *open != channel);
        let mut over = Vec::new();
        for (mid, waiting) in peer.rows.iter_mut() {
            match waiting.place {
                // Some of it may have been written.
                Place::Queued(with) if with == channel => waiting.attempts += 1,
                Place::Handed(with) if with == channel => {}
                _ => continue,
            }
            (waiting.place, waiting.unsent) = (Place::Here, false);
            if waiting.plan(now, &mut self.jitter) {
                over.push(mid);
            }
        }
        let mut orders = Vec::new();
        for mid in over {
            peer.give_up(line, mid, "the channel closed before the message was received", &mut orders);
        }
        orders.append(&mut self.work(line, now));
        orders
    }

    /// A row has been written to a channel, whole.
    pub fn handed(&mut self, line: &Line, channel: ChannelId, mid: u64, now: Timestamp) -> Vec<Order> {
        let Some(peer) = self.peers.get_mut(line) else { return Vec::new() };
        let receipts = peer.channels.iter().any(|(open, receipts)| *open == channel && *receipts);
        let Some(waiting) = peer.rows.get_mut(mid).filter(|waiting| waiting.place == Place::Queued(channel)) else {
            return Vec::new(); // withdrawn meanwhile
        };
        waiting.unsent = false;
        waiting.attempts += 1;
        // Otherwise nobody has anything to do about it: not the sender, and the row stays.
        let matters = waiting.row.message.report || !receipts && waiting.row.message.keep == Keep::HandedOver;
        match waiting.row.message.keep {
            _ if receipts => waiting.place = Place::Handed(channel),
            Keep::HandedOver => drop(peer.rows.remove(mid)),
            Keep::Withdrawn => {
                waiting.place = Place::Here;
                waiting.repeated = true;
                waiting.plan(now, &mut self.jitter);
                if waiting.row.message.schedule == Schedule::Request {
                    // A checkpoint is never given up (PROTOCOL 11.2).
                    waiting.next.get_or_insert(now.plus(REQUEST_RETRY_MS.1));
                }
            }
        }
        let mut orders = Vec::new();
        if matters {
            orders.push(Order::Report { line: line.clone(), mid, fate: Fate::HandedOver, receipts });
        }
        // Where its receipt will come, nothing else has become possible by this.
        if !receipts {
            orders.append(&mut self.work(line, now));
        }
        orders
    }

    /// Asked just before a dial begins, which may have waited long for its turn. `Some`: it is not
    /// wanted any more, since the row has gone or the peer has called itself.
    pub fn called_off(&mut self, line: &Line, mid: u64, now: Timestamp) -> Option<Vec<Order>> {
        let peer = self.peers.get_mut(line)?;
        let dialling = peer.dialling.filter(|dialling| dialling.mid == mid)?;
        if let Some(waiting) = peer.rows.get_mut(mid) {
            if dialling.ticket || peer.channels.is_empty() {
                return None;
            }
            waiting.come_back();
        }
        peer.dialling = None;
        Some(self.work(line, now))
    }

    /// A dial ended with an open channel; a ticket that it `carried` was accepted, another opening
    /// message handed over. `receipts`: they are in force on it.
    pub fn answered(
        &mut self,
        line: &Line,
        channel: ChannelId,
        mid: u64,
        carried: bool,
        receipts: bool,
        now: Timestamp,
    ) -> Vec<Order> {
        let peer = self.peers.entry(line.clone()).or_default();
        peer.dialling = None;
        peer.channels.push((channel, receipts));
        let mut orders = Vec::new();
        match peer.rows.get_mut(mid) {
            Some(waiting) if waiting.is_ticket() => {
                peer.rows.remove(mid);
                orders.push(Order::Report { line: line.clone(), mid, fate: Fate::Accepted, receipts });
            }
            // Another channel has it, with all that follow it.
            Some(Waiting { place: Place::Queued(_) | Place::Handed(_), .. }) => {}
            Some(waiting) if carried => {
                waiting.place = Place::Queued(channel);
                orders = self.handed(line, channel, mid, now);
            }
            Some(waiting) => waiting.come_back(),
            None => {}
        }
        orders.append(&mut self.work(line, now));
        orders
    }

    /// A dial ended with a ticket accepted and no channel kept.
    pub fn accepted(&mut self, line: &Line, mid: u64, now: Timestamp) -> Vec<Order> {
        let Some(peer) = self.peers.get_mut(line) else { return Vec::new() };
        peer.dialling = None;
        let mut orders = Vec::new();
        if peer.rows.remove(mid).is_some() {
            orders.push(Order::Report { line: line.clone(), mid, fate: Fate::Accepted, receipts: true });
        }
        orders.append(&mut self.work(line, now));
        orders
    }

    /// A dial ended without a channel. `closed`: the peer took the opening packet and closed without
    /// an answer, which refuses a ticket (PROTOCOL 2.5); `unsent`: not one byte was written.
    pub fn failed(
        &mut self,
        line: &Line,
        mid: u64,
        closed: bool,
        unsent: bool,
        why: &str,
        now: Timestamp,
    ) -> Vec<Order> {
        let Some(peer) = self.peers.get_mut(line) else { return Vec::new() };
        let ticket = peer.dialling.take().is_some_and(|dialling| dialling.ticket);
        let mut orders = Vec::new();
        if let Some(waiting) = peer.rows.get_mut(mid) {
            waiting.unsent &= unsent;
            waiting.come_back();
        }
        if ticket && closed && peer.rows.remove(mid).is_some() {
            orders.push(Order::Report { line: line.clone(), mid, fate: Fate::Refused, receipts: false });
        }
        // Every row that waited for this dial has had its attempt; those that a channel has did not wait.
        // What became of a ticket says nothing about others, and they nothing about it.
        let waited = |(at, waiting): (u64, &Waiting)| match ticket {
            true => (at == mid).then_some(at),
            false => (!waiting.is_ticket() && waiting.is_here() && waiting.is_due(now)).then_some(at),
        };
        let waited: Vec<u64> = peer.rows.iter().filter_map(waited).collect();
        for mid in waited {
            peer.tried(line, mid, why, now, &mut self.jitter, &mut orders);
        }
        orders.append(&mut self.work(line, now));
        orders
    }

    /// What has come due.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Order> {
        let due = |peer: &Peer| peer.next().is_some_and(|next| next <= now);
        let lines: Vec<Line> = self.peers.iter().filter(|(_, peer)| due(peer)).map(|(line, _)| line.clone()).collect();
        lines.iter().flat_map(|line| self.work(line, now)).collect()
    }

    /// When something comes due.
    pub fn next(&self) -> Option<Timestamp> {
        self.peers.values().filter_map(Peer::next).min()
    }

    /// Rows waiting for a peer, as far as they are in memory.
    pub fn queued(&self, line: &Line) -> usize {
        self.peers.get(line).map_or(0, |peer| peer.rows.len())
    }

    /// Peers that something is known of: with rows, channels or a dial under way.
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    /// Whatever can be done for this peer now; forgets it where nothing is left to do.
    fn work(&mut self, line: &Line, now: Timestamp) -> Vec<Order> {
        let Some(peer) = self.peers.get_mut(line) else { return Vec::new() };
        let mut orders = Vec::new();
        peer.work(line, now, &mut orders);
        peer.ask(line, now, &mut orders);
        if peer.is_idle() {
            self.peers.remove(line);
        }
        orders
    }
}
