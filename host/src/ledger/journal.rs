//! What happened, in order, bounded: for `plugin replay` and for whoever asks what went on.
//!
//! The journal is a ring of rows: an entry takes the place of the one [`JOURNAL_SLOTS`] before it, so
//! trimming costs nothing.

use super::limits::JOURNAL_SLOTS;
use super::recording::Recorded;
use crate::store::{StoreError, Transaction};
use serde::Deserialize;
use serde_bytes::{ByteBuf, Bytes};
use tallyho_plugin::abi_adapt::event_from_bytes;
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::services::Range;
use tallyho_plugin::{Event, Fault};

const TABLE: &str = "host.journal";
/// For each ring the number of its next entry, by the name of its table. Apart from the entries: beside the last slot it
/// would cost each commit a page more.
const NEXT: &str = "host.next";

/// One event as it was given to a plugin, enough to give it again.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Row<ByteBuf, String, Recorded>")]
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
    /// Its effects, where they were recorded.
    pub recorded: Option<Recorded>,
}

/// An entry as it is stored: number, time, plugin, generation, the event's header and body, seed, fault, effects.
/// An array, because one is written for every event.
type Row<B, S, R> = (u64, Timestamp, S, u64, B, B, B, Option<S>, Option<R>);

impl TryFrom<Row<ByteBuf, String, Recorded>> for Entry {
    type Error = Fault;

    fn try_from(row: Row<ByteBuf, String, Recorded>) -> Result<Self, Fault> {
        let (number, at, plugin, generation, header, body, seed, fault, recorded) = row;
        let event = event_from_bytes(&header, &body)?;
        Ok(Entry { number, at, plugin, generation, event, seed: seed.into_vec(), fault, recorded })
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
    /// See [`Entry::recorded`].
    pub recorded: Option<&'e Recorded>,
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
        Ok(Journal { next: next(transaction, TABLE)?.unwrap_or_default() })
    }

    /// Whether anything has ever happened: every commit that changes something leaves its mark.
    ///
    /// # Errors
    /// The store's.
    pub fn has_begun(transaction: &mut dyn Transaction) -> Result<bool, StoreError> {
        Ok(next(transaction, TABLE)?.is_some())
    }

    /// The number of the next entry.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// All entries there are, oldest first.
    ///
    /// # Errors
    /// The store's; `Engine` where an entry cannot be read.
    pub fn entries(transaction: &mut dyn Transaction) -> Result<Vec<Entry>, StoreError> {
        let (mut entries, mut from) = (Vec::new(), Vec::new());
        loop {
            let rows = transaction.scan(TABLE, &Range { from, to: None, reverse: false, limit: 256 })?;
            let Some((last, _)) = rows.last() else { break };
            from = [last.as_slice(), &[0]].concat();
            for (_, bytes) in &rows {
                let entry: Result<Entry, _> = ciborium::from_reader(bytes.as_slice());
                entries.push(entry.map_err(|error| StoreError::Engine(format!("journal: {error}")))?);
            }
        }
        entries.sort_by_key(|entry| entry.number);
        Ok(entries)
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
        let NewEntry { at, plugin, generation, header, body, seed, fault, recorded } = entry;
        let [header, body, seed] = [header, body, seed].map(Bytes::new);
        let row: Row<&Bytes, &str, &Recorded> =
            (self.next, at, plugin, generation, header, body, seed, fault, recorded);
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
        transaction.put(NEXT, TABLE.as_bytes(), &self.next.to_be_bytes())
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
    let mut next = next(transaction, table)?.unwrap_or_default();
    for value in values {
        let slot = u32::try_from(next % slots).unwrap_or(u32::MAX);
        transaction.put(table, &slot.to_be_bytes(), value)?;
        next += 1;
    }
    transaction.put(NEXT, table.as_bytes(), &next.to_be_bytes())
}

fn next(transaction: &mut dyn Transaction, table: &str) -> Result<Option<u64>, StoreError> {
    Ok(transaction.get(NEXT, table.as_bytes())?.and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes))
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
