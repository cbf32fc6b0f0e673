//! What happened, in order, bounded: for `plugin replay` and for whoever asks what went on.
//!
//! The journal is a ring of rows: an entry takes the place of the one [`JOURNAL_SLOTS`] before it, so
//! trimming costs nothing.

use super::limits::JOURNAL_SLOTS;
use crate::store::{StoreError, Transaction};
use serde::Deserialize;
use serde_bytes::{ByteBuf, Bytes};
use tallyho_plugin::abi_adapt::event_from_bytes;
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::{Event, Fault};

const TABLE: &str = "host.journal";
const NEXT: &[u8] = b"next";

/// One event as it was given to a plugin, enough to give it again.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Row<ByteBuf, String>")]
pub struct Entry {
    /// Its number, from 0.
    pub number: u64,
    /// The event's time.
    pub at: Timestamp,
    /// The plugin.
    pub plugin: String,
    /// The plugin's generation.
    pub generation: u64,
    /// The event.
    pub event: Event,
    /// What its random bytes were drawn from.
    pub seed: Vec<u8>,
    /// Why it had no effect, where it had none.
    pub fault: Option<String>,
}

/// An entry as it is stored: number, time, plugin, generation, the event's header and body, seed, fault. An array,
/// because one is written for every event.
type Row<B, S> = (u64, Timestamp, S, u64, B, B, B, Option<S>);

impl TryFrom<Row<ByteBuf, String>> for Entry {
    type Error = Fault;

    fn try_from(row: Row<ByteBuf, String>) -> Result<Self, Fault> {
        let (number, at, plugin, generation, header, body, seed, fault) = row;
        let event = event_from_bytes(&header, &body)?;
        Ok(Entry { number, at, plugin, generation, event, seed: seed.into_vec(), fault })
    }
}

/// An [`Entry`] to be written, borrowed from where its parts are.
#[derive(Debug, Clone)]
pub struct NewEntry<'e> {
    /// See [`Entry::at`].
    pub at: Timestamp,
    /// See [`Entry::plugin`].
    pub plugin: &'e str,
    /// See [`Entry::generation`].
    pub generation: u64,
    /// The event's header; see [`Given::header`](crate::plugin::Given::header).
    pub header: &'e [u8],
    /// The event's body.
    pub body: &'e [u8],
    /// See [`Entry::seed`].
    pub seed: &'e [u8],
    /// See [`Entry::fault`].
    pub fault: Option<&'e str>,
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

    /// Writes an entry, numbering it. `scratch` is room for it, used again for the next.
    ///
    /// # Errors
    /// The store's.
    pub fn write(
        &mut self,
        transaction: &mut dyn Transaction,
        entry: NewEntry<'_>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let NewEntry { at, plugin, generation, header, body, seed, fault } = entry;
        let [header, body, seed] = [header, body, seed].map(Bytes::new);
        let row: Row<&Bytes, &str> = (self.next, at, plugin, generation, header, body, seed, fault);
        scratch.clear();
        ciborium::into_writer(&row, &mut *scratch).map_err(|error| StoreError::Engine(format!("journal: {error}")))?;
        let slot = u32::try_from(self.next % JOURNAL_SLOTS).unwrap_or(u32::MAX);
        transaction.put(TABLE, &slot.to_be_bytes(), scratch)?;
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

/// Adds values to a ring of numbered slots, for what is kept "the last n of": notices, quarantine.
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
