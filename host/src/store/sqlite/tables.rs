//! Which tables there are, and the SQL for each, written once.

use super::super::{StoreError, bad_table_name, is_table_name};
use super::shared;
use rusqlite::Connection;
use std::collections::HashMap;

/// Before a table's name in SQL: SQLite keeps names that begin with `sqlite_` for itself.
pub(super) const PREFIX: &str = "t_";

/// What is done with a table; the index of its statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Get,
    Put,
    Delete,
    Scan { bounded: bool, reverse: bool },
}

/// How many different statements a table has.
pub(super) const ACTIONS: usize = 7;

impl Action {
    pub fn index(self) -> usize {
        match self {
            Action::Get => 0,
            Action::Put => 1,
            Action::Delete => 2,
            Action::Scan { bounded, reverse } => 3 + usize::from(bounded) + 2 * usize::from(reverse),
        }
    }
}

/// The tables, numbered in the order they were found or made.
#[derive(Debug, Default)]
pub(super) struct Tables {
    numbers: HashMap<Box<str>, usize>,
    known: Vec<Table>,
}

#[derive(Debug)]
struct Table {
    name: Box<str>,
    sql: [String; ACTIONS],
}

impl Tables {
    /// The tables in the file.
    pub fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut tables = Tables::default();
        let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let sql_name: String = row.get(0)?;
            if let Some(name) = sql_name.strip_prefix(PREFIX).filter(|name| is_table_name(name)) {
                tables.add(name);
            }
        }
        for name in shared::in_use(connection)? {
            tables.add(name);
        }
        Ok(tables)
    }

    /// The number of a table; `None` if there is none of that name.
    pub fn find(&self, name: &str) -> Result<Option<usize>, StoreError> {
        match self.numbers.get(name) {
            Some(number) => Ok(Some(*number)),
            None if is_table_name(name) => Ok(None),
            None => Err(bad_table_name(name)),
        }
    }

    /// Notes a new table; its name has been checked.
    pub fn add(&mut self, name: &str) -> usize {
        debug_assert!(is_table_name(name), "only checked names become SQL");
        let number = self.known.len();
        self.known.push(Table { name: name.into(), sql: statements(name) });
        self.numbers.insert(name.into(), number);
        number
    }

    pub fn sql(&self, number: usize, action: Action) -> &str {
        &self.known[number].sql[action.index()]
    }

    pub fn count(&self) -> usize {
        self.known.len()
    }

    /// All names, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.known.iter().map(|table| table.name.to_string()).collect();
        names.sort_unstable();
        names
    }

    /// Forgets the tables made since there were `count`: their transaction was rolled back.
    pub fn forget_after(&mut self, count: usize) {
        for table in self.known.drain(count..) {
            self.numbers.remove(&table.name);
        }
    }
}

/// Makes a table, where it is to be one of SQLite's too. The quotes are safe because a checked name has none.
pub(super) fn create_sql(name: &str) -> Option<String> {
    let own = || format!("CREATE TABLE \"{PREFIX}{name}\" (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID");
    shared::number(name).is_none().then(own)
}

fn statements(name: &str) -> [String; ACTIONS] {
    let mut sql: [String; ACTIONS] = Default::default();
    let mut set = |action: Action, text: String| sql[action.index()] = text;
    let (table, columns, values, among) = match shared::number(name) {
        Some(t) => (shared::NAME.to_owned(), "t, k, v", format!("{t}, ?1, ?2"), format!("t = {t} AND ")),
        None => (format!("\"{PREFIX}{name}\""), "k, v", "?1, ?2".to_owned(), String::new()),
    };
    set(Action::Get, format!("SELECT v FROM {table} WHERE {among}k = ?1"));
    set(Action::Put, format!("REPLACE INTO {table} ({columns}) VALUES ({values})"));
    set(Action::Delete, format!("DELETE FROM {table} WHERE {among}k = ?1"));
    for (bounded, until) in [(false, ""), (true, " AND k < ?3")] {
        for (reverse, order) in [(false, "ASC"), (true, "DESC")] {
            let text = format!("SELECT k, v FROM {table} WHERE {among}k >= ?1{until} ORDER BY k {order} LIMIT ?2");
            set(Action::Scan { bounded, reverse }, text);
        }
    }
    sql
}
