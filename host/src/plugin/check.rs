//! Everything a load would check, without a running host.

use crate::plugin::error::LoadError;
use crate::plugin::load::{Loader, LoaderOptions};
use crate::plugin::{Plugin, Refusal};
use serde::Serialize;
use std::path::Path;

/// What a check found, as `plugin check --json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Whether it would be loaded.
    pub ok: bool,
    /// The plugin's name, where known.
    pub name: Option<String>,
    /// The plugin's own version, where known.
    pub version: Option<String>,
    /// Why it would not be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl From<Result<(String, String), LoadError>> for CheckReport {
    fn from(result: Result<(String, String), LoadError>) -> Self {
        match result {
            Ok((name, version)) => {
                CheckReport { ok: true, name: Some(name), version: Some(version), reason: None, fix: None }
            }
            Err(LoadError { path, refusal }) => CheckReport {
                ok: false,
                name: None,
                version: None,
                reason: Some(format!("{} {refusal}", path.display())),
                fix: Some(refusal.fix()),
            },
        }
    }
}

/// Checks a file by loading it in this process, which is about to end.
pub fn check(path: &Path) -> CheckReport {
    let loaded = tempfile::tempdir()
        .map_err(|error| LoadError::new(path, Refusal::Unreadable(format!("no temporary folder: {error}"))))
        .and_then(|folder| check_with(&LoaderOptions::new(folder.path()), path));
    loaded.into()
}

/// [`check`] with other options than the usual ones; name and version.
///
/// # Errors
/// As for [`Loader::load`].
pub fn check_with(options: &LoaderOptions, path: &Path) -> Result<(String, String), LoadError> {
    let plugin = Loader::new(options.clone())?.load(path)?;
    Ok((plugin.manifest().name.clone(), plugin.manifest().version.clone()))
}
