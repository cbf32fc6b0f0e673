//! A site in memory.

use super::effects::Effects;
use super::keys::{Keys, User, UserKey};
use super::plugin::{Plugin, Work};
use super::state::{RelationKey, Sent, State};
use super::tickets::Issued;
use super::trials::{Wanted, reloaded};
use super::{Log, limits};
use crate::event::{Command, Delivery, Fate, Life, Timer};
use crate::record::{AgentId, Chad, Timestamp};
use crate::services::{Keep, Relation};
use crate::{Event, Fault, Handler, Target};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// 2021-11-05T12:00:00Z, the hour at which every site in memory begins.
const BEGINNING: Timestamp = Timestamp(1_636_113_600_000);

/// A site in memory that drives one or several handlers, one event at a time, as a host does: see the
/// [module](super).
pub struct Site {
    pub(crate) state: State,
    pub(crate) keys: Keys,
    pub(crate) plugins: Vec<Plugin>,
    pub(crate) clock: Timestamp,
    pub(crate) seed: u64,
    pub(crate) events: u64,
    twice: bool,
    log: Vec<Log>,
    /// Relations that a test has granted, not a handler.
    pub(crate) made_up: BTreeSet<RelationKey>,
}

impl Site {
    /// A site with an agent key and a clock of its own; the same seed gives the same site.
    pub fn new(seed: u64) -> Self {
        Site {
            state: State::default(),
            keys: Keys::of(seed),
            plugins: Vec::new(),
            clock: BEGINNING,
            seed,
            events: 0,
            twice: true,
            log: Vec::new(),
            made_up: BTreeSet::new(),
        }
    }

    /// A site whose agent has the key of this seed, for tests with known signatures.
    pub fn of_agent(seed: &[u8; 32]) -> Self {
        let mut site = Site::new(0);
        site.keys = Keys::of_agent(seed);
        site
    }

    /// The site with this handler loaded and started.
    ///
    /// # Panics
    /// Where the handler cannot be made or does not start, or its name, a target or a table of it is taken.
    #[must_use]
    pub fn with<H: Handler>(mut self) -> Self {
        self.load::<H>();
        self
    }

    /// The site with a user whose Ed25519 key it holds.
    #[must_use]
    pub fn user(mut self, cuid: &str) -> Self {
        self.add_user(cuid);
        self
    }

    /// Loads and starts a handler.
    ///
    /// # Panics
    /// See [`Site::with`].
    #[allow(clippy::panic)]
    pub fn load<H: Handler>(&mut self) {
        let plugin = Plugin::of::<H>().unwrap_or_else(|fault| panic!("the handler cannot be made: {fault}"));
        let name = plugin.name().to_owned();
        self.seat(plugin);
        let started = self.run(&name, &Event::Life(Life::Started));
        started.unwrap_or_else(|fault| panic!("{name} does not start: {fault}"));
    }

    /// Takes a handler in that has not started yet.
    pub(crate) fn seat(&mut self, plugin: Plugin) {
        for other in &self.plugins {
            assert_ne!(other.name(), plugin.name(), "a handler of this name is loaded");
            for target in &plugin.manifest.targets {
                let clashes = |theirs: &Target| theirs.name == target.name && theirs.yields == target.yields;
                let taken = other.manifest.targets.iter().any(clashes);
                assert!(!taken, "target {} is claimed by {} already", target.name, other.name());
            }
        }
        self.state.versions.insert(plugin.name().to_owned(), plugin.manifest.state_version);
        self.plugins.push(plugin);
    }

    /// Adds a user whose Ed25519 key the site holds, and returns the address.
    pub fn add_user(&mut self, cuid: &str) -> Chad {
        let key = self.usual_key(cuid);
        self.put_user(cuid, key, true);
        self.chad(cuid)
    }

    /// Adds a user whose P-521 key the site holds, as users who deal with other implementations have.
    pub fn add_user_p521(&mut self, cuid: &str) -> Chad {
        self.put_user(cuid, UserKey::p521(), true);
        self.chad(cuid)
    }

    /// Adds a user who keeps the private key elsewhere; the test signs with the key returned.
    pub fn add_user_elsewhere(&mut self, cuid: &str) -> UserKey {
        let key = self.usual_key(cuid);
        self.put_user(cuid, key.clone(), false);
        key
    }

    fn usual_key(&self, cuid: &str) -> UserKey {
        UserKey::of(&format!("user {cuid} of {}", self.seed))
    }

    fn put_user(&mut self, cuid: &str, key: UserKey, here: bool) {
        self.keys.users.insert(cuid.to_owned(), User { name: cuid.to_owned(), key, here });
    }

    /// The agent's id.
    pub fn agent(&self) -> AgentId {
        self.keys.address.agent.clone()
    }

    /// The agent's address.
    pub fn address(&self) -> Chad {
        self.keys.address.clone()
    }

    /// A user's address.
    pub fn chad(&self, cuid: &str) -> Chad {
        self.keys.chad(cuid)
    }

    /// A user's certificate, dated now.
    ///
    /// # Panics
    /// Where there is no such user.
    #[allow(clippy::expect_used)]
    pub fn certificate(&self, cuid: &str) -> Value {
        let user = self.keys.users.get(cuid).expect("a user of this site");
        self.keys.certificate(cuid, user, self.clock)
    }

    /// The clock.
    pub fn now(&self) -> Timestamp {
        self.clock
    }

    /// Moves the clock on by this many milliseconds. Timers that come due wait for [`Site::fire_timers`].
    pub fn advance(&mut self, milliseconds: i64) {
        self.clock = self.clock.plus(milliseconds);
    }

    /// Sets the clock; it never goes back.
    pub fn set(&mut self, now: Timestamp) {
        self.clock = self.clock.max(now);
    }

    /// Whether the outbox is full, as towards a partner who has been away for long: sending then fails with
    /// [`OUTBOX_FULL`](crate::services::OUTBOX_FULL).
    pub fn fill_outbox(&mut self, full: bool) {
        self.state.outbox_full = full;
    }

    /// Whether each event is run twice to see that both runs want the same (the default).
    pub fn check_determinism(&mut self, twice: bool) {
        self.twice = twice;
    }

    /// Gives a command of the operator's, found by its name among the loaded handlers.
    ///
    /// # Errors
    /// The handler's fault; the command has then changed nothing.
    pub fn command(&mut self, name: &str, arguments: Value) -> Result<Value, Fault> {
        let plugin = self.plugins.iter().find(|plugin| plugin.manifest.commands.iter().any(|spec| spec.name == name));
        let plugin = plugin.ok_or_else(|| Fault::usage(format!("no handler declares a command {name}")))?;
        let plugin = plugin.name().to_owned();
        self.call(&plugin, name, arguments)
    }

    /// Gives a command to a certain handler.
    ///
    /// # Errors
    /// As for [`Site::command`].
    pub fn call(&mut self, plugin: &str, name: &str, arguments: Value) -> Result<Value, Fault> {
        let body = crate::context::to_cbor(&arguments)?;
        self.run(plugin, &Event::Command(Command { name: name.to_owned(), caller: None, body }))
    }

    /// Fires the timers that are due, oldest first, also those set meanwhile; how many there were. The
    /// timer of a handler that fails stays, and is not tried again in this call.
    pub fn fire_timers(&mut self) -> usize {
        let mut failed = Vec::new();
        for fired in 0..limits::SETTLE_EVENTS {
            let due = self.state.timers.iter().filter(|(name, at)| **at <= self.clock && !failed.contains(*name));
            let Some((name, at)) = due.min_by_key(|(_, at)| **at).map(|(name, at)| (name.clone(), *at)) else {
                return fired;
            };
            // Gone when the handler returns, unless it has set the timer again or has failed.
            self.state.timers.remove(&name);
            let event = Event::Timer(Timer { key: name.1.clone(), due: at });
            if self.run(&name.0, &event).is_err() {
                self.state.timers.insert(name.clone(), at);
                failed.push(name);
            }
        }
        limits::SETTLE_EVENTS
    }

    /// When the next timer is due.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.state.timers.values().min().copied()
    }

    /// Names and instants of the timers set.
    pub fn timers(&self) -> Vec<(String, Timestamp)> {
        self.state.timers.iter().map(|((_, key), at)| (key.clone(), *at)).collect()
    }

    /// Messages waiting to be sent, oldest first.
    pub fn sent(&self) -> &[Sent] {
        &self.state.outbox
    }

    /// Takes the messages waiting out of the outbox, oldest first. Report their fates with [`Site::report`].
    pub fn take_sent(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.state.outbox)
    }

    /// Tells the handler what became of a message, and keeps or drops it as a host would. A fate that
    /// the message did not ask for is not told.
    ///
    /// # Errors
    /// The handler's fault; the report has then had no effect.
    pub fn report(&mut self, sent: &Sent, fate: Fate) -> Result<(), Fault> {
        let ended = match &fate {
            Fate::HandedOver => sent.message.keep == Keep::HandedOver,
            Fate::Accepted | Fate::Refused => true,
            _ => false,
        };
        if let Some(waiting) = self.state.outbox.iter_mut().find(|waiting| waiting.id == sent.id) {
            waiting.handed_over |= fate == Fate::HandedOver;
            waiting.stalled = matches!(fate, Fate::Stalled { .. });
            waiting.attempts += u32::from(matches!(fate, Fate::Delayed { .. }));
        }
        if ended {
            self.state.outbox.retain(|waiting| waiting.id != sent.id);
        }
        let always = matches!(fate, Fate::Stalled { .. } | Fate::Accepted | Fate::Refused);
        if !always && !sent.message.report {
            return Ok(());
        }
        let delivery = Delivery { key: sent.message.key.clone(), to: sent.message.to.agent.clone(), fate };
        self.run(&sent.plugin, &Event::Delivery(delivery)).map(drop)
    }

    /// Stops the site and starts it again: handlers are made afresh over the same store, stalled
    /// messages are tried again.
    ///
    /// # Panics
    /// Where a handler does not start.
    #[allow(clippy::panic)]
    pub fn restart(&mut self) {
        for waiting in &mut self.state.outbox {
            (waiting.stalled, waiting.attempts) = (false, 0);
        }
        for index in 0..self.plugins.len() {
            let name = self.plugins[index].name().to_owned();
            let again = self.plugins[index].reloaded().unwrap_or_else(|fault| panic!("{name} cannot be made: {fault}"));
            self.plugins[index] = again;
            let started = self.run(&name, &Event::Life(Life::Started));
            started.unwrap_or_else(|fault| panic!("{name} does not start: {fault}"));
        }
    }

    /// Takes the notices given so far: for whom, and what.
    pub fn take_notices(&mut self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.state.notices)
    }

    /// The relations in force.
    pub fn relations(&self) -> Vec<Relation> {
        let now = self.clock;
        self.state.relations.values().filter(|relation| in_force(relation, now)).cloned().collect()
    }

    /// The ticket of this token, as issued.
    pub fn ticket(&self, token: &str) -> Option<&Issued> {
        self.state.tickets.get(token)
    }

    /// Log lines of events that succeeded.
    pub fn log(&self) -> &[Log] {
        &self.log
    }

    /// A counter of a handler's.
    pub fn metric(&self, plugin: &str, name: &str) -> i64 {
        self.state.metrics.get(&(plugin.to_owned(), name.to_owned())).copied().unwrap_or(0)
    }

    /// The rows of a table (`plugin.table`) as JSON, by key.
    pub fn rows(&self, table: &str) -> BTreeMap<Vec<u8>, Value> {
        let rows = self.state.tables.get(table).into_iter().flatten();
        rows.map(|(key, value)| (key.clone(), super::json(value))).collect()
    }

    /// Writes a row behind the handler's back, as damage or an old backup would.
    ///
    /// # Panics
    /// Where the record cannot be expressed.
    #[allow(clippy::expect_used)]
    pub fn write(&mut self, table: &str, key: &[u8], record: &Value) {
        let bytes = crate::context::to_cbor(record).expect("JSON can always be expressed in CBOR");
        self.state.tables.entry(table.to_owned()).or_default().insert(key.to_vec(), bytes);
    }

    /// A copy of everything durable, to go back to with [`Site::restore`].
    pub fn backup(&self) -> Backup {
        Backup(self.state.clone())
    }

    /// Goes back to a backup; the clock stays. Restart the site afterwards.
    pub fn restore(&mut self, backup: &Backup) {
        self.state = backup.0.clone();
    }

    pub(crate) fn plugin_for(&self, target: &str) -> Option<&crate::Manifest> {
        let manifests = self.plugins.iter().map(|plugin| &*plugin.manifest);
        let claims = manifests.filter_map(|manifest| {
            let claimed = manifest.targets.iter().find(|claimed| claimed.name == target)?;
            Some((claimed.yields, manifest))
        });
        claims.min_by_key(|(yields, _)| *yields).map(|(_, manifest)| manifest)
    }

    /// Handles one event: its effects are applied where the handler succeeds, dropped otherwise.
    ///
    /// # Errors
    /// The handler's fault, or `Failed` where it has panicked.
    ///
    /// # Panics
    /// Where a second run of the event wants something else than the first: handlers are deterministic.
    pub fn run(&mut self, plugin: &str, event: &Event) -> Result<Value, Fault> {
        self.work(plugin, &Work::Event(event)).map(|(answer, _)| answer)
    }

    /// The answer, and whether a migration is to be called again.
    #[allow(clippy::panic)]
    pub(crate) fn work(&mut self, plugin: &str, work: &Work<'_>) -> Result<(Value, bool), Fault> {
        let index = self.plugins.iter().position(|candidate| candidate.name() == plugin);
        let index = index.ok_or_else(|| Fault::not_found("no such handler is loaded"))?;
        self.events += 1;
        let mut trials = self.trials();
        let first = trials.attempt(&self.plugins, index, work);
        if self.twice {
            // By turns: one handler may count what it does, another remember what it did for earlier events.
            let afresh = self.events % 2 == 1;
            let again = if afresh { reloaded(&self.plugins)? } else { self.plugins.clone() };
            let second = trials.attempt(&again, index, work);
            let by = if afresh { "a handler made afresh" } else { "the same handler" };
            assert_eq!(
                first, second,
                "{plugin} is not deterministic: {by} wants something else in a second run of {work:?}. Keep state in \
                 tables and not in `self`; take time and random bytes from the context; give no order to what \
                 has none (HashMap)"
            );
        }
        let Wanted { answer, effects, again } = first?;
        self.keep(effects);
        Ok((answer, again))
    }

    /// Makes what an event wants durable.
    pub(crate) fn keep(&mut self, effects: Effects) {
        self.log.extend(effects.list.iter().filter_map(Log::of));
        effects.apply(&mut self.state);
    }
}

/// Everything durable of a [`Site`], at one moment.
#[derive(Debug, Clone)]
pub struct Backup(State);

pub(crate) fn in_force(relation: &Relation, now: Timestamp) -> bool {
    relation.until.is_none_or(|until| now < until)
}
