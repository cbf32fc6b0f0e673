//! The folder in a home where a backup is made or taken apart: reachable for its owner alone, used by one process at a
//! time, and gone again afterwards. What a process that was killed has left there is removed when it is used next, or when
//! the site is opened.

use super::BackupError;
use super::archive::STORE;
use crate::site::home::{HomeError, Secret, check_private, make_folder, system};
use crate::store::sqlite;
use std::cell::Cell;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// See the module.
#[derive(Debug)]
pub(super) struct Work {
    path: PathBuf,
    /// The folder itself is to stay, emptied: it says that something has not been done to its end.
    stays: Cell<bool>,
    /// Locked as long as it is open.
    _folder: File,
}

impl Work {
    /// Takes the folder of this name, and removes what a process that was killed has left there.
    pub(super) fn begin(root: &Path, name: &str) -> Result<Self, BackupError> {
        let path = root.join(name);
        loop {
            make_folder(&path)?;
            let is_gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
            // A link, or a folder that others use: nothing is written or removed there.
            match check_private(&path, Secret::Folder) {
                // Somebody is just done with it.
                Err(HomeError::System { why, .. }) if is_gone(&why) => continue,
                other => other?,
            }
            let folder = match File::open(&path) {
                Err(error) if is_gone(&error) => continue,
                other => other.map_err(system(&path, "open"))?,
            };
            match folder.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(BackupError::Busy(root.to_owned())),
                Err(TryLockError::Error(why)) => return Err(system(&path, "lock")(why).into()),
            }
            // What is locked may have been removed since it was opened.
            let same = |one: &fs::Metadata, other: &fs::Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
            match (folder.metadata(), fs::metadata(&path)) {
                (Ok(ours), Ok(there)) if same(&ours, &there) => {}
                _ => continue,
            }
            let work = Work { path, stays: Cell::new(false), _folder: folder };
            work.clear().map_err(system(&work.path, "empty"))?;
            return Ok(work);
        }
    }

    /// Whether the folder stays for now, also when this process ends.
    pub(super) fn stays(&self, stays: bool) {
        self.stays.set(stays);
    }

    /// Where a file of this name is in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Removes copies of stores, whole or not, and nothing else.
    fn clear(&self) -> std::io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(STORE) || name.to_string_lossy().starts_with(sqlite::COPYING) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What cannot be removed now is removed when the folder is used next; what somebody has put there stays.
        if self.clear().is_ok() && !self.stays.get() {
            let _ = fs::remove_dir(&self.path);
        }
    }
}
