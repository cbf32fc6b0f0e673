//! What of a site outlives its process: a store in memory or in a file, and copies of it.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use tallyho::store::{MemoryDisk, MemoryStore, SqliteStore, Store, StoreError};
use tallyho_plugin::services::Range;

/// A disk with one store. A clone is the same disk, a [copy](Disk::copy) another.
#[derive(Clone)]
pub enum Disk {
    /// In memory.
    Memory(MemoryDisk),
    /// An SQLite file, in a folder that goes with the last clone.
    File(PathBuf, #[allow(dead_code)] std::sync::Arc<tempfile::TempDir>),
}

impl Disk {
    /// An empty disk. `file`: an SQLite file rather than memory.
    ///
    /// # Panics
    /// When no temporary folder can be made.
    pub fn new(file: bool) -> Self {
        if !file {
            return Disk::Memory(MemoryDisk::default());
        }
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Disk::File(folder.path().join("store"), folder.into())
    }

    /// The store on it, as left by the last commit.
    ///
    /// # Errors
    /// The store's.
    pub fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        Ok(match self {
            Disk::Memory(disk) => Box::new(MemoryStore::open(disk)),
            Disk::File(path, _) => Box::new(SqliteStore::open(path)?),
        })
    }

    /// Another disk with what is committed on this one; its process may go on meanwhile.
    ///
    /// # Panics
    /// When the copy cannot be written.
    #[must_use]
    pub fn copy(&self) -> Disk {
        match self {
            Disk::Memory(disk) => Disk::Memory(MemoryStore::open(disk).snapshot().disk()),
            Disk::File(path, _) => {
                let folder = tempfile::tempdir().expect("a temporary folder can be made");
                let to = folder.path().join("store");
                tallyho::store::sqlite::backup(path, &to).expect("the store can be copied");
                Disk::File(to, folder.into())
            }
        }
    }

    /// All rows of a table with their keys.
    ///
    /// # Panics
    /// When the disk cannot be read, or a row is of another kind.
    pub fn rows<T: DeserializeOwned>(&self, table: &str) -> Vec<(Vec<u8>, T)> {
        self.under(table, &[])
    }

    /// All rows whose keys begin so.
    ///
    /// # Panics
    /// As [`rows`](Disk::rows).
    pub fn under<T: DeserializeOwned>(&self, table: &str, begin: &[u8]) -> Vec<(Vec<u8>, T)> {
        let mut store = self.open().expect("the disk can be read");
        let mut transaction = store.begin().expect("the disk can be read");
        let range = Range { from: begin.to_vec(), limit: u32::MAX, ..Range::default() };
        let rows = transaction.scan(table, &range).expect("rows can be read");
        let rows = rows.into_iter().take_while(|(key, _)| key.starts_with(begin));
        let read = |row: Vec<u8>| ciborium::from_reader(row.as_slice()).expect("a row of this kind");
        rows.map(|(key, row)| (key, read(row))).collect()
    }

    /// One row.
    ///
    /// # Panics
    /// As [`rows`](Disk::rows).
    pub fn row<T: DeserializeOwned>(&self, table: &str, key: &[u8]) -> Option<T> {
        let mut store = self.open().expect("the disk can be read");
        let row = store.begin().and_then(|mut transaction| transaction.get(table, key)).expect("a row can be read");
        row.map(|row| ciborium::from_reader(row.as_slice()).expect("a row of this kind"))
    }

    /// Writes a row behind the back of everybody.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn tamper(&self, table: &str, key: &[u8], row: &impl Serialize) {
        self.tamper_all(table, &[(key.to_vec(), row)]);
    }

    /// Writes rows behind the back of everybody.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn tamper_all(&self, table: &str, rows: &[(Vec<u8>, impl Serialize)]) {
        let mut store = self.open().expect("the disk can be read");
        let mut transaction = store.begin().expect("the disk can be read");
        for (key, row) in rows {
            let bytes = tallyho_plugin::context::to_cbor(row).expect("a row can be written");
            transaction.put(table, key, &bytes).expect("a row can be written");
        }
        transaction.commit().expect("rows can be written");
    }
}
