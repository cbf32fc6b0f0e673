//! The host's small tables that most events write to, kept as one of SQLite's.
//!
//! A commit writes whole pages, at least one for each of SQLite's tables that it changes. These have few rows
//! mostly, and together they fit on a page or two.

use super::tables::PREFIX;
use rusqlite::Connection;

/// What SQLite calls the table: nobody's name begins so.
pub(super) const NAME: &str = "shared";

/// Which tables it holds, and each one's number in it; the number stands in files and never changes. One that is added
/// needs a step of its own, which moves the rows it has.
const TABLES: [(&str, i64); 7] = [
    ("host.inbound", 1),
    ("host.outbox_peers", 2),
    ("host.outbox_names", 3),
    ("host.timer_names", 4),
    ("host.timers", 5),
    ("host.outbox", 6),
    (RINGS_END, 7),
];

/// Where the rings stand, each under its table's name; until schema 2 in a row of the ring's own.
const RINGS_END: &str = "host.next";
const RINGS: [&str; 2] = ["host.journal", "host.notices"];

/// The number of a table in it; `None` for one that has its own.
pub(super) fn number(name: &str) -> Option<i64> {
    TABLES.iter().find(|(shared, _)| *shared == name).map(|(_, number)| *number)
}

/// The tables in it that have rows; none in a file of schema 1.
pub(super) fn in_use(connection: &Connection) -> rusqlite::Result<Vec<&'static str>> {
    let mut names = Vec::new();
    if !connection.table_exists(None, NAME)? {
        return Ok(names);
    }
    let mut statement = connection.prepare(&format!("SELECT 1 FROM {NAME} WHERE t = ?1 LIMIT 1"))?;
    for (name, number) in TABLES {
        if statement.exists([number])? {
            names.push(name);
        }
    }
    Ok(names)
}

/// Those that the step to schema 2 moved.
const MOVED: [&str; 6] =
    ["host.inbound", "host.outbox_peers", "host.outbox_names", "host.timer_names", "host.timers", "host.outbox"];

/// The step to schema 2: makes it, with what tables of their own have held until then.
pub(super) fn make(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "CREATE TABLE {NAME} (t INTEGER, k BLOB, v BLOB NOT NULL, PRIMARY KEY (t, k)) WITHOUT ROWID"
    ))?;
    for name in MOVED {
        let number = number(name).unwrap_or_default();
        if connection.table_exists(None, format!("{PREFIX}{name}").as_str())? {
            connection.execute_batch(&format!(
                "INSERT INTO {NAME} SELECT {number}, k, v FROM \"{PREFIX}{name}\" ORDER BY k; \
                 DROP TABLE \"{PREFIX}{name}\""
            ))?;
        }
    }
    let end = number(RINGS_END).unwrap_or_default();
    for ring in RINGS {
        let table = format!("{PREFIX}{ring}");
        if connection.table_exists(None, table.as_str())? {
            connection.execute_batch(&format!(
                "INSERT INTO {NAME} SELECT {end}, CAST('{ring}' AS BLOB), v FROM \"{table}\" WHERE k = CAST('next' AS BLOB); \
                 DELETE FROM \"{table}\" WHERE k = CAST('next' AS BLOB)"
            ))?;
        }
    }
    Ok(())
}
