//! From a file to a handler.

use crate::plugin::Plugin;
use crate::plugin::elf::{self, ElfFacts};
use crate::plugin::error::{LoadError, Refusal};
use crate::plugin::limits::{MAX_BUILDS, PROBE_DEADLINE};
use crate::plugin::loaded::{Build, LoadedPlugin};
use crate::plugin::open::{map, module, read_manifest};
use crate::plugin::part::parts;
use crate::plugin::private_copy::{PrivateCopies, PrivateCopy};
use crate::plugin::probe::{ProbeCommand, probe};
use crate::plugin::process::spawn::Start;
use crate::plugin::process::{ApartBuild, IsolatedPlugin, Processes};
use crate::plugin::read::{BuildHash, FileStamp, LibraryFile, hash, open_library, read_library};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
    /// Which plugins have processes of their own, where [`Loader::seat`] loads them.
    pub processes: Processes,
}

impl LoaderOptions {
    /// The usual ones, copies going to this folder.
    pub fn new(private_folder: impl Into<PathBuf>) -> Self {
        LoaderOptions {
            private_folder: private_folder.into(),
            probe: ProbeCommand::this_program(),
            probe_deadline: PROBE_DEADLINE,
            max_builds: MAX_BUILDS,
            processes: Processes::default(),
        }
    }
}

/// How long the steps of a load took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Steps {
    /// The private copy of what is loaded.
    pub copy: Duration,
    /// Reading the copy.
    pub read: Duration,
    /// What the ELF file says, and the hash; where the bytes are new the probe too, which goes on meanwhile.
    pub hash: Duration,
    /// The probe in a child process; zero where the bytes are known.
    pub probe: Duration,
    /// Mapping, layouts, manifest; zero where the bytes are known.
    pub check: Duration,
    /// Making the handler.
    pub create: Duration,
    /// Another name for the copy, by which a restart finds it; not the loader's work.
    pub keep: Duration,
}

/// Libraries that one process has mapped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mapped {
    /// How many builds.
    pub builds: usize,
    /// What they take of memory, in bytes.
    pub bytes: u64,
}

/// Loads plugins; one per process.
pub struct Loader {
    options: LoaderOptions,
    copies: PrivateCopies,
    /// Held while copies are not to get what they lack.
    back: Arc<Mutex<()>>,
    builds: Mutex<Builds>,
}

#[derive(Default)]
struct Builds {
    /// By content, and by header symbol where one library holds several plugins.
    sound: HashMap<(BuildHash, String), Arc<Build>>,
    /// Those that only processes of their own have mapped, likewise.
    apart: HashMap<(BuildHash, String), Arc<ApartBuild>>,
    /// How many bytes those have.
    sizes: HashSet<usize>,
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
        Ok(Loader { options, copies, back: Arc::default(), builds: Mutex::default() })
    }

    /// Loads a plugin and makes its handler, a new generation. The same bytes take the same mapping.
    /// Blocks: for reading and hashing always, for copy and probe where the bytes are new.
    ///
    /// # Errors
    /// What was found, what was expected, and the fix.
    pub fn load(&self, path: &Path) -> Result<Arc<LoadedPlugin>, LoadError> {
        self.stage(path).map(|(plugin, _)| plugin)
    }

    /// The same, telling how long each step took.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn stage(&self, path: &Path) -> Result<(Arc<LoadedPlugin>, Steps), LoadError> {
        self.stage_as(path, path)
    }

    /// The same for a copy of the library that people know by another path.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn stage_as(&self, path: &Path, known_as: &Path) -> Result<(Arc<LoadedPlugin>, Steps), LoadError> {
        let mut steps = Steps::default();
        let plugin = self.load_inner(path, known_as, &mut steps).map_err(|refusal| LoadError::new(path, refusal))?;
        Ok((Arc::new(plugin), steps))
    }

    /// Loads a plugin to where the operator wants it: into this process, or into one of its own.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn seat(&self, path: &Path) -> Result<(Arc<dyn Plugin>, Steps), LoadError> {
        self.seat_as(path, path)
    }

    /// The same for a copy of the library that people know by another path.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn seat_as(&self, path: &Path, known_as: &Path) -> Result<(Arc<dyn Plugin>, Steps), LoadError> {
        let mut steps = Steps::default();
        let (built, stamp) =
            self.found(path, known_as, true, &mut steps).map_err(|refusal| LoadError::new(path, refusal))?;
        let begun = Instant::now();
        let plugin: Result<Arc<dyn Plugin>, Refusal> = match built {
            Built::Here(build) => LoadedPlugin::create(build, known_as, stamp).map(|plugin| Arc::new(plugin) as _),
            Built::Apart(build) => IsolatedPlugin::create(build, known_as, stamp, &self.options.processes)
                .map(|plugin| Arc::new(plugin) as _),
        };
        steps.create = begun.elapsed();
        Ok((plugin.map_err(|refusal| LoadError::new(path, refusal))?, steps))
    }

    /// Until this is dropped, private copies wait for what is not loaded of them: something else is urgent.
    pub fn hold_back(&self) -> MutexGuard<'_, ()> {
        self.back.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many libraries are mapped.
    pub fn mapped(&self) -> usize {
        self.builds.lock().unwrap_or_else(PoisonError::into_inner).mapped
    }

    /// The builds mapped for the plugin of this name, all of them ever since this process began.
    pub fn mapped_for(&self, plugin: &str) -> Mapped {
        let builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        let own = builds.sound.values().filter(|build| build.manifest.name == plugin);
        own.fold(Mapped::default(), |sum, build| Mapped { builds: sum.builds + 1, bytes: sum.bytes + build.bytes })
    }

    /// What the mapping of this build takes of memory, in bytes; 0 where it is not mapped.
    pub fn bytes_of(&self, hash: BuildHash) -> u64 {
        let builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        builds.sound.iter().find(|((build, _), _)| *build == hash).map_or(0, |(_, build)| build.bytes)
    }

    fn load_inner(&self, path: &Path, known_as: &Path, steps: &mut Steps) -> Result<LoadedPlugin, Refusal> {
        let (built, stamp) = self.found(path, known_as, false, steps)?;
        let Built::Here(build) = built else { return Err(Refusal::NoProbe("it is wanted here".to_owned())) };
        let begun = Instant::now();
        let plugin = LoadedPlugin::create(build, known_as, stamp)?;
        steps.create = begun.elapsed();
        let build = plugin.shared_build();
        let manifest = &build.manifest;
        log::debug!("{} {} made from {}, build {}", manifest.name, manifest.version, path.display(), build.hash);
        Ok(plugin)
    }

    /// The build that a file holds, found sound, and what tells the file from another of its name. `choose`: whether
    /// a process of its own may be wanted for it.
    fn found(
        &self,
        path: &Path,
        known_as: &Path,
        choose: bool,
        steps: &mut Steps,
    ) -> Result<(Built, Option<FileStamp>), Refusal> {
        let mut laps = Laps::new();
        let LibraryFile { file, stamp } = open_library(path)?;
        // One of our own copies may lack what was to follow when the process before this one ended.
        let is_copy = path != known_as;
        let parts = parts(&file, stamp.size(), is_copy)?;
        let copy = self.copies.take(file, parts.loaded, known_as)?;
        steps.copy = laps.lap();
        let bytes = read_library(copy.path())?;
        steps.read = laps.lap();
        let built = self.build(&bytes, copy, known_as, choose, steps)?;
        // A file of another size than its copy is another one by now.
        let whole = stamp.size().max(parts.whole);
        let known = FileStamp::of(known_as).filter(|known| known.size() == whole);
        Ok((built, if is_copy { known } else { Some(stamp) }))
    }

    fn build(
        &self,
        bytes: &[u8],
        copy: PrivateCopy<'_>,
        path: &Path,
        choose: bool,
        steps: &mut Steps,
    ) -> Result<Built, Refusal> {
        // Held throughout: the same new bytes are never mapped twice. Nothing below panics half way
        // through changing it, so a poisoned lock is as good as another.
        let mut builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        let mut laps = Laps::new();
        let facts = elf::inspect(bytes, path)?;
        let (hash, probed) = self.hash_and_probe(bytes, &builds, &copy, &facts);
        steps.hash = laps.lap();
        let key = (hash, facts.header_symbol.clone());
        if let Some(build) = builds.sound.get(&key) {
            return Ok(Built::Here(build.clone()));
        }
        if let Some(build) = builds.apart.get(&key).filter(|_| choose) {
            return Ok(Built::Apart(build.clone()));
        }
        elf::check_stamp(&facts.stamp)?;
        if builds.mapped + builds.apart.len() >= self.options.max_builds {
            return Err(Refusal::TooManyBuilds { most: self.options.max_builds });
        }
        let Probed { took, name } = probed.unwrap_or_else(|| self.probe(&copy, &facts))?;
        steps.probe = took;
        laps.lap();
        if let Some(memory) = self.options.processes.memory.get(&name).filter(|_| choose) {
            let (copy, rest) = copy.keep();
            let start = Start {
                name,
                program: self.options.probe.program.clone(),
                copy,
                header_symbol: facts.header_symbol.clone(),
                minor: facts.stamp.minor,
                memory: *memory,
            };
            let build = Arc::new(ApartBuild { hash, start });
            builds.apart.insert(key, build.clone());
            builds.sizes.insert(bytes.len());
            rest.follow(Arc::clone(&self.back));
            return Ok(Built::Apart(build));
        }
        builds.mapped += 1;
        let (copy, rest) = copy.keep();
        let library = map(&copy)?;
        let module = module(&library, &facts.header_symbol, &facts.stamp)?;
        let manifest = read_manifest(module)?;
        let build = Arc::new(Build { hash, module, manifest, copy, bytes: facts.bytes });
        builds.sound.insert(key, build.clone());
        builds.sizes.insert(bytes.len());
        steps.check = laps.lap();
        rest.follow(Arc::clone(&self.back));
        Ok(Built::Here(build))
    }

    /// The library's hash. It takes as long as the probe, so both are done at the same time where the hash can only
    /// turn out to be a new one: no build of this size is known.
    fn hash_and_probe(
        &self,
        bytes: &[u8],
        builds: &Builds,
        copy: &PrivateCopy<'_>,
        facts: &ElfFacts,
    ) -> (BuildHash, Option<Result<Probed, Refusal>>) {
        let may_be_probed =
            elf::check_stamp(&facts.stamp).is_ok() && builds.mapped + builds.apart.len() < self.options.max_builds;
        if builds.sizes.contains(&bytes.len()) || !may_be_probed {
            return (hash(bytes), None);
        }
        std::thread::scope(|scope| {
            let hashing = scope.spawn(|| hash(bytes));
            let probed = self.probe(copy, facts);
            // A thread that cannot hash has no reason but this program's own.
            (hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), Some(probed))
        })
    }

    /// The probe that the copy has passed.
    fn probe(&self, copy: &PrivateCopy<'_>, facts: &ElfFacts) -> Result<Probed, Refusal> {
        let begun = Instant::now();
        let LoaderOptions { probe: command, probe_deadline, .. } = &self.options;
        let name = probe(command, copy.path(), &facts.header_symbol, &facts.stamp, *probe_deadline)?;
        Ok(Probed { took: begun.elapsed(), name })
    }
}

/// A probe that was passed.
struct Probed {
    took: Duration,
    /// What the plugin is called.
    name: String,
}

/// A build found sound.
enum Built {
    /// Mapped in this process.
    Here(Arc<Build>),
    /// For processes of its own.
    Apart(Arc<ApartBuild>),
}

/// Times between moments.
struct Laps(Instant);

impl Laps {
    fn new() -> Self {
        Laps(Instant::now())
    }

    /// Since the last one.
    fn lap(&mut self) -> Duration {
        std::mem::replace(&mut self.0, Instant::now()).elapsed()
    }
}
