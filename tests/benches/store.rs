//! What a commit, a put and a read of the store cost.
//!
//! `cargo bench -p tallyho-tests --bench store`. The files are under `TMPDIR`: put that on the disk
//! that matters, a memory file system flatters.

use divan::{Bencher, counter::ItemsCount};
use tallyho::store::{MemoryStore, SqliteStore, Store};
use tallyho_plugin::services::Range;
use tempfile::TempDir;

/// Rows there are before a measurement.
const ROWS: u64 = 100_000;
/// Bytes of a value, about a small message or state record.
const VALUE_BYTES: usize = 200;
const TABLES: [&str; 2] = ["tally.tallies", "chit.chits"];

fn main() {
    divan::main();
}

/// A store with `ROWS` rows, half of them in each table, and its folder.
struct Site {
    store: Box<dyn Store>,
    /// Counts what was done, so that nothing is done twice alike: SQLite would notice.
    turn: u64,
    _folder: Option<TempDir>,
}

impl Site {
    fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let store = SqliteStore::open(&folder.path().join("store.sqlite")).expect("a new store opens");
        Self::filled(Box::new(store), Some(folder))
    }

    fn in_memory() -> Self {
        Self::filled(Box::new(MemoryStore::new()), None)
    }

    fn filled(store: Box<dyn Store>, folder: Option<TempDir>) -> Self {
        let mut site = Site { store, turn: 0, _folder: folder };
        for _ in 0..ROWS / 1_000 {
            site.put_batch(1_000, |turn| turn);
        }
        site
    }

    /// Puts rows in one transaction; `key_of` chooses each key from the turn.
    fn put_batch(&mut self, rows: usize, key_of: impl Fn(u64) -> u64) {
        let mut transaction = self.store.begin().expect("begins");
        for _ in 0..rows {
            let number = key_of(self.turn);
            transaction.put(table(number), &key(number), &value(self.turn)).expect("puts");
            self.turn += 1;
        }
        transaction.commit().expect("commits");
    }
}

fn table(number: u64) -> &'static str {
    TABLES[(number % 2) as usize]
}

/// One of the rows the site was filled with; another on each turn, everywhere in the tables.
fn filled_row(turn: u64) -> u64 {
    turn.wrapping_mul(48_271) % ROWS
}

/// Uuid-like: every one is somewhere else in the table, the same in each run (SplitMix64).
fn key(number: u64) -> [u8; 16] {
    let half = |n: u64| {
        let state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_be_bytes()
    };
    let mut key = [0; 16];
    key[..8].copy_from_slice(&half(2 * number));
    key[8..].copy_from_slice(&half(2 * number + 1));
    key
}

fn value(turn: u64) -> [u8; VALUE_BYTES] {
    let mut value = [0x5a; VALUE_BYTES];
    value[..8].copy_from_slice(&turn.to_be_bytes());
    value
}

/// New rows at random places, durable.
#[divan::bench(args = [1, 10, 100, 1_000], sample_count = 300, sample_size = 1)]
fn sqlite_put_and_commit(bencher: Bencher<'_, '_>, batch: usize) {
    let mut site = Site::on_sqlite();
    bencher.counter(ItemsCount::new(batch)).bench_local(|| site.put_batch(batch, |turn| turn));
}

/// New rows in the order of their keys, as in a journal.
#[divan::bench(args = [1, 10, 100, 1_000], sample_count = 300, sample_size = 1)]
fn sqlite_append_and_commit(bencher: Bencher<'_, '_>, batch: u64) {
    let mut site = Site::on_sqlite();
    bencher.counter(ItemsCount::new(batch)).bench_local(|| {
        let mut transaction = site.store.begin().expect("begins");
        for _ in 0..batch {
            let table = ["host.journal", "host.outbox"][(site.turn % 2) as usize];
            transaction.put(table, &site.turn.to_be_bytes(), &value(site.turn)).expect("puts");
            site.turn += 1;
        }
        transaction.commit().expect("commits");
    });
}

/// Rows that are there, changed.
#[divan::bench(args = [1, 10, 100, 1_000], sample_count = 300, sample_size = 1)]
fn sqlite_overwrite_and_commit(bencher: Bencher<'_, '_>, batch: usize) {
    let mut site = Site::on_sqlite();
    bencher.counter(ItemsCount::new(batch)).bench_local(|| site.put_batch(batch, filled_row));
}

/// What the ledger does: per event two reads, two changed rows and a journal entry; one commit per
/// batch.
#[divan::bench(args = [1, 10, 100, 1_000], sample_count = 200, sample_size = 1)]
fn sqlite_events(bencher: Bencher<'_, '_>, events: u64) {
    let mut site = Site::on_sqlite();
    bencher.counter(ItemsCount::new(events)).bench_local(|| {
        let mut transaction = site.store.begin().expect("begins");
        for _ in 0..events {
            let (left, right) = (filled_row(site.turn) & !1, filled_row(site.turn + 1) | 1);
            for row in [left, right] {
                let found = transaction.get(table(row), &key(row)).expect("reads");
                assert!(found.is_some());
                transaction.put(table(row), &key(row), &value(site.turn)).expect("puts");
            }
            transaction.put("host.journal", &site.turn.to_be_bytes(), &value(site.turn)).expect("puts");
            site.turn += 1;
        }
        transaction.commit().expect("commits");
    });
}

/// A transaction that only begins and ends.
#[divan::bench]
fn sqlite_begin_and_commit_nothing(bencher: Bencher<'_, '_>) {
    let mut site = Site::on_sqlite();
    bencher.bench_local(|| site.store.begin().expect("begins").commit().expect("commits"));
}

#[divan::bench(sample_count = 200, sample_size = 1_000)]
fn sqlite_get(bencher: Bencher<'_, '_>) {
    get(bencher, Site::on_sqlite());
}

#[divan::bench(sample_count = 200, sample_size = 1_000)]
fn memory_get(bencher: Bencher<'_, '_>) {
    get(bencher, Site::in_memory());
}

fn get(bencher: Bencher<'_, '_>, mut site: Site) {
    let mut transaction = site.store.begin().expect("begins");
    bencher.bench_local(|| {
        site.turn += 1;
        let row = filled_row(site.turn);
        let found = transaction.get(table(row), &key(row)).expect("reads");
        assert!(found.is_some());
        found
    });
}

/// A put by itself, of a row that is there: no commit. Few enough to stay in the page cache.
#[divan::bench(sample_count = 40, sample_size = 1_000)]
fn sqlite_put(bencher: Bencher<'_, '_>) {
    let mut site = Site::on_sqlite();
    let mut transaction = site.store.begin().expect("begins");
    bencher.bench_local(|| {
        site.turn += 1;
        let row = filled_row(site.turn);
        transaction.put(table(row), &key(row), &value(site.turn)).expect("puts");
    });
}

#[divan::bench(args = [10, 1_000], sample_count = 200)]
fn sqlite_scan(bencher: Bencher<'_, '_>, rows: u32) {
    scan(bencher, Site::on_sqlite(), rows);
}

#[divan::bench(args = [10, 1_000], sample_count = 200)]
fn memory_scan(bencher: Bencher<'_, '_>, rows: u32) {
    scan(bencher, Site::in_memory(), rows);
}

fn scan(bencher: Bencher<'_, '_>, mut site: Site, rows: u32) {
    let mut transaction = site.store.begin().expect("begins");
    bencher.counter(ItemsCount::new(rows)).bench_local(|| {
        site.turn += 1;
        let from = key(filled_row(site.turn)).to_vec();
        transaction.scan(TABLES[1], &Range { from, limit: rows, ..Range::default() }).expect("scans")
    });
}
