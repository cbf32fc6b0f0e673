//! The home folder: where a site keeps everything it has.
//!
//! | name | what | mode |
//! |---|---|---|
//! | `tallyho.toml` | configuration, see [`config`] | |
//! | `keys/` | private keys, see [`keys`](crate::site::keys) | 0700, files 0600 |
//! | `site.db` | the store | |
//! | `plugins/` | handler plugins of this site | |
//! | `control.sock` | where commands reach the running site | 0600 |
//! | `lock` | held by the running site, holds its process id | |
//! | `.backup/`, `.restore/` | where a [`backup`](crate::site::backup) is made or taken apart, while that lasts | 0700 |

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::config;
use super::limits::{LOCK_PATIENCE, LOCK_PAUSE};
use crate::crash::crash_point;

/// Environment variable that names the home folder.
pub const HOME_VARIABLE: &str = "TALLYHO_HOME";

/// Why a home folder cannot be used. All of it is for the operator to mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// Neither `--home` nor the environment nor the platform names a folder.
    #[error("no home folder: this system tells no data folder for the user; give --home DIR or set TALLYHO_HOME")]
    Nowhere,
    /// There is no site in this folder.
    #[error("{path} is no home of a site: {missing} is missing; run `tallyho init --home {path}`")]
    Absent {
        /// The folder.
        path: PathBuf,
        /// What was looked for.
        missing: &'static str,
    },
    /// Others can read what is secret.
    #[error("{path} has mode {mode:04o}, so others can {can} private keys; run `chmod {wanted:o} {path}`")]
    Permissive {
        /// File or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What others can do.
        can: &'static str,
        /// The bits it should have.
        wanted: u32,
    },
    /// A secret belongs to somebody else, who can read it whatever its mode.
    #[error(
        "{path} belongs to user id {owner}, and this runs as {me}; run it as that user, or give the keys over with `chown {me} {path}`"
    )]
    Foreign {
        /// File or folder.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who runs this program.
        me: u32,
    },
    /// Something else stands where a file or folder should be.
    #[error("{path} is not {expected}; move it away")]
    Kind {
        /// What was found.
        path: PathBuf,
        /// What should be there.
        expected: &'static str,
    },
    /// Another process runs this site.
    #[error("{path} is in use by process {}; stop that one first, or give another --home", pid.map_or_else(|| "(just starting)".to_owned(), |pid| pid.to_string()))]
    InUse {
        /// The home folder.
        path: PathBuf,
        /// The process that holds it, if it has said so yet.
        pid: Option<u32>,
    },
    /// The system refused.
    #[error("{path}: cannot {what}: {why}")]
    System {
        /// File or folder.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        why: io::Error,
    },
}

/// The home folder of a site: it is there, and nobody else can read its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

/// Proof that this process alone runs the site; given up when dropped, or when the process ends in
/// whatever way.
#[derive(Debug)]
pub struct HomeLock {
    file: File,
}

impl Drop for HomeLock {
    fn drop(&mut self) {
        // Closing alone would not do while a child process that has not run its program yet shares the
        // open file. Where unlocking fails, the end of this process does it.
        let _ = self.file.unlock();
    }
}

/// Where the home folder is: `given` (`--home`), else `variable` (`TALLYHO_HOME`, unless empty), else
/// the platform's data folder of the user.
///
/// # Errors
/// [`HomeError::Nowhere`]; `System` where a relative path cannot be made absolute.
pub fn locate(given: Option<&Path>, variable: Option<OsString>) -> Result<PathBuf, HomeError> {
    let path = match (given, variable.filter(|text| !text.is_empty())) {
        (Some(given), _) => given.to_owned(),
        (None, Some(text)) => PathBuf::from(text),
        (None, None) => {
            directories::ProjectDirs::from("", "", "tallyho").ok_or(HomeError::Nowhere)?.data_dir().to_owned()
        }
    };
    std::path::absolute(&path).map_err(|why| HomeError::System { path, what: "find the folder", why })
}

impl Home {
    /// Makes the folder, its subfolders and a commented configuration, as far as they are missing. A
    /// second time changes nothing.
    ///
    /// # Errors
    /// As for [`Home::open`].
    pub fn create(root: &Path) -> Result<Self, HomeError> {
        let home = Home { root: root.to_owned() };
        // The store holds who owes whom: a folder made here is for its owner alone.
        make_folder(&home.root)?;
        make_folder(&home.keys())?;
        make_folder(&home.plugins())?;
        if !home.config().try_exists().map_err(system(&home.config(), "look"))? {
            write_new(&home.config(), config::DEFAULT_FILE.as_bytes(), 0o644)?;
        }
        Self::open(root)
    }

    /// The home in this folder, after checking that it is one and that its keys are private.
    ///
    /// # Errors
    /// [`HomeError`]: absent, readable by others, or unreadable to us.
    pub fn open(root: &Path) -> Result<Self, HomeError> {
        let home = Home { root: root.to_owned() };
        let absent = |missing| HomeError::Absent { path: root.to_owned(), missing };
        if !home.config().try_exists().map_err(system(&home.config(), "look"))? {
            return Err(absent(CONFIG));
        }
        match fs::symlink_metadata(home.keys()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(absent("keys/")),
            other => other.map_err(system(&home.keys(), "look"))?,
        };
        check_private(&home.keys(), Secret::Folder)?;
        for entry in fs::read_dir(home.keys()).map_err(system(&home.keys(), "list"))? {
            let path = entry.map_err(system(&home.keys(), "list"))?.path();
            match check_private(&path, Secret::File) {
                // A new key under its temporary name, which another process has just given its own.
                Err(HomeError::System { why, .. }) if why.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        Ok(home)
    }

    /// Takes the home for this process alone.
    ///
    /// # Errors
    /// [`HomeError::InUse`] naming the process that has it. What a killed process left behind is no
    /// obstacle: the system gives its lock up.
    pub fn lock(&self) -> Result<HomeLock, HomeError> {
        let path = self.lock_file();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(system(&path, "open"))?;
        let mut patience = LOCK_PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // No host has it if it can be shared: somebody is just looking ([`Home::running`]).
                Err(TryLockError::WouldBlock) if patience > 0 && file.try_lock_shared().is_ok() => {
                    patience -= 1;
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(HomeError::InUse { path: self.root.clone(), pid: read_pid(&mut file) });
                }
                Err(TryLockError::Error(why)) => return Err(HomeError::System { path, what: "lock", why }),
            }
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(system(&path, "write"))?;
        // The file stays when the lock is given up: removing it would let a third process lock a new
        // file of the same name while a second one holds the removed one.
        Ok(HomeLock { file })
    }

    /// The process that runs this site now, if any; `Some(None)` while it has not said its id yet.
    ///
    /// # Errors
    /// [`HomeError::System`].
    pub fn running(&self) -> Result<Option<Option<u32>>, HomeError> {
        let path = self.lock_file();
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(system(&path, "open"))?,
        };
        match file.try_lock_shared() {
            Ok(()) => file.unlock().map(|()| None).map_err(system(&path, "unlock")),
            Err(TryLockError::WouldBlock) => Ok(Some(read_pid(&mut file))),
            Err(TryLockError::Error(why)) => Err(HomeError::System { path, what: "lock", why }),
        }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.root.join(CONFIG)
    }

    /// The folder of private keys.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// The store.
    pub fn store(&self) -> PathBuf {
        self.root.join("site.db")
    }

    /// The folder of this site's plugins.
    pub fn plugins(&self) -> PathBuf {
        self.root.join("plugins")
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.root.join("control.sock")
    }

    fn lock_file(&self) -> PathBuf {
        self.root.join("lock")
    }
}

const CONFIG: &str = "tallyho.toml";

/// What a path should be, where it holds secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secret {
    /// A folder of mode 0700 or less.
    Folder,
    /// A regular file of mode 0600 or less.
    File,
}

/// Refuses a path that others than its owner can use, that belongs to another user, or that is no
/// plain file or folder (a link could lead anywhere).
pub(super) fn check_private(path: &Path, secret: Secret) -> Result<(), HomeError> {
    let metadata = fs::symlink_metadata(path).map_err(system(path, "look"))?;
    let (right_kind, expected, can, wanted) = match secret {
        Secret::Folder => (metadata.is_dir(), "a folder", "reach", 0o700),
        Secret::File => (metadata.is_file(), "a plain file", "read", 0o600),
    };
    if !right_kind {
        return Err(HomeError::Kind { path: path.to_owned(), expected });
    }
    let me = rustix::process::geteuid().as_raw();
    if metadata.uid() != me {
        return Err(HomeError::Foreign { path: path.to_owned(), owner: metadata.uid(), me });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(HomeError::Permissive { path: path.to_owned(), mode, can, wanted });
    }
    Ok(())
}

/// Writes a file that comes to be with its whole content or not at all, also across a power cut: a
/// temporary file beside it, made durable, then given its name, and the folder made durable. What has
/// that name already is left, and an error.
pub(crate) fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), HomeError> {
    write_new_by(path, ".new-", mode, |file| file.write_all(content))
}

/// The same of a file that `write` writes, under a name that begins with `prefix` until then. What `write` returns.
pub(super) fn write_new_by<T>(
    path: &Path,
    prefix: &str,
    mode: u32,
    write: impl FnOnce(&mut File) -> io::Result<T>,
) -> Result<T, HomeError> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::Builder::new()
        .prefix(prefix)
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
        .tempfile_in(folder)
        .map_err(system(path, "create"))?;
    let written = write(temporary.as_file_mut()).map_err(system(path, "write"))?;
    temporary.as_file().sync_all().map_err(system(path, "write"))?;
    crash_point("file-unnamed");
    temporary.persist_noclobber(path).map_err(|error| system(path, "create")(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(system(path, "write"))?;
    Ok(written)
}

/// An error naming the path and what was tried.
pub(super) fn system(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> HomeError {
    let path = path.to_owned();
    move |why| HomeError::System { path, what, why }
}

/// Makes a folder for its owner alone, unless it is there.
pub(super) fn make_folder(path: &Path) -> Result<(), HomeError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(HomeError::Kind { path: path.to_owned(), expected: "a folder" }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(system(parent, "create"))?;
            }
            match fs::DirBuilder::new().mode(0o700).create(path) {
                // Another process was a moment faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
                other => other.map_err(system(path, "create")),
            }
        }
        Err(error) => Err(system(path, "look")(error)),
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?; // a process id has at most 10 digits
    text.trim().parse().ok()
}

#[cfg(test)]
#[path = "home_tests.rs"]
mod tests;
