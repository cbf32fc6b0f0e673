//! From a file to a handler.

use crate::plugin::elf;
use crate::plugin::error::{LoadError, Refusal};
use crate::plugin::limits::{MAX_BUILDS, PROBE_DEADLINE};
use crate::plugin::loaded::{Build, LoadedPlugin};
use crate::plugin::open::{map, module, read_manifest};
use crate::plugin::private_copy::PrivateCopies;
use crate::plugin::probe::{ProbeCommand, probe};
use crate::plugin::read::{BuildHash, LibraryFile, read_library};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How a [`Loader`] works.
#[derive(Debug, Clone)]
pub struct LoaderOptions {
    /// Where private copies go: a folder of this user's, on a file system that allows execution.
    pub private_folder: PathBuf,
    /// How probes are started.
    pub probe: ProbeCommand,
    /// How long a probe may take.
    pub probe_deadline: Duration,
    /// Most distinct builds in this process.
    pub max_builds: usize,
}

impl LoaderOptions {
    /// The usual ones, copies going to this folder.
    pub fn new(private_folder: impl Into<PathBuf>) -> Self {
        LoaderOptions {
            private_folder: private_folder.into(),
            probe: ProbeCommand::this_program(),
            probe_deadline: PROBE_DEADLINE,
            max_builds: MAX_BUILDS,
        }
    }
}

/// Loads plugins; one per process.
pub struct Loader {
    options: LoaderOptions,
    copies: PrivateCopies,
    builds: Mutex<Builds>,
}

#[derive(Default)]
struct Builds {
    /// By content, and by header symbol where one library holds several plugins.
    sound: HashMap<(BuildHash, String), Arc<Build>>,
    /// All libraries mapped, also those refused afterwards: they stay too.
    mapped: usize,
}

impl Loader {
    /// A loader, its private folder made.
    ///
    /// # Errors
    /// [`Refusal::NoCopy`], for the folder.
    pub fn new(options: LoaderOptions) -> Result<Self, LoadError> {
        let copies = PrivateCopies::new(&options.private_folder)
            .map_err(|refusal| LoadError::new(&options.private_folder, refusal))?;
        Ok(Loader { options, copies, builds: Mutex::default() })
    }

    /// Loads a plugin and makes its handler, a new generation. The same bytes take the same mapping.
    /// Blocks: for reading and hashing always, for copy and probe where the bytes are new.
    ///
    /// # Errors
    /// What was found, what was expected, and the fix.
    pub fn load(&self, path: &Path) -> Result<Arc<LoadedPlugin>, LoadError> {
        self.load_inner(path).map(Arc::new).map_err(|refusal| LoadError::new(path, refusal))
    }

    /// How many libraries are mapped.
    pub fn mapped(&self) -> usize {
        self.builds.lock().unwrap_or_else(PoisonError::into_inner).mapped
    }

    fn load_inner(&self, path: &Path) -> Result<LoadedPlugin, Refusal> {
        let file = read_library(path)?;
        let build = self.build(&file, path)?;
        let plugin = LoadedPlugin::create(build, path)?;
        let manifest = &plugin.shared_build().manifest;
        log::debug!("{} {} made from {}, build {}", manifest.name, manifest.version, path.display(), file.hash);
        Ok(plugin)
    }

    fn build(&self, file: &LibraryFile, path: &Path) -> Result<Arc<Build>, Refusal> {
        // Held throughout: the same new bytes are never mapped twice. Nothing below panics half way
        // through changing it, so a poisoned lock is as good as another.
        let mut builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        let facts = elf::inspect(&file.bytes, path)?;
        let key = (file.hash, facts.header_symbol.clone());
        if let Some(build) = builds.sound.get(&key) {
            return Ok(build.clone());
        }
        elf::check_stamp(&facts.stamp)?;
        if builds.mapped >= self.options.max_builds {
            return Err(Refusal::TooManyBuilds { most: self.options.max_builds });
        }
        let copy = self.copies.write(&file.bytes, path)?;
        let deadline = self.options.probe_deadline;
        if let Err(refusal) = probe(&self.options.probe, &copy, &facts.header_symbol, &facts.stamp, deadline) {
            self.copies.discard(&copy);
            return Err(refusal);
        }
        builds.mapped += 1;
        let library = map(&copy)?;
        let module = module(&library, &facts.header_symbol, &facts.stamp)?;
        let build = Arc::new(Build { hash: file.hash, module, manifest: read_manifest(module)?, copy });
        builds.sound.insert(key, build.clone());
        Ok(build)
    }
}
