//! One transaction on the file.

use super::super::{StoreError, Transaction, limits};
use super::faults::Faults;
use super::tables::{Action, Tables, create_sql};
use rusqlite::{CachedStatement, Connection};
use tallyho_plugin::services::{Range, Row};

/// The one open transaction. It has the connection for itself and keeps no statement of it, so that it may
/// go to another thread as the connection may: statements are looked up in the connection's own cache.
pub(super) struct SqliteTransaction<'a> {
    connection: &'a mut Connection,
    faults: &'a Faults,
    tables: &'a mut Tables,
    /// Tables there were at the beginning; those after them go when this is rolled back.
    tables_before: usize,
    /// The first error. SQLite may have rolled back by itself then, and a further write would commit
    /// alone: so there is none.
    spent: Option<StoreError>,
}

impl<'a> SqliteTransaction<'a> {
    /// Takes the write lock at once: a reader that turns writer later could find its view outdated.
    pub fn begin(
        connection: &'a mut Connection,
        tables: &'a mut Tables,
        faults: &'a Faults,
    ) -> Result<Self, StoreError> {
        if !connection.is_autocommit() {
            // An earlier roll-back failed with the disk; it has to succeed before anything is read.
            run(connection, "ROLLBACK").map_err(|error| faults.of(error))?;
        }
        run(connection, "BEGIN IMMEDIATE").map_err(|error| faults.of(error))?;
        let tables_before = tables.count();
        Ok(SqliteTransaction { connection, faults, tables, tables_before, spent: None })
    }

    /// Does one call's work, unless an earlier one failed.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if let Some(spent) = &self.spent {
            return Err(spent.clone());
        }
        let result = work(self);
        if let Err(error) = &result {
            self.spent = Some(error.clone());
        }
        result
    }

    fn statement(&self, table: usize, action: Action) -> rusqlite::Result<CachedStatement<'_>> {
        self.connection.prepare_cached(self.tables.sql(table, action))
    }

    fn find_or_create(&mut self, name: &str) -> Result<usize, StoreError> {
        if let Some(table) = self.tables.find(name)? {
            return Ok(table);
        }
        if let Some(sql) = create_sql(name) {
            self.connection.execute_batch(&sql).map_err(|error| self.faults.of(error))?;
        }
        Ok(self.tables.add(name))
    }

    fn read(&self, table: usize, key: &[u8]) -> rusqlite::Result<Option<Vec<u8>>> {
        let mut statement = self.statement(table, Action::Get)?;
        statement.raw_bind_parameter(1, key)?;
        let mut rows = statement.raw_query();
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(Some(row.get_ref(0)?.as_blob()?.to_vec()))
    }

    fn read_range(&self, table: usize, range: &Range) -> rusqlite::Result<Vec<Row>> {
        let action = Action::Scan { bounded: range.to.is_some(), reverse: range.reverse };
        let mut statement = self.statement(table, action)?;
        statement.raw_bind_parameter(1, range.from.as_slice())?;
        statement.raw_bind_parameter(2, range.limit)?;
        if let Some(to) = &range.to {
            statement.raw_bind_parameter(3, to.as_slice())?;
        }
        let mut found = Vec::with_capacity(limits::SCAN_ROWS_RESERVED.min(range.limit as usize));
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            found.push((row.get_ref(0)?.as_blob()?.to_vec(), row.get_ref(1)?.as_blob()?.to_vec()));
        }
        Ok(found)
    }

    fn write(&self, table: usize, key: &[u8], value: &[u8]) -> rusqlite::Result<()> {
        let mut statement = self.statement(table, Action::Put)?;
        statement.raw_bind_parameter(1, key)?;
        statement.raw_bind_parameter(2, value)?;
        statement.raw_execute().map(drop)
    }

    fn erase(&self, table: usize, key: &[u8]) -> rusqlite::Result<()> {
        let mut statement = self.statement(table, Action::Delete)?;
        statement.raw_bind_parameter(1, key)?;
        statement.raw_execute().map(drop)
    }
}

impl Transaction for SqliteTransaction<'_> {
    fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.guarded(|this| match this.tables.find(table)? {
            Some(table) => this.read(table, key).map_err(|error| this.faults.of(error)),
            None => Ok(None),
        })
    }

    fn scan(&mut self, table: &str, range: &Range) -> Result<Vec<Row>, StoreError> {
        self.guarded(|this| match this.tables.find(table)? {
            Some(table) => this.read_range(table, range).map_err(|error| this.faults.of(error)),
            None => Ok(Vec::new()),
        })
    }

    fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.guarded(|this| {
            let table = this.find_or_create(table)?;
            this.write(table, key, value).map_err(|error| this.faults.of(error))
        })
    }

    fn delete(&mut self, table: &str, key: &[u8]) -> Result<(), StoreError> {
        self.guarded(|this| match this.tables.find(table)? {
            Some(table) => this.erase(table, key).map_err(|error| this.faults.of(error)),
            None => Ok(()),
        })
    }

    fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        self.guarded(|this| run(this.connection, "COMMIT").map_err(|error| this.faults.of(error)))?;
        self.tables_before = self.tables.count();
        Ok(())
    }
}

impl Drop for SqliteTransaction<'_> {
    fn drop(&mut self) {
        if self.connection.is_autocommit() {
            // Committed, or rolled back by SQLite itself after an error.
        } else if let Err(error) = run(self.connection, "ROLLBACK") {
            log::error!("store: rolling back failed, will be tried again: {error}");
        }
        self.tables.forget_after(self.tables_before);
    }
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
