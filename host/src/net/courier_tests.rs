#![allow(clippy::unwrap_used)]
use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn agent() -> AgentId {
    AgentId::from_bytes(&[7; 32])
}

fn post(mid: u64) -> Post {
    let to = Chad::user("bob", agent()).at("bob.example", 1);
    let mut message =
        tallyho_plugin::services::Outgoing::new(to, "alice", "tally", "offer", &serde_json::json!({})).unwrap();
    message.report = true;
    let row = OutboxRow { plugin: "tally".to_owned(), message, created: NOW };
    Post { agent: agent(), mid, row: Arc::new(row) }
}

fn posts(mids: std::ops::RangeInclusive<u64>) -> Vec<Post> {
    mids.map(post).collect()
}

/// The rows that go to channels, in order.
fn sent(orders: &[Order]) -> Vec<u64> {
    orders.iter().filter_map(|order| if let Order::Send { mid, .. } = order { Some(*mid) } else { None }).collect()
}

fn dialled(orders: &[Order]) -> Option<u64> {
    orders.iter().find_map(|order| if let Order::Dial { mid, .. } = order { Some(*mid) } else { None })
}

fn refilled(orders: &[Order]) -> Option<u64> {
    orders.iter().find_map(|order| if let Order::Refill { after, .. } = order { Some(*after) } else { None })
}

fn unreachable(courier: &mut Courier, mid: u64, now: Timestamp) -> Vec<Order> {
    courier.failed(&agent(), mid, false, true, "nobody there", now)
}

#[test]
fn a_call_carries_the_oldest_row_although_only_a_newer_one_is_due() {
    let mut courier = Courier::new(1);
    assert_eq!(dialled(&courier.post(posts(1..=1), true, NOW)), Some(1));
    assert_eq!(dialled(&unreachable(&mut courier, 1, NOW)), None);
    assert_eq!(dialled(&courier.post(posts(2..=2), true, NOW.plus(10))), Some(1));
    assert_eq!(sent(&courier.answered(&agent(), 9, 1, true, true, NOW.plus(20))), [2]);
}

#[test]
fn a_new_channel_begins_with_the_oldest_row_without_a_receipt() {
    let mut courier = Courier::new(1);
    courier.opened(&agent(), 1, true, NOW);
    assert_eq!(sent(&courier.post(posts(1..=2), true, NOW)), [1, 2]);
    courier.handed(&agent(), 1, 1, NOW);
    courier.closed(&agent(), 1, NOW);
    // A new row has the peer dialled; before it answers, it has called itself.
    let mut orders = courier.post(posts(3..=3), true, NOW.plus(1));
    orders.append(&mut courier.opened(&agent(), 2, true, NOW.plus(2)));
    assert_eq!((sent(&orders), dialled(&orders)), (vec![1, 2, 3], Some(1)));
}

#[test]
fn rows_whose_dials_failed_go_at_once_with_a_channel_that_the_peer_opens() {
    let mut courier = Courier::new(1);
    courier.post(posts(1..=1), true, NOW);
    unreachable(&mut courier, 1, NOW);
    assert_eq!(sent(&courier.opened(&agent(), 1, false, NOW.plus(1))), [1]);
}

#[test]
fn a_row_that_a_dial_carries_goes_with_a_channel_that_crosses_it_before_newer_ones() {
    let mut courier = Courier::new(1);
    assert_eq!(dialled(&courier.post(posts(1..=2), true, NOW)), Some(1));
    assert_eq!(sent(&courier.opened(&agent(), 1, true, NOW)), [1, 2]);
    assert_eq!(sent(&courier.answered(&agent(), 2, 1, true, true, NOW)), [0; 0]);
    assert_eq!(sent(&courier.closed(&agent(), 1, NOW)), [1, 2], "the other channel takes over");
}

#[test]
fn without_receipts_a_row_that_a_dial_carries_goes_once() {
    let mut courier = Courier::new(1);
    courier.post(posts(1..=2), true, NOW);
    assert_eq!(sent(&courier.opened(&agent(), 1, false, NOW)), [2]);
    assert_eq!(sent(&courier.answered(&agent(), 2, 1, true, false, NOW)), [0; 0]);
    assert_eq!(courier.queued(&agent()), 1, "the one carried has been handed over");
}

#[test]
fn rows_found_in_the_store_at_start_are_all_delivered_in_order() {
    let window = OUTBOX_WINDOW as u64;
    let mut courier = Courier::new(1);
    courier.opened(&agent(), 1, true, NOW);
    // The store holds a window and ten more.
    let mut order = sent(&courier.post(posts(1..=window), false, NOW));
    // A new one comes while those are behind in the store.
    order.append(&mut sent(&courier.post(posts(window + 11..=window + 11), true, NOW)));
    let mut orders = Vec::new();
    for mid in 1..=window {
        orders.append(&mut courier.remove(&agent(), &[mid]));
    }
    assert_eq!(refilled(&orders), Some(window));
    // Another one comes between the question and its answer.
    order.append(&mut sent(&courier.post(posts(window + 12..=window + 12), true, NOW)));
    order.append(&mut sent(&courier.refill(&agent(), posts(window + 1..=window + 12), NOW)));
    order.append(&mut sent(&courier.post(posts(window + 13..=window + 13), true, NOW)));
    assert_eq!(order, (1..=window + 13).collect::<Vec<_>>());
}

#[test]
fn rows_handed_over_make_room_for_those_in_the_store() {
    let window = OUTBOX_WINDOW as u64;
    let mut courier = Courier::new(1);
    courier.opened(&agent(), 1, false, NOW);
    courier.post(posts(1..=window), false, NOW);
    let asked = (1..=window).find_map(|mid| refilled(&courier.handed(&agent(), 1, mid, NOW)));
    assert_eq!(asked, Some(window));
}

#[test]
fn a_request_whose_schedule_is_used_up_is_delivered_first_when_the_peer_comes_back() {
    let mut courier = Courier::new(1);
    courier.post(posts(1..=1), true, NOW);
    let mut now = NOW;
    let mut stalled = Vec::new();
    while stalled.is_empty() {
        stalled = unreachable(&mut courier, 1, now);
        stalled.retain(|order| matches!(order, Order::Report { fate: Fate::Stalled { .. }, .. }));
        now = now.plus(REQUEST_RETRY_MS.1 * 2);
        courier.tick(now);
    }
    assert_eq!(dialled(&courier.tick(now.plus(REQUEST_RETRY_MS.1 * 2))), None);
    let mut orders = courier.post(posts(2..=2), true, now);
    assert_eq!(dialled(&orders), Some(1), "a receipt for a newer one would be one for it too");
    orders = courier.answered(&agent(), 5, 1, true, true, now);
    assert_eq!(sent(&orders), [2]);
}

#[test]
fn nothing_is_kept_of_a_peer_that_nothing_waits_for() {
    let mut courier = Courier::new(1);
    courier.opened(&agent(), 1, true, NOW);
    courier.post(posts(1..=3), true, NOW);
    courier.remove(&agent(), &[1, 2, 3]);
    courier.closed(&agent(), 1, NOW);
    assert!(courier.peers.is_empty());
}
