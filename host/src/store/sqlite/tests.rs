//! What is particular to the file. The promises of every store are in `store::conformance`.

#![allow(clippy::unwrap_used)]

mod copies;
mod files;
mod migrations;

use super::*;
use crate::store::conformance::{commit, rows};
use rusqlite::StatementStatus;
use std::os::unix::fs::PermissionsExt;
use tables::Action;
use tallyho_plugin::services::Range;
use tempfile::TempDir;

/// A folder and the path of a store in it.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    (folder, path)
}

/// A closed store with `count` rows in table `t`.
fn filled(path: &Path, count: u32) {
    let mut store = SqliteStore::open(path).unwrap();
    commit(&mut store, |transaction| {
        for n in 0..count {
            transaction.put("t", &n.to_be_bytes(), &[n as u8; 100]).unwrap();
        }
    });
    store.close().unwrap();
}

fn damaged(error: StoreError, path: &Path) -> bool {
    matches!(&error, StoreError::Damaged { path: named, .. } if *named == path.display().to_string())
        && error.to_string().contains("restore a backup")
}

fn unwritable(error: StoreError, path: &Path) -> bool {
    matches!(error, StoreError::Unwritable { path: named, .. } if named == path.display().to_string())
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// Overwrites part of the file with bytes that are no page.
fn scribble(path: &Path, from: u64, bytes: usize) {
    use std::os::unix::fs::FileExt;
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&vec![0xa5; bytes], from).unwrap();
}

fn raw(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

#[test]
fn a_full_disk_is_told_keeps_nothing_and_can_be_mended() {
    let (_folder, path) = place();
    filled(&path, 10);
    let mut store = SqliteStore::open(&path).unwrap();
    let allow_pages = |store: &SqliteStore, pages: u32| {
        store.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    };
    allow_pages(&store, 4);
    let mut transaction = store.begin().unwrap();
    let mut n = 0_u32;
    let error = loop {
        n += 1;
        if let Err(error) = transaction.put("t", &[&[1; 200][..], &n.to_be_bytes()].concat(), &[1; 500]) {
            break error;
        }
    };
    assert!(unwritable(error.clone(), &path), "{error}");
    // SQLite has rolled back by itself: were the transaction usable, this would commit alone.
    assert_eq!(transaction.put("t", b"alone", b""), Err(error.clone()));
    assert_eq!(transaction.commit(), Err(error));
    assert_eq!(rows(&mut store, "t").len(), 10);
    allow_pages(&store, 1_000);
    commit(&mut store, |transaction| transaction.put("t", b"after", b"").unwrap());
    drop(store);
    assert_eq!(rows(&mut SqliteStore::open(&path).unwrap(), "t").len(), 11);
}

#[test]
fn a_store_that_may_only_be_read_is_refused_until_mended() {
    let (_folder, path) = place();
    filled(&path, 1);
    let mut store = SqliteStore::open(&path).unwrap();
    store.connection.pragma_update(None, "query_only", true).unwrap();
    assert!(unwritable(store.begin().err().unwrap(), &path));
    store.connection.pragma_update(None, "query_only", false).unwrap();
    assert_eq!(rows(&mut store, "t").len(), 1);
}

#[test]
fn another_writer_in_the_way_is_a_conflict_and_passes() {
    let (_folder, path) = place();
    let mut store = SqliteStore::open(&path).unwrap();
    store.connection.busy_timeout(std::time::Duration::ZERO).unwrap();
    let other = raw(&path);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let log = || copy::beside(&path, "-wal").metadata().unwrap().len();
    let length = log();
    assert_eq!(store.begin().err(), Some(StoreError::Conflict));
    assert_eq!(log(), length, "the other may be writing to its end");
    other.execute_batch("ROLLBACK").unwrap();
    commit(&mut store, |transaction| transaction.put("t", b"k", b"v").unwrap());
}

#[test]
fn every_commit_is_synced() {
    let (_folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    let setting = |name: &str| -> String {
        store
            .connection
            .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
            .map(text)
            .unwrap()
    };
    assert_eq!(setting("journal_mode"), "wal");
    assert_eq!(setting("synchronous"), "2");
    assert_eq!(setting("mmap_size"), "0");
    assert_eq!(setting("page_size"), limits::PAGE_BYTES.to_string());
}

fn text(value: rusqlite::types::Value) -> String {
    match value {
        rusqlite::types::Value::Integer(number) => number.to_string(),
        rusqlite::types::Value::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn scans_walk_the_key_and_sort_nothing() {
    let (_folder, path) = place();
    let mut store = SqliteStore::open(&path).unwrap();
    for (name, key) in [("t", "t_t USING PRIMARY KEY ("), ("host.outbox", "shared USING PRIMARY KEY (t=? AND ")] {
        commit(&mut store, |transaction| transaction.put(name, b"k", b"v").unwrap());
        let table = store.tables.find(name).unwrap().unwrap();
        for (bounded, reverse) in [(false, false), (false, true), (true, false), (true, true)] {
            let sql = store.tables.sql(table, Action::Scan { bounded, reverse });
            let mut statement = store.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let limits = vec![1; statement.parameter_count()];
            let plan: Vec<String> = statement
                .query_map(rusqlite::params_from_iter(limits), |row| row.get("detail"))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            let until = if bounded { " AND k<?" } else { "" };
            assert_eq!(plan, [format!("SEARCH {key}k>?{until})")], "{sql}");
        }
    }
}

#[test]
fn a_table_without_rows_to_keep_is_not_made_twice_after_a_rollback_and_a_reopening() {
    let (_folder, path) = place();
    let mut store = SqliteStore::open(&path).unwrap();
    store.begin().unwrap().put("t", b"k", b"v").unwrap();
    commit(&mut store, |transaction| {
        transaction.put("t", b"k", b"v").unwrap();
        transaction.delete("t", b"k").unwrap();
    });
    drop(store);
    let mut store = SqliteStore::open(&path).unwrap();
    commit(&mut store, |transaction| transaction.put("t", b"k", b"v").unwrap());
    assert_eq!(rows(&mut store, "t").len(), 1);
}

#[test]
fn no_statement_is_prepared_again_for_other_values() {
    let (_folder, path) = place();
    filled(&path, 10);
    let mut store = SqliteStore::open(&path).unwrap();
    let mut transaction = store.begin().unwrap();
    for from in 0..4_u32 {
        let range =
            Range { from: from.to_be_bytes().to_vec(), to: Some(vec![9].into()), limit: 2 + from, reverse: false };
        assert_eq!(transaction.scan("t", &range).unwrap().len(), 2 + from as usize);
    }
    drop(transaction);
    let scan = Action::Scan { bounded: true, reverse: false };
    let statement = store.connection.prepare_cached(store.tables.sql(0, scan)).unwrap();
    assert_eq!(statement.get_status(StatementStatus::Run), 4);
    assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
}
