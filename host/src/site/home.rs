//! The home folder: where a site keeps everything it has.
//!
//! | name | what | mode |
//! |---|---|---|
//! | `tallyho.toml` | configuration, see [`config`](crate::site::config) | |
//! | `keys/` | private keys, see [`keys`](crate::site::keys) | 0700, files 0600 |
//! | `site.db` | the store | |
//! | `plugins/` | handler plugins of this site | |
//! | `control.sock` | where commands reach the running site | 0600 |
//! | `lock` | held by the running site, holds its process id | |

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::config;
use super::limits::{LOCK_PATIENCE, LOCK_PAUSE};

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
    #[error("{path} belongs to user id {owner}, not to {me} who runs this; run `chown {me} {path}`")]
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

/// Writes a file that comes to be with its whole content or not at all, also across a power cut:
/// a temporary file beside it, made durable, then given its name, and the folder made durable.
/// Overwrites what had that name.
pub(super) fn write_whole(path: &Path, content: &[u8], mode: u32) -> Result<(), HomeError> {
    put_whole(path, content, mode, |temporary| temporary.persist(path).map(drop))
}

/// The same for a file that must not be there yet.
pub(crate) fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), HomeError> {
    put_whole(path, content, mode, |temporary| temporary.persist_noclobber(path).map(drop))
}

fn put_whole(
    path: &Path,
    content: &[u8],
    mode: u32,
    name: impl FnOnce(tempfile::NamedTempFile) -> Result<(), tempfile::PersistError>,
) -> Result<(), HomeError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
        .tempfile_in(folder)
        .map_err(system(path, "create"))?;
    temporary.write_all(content).map_err(system(path, "write"))?;
    temporary.as_file().sync_all().map_err(system(path, "write"))?;
    name(temporary).map_err(|error| system(path, "create")(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(system(path, "write"))
}

/// An error naming the path and what was tried.
pub(super) fn system(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> HomeError {
    let path = path.to_owned();
    move |why| HomeError::System { path, what, why }
}

fn make_folder(path: &Path) -> Result<(), HomeError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(HomeError::Kind { path: path.to_owned(), expected: "a folder" }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(system(parent, "create"))?;
            }
            fs::DirBuilder::new().mode(0o700).create(path).map_err(system(path, "create"))
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
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    /// Every path below `root` with its content, time of change and mode.
    fn everything(root: &Path) -> Vec<(PathBuf, Option<Vec<u8>>, i64, i64, u32)> {
        let mut all = Vec::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let found = fs::symlink_metadata(&path).unwrap();
                all.push((path.clone(), fs::read(&path).ok(), found.mtime(), found.mtime_nsec(), found.mode()));
                if found.is_dir() {
                    folders.push(path);
                }
            }
        }
        all.sort();
        all
    }

    #[test]
    fn the_option_goes_before_the_variable_and_the_variable_before_the_platform() {
        let given = Some(Path::new("/given"));
        assert_eq!(locate(given, Some("/variable".into())).unwrap(), Path::new("/given"));
        assert_eq!(locate(None, Some("/variable".into())).unwrap(), Path::new("/variable"));
        let platform = locate(None, None).unwrap();
        assert!(platform.ends_with("tallyho"), "{platform:?}");
        assert_eq!(locate(None, Some("".into())).unwrap(), platform, "an empty variable counts as unset");
    }

    #[test]
    fn a_relative_home_becomes_absolute() {
        assert!(locate(Some(Path::new("here")), None).unwrap().is_absolute());
    }

    #[test]
    fn a_new_home_has_its_folders_and_a_configuration_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("deep/below/site");
        let home = Home::create(&root).unwrap();
        for private in [&root, &home.keys(), &home.plugins()] {
            assert_eq!(mode(private), 0o700, "{private:?}");
        }
        assert_eq!(fs::read_to_string(home.config()).unwrap(), config::DEFAULT_FILE);
        assert_eq!(Home::open(&root).unwrap(), home);
    }

    #[test]
    fn creating_a_home_twice_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path()).unwrap();
        fs::write(home.config(), "listen = \"127.0.0.1:1\"\n").unwrap();
        fs::write(home.plugins().join("own.so"), "x").unwrap();
        let before = everything(folder.path());
        Home::create(folder.path()).unwrap();
        assert_eq!(everything(folder.path()), before);
    }

    #[test]
    fn an_empty_folder_is_no_home_and_the_message_says_what_to_run() {
        let folder = tempfile::tempdir().unwrap();
        let message = Home::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains("tallyho.toml is missing"), "{message}");
        assert!(message.contains(&format!("tallyho init --home {}", folder.path().display())), "{message}");
        fs::write(folder.path().join("tallyho.toml"), "").unwrap();
        let message = Home::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains("keys/ is missing"), "{message}");
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused_with_the_command_that_mends_it() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path()).unwrap();
        let key = home.keys().join("agent.json");
        fs::write(&key, "{}").unwrap();
        for bad in [0o640, 0o604, 0o620, 0o644, 0o601] {
            chmod(&key, bad);
            let message = Home::open(folder.path()).unwrap_err().to_string();
            assert!(message.contains(&format!("mode {bad:04o}")), "{message}");
            assert!(message.contains(&format!("chmod 600 {}", key.display())), "{message}");
        }
        for good in [0o600, 0o400] {
            chmod(&key, good);
            Home::open(folder.path()).unwrap();
        }
    }

    #[test]
    fn a_keys_folder_that_others_can_reach_is_refused_with_the_command_that_mends_it() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path()).unwrap();
        chmod(&home.keys(), 0o750);
        let message = Home::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains(&format!("chmod 700 {}", home.keys().display())), "{message}");
        // `create` does not mend it silently: somebody may have read the keys meanwhile.
        assert!(matches!(Home::create(folder.path()), Err(HomeError::Permissive { .. })));
    }

    #[test]
    fn a_key_file_that_is_a_link_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path()).unwrap();
        std::os::unix::fs::symlink("/dev/null", home.keys().join("agent.json")).unwrap();
        assert!(matches!(Home::open(folder.path()), Err(HomeError::Kind { .. })));
    }

    #[test]
    fn a_file_in_place_of_a_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("site");
        fs::write(&root, "").unwrap();
        assert!(matches!(Home::create(&root), Err(HomeError::Kind { path, .. }) if path == root));
    }

    #[test]
    fn two_hosts_on_one_home_are_refused_and_the_first_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path()).unwrap();
        assert_eq!(home.running().unwrap(), None);
        let first = home.lock().unwrap();
        let message = home.lock().unwrap_err().to_string();
        assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
        assert_eq!(home.running().unwrap(), Some(Some(std::process::id())));
        drop(first);
        assert_eq!(home.running().unwrap(), None);
        home.lock().unwrap();
    }

    #[test]
    fn looking_whether_a_host_runs_keeps_none_from_starting() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path()).unwrap();
        home.lock().unwrap();
        let looking = File::open(home.lock_file()).unwrap();
        looking.lock_shared().unwrap();
        std::thread::scope(|scope| {
            let starting = scope.spawn(|| home.lock().map(drop));
            looking.unlock().unwrap();
            starting.join().unwrap().unwrap();
        });
    }

    #[test]
    fn what_a_killed_host_left_behind_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path()).unwrap();
        fs::write(home.lock_file(), "999999999 and a longer text than any id\n").unwrap();
        let _lock = home.lock().unwrap();
        assert_eq!(fs::read_to_string(home.lock_file()).unwrap(), format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_lock_is_given_up_when_its_process_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path()).unwrap();
        // A child that inherits the locked file and is killed, as a host by `kill -9`.
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(home.lock_file()).unwrap();
        file.lock().unwrap();
        let mut child = std::process::Command::new("sleep").arg("600").stdin(file).spawn().unwrap();
        // This process's copy was handed to the child and closed; the child alone holds the lock.
        assert!(matches!(home.lock(), Err(HomeError::InUse { pid: None, .. })));
        child.kill().unwrap();
        child.wait().unwrap();
        home.lock().unwrap();
    }

    #[test]
    fn a_file_written_whole_has_its_mode_and_leaves_nothing_else_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write_new(&path, b"one", 0o600).unwrap();
        assert!(write_new(&path, b"two", 0o600).is_err(), "a second one must not overwrite");
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write_whole(&path, b"three", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
