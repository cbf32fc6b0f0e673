//! One event's writes, held back until its handler has succeeded.

use super::difference::Writes;
use crate::site::rows::Rows;
use crate::store::{StoreError, Transaction};
use std::collections::BTreeMap;
use std::ops::Bound;
use tallyho_plugin::services::{Range, Row};

/// Reads through to the transaction, own writes first; [`keep`](Buffer::keep) hands the writes on,
/// dropping forgets them.
pub struct Buffer<'e> {
    transaction: &'e mut (dyn Transaction + 'e),
    writes: Writes,
    count: usize,
}

impl<'e> Buffer<'e> {
    /// Nothing written yet.
    pub fn new(transaction: &'e mut (dyn Transaction + 'e)) -> Self {
        Buffer { transaction, writes: Writes::new(), count: 0 }
    }

    /// A row's value.
    ///
    /// # Errors
    /// The store's.
    pub fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.writes.get(table).and_then(|rows| rows.get(key)) {
            Some(written) => Ok(written.clone()),
            None => self.transaction.get(table, key),
        }
    }

    /// Writes a row.
    pub fn put(&mut self, table: &str, key: &[u8], value: &[u8]) {
        self.write(table, key, Some(value.to_vec()));
    }

    /// Deletes a row.
    pub fn delete(&mut self, table: &str, key: &[u8]) {
        self.write(table, key, None);
    }

    fn write(&mut self, table: &str, key: &[u8], value: Option<Vec<u8>>) {
        self.count += 1;
        match self.writes.get_mut(table) {
            Some(rows) => rows.insert(key.to_vec(), value),
            None => self.writes.entry(table.to_owned()).or_default().insert(key.to_vec(), value),
        };
    }

    /// Writes and deletions so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// What has been written and not handed on yet.
    pub fn writes(&self) -> &Writes {
        &self.writes
    }

    /// A row's value as it is without what has been written.
    ///
    /// # Errors
    /// The store's.
    pub fn stored(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.transaction.get(table, key)
    }

    /// Takes what has been written, and hands on nothing.
    pub fn into_writes(self) -> Writes {
        self.writes
    }

    /// Rows of a range, own writes included.
    ///
    /// # Errors
    /// The store's.
    pub fn scan(&mut self, table: &str, range: &Range) -> Result<Vec<Row>, StoreError> {
        let to = range.to.as_deref().map(Vec::as_slice);
        if to.is_some_and(|to| to <= range.from.as_slice()) {
            return Ok(Vec::new());
        }
        let own: Vec<(&Vec<u8>, &Option<Vec<u8>>)> = self.writes.get(table).map_or_else(Vec::new, |rows| {
            let from = Bound::Included(range.from.as_slice());
            let to = to.map_or(Bound::Unbounded, Bound::Excluded);
            rows.range::<[u8], _>((from, to)).collect()
        });
        if own.is_empty() {
            return self.transaction.scan(table, range);
        }
        // Each own write can hide at most one stored row, so this many are enough.
        let wider =
            Range { limit: range.limit.saturating_add(u32::try_from(own.len()).unwrap_or(u32::MAX)), ..range.clone() };
        let stored = self.transaction.scan(table, &wider)?;
        let mut merged: BTreeMap<Vec<u8>, Option<Vec<u8>>> =
            stored.into_iter().map(|(key, value)| (key, Some(value))).collect();
        // A stored row beyond the last one read must not be jumped over by an own one.
        let complete = merged.len() < wider.limit as usize;
        let edge = if range.reverse { merged.keys().next().cloned() } else { merged.keys().next_back().cloned() };
        for (key, value) in own {
            let beyond = edge.as_ref().is_some_and(|edge| if range.reverse { key < edge } else { key > edge });
            if complete || !beyond {
                merged.insert(key.clone(), value.clone());
            }
        }
        let present = merged.into_iter().filter_map(|(key, value)| value.map(|value| (key, value)));
        let limit = range.limit as usize;
        Ok(if range.reverse {
            let mut rows: Vec<Row> = present.collect();
            rows.reverse();
            rows.truncate(limit);
            rows
        } else {
            present.take(limit).collect()
        })
    }

    /// Hands the writes on to the transaction.
    ///
    /// # Errors
    /// The store's; the transaction must then be given up as a whole.
    pub fn keep(self) -> Result<(), StoreError> {
        for (table, rows) in &self.writes {
            for (key, value) in rows {
                match value {
                    Some(value) => self.transaction.put(table, key, value)?,
                    None => self.transaction.delete(table, key)?,
                }
            }
        }
        Ok(())
    }
}

impl Rows for Buffer<'_> {
    fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Buffer::get(self, table, key)
    }
    fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        Buffer::put(self, table, key, value);
        Ok(())
    }
    fn delete(&mut self, table: &str, key: &[u8]) -> Result<(), StoreError> {
        Buffer::delete(self, table, key);
        Ok(())
    }
    fn scan(&mut self, table: &str, range: &Range) -> Result<Vec<Row>, StoreError> {
        Buffer::scan(self, table, range)
    }
}

#[cfg(test)]
#[path = "buffer_tests.rs"]
mod tests;
