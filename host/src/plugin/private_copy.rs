//! Private copies of libraries, each under a name never used before.
//!
//! The dynamic linker gives back the library already mapped for a path or inode it knows, and a
//! mapped file that is overwritten kills the process. So each build is written once into a folder
//! that only this user and this process use. (An anonymous memory file would vanish by itself, but
//! debuggers and backtraces could not find it, and its name `/proc/self/fd/N` comes round again.)
//!
//! It begins as the part of the original that is loaded. What debuggers and backtraces need besides is put behind it
//! once the build serves: nothing that is mapped changes by that.

use crate::plugin::error::Refusal;
use crate::plugin::limits::MAX_LIBRARY_BYTES;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use tempfile::TempDir;

const FOLDER_PREFIX: &str = "plugins-";
const LOCK_FILE: &str = "lock";

/// This process's folder of copies; removed when dropped. (What is mapped stays mapped.)
pub struct PrivateCopies {
    folder: TempDir,
    /// Held while the process lives: who can take it knows that the folder's owner is gone.
    _alive: File,
    written: AtomicU64,
}

impl PrivateCopies {
    /// Makes a folder inside `base` (made too, 0700, where missing) and removes those that earlier
    /// processes left behind when they crashed.
    ///
    /// # Errors
    /// [`Refusal::NoCopy`].
    pub fn new(base: &Path) -> Result<Self, Refusal> {
        let failed = |error: io::Error| no_copy(base, &error);
        DirBuilder::new().recursive(true).mode(0o700).create(base).map_err(failed)?;
        // The linker takes a name without a slash for one of the system's libraries.
        let base = &base.canonicalize().map_err(failed)?;
        // One process at a time makes or removes folders, so that none is removed before it is locked.
        let gate = open_lock(&base.join(LOCK_FILE)).map_err(failed)?;
        gate.lock().map_err(failed)?;
        remove_abandoned(base);
        let folder = tempfile::Builder::new()
            .prefix(FOLDER_PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(base)
            .map_err(failed)?;
        let alive = open_lock(&folder.path().join(LOCK_FILE)).map_err(failed)?;
        alive.lock().map_err(failed)?;
        Ok(PrivateCopies { folder, _alive: alive, written: AtomicU64::new(0) })
    }

    /// Where the copies are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Copies a file's beginning, at most `most` bytes; `original` gives the copy's name a part that people
    /// recognise. The system does it: through this process it takes ten times as long.
    ///
    /// # Errors
    /// [`Refusal::NoCopy`].
    pub fn take(&self, source: File, most: u64, original: &Path) -> Result<PrivateCopy<'_>, Refusal> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let name = original.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(80).collect();
        let path = self.folder.path().join(format!("{number:06}-{name}"));
        let copy = || -> io::Result<File> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o500).open(&path)?;
            // It asks the system to copy from file to file, and copies itself where the system cannot.
            io::copy(&mut (&source).take(most), &mut file)?;
            Ok(file)
        };
        match copy() {
            Ok(copy) => Ok(PrivateCopy { path, rest: Some(Rest { source, copy }), _copies: self }),
            Err(error) => {
                let _ = fs::remove_file(&path);
                Err(no_copy(self.folder.path(), &error))
            }
        }
    }
}

/// A copy, removed when dropped unless it is kept.
pub struct PrivateCopy<'c> {
    path: PathBuf,
    /// `None` once it is kept.
    rest: Option<Rest>,
    _copies: &'c PrivateCopies,
}

/// What a copy lacks of its original.
pub struct Rest {
    /// Read as far as it was copied.
    source: File,
    /// Written so far.
    copy: File,
}

impl Rest {
    /// Has it follow, on a thread of its own, as soon as nobody holds `back`: nobody waits for it, and a swap under way
    /// is not to be kept from disk and processor. Where it fails, or the original is overwritten meanwhile, backtraces
    /// of the build have no lines, or wrong ones.
    pub fn follow(self, back: Arc<Mutex<()>>) {
        let Rest { source, mut copy } = self;
        let copying = move || {
            drop(back.lock());
            if let Err(error) = io::copy(&mut source.take(MAX_LIBRARY_BYTES), &mut copy) {
                log::debug!("a copy of a library has not all of its debug information: {error}");
            }
        };
        if let Err(error) = thread::Builder::new().name("copy".to_owned()).spawn(copying) {
            log::debug!("a copy of a library has no debug information: {error}");
        }
    }
}

impl PrivateCopy<'_> {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps it for as long as this process lives: it is about to be mapped. What it lacks is to follow.
    pub fn keep(mut self) -> (PathBuf, Rest) {
        let rest = self.rest.take().expect("it is there until the copy is kept, which is done once");
        (std::mem::take(&mut self.path), rest)
    }
}

impl Drop for PrivateCopy<'_> {
    fn drop(&mut self) {
        if self.rest.is_some()
            && let Err(error) = fs::remove_file(&self.path)
        {
            log::warn!("{} could not be removed: {error}", self.path.display());
        }
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

/// Removes the folders whose owners are gone. What cannot be removed is left for the next time.
fn remove_abandoned(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder || !entry.file_name().to_string_lossy().starts_with(FOLDER_PREFIX) {
            continue;
        }
        let Ok(lock) = open_lock(&entry.path().join(LOCK_FILE)) else { continue };
        if lock.try_lock().is_ok()
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            log::warn!("{} was left by an earlier run and cannot be removed: {error}", entry.path().display());
        }
    }
}

fn no_copy(folder: &Path, error: &io::Error) -> Refusal {
    Refusal::NoCopy { folder: folder.display().to_string(), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::{Seek, Write};

    fn copied<'c>(copies: &'c PrivateCopies, bytes: &[u8], original: &Path) -> PrivateCopy<'c> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        copies.take(file, 100, original).unwrap()
    }

    #[test]
    fn no_more_is_copied_than_wanted() {
        let base = tempfile::tempdir().unwrap();
        let copies = PrivateCopies::new(base.path()).unwrap();
        let copy = copied(&copies, &[7; 300], Path::new("x.so"));
        assert_eq!(fs::read(copy.path()).unwrap(), [7; 100]);
    }

    #[test]
    fn copies_are_private_and_no_name_is_used_twice() {
        let base = tempfile::tempdir().unwrap();
        let copies = PrivateCopies::new(&base.path().join("run")).unwrap();
        let original = Path::new("/elsewhere/lib../x.so");
        let first = copied(&copies, b"one", original);
        let gone = first.path().to_owned();
        drop(first);
        assert!(!gone.exists());
        let second = copied(&copies, b"two", original).keep().0;
        assert_ne!(gone, second);
        assert_eq!(fs::read(&second).unwrap(), b"two");
        assert_eq!(fs::metadata(copies.folder()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(&second).unwrap().permissions().mode() & 0o077, 0);
    }

    #[test]
    fn folders_of_dead_hosts_are_removed_and_those_of_living_ones_kept() {
        let base = tempfile::tempdir().unwrap();
        let living = PrivateCopies::new(base.path()).unwrap();
        let kept = copied(&living, b"x", Path::new("x.so")).keep().0;
        let dead = base.path().join(format!("{FOLDER_PREFIX}dead"));
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("000000-x.so"), b"x").unwrap();
        let not_ours = base.path().join("notes");
        fs::create_dir(&not_ours).unwrap();
        let next = PrivateCopies::new(base.path()).unwrap();
        assert!(!dead.exists());
        assert!(kept.exists() && not_ours.exists());
        let folder = next.folder().to_owned();
        drop(next);
        assert!(!folder.exists());
    }
}
