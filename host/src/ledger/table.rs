//! Which plugin serves what.

use super::limits::{FAULT_BUDGET, METRICS, PROBATION_EVENTS};
use super::shadow::Shadow;
use super::times::Times;
use crate::plugin::Plugin;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tallyho_plugin::{Fault, Manifest, Target};

/// A generation of a plugin, with what has been counted of it since it began.
pub struct Serving {
    /// The plugin.
    pub plugin: Arc<dyn Plugin>,
    /// Events it has been given.
    pub calls: AtomicU64,
    /// Events it failed (its own fault, not its input's).
    pub faults: AtomicU64,
    /// How long its events have taken.
    pub times: Times,
    /// Calls of it under way, on any thread.
    in_flight: AtomicUsize,
    /// Its own counters, by name.
    metrics: Mutex<BTreeMap<String, i64>>,
    /// Its tables: its own names for them, and their full ones. A handful, looked up several times an event.
    tables: Vec<(String, String)>,
}

/// Two plugins claim the same thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Clash {
    /// A target.
    #[error("plugins {first} and {second} both claim target {target}; run the site with one of them (--plugin)")]
    Target {
        /// Its name.
        target: String,
        /// The plugin that has it.
        first: String,
        /// The one that wants it too.
        second: String,
    },
    /// A name: two libraries hold the same plugin.
    #[error(
        "{first} and {second} are both plugin {name}; load one of them: by --plugin, or in tallyho.toml as `path` of [plugins.{name}]"
    )]
    Name {
        /// The name.
        name: String,
        /// The library that has it.
        first: String,
        /// The one that wants it too.
        second: String,
    },
}

/// Why a plugin that is there is given no events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// The operator has stopped it.
    Stopped,
    /// Its handler was not done in time.
    Overdue {
        /// How long it had.
        deadline: Duration,
    },
    /// Its tables are being brought to another state version.
    Migrating,
    /// Its process has ended too often, and is started again after a pause.
    Resting {
        /// How the last one ended.
        last: String,
    },
}

impl Hold {
    /// Its state in a word.
    pub fn word(&self) -> &'static str {
        match self {
            Hold::Stopped => "stopped",
            Hold::Overdue { .. } => "suspended",
            Hold::Migrating => "migrating",
            Hold::Resting { .. } => "restarting",
        }
    }

    /// Why, for people.
    pub fn why(&self) -> String {
        match self {
            Hold::Stopped => "the operator has stopped it".to_owned(),
            Hold::Migrating => "its tables are being brought to another state version".to_owned(),
            Hold::Resting { last } => format!("its process ends again and again, and is started after a pause: {last}"),
            Hold::Overdue { deadline } => format!("its handler was not done with an event within {deadline:?}"),
        }
    }

    /// The answer to whoever wants something of the plugin.
    pub fn fault(&self, plugin: &str) -> Fault {
        let fix = match self {
            Hold::Stopped => format!("`tallyho plugin start {plugin}` has it serve again"),
            Hold::Resting { .. } => {
                format!("repeat it; and swap in a build that is mended (`tallyho plugin swap {plugin} FILE`)")
            }
            Hold::Migrating => "repeat it when that is done; `tallyho plugin list` tells".to_owned(),
            Hold::Overdue { .. } => format!(
                "swap in a build that is mended (`tallyho plugin swap {plugin} FILE`), or have it try again \
                 (`tallyho plugin start {plugin}`)"
            ),
        };
        Fault::host(format!("plugin {plugin} is {}: {}", self.word(), self.why())).code(self.word()).fix(fix)
    }
}

/// A plugin's place in the table.
#[derive(Clone)]
pub struct Seat {
    /// The generation that serves.
    pub serving: Arc<Serving>,
    /// Why it is given no events at present.
    pub held: Option<Hold>,
    /// The generation before, to which can be rolled back.
    pub previous: Option<Arc<Serving>>,
    /// Whether the generation that serves still has to prove itself.
    pub probation: Option<Arc<Probation>>,
    /// The last build that did not, and why.
    pub failed: Option<Arc<RolledBack>>,
    /// A candidate that is tried beside it.
    pub shadow: Option<Arc<Shadow>>,
}

/// The first events of a build swapped in.
pub struct Probation {
    /// How many are left.
    left: AtomicU64,
    /// Faults that the generation before did not share.
    faults: AtomicU64,
}

impl Default for Probation {
    fn default() -> Self {
        Probation { left: AtomicU64::new(PROBATION_EVENTS), faults: AtomicU64::new(0) }
    }
}

impl Probation {
    /// Events left until it is over.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    /// It has handled an event.
    pub fn pass(&self) {
        // Only the thread that runs events comes here.
        self.left.store(self.left().saturating_sub(1), Ordering::Relaxed);
    }

    /// It had a fault that the generation before did not; whether that is one too many.
    pub fn fail(&self) -> bool {
        self.faults.fetch_add(1, Ordering::Relaxed) + 1 >= FAULT_BUDGET
    }
}

/// A build that did not prove itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolledBack {
    /// The plugin.
    pub name: String,
    /// Its generation.
    pub from: u64,
    /// The one that serves again.
    pub to: u64,
    /// Its version.
    pub version: String,
    /// What it did.
    pub why: String,
}

impl Seat {
    /// A seat of this generation, with nothing before it.
    pub fn of(serving: Arc<Serving>) -> Self {
        Seat { serving, held: None, previous: None, probation: None, failed: None, shadow: None }
    }

    /// Why it is given no events at present: it is held, or has no process.
    pub fn hold(&self) -> Option<Hold> {
        self.held.clone().or_else(|| self.serving.resting())
    }
}

/// The plugins that serve a site. A new table replaces the old one between two events.
#[derive(Default, Clone)]
pub struct PluginTable {
    // A handful of short names, looked up several times an event: hashing them would cost more.
    by_name: BTreeMap<String, Seat>,
    by_target: BTreeMap<String, Arc<Serving>>,
}

impl PluginTable {
    /// The table with one more plugin.
    ///
    /// # Errors
    /// [`Clash`] where its name is taken, or a target and neither or both give way.
    pub fn with(mut self, plugin: Arc<dyn Plugin>) -> Result<Self, Clash> {
        let serving = Serving::new(plugin);
        let name = serving.manifest().name.clone();
        if let Some(seat) = self.by_name.get(&name) {
            let library = |serving: &Serving| match serving.plugin.path() {
                Some(path) => path.display().to_string(),
                None => "the program itself".to_owned(),
            };
            return Err(Clash::Name { first: library(&seat.serving), second: library(&serving), name });
        }
        self.by_target = claims(self.all().into_iter().chain([&serving]))?;
        self.by_name.insert(name, Seat::of(serving));
        Ok(self)
    }

    /// The table with another occupant of the seat of this name.
    ///
    /// # Errors
    /// [`Clash`] where another plugin has a target that it claims, and neither or both give way.
    pub fn seating(&self, name: &str, seat: Seat) -> Result<Self, Clash> {
        let mut table = self.clone();
        table.by_name.remove(name);
        // All anew: one that gave way to the last occupant may have its target again.
        table.by_target = claims(table.all().into_iter().chain([&seat.serving]))?;
        table.by_name.insert(name.to_owned(), seat);
        Ok(table)
    }

    /// The table with this plugin held back, or no longer.
    #[must_use]
    pub fn holding(&self, name: &str, held: Option<Hold>) -> Self {
        let mut table = self.clone();
        if let Some(seat) = table.by_name.get_mut(name) {
            seat.held = held;
        }
        table
    }

    /// The table with the build of this name on probation.
    #[must_use]
    pub fn on_probation(&self, name: &str) -> Self {
        let mut table = self.clone();
        if let Some(seat) = table.by_name.get_mut(name) {
            seat.probation = Some(Arc::default());
        }
        table
    }

    /// The table with a candidate tried beside the build of this name, or none any more.
    #[must_use]
    pub fn shadowing(&self, name: &str, shadow: Option<Arc<Shadow>>) -> Self {
        let mut table = self.clone();
        if let Some(seat) = table.by_name.get_mut(name) {
            seat.shadow = shadow;
        }
        table
    }

    /// The table with the generation before a build that is on probation, where there is one.
    pub fn rolled_back(&self, name: &str, why: &str) -> Option<(Self, RolledBack)> {
        let seat = self.by_name.get(name)?;
        seat.probation.as_ref().filter(|probation| probation.left() > 0)?;
        let previous = seat.previous.as_ref()?;
        let rolled_back = RolledBack {
            name: name.to_owned(),
            from: seat.serving.generation(),
            to: previous.generation(),
            version: seat.serving.manifest().version.clone(),
            why: why.to_owned(),
        };
        let failed = Some(Arc::new(rolled_back.clone()));
        let next = Seat { failed, ..Seat::of(Arc::clone(previous)) };
        // A target that the build gave up may have been claimed by another plugin meanwhile.
        Some((self.seating(name, next).ok()?, rolled_back))
    }

    /// The plugin of this name.
    pub fn named(&self, name: &str) -> Option<&Arc<Serving>> {
        self.by_name.get(name).map(|seat| &seat.serving)
    }

    /// The seat of this name.
    pub fn seat(&self, name: &str) -> Option<&Seat> {
        self.by_name.get(name)
    }

    /// Why the plugin of this name is given no events, where it is there.
    pub fn held(&self, name: &str) -> Option<Hold> {
        self.by_name.get(name).and_then(Seat::hold)
    }

    /// The plugin that claims this target, and what it says of it.
    pub fn claiming(&self, target: &str) -> Option<(&Arc<Serving>, &Target)> {
        let serving = self.by_target.get(target)?;
        let claimed = serving.manifest().targets.iter().find(|claimed| claimed.name == target)?;
        Some((serving, claimed))
    }

    /// All, by name.
    pub fn all(&self) -> Vec<&Arc<Serving>> {
        self.seats().into_iter().map(|seat| &seat.serving).collect()
    }

    /// All seats, by name.
    pub fn seats(&self) -> Vec<&Seat> {
        self.by_name.values().collect()
    }
}

/// Who has which target, where whoever yields gives way ([`Target::yields`]).
fn claims<'s>(all: impl Iterator<Item = &'s Arc<Serving>>) -> Result<BTreeMap<String, Arc<Serving>>, Clash> {
    let mut claimed: BTreeMap<(String, bool), Arc<Serving>> = BTreeMap::new();
    for serving in all {
        for target in &serving.manifest().targets {
            if let Some(other) = claimed.insert((target.name.clone(), target.yields), Arc::clone(serving)) {
                let (first, second) = (other.manifest().name.clone(), serving.manifest().name.clone());
                return Err(Clash::Target { target: target.name.clone(), first, second });
            }
        }
    }
    // Those that yield come first and are replaced.
    let yielding_first = claimed.into_iter().rev();
    Ok(yielding_first.map(|((target, _), serving)| (target, serving)).collect())
}

/// A call under way; it ends when this is dropped.
pub struct InFlight(Arc<Serving>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Serving {
    /// A generation that has not done anything yet.
    pub fn new(plugin: Arc<dyn Plugin>) -> Arc<Self> {
        let Manifest { name, tables, .. } = plugin.manifest();
        let tables = tables.iter().map(|table| (table.clone(), format!("{name}.{table}"))).collect();
        Arc::new(Serving {
            plugin,
            tables,
            calls: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            times: Times::default(),
            in_flight: AtomicUsize::new(0),
            metrics: Mutex::default(),
        })
    }

    /// What the plugin says of itself.
    pub fn manifest(&self) -> &Manifest {
        self.plugin.manifest()
    }

    /// Its number.
    pub fn generation(&self) -> u64 {
        self.plugin.generation()
    }

    /// The full name of a table of its own.
    pub fn own_table(&self, table: &str) -> Option<&str> {
        self.tables.iter().find(|(own, _)| own == table).map(|(_, full)| full.as_str())
    }

    /// That it has to wait for a process, where that is so.
    fn resting(&self) -> Option<Hold> {
        let last = || self.plugin.process().and_then(|process| process.last).unwrap_or_default();
        self.plugin.rests().then(|| Hold::Resting { last: last() })
    }

    /// A call begins.
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Calls under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts an event, and its fault where it was the plugin's own.
    pub fn count(&self, faulty: bool) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if faulty {
            self.faults.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds to one of the plugin's own counters. Only [`METRICS`] names are kept.
    pub fn measure(&self, name: &str, add: i64) {
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = metrics.get_mut(name) {
            *value = value.saturating_add(add);
        } else if metrics.len() < METRICS {
            metrics.insert(name.to_owned(), add);
        }
    }

    /// The plugin's own counters.
    pub fn metrics(&self) -> BTreeMap<String, i64> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
