//! Runs events in one store transaction, without thread, clock or sockets.

mod batch;
mod deliveries;
mod messages;
#[cfg(test)]
#[path = "core/tests/mod.rs"]
mod tests;

use super::buffer::Buffer;
use super::inbound::Windows;
use super::input::{Input, Outcome, Post, Released};
use super::journal::{self, Journal};
use super::limits::NOTICE_SLOTS;
use super::outbox::{self, OutboxError};
use super::services::{EventServices, Host};
use super::sweep::Sweep;
use super::table::PluginTable;
use super::timers;
use super::verify::Checked;
use crate::crash::crash_point;
use crate::site::relations::RelationRegistry;
use crate::store::{Store, StoreError, Transaction};
use arc_swap::ArcSwap;
use batch::Batch;
use std::collections::HashSet;
use std::sync::Arc;
use tallyho_plugin::record::{AgentId, Timestamp};
use tallyho_plugin::{Command, Event, Life};

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
    pub seeds: Box<dyn FnMut() -> [u8; 32] + Send>,
}

/// Runs events; see the module.
pub struct Core {
    parts: Parts,
    windows: Windows,
    journal: Journal,
    latest: Timestamp,
    next_timer: Option<Timestamp>,
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
    pub fn open(mut parts: Parts) -> Result<Self, StoreError> {
        let mut transaction = parts.store.begin()?;
        let journal = Journal::open(&mut *transaction)?;
        let (_, next_timer) = timers::due(&mut *transaction, Timestamp(i64::MIN))?;
        transaction.commit()?;
        Ok(Core { parts, windows: Windows::default(), journal, latest: Timestamp(0), next_timer })
    }

    /// What has to be done at start: plugins are told, then whatever waits is released.
    ///
    /// # Errors
    /// The store's.
    pub fn start(&mut self, now: Timestamp) -> Result<Released, StoreError> {
        let table = self.parts.table.load_full();
        let lives = table
            .all()
            .into_iter()
            .map(|serving| Input::Life { plugin: serving.manifest().name.clone(), life: Life::Started });
        let inputs: Vec<(Input, Checked)> = lives.map(|life| (life, Checked::new())).collect();
        let done = self.apply(&inputs, now)?;
        for (outcome, (input, _)) in done.outcomes.iter().zip(&inputs) {
            if let (Outcome::Fault(fault), Input::Life { plugin, .. }) = (outcome, input) {
                log::error!("plugin {plugin} could not take up its work: {fault}");
            }
        }
        // Everything is read from the outbox once more, so what these events sent is included.
        let mut released = Released { posts: Vec::new(), local: Vec::new(), withdrawn: Vec::new(), ..done.released };
        let mut transaction = self.parts.store.begin()?;
        let own = self.parts.host.agent().clone();
        for (agent, _) in outbox::agents(&mut *transaction).map_err(unreadable)? {
            if agent == own {
                let mut after = 0;
                loop {
                    let rows = outbox::window(&mut *transaction, &own, after).map_err(unreadable)?;
                    let Some((last, _)) = rows.last() else { break };
                    after = *last;
                    released.local.extend(rows.iter().map(|(mid, _)| *mid));
                }
            } else {
                released.posts.append(&mut posts(&mut *transaction, &agent, 0)?);
            }
        }
        Ok(released)
    }

    /// Messages for `agent` above the id `after`, one window of them.
    ///
    /// # Errors
    /// The store's.
    pub fn refill(&mut self, agent: &AgentId, after: u64) -> Result<Vec<Post>, StoreError> {
        posts(&mut *self.parts.store.begin()?, agent, after)
    }

    /// Deletes a few rows of the host's that have run out.
    ///
    /// # Errors
    /// The store's.
    pub fn sweep(&mut self, sweep: &mut Sweep, now: Timestamp) -> Result<(), StoreError> {
        let ended = sweep.step(self.parts.store.begin()?, self.latest.max(now))?;
        self.parts.relations.apply(ended);
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
        let mut transaction = self.parts.store.begin()?;
        let (due, next) = timers::due(&mut *transaction, now)?;
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
        read(&mut *self.parts.store.begin()?)
    }

    /// What a command answers that changes nothing, without a commit: while the store refuses writes,
    /// people can still look. `None`: it would change something, or is no command.
    ///
    /// # Errors
    /// The store's.
    pub fn look(&mut self, input: &Input, now: Timestamp) -> Result<Option<Outcome>, StoreError> {
        let Input::Command { plugin, name, argument } = input else { return Ok(None) };
        let Parts { store, table, host, seeds, .. } = &mut self.parts;
        if plugin == "host" {
            return Ok(None); // those that come here all write; see `node::views` for the others
        }
        let table = table.load_full();
        let mut transaction = store.begin()?;
        let (buffer, checked) = (Buffer::new(&mut *transaction), Checked::new());
        let mut services = EventServices::new(buffer, &table, &**host, &checked, self.latest.max(now), seeds());
        let command = Command { name: name.clone(), caller: None, body: argument.clone() };
        let result = services.run(plugin, &Event::Command(command));
        let EventServices { buffer, released, broken, .. } = services;
        if let Some(error) = broken {
            return Err(error);
        }
        Ok(match result {
            Ok(answer) if buffer.count() == 0 && released.is_empty() => Some(Outcome::Done(answer)),
            Ok(_) => None,
            Err(fault) => Some(Outcome::Fault(fault)),
        })
    }

    /// Runs the inputs, each with the signature checks made for it, and commits. The time of an event
    /// never lies before that of an earlier one.
    ///
    /// # Errors
    /// The store's: then nothing has happened, and the same inputs may be given again.
    pub fn apply(&mut self, inputs: &[(Input, Checked)], now: Timestamp) -> Result<Done, StoreError> {
        self.latest = self.latest.max(now);
        let journal = self.journal;
        let result = self.run(inputs);
        match &result {
            Ok(done) => {
                self.windows.commit();
                self.parts.relations.apply(done.released.relations.iter().cloned());
            }
            Err(_) => {
                self.windows.roll_back();
                self.journal = journal;
                // Look again: the timers found may not have been run.
                self.next_timer = Some(self.latest);
            }
        }
        result
    }

    fn run(&mut self, inputs: &[(Input, Checked)]) -> Result<Done, StoreError> {
        let Core { parts, windows, journal, latest, next_timer } = self;
        let table = parts.table.load_full();
        let mut transaction = parts.store.begin()?;
        let mut batch = Batch {
            transaction: &mut *transaction,
            table: &table,
            host: &*parts.host,
            relations: &parts.relations,
            seeds: &mut *parts.seeds,
            windows,
            journal,
            now: *latest,
            released: Released::default(),
            measures: Vec::new(),
            changed: false,
        };
        let mut outcomes = Vec::with_capacity(inputs.len());
        for (input, checked) in inputs {
            outcomes.push(batch.input(input, checked)?);
        }
        let Batch { mut released, measures, changed, .. } = batch;
        if !changed {
            // Commands that only look cost no commit, nor does what is known already.
            measures.into_iter().for_each(|(serving, name, add)| serving.measure(&name, add));
            return Ok(Done { outcomes, released });
        }
        // What is taken back in the same batch must not leave after having been taken back.
        let withdrawn: HashSet<(&AgentId, u64)> = released.withdrawn.iter().map(|(agent, mid)| (agent, *mid)).collect();
        released.posts.retain(|post| !withdrawn.contains(&(&post.agent, post.mid)));
        released.receipts = windows.write(&mut *transaction)?;
        journal.mark(&mut *transaction)?;
        let notices: Result<Vec<_>, _> = released.notices.iter().map(serde_json::to_vec).collect();
        let notices = notices.map_err(|error| StoreError::Engine(error.to_string()))?;
        journal::ring(&mut *transaction, "host.notices", NOTICE_SLOTS, &notices)?;
        let (due, next) = timers::due(&mut *transaction, *latest)?;
        *next_timer = due.first().map(|timer| timer.due).or(next);
        crash_point("before-commit");
        transaction.commit()?;
        crash_point("after-commit");
        for (serving, name, add) in measures {
            serving.measure(&name, add);
        }
        Ok(Done { outcomes, released })
    }
}

fn posts(transaction: &mut dyn Transaction, agent: &AgentId, after: u64) -> Result<Vec<Post>, StoreError> {
    let rows = outbox::window(transaction, agent, after).map_err(unreadable)?;
    Ok(rows.into_iter().map(|(mid, row)| Post { agent: agent.clone(), mid, row: Arc::new(row) }).collect())
}

fn unreadable(error: OutboxError) -> StoreError {
    match error {
        OutboxError::Store(error) => error,
        other => StoreError::Engine(other.to_string()),
    }
}
