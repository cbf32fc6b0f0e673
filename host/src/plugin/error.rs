//! Why a plugin was not loaded.

use crate::plugin::probe::Stage;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tallyho_plugin::Fault;

/// A file that was not loaded as a plugin. The host and the plugins serving are as before.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}: {refusal}; {}", path.display(), refusal.fix())]
pub struct LoadError {
    /// The file as named.
    pub path: PathBuf,
    /// What was found and what was expected.
    pub refusal: Refusal,
}

impl LoadError {
    pub(crate) fn new(path: &Path, refusal: Refusal) -> Self {
        LoadError { path: path.to_owned(), refusal }
    }
}

/// What was found and what was expected; [`Refusal::fix`] says what to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Operator: no such file, or no permission.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// Operator: no plugin of this name in any folder.
    #[error("there is no plugin of this name: looked for {file} in {}", folders.join(", "))]
    NotFound {
        /// The file name looked for.
        file: String,
        /// The folders looked in.
        folders: Vec<String>,
    },
    /// Operator: a folder, FIFO, socket or device.
    #[error("is {0}, expected a library file")]
    NotAFile(String),
    /// Operator: beyond `MAX_LIBRARY_BYTES`.
    #[error("has {found} bytes, expected at most {most}")]
    TooLarge {
        /// Size in bytes.
        found: u64,
        /// The bound.
        most: u64,
    },
    /// Operator: something else than a library for this kind of system.
    #[error("is {found}, expected a 64-bit ELF shared library for {machine}", machine = crate::plugin::elf::THIS_MACHINE)]
    NotALibrary {
        /// What it looks like.
        found: String,
    },
    /// Operator: a copy or build that was cut short.
    #[error("is incomplete: {what} ends at byte {needed}, but the file has {found}")]
    Truncated {
        /// Which part.
        what: String,
        /// Where it ends.
        needed: u64,
        /// Size of the file.
        found: u64,
    },
    /// Operator: an ELF file that contradicts itself.
    #[error("is a damaged library: {0}")]
    Damaged(String),
    /// Operator: a library, but no plugin.
    #[error("is a library, but no Tallyho plugin: it exports no symbol {expected}*")]
    NoPlugin {
        /// How the symbol's name begins.
        expected: String,
    },
    /// Author: a plugin built upon others, and the file's name does not tell which is meant.
    #[error("holds several plugins ({}), and the file is named after none of them", crates.join(", "))]
    SeveralPlugins {
        /// Their crates.
        crates: Vec<String>,
    },
    /// Author: built for a newer (or a much older) host.
    #[error("is built for plugin ABI {found}, this host takes {expected}")]
    Version {
        /// As `major.minor`.
        found: String,
        /// What this host takes.
        expected: String,
        /// Whether the plugin is the newer one.
        newer: bool,
    },
    /// Author: `panic = "abort"`.
    #[error("is built with panic = \"abort\", so that its first panic would end the host; expected panic = \"unwind\"")]
    Aborts,
    /// Host: the child process for the probe cannot be run.
    #[error("cannot be probed in a child process: {0}")]
    NoProbe(String),
    /// Plugin: the child process ended early.
    #[error("crashed in a child process while {stage}: {how}{}", said.as_deref().map(|said| format!(" (it said: {said})")).unwrap_or_default())]
    Crashed {
        /// What was being done.
        stage: Stage,
        /// Signal or exit code.
        how: String,
        /// The last line it wrote.
        said: Option<String>,
    },
    /// Plugin: the child process was not done in time.
    #[error("was not done {stage} within {seconds} s in a child process, which was ended")]
    Hung {
        /// What was being done.
        stage: Stage,
        /// The deadline.
        seconds: u64,
    },
    /// Operator: this process has mapped as many builds as it may.
    #[error("would be build number {} of this process, expected at most {most}", most + 1)]
    TooManyBuilds {
        /// The bound.
        most: usize,
    },
    /// Operator: the private copy cannot be written.
    #[error("cannot be copied to {folder}: {why}")]
    NoCopy {
        /// Where to.
        folder: String,
        /// What the system said.
        why: String,
    },
    /// Operator: the dynamic linker refuses.
    #[error("cannot be opened by the dynamic linker: {0}")]
    Linker(String),
    /// Author: another version of `abi_stable`.
    #[error("is built with another abi_stable: {0}")]
    AbiStable(String),
    /// Author: ABI types changed against the promise.
    #[error("has other ABI types than this host although their versions fit: {0}")]
    Layout(String),
    /// Author: what it says about itself does not hold.
    #[error("has an invalid manifest: {what}")]
    Manifest {
        /// What was found and what was expected.
        what: String,
        /// What to do.
        fix: String,
    },
    /// Plugin: the handler's own manifest function failed.
    #[error("could not tell its manifest: {}", .0.text)]
    NoManifest(Fault),
    /// Plugin: the handler refused to be made.
    #[error("could not make its handler: {}", .0.text)]
    NoHandler(Fault),
}

impl Refusal {
    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Refusal::Unreadable(_) => "give the path of a library that this user may read".into(),
            Refusal::NotFound { .. } => {
                "build it (cargo build --release), name its folder with --plugins DIR, or give its path".into()
            }
            Refusal::NotAFile(_) | Refusal::NotALibrary { .. } => {
                "give the library that cargo built from a crate with crate-type = [\"cdylib\", \"rlib\"]".into()
            }
            Refusal::TooLarge { .. } => "strip it (strip --strip-debug FILE)".into(),
            Refusal::Truncated { .. } | Refusal::Damaged(_) => "build or copy it again".into(),
            Refusal::NoPlugin { .. } => "add export_plugin!(YourHandler) to the crate and build it again".into(),
            Refusal::SeveralPlugins { crates } => {
                let names: Vec<String> = crates.iter().map(|crate_| format!("lib{crate_}.so")).collect();
                format!("name the file as cargo does, after the crate that is meant: {}", names.join(" or "))
            }
            Refusal::Version { newer: true, .. } => {
                "install a newer host, or build the plugin against this host's tallyho-plugin".into()
            }
            Refusal::Version { newer: false, .. } | Refusal::AbiStable(_) | Refusal::Layout(_) => {
                "build the plugin again against this host's tallyho-plugin".into()
            }
            Refusal::Aborts => "remove panic = \"abort\" from its Cargo profile and build it again".into(),
            Refusal::NoProbe(_) => "see that the host's own program can still be run".into(),
            Refusal::Crashed { .. } | Refusal::Hung { .. } => {
                "mend what it does when loaded (constructors, manifest, create), or build it again if it is damaged"
                    .into()
            }
            Refusal::TooManyBuilds { .. } => "restart the host: libraries stay in memory until then".into(),
            Refusal::NoCopy { .. } => "free space or mend permissions there".into(),
            Refusal::Linker(_) => {
                "install what it names as missing, allow execution in the host's folder, or build it again".into()
            }
            Refusal::Manifest { fix, .. } => fix.clone(),
            Refusal::NoManifest(fault) | Refusal::NoHandler(fault) => {
                fault.fix.clone().unwrap_or_else(|| "mend the plugin and build it again".into())
            }
        }
    }
}
