//! What the courier knows of one peer.

use super::rows::Rows;
use super::schedule::{self, Jitter};
use super::{ChannelId, Order};
use crate::ledger::line::Line;
use crate::ledger::outbox::OutboxRow;
use crate::net::limits::REFILL_RETRY_MS;
use std::sync::Arc;
use tallyho_plugin::Fate;
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::services::Schedule;

/// A row in memory.
#[derive(Debug)]
pub struct Waiting {
    pub row: Arc<OutboxRow>,
    pub attempts: u32,
    /// When it is tried again; `None`: its schedule is used up, it leaves only when a channel is there.
    pub next: Option<Timestamp>,
    pub place: Place,
    /// It was handed over where there are no receipts, and is repeated on its schedule.
    pub repeated: bool,
    /// Not one byte of it was ever written to a socket, as far as is known.
    pub unsent: bool,
}

/// Where a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Here.
    Here,
    /// The opening message of the dial under way.
    Dialling,
    /// Given to this channel, not written yet as far as is known.
    Queued(ChannelId),
    /// Written to this channel, whose receipt will come.
    Handed(ChannelId),
}

/// A dial under way.
#[derive(Debug, Clone, Copy)]
pub struct Dialling {
    pub mid: u64,
    pub ticket: bool,
}

#[derive(Debug, Default)]
pub struct Peer {
    pub rows: Rows,
    /// Open channels, the first choice first, and whether receipts are in force.
    pub channels: Vec<(ChannelId, bool)>,
    pub dialling: Option<Dialling>,
    /// The store has rows beyond those in memory.
    pub more: bool,
    /// When those were asked for.
    pub asked: Option<Timestamp>,
    /// The highest id that has been in memory.
    pub last: u64,
}

impl Waiting {
    pub fn is_ticket(&self) -> bool {
        self.row.message.ticket.is_some()
    }

    pub fn is_here(&self) -> bool {
        self.place == Place::Here
    }

    /// The dial that had it has ended.
    pub fn come_back(&mut self) {
        if self.place == Place::Dialling {
            self.place = Place::Here;
        }
    }

    /// It will be given to another channel.
    pub fn leave_channel(&mut self) {
        if matches!(self.place, Place::Queued(_) | Place::Handed(_)) {
            (self.place, self.unsent) = (Place::Here, false);
        }
    }

    pub fn is_due(&self, now: Timestamp) -> bool {
        self.next.is_some_and(|next| next <= now)
    }

    /// The schedule's next instant; whether that was the end of it.
    pub fn plan(&mut self, now: Timestamp, jitter: &mut Jitter) -> bool {
        let went_on = self.next.is_some();
        self.next = schedule::next(self.row.message.schedule, self.attempts, now, jitter);
        went_on && self.next.is_none()
    }

    /// Once given up it will not be tried again before a restart, not even on a channel that is open.
    fn ends_with_its_schedule(&self) -> bool {
        self.is_ticket() || matches!(self.row.message.schedule, Schedule::Once | Schedule::Until(_))
    }
}

impl Peer {
    /// Takes a row into memory; whether there was room.
    pub fn take(&mut self, mid: u64, row: Arc<OutboxRow>, unsent: bool, now: Timestamp) -> bool {
        if self.rows.is_full() {
            self.more = true;
            return false;
        }
        if mid > self.last {
            self.last = mid;
            let next = Some(now);
            let waiting = Waiting { row, attempts: 0, next, place: Place::Here, repeated: false, unsent };
            self.rows.insert(mid, waiting);
        }
        true
    }

    /// Somebody sends to a peer whose rows in memory have all been given up: it is called once more.
    pub fn revive(&mut self, now: Timestamp) {
        if self.rows.values().all(|waiting| waiting.next.is_none())
            && let Some(first) = self.rows.values_mut().next()
        {
            (first.attempts, first.next) = (0, Some(now));
        }
    }

    /// A row's attempt has failed.
    pub fn tried(
        &mut self,
        line: &Line,
        mid: u64,
        why: &str,
        now: Timestamp,
        jitter: &mut Jitter,
        orders: &mut Vec<Order>,
    ) {
        let Some(waiting) = self.rows.get_mut(mid) else { return };
        waiting.attempts += 1;
        if waiting.plan(now, jitter) {
            self.give_up(line, mid, why, orders);
        } else if waiting.row.message.report && waiting.next.is_some() {
            let fate = Fate::Delayed { attempts: waiting.attempts, why: why.to_owned() };
            orders.push(Order::Report { line: line.clone(), mid, fate, receipts: false });
        }
    }

    /// A row's schedule is used up.
    pub fn give_up(&mut self, line: &Line, mid: u64, why: &str, orders: &mut Vec<Order>) {
        let Some(waiting) = self.rows.get(mid) else { return };
        let fate = Fate::Stalled { attempts: waiting.attempts, unsent: waiting.unsent, why: why.to_owned() };
        orders.push(Order::Report { line: line.clone(), mid, fate, receipts: false });
        if waiting.ends_with_its_schedule() {
            self.rows.remove(mid);
        }
    }

    /// Hands rows to the channel, in order, or has the peer dialled.
    pub fn work(&mut self, line: &Line, now: Timestamp, orders: &mut Vec<Order>) {
        let over = |waiting: &Waiting| waiting.is_here() && schedule::is_over(waiting.row.message.schedule, now);
        let over: Vec<u64> = self.rows.iter().filter(|(_, waiting)| over(waiting)).map(|(mid, _)| mid).collect();
        for mid in over {
            self.give_up(line, mid, "its time is over", orders);
        }
        // A message that a dial has goes before all others, unless the peer tells its copies apart.
        if let Some((channel, receipts)) = self.channel()
            && (receipts || self.dialling.is_none_or(|dialling| dialling.ticket))
        {
            self.hand_out(channel, receipts, now, orders);
        }
        if self.dialling.is_none() {
            self.dial(now, orders);
        }
    }

    fn hand_out(&mut self, channel: ChannelId, receipts: bool, now: Timestamp, orders: &mut Vec<Order>) {
        for (mid, waiting) in self.rows.iter_mut() {
            let is_here = waiting.is_here() || receipts && waiting.place == Place::Dialling;
            if waiting.is_ticket() || !is_here || (!receipts && waiting.repeated && !waiting.is_due(now)) {
                continue;
            }
            waiting.place = Place::Queued(channel);
            let (row, attempt) = (Arc::clone(&waiting.row), waiting.attempts + 1);
            orders.push(Order::Send { channel, mid, row, attempt });
        }
    }

    fn dial(&mut self, now: Timestamp, orders: &mut Vec<Order>) {
        let alone = self.channels.is_empty();
        let wants = |waiting: &Waiting| waiting.is_here() && waiting.is_due(now) && (waiting.is_ticket() || alone);
        let Some(ticket) = self.rows.values().find(|waiting| wants(waiting)).map(Waiting::is_ticket) else { return };
        // Whichever row is due: the first of all opens the channel, so that none overtakes another.
        let first = self.rows.iter_mut().find(|(_, waiting)| match ticket {
            true => waiting.is_ticket() && wants(waiting),
            false => !waiting.is_ticket(),
        });
        if let Some((mid, waiting)) = first {
            waiting.place = Place::Dialling;
            self.dialling = Some(Dialling { mid, ticket });
            let (row, attempt) = (Arc::clone(&waiting.row), waiting.attempts + 1);
            orders.push(Order::Dial { to: row.message.to.clone(), mid, row, attempt });
        }
    }

    /// The channel for ordinary rows: the one that has some already, else one with receipts.
    fn channel(&self) -> Option<(ChannelId, bool)> {
        let busy = self.rows.values().find_map(|waiting| match waiting.place {
            Place::Queued(channel) | Place::Handed(channel) => Some(channel),
            _ => None,
        });
        let found = match busy {
            Some(busy) => self.channels.iter().find(|(channel, _)| *channel == busy),
            None => self.channels.iter().find(|(_, receipts)| *receipts).or(self.channels.first()),
        };
        found.copied()
    }

    /// Asks for more rows where there is room for them.
    pub fn ask(&mut self, line: &Line, now: Timestamp, orders: &mut Vec<Order>) {
        let asked = self.asked.is_some_and(|asked| now < asked.plus(REFILL_RETRY_MS));
        if self.more && !asked && self.rows.has_room() {
            self.asked = Some(now);
            orders.push(Order::Refill { line: line.clone(), after: self.last });
        }
    }

    /// When there will be something to do.
    pub fn next(&self) -> Option<Timestamp> {
        let receipts = self.channel().map(|(_, receipts)| receipts);
        let row = |waiting: &Waiting| {
            let tried = match (self.dialling, waiting.is_ticket(), receipts) {
                (Some(_), true, _) | (Some(_), false, None) | (Some(Dialling { ticket: false, .. }), ..) => None,
                (_, false, Some(true)) => None,
                (_, false, Some(false)) if !waiting.repeated => None,
                _ => waiting.next,
            };
            let over = match waiting.row.message.schedule {
                Schedule::Until(end) => Some(end),
                _ => None,
            };
            [tried, over].into_iter().flatten().min()
        };
        let rows = self.rows.values().filter(|waiting| waiting.is_here()).filter_map(row);
        let room = self.more && self.rows.has_room();
        let refill = self.asked.filter(|_| room).map(|asked| asked.plus(REFILL_RETRY_MS));
        rows.chain(refill).min()
    }

    /// Nothing is known of it that is worth keeping.
    pub fn is_idle(&self) -> bool {
        self.rows.is_empty() && self.channels.is_empty() && self.dialling.is_none() && !self.more
    }
}
