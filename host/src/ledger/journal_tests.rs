#![allow(clippy::unwrap_used)]

use super::*;
use crate::ledger::robot::{NOW, event};
use crate::plugin::Given;
use crate::store::{MemoryStore, Store};
use tallyho_plugin::{Command, Timer};

fn entry(event: &Given) -> NewEntry<'_> {
    let (at, plugin, header, body) = (NOW, "r0", event.header().unwrap(), event.body());
    NewEntry { at, plugin, generation: 1, header, body, seed: &[2], fault: None, recorded: None }
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
    let event = event("m");
    let mut left = JOURNAL_SLOTS + 100;
    while left > 0 {
        let mut transaction = store.begin().unwrap();
        let mut journal = Journal::open(&mut *transaction).unwrap();
        for _ in 0..left.min(3_000) {
            journal.write(&mut *transaction, entry(&event), &mut Vec::new()).unwrap();
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
    for values in [vec![vec![0]], vec![vec![1], vec![2], vec![3], vec![4], vec![5]], vec![], vec![vec![6]]] {
        ring(&mut *transaction, "host.ring", 3, &values).unwrap();
    }
    let kept: Vec<Vec<u8>> =
        (0..3_u32).map(|slot| transaction.get("host.ring", &slot.to_be_bytes()).unwrap().unwrap()).collect();
    assert_eq!(kept, [[6], [4], [5]]);
    assert_eq!(transaction.get("host.ring", &3_u32.to_be_bytes()).unwrap(), None);
}

#[test]
fn what_is_written_is_read_as_an_entry() {
    let command = Event::Command(Command { name: "do".into(), caller: None, body: vec![0xa0] });
    let timer = Event::Timer(Timer { key: "wake".into(), due: Timestamp(7) });
    for (event, fault) in [(command, None), (timer, Some("late".to_owned()))] {
        let event = Given::from(event);
        let (at, seed) = (Timestamp(9), [3; 32]);
        let new = NewEntry {
            at,
            plugin: "echo",
            generation: 4,
            header: event.header().unwrap(),
            body: event.body(),
            seed: &seed,
            fault: fault.as_deref(),
            recorded: None,
        };
        let mut store = MemoryStore::new();
        let mut transaction = store.begin().unwrap();
        Journal { next: 5 }.write(&mut *transaction, new, &mut Vec::new()).unwrap();
        let bytes = transaction.get(TABLE, &5_u32.to_be_bytes()).unwrap().unwrap();
        let read: Entry = ciborium::from_reader(bytes.as_slice()).unwrap();
        let event = Event::clone(&event);
        let (plugin, seed) = ("echo".to_owned(), seed.to_vec());
        assert_eq!(read, Entry { number: 5, at, plugin, generation: 4, event, seed, fault, recorded: None });
    }
}
