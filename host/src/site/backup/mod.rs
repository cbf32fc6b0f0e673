//! All of a site in one file under a passphrase, and a site made of such a file.
//!
//! The file begins with a line that says what it is. Then comes a line with the key of this file under the passphrase,
//! as a [JWE](super::jwe); all the rest is a [sealed](sealed) stream under that key, with an [`archive`] inside.
//! Neither is ever held whole in memory.

pub mod archive;
pub mod sealed;

mod work;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tallyho_plugin::record::{AgentId, Timestamp};
use zeroize::Zeroizing;

use self::archive::{CONFIG, KEYS, LABEL, Label, Packer, STORE};
use self::sealed::{KEY_BYTES, Sealer, Unsealer};
use self::work::Work;
use super::config;
use super::home::{Home, HomeError, make_folder, system, write_new};
use super::jwe::{self, JweError};
use super::keys::{KeyFolder, KeysError};
use super::keys_export::{self, ExportError, KeySet};
use super::limits::{BACKUP_KEY_LINE_BYTES, BACKUP_LABEL_BYTES, CONFIG_BYTES, EXPORT_ROUNDS, KEY_SET_BYTES};
use crate::crash::crash_point;
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

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Whose it is.
    pub agent: AgentId,
    /// The file's size.
    pub bytes: u64,
}

/// A backup that was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Whose it is.
    pub agent: AgentId,
    /// When it was made.
    pub made: String,
    /// Where its configuration is: beside one that was there and differs.
    pub config: PathBuf,
}

/// A backup that may be made: what can be seen without its passphrase is in order.
#[derive(Debug)]
pub struct Making<'a> {
    home: &'a Home,
    to: &'a Path,
    agent: AgentId,
}

impl<'a> Making<'a> {
    /// Of this home, to this new file.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn new(home: &'a Home, to: &'a Path) -> Result<Self, BackupError> {
        if to.symlink_metadata().is_ok() {
            return Err(BackupError::Exists(to.to_owned()));
        }
        elsewhere(to, home.root())?;
        let agent = KeyFolder::of(home).agent()?.id().clone();
        Ok(Making { home, to, agent })
    }

    /// Makes it: of mode 0600, and under its name once it is whole. The site may be running.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn make(&self, passphrase: &str, now: Timestamp) -> Result<Made, BackupError> {
        self.make_with(passphrase, now, EXPORT_ROUNDS)
    }

    fn make_with(&self, passphrase: &str, now: Timestamp, rounds: u32) -> Result<Made, BackupError> {
        let failed = |why| system(self.to, "make")(why);
        let work = Work::begin(self.home.root(), MAKING)?;
        let (store, length) = self.copy_store(&work)?;
        // A key is there before anything in the store needs it, so they are read after it.
        let keys = keys_export::set(&KeyFolder::of(self.home))?;
        let config = read_config(&self.home.config())?;
        let label =
            Label { agent: self.agent.clone(), made: now.to_string(), program: env!("CARGO_PKG_VERSION").into() };
        let label = serde_json::to_vec(&label).map_err(|error| failed(error.into()))?;

        let folder = self.to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .prefix(".tallyho-backup-")
            .permissions(fs::Permissions::from_mode(0o600))
            .tempfile_in(folder)
            .map_err(failed)?;
        let key = Zeroizing::new(jwe::random::<KEY_BYTES>().map_err(ExportError::from)?);
        let jwe = jwe::seal(&*key, CONTENT, passphrase, rounds).map_err(ExportError::from)?;
        let write = || {
            let jwe = serde_json::to_string(&jwe)?;
            writeln!(file, "{FIRST_LINE}{jwe}")?;
            let mut packer = Packer::new(Sealer::new(&mut file, &key));
            packer.add(LABEL, label.len() as u64, &*label)?;
            packer.add(KEYS, keys.len() as u64, keys.as_bytes())?;
            packer.add(CONFIG, config.len() as u64, &*config)?;
            packer.add(STORE, length, store)?;
            packer.finish()?.finish()?;
            file.as_file().sync_all()?;
            Ok(file.as_file().metadata()?.len())
        };
        let bytes = write().map_err(failed)?;
        crash_point("backup-unnamed");
        file.persist_noclobber(self.to).map_err(|error| match error.error.kind() {
            ErrorKind::AlreadyExists => BackupError::Exists(self.to.to_owned()),
            _ => failed(error.error).into(),
        })?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(Made { agent: self.agent.clone(), bytes })
    }

    /// A copy of the store as of one instant, which nobody else can reach any more, and its length.
    fn copy_store(&self, work: &Work) -> Result<(File, u64), BackupError> {
        let copy = work.file(STORE);
        let bytes = sqlite::backup(&self.home.store(), &copy)?;
        let file = File::open(&copy).map_err(system(&copy, "read"))?;
        fs::remove_file(&copy).map_err(system(&copy, "remove"))?;
        Ok((file, bytes))
    }
}

/// A backup that may be put back: what can be seen without its passphrase is in order.
#[derive(Debug)]
pub struct Restoring<'a> {
    root: &'a Path,
    from: &'a Path,
    file: BufReader<File>,
    jwe: String,
}

impl<'a> Restoring<'a> {
    /// Into this folder, from this file.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn new(root: &'a Path, from: &'a Path) -> Result<Self, BackupError> {
        vacant(root)?;
        elsewhere(from, root)?;
        let format = |why: &str| BackupError::Format { path: from.to_owned(), why: why.to_owned() };
        let file = File::open(from).map_err(system(from, "read"))?;
        if !file.metadata().map_err(system(from, "read"))?.is_file() {
            return Err(format("it is no plain file"));
        }
        let mut file = BufReader::new(file);
        let mut line = |most: u64| {
            let mut line = Vec::new();
            file.by_ref().take(most).read_until(b'\n', &mut line).map_err(system(from, "read"))?;
            Ok::<_, BackupError>(String::from_utf8(line).unwrap_or_default())
        };
        let first = line(FIRST_LINE.len() as u64 + 8)?;
        if first != FIRST_LINE {
            let number = first.strip_prefix("tallyho backup ").and_then(|rest| rest.strip_suffix('\n'));
            let newer = number.and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| number > 1);
            let why = if newer { "its form is a newer program's" } else { "it does not begin as one" };
            return Err(format(why));
        }
        let jwe = line(BACKUP_KEY_LINE_BYTES)?;
        Ok(Restoring { root, from, file, jwe })
    }

    /// Makes the folder a site's home as it was when the backup was made. All of it is read and found whole before
    /// anything is put anywhere, and the store comes last: without it no site runs beside the keys.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn restore(self, passphrase: &str) -> Result<Restored, BackupError> {
        let key = jwe::open(&self.jwe, passphrase).map_err(|error| match error {
            JweError::Closed => BackupError::Closed,
            other => BackupError::Format { path: self.from.to_owned(), why: other.to_string() },
        })?;
        let key = <&[u8; KEY_BYTES]>::try_from(key.as_slice()).map_err(|_| BackupError::Closed)?;
        let is_new = !self.root.exists();
        make_folder(self.root)?;
        let result = Work::begin(self.root, RESTORING).and_then(|work| {
            let parts = read_parts(self.file, key, &work).map_err(|failure| failure.told_of(self.from))?;
            let store = work.file(STORE);
            sqlite::inspect(&store).map_err(|error| told_of(self.from, error))?;
            place(self.root, parts, &work)
        });
        if is_new && result.is_err() {
            // Where something stands in it meanwhile it stays.
            let _ = fs::remove_dir(self.root);
        }
        result
    }
}

/// A backup's parts but for the store.
struct Parts {
    label: Label,
    keys: KeySet,
    config: Zeroizing<Vec<u8>>,
}

/// Why a backup cannot be taken apart.
enum Failure {
    /// It cannot be read.
    Read(io::Error),
    /// Its store cannot be written here.
    Written(HomeError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Read(error)
    }
}

impl Failure {
    fn told_of(self, backup: &Path) -> BackupError {
        match self {
            Failure::Written(error) => error.into(),
            // Of a stream that opens and is no archive, its reader says no more than this.
            Failure::Read(error)
                if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof | ErrorKind::Other) =>
            {
                BackupError::Damaged { path: backup.to_owned(), why: error.to_string() }
            }
            Failure::Read(error) => system(backup, "read")(error).into(),
        }
    }
}

fn read_parts(file: impl Read, key: &[u8; KEY_BYTES], work: &Work) -> Result<Parts, Failure> {
    let (mut label, mut keys, mut config) = (Zeroizing::default(), Zeroizing::default(), Zeroizing::default());
    archive::unpack::<Failure>(Unsealer::new(file, key), |name, bytes, content| {
        match name {
            LABEL => label = archive::small(name, bytes, content, BACKUP_LABEL_BYTES)?,
            KEYS => keys = archive::small(name, bytes, content, KEY_SET_BYTES)?,
            CONFIG => config = archive::small(name, bytes, content, CONFIG_BYTES)?,
            _ => unpack_store(content, &work.file(name))?,
        }
        Ok(())
    })?;
    let label = serde_json::from_slice(&label).map_err(|error| archive::wrong(&format!("its {LABEL}: {error}")))?;
    let keys = KeySet::read(&keys).map_err(|error| archive::wrong(&format!("its {KEYS}: {error}")))?;
    Ok(Parts { label, keys, config })
}

fn unpack_store(content: &mut dyn Read, to: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::Written(system(to, "write")(error));
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(to).map_err(failed)?;
    let mut chunk = vec![0; sealed::CHUNK_BYTES];
    loop {
        match content.read(&mut chunk)? {
            0 => return file.sync_all().map_err(failed),
            bytes => file.write_all(&chunk[..bytes]).map_err(failed)?,
        }
    }
}

/// Puts everything in its place. Until the store is in its own, the folder of the work says that this is under way
/// ([`is_cut_short`]).
fn place(root: &Path, parts: Parts, work: &Work) -> Result<Restored, BackupError> {
    let Parts { label, keys, config } = parts;
    if let Some(folder) = KeyFolder::below(root)? {
        keys.fits(&folder)?;
    }
    vacant(root)?;
    work.stays(true);
    let config = put_config(root, &config)?;
    let home = Home::create(root)?;
    let _lock = home.lock()?;
    vacant(root)?;
    let agent = keys.put(&KeyFolder::of(&home))?.agent;
    crash_point("restore-without-store");
    let placed = tempfile::TempPath::try_from_path(work.file(STORE))
        .and_then(|store| store.persist_noclobber(home.store()).map_err(|error| error.error));
    placed.and_then(|()| File::open(root)?.sync_all()).map_err(system(&home.store(), "write"))?;
    work.stays(false);
    Ok(Restored { agent, made: label.made, config })
}

/// Writes the configuration, beside one that is there and that somebody has edited; where it is now.
fn put_config(root: &Path, config: &[u8]) -> Result<PathBuf, BackupError> {
    let path = root.join(CONFIG);
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        _ => {
            let present = read_config(&path)?;
            if present == config {
                return Ok(path);
            }
            if present != config::DEFAULT_FILE.as_bytes() {
                return put_beside(root, config);
            }
            fs::remove_file(&path).map_err(system(&path, "replace"))?;
        }
    }
    write_new(&path, config, 0o644)?;
    Ok(path)
}

/// Under the first name that nothing else has.
fn put_beside(root: &Path, config: &[u8]) -> Result<PathBuf, BackupError> {
    let mut number = 1;
    loop {
        let path = match number {
            1 => root.join("tallyho.toml.restored"),
            _ => root.join(format!("tallyho.toml.restored-{number}")),
        };
        if path.symlink_metadata().is_err() {
            write_new(&path, config, 0o644)?;
            return Ok(path);
        }
        if read_config(&path).is_ok_and(|present| present == config) {
            return Ok(path);
        }
        number += 1;
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
    let taken = ["site.db", "site.db-wal", "site.db-journal"].map(|name| root.join(name)).into_iter();
    match taken.into_iter().find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => Err(BackupError::Occupied(path)),
        None => Ok(()),
    }
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

/// What is wrong with a store that was in a backup, told of that.
fn told_of(backup: &Path, error: StoreError) -> BackupError {
    match error {
        StoreError::Newer { found, known, .. } => {
            StoreError::Newer { path: backup.display().to_string(), found, known }.into()
        }
        StoreError::Damaged { why, .. } => {
            BackupError::Damaged { path: backup.to_owned(), why: format!("its store: {why}") }
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests;
