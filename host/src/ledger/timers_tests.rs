#![allow(clippy::unwrap_used)]

use super::*;
use crate::store::{MemoryStore, Store};

fn with<T>(store: &mut MemoryStore, act: impl FnOnce(&mut Buffer<'_>) -> T) -> T {
    let mut transaction = store.begin().unwrap();
    let mut buffer = Buffer::new(&mut *transaction);
    let value = act(&mut buffer);
    buffer.keep().unwrap();
    transaction.commit().unwrap();
    value
}

fn found(store: &mut MemoryStore, now: i64) -> (Vec<(String, String, i64)>, Option<i64>) {
    let (due, next) = due(&mut *store.begin().unwrap(), Timestamp(now)).unwrap();
    (due.into_iter().map(|timer| (timer.plugin, timer.key, timer.due.0)).collect(), next.map(|next| next.0))
}

fn timer(plugin: &str, key: &str, at: i64) -> (String, String, i64) {
    (plugin.to_owned(), key.to_owned(), at)
}

#[test]
fn timers_come_due_in_order_of_their_times_also_before_1970() {
    let mut store = MemoryStore::new();
    with(&mut store, |buffer| {
        for (plugin, key, at) in [("b", "x", 5), ("a", "y", -5), ("a", "z\0odd", 5), ("a", "later", 6)] {
            set(buffer, plugin, key, Timestamp(at)).unwrap();
        }
    });
    let (all, next) = found(&mut store, 5);
    assert_eq!(all, [timer("a", "y", -5), timer("a", "z\0odd", 5), timer("b", "x", 5)]);
    assert_eq!(next, Some(6));
    assert_eq!(found(&mut store, -6), (vec![], Some(-5)));
    assert_eq!(found(&mut store, i64::MIN), (vec![], Some(-5)));
    assert_eq!(found(&mut store, i64::MAX).0.len(), 4);
}

#[test]
fn a_timer_set_again_is_moved() {
    let mut store = MemoryStore::new();
    with(&mut store, |buffer| set(buffer, "a", "x", Timestamp(5)).unwrap());
    with(&mut store, |buffer| set(buffer, "a", "x", Timestamp(9)).unwrap());
    assert_eq!(found(&mut store, 8), (vec![], Some(9)));
    assert_eq!(with(&mut store, |buffer| cancel(buffer, "a", "x").unwrap()), Some(Timestamp(9)));
    assert_eq!(with(&mut store, |buffer| cancel(buffer, "a", "x").unwrap()), None);
    assert_eq!(found(&mut store, i64::MAX), (vec![], None));
}

#[test]
fn a_batch_of_timers_is_bounded() {
    let mut store = MemoryStore::new();
    with(&mut store, |buffer| {
        for n in 0..i64::from(TIMERS_PER_BATCH) + 5 {
            set(buffer, "a", &format!("{n}"), Timestamp(n)).unwrap();
        }
    });
    assert_eq!(found(&mut store, 1_000_000).0.len(), TIMERS_PER_BATCH as usize);
}
