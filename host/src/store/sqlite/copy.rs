//! Copies of a store, and what a file turns out to be.

use super::super::{StoreError, limits};
use super::faults::Faults;
use super::tables::Tables;
use super::{connect, schema, sync_folder};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Begins the name of a copy that is not whole yet.
pub const COPYING: &str = ".tallyho-backup-";

/// What a store's file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Its schema, at most [`VERSION`](super::VERSION).
    pub schema: u32,
    /// Its tables' names, sorted.
    pub tables: Vec<String>,
    /// Its size without the log.
    pub bytes: u64,
}

/// Writes a copy of what is committed in the store to a new file of mode 0600, and checks it before
/// giving it its name: a file of that name is a whole backup. The store may be in use meanwhile, by this process
/// or another; its log only grows until the copy is done. Answers the copy's size in bytes.
///
/// # Errors
/// `Missing`, `Newer` or `Damaged` for the store; `Exists` or `Unwritable` for the copy.
pub fn backup(store: &Path, to: &Path) -> Result<u64, StoreError> {
    vacant(to)?;
    let source = open_existing(store)?;
    identify(&source, store)?;
    let faults = Faults::new(to);
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new()
        .prefix(COPYING)
        .tempfile_in(folder)
        .map_err(|error| faults.unwritable(&error.to_string()))?
        .into_temp_path();
    copy_pages(&source, &Faults::new(store), &temporary, &faults)?;
    let finish = || {
        let file = File::open(&temporary)?;
        file.sync_all()?;
        let bytes = file.metadata()?.len();
        temporary.persist_noclobber(to)?;
        sync_folder(to)?;
        Ok(bytes)
    };
    finish().map_err(|error: std::io::Error| faults.unwritable(&error.to_string()))
}

/// Whether a file is a whole store that this program can open, read without changing what it holds
/// (a log left by a crash may be written back): before it becomes a site's.
///
/// # Errors
/// `Missing`, `Newer`; `Damaged` also where the file is another program's.
pub fn inspect(path: &Path) -> Result<Inspection, StoreError> {
    let connection = open_existing(path)?;
    let faults = Faults::new(path);
    let schema = identify(&connection, path)?;
    let read = || {
        let problems = problems(&connection)?;
        let pages: u32 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let page_bytes: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        Ok((problems, Tables::load(&connection)?.names(), u64::from(pages) * u64::from(page_bytes)))
    };
    let (problems, tables, bytes) = read().map_err(|error| faults.of(error))?;
    match problems.first() {
        Some(first) => Err(faults.damaged(first)),
        None => Ok(Inspection { schema, tables, bytes }),
    }
}

/// Puts a whole store that nobody uses in the place of one that is not there. An older one is migrated when opened.
///
/// # Errors
/// `Exists` or `Unwritable`; both are as they were then.
pub fn put_back(from: &Path, to: &Path) -> Result<(), StoreError> {
    vacant(to)?;
    let moved = tempfile::TempPath::try_from_path(from).and_then(|from| {
        from.persist_noclobber(to).map_err(|error| {
            // Not to be removed with what is dropped here.
            let _ = error.path.keep();
            error.error
        })
    });
    moved.and_then(|()| sync_folder(to)).map_err(|error| Faults::new(to).unwritable(&error.to_string()))
}

/// Refuses a place where a store is, or a log that SQLite would play into one.
///
/// # Errors
/// `Exists`.
pub fn vacant(to: &Path) -> Result<(), StoreError> {
    let taken = [to.to_owned(), beside(to, "-wal"), beside(to, "-journal")];
    match taken.into_iter().find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => Err(StoreError::Exists { path: path.display().to_string() }),
        None => Ok(()),
    }
}

/// What SQLite finds wrong with a file's pages and indexes.
pub(super) fn problems(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = format!("PRAGMA integrity_check({})", limits::PROBLEMS_LISTED);
    let mut statement = connection.prepare(&sql)?;
    let lines: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

fn open_existing(path: &Path) -> Result<Connection, StoreError> {
    if !path.exists() {
        return Err(StoreError::Missing { path: path.display().to_string() });
    }
    let faults = Faults::new(path);
    // A connection that could not write at all would leave an empty log and index beside a closed store.
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, &faults)?;
    connection.pragma_update(None, "query_only", true).map_err(|error| faults.of(error))?;
    Ok(connection)
}

fn identify(connection: &Connection, path: &Path) -> Result<u32, StoreError> {
    let faults = Faults::new(path);
    schema::identify(connection, &faults, schema::STEPS)?.ok_or_else(|| faults.damaged("it is empty"))
}

/// Copies all pages as of one instant, as a single file that needs no log beside it.
fn copy_pages(source: &Connection, source_faults: &Faults, to: &Path, faults: &Faults) -> Result<(), StoreError> {
    let mut target = connect(to, OpenFlags::SQLITE_OPEN_READ_WRITE, faults)?;
    // Synced by the caller when whole; until then nobody knows the file.
    target.pragma_update(None, "synchronous", "off").map_err(|error| faults.of(error))?;
    let copy = Backup::new(source, &mut target).map_err(|error| source_faults.of(error))?;
    match copy.step(-1).map_err(|error| faults.of(error))? {
        StepResult::Done => {}
        _ => return Err(StoreError::Conflict),
    }
    drop(copy);
    let check = || {
        let _mode: String = target.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get(0))?;
        problems(&target)
    };
    match check().map_err(|error| source_faults.of(error))?.first() {
        Some(first) => Err(source_faults.damaged(first)),
        None => target.close().map_err(|(_, error)| faults.of(error)),
    }
}

pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
