//! What the store remembers of each plugin, so that a restart goes on where the site was.

use super::buffer::Buffer;
use crate::plugin::Plugin;
use crate::store::{StoreError, Transaction};
use serde::{Deserialize, Serialize};
use tallyho_plugin::Manifest;
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::services::Range;

const TABLE: &str = "host.plugins";

/// What is remembered of one plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The state version that its tables have.
    pub state: u32,
    /// The state version that they are being brought to, where that takes several transactions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrating: Option<u32>,
    /// What is needed to take the tables back as they were, where that has been begun while the site runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// The build swapped in, which serves after a restart too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swapped: Option<SwappedIn>,
    /// The operator has stopped it, which holds for a restart too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// Timers of it came due while it was held; see [`super::timers::park`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub parked: bool,
}

/// Rows of [`super::undo`], and what they lead back to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// How many there are.
    pub rows: u64,
    /// The state version that the tables had.
    pub state: u32,
}

/// A build that took the place of the one that the site was started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwappedIn {
    /// What serves.
    pub file: BuildFile,
    /// Since when.
    pub at: Timestamp,
    /// The build that command line or configuration gave. Where they give another one at a later start,
    /// that is the operator's later word.
    pub instead_of: String,
    /// What served before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<BuildFile>,
}

/// A library as it was when it was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildFile {
    /// Where it was.
    pub path: String,
    /// SHA-256 of its content, in hexadecimal digits.
    pub build: String,
    /// The plugin's own version.
    pub version: String,
}

impl BuildFile {
    /// The library of a plugin; `None` where it is linked into this program.
    pub fn of(plugin: &dyn Plugin) -> Option<Self> {
        Some(BuildFile {
            path: plugin.path()?.display().to_string(),
            build: plugin.build()?.to_string(),
            version: plugin.manifest().version.clone(),
        })
    }
}

/// What is remembered of a plugin.
///
/// # Errors
/// The store's.
pub fn get(buffer: &mut Buffer<'_>, plugin: &str) -> Result<Option<Remembered>, StoreError> {
    buffer.get(TABLE, plugin.as_bytes())?.map(|bytes| decode(&bytes)).transpose()
}

/// What is remembered of a plugin; of one that is new here, that its tables are as it has them.
///
/// # Errors
/// The store's.
pub fn of(buffer: &mut Buffer<'_>, manifest: &Manifest) -> Result<Remembered, StoreError> {
    let first = || Remembered { state: manifest.state_version, ..Remembered::default() };
    Ok(get(buffer, &manifest.name)?.unwrap_or_else(first))
}

/// Remembers it.
pub fn put(buffer: &mut Buffer<'_>, plugin: &str, remembered: &Remembered) {
    let mut bytes = Vec::new();
    ciborium::into_writer(remembered, &mut bytes).expect("texts and numbers can be written to memory");
    buffer.put(TABLE, plugin.as_bytes(), &bytes);
}

/// All that is remembered, by plugin.
///
/// # Errors
/// The store's.
pub fn all(transaction: &mut dyn Transaction) -> Result<Vec<(String, Remembered)>, StoreError> {
    let range = Range { limit: 1_000, ..Range::default() };
    let rows = transaction.scan(TABLE, &range)?;
    rows.iter().map(|(key, bytes)| Ok((String::from_utf8_lossy(key).into_owned(), decode(bytes)?))).collect()
}

fn decode(bytes: &[u8]) -> Result<Remembered, StoreError> {
    ciborium::from_reader(bytes).map_err(|error| StoreError::Engine(format!("what is known of a plugin: {error}")))
}
