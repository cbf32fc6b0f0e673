//! Candidates are tried on the events of the builds that serve: before these, on the same tables, with the same
//! random bytes and time, and without effect.

use super::batch::Batch;
use super::swap::{Swapped, nobody};
use super::{Core, seal};
use crate::ledger::at_work::Stuck;
use crate::ledger::buffer::Buffer;
use crate::ledger::difference::{Difference, Made, Occasion, differences, unclaimed};
use crate::ledger::input::Released;
use crate::ledger::remembered;
use crate::ledger::services::{EventServices, Rehearsal};
use crate::ledger::shadow::{End, Shadow};
use crate::ledger::signed::Signed;
use crate::ledger::table::{PluginTable, Seat};
use crate::ledger::verify::Checked;
use crate::plugin::Given;
use crate::store::StoreError;
use serde_json::json;
use std::sync::Arc;
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::{Event, Fault};

/// A candidate in one batch.
pub(super) struct Trial {
    shadow: Arc<Shadow>,
    /// The table as it would be with the candidate.
    table: Arc<PluginTable>,
    /// Other plugins may call it, so that their events concern it too.
    called: bool,
    /// What was found in this batch, which is not durable yet.
    found: Vec<Vec<Difference>>,
}

impl Trial {
    /// The plugin.
    pub(super) fn name(&self) -> &str {
        &self.shadow.swap.name
    }

    fn seen(&self) -> u64 {
        self.shadow.seen() + self.found.len() as u64
    }

    fn concerns(&self, plugin: &str) -> bool {
        self.seen() < self.shadow.wanted && (self.called || plugin == self.name())
    }

    /// The batch is durable.
    pub(super) fn keep(self) {
        self.found.into_iter().for_each(|found| self.shadow.add(found));
    }
}

/// The candidates of a table that have events to see.
pub(super) fn trials(table: &Arc<PluginTable>) -> Vec<Trial> {
    let trial = |seat: &Seat| {
        let shadow = seat.shadow.as_ref().filter(|shadow| !shadow.is_over())?;
        let next = Seat::of(Arc::clone(shadow.serving()));
        // A clash was found when the run began; a plugin swapped in since has made one.
        let table = Arc::new(table.seating(&shadow.swap.name, next).ok()?);
        let called = seat.serving.manifest().commands.iter().any(|spec| spec.invocable);
        Some(Trial { shadow: Arc::clone(shadow), table, called, found: Vec::new() })
    };
    // What is asked of a plugin that is held fails, and would not with the candidate.
    table.seats().into_iter().filter(|seat| seat.held.is_none()).filter_map(trial).collect()
}

/// What candidates made of an event.
pub(super) struct Rehearsed {
    /// By the place of their trial.
    made: Vec<(usize, Made)>,
    signed: Signed,
}

impl Rehearsed {
    /// What they have signed, for the build that serves.
    pub(super) fn signed(&mut self) -> Signed {
        self.signed.clone()
    }

    /// Compares it with what the build that serves made of the event.
    pub(super) fn compare(self, trials: &mut [Trial], event: &Event, at: Timestamp, expected: &Made) {
        for (place, found) in self.made {
            let Some(trial) = trials.get_mut(place) else { continue };
            let occasion = Occasion { number: trial.seen() + 1, at, event };
            trial.found.push(differences(&occasion, expected, &found));
        }
    }
}

impl Batch<'_> {
    /// Gives an event to the candidates that it concerns.
    pub(super) fn rehearse(
        &mut self,
        plugin: &str,
        event: &Given,
        checked: &Checked,
        seed: [u8; 32],
    ) -> Result<Option<Rehearsed>, StoreError> {
        if self.turn.trials.is_empty() || matches!(**event, Event::Life(_)) {
            return Ok(None);
        }
        let mut rehearsed = Rehearsed { made: Vec::new(), signed: Signed::default() };
        for (place, trial) in self.turn.trials.iter().enumerate().filter(|(_, trial)| trial.concerns(plugin)) {
            let candidate = trial.shadow.serving();
            let own = plugin == trial.name();
            if let Some(why) = own.then(|| unclaimed(event, candidate.manifest())).flatten() {
                let result = Err(Fault::not_found(why).code("unclaimed"));
                rehearsed.made.push((place, Made { writes: Default::default(), notices: Vec::new(), result }));
                continue;
            }
            let buffer = Buffer::new(&mut *self.transaction);
            let host = &*self.turn.host;
            let mut services = EventServices::new(buffer, &trial.table, host, checked, self.turn.now, seed);
            services.rehearsal = Some(Rehearsal { generation: candidate.generation(), at_work: false });
            services.signed = Some(std::mem::take(&mut rehearsed.signed));
            let result = services.run(plugin, event);
            let EventServices { buffer, released, broken, rehearsal, signed, .. } = services;
            if let Some(error) = broken {
                return Err(error);
            }
            rehearsed.signed = signed.unwrap_or_default();
            if rehearsal.is_some_and(|rehearsal| rehearsal.at_work) {
                let made = Made { writes: buffer.into_writes(), notices: released.notices, result };
                rehearsed.made.push((place, made));
            }
        }
        Ok(Some(rehearsed))
    }
}

impl Core {
    /// Begins a shadow run: the swap is made once the candidate has been given as many events as it wants
    /// without a difference.
    ///
    /// # Errors
    /// Why the candidate cannot be compared with the build that serves.
    pub fn shadow(&mut self, shadow: &Arc<Shadow>) -> Result<(), Fault> {
        let swap = &shadow.swap;
        let table = self.table.load_full();
        let seat = table.seat(&swap.name).ok_or_else(|| nobody(&swap.name))?;
        self.check_threads()?;
        if let Some(hold) = &seat.held {
            return Err(hold.fault(&swap.name));
        }
        if let Some(other) = &seat.shadow {
            return Err(busy(other.serving().generation()));
        }
        let manifest = swap.serving.manifest();
        let known = self.read(|rows| remembered::of(&mut Buffer::new(rows), seat.serving.manifest()));
        let found = known.map_err(|error| Fault::host(error.to_string()).code("store"))?.state;
        if found != manifest.state_version && !manifest.reads_state.contains(&found) {
            let text = format!(
                "the tables of {} have state version {found}, version {} has {}: on tables of another state version \
                 the two cannot be compared",
                swap.name, manifest.version, manifest.state_version
            );
            return Err(Fault::refused(text).code("state").fix("swap it in without --shadow, with --migrate"));
        }
        table.seating(&swap.name, Seat::of(Arc::clone(&swap.serving))).map_err(|clash| super::swap::claimed(&clash))?;
        self.replace(Arc::new(table.shadowing(&swap.name, Some(Arc::clone(shadow)))));
        Ok(())
    }

    /// Has candidates serve, or lets them go, whose runs are over. What that lets out.
    pub fn end_shadows(&mut self, now: Timestamp) -> Vec<Released> {
        let table = self.table.load_full();
        let over = table.seats().into_iter().filter_map(|seat| seat.shadow.clone()).filter(|shadow| shadow.is_over());
        over.map(|shadow| self.end_shadow(&shadow, now)).collect()
    }

    fn end_shadow(&mut self, shadow: &Arc<Shadow>, now: Timestamp) -> Released {
        let name = &shadow.swap.name;
        let progress = shadow.progress();
        let refused = match (&progress.end, progress.objection()) {
            (Some(End::Refused { why }), _) => why.clone(),
            (_, Some(objection)) => objection,
            _ => match self.swap(&shadow.swap, now) {
                Ok((Swapped { from, to, .. }, released)) => {
                    let version = &shadow.serving().manifest().version;
                    log::info!(
                        "plugin {name} promoted: version {version} serves as generation {to}, before it generation {from}"
                    );
                    return released;
                }
                Err(fault) => fault.to_string(),
            },
        };
        let (generation, version) = (shadow.serving().generation(), &shadow.serving().manifest().version);
        log::warn!("plugin {name}: version {version} is not promoted: {refused}");
        self.news.push(json!({
            "about": "plugin",
            "name": name,
            "reason": "not promoted",
            "generation": generation,
            "version": version,
            "why": refused,
            "at": self.latest.max(now).to_string(),
        }));
        shadow.end(End::Refused { why: refused });
        self.replace(Arc::new(self.table.load().shadowing(name, None)));
        // Where that fails, the next commit tells it.
        self.tell().unwrap_or_default()
    }

    /// Commits what the core has to tell by itself.
    fn tell(&mut self) -> Result<Released, StoreError> {
        let turn = self.turn(self.table.load_full());
        let transaction = self.store.begin()?;
        let sealed = seal(transaction, turn, self.latest)?;
        Ok(self.sealed(sealed))
    }

    /// Whether it is a candidate that was not done in time; it is let go then.
    pub(super) fn overdue_candidate(&mut self, stuck: Stuck) -> bool {
        let table = self.table.load_full();
        let is_it = |shadow: &&Arc<Shadow>| shadow.serving().generation() == stuck.generation;
        let Some(shadow) = table.seats().into_iter().filter_map(|seat| seat.shadow.as_ref()).find(is_it) else {
            return false;
        };
        let (seen, deadline) = (shadow.seen(), self.deadline());
        let why = format!("it was not done with an event within {deadline:?}, after {seen} without a fault");
        shadow.end(End::Refused { why });
        true
    }
}

fn busy(generation: u64) -> Fault {
    Fault::refused(format!("a candidate is tried already, generation {generation}"))
        .code("busy")
        .fix("wait until that has ended (`tallyho plugin list`), or swap without --shadow, which ends it")
}
