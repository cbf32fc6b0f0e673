#![allow(clippy::unwrap_used)]

use super::*;
use crate::ledger::robot::{NOW, event};
use crate::store::{MemoryStore, Store};

fn entry() -> Entry {
    Entry {
        number: 0,
        at: NOW,
        plugin: "r0".to_owned(),
        generation: 1,
        event: event("m"),
        body: vec![1],
        seed: vec![2],
        fault: None,
    }
}

fn numbers(store: &mut MemoryStore) -> Vec<u64> {
    let mut transaction = store.begin().unwrap();
    let mut found = Vec::new();
    for slot in 0..u32::try_from(JOURNAL_SLOTS).unwrap() {
        let Some(bytes) = transaction.get(TABLE, &slot.to_be_bytes()).unwrap() else { break };
        found.push(ciborium::from_reader::<Entry, _>(bytes.as_slice()).unwrap().number);
    }
    found.sort_unstable();
    found
}

#[test]
fn the_journal_keeps_the_latest_entries_and_goes_on_where_it_stood() {
    let mut store = MemoryStore::new();
    let mut left = JOURNAL_SLOTS + 100;
    while left > 0 {
        let mut transaction = store.begin().unwrap();
        let mut journal = Journal::open(&mut *transaction).unwrap();
        for _ in 0..left.min(3_000) {
            journal.write(&mut *transaction, entry()).unwrap();
        }
        left -= left.min(3_000);
        journal.mark(&mut *transaction).unwrap();
        transaction.commit().unwrap();
    }
    assert_eq!(numbers(&mut store), (100..JOURNAL_SLOTS + 100).collect::<Vec<_>>());
}

#[test]
fn a_ring_keeps_as_many_as_it_has_slots() {
    let mut store = MemoryStore::new();
    let mut transaction = store.begin().unwrap();
    for n in 0..7_u8 {
        assert_eq!(ring(&mut *transaction, "host.ring", 3, &[n]).unwrap(), u64::from(n));
    }
    let kept: Vec<Vec<u8>> =
        (0..3_u32).map(|slot| transaction.get("host.ring", &slot.to_be_bytes()).unwrap().unwrap()).collect();
    assert_eq!(kept, [[6], [4], [5]]);
    assert_eq!(transaction.get("host.ring", &3_u32.to_be_bytes()).unwrap(), None);
}
