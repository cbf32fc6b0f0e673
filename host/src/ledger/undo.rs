//! Rows as they were before a migration in several parts, until the build that they are for serves.

use super::buffer::Buffer;
use super::limits::UNDO_ROWS;
use super::remembered::Remembered;
use crate::store::{StoreError, Transaction};
use serde_bytes::ByteBuf;
use tallyho_plugin::Manifest;
use tallyho_plugin::services::Range;

/// Plugin, a zero byte, number; the rows of one plugin are taken back last first.
const TABLE: &str = "host.undo";

/// A row as it was: table, key, value (`None`: it was not there).
type Was = (String, ByteBuf, Option<ByteBuf>);

fn key(plugin: &str, number: u64) -> Vec<u8> {
    [plugin.as_bytes(), &[0], &number.to_be_bytes()].concat()
}

fn range(plugin: &str, reverse: bool) -> Range {
    let to = Some(ByteBuf::from([plugin.as_bytes(), &[1]].concat()));
    Range { from: key(plugin, 0), to, reverse, limit: UNDO_ROWS }
}

/// Whether the tables are to be taken back before this build works on them: they were being brought, or had just been
/// brought, to the state version of another.
pub fn is_wanted(known: &Remembered, manifest: &Manifest) -> bool {
    known.undo.is_some() && known.migrating.unwrap_or(known.state) != manifest.state_version
}

/// Keeps what the buffer is about to change, `rows` being kept already; how many there are then, or the table of
/// another that it would change.
///
/// # Errors
/// The store's.
pub fn keep(buffer: &mut Buffer<'_>, plugin: &str, rows: u64) -> Result<Result<u64, String>, StoreError> {
    let own = format!("{plugin}.");
    let written =
        buffer.writes().iter().flat_map(|(table, rows)| rows.keys().map(move |key| (table.clone(), key.clone())));
    let (mut number, written) = (rows, written.collect::<Vec<_>>());
    for (table, row) in written {
        if !table.starts_with(&own) {
            return Ok(Err(table));
        }
        let was = buffer.stored(&table, &row)?.map(ByteBuf::from);
        let was: Was = (table, ByteBuf::from(row), was);
        let mut bytes = Vec::new();
        ciborium::into_writer(&was, &mut bytes).map_err(|error| StoreError::Engine(error.to_string()))?;
        buffer.put(TABLE, &key(plugin, number), &bytes);
        number += 1;
    }
    Ok(Ok(number))
}

/// Puts the last rows back; how many of them.
///
/// # Errors
/// The store's.
pub fn take_back(transaction: &mut dyn Transaction, plugin: &str) -> Result<u64, StoreError> {
    let rows = transaction.scan(TABLE, &range(plugin, true))?;
    for (key, bytes) in &rows {
        let was: Was = ciborium::from_reader(bytes.as_slice())
            .map_err(|error| StoreError::Engine(format!("a row as it was: {error}")))?;
        match was {
            (table, row, Some(value)) => transaction.put(&table, &row, &value)?,
            (table, row, None) => transaction.delete(&table, &row)?,
        }
        transaction.delete(TABLE, key)?;
    }
    Ok(rows.len() as u64)
}

/// Forgets some rows; whether there may be more.
///
/// # Errors
/// The store's.
pub fn forget(transaction: &mut dyn Transaction, plugin: &str) -> Result<bool, StoreError> {
    let rows = transaction.scan(TABLE, &range(plugin, false))?;
    rows.iter().try_for_each(|(key, _)| transaction.delete(TABLE, key))?;
    Ok(rows.len() == UNDO_ROWS as usize)
}
