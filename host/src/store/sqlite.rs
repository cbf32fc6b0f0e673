//! The store in one SQLite file.
//!
//! Write-ahead log and `synchronous=FULL`: a commit returns when the log has been synced. Each named
//! table is an SQL table `(k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID`; SQLite compares
//! blobs byte by byte, which is the order the trait promises.
//!
//! What is assumed of disk and system: a sync that succeeded survives loss of power, and a file's
//! bytes are those written. Writes may be torn or arrive in any order before a sync: the log's
//! checksums find out. They cannot tell a torn end from one that rotted later: after a crash, the log
//! counts up to its first bad byte. After a *failed* sync of a commit the running process goes on without that
//! batch; should the machine also crash before another commit succeeds, the batch may come back,
//! whole. Nothing of it was released, so peers send again what belongs to it, and ids make that safe.
//!
//! Locking is SQLite's `NORMAL`, so that `doctor` and backups can read from other connections while the
//! host runs; that one host only works on the store is ensured by the lock on its folder.

mod ahead;
mod copy;
mod faults;
mod schema;
mod shared;
mod tables;
#[cfg(test)]
mod tests;
mod transaction;

pub use copy::{COPYING, Inspection, backup, inspect, put_back, vacant};
pub use schema::{APPLICATION_ID, Step, VERSION};

use super::{Store, StoreError, Transaction, limits};
use ahead::Ahead;
use faults::Faults;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tables::Tables;
use transaction::SqliteTransaction;

/// A store in one SQLite file; see the module.
///
/// ```
/// use tallyho::store::{SqliteStore, Store};
/// let folder = tempfile::tempdir().unwrap();
/// let mut store = SqliteStore::open(&folder.path().join("store.sqlite")).unwrap();
/// let mut batch = store.begin().unwrap();
/// batch.put("tally.tallies", b"key", b"value").unwrap();
/// batch.commit().unwrap();
/// ```
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    faults: Faults,
    tables: Tables,
    ahead: Ahead,
}

impl SqliteStore {
    /// Opens the store, made new (mode 0600) where there is none, migrated where it is older.
    ///
    /// Do not open the file by other means in the same process while it is in use here: closing it
    /// would release SQLite's locks.
    ///
    /// # Errors
    /// `Newer`, `Damaged`, `Unwritable`, or `Conflict` where another process holds its lock.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        create(path)?;
        Self::open_with(path, schema::STEPS, true)
    }

    /// Opens a store that must be there, so that a lost file is not answered by an empty store.
    ///
    /// # Errors
    /// As [`open`](Self::open); `Missing` where there is no file, `Damaged` where it is empty.
    pub fn open_existing(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            return Err(StoreError::Missing { path: path.display().to_string() });
        }
        Self::open_with(path, schema::STEPS, false)
    }

    fn open_with(path: &Path, steps: &[Step], may_be_new: bool) -> Result<Self, StoreError> {
        let faults = Faults::new(path);
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, &faults)?;
        let found = schema::identify(&connection, &faults, steps)?;
        if found.is_none() && !may_be_new {
            return Err(faults.damaged("it is empty"));
        }
        if connection.is_readonly("main").map_err(|error| faults.of(error))? {
            return Err(faults.unwritable("the file is read-only"));
        }
        configure(&connection, &faults)?;
        schema::migrate(&connection, &faults, steps)?;
        let tables = Tables::load(&connection).map_err(|error| faults.of(error))?;
        // SQLite has its log where a link leads to.
        let file = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let ahead = Ahead::of(copy::beside(&file, "-wal"));
        Ok(SqliteStore { connection, path: path.to_owned(), faults, tables, ahead })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the log back into the file and empties it. A reader in the way (a running backup) is no
    /// error: the log is then written back later.
    ///
    /// # Errors
    /// `Unwritable`, `Damaged`.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        // Its answer (busy, pages, pages written back) needs no look: busy is the reader.
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(|error| self.faults.of(error))
    }

    /// Writes the log back and closes the file; nothing but the file itself is left.
    ///
    /// # Errors
    /// `Unwritable`, `Damaged`: what was committed is then still in the log beside the file.
    pub fn close(self) -> Result<(), StoreError> {
        self.checkpoint()?;
        self.connection.close().map_err(|(_, error)| self.faults.of(error))
    }

    /// Reads every page and index, for `doctor`: what is wrong, at most
    /// [`PROBLEMS_LISTED`](limits::PROBLEMS_LISTED) lines. Empty: nothing. Takes about a
    /// second for each gigabyte.
    ///
    /// # Errors
    /// `Damaged` where the file is too broken to be read to the end; `Unwritable`.
    pub fn integrity_check(&self) -> Result<Vec<String>, StoreError> {
        copy::problems(&self.connection).map_err(|error| self.faults.of(error))
    }

    /// Writes a copy of what is committed to a new file; see [`backup`].
    ///
    /// # Errors
    /// See [`backup`].
    pub fn backup_to(&self, to: &Path) -> Result<u64, StoreError> {
        backup(&self.path, to)
    }
}

impl Store for SqliteStore {
    fn begin(&mut self) -> Result<Box<dyn Transaction + '_>, StoreError> {
        let transaction = SqliteTransaction::begin(&mut self.connection, &mut self.tables, &self.faults)?;
        // Not at the commit, for whose end everybody waits; and not before, since another process may write till then.
        self.ahead.look();
        Ok(Box::new(transaction))
    }

    fn close(self: Box<Self>) -> Result<(), StoreError> {
        SqliteStore::close(*self)
    }
}

/// Makes an empty file readable by its owner only, if there is none. SQLite gives the log the same mode.
fn create(path: &Path) -> Result<(), StoreError> {
    let faults = Faults::new(path);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => sync_folder(path).map_err(|error| faults.unwritable(&error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(faults.unwritable(&error.to_string())),
    }
}

/// Makes a file's name durable: SQLite syncs the folder for its log, not for the file itself.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Opens a file, set so that nothing stored in it (it may be someone's "backup") can run as SQL.
fn connect(path: &Path, flags: OpenFlags, faults: &Faults) -> Result<Connection, StoreError> {
    // SQLite takes such a file for an empty one, and would write over it.
    if path.metadata().is_ok_and(|file| (1..limits::FILE_BYTES_LEAST).contains(&file.len())) {
        return Err(faults.damaged("it is too short"));
    }
    let open = || {
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(limits::BUSY_TIMEOUT)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
        // A plan does not depend on the values it is run with: otherwise each scan would be prepared again for each.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        // A broken page is then an error where it is read, not a wrong answer.
        connection.pragma_update(None, "cell_size_check", true)?;
        Ok(connection)
    };
    open().map_err(|error| faults.of(error))
}

fn configure(connection: &Connection, faults: &Faults) -> Result<(), StoreError> {
    let set = || {
        // Only takes effect on a file that is still empty.
        connection.pragma_update(None, "page_size", limits::PAGE_BYTES)?;
        let mode: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        connection.pragma_update(None, "synchronous", "full")?;
        // On Apple systems a plain fsync stops at the drive's cache; no effect elsewhere.
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)?;
        connection.pragma_update(None, "wal_autocheckpoint", limits::WAL_CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", limits::WAL_KEPT_BYTES)?;
        connection.pragma_update(None, "cache_size", -limits::CACHE_KIB)?;
        // No memory map: through it a disk error is a SIGBUS, here it is an error.
        connection.pragma_update(None, "mmap_size", 0)?;
        connection.set_prepared_statement_cache_capacity(limits::STATEMENTS_CACHED);
        Ok(mode)
    };
    let mode = set().map_err(|error| faults.of(error))?;
    if mode == "wal" {
        return Ok(());
    }
    Err(faults
        .unwritable("its file system has no shared memory for a write-ahead log (a network share?); use a local disk"))
}
