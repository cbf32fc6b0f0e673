//! Plugins of a running site: swapped, rolled back, stopped, started.
//!
//! What is swapped in is remembered in the store by path and content, and its bytes are kept in the home,
//! so that a restart serves the same build whatever has become of the file.

use super::Node;
use super::kept::Kept;
use super::plugin_views::serves;
use crate::ledger::core::{LARGE, Swap, Swapped};
use crate::ledger::remembered::{BuildFile, SwappedIn};
use crate::ledger::shadow::Shadow;
use crate::ledger::table::{Seat, Serving};
use crate::ledger::thread::Clock;
use crate::ledger::{inbound, remembered};
use crate::plugin::process::keeper::Rested;
use crate::plugin::{LoadError, Loader, Plugin, Steps, find_plugin};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tallyho_plugin::Fault;

/// Generations that serve no more and are still shown, for each site: a screenful.
const GONE_SHOWN: usize = 32;

/// The loader of a site, and what its swaps need to know.
pub(super) struct Plugins {
    /// Loads libraries.
    pub loader: Loader,
    /// Is told when a plugin that had no process has one again.
    pub rested: Arc<Rested>,
    /// Where plugins are looked for by name.
    pub folders: Vec<PathBuf>,
    /// Copies of what was swapped in.
    pub kept: Kept,
    /// The build that command line or configuration gave, by plugin.
    pub configured: HashMap<String, String>,
    /// What people should know of how a plugin was loaded, by plugin.
    pub notes: HashMap<String, String>,
    /// The last shadow run of each plugin.
    pub shadows: Mutex<HashMap<String, Arc<Shadow>>>,
    /// Generations that serve no more, the last one at the end.
    pub gone: Mutex<VecDeque<Gone>>,
    /// One change at a time.
    pub changing: Mutex<()>,
}

/// A generation that serves no more.
pub(super) struct Gone {
    pub name: String,
    pub generation: u64,
    pub version: String,
    pub serving: Weak<Serving>,
}

impl Gone {
    /// `draining` while calls of it are under way; and how many.
    pub fn state(&self) -> (&'static str, usize) {
        match self.serving.upgrade().map_or(0, |serving| serving.in_flight()) {
            0 => ("retired", 0),
            calls => ("draining", calls),
        }
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn milliseconds(time: Duration) -> Value {
    json!((time.as_secs_f64() * 1e6).round() / 1e3)
}

/// A candidate that passed every step before its first event.
struct Candidate {
    plugin: Arc<dyn Plugin>,
    steps: Steps,
}

/// How a plugin is to be swapped.
#[derive(Default)]
pub(super) struct How<'a> {
    /// The library; `None`: the one that was loaded.
    pub file: Option<&'a Path>,
    /// Whether tables may be brought to another state version.
    pub migrate: bool,
    /// Over how many events it is tried first.
    pub shadow: Option<u64>,
    /// Whether the very build that serves is left alone; the answer is null then.
    pub only_if_new: bool,
}

/// What kind of change it is.
struct Kind {
    /// A word for notices.
    reason: &'static str,
    /// Whether tables may be brought to another state version.
    migrate: bool,
}

const BACK: Kind = Kind { reason: "rolled back", migrate: false };

impl Node {
    /// `plugin swap`: stages a build beside the one that serves, and has it serve between two events.
    pub(super) fn swap_plugin(&self, name: &str, how: How<'_>) -> Result<Value, Fault> {
        let How { file, migrate, shadow, only_if_new } = how;
        let begun = Instant::now();
        let _one_at_a_time = locked(&self.plugins.changing);
        let seat = self.seat(name)?;
        let path = match (file, seat.serving.plugin.path()) {
            (Some(file), _) => file.to_owned(),
            (None, Some(path)) => path.to_owned(),
            (None, None) => find_plugin(name, &self.plugins.folders).map_err(|error| refused(name, &seat, &error))?,
        };
        let path = std::path::absolute(&path).unwrap_or(path);
        // What is only wanted by backtraces comes when the new build serves.
        let held_back = self.plugins.loader.hold_back();
        let (plugin, steps) = self.plugins.loader.seat(&path).map_err(|error| refused(name, &seat, &error))?;
        if only_if_new && plugin.build() == seat.serving.plugin.build() {
            return Ok(Value::Null);
        }
        let mut candidate = Candidate { plugin, steps };
        let previous = Some(Arc::clone(&seat.serving));
        let keeping = Instant::now();
        let swap = self.swap_to(name, &seat, &candidate, previous, Kind { reason: "swapped", migrate })?;
        candidate.steps.keep = keeping.elapsed();
        match shadow {
            Some(events) => {
                drop(held_back);
                self.tried(&seat, swap, events, candidate.steps, begun)
            }
            None => {
                let word = if only_if_new { "was rebuilt" } else { "swapped" };
                self.seated(&seat, swap, (candidate.steps, begun), word)
            }
        }
    }

    /// `plugin rollback`: the generation before serves again.
    pub(super) fn roll_plugin_back(&self, name: &str) -> Result<Value, Fault> {
        let begun = Instant::now();
        let _one_at_a_time = locked(&self.plugins.changing);
        let seat = self.seat(name)?;
        if let Some(previous) = &seat.previous {
            let swapped = BuildFile::of(&*previous.plugin).map(|file| self.swapped_in(name, file, None));
            let swap = Swap {
                name: name.to_owned(),
                serving: Arc::clone(previous),
                previous: None,
                swapped,
                migrate: false,
                on_probation: false,
                reason: BACK.reason,
            };
            return self.seated(&seat, swap, (Steps::default(), begun), BACK.reason);
        }
        let remembered = self.read(name)?.and_then(|known| known.swapped).and_then(|swapped| swapped.previous);
        let Some(file) = remembered else {
            return Err(Fault::refused(format!("no earlier generation of plugin {name} is kept"))
                .code("no-previous")
                .fix(format!("swap in the build that is wanted: `tallyho plugin swap {name} FILE`")));
        };
        let (plugin, steps) = self
            .plugins
            .kept
            .stage(&self.plugins.loader, &file)
            .map_err(|why| Fault::refused(format!("plugin {name} is not rolled back: {why}")).code("gone"))?;
        let candidate = Candidate { plugin, steps };
        let swap = self.swap_to(name, &seat, &candidate, None, BACK)?;
        self.seated(&seat, swap, (steps, begun), BACK.reason)
    }

    /// `plugin stop`: the plugin is given no events; they wait.
    pub(super) fn stop_plugin(&self, name: &str) -> Result<Value, Fault> {
        let _one_at_a_time = locked(&self.plugins.changing);
        self.seat(name)?;
        let stopped = name.to_owned();
        self.ledger.alter(move |core, now| Ok(((), core.stop(&stopped, now)?)))?;
        Ok(json!({ "name": name, "state": "stopped" }))
    }

    /// `plugin start`: a plugin that was held serves again.
    pub(super) fn start_plugin(&self, name: &str) -> Result<Value, Fault> {
        let begun = Instant::now();
        let _one_at_a_time = locked(&self.plugins.changing);
        let seat = self.seat(name)?;
        if seat.held.is_none() {
            return match seat.hold() {
                None => Ok(json!({ "name": name, "state": serves(self) })),
                Some(resting) => Err(resting.fault(name)),
            };
        }
        let (serving, previous) = (Arc::clone(&seat.serving), seat.previous.clone());
        let swap = Swap {
            name: name.to_owned(),
            serving,
            previous,
            swapped: None,
            migrate: false,
            on_probation: false,
            reason: "started",
        };
        self.seated(&seat, swap, (Steps::default(), begun), "started")
    }

    /// A plugin that had no process has one again: what has waited for it goes on. Whether it does.
    pub(super) fn risen(&self, name: &str, generation: u64) -> bool {
        let plugin = name.to_owned();
        match self.ledger.alter(move |core, now| core.rise(&plugin, generation, now)) {
            Ok(true) => {
                self.ask_again();
                true
            }
            Ok(false) => false,
            Err(fault) => {
                log::warn!("what waits for plugin {name} goes on at the next start: {fault}");
                false
            }
        }
    }

    pub(super) fn seat(&self, name: &str) -> Result<Seat, Fault> {
        let table = self.ledger.table();
        table.seat(name).cloned().ok_or_else(|| {
            let all: Vec<_> = table.all().iter().map(|serving| serving.manifest().name.clone()).collect();
            Fault::not_found(format!("no plugin {name} is loaded; there are: {}", all.join(", ")))
                .fix("a plugin that is new to the site is named at its next start (--plugin, or tallyho.toml)")
        })
    }

    fn read(&self, name: &str) -> Result<Option<remembered::Remembered>, Fault> {
        let name = name.to_owned();
        super::views::read(self, move |rows| remembered::get(&mut crate::ledger::buffer::Buffer::new(rows), &name))
    }

    fn swapped_in(&self, name: &str, file: BuildFile, previous: Option<BuildFile>) -> SwappedIn {
        let instead_of = self.plugins.configured.get(name).cloned().unwrap_or_default();
        SwappedIn { file, at: super::SystemClock.now(), instead_of, previous }
    }

    /// What is to be done so that a candidate serves. A copy of it is kept.
    fn swap_to(
        &self,
        name: &str,
        seat: &Seat,
        candidate: &Candidate,
        previous: Option<Arc<Serving>>,
        kind: Kind,
    ) -> Result<Swap, Fault> {
        let plugin = Arc::clone(&candidate.plugin);
        let manifest = plugin.manifest();
        if manifest.name != name {
            let file = plugin.path().unwrap_or(Path::new("")).display();
            let text = format!(
                "plugin {name} is not swapped, generation {} serves on: {file} holds plugin {} {}, expected plugin {name}",
                seat.serving.generation(),
                manifest.name,
                manifest.version
            );
            return Err(Fault::refused(text).code("name").fix(format!(
                "give the library of plugin {name}, or swap the other one: `tallyho plugin swap {} {file}`",
                manifest.name
            )));
        }
        let before = previous.as_ref().and_then(|previous| BuildFile::of(&*previous.plugin));
        let swapped = BuildFile::of(&*plugin).map(|file| self.swapped_in(name, file, before));
        self.plugins.kept.keep(&*plugin);
        if let Some(previous) = &previous {
            self.plugins.kept.keep(&*previous.plugin);
        }
        let Kind { reason, migrate } = kind;
        // A build is compared with one that served well, not with one that was held.
        let on_probation = reason == "swapped" && seat.held.is_none();
        let (name, serving) = (name.to_owned(), Serving::new(plugin));
        Ok(Swap { name, serving, previous, swapped, migrate, on_probation, reason })
    }

    /// Has the ledger carry a swap out, and tells how it went; the log in a line that calls it `word`.
    fn seated(&self, seat: &Seat, swap: Swap, (steps, begun): (Steps, Instant), word: &str) -> Result<Value, Fault> {
        let (name, serving) = (swap.name.clone(), Arc::clone(&swap.serving));
        let handed_over = Instant::now();
        let large = swap.clone();
        let done = self.ledger.alter(move |core, now| {
            let waited = handed_over.elapsed();
            core.swap(&swap, now).map(|(swapped, released)| ((swapped, waited), released))
        });
        let done = match done {
            Err(fault) if fault.code == LARGE => self.in_parts(&large).map(|swapped| (swapped, Duration::ZERO)),
            other => other,
        };
        let (Swapped { from, to, state, migrate, start, switch }, waited) = done.map_err(|fault| {
            let generation = seat.serving.generation();
            let text = match &seat.held {
                None => format!("plugin {name} is not swapped, generation {generation} serves on: {}", fault.text),
                Some(hold) => format!("plugin {name} stays {}: {}", hold.word(), fault.text),
            };
            Fault { text, ..fault }
        })?;
        let took = begun.elapsed();
        self.note_promotions();
        locked(&self.plugins.shadows).remove(&name);
        if from != to {
            self.remember_gone(&seat.serving);
        }
        self.tidy();
        if seat.held.is_some() {
            self.ask_again();
        }
        let manifest = serving.manifest();
        let (version, ms) = (&manifest.version, milliseconds(took));
        log::info!(
            "plugin {name} {word}: version {version} serves as generation {to}, before it generation {from}; {ms} ms"
        );
        let mut answer = json!({
            "name": name,
            "from": from,
            "to": to,
            "version": manifest.version,
            "build": serving.plugin.build().map(|build| build.to_string()),
            "state": serves(self),
            "ms": ms,
            "phases": phases(&steps),
        });
        for (phase, took) in [("wait", waited), ("migrate", migrate), ("start", start), ("switch", switch)] {
            answer["phases"][phase] = milliseconds(took);
        }
        if let Some(state) = state {
            answer["state_version"] = json!({ "from": state, "to": manifest.state_version });
        }
        Ok(answer)
    }

    pub(super) fn remember_gone(&self, serving: &Arc<Serving>) {
        let mut gone = locked(&self.plugins.gone);
        let manifest = serving.manifest();
        gone.retain(|gone| gone.generation != serving.generation());
        gone.push_back(Gone {
            name: manifest.name.clone(),
            generation: serving.generation(),
            version: manifest.version.clone(),
            serving: Arc::downgrade(serving),
        });
        while gone.len() > GONE_SHOWN {
            gone.pop_front();
        }
    }

    /// Deletes kept copies of builds that neither serve nor can be rolled back to.
    pub(super) fn tidy(&self) {
        let table = self.ledger.table();
        let seats = table.seats();
        let candidate = |seat: &&Seat| seat.shadow.as_ref().map(|shadow| Arc::clone(shadow.serving()));
        let candidates: Vec<_> = seats.iter().copied().filter_map(|seat| candidate(&seat)).collect();
        let wanted = seats.iter().flat_map(|seat| [Some(&seat.serving), seat.previous.as_ref()]).flatten();
        let wanted = wanted.chain(&candidates);
        let wanted: Vec<String> =
            wanted.filter_map(|serving| serving.plugin.build()).map(|build| build.to_string()).collect();
        self.plugins.kept.tidy(&wanted);
    }

    /// Peers whose messages were not receipted while a plugin was held send them again on a new channel.
    pub(super) fn ask_again(&self) {
        let held = super::views::read(self, inbound::held);
        for agent in held.unwrap_or_default() {
            for channel in self.net.channels().with(&agent) {
                channel.close("a plugin serves again, and what was not receipted is wanted");
            }
        }
    }
}

/// How long the steps of a load took, in milliseconds.
pub(super) fn phases(steps: &Steps) -> Value {
    json!({
        "copy": milliseconds(steps.copy),
        "read": milliseconds(steps.read),
        "hash": milliseconds(steps.hash),
        "probe": milliseconds(steps.probe),
        "check": milliseconds(steps.check),
        "create": milliseconds(steps.create),
        "keep": milliseconds(steps.keep),
    })
}

/// A file that was refused before anything was changed.
fn refused(name: &str, seat: &Seat, error: &LoadError) -> Fault {
    let LoadError { path, refusal } = error;
    let text = format!(
        "plugin {name} is not swapped, generation {} serves on: {} {refusal}",
        seat.serving.generation(),
        path.display()
    );
    Fault::refused(text).code("load").fix(refusal.fix())
}
