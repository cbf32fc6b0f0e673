//! Durable ordered tables.
//!
//! A [`Store`] holds named tables of byte keys in order. It is used by one thread at a time; several
//! processes of one site may share one store where the implementation can serialise them, which is
//! why [`Transaction::commit`] may ask for a retry.

use tallyho_plugin::services::{Range, Row};

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
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
    /// Anything else the storage engine said.
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
}

/// Reads and writes that take effect together on [`commit`](Transaction::commit), or not at all
/// when dropped. Reads see the transaction's own writes. Tables come to be when first written;
/// names are 1 to 65 bytes `[a-z0-9._-]`.
pub trait Transaction {
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
