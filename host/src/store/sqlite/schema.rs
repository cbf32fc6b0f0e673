//! Whose file it is, which layout it has, and how an older layout becomes today's.
//!
//! SQLite's `application_id` says that a file is ours, its `user_version` which schema it has. The
//! rows' own contents are versioned by the plugins; a step here is needed only when the way tables
//! are kept changes.

use super::super::StoreError;
use super::faults::Faults;
use super::shared;
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// SQLite `application_id` of our files: `TLHO`.
pub const APPLICATION_ID: i32 = i32::from_be_bytes(*b"TLHO");

/// Schema of this program's stores.
pub const VERSION: u32 = newest(STEPS);

/// What leads from the schema before to this one.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The schema it makes. The list counts up from 1 without gaps.
    pub to: u32,
    /// Does it, inside the transaction that all missing steps share.
    pub run: fn(&Transaction<'_>) -> rusqlite::Result<()>,
}

/// All steps there have been, for stores of any age. Add at the end; never change one that was
/// released.
pub(super) const STEPS: &[Step] = &[
    // 1: tables come to be when first written, as `t_NAME (k, v)`: there is nothing to make.
    Step { to: 1, run: |_| Ok(()) },
    // 2: some of the host's share one.
    Step { to: 2, run: |connection| shared::make(connection) },
];

const fn newest(steps: &[Step]) -> u32 {
    steps[steps.len() - 1].to
}

/// The file's schema; `None` for a file that holds nothing yet. Writes nothing.
pub(super) fn identify(connection: &Connection, faults: &Faults, steps: &[Step]) -> Result<Option<u32>, StoreError> {
    let number = |pragma: &str| -> Result<i32, StoreError> {
        connection.pragma_query_value(None, pragma, |row| row.get(0)).map_err(|error| faults.of(error))
    };
    let (application, schema) = (number("application_id")?, number("user_version")?);
    let items: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| faults.of(error))?;
    if (application, schema, items) == (0, 0, 0) {
        return Ok(None);
    }
    if application != APPLICATION_ID {
        return Err(faults.damaged("it is an SQLite file of another program"));
    }
    let known = newest(steps);
    match u32::try_from(schema) {
        Ok(schema) if schema > known => Err(faults.newer(schema, known)),
        Ok(schema @ 1..) => Ok(Some(schema)),
        _ => Err(faults.damaged(&format!("its schema number is {schema}"))),
    }
}

/// Takes the missing steps in one transaction: an interrupted migration leaves the store as it was.
pub(super) fn migrate(connection: &Connection, faults: &Faults, steps: &[Step]) -> Result<(), StoreError> {
    let transaction =
        Transaction::new_unchecked(connection, TransactionBehavior::Immediate).map_err(|error| faults.of(error))?;
    // Asked inside the transaction: another process may just have done it.
    let found = identify(&transaction, faults, steps)?.unwrap_or(0);
    if found == newest(steps) {
        return Ok(());
    }
    let run = || {
        for step in steps.iter().filter(|step| step.to > found) {
            (step.run)(&transaction)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", newest(steps))
    };
    run().map_err(|error| faults.of(error))?;
    transaction.commit().map_err(|error| faults.of(error))
}
