//! Numbered batches of rows that a test can tell whole from torn.

use tallyho::store::{Store, StoreError, Transaction};
use tallyho_plugin::services::{Range, Row};

/// Rows of a batch in each table.
pub const ROWS: u32 = 20;

const TABLES: [&str; 2] = ["left", "right"];

/// Writes a batch, not committed.
///
/// # Errors
/// The store's.
pub fn put_batch(transaction: &mut dyn Transaction, batch: u32) -> Result<(), StoreError> {
    for row in 0..ROWS {
        for table in TABLES {
            let (key, value) = expected(table, batch, row);
            transaction.put(table, &key, &value)?;
        }
    }
    transaction.put("state", b"last", &batch.to_be_bytes())
}

/// The last batch committed.
///
/// # Errors
/// The store's.
pub fn last(store: &mut dyn Store) -> Result<Option<u32>, StoreError> {
    let last = store.begin()?.get("state", b"last")?;
    Ok(last.and_then(|last| last.try_into().ok()).map(u32::from_be_bytes))
}

/// Asserts that the store holds all batches up to the last, whole, and nothing else; the last.
///
/// # Errors
/// The store's.
///
/// # Panics
/// When it does not.
pub fn assert_whole(store: &mut dyn Store) -> Result<Option<u32>, StoreError> {
    let last = last(store)?;
    let batches = last.map_or(0, |last| last + 1);
    for table in TABLES {
        let found = store.begin()?.scan(table, &Range { limit: u32::MAX, ..Range::default() })?;
        let mut wanted: Vec<Row> =
            (0..batches).flat_map(|batch| (0..ROWS).map(move |row| expected(table, batch, row))).collect();
        wanted.sort();
        assert!(found == wanted, "table {table}: {} rows, {} belong to whole batches", found.len(), wanted.len());
    }
    Ok(last)
}

/// Keys are spread over the whole table, so that a batch touches many pages.
fn expected(table: &str, batch: u32, row: u32) -> Row {
    let number = batch * ROWS + row;
    let key = number.wrapping_mul(0x9e37_79b1).to_be_bytes();
    (key.to_vec(), [table.as_bytes(), &number.to_be_bytes().repeat(60)].concat())
}
