//! Another generation serves, or a plugin is stopped or started: between two events, durable before
//! anybody is told.

use super::batch::{Batch, Turn, batch};
use super::held::let_go;
use super::overdue::too_late;
use super::rollback::is_reversible;
use super::{Core, seal, watched};
use crate::crash::crash_point;
use crate::ledger::buffer::Buffer;
use crate::ledger::input::{Outcome, Released};
use crate::ledger::remembered::{self, Remembered, SwappedIn};
use crate::ledger::table::{Clash, Hold, PluginTable, Seat, Serving};
use crate::ledger::verify::Checked;
use crate::store::StoreError;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::{Event, Fault, Life};

/// What shall serve under a name.
#[derive(Clone)]
pub struct Swap {
    /// The name.
    pub name: String,
    /// Who shall serve; the generation that does already, where it only shall go on.
    pub serving: Arc<Serving>,
    /// Who is kept to be rolled back to.
    pub previous: Option<Arc<Serving>>,
    /// What a restart shall find; `None`: what it would have found before.
    pub swapped: Option<SwappedIn>,
    /// Whether tables of an older state version may be brought to its own.
    pub migrate: bool,
    /// Whether the generation before serves again by itself where this one fails.
    pub on_probation: bool,
    /// A word for notices: `swapped`, `rolled back`, `started`.
    pub reason: &'static str,
}

/// A generation serves.
#[derive(Debug)]
pub struct Swapped {
    /// The generation that served before.
    pub from: u64,
    /// The one that serves now.
    pub to: u64,
    /// The state version that its tables had, where that was another one.
    pub state: Option<u32>,
    /// How long bringing its tables to its state version took.
    pub migrate: Duration,
    /// How long the plugin's own first event took.
    pub start: Duration,
    /// How long the rest took, most of it the commit.
    pub switch: Duration,
}

pub(super) fn store(error: &StoreError) -> Fault {
    Fault::host(format!("nothing was changed: {error}")).code("store").fix("mend that, then repeat the command")
}

pub(super) fn nobody(name: &str) -> Fault {
    Fault::not_found(format!("no plugin {name} is loaded")).fix("see `tallyho plugin list`")
}

impl Core {
    /// Has another generation serve, or one that was held go on. Where anything fails, all is as it was.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub fn swap(&mut self, swap: &Swap, now: Timestamp) -> Result<(Swapped, Released), Fault> {
        let table = self.table.load_full();
        let seat = table.seat(&swap.name).ok_or_else(|| nobody(&swap.name))?;
        self.check_threads()?;
        let manifest = swap.serving.manifest();
        if manifest.name != swap.name {
            let text = format!("the library holds plugin {}, expected {}", manifest.name, swap.name);
            return Err(Fault::refused(text).code("name"));
        }
        let next = Seat { previous: swap.previous.clone(), ..Seat::of(Arc::clone(&swap.serving)) };
        let on_probation = swap.on_probation && is_reversible(&next);
        let next = table.seating(&swap.name, next).map_err(|clash| claimed(&clash))?;
        let from = seat.serving.generation();
        let done = self.seat(swap, Arc::new(next), from, now)?;
        if on_probation {
            // Not before: a first event that fails is a swap that is refused.
            self.replace(Arc::new(self.table.load().on_probation(&swap.name)));
        }
        Ok(done)
    }

    fn seat(
        &mut self,
        swap: &Swap,
        next: Arc<PluginTable>,
        from: u64,
        now: Timestamp,
    ) -> Result<(Swapped, Released), Fault> {
        self.latest = self.latest.max(now);
        crash_point("swap-staged");
        let deadline = self.deadline();
        let manifest = swap.serving.manifest();
        let turn = self.turn(Arc::clone(&next));
        let transaction = self.store.begin().map_err(|error| store(&error))?;
        let job = swap.clone();
        let ran = watched(&mut self.watch, transaction, move |transaction| {
            batch(transaction, turn, |batch| take_up(batch, &job))
        });
        let (ran, mut transaction) = ran.map_err(|_| too_late(&manifest.version, "taking up its work", deadline))?;
        let Started { mut turn, state, migrate, start } = ran.map_err(|error| store(&error))??;
        let begun = Instant::now();
        turn.changed = true;
        turn.released.notices.push(notice(swap, from, self.latest));
        let waiting = let_go(&mut transaction, &swap.name).map_err(|error| store(&error))?;
        turn.released.waiting.extend(waiting);
        crash_point("swap-started");
        let sealed = seal(transaction, turn, self.latest).map_err(|error| store(&error))?;
        crash_point("swap-durable");
        self.replace(next);
        let released = self.sealed(sealed);
        let to = swap.serving.generation();
        let swapped = Swapped { from, to, state, migrate, start, switch: begun.elapsed() };
        Ok((swapped, released))
    }

    /// Has a plugin given no events until it is swapped or started.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub fn stop(&mut self, name: &str, now: Timestamp) -> Result<Released, Fault> {
        self.latest = self.latest.max(now);
        let table = self.table.load_full();
        let seat = table.seat(name).ok_or_else(|| nobody(name))?;
        let generation = seat.serving.generation();
        let next = Arc::new(table.holding(name, Some(Hold::Stopped)));
        let mut turn = self.turn(Arc::clone(&next));
        let stop = || -> Result<_, StoreError> {
            let mut transaction = self.store.begin()?;
            let mut buffer = Buffer::new(&mut transaction);
            let known = remembered::of(&mut buffer, seat.serving.manifest())?;
            remembered::put(&mut buffer, name, &Remembered { stopped: true, ..known });
            buffer.keep()?;
            turn.changed = true;
            turn.released.notices.push(json!({
                "about": "plugin", "name": name, "reason": "stopped", "generation": generation,
                "at": self.latest.to_string(),
            }));
            seal(transaction, turn, self.latest)
        };
        let sealed = stop().map_err(|error| store(&error))?;
        self.table.store(next);
        log::info!("plugin {name} is stopped");
        Ok(self.sealed(sealed))
    }
}

/// A candidate that has taken up its work, in a batch that is not durable yet.
struct Started {
    turn: Turn,
    state: Option<u32>,
    migrate: Duration,
    start: Duration,
}

/// The candidate's part of a swap: its tables are brought to its state version, and it has its first event.
fn take_up(mut batch: Batch<'_>, swap: &Swap) -> Result<Result<Started, Fault>, StoreError> {
    let begun = Instant::now();
    let state = match batch.bring_to_state(swap)? {
        Ok(state) => state,
        Err(fault) => return Ok(Err(fault)),
    };
    let (migrate, begun) = (begun.elapsed(), Instant::now());
    let manifest = swap.serving.manifest();
    let outcome = batch.event(&swap.name, &Event::Life(Life::Started).into(), &Checked::new(), |buffer| {
        let known = remembered::of(buffer, manifest)?;
        let swapped = swap.swapped.clone().or(known.swapped);
        let known = Remembered { state: manifest.state_version, undo: None, swapped, stopped: false, ..known };
        remembered::put(buffer, &swap.name, &known);
        Ok(None)
    })?;
    if let Outcome::Fault(fault) = outcome {
        let text = format!("version {} could not take up its work: {}", manifest.version, fault.text);
        let fix = fault.fix.unwrap_or_else(|| "mend the plugin (Handler::life) and build it again".to_owned());
        return Ok(Err(Fault::failed(text).code("start").fix(fix)));
    }
    Ok(Ok(Started { turn: batch.turn, state, migrate, start: begun.elapsed() }))
}

pub(super) fn claimed(clash: &Clash) -> Fault {
    let (what, first) = match clash {
        Clash::Target { target, first, .. } => (format!("target {target}"), first),
        Clash::Name { name, first, .. } => (format!("the name {name}"), first),
    };
    Fault::refused(format!("it claims {what}, which plugin {first} claims"))
        .code("claimed")
        .fix(format!("build it without {what}, or run the site without plugin {first}"))
}

fn notice(swap: &Swap, from: u64, now: Timestamp) -> Value {
    json!({
        "about": "plugin",
        "name": swap.name,
        "reason": swap.reason,
        "from": from,
        "to": swap.serving.generation(),
        "version": swap.serving.manifest().version,
        "build": swap.serving.plugin.build().map(|build| build.to_string()),
        "at": now.to_string(),
    })
}
