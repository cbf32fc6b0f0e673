#![allow(clippy::unwrap_used)]

use super::*;
use std::collections::{BTreeSet, VecDeque};
use tallyho_plugin::services::Outgoing;

fn peer() -> AgentId {
    AgentId::from_bytes(&[7; 32])
}

fn row(ticket: bool) -> Arc<OutboxRow> {
    let to = Chad::user("bob", peer()).at("localhost", 65430);
    let message = Outgoing {
        to,
        from: "alice".to_owned(),
        target: "tally".to_owned(),
        action: if ticket { "ticket" } else { "offer" }.to_owned(),
        object: Vec::new(),
        tally: None,
        ticket: ticket.then(|| serde_json::json!({})),
        key: String::new(),
        schedule: if ticket { Schedule::Ticket } else { Schedule::Request },
        keep: Keep::HandedOver,
        report: false,
    };
    Arc::new(OutboxRow { plugin: "tally".to_owned(), message, created: Timestamp(0) })
}

fn post(mid: u64) -> Post {
    Post { agent: peer(), mid, row: row(false) }
}

fn ticket(mid: u64) -> Post {
    Post { agent: peer(), mid, row: row(true) }
}

/// The ids handed to a channel, in order.
fn sent(orders: &[Order]) -> Vec<u64> {
    let sent = orders.iter().filter_map(|order| if let Order::Send { mid, .. } = order { Some(*mid) } else { None });
    sent.collect()
}

fn dialled(orders: &[Order]) -> Vec<u64> {
    let dials = orders.iter().filter_map(|order| if let Order::Dial { mid, .. } = order { Some(*mid) } else { None });
    dials.collect()
}

const NOW: Timestamp = Timestamp(1_000_000);

#[test]
fn what_could_not_be_sent_goes_first_when_the_peer_calls() {
    let mut courier = Courier::new(1);
    assert_eq!(dialled(&courier.post(vec![post(5)], true, NOW)), [5]);
    courier.failed(&peer(), 5, false, true, "away", NOW);
    // Its next attempt is five seconds away; the peer is there now, and 6 must not come before 5.
    assert_eq!(sent(&courier.opened(&peer(), 1, true, NOW.plus(10))), [5]);
    assert_eq!(sent(&courier.post(vec![post(6)], true, NOW.plus(20))), [6]);
}

#[test]
fn a_call_carries_the_oldest_message_whichever_is_due() {
    let mut courier = Courier::new(1);
    courier.post(vec![post(5)], true, NOW);
    courier.failed(&peer(), 5, false, true, "away", NOW);
    let orders = courier.post(vec![post(6)], true, NOW.plus(10));
    assert_eq!(dialled(&orders), [5]);
    assert_eq!(sent(&courier.answered(&peer(), 1, 5, true, true, NOW.plus(20))), [6]);
}

#[test]
fn what_a_closed_channel_had_goes_again_before_what_is_new() {
    let mut courier = Courier::new(1);
    courier.opened(&peer(), 1, true, NOW);
    courier.post(vec![post(5)], true, NOW);
    courier.handed(&peer(), 1, 5, NOW);
    assert!(courier.closed(&peer(), 1, NOW).is_empty());
    assert_eq!(dialled(&courier.post(vec![post(6)], true, NOW.plus(10))), [5]);
}

#[test]
fn a_channel_that_opens_during_a_call_gets_what_the_call_carries_too() {
    let mut courier = Courier::new(1);
    assert_eq!(dialled(&courier.post(vec![post(5), post(6)], true, NOW)), [5]);
    assert_eq!(sent(&courier.opened(&peer(), 1, true, NOW)), [5, 6]);
    // The call ends either way without taking 5 from that channel.
    assert_eq!(sent(&courier.answered(&peer(), 2, 5, true, true, NOW)), Vec::<u64>::new());
    assert_eq!(sent(&courier.closed(&peer(), 1, NOW)), [5, 6]);
}

#[test]
fn a_ticket_waits_for_its_own_channel_and_holds_up_nothing() {
    let mut courier = Courier::new(1);
    courier.opened(&peer(), 1, true, NOW);
    let orders = courier.post(vec![ticket(5), post(6)], true, NOW);
    assert_eq!((sent(&orders), dialled(&orders)), (vec![6], vec![5]));
    let orders = courier.answered(&peer(), 2, 5, true, true, NOW);
    assert!(matches!(&orders[..], [Order::Report { mid: 5, fate: Fate::Accepted, .. }]), "{orders:?}");
}

#[test]
fn a_peer_without_receipts_is_not_sent_the_same_again_before_its_time() {
    let mut courier = Courier::new(1);
    let kept = |mid| {
        let mut row = OutboxRow::clone(&row(false));
        row.message.keep = Keep::Withdrawn;
        Post { agent: peer(), mid, row: Arc::new(row) }
    };
    courier.opened(&peer(), 1, false, NOW);
    assert_eq!(sent(&courier.post(vec![kept(5)], true, NOW)), [5]);
    courier.handed(&peer(), 1, 5, NOW);
    assert_eq!(sent(&courier.post(vec![kept(6)], true, NOW.plus(10))), [6]);
    assert_eq!(sent(&courier.tick(NOW.plus(6_500))), [5]);
}

#[test]
fn a_request_given_up_still_goes_when_the_peer_shows_itself() {
    let mut courier = Courier::new(1);
    let mut now = NOW;
    courier.post(vec![post(5)], true, now);
    let mut stalled = 0;
    for _ in 0..REQUEST_TRIES {
        let orders = courier.failed(&peer(), 5, false, true, "away", now);
        stalled +=
            orders.iter().filter(|order| matches!(order, Order::Report { fate: Fate::Stalled { .. }, .. })).count();
        now = now.plus(400_000);
        courier.tick(now);
    }
    assert_eq!(stalled, 1);
    assert_eq!(sent(&courier.opened(&peer(), 1, true, now)), [5]);
}

#[test]
fn more_than_a_window_found_at_start_is_delivered_whole_and_in_order() {
    for seed in 1..=5 {
        let mut world = World::new(seed);
        world.store = (1..=2 * OUTBOX_WINDOW as u64 + 44).collect();
        world.last = world.store.len() as u64;
        world.restart();
        world.settle();
    }
}

#[test]
fn no_message_is_lost_whatever_breaks_and_whoever_calls() {
    for seed in 1..=100 {
        let mut world = World::new(seed);
        for _ in 0..300 {
            world.happen();
        }
        world.settle();
    }
}

/// A courier, and a peer that takes messages as `ledger::inbound` does: by their ids.
struct World {
    courier: Courier,
    now: Timestamp,
    dice: u64,
    /// Ids given so far, 1 to this.
    last: u64,
    /// Rows not received.
    store: BTreeSet<u64>,
    /// Frames on their way, of channels that are open and of some that are not any more.
    frames: BTreeMap<ChannelId, VecDeque<u64>>,
    open: BTreeSet<ChannelId>,
    channel: ChannelId,
    dial: Option<u64>,
    high: u64,
    applied: BTreeSet<u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        World {
            courier: Courier::new(seed),
            now: NOW,
            dice: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            last: 0,
            store: BTreeSet::new(),
            frames: BTreeMap::new(),
            open: BTreeSet::new(),
            channel: 0,
            dial: None,
            high: 0,
            applied: BTreeSet::new(),
        }
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % sides
    }

    fn any_open(&mut self) -> Option<ChannelId> {
        let open: Vec<ChannelId> = self.open.iter().copied().collect();
        let index = self.roll(open.len().max(1) as u64);
        open.get(usize::try_from(index).unwrap()).copied()
    }

    fn happen(&mut self) {
        match self.roll(16) {
            0..=3 => {
                let many = if self.roll(40) == 0 { 200 } else { 1 };
                let posts: Vec<Post> = (0..many)
                    .map(|_| {
                        self.last += 1;
                        self.store.insert(self.last);
                        post(self.last)
                    })
                    .collect();
                let orders = self.courier.post(posts, true, self.now);
                self.obey(orders);
            }
            4 => {
                let channel = self.new_channel();
                let orders = self.courier.opened(&peer(), channel, true, self.now);
                self.obey(orders);
            }
            5 => {
                if let Some(channel) = self.any_open() {
                    self.close(channel);
                }
            }
            6 => self.end_dial(false),
            7..=8 => self.end_dial(true),
            9..=13 => {
                let channels: Vec<ChannelId> = self.frames.keys().copied().collect();
                if let Some(channel) = channels.get(self.dice as usize % channels.len().max(1)).copied() {
                    self.deliver(channel);
                }
            }
            14 => {
                self.now = self.now.plus(300);
                let orders = self.courier.tick(self.now);
                self.obey(orders);
            }
            _ if self.roll(10) == 0 => self.restart(),
            _ => {}
        }
    }

    fn new_channel(&mut self) -> ChannelId {
        self.channel += 1;
        self.open.insert(self.channel);
        self.frames.insert(self.channel, VecDeque::new());
        self.channel
    }

    /// What the peer's machine has of it may still be read there, or not.
    fn close(&mut self, channel: ChannelId) {
        self.open.remove(&channel);
        let left = self.frames[&channel].len() as u64;
        let kept = self.roll(left + 1);
        self.frames.get_mut(&channel).unwrap().truncate(usize::try_from(kept).unwrap());
        let orders = self.courier.closed(&peer(), channel, self.now);
        self.obey(orders);
    }

    fn end_dial(&mut self, good: bool) {
        let Some(mid) = self.dial.take() else { return };
        let orders = if good {
            let channel = self.new_channel();
            self.frames.get_mut(&channel).unwrap().push_back(mid);
            self.courier.answered(&peer(), channel, mid, true, true, self.now)
        } else {
            self.courier.failed(&peer(), mid, false, false, "away", self.now)
        };
        self.obey(orders);
    }

    fn deliver(&mut self, channel: ChannelId) {
        let Some(mid) = self.frames.get_mut(&channel).and_then(VecDeque::pop_front) else { return };
        if mid > self.high {
            self.high = mid;
            assert!(self.applied.insert(mid));
        }
        if self.open.contains(&channel) {
            let received: Vec<u64> = self.store.range(..=self.high).copied().collect();
            self.store.retain(|mid| *mid > self.high);
            let orders = self.courier.remove(&peer(), &received);
            self.obey(orders);
        }
    }

    fn restart(&mut self) {
        self.open.clear();
        self.dial = None;
        self.courier = Courier::new(self.dice);
        let posts = self.store.iter().take(OUTBOX_WINDOW).map(|mid| post(*mid)).collect();
        let orders = self.courier.post(posts, false, self.now);
        self.obey(orders);
    }

    fn obey(&mut self, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::Dial { mid, .. } => assert_eq!(self.dial.replace(mid), None, "one call at a time"),
                Order::Send { channel, mid, .. } => {
                    self.frames.get_mut(&channel).unwrap().push_back(mid);
                    let orders = self.courier.handed(&peer(), channel, mid, self.now);
                    self.obey(orders);
                }
                Order::Refill { after, .. } => {
                    let above = self.store.range(after + 1..).take(OUTBOX_WINDOW);
                    let posts = above.map(|mid| post(*mid)).collect();
                    let orders = self.courier.refill(&peer(), posts, self.now);
                    self.obey(orders);
                }
                Order::Report { .. } => {}
            }
        }
    }

    /// Nothing breaks any more; then everything sent has been applied.
    fn settle(&mut self) {
        for _ in 0..20_000 {
            if self.store.is_empty() {
                break;
            }
            self.end_dial(true);
            self.frames.keys().copied().collect::<Vec<_>>().into_iter().for_each(|channel| self.deliver(channel));
            self.now = self.now.plus(300);
            let orders = self.courier.tick(self.now);
            self.obey(orders);
        }
        let lost: Vec<u64> = (1..=self.last).filter(|mid| !self.applied.contains(mid)).collect();
        assert!(lost.is_empty(), "lost {lost:?} of {}; waiting: {:?}", self.last, self.store);
    }
}
