#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::ledger::robot::{NOW, agent, outgoing};
use crate::store::{MemoryStore, Store};

/// Something done with the outbox, and kept.
fn with<T>(store: &mut MemoryStore, act: impl FnOnce(&mut Buffer<'_>) -> Result<T, OutboxError>) -> T {
    let mut transaction = store.begin().unwrap();
    let mut buffer = Buffer::new(&mut *transaction);
    let value = act(&mut buffer).unwrap();
    buffer.keep().unwrap();
    transaction.commit().unwrap();
    value
}

fn put(store: &mut MemoryStore, name: &str, now: Timestamp) -> u64 {
    with(store, |buffer| send(buffer, "r0", &outgoing(agent('b'), name, &[]), now)).1
}

fn names(store: &mut MemoryStore) -> Vec<String> {
    let mut transaction = store.begin().unwrap();
    let rows = window(&mut *transaction, &agent('b').into(), 0).unwrap();
    rows.into_iter().map(|(_, row)| row.message.key).collect()
}

#[test]
fn ids_rise_also_when_the_clock_is_set_back_or_the_outbox_was_empty() {
    let mut store = MemoryStore::new();
    let first = put(&mut store, "1", NOW);
    let second = put(&mut store, "2", NOW);
    let third = put(&mut store, "3", NOW.plus(-1_000_000));
    with(&mut store, |buffer| receive(buffer, &agent('b'), third, &[]));
    let fourth = put(&mut store, "4", NOW.plus(-2_000_000));
    assert!(first < second && second < third && third < fourth);
}

#[test]
fn ids_rise_after_an_older_copy_of_the_store_was_restored() {
    let mut store = MemoryStore::new();
    put(&mut store, "old", NOW);
    let mut copy = store.snapshot();
    let last = (0..50).map(|n| put(&mut store, &format!("{n}"), NOW.plus(n))).max().unwrap();
    assert!(put(&mut copy, "after", NOW.plus(1_000)) > last);
}

#[test]
fn ids_fit_a_json_number_for_two_centuries() {
    let mut store = MemoryStore::new();
    let year_2200 = Timestamp(7_258_118_400_000);
    assert!(put(&mut store, "late", year_2200) <= crate::wire::limits::MAX_INTEGER);
}

#[test]
fn a_message_replaces_the_one_of_its_name_to_the_same_agent_only() {
    let mut store = MemoryStore::new();
    let first = put(&mut store, "name", NOW);
    put(&mut store, "other", NOW);
    let other_agent = |buffer: &mut Buffer<'_>| send(buffer, "r0", &outgoing(agent('c'), "name", &[]), NOW);
    assert_eq!(with(&mut store, other_agent).0, None);
    let other_plugin = |buffer: &mut Buffer<'_>| send(buffer, "r1", &outgoing(agent('b'), "name", &[]), NOW);
    assert_eq!(with(&mut store, other_plugin).0, None);
    let again = |buffer: &mut Buffer<'_>| send(buffer, "r0", &outgoing(agent('b'), "name", &[]), NOW);
    assert_eq!(with(&mut store, again).0, Some((agent('b').into(), first)));
    assert_eq!(names(&mut store), ["other", "name", "name"]);
}

#[test]
fn messages_without_a_name_replace_nothing() {
    let mut store = MemoryStore::new();
    put(&mut store, "", NOW);
    put(&mut store, "", NOW);
    assert_eq!(names(&mut store).len(), 2);
}

#[test]
fn a_name_is_withdrawn_once_and_then_free() {
    let mut store = MemoryStore::new();
    let mid = put(&mut store, "name", NOW);
    assert_eq!(with(&mut store, |buffer| withdraw(buffer, "r0", &agent('b'), "name")), Some((agent('b').into(), mid)));
    assert_eq!(with(&mut store, |buffer| withdraw(buffer, "r0", &agent('b'), "name")), None);
    assert!(names(&mut store).is_empty());
}

#[test]
fn removing_an_old_row_leaves_the_name_to_the_later_one() {
    let mut store = MemoryStore::new();
    let first = put(&mut store, "name", NOW);
    let second = put(&mut store, "name", NOW);
    assert!(with(&mut store, |buffer| remove(buffer, &agent('b').into(), first)).is_none());
    assert_eq!(
        with(&mut store, |buffer| withdraw(buffer, "r0", &agent('b'), "name")),
        Some((agent('b').into(), second))
    );
}

#[test]
fn a_peers_outbox_is_bounded_and_has_room_again_once_rows_have_gone() {
    let mut store = MemoryStore::new();
    with(&mut store, |buffer| {
        for _ in 0..OUTBOX_ROWS_PER_PEER {
            send(buffer, "r0", &outgoing(agent('b'), "", &[]), NOW)?;
        }
        let more = send(buffer, "r0", &outgoing(agent('b'), "", &[]), NOW);
        assert!(matches!(more, Err(OutboxError::Full { .. })));
        send(buffer, "r0", &outgoing(agent('c'), "", &[]), NOW).map(drop)
    });
    let received = with(&mut store, |buffer| receive(buffer, &agent('b'), u64::MAX - 1, &[]));
    assert_eq!(received.len() as u64, OUTBOX_ROWS_PER_PEER);
    put(&mut store, "", NOW);
    let mut transaction = store.begin().unwrap();
    let mut waiting = lines(&mut *transaction).unwrap();
    waiting.sort();
    let mut expected = [(agent('b').into(), 1), (agent('c').into(), 1)];
    expected.sort();
    assert_eq!(waiting, expected);
}

#[test]
fn a_full_outbox_still_lets_a_message_be_replaced() {
    let mut store = MemoryStore::new();
    with(&mut store, |buffer| {
        for n in 0..OUTBOX_ROWS_PER_PEER {
            send(buffer, "r0", &outgoing(agent('b'), &format!("{n}"), &[]), NOW)?;
        }
        send(buffer, "r0", &outgoing(agent('b'), "7", &[]), NOW)
    });
}

#[test]
fn a_receipt_removes_what_it_names_and_nothing_else() {
    let mut store = MemoryStore::new();
    let mids: Vec<u64> = (0..5).map(|n| put(&mut store, &format!("{n}"), NOW)).collect();
    let received = with(&mut store, |buffer| receive(buffer, &agent('b'), mids[1], &[mids[3], mids[4] + 7]));
    assert_eq!(received.iter().map(|one| one.mid).collect::<Vec<_>>(), [mids[0], mids[1], mids[3]]);
    assert_eq!(names(&mut store), ["2", "4"]);
    assert!(with(&mut store, |buffer| receive(buffer, &agent('c'), u64::MAX, &mids)).is_empty());
}

/// A message for a stranger at this port.
fn asks(port: u16, name: &str) -> Outgoing {
    let mut message = outgoing(agent('b'), name, &[]).by_restricted_channel();
    message.to = message.to.at("127.0.0.1", port);
    message
}

#[test]
fn what_goes_to_strangers_waits_apart_by_address_and_no_receipt_speaks_of_it() {
    let mut store = MemoryStore::new();
    put(&mut store, "known", NOW);
    let sent = with(&mut store, |buffer| {
        let first = send(buffer, "r0", &asks(1, "x"), NOW)?;
        let second = send(buffer, "r0", &asks(2, "y"), NOW)?;
        let moved = send(buffer, "r0", &asks(2, "x"), NOW)?;
        Ok([first, second, moved])
    });
    let (one, two) = (Line::of(&asks(1, "")), Line::of(&asks(2, "")));
    assert_eq!(sent[2].0, Some((one.clone(), sent[0].1)), "the name is the agent's, at whatever address");
    assert!(sent[0].1 < sent[1].1 && sent[1].1 < sent[2].1);
    with(&mut store, |buffer| receive(buffer, &agent('b'), u64::MAX - 1, &[sent[1].1]));
    assert_eq!(lines(&mut *store.begin().unwrap()).unwrap(), [(two.clone(), 2)]);
    let withdrawn = with(&mut store, |buffer| withdraw(buffer, "r0", &agent('b'), "x"));
    assert_eq!(withdrawn, Some((two.clone(), sent[2].1)));
    assert_eq!(with(&mut store, |buffer| remove(buffer, &two, sent[1].1)).unwrap().message, asks(2, "y"));
    // Ids rise on, though nothing is left of either address.
    let next = with(&mut store, |buffer| send(buffer, "r0", &asks(1, "z"), NOW));
    assert!(next.1 > sent[2].1);
    assert_eq!(lines(&mut *store.begin().unwrap()).unwrap(), [(one, 1)]);
}

#[test]
fn strangers_have_a_bound_of_their_own_for_all_of_them() {
    let mut store = MemoryStore::new();
    with(&mut store, |buffer| {
        for n in 0..OUTBOX_ROWS_FOR_STRANGERS {
            send(buffer, "r0", &asks(u16::try_from(n % 9 + 1).unwrap(), ""), NOW)?;
        }
        assert!(matches!(send(buffer, "r0", &asks(99, ""), NOW), Err(OutboxError::Full { .. })));
        send(buffer, "r0", &outgoing(agent('b'), "", &[]), NOW).map(drop)
    });
}

#[test]
fn a_window_ends_with_the_row_that_fills_it_by_its_bytes() {
    let mut store = MemoryStore::new();
    let large = Outgoing { object: vec![0; OUTBOX_WINDOW_BYTES / 100], ..outgoing(agent('b'), "", &[]) };
    let mids: Vec<u64> = (0..150).map(|_| with(&mut store, |buffer| send(buffer, "r0", &large, NOW)).1).collect();
    let mut transaction = store.begin().unwrap();
    let read = |transaction: &mut dyn Transaction, after| -> Vec<u64> {
        window(transaction, &agent('b').into(), after).unwrap().into_iter().map(|(mid, _)| mid).collect()
    };
    let first = read(&mut *transaction, 0);
    assert!((90..=100).contains(&first.len()), "{}", first.len());
    let second = read(&mut *transaction, first[first.len() - 1]);
    assert_eq!([first, second].concat(), mids);
}

#[test]
fn a_row_from_before_reports_were_remembered_can_be_read() {
    #[derive(Serialize)]
    struct Old {
        plugin: String,
        message: Outgoing,
        created: Timestamp,
    }
    let old = Old { plugin: "r0".to_owned(), message: outgoing(agent('b'), "x", &[]), created: NOW };
    let row: OutboxRow = decode(&encode(&old)).unwrap();
    assert!(!row.handed);
}
