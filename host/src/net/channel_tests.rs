#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::net::courier::{Courier, Order};
use std::sync::atomic::AtomicUsize;
use std::task::Wake;
use tallyho_plugin::services::{Keep, Outgoing, Schedule};

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn channel() -> Arc<Channel> {
    let address = "127.0.0.1:1".parse().unwrap();
    Channel::new(1, None, address, Role::Initiator, Extensions::ALL, Timestamp(0))
}

fn row(mid: u64) -> Out {
    let to = tallyho_plugin::record::Chad::agent(AgentId("b".to_owned()));
    let mut message = Outgoing::new(to, "alice", "tally", "offer", &serde_json::json!({})).unwrap();
    (message.schedule, message.keep) = (Schedule::Once, Keep::HandedOver);
    let row = OutboxRow { plugin: "tally".to_owned(), message, created: Timestamp(0), handed: false };
    Out::Row { mid, row: Arc::new(row), attempt: 1 }
}

fn receipt(upto: u64, also: &[u64]) -> Out {
    Out::Receipt(Receipt { upto, also: also.to_vec() })
}

/// What there is to send: rows by id, receipts as they are.
fn all(channel: &Channel) -> Vec<Result<u64, Receipt>> {
    let mut found = Vec::new();
    while let Some(out) = channel.next() {
        found.push(match out {
            Out::Row { mid, .. } => Ok(mid),
            Out::Receipt(receipt) => Err(receipt),
            Out::Answer(_) => Ok(0),
        });
    }
    found
}

#[test]
fn rows_leave_in_order_and_receipts_before_them() {
    let channel = channel();
    channel.send(row(1));
    channel.send(row(2));
    channel.send(receipt(9, &[]));
    assert_eq!(all(&channel), [Err(Receipt { upto: 9, also: vec![] }), Ok(1), Ok(2)]);
}

#[test]
fn receipts_that_wait_become_one_that_says_what_all_do() {
    let channel = channel();
    channel.send(receipt(4, &[9, 7]));
    channel.send(receipt(7, &[12, 9]));
    // Never less than before, and nothing twice: the other side takes an odd receipt for none at all.
    channel.send(receipt(5, &[6, 11]));
    assert_eq!(all(&channel), [Err(Receipt { upto: 7, also: vec![9, 11, 12] })]);
}

#[test]
fn a_waiting_receipt_is_bounded() {
    let channel = channel();
    for mid in 10..10_000 {
        channel.send(receipt(4, &[mid]));
    }
    let found = all(&channel);
    let Err(receipt) = &found[0] else { panic!("{found:?}") };
    assert_eq!(receipt.also.len(), MAX_RECEIPT_GAPS);
}

#[test]
fn rows_taken_back_do_not_leave() {
    let channel = channel();
    (1..=3).for_each(|mid| channel.send(row(mid)));
    channel.withdraw(&[2, 7]);
    assert_eq!(all(&channel), [Ok(1), Ok(3)]);
}

#[test]
fn a_task_that_found_nothing_is_woken_by_the_next_thing_or_the_end() {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let channel = channel();
    assert_eq!(channel.watch(&waker), None);
    assert!(channel.next().is_none());
    channel.send(row(1));
    assert_eq!(bell.0.load(Ordering::SeqCst), 1);
    assert_eq!(channel.watch(&waker), None);
    assert!(channel.next().is_some());
    assert!(channel.next().is_none());
    channel.close("first reason");
    channel.close("second reason");
    assert_eq!(bell.0.load(Ordering::SeqCst), 2);
    assert_eq!(channel.watch(&waker), Some("first reason"));
}

#[test]
fn a_stall_is_measured_from_its_beginning() {
    let channel = channel();
    assert_eq!(channel.stalled_since(), None);
    channel.stalled(Some(Timestamp(5)));
    channel.stalled(Some(Timestamp(9)));
    assert_eq!(channel.stalled_since(), Some(Timestamp(5)));
    channel.stalled(None);
    assert_eq!(channel.stalled_since(), None);
}

#[test]
fn a_channel_gets_from_the_courier_what_it_is_told_in_the_order_told() {
    let peer = Line::named("b");
    let mut courier = Courier::new(1);
    let channel = channel();
    courier.opened(&peer, channel.id, true, Timestamp(0));
    for mid in 1..=3 {
        let Out::Row { row, .. } = row(mid) else { panic!("a row") };
        let post = crate::ledger::input::Post { line: peer.clone(), mid, row };
        for order in courier.post(vec![post], true, Timestamp(0)) {
            let Order::Send { mid, row, attempt, .. } = order else { panic!("{order:?}") };
            channel.send(Out::Row { mid, row, attempt });
        }
    }
    assert_eq!(all(&channel), [Ok(1), Ok(2), Ok(3)]);
}

fn answer() -> Out {
    match row(1) {
        Out::Row { row, .. } => Out::Answer(row),
        other => other,
    }
}

#[test]
fn whoever_asks_and_does_not_read_is_closed_upon() {
    let channel = channel();
    let waker = Waker::noop();
    for _ in 0..ANSWERS_WAITING {
        channel.send(answer());
    }
    assert_eq!(channel.watch(waker), None);
    channel.send(answer());
    assert_eq!(channel.watch(waker), Some("it does not read its answers"));
    assert_eq!(all(&channel).len(), ANSWERS_WAITING);
}

#[test]
fn answers_are_not_taken_back_with_the_rows_of_the_outbox() {
    let channel = channel();
    channel.send(answer());
    channel.send(row(7));
    channel.take_back();
    assert_eq!(all(&channel), [Ok(0)]);
}
