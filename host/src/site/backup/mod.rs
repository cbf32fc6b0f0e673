//! All of a site in one file under a passphrase, and a site made of such a file.
//!
//! The file begins with a line that says what it is. Then comes a line with the key of this file under the passphrase,
//! as a [JWE](super::jwe); all the rest is a [sealed](sealed) stream under that key, with an [`archive`] inside.
//! Neither is ever held whole in memory.

pub mod archive;
pub mod sealed;

mod making;
mod restoring;
mod work;

pub use making::{Made, Making};
pub use restoring::{Restored, Restoring};

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use self::archive::STORE;
use self::work::Work;
use super::home::{Home, HomeError, system};
use super::keys::KeysError;
use super::keys_export::ExportError;
use super::limits::CONFIG_BYTES;
use crate::store::{StoreError, sqlite};

/// The file's first line, with the number of its form.
const FIRST_LINE: &str = "tallyho backup 1\n";
/// Where a backup is made in a home, and where one is taken apart.
const MAKING: &str = ".backup";
/// See [`MAKING`].
const RESTORING: &str = ".restore";
/// What the JWE holds, in its header's words.
const CONTENT: &str = "octet-stream";

/// Why there is no backup, or none is put back. The operator's to mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The file to be written is there.
    #[error("{0} is there already and is not overwritten; give another name")]
    Exists(PathBuf),
    /// The file is where stores are copied for a while.
    #[error("{0} is in the folder where backups are made, which is emptied; give another place")]
    Place(PathBuf),
    /// The home has a store.
    #[error("{0} is there: a backup is put back where there is no store; give another --home, or move the store away")]
    Occupied(PathBuf),
    /// The file is something else.
    #[error("{path} is no backup: {why}; expected a file made by `tallyho backup`")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Its key does not open.
    #[error("the passphrase is wrong, or the file was altered")]
    Closed,
    /// The key opens, but not all of the rest.
    #[error("{path} is damaged: {why}; nothing was put back; take another copy of it")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// Another process is at the same home.
    #[error("another backup of {0} is made or put back at present; wait until that is done")]
    Busy(PathBuf),
    /// The keys here, or in the backup.
    #[error(transparent)]
    Keys(#[from] ExportError),
    /// The home, or a file.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The store here, or in the backup.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<KeysError> for BackupError {
    fn from(error: KeysError) -> Self {
        BackupError::Keys(error.into())
    }
}

/// Whether a backup was being put back into this home, and has not got to its store.
pub fn is_cut_short(home: &Home) -> bool {
    home.root().join(RESTORING).symlink_metadata().is_ok() && !home.store().exists()
}

/// Removes what a backup that was killed has left of the store in this home, which has one.
pub fn sweep(home: &Home) {
    for name in [MAKING, RESTORING] {
        if home.root().join(name).symlink_metadata().is_ok() {
            // Where one is under way it stays; where it cannot be removed there is no harm in it.
            drop(Work::begin(home.root(), name));
        }
    }
}

/// Refuses a place that is emptied.
fn elsewhere(file: &Path, root: &Path) -> Result<(), BackupError> {
    let folder = |path: &Path| path.canonicalize().ok();
    let parent = file.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    let inside = parent.and_then(folder).is_some_and(|parent| {
        [MAKING, RESTORING].iter().any(|name| folder(&root.join(name)).is_some_and(|work| parent.starts_with(work)))
    });
    // One that is not there yet is made by this very command.
    let named = parent.is_some_and(|parent| [MAKING, RESTORING].iter().any(|name| parent == root.join(name)));
    if inside || named { Err(BackupError::Place(file.to_owned())) } else { Ok(()) }
}

/// Refuses a folder that has a store.
fn vacant(root: &Path) -> Result<(), BackupError> {
    sqlite::vacant(&root.join(STORE)).map_err(|error| match error {
        StoreError::Exists { path } => BackupError::Occupied(path.into()),
        other => other.into(),
    })
}

fn read_config(path: &Path) -> Result<Vec<u8>, BackupError> {
    let mut config = Vec::new();
    let read = File::open(path).and_then(|file| file.take(CONFIG_BYTES + 1).read_to_end(&mut config));
    read.map_err(system(path, "read"))?;
    if config.len() as u64 > CONFIG_BYTES {
        let why = io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {CONFIG_BYTES} bytes"));
        return Err(system(path, "read")(why).into());
    }
    Ok(config)
}

#[cfg(test)]
mod tests;
