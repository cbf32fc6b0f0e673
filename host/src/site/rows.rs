//! The site's own tables, inside whatever transaction is open.
//!
//! [`Rows`] is what they need of it, so that they run over a store's transaction at start and from
//! the command line, and over one event's buffered effects in the ledger. Records are CBOR.

use crate::store::{StoreError, Transaction};
use serde::{Serialize, de::DeserializeOwned};
use tallyho_plugin::services::{Range, Row};

use super::limits::PAGE_ROWS;

/// Reads and writes of one open transaction; reads see its own writes.
pub trait Rows {
    /// A row's value.
    ///
    /// # Errors
    /// [`StoreError`].
    fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
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
    /// Rows of a range in key order.
    ///
    /// # Errors
    /// [`StoreError`].
    fn scan(&mut self, table: &str, range: &Range) -> Result<Vec<Row>, StoreError>;
}

/// A transaction as [`Store::begin`](crate::store::Store::begin) gives it.
impl Rows for Box<dyn Transaction + '_> {
    fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Transaction::get(&mut **self, table, key)
    }
    fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        Transaction::put(&mut **self, table, key, value)
    }
    fn delete(&mut self, table: &str, key: &[u8]) -> Result<(), StoreError> {
        Transaction::delete(&mut **self, table, key)
    }
    fn scan(&mut self, table: &str, range: &Range) -> Result<Vec<Row>, StoreError> {
        Transaction::scan(&mut **self, table, range)
    }
}

/// Reads one record.
pub(super) fn get<T: DeserializeOwned>(rows: &mut dyn Rows, table: &str, key: &[u8]) -> Result<Option<T>, StoreError> {
    rows.get(table, key)?.map(|value| decode(table, &value)).transpose()
}

/// Writes one record.
pub(super) fn put<T: Serialize>(rows: &mut dyn Rows, table: &str, key: &[u8], record: &T) -> Result<(), StoreError> {
    let mut value = Vec::new();
    ciborium::into_writer(record, &mut value)
        .map_err(|error| StoreError::Engine(format!("a record of {table} cannot be encoded: {error}")))?;
    rows.put(table, key, &value)
}

/// Reads at most `limit` records whose key is at or after `from`, in key order.
pub(super) fn scan<T: DeserializeOwned>(
    rows: &mut dyn Rows,
    table: &str,
    from: &[u8],
    limit: u32,
) -> Result<Vec<(Vec<u8>, T)>, StoreError> {
    let range = Range { from: from.to_vec(), to: None, reverse: false, limit };
    let found = rows.scan(table, &range)?;
    found.into_iter().map(|(key, value)| Ok((key, decode(table, &value)?))).collect()
}

/// Calls `each` with every record of a table in key order, reading a page at a time.
pub(super) fn for_each<T: DeserializeOwned>(
    rows: &mut dyn Rows,
    table: &str,
    mut each: impl FnMut(Vec<u8>, T),
) -> Result<(), StoreError> {
    let mut from = Vec::new();
    loop {
        let page = scan(rows, table, &from, PAGE_ROWS)?;
        let next = after(&page, PAGE_ROWS);
        page.into_iter().for_each(|(key, record)| each(key, record));
        match next {
            Some(next) => from = next,
            None => return Ok(()),
        }
    }
}

/// Where to read on after a page of at most `limit` rows; `None` after the last one.
pub(super) fn after<T>(page: &[(Vec<u8>, T)], limit: u32) -> Option<Vec<u8>> {
    let (last, _) = page.last().filter(|_| page.len() >= limit as usize)?;
    Some([last.as_slice(), &[0]].concat()) // the least key above the last one read
}

fn decode<T: DeserializeOwned>(table: &str, value: &[u8]) -> Result<T, StoreError> {
    ciborium::from_reader(value).map_err(|error| StoreError::Damaged {
        path: format!("table {table}"),
        why: format!("a record does not fit: {error}"),
    })
}

#[cfg(test)]
pub(super) mod memory {
    //! One open transaction in memory, for the tests of this module's neighbours.
    use super::*;
    use std::collections::BTreeMap;
    use std::ops::Bound;

    /// Tables in memory.
    #[derive(Default)]
    pub struct Tables(pub BTreeMap<(String, Vec<u8>), Vec<u8>>);

    impl Rows for Tables {
        fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
            Ok(self.0.get(&(table.to_owned(), key.to_vec())).cloned())
        }
        fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
            self.0.insert((table.to_owned(), key.to_vec()), value.to_vec());
            Ok(())
        }
        fn delete(&mut self, table: &str, key: &[u8]) -> Result<(), StoreError> {
            self.0.remove(&(table.to_owned(), key.to_vec()));
            Ok(())
        }
        fn scan(&mut self, table: &str, range: &Range) -> Result<Vec<Row>, StoreError> {
            assert!(range.to.is_none() && !range.reverse, "not needed by these tests");
            let from = Bound::Included((table.to_owned(), range.from.clone()));
            let rows = self.0.range((from, Bound::Unbounded)).take_while(|((name, _), _)| name == table);
            Ok(rows.take(range.limit as usize).map(|((_, key), value)| (key.clone(), value.clone())).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::Store;
    use crate::store::memory::MemoryStore;

    #[test]
    fn records_come_back_in_key_order_from_a_store_whatever_the_pages() {
        let mut store = MemoryStore::new();
        let count = PAGE_ROWS + 5;
        let mut transaction = store.begin().unwrap();
        for number in (0..count).rev() {
            put(&mut transaction, "host.x", &number.to_be_bytes(), &number).unwrap();
        }
        put(&mut transaction, "host.y", b"other", &"another table").unwrap();
        transaction.commit().unwrap();

        let mut transaction = store.begin().unwrap();
        let mut read = Vec::new();
        for_each::<u32>(&mut transaction, "host.x", |_, number| read.push(number)).unwrap();
        assert_eq!(read, (0..count).collect::<Vec<_>>());
        assert_eq!(get::<u32>(&mut transaction, "host.x", &7_u32.to_be_bytes()).unwrap(), Some(7));
        assert_eq!(get::<u32>(&mut transaction, "host.x", b"absent").unwrap(), None);
    }

    #[test]
    fn a_record_that_does_not_fit_is_damage_and_names_its_table() {
        let mut tables = memory::Tables::default();
        put(&mut tables, "host.x", b"key", &"text").unwrap();
        let message = get::<u32>(&mut tables, "host.x", b"key").unwrap_err().to_string();
        assert!(message.contains("table host.x"), "{message}");
    }
}
