//! Runs events in one store transaction, without thread, clock or sockets.

mod aside;
mod batch;
mod deliveries;
mod held;
mod messages;
mod overdue;
mod parts;
mod rehearse;
mod rest;
mod rollback;
mod start;
mod state;
mod swap;
#[cfg(test)]
#[path = "core/tests/mod.rs"]
mod tests;
mod work;

pub use state::{LARGE, StateError};
pub use swap::{Swap, Swapped};
pub use work::{Ran, Work};

use super::at_work::{GivenUp, Stuck};
use super::buffer::Buffer;
use super::host::Host;
use super::inbound::Windows;
use super::input::{Input, Outcome, Post, Released};
use super::journal::{self, Journal};
use super::limits::{JOURNAL_SLOTS, NOTICE_SLOTS};
use super::line::Line;
use super::outbox::{self, OutboxError};
use super::recording::{Tape, Write};
use super::replay;
use super::services::{EventServices, blame};
use super::shadow::End;
use super::sweep::Sweep;
use super::table::{PluginTable, RolledBack};
use super::timers;
use super::verify::Checked;
use super::watch::Watch;
use crate::crash::crash_point;
use crate::site::relations::RelationRegistry;
use crate::store::{Open, Shelf, Store, StoreError, Transaction};
use arc_swap::ArcSwap;
use batch::Turn;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::{Command, Event};
use work::Begun;

/// What a core is made of.
pub struct Parts {
    /// Where everything is kept.
    pub store: Box<dyn Store>,
    /// Who serves what.
    pub table: Arc<ArcSwap<PluginTable>>,
    /// Keys and the host's own commands.
    pub host: Arc<dyn Host>,
    /// Who may talk to whom; changed after each commit.
    pub relations: Arc<RelationRegistry>,
    /// Seeds for events' random bytes.
    pub seeds: Seeding,
}

/// Where seeds come from.
#[derive(Clone)]
struct Seeds(Arc<Mutex<Seeding>>);

type Seeding = Box<dyn FnMut() -> [u8; 32] + Send>;

impl Seeds {
    fn draw(&self) -> [u8; 32] {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)()
    }
}

/// Runs events; see the module.
pub struct Core {
    store: Shelf,
    table: Arc<ArcSwap<PluginTable>>,
    host: Arc<dyn Host>,
    relations: Arc<RelationRegistry>,
    seeds: Seeds,
    windows: Windows,
    journal: Journal,
    latest: Timestamp,
    next_timer: Option<Timestamp>,
    watch: Option<Watch>,
    /// The batch at work.
    begun: Option<Begun>,
    /// What the core has done by itself and the next commit is to tell.
    news: Vec<Value>,
    /// Effects are recorded in entries of the journal below this number.
    records_until: u64,
    /// What has been written since the last of them.
    on_tape: Vec<Write>,
    /// Builds that it has rolled back by itself, likewise.
    fallen: Vec<RolledBack>,
}

/// What came of a batch: an outcome for each input, and what may leave.
#[derive(Debug)]
pub struct Done {
    /// One for each input, in order.
    pub outcomes: Vec<Outcome>,
    /// What may leave now.
    pub released: Released,
}

impl Core {
    /// A core over its parts.
    ///
    /// # Errors
    /// The store's.
    pub fn open(parts: Parts) -> Result<Self, StoreError> {
        let Parts { store, table, host, relations, seeds } = parts;
        let mut store = Shelf::new(store);
        let mut transaction = store.begin()?;
        let journal = Journal::open(&mut transaction)?;
        let (_, next_timer) = timers::due(&mut transaction, Timestamp(i64::MIN))?;
        transaction.commit()?;
        let seeds = Seeds(Arc::new(Mutex::new(seeds)));
        let windows = Windows::default();
        let latest = Timestamp(0);
        let (watch, begun, news, fallen) = (None, None, Vec::new(), Vec::new());
        let (records_until, on_tape) = (0, Vec::new());
        Ok(Core {
            store,
            table,
            host,
            relations,
            seeds,
            windows,
            journal,
            latest,
            next_timer,
            watch,
            begun,
            news,
            records_until,
            on_tape,
            fallen,
        })
    }

    /// Records the effects of events from now on, as long as the journal goes back, so that they can be replayed
    /// on a copy of the store as it is now. `site` is what a replay has to know of the site.
    ///
    /// # Errors
    /// The store's.
    pub fn record(&mut self, site: &replay::Site) -> Result<(), StoreError> {
        let mut transaction = self.store.begin()?;
        replay::note(site, &mut transaction)?;
        transaction.commit()?;
        self.records_until = self.journal.next() + JOURNAL_SLOTS;
        self.on_tape.clear();
        Ok(())
    }

    /// Has handlers watched from now on: one that is not done with an event in time is given up, and its
    /// plugin suspended. Takes a thread.
    pub fn watch(&mut self, deadline: Duration) {
        self.watch = Some(Watch::new(deadline));
    }

    /// Threads that were given up, to which those who run its batches add theirs.
    pub fn given_up(&self) -> GivenUp {
        self.watch.as_ref().map(|watch| watch.given_up().clone()).unwrap_or_default()
    }

    /// Messages of a line above the id `after`, one window of them.
    ///
    /// # Errors
    /// The store's.
    pub fn refill(&mut self, line: &Line, after: u64) -> Result<Vec<Post>, StoreError> {
        posts(&mut self.store.begin()?, line, after)
    }

    /// Deletes a few rows of the host's that have run out.
    ///
    /// # Errors
    /// The store's.
    pub fn sweep(&mut self, sweep: &mut Sweep, now: Timestamp) -> Result<(), StoreError> {
        let ended = sweep.step(Box::new(self.store.begin()?), self.latest.max(now))?;
        self.relations.apply(ended);
        Ok(())
    }

    /// Timers due now, as inputs.
    ///
    /// # Errors
    /// The store's.
    pub fn due(&mut self, now: Timestamp) -> Result<Vec<Input>, StoreError> {
        if self.next_timer.is_none_or(|next| next > now) {
            return Ok(Vec::new());
        }
        let mut transaction = self.store.begin()?;
        let (due, next) = timers::due(&mut transaction, now)?;
        self.next_timer = due.first().map(|timer| timer.due).or(next);
        Ok(due.into_iter().map(|timers::Due { plugin, key, due }| Input::Timer { plugin, key, due }).collect())
    }

    /// When the next timer comes due.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.next_timer
    }

    /// Reads the store outside any event, for `status` and the like.
    ///
    /// # Errors
    /// The store's, or whatever `read` makes.
    pub fn read<T>(
        &mut self,
        read: impl FnOnce(&mut dyn Transaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        read(&mut self.store.begin()?)
    }

    /// What a command answers that changes nothing, without a commit: while the store refuses writes,
    /// people can still look. `None`: it would change something, or is no command.
    ///
    /// # Errors
    /// The store's.
    pub fn look(&mut self, input: &Input, now: Timestamp) -> Result<Option<Outcome>, StoreError> {
        let Input::Command { plugin, name, argument } = input else { return Ok(None) };
        if plugin == "host" {
            return Ok(None); // those that come here all write; see `node::views` for the others
        }
        let (table, host, seed) = (self.table.load_full(), Arc::clone(&self.host), self.seeds.draw());
        let now = self.latest.max(now);
        let (plugin, body) = (plugin.clone(), argument.clone());
        let event = Event::Command(Command { name: name.clone(), caller: None, body }).into();
        let looked = watched(&mut self.watch, self.store.begin()?, move |transaction| {
            let (buffer, checked) = (Buffer::new(transaction), Checked::new());
            let mut services = EventServices::new(buffer, &table, &*host, &checked, now, seed);
            let mut result = services.run(&plugin, &event);
            let EventServices { buffer, released, broken, failed, .. } = services;
            if let Err(fault) = &mut result {
                blame(fault, &plugin, failed.as_deref());
            }
            match (broken, result) {
                (Some(error), _) => Err(error),
                (None, Ok(answer)) if buffer.count() == 0 && released.is_empty() => Ok(Some(Outcome::Done(answer))),
                (None, Ok(_)) => Ok(None),
                (None, Err(fault)) => Ok(Some(Outcome::Fault(fault))),
            }
        });
        match looked {
            Ok((looked, _)) => looked,
            // It is held now, and says so.
            Err(stuck) => {
                self.overdue(stuck);
                self.look(input, now)
            }
        }
    }

    /// Runs the inputs, each with the signature checks made for it, and commits. The time of an event
    /// never lies before that of an earlier one.
    ///
    /// # Errors
    /// The store's: then nothing has happened, and the same inputs may be given again.
    pub fn apply(&mut self, inputs: &[(Input, Checked)], now: Timestamp) -> Result<Done, StoreError> {
        self.apply_shared(&Arc::new(inputs.to_vec()), now)
    }

    /// The same with inputs that a watched thread can be given without copying them.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply).
    pub fn apply_shared(&mut self, inputs: &Arc<Vec<(Input, Checked)>>, now: Timestamp) -> Result<Done, StoreError> {
        loop {
            let work = self.begin(inputs, now)?;
            let ran = match &mut self.watch {
                None => Ok(work.run()),
                Some(watch) => watch.run(move || work.run()),
            };
            if let Some(done) = self.end(ran)? {
                return Ok(done);
            }
        }
    }

    /// What a batch works with. The windows are lost with a batch that fails, and then read again.
    fn turn(&mut self, table: Arc<PluginTable>) -> Turn {
        let trials = rehearse::trials(&table);
        Turn {
            table,
            trials,
            tape: (self.journal.next() < self.records_until).then(|| Tape::after(self.on_tape.clone())),
            host: Arc::clone(&self.host),
            relations: Arc::clone(&self.relations),
            seeds: self.seeds.clone(),
            windows: std::mem::take(&mut self.windows),
            journal: self.journal,
            scratch: Vec::new(),
            now: self.latest,
            released: Released { notices: self.news.clone(), ..Released::default() },
            origin: None,
            measures: Vec::new(),
            changed: !self.news.is_empty(),
        }
    }

    /// A batch is durable: what memory holds of it follows.
    fn sealed(&mut self, sealed: Sealed) -> Released {
        let Sealed { turn, next_timer } = sealed;
        let Turn { mut windows, journal, released, measures, trials, tape, .. } = turn;
        self.on_tape = tape.map(|tape| tape.take()).unwrap_or_default();
        windows.commit();
        self.news.clear();
        (self.windows, self.journal) = (windows, journal);
        if let Some(next_timer) = next_timer {
            self.next_timer = next_timer;
        }
        for (serving, name, add) in measures {
            serving.measure(&name, add);
        }
        trials.into_iter().for_each(rehearse::Trial::keep);
        self.relations.apply(released.relations.iter().cloned());
        released
    }

    /// Another table serves from now on. A candidate that has no place in it any more is let go.
    fn replace(&self, next: Arc<PluginTable>) {
        let before = self.table.swap(Arc::clone(&next));
        for seat in before.seats() {
            let Some(shadow) = &seat.shadow else { continue };
            let name = &seat.serving.manifest().name;
            let now = next.seat(name);
            if now.is_some_and(|now| now.serving.generation() == shadow.serving().generation()) {
                shadow.end(End::Promoted { from: seat.serving.generation() });
            } else if now.and_then(|now| now.shadow.as_ref()).is_none_or(|stays| !Arc::ptr_eq(stays, shadow)) {
                shadow.end(End::Refused { why: "another generation was made to serve meanwhile".to_owned() });
            }
        }
    }
}

/// Runs handlers with the transaction outside a batch, under watch where there is one.
fn watched<R: Send + 'static>(
    watch: &mut Option<Watch>,
    mut transaction: Open,
    job: impl FnOnce(&mut dyn Transaction) -> R + Send + 'static,
) -> Result<(R, Open), Stuck> {
    let Some(watch) = watch else { return Ok((job(&mut transaction), transaction)) };
    let (ran, transaction) = watch.run_with(transaction, |lent| job(lent));
    Ok((ran?, transaction))
}

/// A batch that is durable.
struct Sealed {
    turn: Turn,
    /// When the next timer comes due, where that was looked up.
    next_timer: Option<Option<Timestamp>>,
}

/// Writes what belongs to a batch as a whole, and commits.
fn seal(mut transaction: Open, mut turn: Turn, now: Timestamp) -> Result<Sealed, StoreError> {
    if !turn.changed {
        // Commands that only look cost no commit, nor does what is known already.
        return Ok(Sealed { turn, next_timer: None });
    }
    let released = &mut turn.released;
    // What is taken back in the same batch must not leave after having been taken back.
    let withdrawn: HashSet<(&Line, u64)> = released.withdrawn.iter().map(|(line, mid)| (line, *mid)).collect();
    released.posts.retain(|post| !withdrawn.contains(&(&post.line, post.mid)));
    released.receipts = turn.windows.write(&mut transaction)?;
    turn.journal.mark(&mut transaction)?;
    let notices: Result<Vec<_>, _> = released.notices.iter().map(serde_json::to_vec).collect();
    let notices = notices.map_err(|error| StoreError::Engine(error.to_string()))?;
    journal::ring(&mut transaction, "host.notices", NOTICE_SLOTS, &notices)?;
    let (due, next) = timers::due(&mut transaction, now)?;
    crash_point("before-commit");
    transaction.commit()?;
    crash_point("after-commit");
    Ok(Sealed { turn, next_timer: Some(due.first().map(|timer| timer.due).or(next)) })
}

fn posts(transaction: &mut dyn Transaction, line: &Line, after: u64) -> Result<Vec<Post>, StoreError> {
    let rows = outbox::window(transaction, line, after).map_err(unreadable)?;
    Ok(rows.into_iter().map(|(mid, row)| Post { line: line.clone(), mid, row: Arc::new(row) }).collect())
}

fn unreadable(error: OutboxError) -> StoreError {
    match error {
        OutboxError::Store(error) => error,
        other => StoreError::Engine(other.to_string()),
    }
}
