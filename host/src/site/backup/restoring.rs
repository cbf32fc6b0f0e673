//! A site made of such a file.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tallyho_plugin::record::AgentId;
use zeroize::Zeroizing;

use super::archive::{self, CONFIG, KEYS, LABEL, Label, STORE};
use super::sealed::{self, KEY_BYTES, Unsealer};
use super::work::Work;
use super::{BackupError, FIRST_LINE, RESTORING, elsewhere, read_config, vacant};
use crate::crash::crash_point;
use crate::site::config;
use crate::site::home::{Home, HomeError, make_folder, system, write_new};
use crate::site::jwe::{self, JweError};
use crate::site::keys::KeyFolder;
use crate::site::keys_export::KeySet;
use crate::site::limits::{BACKUP_KEY_LINE_BYTES, BACKUP_LABEL_BYTES, CONFIG_BYTES, KEY_SET_BYTES};
use crate::store::{StoreError, sqlite};

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
    sqlite::put_back(&work.file(STORE), &home.store())?;
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

/// What is wrong with a store that was in a backup, told of that.
pub(super) fn told_of(backup: &Path, error: StoreError) -> BackupError {
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
