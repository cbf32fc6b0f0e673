//! Random histories, compared with an ordered map.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;

/// Enough for every pair of operations to meet on one key many times over; each opens files.
const HISTORIES: u32 = 48;

/// The last three are kept side by side in the file.
const TABLES: [&str; 6] = ["a", "b.c", "sqlite_z", "host.inbound", "host.outbox_peers", "host.outbox_names"];

#[derive(Debug, Clone)]
enum Act {
    Get(usize, Vec<u8>),
    Scan(usize, Range),
    Put(usize, Vec<u8>, Vec<u8>),
    Delete(usize, Vec<u8>),
}

#[derive(Debug, Clone, Copy)]
enum End {
    Commit,
    Drop,
    CommitAndReopen,
    DropAndReopen,
}

pub fn any_history_agrees_with_an_ordered_map(open: &mut Open<'_>) {
    let history = vec((vec(act(), 0..12), end()), 1..8);
    let config = Config { cases: HISTORIES, failure_persistence: None, ..Config::default() };
    let open = std::cell::RefCell::new(open);
    TestRunner::new(config)
        .run(&history, |batches| {
            let mut open = open.borrow_mut();
            let mut store = open();
            empty(&mut store);
            let mut kept: Model = Default::default();
            for (acts, end) in batches {
                let mut seen = kept.clone();
                let mut transaction = store.begin().unwrap();
                for act in acts {
                    step(&mut *transaction, &mut seen, act)?;
                }
                match end {
                    End::Commit | End::CommitAndReopen => {
                        transaction.commit().unwrap();
                        kept = seen;
                    }
                    End::Drop | End::DropAndReopen => drop(transaction),
                }
                if let End::CommitAndReopen | End::DropAndReopen = end {
                    drop(store);
                    store = open();
                }
                for (number, table) in TABLES.iter().enumerate() {
                    prop_assert_eq!(rows(&mut store, table), kept[number].clone().into_iter().collect::<Vec<_>>());
                }
            }
            Ok(())
        })
        .unwrap();
}

type Model = [BTreeMap<Vec<u8>, Vec<u8>>; TABLES.len()];

fn step(transaction: &mut dyn Transaction, seen: &mut Model, act: Act) -> Result<(), TestCaseError> {
    match act {
        Act::Get(table, key) => {
            prop_assert_eq!(transaction.get(TABLES[table], &key).unwrap(), seen[table].get(&key).cloned());
        }
        Act::Put(table, key, value) => {
            transaction.put(TABLES[table], &key, &value).unwrap();
            seen[table].insert(key, value);
        }
        Act::Delete(table, key) => {
            transaction.delete(TABLES[table], &key).unwrap();
            seen[table].remove(&key);
        }
        Act::Scan(table, range) => {
            let inside =
                |key: &[u8]| key >= range.from.as_slice() && range.to.as_ref().is_none_or(|to| key < to.as_slice());
            let mut expected: Vec<Row> = seen[table].clone().into_iter().filter(|(key, _)| inside(key)).collect();
            if range.reverse {
                expected.reverse();
            }
            expected.truncate(range.limit as usize);
            prop_assert_eq!(transaction.scan(TABLES[table], &range).unwrap(), expected);
        }
    }
    Ok(())
}

/// The histories share one store: each starts by emptying it.
fn empty(store: &mut dyn Store) {
    commit(store, |transaction| {
        for table in TABLES {
            for (key, _) in transaction.scan(table, &everything()).unwrap() {
                transaction.delete(table, &key).unwrap();
            }
        }
    });
}

fn act() -> impl Strategy<Value = Act> {
    let table = || 0..TABLES.len();
    prop_oneof![
        (table(), key()).prop_map(|(table, key)| Act::Get(table, key)),
        (table(), range()).prop_map(|(table, range)| Act::Scan(table, range)),
        (table(), key(), vec(any::<u8>(), 0..40)).prop_map(|(table, key, value)| Act::Put(table, key, value)),
        (table(), key(), Just(vec![7; 6_000])).prop_map(|(table, key, value)| Act::Put(table, key, value)),
        (table(), key()).prop_map(|(table, key)| Act::Delete(table, key)),
    ]
}

/// Few and short keys, so that they meet.
fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0), Just(1), Just(b'a'), Just(254), Just(255)], 0..3)
}

fn range() -> impl Strategy<Value = Range> {
    (key(), proptest::option::of(key()), any::<bool>(), 0..9u32).prop_map(|(from, to, reverse, limit)| Range {
        from,
        to: to.map(Into::into),
        reverse,
        limit,
    })
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![3 => Just(End::Commit), 2 => Just(End::Drop), 1 => Just(End::CommitAndReopen), 1 => Just(End::DropAndReopen)]
}
