//! What SQLite's errors mean to an operator.

use super::super::StoreError;
use rusqlite::{Error, ErrorCode, ffi};
use std::path::Path;

/// Turns errors about one file into [`StoreError`]s that name it.
#[derive(Debug)]
pub(super) struct Faults {
    path: String,
}

impl Faults {
    pub fn new(path: &Path) -> Self {
        Faults { path: path.display().to_string() }
    }

    pub fn of(&self, error: Error) -> StoreError {
        match &error {
            // The tables are ours and hold blobs only: another type was not written by us.
            Error::InvalidColumnType(..) | Error::FromSqlConversionFailure(..) => self.damaged(&error.to_string()),
            Error::SqliteFailure(failure, _) => self.of_failure(*failure, &error),
            _ => StoreError::Engine(format!("{}: {error}", self.path)),
        }
    }

    fn of_failure(&self, failure: ffi::Error, error: &Error) -> StoreError {
        let why = format!("{error} (SQLite code {})", failure.extended_code);
        match failure.extended_code {
            ffi::SQLITE_IOERR_CORRUPTFS | ffi::SQLITE_IOERR_DATA => return self.damaged(&why),
            _ => {}
        }
        match failure.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Conflict,
            ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => self.damaged(&why),
            ErrorCode::DiskFull
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure
            | ErrorCode::PermissionDenied
            | ErrorCode::CannotOpen => self.unwritable(&why),
            _ => StoreError::Engine(format!("{}: {why}", self.path)),
        }
    }

    pub fn damaged(&self, why: &str) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), why: why.to_owned() }
    }

    pub fn unwritable(&self, why: &str) -> StoreError {
        StoreError::Unwritable { path: self.path.clone(), why: why.to_owned() }
    }

    pub fn newer(&self, found: u32, known: u32) -> StoreError {
        StoreError::Newer { path: self.path.clone(), found, known }
    }
}
