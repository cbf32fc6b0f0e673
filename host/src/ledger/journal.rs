//! What happened, in order, bounded: for `plugin replay` and for whoever asks what went on.
//!
//! The journal is a ring of rows: an entry takes the place of the one [`JOURNAL_SLOTS`] before it, so
//! trimming costs nothing.

use super::limits::JOURNAL_SLOTS;
use crate::store::{StoreError, Transaction};
use serde::{Deserialize, Serialize};
use tallyho_plugin::Event;
use tallyho_plugin::record::Timestamp;

const TABLE: &str = "host.journal";
const NEXT: &[u8] = b"next";

/// One event as it was given to a plugin, enough to give it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, from 0.
    pub number: u64,
    /// The event's time.
    pub at: Timestamp,
    /// The plugin.
    pub plugin: String,
    /// The plugin's generation.
    pub generation: u64,
    /// The event, without its body.
    pub event: Event,
    /// The body of its message or command.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
    /// What its random bytes were drawn from.
    #[serde(with = "serde_bytes")]
    pub seed: Vec<u8>,
    /// Why it had no effect, where it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// An [`Entry`] to be written, borrowed from where its parts are.
#[derive(Debug, Clone, Serialize)]
pub struct NewEntry<'e> {
    /// Given when it is written.
    pub number: u64,
    /// See [`Entry::at`].
    pub at: Timestamp,
    /// See [`Entry::plugin`].
    pub plugin: &'e str,
    /// See [`Entry::generation`].
    pub generation: u64,
    /// See [`Entry::event`].
    pub event: &'e Event,
    /// See [`Entry::body`].
    #[serde(with = "serde_bytes")]
    pub body: &'e [u8],
    /// See [`Entry::seed`].
    #[serde(with = "serde_bytes")]
    pub seed: &'e [u8],
    /// See [`Entry::fault`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// The journal's next number.
#[derive(Debug, Clone, Copy, Default)]
pub struct Journal {
    next: u64,
}

impl Journal {
    /// Finds where the journal stands.
    ///
    /// # Errors
    /// The store's.
    pub fn open(transaction: &mut dyn Transaction) -> Result<Self, StoreError> {
        let next = transaction.get(TABLE, NEXT)?.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
        Ok(Journal { next })
    }

    /// Writes an entry, numbering it.
    ///
    /// # Errors
    /// The store's.
    pub fn write(&mut self, transaction: &mut dyn Transaction, mut entry: NewEntry<'_>) -> Result<(), StoreError> {
        entry.number = self.next;
        let mut bytes = Vec::with_capacity(entry.body.len() + 512);
        ciborium::into_writer(&entry, &mut bytes).map_err(|error| StoreError::Engine(format!("journal: {error}")))?;
        let slot = u32::try_from(self.next % JOURNAL_SLOTS).unwrap_or(u32::MAX);
        transaction.put(TABLE, &slot.to_be_bytes(), &bytes)?;
        self.next += 1;
        Ok(())
    }

    /// Writes where the journal stands; once a batch.
    ///
    /// # Errors
    /// The store's.
    pub fn mark(&self, transaction: &mut dyn Transaction) -> Result<(), StoreError> {
        transaction.put(TABLE, NEXT, &self.next.to_be_bytes())
    }
}

/// Adds values to a ring of numbered slots, for what is kept "the last n of", as notices are.
///
/// # Errors
/// The store's.
pub fn ring(transaction: &mut dyn Transaction, table: &str, slots: u64, values: &[Vec<u8>]) -> Result<(), StoreError> {
    if values.is_empty() {
        return Ok(());
    }
    let mut next = transaction.get(table, NEXT)?.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
    for value in values {
        let slot = u32::try_from(next % slots).unwrap_or(u32::MAX);
        transaction.put(table, &slot.to_be_bytes(), value)?;
        next += 1;
    }
    transaction.put(table, NEXT, &next.to_be_bytes())
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
