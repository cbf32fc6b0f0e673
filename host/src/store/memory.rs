//! The store in memory: for simulations, replays and tests.
//!
//! It keeps the promises of a durable store across a pretended crash: drop the [`MemoryStore`], and
//! [open](MemoryStore::open) another on the same [`MemoryDisk`]. Two stores on one disk behave like
//! two processes at serializable isolation: the later committer is asked to run again.

use super::{Store, StoreError, Transaction, bad_table_name, is_table_name, limits};
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tallyho_plugin::services::{Range, Row};

/// Values are shared, so that a copied table costs its keys only.
type Table = BTreeMap<Vec<u8>, Arc<[u8]>>;
/// What a transaction has written: `None` where it deleted.
type Written = BTreeMap<Vec<u8>, Option<Arc<[u8]>>>;

/// What outlives a [`MemoryStore`]: everything committed. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Contents>>);

#[derive(Debug, Clone, Default)]
struct Contents {
    /// Shared with snapshots until one side writes.
    tables: HashMap<String, Arc<Table>>,
    /// Counts commits that wrote something.
    version: u64,
}

impl MemoryDisk {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        // A commit changes the contents without a call that could panic: they are whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store in memory; see the module.
#[derive(Debug, Default)]
pub struct MemoryStore {
    disk: MemoryDisk,
}

impl MemoryStore {
    /// An empty store on a disk of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The store on this disk, as left by the last commit.
    #[must_use]
    pub fn open(disk: &MemoryDisk) -> Self {
        MemoryStore { disk: disk.clone() }
    }

    /// The disk, to open the store again after dropping it.
    #[must_use]
    pub fn disk(&self) -> MemoryDisk {
        self.disk.clone()
    }

    /// A store of its own with the same contents. Tables are copied when either side first writes
    /// to them.
    #[must_use]
    pub fn snapshot(&self) -> MemoryStore {
        let contents = self.disk.contents().clone();
        MemoryStore { disk: MemoryDisk(Arc::new(Mutex::new(contents))) }
    }
}

impl Store for MemoryStore {
    fn begin(&mut self) -> Result<Box<dyn Transaction + '_>, StoreError> {
        let version = self.disk.contents().version;
        Ok(Box::new(MemoryTransaction { disk: &self.disk, version, written: HashMap::new(), spent: None }))
    }
}

struct MemoryTransaction<'a> {
    disk: &'a MemoryDisk,
    /// The disk's version that was read; another means that someone else committed.
    version: u64,
    written: HashMap<String, Written>,
    /// The first error; see [`Transaction`].
    spent: Option<StoreError>,
}

impl MemoryTransaction<'_> {
    /// Whether the transaction may go on with this table.
    fn check(&mut self, table: &str) -> Result<(), StoreError> {
        if self.spent.is_none() {
            if !is_table_name(table) {
                self.spent = Some(bad_table_name(table));
            } else if self.disk.contents().version != self.version {
                self.spent = Some(StoreError::Conflict);
            }
        }
        self.spent.clone().map_or(Ok(()), Err)
    }

    fn write(&mut self, table: &str, key: &[u8], value: Option<Arc<[u8]>>) -> Result<(), StoreError> {
        self.check(table)?;
        match self.written.get_mut(table) {
            Some(written) => written.insert(key.to_vec(), value),
            None => self.written.entry(table.to_owned()).or_default().insert(key.to_vec(), value),
        };
        Ok(())
    }
}

impl Transaction for MemoryTransaction<'_> {
    fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.check(table)?;
        if let Some(value) = self.written.get(table).and_then(|written| written.get(key)) {
            return Ok(value.as_deref().map(<[u8]>::to_vec));
        }
        Ok(self.disk.contents().tables.get(table).and_then(|rows| rows.get(key)).map(|value| value.to_vec()))
    }

    fn scan(&mut self, table: &str, range: &Range) -> Result<Vec<Row>, StoreError> {
        self.check(table)?;
        let bounds = (
            Bound::Included(range.from.as_slice()),
            range.to.as_ref().map_or(Bound::Unbounded, |to| Bound::Excluded(to.as_slice())),
        );
        if range.to.as_ref().is_some_and(|to| to.as_slice() <= range.from.as_slice()) {
            return Ok(Vec::new());
        }
        let (no_rows, nothing) = (Table::new(), Written::new());
        let contents = self.disk.contents();
        let kept = contents.tables.get(table).map_or(&no_rows, |rows| &**rows).range::<[u8], _>(bounds);
        let written = self.written.get(table).unwrap_or(&nothing).range::<[u8], _>(bounds);
        let limit = range.limit as usize;
        Ok(match range.reverse {
            false => merge(kept, written, Ord::cmp, limit),
            true => merge(kept.rev(), written.rev(), |left, right| right.cmp(left), limit),
        })
    }

    fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.write(table, key, Some(value.into()))
    }

    fn delete(&mut self, table: &str, key: &[u8]) -> Result<(), StoreError> {
        self.write(table, key, None)
    }

    fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let mut contents = self.disk.contents();
        if let Some(spent) = self.spent {
            return Err(spent);
        }
        if contents.version != self.version {
            return Err(StoreError::Conflict);
        }
        contents.version += u64::from(!self.written.is_empty());
        for (name, written) in self.written {
            let rows = Arc::make_mut(contents.tables.entry(name).or_default());
            for (key, value) in written {
                match value {
                    Some(value) => rows.insert(key, value),
                    None => rows.remove(&key),
                };
            }
        }
        Ok(())
    }
}

/// What is written before what is kept, in the order given.
fn merge<'t>(
    kept: impl Iterator<Item = (&'t Vec<u8>, &'t Arc<[u8]>)>,
    written: impl Iterator<Item = (&'t Vec<u8>, &'t Option<Arc<[u8]>>)>,
    order: impl Fn(&'t Vec<u8>, &'t Vec<u8>) -> Ordering,
    limit: usize,
) -> Vec<Row> {
    let (mut kept, mut written) = (kept.peekable(), written.peekable());
    let mut rows = Vec::with_capacity(limits::SCAN_ROWS_RESERVED.min(limit));
    while rows.len() < limit {
        let first = match (kept.peek(), written.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((left, _)), Some((right, _))) => order(left, right),
        };
        let below = if first.is_le() { kept.next() } else { None };
        let row = match if first.is_ge() { written.next() } else { None } {
            Some((key, value)) => value.as_ref().map(|value| (key, value)),
            None => below,
        };
        rows.extend(row.map(|(key, value)| (key.clone(), value.to_vec())));
    }
    rows
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::store::conformance::{commit, rows};

    fn with_row() -> MemoryStore {
        let mut store = MemoryStore::new();
        commit(&mut store, |transaction| transaction.put("t", b"k", b"v").unwrap());
        store
    }

    #[test]
    fn a_crash_keeps_what_was_committed_and_loses_the_rest() {
        let mut store = with_row();
        let disk = store.disk();
        let mut transaction = store.begin().unwrap();
        transaction.put("t", b"lost", b"").unwrap();
        drop(transaction);
        drop(store);
        let row = (b"k".to_vec(), b"v".to_vec());
        assert_eq!(rows(&mut MemoryStore::open(&disk), "t"), [row]);
    }

    #[test]
    fn a_snapshot_and_its_original_go_separate_ways() {
        let mut store = with_row();
        let mut snapshot = store.snapshot();
        commit(&mut store, |transaction| transaction.put("t", b"k", b"original").unwrap());
        commit(&mut snapshot, |transaction| {
            transaction.delete("t", b"k").unwrap();
            transaction.put("other", b"k", b"snapshot").unwrap();
        });
        assert_eq!(rows(&mut store, "t"), [(b"k".to_vec(), b"original".to_vec())]);
        assert_eq!(rows(&mut store, "other"), []);
        assert_eq!(rows(&mut snapshot, "t"), []);
    }

    #[test]
    fn of_two_stores_on_one_disk_the_later_to_commit_runs_again() {
        let mut first = with_row();
        let mut second = MemoryStore::open(&first.disk());
        let mut third = MemoryStore::open(&first.disk());
        let mut blind = third.begin().unwrap();
        blind.put("other", b"k", b"").unwrap();
        let mut early = first.begin().unwrap();
        let mut late = second.begin().unwrap();
        early.put("t", b"k", b"early").unwrap();
        late.put("t", b"k", b"late").unwrap();
        early.commit().unwrap();
        assert_eq!(late.get("t", b"k"), Err(StoreError::Conflict));
        assert_eq!(late.commit(), Err(StoreError::Conflict));
        assert_eq!(blind.commit(), Err(StoreError::Conflict));
        commit(&mut second, |transaction| {
            assert_eq!(transaction.get("t", b"k").unwrap(), Some(b"early".to_vec()));
            transaction.put("t", b"k", b"late").unwrap();
        });
        assert_eq!(rows(&mut first, "t"), [(b"k".to_vec(), b"late".to_vec())]);
    }
}
