//! Nothing overtakes, nothing is lost, nothing is left behind.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::tests::Told::*;
use super::tests::{Desk, peer, row, told};
use super::*;
use crate::ledger::limits::{OUTBOX_WINDOW, OUTBOX_WINDOW_BYTES};
use crate::net::limits::{REFILL_RETRY_MS, REQUEST_TRIES};
use tallyho_plugin::services::Outgoing;

#[test]
fn messages_go_to_an_open_channel_in_order_and_nobody_is_dialled() {
    let mut desk = Desk::new();
    desk.opened(3, true);
    assert_eq!(desk.many(1..=3, true), [Send(3, 1), Send(3, 2), Send(3, 3)]);
    assert_eq!(desk.post(4), [Send(3, 4)]);
}

#[test]
fn after_a_channel_is_lost_all_that_was_not_received_goes_over_the_next_in_order_with_the_same_ids() {
    let mut desk = Desk::new();
    desk.opened(3, true);
    desk.many(1..=4, true);
    for mid in 1..=3 {
        desk.handed(3, mid);
    }
    desk.removed(&[1]);
    assert_eq!(desk.closed(3), []);
    // The peer calls at once, long before the schedule would have had it called.
    assert_eq!(desk.post(5), [Dial(2)], "the lowest row opens the channel");
    assert_eq!(desk.answered(9, 2, true), [HandedOver(2, true), Send(9, 3), Send(9, 4), Send(9, 5)]);
}

#[test]
fn a_row_that_waits_for_its_next_attempt_is_not_overtaken_when_the_peer_calls() {
    let mut desk = Desk::new();
    assert_eq!(desk.post(1), [Dial(1)]);
    desk.failed(1);
    assert_eq!(desk.opened(4, true), [Send(4, 1)]);
    assert_eq!(desk.post(2), [Send(4, 2)]);
}

#[test]
fn a_peer_that_calls_while_it_is_dialled_gets_everything_at_once() {
    let mut desk = Desk::new();
    assert_eq!(desk.many(1..=2, true), [Dial(1)]);
    assert_eq!(desk.opened(4, true), [Send(4, 1), Send(4, 2)], "row 2 must not arrive before row 1");
    assert_eq!(desk.post(3), [Send(4, 3)]);
    assert_eq!(desk.handed(4, 1), [HandedOver(1, true)]);
    // The dial has cost nobody an attempt.
    assert_eq!(desk.failed(1), []);
    assert_eq!(desk.handed(4, 2), [HandedOver(2, true)]);
    desk.removed(&[1, 2, 3]);
    desk.closed(4);
    assert_eq!(desk.courier.peers(), 0);
}

#[test]
fn a_peer_without_receipts_that_calls_while_it_is_dialled_waits_for_the_end_of_that() {
    let mut desk = Desk::new();
    assert_eq!(desk.many(1..=2, true), [Dial(1)]);
    assert_eq!(desk.opened(4, false), [], "a late copy of row 1 would be taken for news");
    assert_eq!(desk.failed(1)[1..], [Delayed(2, 1), Send(4, 1), Send(4, 2)]);
}

#[test]
fn when_two_sites_call_each_other_all_rows_stay_on_the_channel_that_was_open_first() {
    let mut desk = Desk::new();
    assert_eq!(desk.many(1..=2, true), [Dial(1)]);
    assert_eq!(desk.opened(4, true), [Send(4, 1), Send(4, 2)]);
    assert_eq!(desk.answered(5, 1, true), [], "another channel has it");
    assert_eq!(desk.post(3), [Send(4, 3)]);
    // Once nothing is on its way either will do.
    desk.removed(&[1, 2, 3]);
    assert_eq!(desk.closed(4), []);
    assert_eq!(desk.post(6), [Send(5, 6)]);
}

#[test]
fn a_channel_lost_while_the_peer_is_dialled_leaves_its_rows_to_that_dial() {
    let mut desk = Desk::new();
    desk.many(1..=2, true);
    desk.opened(4, true);
    assert_eq!(desk.closed(4), [], "the dial goes on");
    assert_eq!(desk.answered(5, 1, true), [HandedOver(1, true), Send(5, 2)]);
    // And where that fails, to the schedule.
    let mut desk = Desk::new();
    desk.many(1..=2, true);
    desk.opened(4, true);
    desk.closed(4);
    assert_eq!(desk.failed(1), []);
    let pause = desk.pause().unwrap();
    assert_eq!(desk.wait(pause), [Dial(1)]);
}

#[test]
fn a_message_with_an_end_that_a_channel_has_is_not_given_up_for_a_dial_that_failed() {
    let mut desk = Desk::new();
    let until = row(Schedule::Until(desk.now.plus(1_000)), Keep::HandedOver, false);
    assert_eq!(desk.post_as(1, until, true), [Dial(1)]);
    assert_eq!(desk.opened(4, true), [Send(4, 1)]);
    assert_eq!(desk.failed(1), [], "its next attempt would come after its end");
    assert_eq!(desk.handed(4, 1), [HandedOver(1, true)]);
    assert_eq!(desk.courier.queued(&peer()), 1, "its receipt is waited for");
}

#[test]
fn a_peer_that_calls_again_gets_there_what_has_no_receipt_and_what_is_new() {
    let mut desk = Desk::new();
    desk.opened(3, true);
    desk.many(1..=3, true);
    desk.handed(3, 1);
    desk.handed(3, 2);
    desk.removed(&[1]);
    assert_eq!(desk.called_us(4, true), [Send(4, 2), Send(4, 3)]);
    assert_eq!(desk.handed(3, 3), [], "written to the old one after all");
    assert_eq!(desk.post(4), [Send(4, 4)]);
    assert_eq!(desk.closed(3), []);
    desk.removed(&[2, 3, 4]);
    // Nothing was on its way: the youngest again.
    desk.called_us(5, true);
    assert_eq!(desk.post(5), [Send(5, 5)]);
}

#[test]
fn a_peer_without_receipts_that_calls_again_gets_nothing_twice() {
    let mut desk = Desk::new();
    desk.opened(3, false);
    desk.many(1..=2, true);
    assert_eq!(desk.called_us(4, false), []);
    assert_eq!(desk.post(3), [Send(3, 3)], "nor one before the other");
}

#[test]
fn a_channel_opened_by_a_ticket_takes_nothing_from_others() {
    let mut desk = Desk::new();
    desk.opened(3, true);
    desk.post(1);
    assert_eq!(desk.opened(4, true), []);
    assert_eq!(desk.post(2), [Send(3, 2)]);
}

#[test]
fn when_one_of_two_channels_is_lost_the_other_has_everything_at_once() {
    let mut desk = Desk::new();
    desk.opened(4, true);
    desk.opened(5, true);
    assert_eq!(desk.many(1..=2, true), [Send(4, 1), Send(4, 2)]);
    desk.handed(4, 1);
    assert_eq!(desk.closed(4), [Send(5, 1), Send(5, 2)]);
}

#[test]
fn a_message_given_up_leaves_before_later_ones_once_the_peer_calls() {
    let mut desk = Desk::new();
    desk.post(1);
    for _ in 1..REQUEST_TRIES {
        desk.failed(1);
        let pause = desk.pause().unwrap();
        desk.wait(pause);
    }
    assert_eq!(desk.failed(1), [Stalled(1, REQUEST_TRIES, true)]);
    assert_eq!(desk.opened(4, true), [Send(4, 1)]);
    assert_eq!(desk.post(2), [Send(4, 2)]);
}

#[test]
fn a_later_message_to_a_peer_given_up_has_it_called_with_the_first() {
    let mut desk = Desk::new();
    desk.post(1);
    for _ in 1..REQUEST_TRIES {
        desk.failed(1);
        let pause = desk.pause().unwrap();
        desk.wait(pause);
    }
    desk.failed(1);
    assert_eq!(desk.post(2), [Dial(1)]);
    assert_eq!(desk.failed(1), [Delayed(2, 1)]);
}

#[test]
fn only_a_window_is_in_memory_and_the_rest_is_read_in_order() {
    let window = OUTBOX_WINDOW as u64;
    let mut desk = Desk::new();
    desk.opened(3, true);
    let sent = desk.many(1..=window + 10, true);
    assert_eq!(sent.len(), OUTBOX_WINDOW);
    assert_eq!(desk.removed(&(1..=window / 2).collect::<Vec<_>>()), []);
    assert_eq!(desk.removed(&[window / 2 + 1]), [Refill(window)]);
    // What is sent meanwhile must not go before what is still in the store.
    assert_eq!(desk.post(window + 11), []);
    let rest = desk.rows(window + 1..=window + 11);
    let orders = desk.courier.refill(&peer(), rest, desk.now);
    assert_eq!(told(orders), (window + 1..=window + 11).map(|mid| Send(3, mid)).collect::<Vec<_>>());
    assert_eq!(desk.post(window + 12), [Send(3, window + 12)]);
}

#[test]
fn after_a_restart_with_more_rows_than_a_window_the_rest_follows_in_order() {
    let window = OUTBOX_WINDOW as u64;
    let mut desk = Desk::new();
    desk.opened(3, true);
    assert_eq!(desk.many(1..=window, false).len(), OUTBOX_WINDOW);
    assert_eq!(desk.post(window + 100), [], "rows of the store come first");
    assert_eq!(desk.removed(&(1..=window - 1).collect::<Vec<_>>()), [Refill(window)]);
    let rest = desk.rows(window + 1..=window + 100);
    let orders = desk.courier.refill(&peer(), rest, desk.now);
    assert_eq!(told(orders).len(), 100);
    assert_eq!(desk.post(window + 101), [Send(3, window + 101)]);
}

#[test]
fn a_refill_that_found_nothing_leaves_nothing_behind() {
    let window = OUTBOX_WINDOW as u64;
    let mut desk = Desk::new();
    desk.opened(3, true);
    desk.many(1..=window, false);
    assert_eq!(desk.removed(&(1..=window).collect::<Vec<_>>()), [Refill(window)]);
    desk.closed(3);
    desk.courier.refill(&peer(), Vec::new(), desk.now);
    assert_eq!(desk.courier.peers(), 0);
    // An answer that comes late, for a peer forgotten, brings nothing back.
    desk.courier.refill(&peer(), Vec::new(), desk.now);
    assert_eq!(desk.courier.peers(), 0);
}

#[test]
fn a_refill_that_the_store_could_not_answer_is_asked_for_again() {
    let window = OUTBOX_WINDOW as u64;
    let mut desk = Desk::new();
    desk.opened(3, true);
    desk.many(1..=window, false);
    assert_eq!(desk.removed(&(1..=window).collect::<Vec<_>>()), [Refill(window)]);
    assert_eq!(desk.wait(REFILL_RETRY_MS - 1), []);
    assert_eq!(desk.wait(1), [Refill(window)]);
}

#[test]
fn rows_given_up_do_not_keep_the_rest_of_the_store_out_of_memory() {
    let window = OUTBOX_WINDOW as u64;
    let mut desk = Desk::new();
    let once = row(Schedule::Once, Keep::HandedOver, false);
    let posts = (1..=window).map(|mid| Post { line: peer(), mid, row: Arc::clone(&once) }).collect();
    assert_eq!(told(desk.courier.post(posts, false, desk.now)), [Dial(1)]);
    let ended = desk.failed(1);
    assert_eq!(ended.last(), Some(&Refill(window)));
}

#[test]
fn a_full_window_of_messages_given_up_is_tried_again_when_somebody_sends() {
    let window = OUTBOX_WINDOW as u64;
    let mut desk = Desk::new();
    desk.many(1..=window, true);
    while let Some(pause) = {
        desk.failed(1);
        desk.pause()
    } {
        // Each row has its own random delay: longer than any, so that one call is an attempt of all.
        desk.wait(pause + 2 * REQUEST_RETRY_MS.1);
    }
    assert_eq!(desk.courier.queued(&peer()), OUTBOX_WINDOW);
    assert_eq!(desk.post(window + 1), [Dial(1)]);
}

#[test]
fn a_dial_that_waited_for_its_turn_is_called_off_when_the_peer_has_called() {
    let mut desk = Desk::new();
    desk.post(1);
    assert!(desk.courier.called_off(&peer(), 1, desk.now).is_none());
    desk.opened(4, false);
    let orders = desk.courier.called_off(&peer(), 1, desk.now).map(told);
    assert_eq!(orders, Some(vec![Send(4, 1)]));
    desk.closed(4);
    desk.removed(&[1]);
    // With receipts it has left already.
    desk.post(2);
    assert_eq!(desk.opened(4, true), [Send(4, 2)]);
    assert_eq!(desk.courier.called_off(&peer(), 2, desk.now).map(told), Some(vec![]));
    desk.closed(4);
    desk.removed(&[2]);
    // And when its row is gone.
    desk.post(3);
    desk.removed(&[3]);
    assert!(desk.courier.called_off(&peer(), 3, desk.now).is_some());
    assert_eq!(desk.courier.peers(), 0);
}

#[test]
fn a_withdrawn_row_is_not_reported_when_its_channel_gets_to_it() {
    let mut desk = Desk::new();
    desk.opened(4, true);
    desk.post(1);
    desk.removed(&[1]);
    assert_eq!(desk.handed(4, 1), []);
    desk.closed(4);
    assert_eq!(desk.courier.peers(), 0);
}

#[test]
fn nothing_is_kept_of_a_peer_once_all_is_done() {
    let mut desk = Desk::new();
    desk.ticket(1);
    desk.post(2);
    desk.answered(4, 1, true);
    desk.handed(4, 2);
    desk.removed(&[1, 2]);
    assert_eq!(desk.courier.peers(), 1, "its channel is open");
    desk.closed(4);
    assert_eq!(desk.courier.peers(), 0);
}

#[test]
fn large_rows_fill_the_window_by_their_bytes_and_none_gets_past_them() {
    let mut desk = Desk::new();
    desk.opened(3, true);
    let sized = |bytes: usize| {
        let one = row(Schedule::Request, Keep::HandedOver, false);
        let message = Outgoing { object: vec![0; bytes], ..one.message.clone() };
        Arc::new(OutboxRow { message, ..(*one).clone() })
    };
    let post = |mid, bytes| Post { line: peer(), mid, row: sized(bytes) };
    let large = OUTBOX_WINDOW_BYTES / 4;
    let sent = told(desk.courier.post((1..=9).map(|mid| post(mid, large)).collect(), true, desk.now));
    assert_eq!(sent, [Send(3, 1), Send(3, 2), Send(3, 3), Send(3, 4)]);
    // The small one waits in the store behind the large ones.
    assert_eq!(told(desk.courier.post(vec![post(10, 1)], true, desk.now)), []);
    assert_eq!(desk.removed(&[1]), []);
    assert_eq!(desk.removed(&[2, 3, 4]), [Refill(4)]);
    let rest = (5..=8).map(|mid| post(mid, large)).collect();
    let sent = told(desk.courier.refill(&peer(), rest, desk.now));
    assert_eq!(sent, [Send(3, 5), Send(3, 6), Send(3, 7), Send(3, 8)]);
    assert_eq!(desk.removed(&[5, 6, 7, 8]), [Refill(8)]);
    let sent = told(desk.courier.refill(&peer(), vec![post(9, large), post(10, 1)], desk.now));
    assert_eq!(sent, [Send(3, 9), Send(3, 10)]);
    assert_eq!(desk.removed(&[9, 10]), []);
}
