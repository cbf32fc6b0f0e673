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
const VALUE: [u8; 200] = [0x5a; 200];
const TABLES: [&str; 2] = ["tally.tallies", "chit.chits"];

fn main() {
    divan::main();
}

/// A store with `ROWS` rows spread over the tables, and its folder.
struct Site {
    store: Box<dyn Store>,
    numbers: Numbers,
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

    fn filled(mut store: Box<dyn Store>, folder: Option<TempDir>) -> Self {
        let mut numbers = Numbers(1);
        for _ in 0..ROWS / 1_000 {
            put_batch(&mut *store, &mut numbers, 1_000);
        }
        Site { store, numbers: Numbers(1), _folder: folder }
    }
}

/// Uuid-like keys: every one is somewhere else in the table.
struct Numbers(u64);

impl Numbers {
    fn key(&mut self) -> [u8; 16] {
        // SplitMix64: the same keys in every run.
        let mut half = || {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)).to_be_bytes()
        };
        let (high, low) = (half(), half());
        let mut key = [0; 16];
        key[..8].copy_from_slice(&high);
        key[8..].copy_from_slice(&low);
        key
    }
}

fn put_batch(store: &mut dyn Store, numbers: &mut Numbers, rows: usize) {
    let mut transaction = store.begin().expect("begins");
    for row in 0..rows {
        transaction.put(TABLES[row % 2], &numbers.key(), &VALUE).expect("puts");
    }
    transaction.commit().expect("commits");
}

/// New rows at random places, durable.
#[divan::bench(args = [1, 10, 100, 1_000], sample_count = 300, sample_size = 1)]
fn sqlite_put_and_commit(bencher: Bencher<'_, '_>, batch: usize) {
    let mut site = Site::on_sqlite();
    site.numbers = Numbers(u64::MAX / 3);
    bencher.counter(ItemsCount::new(batch)).bench_local(|| put_batch(&mut *site.store, &mut site.numbers, batch));
}

/// Rows that are there, changed.
#[divan::bench(args = [1, 100, 1_000], sample_count = 300, sample_size = 1)]
fn sqlite_overwrite_and_commit(bencher: Bencher<'_, '_>, batch: usize) {
    let mut site = Site::on_sqlite();
    bencher.counter(ItemsCount::new(batch)).bench_local(|| put_batch(&mut *site.store, &mut site.numbers, batch));
}

/// What the ledger does: per event two reads, three writes; one commit per batch.
#[divan::bench(args = [1, 100, 1_000], sample_count = 200, sample_size = 1)]
fn sqlite_events_of_two_gets_and_three_puts(bencher: Bencher<'_, '_>, events: usize) {
    let mut site = Site::on_sqlite();
    bencher.counter(ItemsCount::new(events)).bench_local(|| {
        let mut transaction = site.store.begin().expect("begins");
        for _ in 0..events {
            let (left, right) = (site.numbers.key(), site.numbers.key());
            transaction.get(TABLES[0], &left).expect("reads");
            transaction.get(TABLES[1], &right).expect("reads");
            transaction.put(TABLES[0], &left, &VALUE).expect("puts");
            transaction.put(TABLES[1], &right, &VALUE).expect("puts");
            transaction.put("host.journal", &left, &VALUE).expect("puts");
        }
        transaction.commit().expect("commits");
    });
}

/// A transaction that only begins and ends.
#[divan::bench]
fn sqlite_begin_and_drop(bencher: Bencher<'_, '_>) {
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
    let mut turn = 0;
    bencher.bench_local(|| {
        turn = (turn + 1) % (ROWS as usize / 2);
        if turn == 1 {
            site.numbers = Numbers(1);
        }
        // Rows went to the tables by turns.
        let (left, right) = (site.numbers.key(), site.numbers.key());
        let found = transaction.get(TABLES[0], &left).expect("reads");
        assert!(found.is_some());
        divan::black_box_drop(right);
        found
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
        let from = site.numbers.key().to_vec();
        transaction.scan(TABLES[1], &Range { from, limit: rows, ..Range::default() }).expect("scans")
    });
}
