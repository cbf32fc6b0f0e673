//! The rows of one line that are in memory, by id, and how much memory they take.

use super::peer::Waiting;
use crate::ledger::limits::{OUTBOX_WINDOW, OUTBOX_WINDOW_BYTES};
use std::collections::BTreeMap;

/// See the module.
#[derive(Debug, Default)]
pub struct Rows {
    rows: BTreeMap<u64, Waiting>,
    bytes: usize,
}

/// Whether so many rows, of so many bytes, fill a window.
pub fn fill(rows: usize, bytes: usize) -> bool {
    rows >= OUTBOX_WINDOW || bytes >= OUTBOX_WINDOW_BYTES
}

impl Rows {
    /// Whether no more are taken. The last one taken may be larger than there was room for.
    pub fn is_full(&self) -> bool {
        fill(self.rows.len(), self.bytes)
    }

    /// Whether there is room for a good many.
    pub fn has_room(&self) -> bool {
        !fill(self.rows.len() * 2, self.bytes * 2)
    }

    pub fn insert(&mut self, mid: u64, waiting: Waiting) {
        self.bytes += waiting.row.bytes();
        if let Some(before) = self.rows.insert(mid, waiting) {
            self.bytes -= before.row.bytes();
        }
    }

    pub fn remove(&mut self, mid: u64) -> Option<Waiting> {
        let removed = self.rows.remove(&mid)?;
        self.bytes -= removed.row.bytes();
        Some(removed)
    }

    pub fn get(&self, mid: u64) -> Option<&Waiting> {
        self.rows.get(&mid)
    }

    /// Whoever changes a row leaves its message as it is.
    pub fn get_mut(&mut self, mid: u64) -> Option<&mut Waiting> {
        self.rows.get_mut(&mid)
    }

    /// In order of ids, as all below.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Waiting)> {
        self.rows.iter().map(|(mid, waiting)| (*mid, waiting))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut Waiting)> {
        self.rows.iter_mut().map(|(mid, waiting)| (*mid, waiting))
    }

    pub fn values(&self) -> impl Iterator<Item = &Waiting> {
        self.rows.values()
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Waiting> {
        self.rows.values_mut()
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
