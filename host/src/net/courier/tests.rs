#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::net::limits::{REQUEST_TRIES, TICKET_TRIES};
use tallyho_plugin::services::Outgoing;

const START: Timestamp = Timestamp(1_700_000_000_000);

/// A courier on a fake clock, with one peer.
pub(super) struct Desk {
    pub(super) courier: Courier,
    pub(super) now: Timestamp,
    peer: AgentId,
}

/// What a desk is told to do, without the messages.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    Dial(u64),
    Send(ChannelId, u64),
    HandedOver(u64, bool),
    Delayed(u64, u32),
    Stalled(u64, u32, bool),
    Accepted(u64),
    Refused(u64),
    Refill(u64),
}
use Told::*;

pub(super) fn told(orders: Vec<Order>) -> Vec<Told> {
    let one = |order| match order {
        Order::Dial { mid, .. } => Dial(mid),
        Order::Send { channel, mid, .. } => Send(channel, mid),
        Order::Refill { after, .. } => Refill(after),
        Order::Report { mid, fate, receipts, .. } => match fate {
            Fate::HandedOver => HandedOver(mid, receipts),
            Fate::Delayed { attempts, .. } => Delayed(mid, attempts),
            Fate::Stalled { attempts, unsent, .. } => Stalled(mid, attempts, unsent),
            Fate::Accepted => Accepted(mid),
            Fate::Refused => Refused(mid),
            other => panic!("{other:?}"),
        },
    };
    orders.into_iter().map(one).collect()
}

pub(super) fn peer() -> AgentId {
    AgentId("peer".to_owned())
}

pub(super) fn row(schedule: Schedule, keep: Keep, ticket: bool) -> Arc<OutboxRow> {
    let ticket = ticket.then(|| serde_json::json!({ "token": "t" }));
    let message = Outgoing {
        to: Chad::agent(peer()),
        from: "alice".to_owned(),
        target: "tally".to_owned(),
        action: "offer".to_owned(),
        object: vec![0xa0],
        tally: None,
        ticket,
        key: String::new(),
        schedule,
        keep,
        report: true,
        restricted: false,
    };
    Arc::new(OutboxRow { plugin: "tally".to_owned(), message, created: START, handed: false })
}

impl Desk {
    pub(super) fn new() -> Self {
        Desk { courier: Courier::new(7), now: START, peer: peer() }
    }

    pub(super) fn post_as(&mut self, mid: u64, row: Arc<OutboxRow>, fresh: bool) -> Vec<Told> {
        let post = Post { agent: self.peer.clone(), mid, row };
        told(self.courier.post(vec![post], fresh, self.now))
    }

    pub(super) fn post(&mut self, mid: u64) -> Vec<Told> {
        self.post_as(mid, row(Schedule::Request, Keep::HandedOver, false), true)
    }

    pub(super) fn ticket(&mut self, mid: u64) -> Vec<Told> {
        self.post_as(mid, row(Schedule::Ticket, Keep::HandedOver, true), true)
    }

    pub(super) fn many(&mut self, mids: std::ops::RangeInclusive<u64>, fresh: bool) -> Vec<Told> {
        let posts = self.rows(mids);
        told(self.courier.post(posts, fresh, self.now))
    }

    pub(super) fn rows(&self, mids: std::ops::RangeInclusive<u64>) -> Vec<Post> {
        let one = row(Schedule::Request, Keep::HandedOver, false);
        mids.map(|mid| Post { agent: self.peer.clone(), mid, row: Arc::clone(&one) }).collect()
    }

    pub(super) fn opened(&mut self, channel: ChannelId, receipts: bool) -> Vec<Told> {
        told(self.courier.opened(&self.peer, channel, receipts, self.now))
    }

    pub(super) fn called_us(&mut self, channel: ChannelId, receipts: bool) -> Vec<Told> {
        told(self.courier.called_us(&self.peer, channel, receipts, self.now))
    }

    pub(super) fn closed(&mut self, channel: ChannelId) -> Vec<Told> {
        told(self.courier.closed(&self.peer, channel, self.now))
    }

    pub(super) fn handed(&mut self, channel: ChannelId, mid: u64) -> Vec<Told> {
        told(self.courier.handed(&self.peer, channel, mid, self.now))
    }

    pub(super) fn removed(&mut self, mids: &[u64]) -> Vec<Told> {
        told(self.courier.remove(&self.peer, mids, self.now))
    }

    pub(super) fn failed(&mut self, mid: u64) -> Vec<Told> {
        told(self.courier.failed(&self.peer, mid, false, true, "unreachable", self.now))
    }

    pub(super) fn refused(&mut self, mid: u64) -> Vec<Told> {
        told(self.courier.failed(&self.peer, mid, true, false, "closed", self.now))
    }

    pub(super) fn answered(&mut self, channel: ChannelId, mid: u64, receipts: bool) -> Vec<Told> {
        told(self.courier.answered(&self.peer, channel, mid, true, receipts, self.now))
    }

    pub(super) fn accepted(&mut self, mid: u64) -> Vec<Told> {
        told(self.courier.accepted(&self.peer, mid, self.now))
    }

    pub(super) fn tick(&mut self) -> Vec<Told> {
        told(self.courier.tick(self.now))
    }

    pub(super) fn wait(&mut self, milliseconds: i64) -> Vec<Told> {
        self.now = self.now.plus(milliseconds);
        self.tick()
    }

    /// Milliseconds to the next thing to do.
    pub(super) fn pause(&self) -> Option<i64> {
        self.courier.next().map(|next| next.0 - self.now.0)
    }
}

#[test]
fn a_request_is_tried_a_hundred_times_at_growing_intervals() {
    let mut desk = Desk::new();
    assert_eq!(desk.post(1), [Dial(1)]);
    for n in 1..REQUEST_TRIES {
        assert_eq!(desk.failed(1), [Delayed(1, n)], "attempt {n}");
        let middle = (5_000 * i64::from(n)).min(300_000);
        let pause = desk.pause().unwrap();
        assert!((middle * 8 / 10..=middle * 12 / 10).contains(&pause), "after attempt {n}: {pause} ms");
        assert_eq!(desk.wait(pause - 1), [], "attempt {n} came early");
        assert_eq!(desk.wait(1), [Dial(1)]);
    }
    assert_eq!(desk.failed(1), [Stalled(1, REQUEST_TRIES, true)]);
    assert_eq!(desk.pause(), None);
    assert_eq!(desk.wait(100_000_000), []);
}

#[test]
fn a_ticket_is_tried_three_times_ten_seconds_apart() {
    let mut desk = Desk::new();
    assert_eq!(desk.ticket(1), [Dial(1)]);
    for n in 1..TICKET_TRIES {
        assert_eq!(desk.failed(1), [Delayed(1, n)]);
        assert_eq!(desk.pause(), Some(10_000));
        assert_eq!(desk.wait(10_000), [Dial(1)]);
    }
    assert_eq!(desk.failed(1), [Stalled(1, 3, true)]);
    assert_eq!(desk.courier.peers(), 0);
}

#[test]
fn a_lift_message_is_tried_until_its_end_and_not_beyond() {
    let mut desk = Desk::new();
    let end = START.plus(20_000);
    assert_eq!(desk.post_as(1, row(Schedule::Until(end), Keep::HandedOver, false), true), [Dial(1)]);
    for (n, pause) in [(1, 2_000), (2, 4_000), (3, 8_000)] {
        assert_eq!(desk.failed(1), [Delayed(1, n)]);
        assert_eq!(desk.pause(), Some(pause));
        assert_eq!(desk.wait(pause), [Dial(1)]);
    }
    // 14 s have passed; the next attempt would come 16 s later, after the end.
    assert_eq!(desk.failed(1), [Stalled(1, 4, true)]);
    assert_eq!(desk.courier.peers(), 0);
}

#[test]
fn a_message_whose_time_is_over_is_not_sent_any_more() {
    let mut desk = Desk::new();
    let end = START.plus(3_000);
    desk.post_as(1, row(Schedule::Until(end), Keep::HandedOver, false), true);
    assert_eq!(desk.failed(1), [Delayed(1, 1)]);
    desk.now = end;
    assert_eq!(desk.opened(4, true), [Stalled(1, 1, true)]);
}

#[test]
fn a_message_sent_once_is_forgotten_when_the_first_try_fails() {
    let mut desk = Desk::new();
    assert_eq!(desk.post_as(1, row(Schedule::Once, Keep::HandedOver, false), true), [Dial(1)]);
    assert_eq!(desk.failed(1), [Stalled(1, 1, true)]);
    assert_eq!(desk.courier.peers(), 0);
}

#[test]
fn a_message_kept_until_withdrawn_is_repeated_on_its_schedule_for_a_peer_without_receipts() {
    let mut desk = Desk::new();
    desk.opened(3, false);
    assert_eq!(desk.post_as(1, row(Schedule::Request, Keep::Withdrawn, false), true), [Send(3, 1)]);
    assert_eq!(desk.handed(3, 1), [HandedOver(1, false)]);
    let mut expected = 5_000;
    for _ in 0..3 {
        let pause = desk.pause().unwrap();
        assert!((expected * 8 / 10..=expected * 12 / 10).contains(&pause), "{pause}");
        assert_eq!(desk.wait(pause), [Send(3, 1)]);
        assert_eq!(desk.handed(3, 1), [HandedOver(1, false)]);
        expected += 5_000;
    }
    assert_eq!(desk.removed(&[1]), []);
    assert_eq!(desk.pause(), None);
}

#[test]
fn what_is_repeated_never_ends_before_it_is_withdrawn() {
    let mut desk = Desk::new();
    desk.opened(3, false);
    desk.post_as(1, row(Schedule::Request, Keep::Withdrawn, false), true);
    for _ in 0..REQUEST_TRIES + 20 {
        assert_eq!(desk.handed(3, 1), [HandedOver(1, false)]);
        let pause = desk.pause().unwrap();
        assert_eq!(desk.wait(pause), [Send(3, 1)]);
    }
}

#[test]
fn without_receipts_a_message_is_gone_once_handed_over() {
    let mut desk = Desk::new();
    desk.opened(3, false);
    assert_eq!(desk.post(1), [Send(3, 1)]);
    assert_eq!(desk.handed(3, 1), [HandedOver(1, false)]);
    assert_eq!(desk.courier.queued(&peer()), 0);
}

#[test]
fn with_receipts_a_message_stays_until_it_is_received() {
    let mut desk = Desk::new();
    desk.opened(3, true);
    assert_eq!(desk.post(1), [Send(3, 1)]);
    assert_eq!(desk.handed(3, 1), [HandedOver(1, true)]);
    assert_eq!(desk.courier.queued(&peer()), 1);
    assert_eq!(desk.wait(10_000_000), [], "nothing is repeated while the channel stands");
    desk.removed(&[1]);
    assert_eq!(desk.courier.queued(&peer()), 0);
}

#[test]
fn where_nobody_has_to_know_that_a_message_was_handed_over_nobody_is_told() {
    let quiet = |keep| {
        let row = row(Schedule::Request, keep, false);
        Arc::new(OutboxRow { message: Outgoing { report: false, ..row.message.clone() }, ..(*row).clone() })
    };
    for (keep, receipts, told) in [
        (Keep::HandedOver, true, vec![]),
        (Keep::Withdrawn, true, vec![]),
        (Keep::Withdrawn, false, vec![]),
        // The ledger takes it out of the store.
        (Keep::HandedOver, false, vec![HandedOver(1, false)]),
    ] {
        let mut desk = Desk::new();
        desk.opened(3, receipts);
        assert_eq!(desk.post_as(1, quiet(keep), true), [Send(3, 1)]);
        assert_eq!(desk.handed(3, 1), told, "{keep:?}, receipts: {receipts}");
    }
}

#[test]
fn a_peer_that_takes_messages_and_closes_is_not_called_more_often_than_the_schedule_says() {
    let mut desk = Desk::new();
    assert_eq!(desk.post(1), [Dial(1)]);
    let mut calls = 0;
    let end = START.plus(3_600_000);
    let mut channel = 10;
    loop {
        calls += 1;
        desk.answered(channel, 1, true);
        assert_eq!(desk.closed(channel), []);
        channel += 1;
        let pause = desk.pause().unwrap();
        assert!(pause >= 4_000, "called again after {pause} ms");
        assert_eq!(desk.wait(pause), [Dial(1)]);
        if desk.now > end {
            break;
        }
    }
    // 5 s x n adds up to an hour after some 38 attempts.
    assert!((30..50).contains(&calls), "{calls} calls in an hour");
}

#[test]
fn a_peer_that_closes_before_taking_anything_is_given_up_in_the_end() {
    let mut desk = Desk::new();
    desk.opened(1, true);
    desk.post(1);
    let mut all = desk.closed(1);
    for channel in 2..=REQUEST_TRIES.into() {
        assert_eq!(all, []);
        desk.opened(channel, true);
        all = desk.closed(channel);
    }
    assert_eq!(all, [Stalled(1, REQUEST_TRIES, false)]);
}

#[test]
fn a_failed_dial_is_not_repeated_at_once_for_any_row_that_waited_for_it() {
    let mut desk = Desk::new();
    desk.post(1);
    assert_eq!(desk.many(2..=3, true), []);
    assert_eq!(desk.failed(1), [Delayed(1, 1), Delayed(2, 1), Delayed(3, 1)]);
    assert_eq!(desk.tick(), []);
    assert!(desk.pause().unwrap() >= 4_000);
}

#[test]
fn a_ticket_is_presented_by_a_call_of_its_own_though_a_channel_is_open() {
    let mut desk = Desk::new();
    desk.opened(3, true);
    assert_eq!(desk.ticket(1), [Dial(1)]);
    assert_eq!(desk.post(2), [Send(3, 2)], "others do not wait for it");
    assert_eq!(desk.answered(4, 1, true), [Accepted(1)]);
    assert_eq!(desk.post(3), [Send(3, 3)]);
}

#[test]
fn a_ticket_accepted_leaves_others_to_the_channel_there_is() {
    let mut desk = Desk::new();
    desk.opened(3, true);
    assert_eq!(desk.ticket(1), [Dial(1)]);
    assert_eq!(desk.ticket(2), []);
    assert_eq!(desk.accepted(1), [Accepted(1), Dial(2)]);
    assert_eq!(desk.post(3), [Send(3, 3)]);
    desk.removed(&[2, 3]);
    assert_eq!(desk.accepted(2), [], "it was withdrawn meanwhile");
    desk.closed(3);
    assert_eq!(desk.courier.peers(), 0);
    // The channel there was is lost as the answer comes.
    desk.ticket(4);
    desk.post(5);
    assert_eq!(desk.accepted(4), [Accepted(4), Dial(5)]);
}

#[test]
fn a_ticket_that_is_refused_is_not_presented_again_and_costs_others_no_attempt() {
    let mut desk = Desk::new();
    assert_eq!(desk.ticket(1), [Dial(1)]);
    assert_eq!(desk.ticket(2), []);
    assert_eq!(desk.refused(1), [Refused(1), Dial(2)]);
    assert_eq!(desk.failed(2), [Delayed(2, 1)]);
}

#[test]
fn a_ticket_that_never_had_its_call_is_not_given_up_for_the_failures_of_others() {
    let mut desk = Desk::new();
    assert_eq!(desk.post(1), [Dial(1)]);
    assert_eq!(desk.ticket(2), []);
    assert_eq!(desk.failed(1), [Delayed(1, 1), Dial(2)]);
}

#[test]
fn rows_behind_a_ticket_use_its_channel() {
    let mut desk = Desk::new();
    assert_eq!(desk.ticket(1), [Dial(1)]);
    assert_eq!(desk.post(2), []);
    assert_eq!(desk.answered(4, 1, true), [Accepted(1), Send(4, 2)]);
}

#[test]
fn unsent_says_whether_a_byte_may_have_been_written() {
    let once = || row(Schedule::Once, Keep::HandedOver, false);
    // Never dialled further than the connection.
    let mut desk = Desk::new();
    desk.post_as(1, once(), true);
    assert_eq!(desk.failed(1), [Stalled(1, 1, true)]);
    // The opening packet was written.
    desk.post_as(2, once(), true);
    let orders = desk.courier.failed(&peer(), 2, false, false, "late", desk.now);
    assert_eq!(told(orders), [Stalled(2, 1, false)]);
    // Given to a channel that closed: some of it may have gone out.
    desk.opened(3, true);
    desk.post_as(3, once(), true);
    assert_eq!(desk.closed(3), [Stalled(3, 1, false)]);
    // Found at start: it may have been written before.
    desk.post_as(4, once(), false);
    assert_eq!(desk.failed(4), [Stalled(4, 1, false)]);
}
