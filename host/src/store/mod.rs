//! Durable ordered tables.
//!
//! A [`Store`] holds named tables of byte keys in order. It is used by one thread at a time; several
//! processes of one site may share one store where the implementation can serialise them, which is
//! why [`Transaction::commit`] may ask for a retry.
//!
//! [`SqliteStore`] keeps them in one file; [`MemoryStore`] in memory, for simulations and tests;
//! [`FaultyStore`] makes either fail on demand.

#[cfg(test)]
pub(crate) mod conformance;
pub mod faulty;
pub mod limits;
pub mod memory;
pub mod open;
pub mod sqlite;

pub use faulty::{Faults, FaultyStore, Operation};
pub use memory::{MemoryDisk, MemoryStore};
pub use open::{Open, Shelf};
pub use sqlite::SqliteStore;

use tallyho_plugin::services::{Range, Row};

/// Why the store could not do what was asked. All but [`Engine`](StoreError::Engine) are the
/// operator's to mend, or (`Conflict`) the caller's to retry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process's transaction came first: run the same events again.
    #[error("the store asks to run the transaction again")]
    Conflict,
    /// The disk is full or refuses writes. Nothing of the transaction was kept.
    #[error("{path} cannot be written: {why}; free space or mend permissions, then go on")]
    Unwritable {
        /// The file.
        path: String,
        /// What the system said.
        why: String,
    },
    /// Made by a newer version of this program.
    #[error(
        "{path} has schema {found}, this program knows up to {known}; run the newer program, or restore a backup made by this one"
    )]
    Newer {
        /// The file.
        path: String,
        /// Schema of the file.
        found: u32,
        /// Newest schema known here.
        known: u32,
    },
    /// The file is not a store, or is damaged.
    #[error("{path} is damaged or no store: {why}; restore a backup")]
    Damaged {
        /// The file.
        path: String,
        /// What was found.
        why: String,
    },
    /// There is no such file where one must be.
    #[error("{path} is not there; name the store's file, or put a backup back with `tallyho restore FILE`")]
    Missing {
        /// The file.
        path: String,
    },
    /// There is a file where a new one is to be written.
    #[error(
        "{path} is there already and is not overwritten; name another file, or move it away with its -wal and -shm"
    )]
    Exists {
        /// The file.
        path: String,
    },
    /// Anything else the storage engine said: a bug here or there.
    #[error("store: {0}")]
    Engine(String),
}

/// Durable ordered tables; see the module.
pub trait Store: Send {
    /// Begins the one transaction that may be open at a time.
    ///
    /// # Errors
    /// [`StoreError`].
    fn begin(&mut self) -> Result<Box<dyn Transaction + '_>, StoreError>;

    /// Ends the use of the store. Dropping it does the same, but cannot say what went wrong; what
    /// was committed is kept either way.
    ///
    /// # Errors
    /// [`StoreError`].
    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

impl<S: Store + ?Sized> Store for Box<S> {
    fn begin(&mut self) -> Result<Box<dyn Transaction + '_>, StoreError> {
        S::begin(self)
    }

    fn close(self: Box<Self>) -> Result<(), StoreError> {
        S::close(*self)
    }
}

/// Reads and writes that take effect together on [`commit`](Transaction::commit), or not at all
/// when dropped. Reads see the transaction's own writes. Tables come to be when first written;
/// names are 1 to 65 bytes `[a-z0-9._-]`. Keys and values may be empty and hold any bytes.
///
/// It may go from one thread to another between calls.
///
/// After an error from any call the transaction is spent: every later call, the commit too, fails
/// with the same error, so a batch can never be kept in part. Drop it and begin again.
pub trait Transaction: Send {
    /// A row's value.
    ///
    /// # Errors
    /// [`StoreError`].
    fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    /// Rows of a range in key order (or reversed), at most `range.limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn scan(&mut self, table: &str, range: &Range) -> Result<Vec<Row>, StoreError>;
    /// Writes a row.
    ///
    /// # Errors
    /// [`StoreError`].
    fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), StoreError>;
    /// Deletes a row, if there.
    ///
    /// # Errors
    /// [`StoreError`].
    fn delete(&mut self, table: &str, key: &[u8]) -> Result<(), StoreError>;
    /// Makes all of it durable. On an error nothing is kept.
    ///
    /// # Errors
    /// [`StoreError`].
    fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

/// Whether a table may have this name: 1 to 65 bytes `[a-z0-9._-]`.
#[must_use]
pub fn is_table_name(name: &str) -> bool {
    (1..=limits::TABLE_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

/// The answer to a table name that [`is_table_name`] refuses.
fn bad_table_name(name: &str) -> StoreError {
    StoreError::Engine(format!("{name:?} cannot name a table: 1 to 65 bytes [a-z0-9._-] can; this is a bug"))
}
