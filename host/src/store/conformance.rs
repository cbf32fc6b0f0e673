//! What every store promises, as tests that run for each of them.
//!
//! A new implementation adds a line of `conformance!` with a function that opens (and opens again) one
//! and the same store.

#![allow(clippy::unwrap_used)]

mod interrupted;
mod model;

use super::*;

/// Opens the store under test; another call, after dropping it, opens the same store again.
pub(super) type Open<'o> = dyn FnMut() -> Box<dyn Store> + 'o;

macro_rules! conformance {
    ($($store:ident: $open:expr;)*) => {
        $(mod $store {
            use super::*;
            conformance!(@each $open;
                basics::a_row_is_read_back_as_written,
                basics::an_unknown_table_is_empty_and_reading_it_makes_none,
                basics::the_last_put_of_a_key_stands,
                basics::a_deleted_row_is_gone_and_others_stay,
                basics::keys_may_hold_any_bytes,
                basics::values_may_be_empty_or_a_mebibyte,
                basics::tables_do_not_mix,
                basics::only_agreed_names_reach_a_table,
                basics::a_transaction_reads_its_own_writes,
                basics::a_dropped_transaction_leaves_nothing,
                basics::a_reopened_store_holds_what_was_committed_only,
                basics::a_spent_transaction_refuses_to_commit,
                scans::every_bound_direction_and_limit_gives_the_right_rows,
                scans::a_scan_sees_own_writes_and_deletions,
                scans::an_empty_or_inverted_range_has_no_rows,
                model::any_history_agrees_with_an_ordered_map,
                interrupted::a_failing_operation_never_leaves_half_a_batch,
                interrupted::after_failures_the_same_store_goes_on,
            );
        })*
    };
    (@each $open:expr; $($module:ident::$promise:ident,)*) => {
        $(#[test]
        fn $promise() {
            let mut open = $open;
            super::$module::$promise(&mut open);
        })*
    };
}

conformance! {
    memory: in_memory();
    sqlite: on_sqlite();
    faultless_memory: faultless(in_memory());
}

pub(super) fn in_memory() -> impl FnMut() -> Box<dyn Store> {
    let disk = MemoryDisk::default();
    move || Box::new(MemoryStore::open(&disk))
}

pub(super) fn on_sqlite() -> impl FnMut() -> Box<dyn Store> {
    let folder = tempfile::tempdir().unwrap();
    move || Box::new(SqliteStore::open(&folder.path().join("store.sqlite")).unwrap())
}

fn faultless(mut open: impl FnMut() -> Box<dyn Store>) -> impl FnMut() -> Box<dyn Store> {
    move || Box::new(FaultyStore::new(open()).0)
}

/// Does one thing in a transaction of its own.
pub(super) fn commit(store: &mut dyn Store, work: impl FnOnce(&mut dyn Transaction)) {
    let mut transaction = store.begin().unwrap();
    work(&mut *transaction);
    transaction.commit().unwrap();
}

/// All rows of a table.
pub(super) fn rows(store: &mut dyn Store, table: &str) -> Vec<Row> {
    store.begin().unwrap().scan(table, &everything()).unwrap()
}

fn everything() -> Range {
    Range { limit: 100_000, ..Range::default() }
}

mod basics {
    use super::*;

    pub fn a_row_is_read_back_as_written(open: &mut Open<'_>) {
        let mut store = open();
        commit(&mut store, |transaction| transaction.put("t", b"k", b"v").unwrap());
        let mut transaction = store.begin().unwrap();
        assert_eq!(transaction.get("t", b"k").unwrap().as_deref(), Some(&b"v"[..]));
        assert_eq!(transaction.get("t", b"other").unwrap(), None);
    }

    pub fn an_unknown_table_is_empty_and_reading_it_makes_none(open: &mut Open<'_>) {
        let mut store = open();
        commit(&mut store, |transaction| {
            assert_eq!(transaction.get("nowhere", b"k").unwrap(), None);
            assert_eq!(transaction.scan("nowhere", &everything()).unwrap(), []);
            transaction.delete("nowhere", b"k").unwrap();
        });
        assert_eq!(rows(&mut store, "nowhere"), []);
    }

    pub fn the_last_put_of_a_key_stands(open: &mut Open<'_>) {
        let mut store = open();
        commit(&mut store, |transaction| {
            transaction.put("t", b"k", b"one").unwrap();
            transaction.put("t", b"k", b"a longer second").unwrap();
        });
        commit(&mut store, |transaction| transaction.put("t", b"k", b"3").unwrap());
        assert_eq!(rows(&mut store, "t"), [(b"k".to_vec(), b"3".to_vec())]);
    }

    pub fn a_deleted_row_is_gone_and_others_stay(open: &mut Open<'_>) {
        let mut store = open();
        commit(&mut store, |transaction| {
            transaction.put("t", b"a", b"1").unwrap();
            transaction.put("t", b"b", b"2").unwrap();
        });
        commit(&mut store, |transaction| {
            transaction.delete("t", b"a").unwrap();
            transaction.delete("t", b"never there").unwrap();
            assert_eq!(transaction.get("t", b"a").unwrap(), None);
        });
        assert_eq!(rows(&mut store, "t"), [(b"b".to_vec(), b"2".to_vec())]);
    }

    pub fn keys_may_hold_any_bytes(open: &mut Open<'_>) {
        let mut keys: Vec<Vec<u8>> =
            vec![vec![], vec![0], vec![0, 0], vec![0, 255], vec![1], b"a'\"%;--".to_vec(), vec![255], vec![255, 0]];
        keys.extend([vec![255, 255], vec![255; 512], "käse".into()]);
        let mut store = open();
        commit(&mut store, |transaction| {
            for key in &keys {
                transaction.put("t", key, key).unwrap();
            }
        });
        drop(store);
        let mut store = open();
        keys.sort();
        assert_eq!(rows(&mut store, "t"), keys.iter().map(|key| (key.clone(), key.clone())).collect::<Vec<_>>());
        let mut transaction = store.begin().unwrap();
        for key in &keys {
            assert_eq!(transaction.get("t", key).unwrap().as_ref(), Some(key));
        }
    }

    pub fn values_may_be_empty_or_a_mebibyte(open: &mut Open<'_>) {
        let big: Vec<u8> = (0..1 << 20).map(|n: u32| ((n * 31) >> 5) as u8).collect();
        let mut store = open();
        commit(&mut store, |transaction| {
            transaction.put("t", b"empty", b"").unwrap();
            transaction.put("t", b"big", &big).unwrap();
        });
        drop(store);
        let mut store = open();
        let mut transaction = store.begin().unwrap();
        assert_eq!(transaction.get("t", b"empty").unwrap(), Some(vec![]));
        assert!(transaction.get("t", b"big").unwrap() == Some(big));
    }

    pub fn tables_do_not_mix(open: &mut Open<'_>) {
        let names: Vec<String> = (0..200).map(|n| format!("plugin-{}.table_{}", n / 10, n % 10)).collect();
        let mut store = open();
        commit(&mut store, |transaction| {
            for name in &names {
                transaction.put(name, b"k", name.as_bytes()).unwrap();
            }
        });
        drop(store);
        let mut store = open();
        commit(&mut store, |transaction| {
            transaction.delete(&names[7], b"k").unwrap();
            for (n, name) in names.iter().enumerate() {
                let expected = (n != 7).then(|| name.clone().into_bytes());
                assert_eq!(transaction.get(name, b"k").unwrap(), expected);
            }
        });
    }

    pub fn only_agreed_names_reach_a_table(open: &mut Open<'_>) {
        let longest = "n".repeat(65);
        for name in [&longest, "a", "sqlite_master", "sqlite_schema", "t_a", "-", ".", "0", "select"] {
            let mut store = open();
            commit(&mut store, |transaction| transaction.put(name, b"k", name.as_bytes()).unwrap());
            assert_eq!(rows(&mut store, name), [(b"k".to_vec(), name.as_bytes().to_vec())], "{name}");
        }
        for name in ["", &format!("{longest}n"), "A", "a b", "a\"", "a'", "a;", "a\0", "ä"] {
            let mut store = open();
            let refused = |result: Result<(), StoreError>| {
                assert!(matches!(result, Err(StoreError::Engine(_))), "{name:?}");
            };
            refused(store.begin().unwrap().get(name, b"k").map(drop));
            refused(store.begin().unwrap().scan(name, &everything()).map(drop));
            refused(store.begin().unwrap().put(name, b"k", b"v"));
            refused(store.begin().unwrap().delete(name, b"k"));
        }
    }

    pub fn a_transaction_reads_its_own_writes(open: &mut Open<'_>) {
        let mut store = open();
        commit(&mut store, |transaction| transaction.put("t", b"a", b"old").unwrap());
        let mut transaction = store.begin().unwrap();
        transaction.put("t", b"a", b"new").unwrap();
        transaction.put("fresh", b"b", b"1").unwrap();
        assert_eq!(transaction.get("t", b"a").unwrap(), Some(b"new".to_vec()));
        assert_eq!(transaction.get("fresh", b"b").unwrap(), Some(b"1".to_vec()));
        transaction.delete("t", b"a").unwrap();
        assert_eq!(transaction.get("t", b"a").unwrap(), None);
    }

    pub fn a_dropped_transaction_leaves_nothing(open: &mut Open<'_>) {
        let mut store = open();
        commit(&mut store, |transaction| transaction.put("t", b"a", b"old").unwrap());
        let mut transaction = store.begin().unwrap();
        transaction.put("t", b"a", b"new").unwrap();
        transaction.put("fresh", b"b", b"1").unwrap();
        transaction.delete("t", b"a").unwrap();
        drop(transaction);
        assert_eq!(rows(&mut store, "t"), [(b"a".to_vec(), b"old".to_vec())]);
        assert_eq!(rows(&mut store, "fresh"), []);
        // A table whose making was taken back can be made again.
        commit(&mut store, |transaction| transaction.put("fresh", b"c", b"2").unwrap());
        assert_eq!(rows(&mut store, "fresh"), [(b"c".to_vec(), b"2".to_vec())]);
    }

    pub fn a_reopened_store_holds_what_was_committed_only(open: &mut Open<'_>) {
        let mut store = open();
        commit(&mut store, |transaction| transaction.put("t", b"a", b"1").unwrap());
        let mut transaction = store.begin().unwrap();
        transaction.put("t", b"b", b"2").unwrap();
        drop(transaction);
        drop(store);
        let mut store = open();
        assert_eq!(rows(&mut store, "t"), [(b"a".to_vec(), b"1".to_vec())]);
        commit(&mut store, |transaction| transaction.put("t", b"c", b"3").unwrap());
        store.close().unwrap();
        assert_eq!(rows(&mut open(), "t").len(), 2);
    }

    pub fn a_spent_transaction_refuses_to_commit(open: &mut Open<'_>) {
        let mut store = open();
        let mut transaction = store.begin().unwrap();
        transaction.put("t", b"a", b"1").unwrap();
        let error = transaction.put("No Such Name", b"b", b"2").unwrap_err();
        assert_eq!(transaction.get("t", b"a"), Err(error.clone()));
        assert_eq!(transaction.put("t", b"c", b"3"), Err(error.clone()));
        assert_eq!(transaction.commit(), Err(error));
        assert_eq!(rows(&mut store, "t"), []);
    }
}

mod scans {
    use super::*;
    use std::collections::BTreeMap;

    pub fn every_bound_direction_and_limit_gives_the_right_rows(open: &mut Open<'_>) {
        let rows: BTreeMap<Vec<u8>, Vec<u8>> =
            [&b""[..], b"\0", b"a", b"a\0", b"ab", b"b", b"b\xff", b"c", b"\xff", b"\xff\xff"]
                .iter()
                .map(|key| (key.to_vec(), key.repeat(2)))
                .collect();
        let mut store = open();
        commit(&mut store, |transaction| {
            for (key, value) in &rows {
                transaction.put("t", key, value).unwrap();
            }
        });
        let mut transaction = store.begin().unwrap();
        let mut edges: Vec<Vec<u8>> = rows.keys().cloned().collect();
        edges.extend([b"aa".to_vec(), b"b\xfe".to_vec(), b"\xff\xff\xff".to_vec()]);
        let ends = edges.iter().cloned().map(Some).chain([None]);
        for to in ends {
            for from in &edges {
                for (reverse, limit) in [0, 1, 2, 3, 10, 11, u32::MAX].into_iter().flat_map(|n| [(false, n), (true, n)])
                {
                    let inside =
                        |key: &[u8]| key >= from.as_slice() && to.as_ref().is_none_or(|to| key < to.as_slice());
                    let mut expected: Vec<Row> = rows
                        .iter()
                        .filter(|row| inside(row.0))
                        .map(|(key, value)| (key.clone(), value.clone()))
                        .collect();
                    if reverse {
                        expected.reverse();
                    }
                    expected.truncate(limit as usize);
                    let to = to.clone().map(Into::into);
                    let range = Range { from: from.clone(), to, reverse, limit };
                    assert_eq!(transaction.scan("t", &range).unwrap(), expected, "{range:?}");
                }
            }
        }
    }

    pub fn a_scan_sees_own_writes_and_deletions(open: &mut Open<'_>) {
        let mut store = open();
        commit(&mut store, |transaction| {
            for key in [b"a", b"c", b"e", b"g"] {
                transaction.put("t", key, b"old").unwrap();
            }
        });
        let mut transaction = store.begin().unwrap();
        transaction.put("t", b"b", b"new").unwrap();
        transaction.put("t", b"c", b"new").unwrap();
        transaction.delete("t", b"e").unwrap();
        transaction.put("t", b"z", b"new").unwrap();
        transaction.delete("t", b"z").unwrap();
        let mut seen = |reverse, limit| -> String {
            let rows = transaction.scan("t", &Range { reverse, limit, ..Range::default() }).unwrap();
            rows.iter().map(|(key, value)| format!("{}{}", key[0] as char, value[0] as char)).collect()
        };
        assert_eq!(seen(false, 10), "aobncngo");
        assert_eq!(seen(true, 10), "gocnbnao");
        assert_eq!(seen(false, 3), "aobncn");
        assert_eq!(seen(true, 2), "gocn");
    }

    pub fn an_empty_or_inverted_range_has_no_rows(open: &mut Open<'_>) {
        let mut store = open();
        commit(&mut store, |transaction| transaction.put("t", b"b", b"1").unwrap());
        let mut transaction = store.begin().unwrap();
        transaction.put("t", b"b\0", b"2").unwrap();
        for (from, to) in [(&b"b"[..], &b"b"[..]), (b"c", b"a"), (b"", b""), (b"\xff", b"\0")] {
            for reverse in [false, true] {
                let range = Range { from: from.to_vec(), to: Some(to.to_vec().into()), reverse, limit: 9 };
                assert_eq!(transaction.scan("t", &range).unwrap(), []);
            }
        }
    }
}
