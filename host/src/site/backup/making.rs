//! A site written to one file.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use tallyho_plugin::record::{AgentId, Timestamp};
use zeroize::Zeroizing;

use super::archive::{CONFIG, KEYS, LABEL, Label, Packer, STORE};
use super::sealed::{KEY_BYTES, Sealer};
use super::work::Work;
use super::{BackupError, CONTENT, FIRST_LINE, MAKING, elsewhere, read_config};
use crate::site::home::{Home, HomeError, system, write_new_by};
use crate::site::jwe;
use crate::site::keys::KeyFolder;
use crate::site::keys_export::{self, ExportError};
use crate::site::limits::EXPORT_ROUNDS;
use crate::store::sqlite;

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Whose it is.
    pub agent: AgentId,
    /// The file's size.
    pub bytes: u64,
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

    pub(super) fn make_with(&self, passphrase: &str, now: Timestamp, rounds: u32) -> Result<Made, BackupError> {
        let work = Work::begin(self.home.root(), MAKING)?;
        let (store, length) = self.copy_store(&work)?;
        // A key is there before anything in the store needs it, so they are read after it.
        let keys = keys_export::set(&KeyFolder::of(self.home))?;
        let config = read_config(&self.home.config())?;
        let label =
            Label { agent: self.agent.clone(), made: now.to_string(), program: env!("CARGO_PKG_VERSION").into() };
        let label = serde_json::to_vec(&label).map_err(|error| system(self.to, "write")(error.into()))?;

        let key = Zeroizing::new(jwe::random::<KEY_BYTES>().map_err(ExportError::from)?);
        let jwe = jwe::seal(&*key, CONTENT, passphrase, rounds).map_err(ExportError::from)?;
        let written = write_new_by(self.to, sqlite::COPYING, 0o600, |file| {
            let jwe = serde_json::to_string(&jwe)?;
            writeln!(file, "{FIRST_LINE}{jwe}")?;
            let mut packer = Packer::new(Sealer::new(&mut *file, &key));
            packer.add(LABEL, label.len() as u64, &*label)?;
            packer.add(KEYS, keys.len() as u64, keys.as_bytes())?;
            packer.add(CONFIG, config.len() as u64, &*config)?;
            packer.add(STORE, length, store)?;
            packer.finish()?.finish()?;
            Ok(file.metadata()?.len())
        });
        let bytes = written.map_err(|error| match error {
            HomeError::System { why, .. } if why.kind() == ErrorKind::AlreadyExists => {
                BackupError::Exists(self.to.to_owned())
            }
            other => other.into(),
        })?;
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
