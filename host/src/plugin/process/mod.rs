//! A plugin in a process of its own (`isolation = "process"`): the same library, where a crash, an endless loop or a
//! lack of memory cost a process and not the site.
//!
//! [`IsolatedPlugin`] is a [`Plugin`] like others. A [`keeper`] sees to it that there is a process, which [`spawn`]
//! starts and [`child`] is the whole life of; [`drive`] makes a call over a [`channel`] in [`words`], and [`remote`]
//! has the handler's own calls of the host come back over it.

pub mod channel;
pub mod child;
pub mod drive;
pub mod keeper;
pub mod remote;
pub mod spawn;
pub mod words;

use self::channel::Broken;
use self::keeper::{Keeper, ProcessState, Rested};
use self::spawn::{Naming, Process, Start, locked};
use self::words::{Put, order};
use crate::plugin::limits::{END_KNOWN, PROCESS_MB};
use crate::plugin::loaded::checks_from;
use crate::plugin::read::{BuildHash, FileStamp};
use crate::plugin::{Given, Plugin, Refusal, next_generation};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tallyho_plugin::abi_adapt::panic_text;
use tallyho_plugin::services::{Check, Services};
use tallyho_plugin::{Fault, Manifest};

/// The code of the fault of an event whose process was ended by something else than the event, as far as can be told:
/// it is worth running again.
pub const LOST: &str = "process-lost";

/// The usual address space of a process, in bytes.
pub const MEMORY: u64 = PROCESS_MB << 20;

/// Which plugins have processes of their own.
#[derive(Debug, Clone)]
pub struct Processes {
    /// Their names, with the address space of each in bytes.
    pub memory: BTreeMap<String, u64>,
    /// How long a handler has for one event. Less than the ledger gives it: a process can be ended.
    pub deadline: Duration,
    /// Who is told when one of them rests no more.
    pub rested: Arc<Rested>,
}

impl Default for Processes {
    fn default() -> Self {
        Processes { memory: BTreeMap::new(), deadline: Self::deadline(HANDLER_SECONDS), rested: Arc::default() }
    }
}

/// As the ledger has it by default.
const HANDLER_SECONDS: Duration = Duration::from_secs(5);

impl Processes {
    /// The deadline for a process where the ledger gives a handler so long: so much earlier that it is the process
    /// that is ended, not the plugin that is suspended.
    pub fn deadline(handler: Duration) -> Duration {
        handler * 4 / 5
    }
}

/// A build that is loaded by processes alone.
#[derive(Debug)]
pub struct ApartBuild {
    /// Which one.
    pub hash: BuildHash,
    /// Its private copy, the symbol of its header, and what else a process has to know.
    pub start: Start,
}

/// A handler in a process of its own.
pub struct IsolatedPlugin {
    keeper: Arc<Keeper>,
    manifest: Manifest,
    build: Arc<ApartBuild>,
    generation: u64,
    path: PathBuf,
    stamp: Option<FileStamp>,
    deadline: Duration,
}

impl IsolatedPlugin {
    /// Starts a process with a handler of a new generation.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub(crate) fn create(
        build: Arc<ApartBuild>,
        path: &Path,
        stamp: Option<FileStamp>,
        processes: &Processes,
    ) -> Result<Self, Refusal> {
        let (process, manifest) = Process::start(&build.start)?;
        let generation = next_generation();
        let started = Arc::clone(&process);
        let (start, rested) = (build.start.clone(), Arc::clone(&processes.rested));
        let keeper = Keeper::of(process, start, manifest.clone(), generation, rested).map_err(|error| {
            started.kill();
            started.wait();
            Refusal::NoProbe(format!("no thread for it: {error}"))
        })?;
        let (path, deadline) = (path.to_owned(), processes.deadline);
        Ok(IsolatedPlugin { keeper, manifest, build, generation, path, stamp, deadline })
    }

    /// Makes a call, and ends the process where it does not keep to the rules.
    fn call(&self, services: &mut dyn Services, order: impl FnOnce(&mut Vec<u8>)) -> Result<Vec<u8>, Fault> {
        let until = Instant::now() + self.deadline;
        let process = self.alive(until)?;
        let mut channel = locked(&process.events);
        if process.is_spent() {
            drop(channel);
            return Err(self.lost(&process, &Broken::Closed));
        }
        let left = until.saturating_duration_since(Instant::now());
        // What a panic of a service leaves behind is looked at no more: the event fails, and the process ends.
        let called = catch_unwind(AssertUnwindSafe(|| drive::call(&mut channel, left, Some(services), order)));
        if !matches!(called, Ok(Ok(_))) {
            // Before anybody else has the channel: what may still come belongs to this call.
            process.kill();
        }
        drop(channel);
        match called {
            Ok(Ok(result)) => result,
            Ok(Err(broken)) => Err(self.lost(&process, &broken)),
            Err(panic) => Err(Fault::host(format!("a service of the host panicked: {}", panic_text(panic)))
                .code("panic")
                .fix("report it to the makers of this program with its log")),
        }
    }

    /// A process that has not ended unnoticed since the last event. One that is about to be there is waited for half
    /// the time: the event has to have some too.
    fn alive(&self, until: Instant) -> Result<Arc<Process>, Fault> {
        let patience = || until.saturating_duration_since(Instant::now()) / 2;
        let process = self.keeper.ready(patience())?;
        if !process.is_spent() && locked(&process.events).is_open() {
            return Ok(process);
        }
        // It may have closed its end only.
        process.kill();
        self.keeper.gone(&process, patience())?;
        self.keeper.ready(patience())
    }

    /// The fault of an event that a process was lost with.
    fn lost(&self, process: &Process, broken: &Broken) -> Fault {
        let naming = process.naming.load(std::sync::atomic::Ordering::Relaxed) > 0;
        let fix = "mend the plugin and build it again; until then it serves on in a new process";
        match broken {
            Broken::Late => {
                let text = format!("its process was not done with this within {:?} and was ended", self.deadline);
                Fault::failed(text).code("deadline").fix(fix)
            }
            Broken::Closed => {
                let (outside, how) =
                    process.end(END_KNOWN).map_or((false, String::new()), |end| (end.killed, end.text()));
                let text = format!("its process ended while at work on this: {how}");
                let outside = outside || naming;
                Fault::failed(text).code(if outside { LOST } else { "process" }).fix(fix)
            }
            other => drive::rules_broken(&other.to_string()).fix(fix),
        }
    }
}

impl Drop for IsolatedPlugin {
    fn drop(&mut self) {
        self.keeper.retire();
    }
}

fn too_large(length: usize) -> Fault {
    let text = format!("the event has {length} bytes, expected at most {}", drive::MOST);
    Fault::refused(text).code("too-large")
}

impl Plugin for IsolatedPlugin {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn build(&self) -> Option<BuildHash> {
        Some(self.build.hash)
    }

    fn has_changed_on_disk(&self) -> bool {
        self.stamp.is_none() || FileStamp::of(&self.path) != self.stamp
    }

    fn copy(&self) -> Option<&Path> {
        Some(&self.build.start.copy)
    }

    fn process(&self) -> Option<ProcessState> {
        Some(self.keeper.state())
    }

    fn rests(&self) -> bool {
        self.keeper.rests()
    }

    fn rise(&self) {
        self.keeper.rise();
    }

    fn prepare(&self, event: &Given) -> Result<Vec<Check>, Fault> {
        let (header, body) = (event.header()?, event.body());
        if header.len() + body.len() > drive::MOST {
            return Err(too_large(header.len() + body.len()));
        }
        // Not waited for: what is not named is checked when it is asked for.
        let Some(process) = self.keeper.current() else { return Ok(Vec::new()) };
        let naming = Naming::of(&process);
        let mut channel = locked(&process.checks);
        if process.is_spent() {
            return Ok(Vec::new());
        }
        let called = drive::call(&mut channel, self.deadline, None, |out| {
            out.push(order::PREPARE);
            out.part(header);
            out.part(body);
        });
        if called.is_err() {
            process.kill();
        }
        drop(channel);
        let result = called.unwrap_or_else(|broken| Err(self.lost(&process, &broken)));
        drop(naming);
        checks_from(&result?)
    }

    fn handle(&self, event: &Given, services: &mut dyn Services) -> Result<Vec<u8>, Fault> {
        self.handle_bytes(event.header()?, event.body(), services)
    }

    fn migrate(&self, from: u32, services: &mut dyn Services) -> Result<(), Fault> {
        let now = services.now().0;
        let migrated = self.call(services, |out| {
            out.push(order::MIGRATE);
            out.number(now);
            out.number(from.into());
        });
        migrated.map(drop)
    }
}

impl IsolatedPlugin {
    /// [`Plugin::handle`] with the event already in CBOR, its body apart.
    ///
    /// # Errors
    /// As for [`Plugin::handle`].
    pub fn handle_bytes(&self, event: &[u8], body: &[u8], services: &mut dyn Services) -> Result<Vec<u8>, Fault> {
        if event.len() + body.len() > drive::MOST {
            return Err(too_large(event.len() + body.len()));
        }
        let now = services.now().0;
        self.call(services, |out| {
            out.push(order::HANDLE);
            out.number(now);
            out.part(event);
            out.part(body);
        })
    }
}
