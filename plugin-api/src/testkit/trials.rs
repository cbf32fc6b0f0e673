//! Running the same thing several times over the same state.

use super::Site;
use super::dice::{self, Dice};
use super::effects::Effects;
use super::plugin::{Plugin, Work};
use super::running::{Running, Tape};
use crate::Fault;
use crate::record::signing;
use crate::services::Services;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a plugin wants to come of an event. Two runs over the same state must want the same.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    pub answer: Value,
    pub effects: Effects,
    /// A migration is to be called again.
    pub again: bool,
}

/// Attempts at one event; the signatures made in the first are those of all.
pub(crate) struct Trials<'s> {
    site: &'s Site,
    tape: Tape,
}

impl Site {
    /// Attempts at the event whose number is [`Site::events`].
    pub(crate) fn trials(&self) -> Trials<'_> {
        Trials { site: self, tape: Tape::default() }
    }
}

impl Trials<'_> {
    /// What the plugin at this place wants. Nothing is changed.
    pub fn attempt(&mut self, plugins: &[Plugin], index: usize, work: &Work<'_>) -> Result<Wanted, Fault> {
        self.tape.rewind();
        let plugin = &plugins[index];
        let attempt = || {
            let prepared = plugin.prepare(work)?.into_iter();
            let prepared =
                prepared.filter_map(|check| Some((crate::context::to_cbor(&check).ok()?, signing::verify(&check))));
            let mut running = self.running(plugins, prepared.collect());
            let answer = running.run(plugin, work)?;
            Ok(Wanted { answer, effects: running.effects, again: running.again })
        };
        catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|payload| {
            let text = payload.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(Fault::failed(format!("{} panicked: {text}", plugin.name())).code("panic"))
        })
    }
}

impl Trials<'_> {
    fn running<'r>(&'r mut self, plugins: &'r [Plugin], prepared: BTreeMap<Vec<u8>, bool>) -> Running<'r> {
        let site = self.site;
        Running {
            state: &site.state,
            plugins,
            keys: &site.keys,
            now: site.clock,
            effects: Effects::default(),
            prepared,
            dice: Dice::new(dice::seed(&[&site.seed.to_le_bytes(), &site.events.to_le_bytes()])),
            tape: &mut self.tape,
            stack: Vec::new(),
            doomed: None,
            again: false,
        }
    }

    /// The services of an event that is no plugin's.
    pub fn with_services<T>(&mut self, plugins: &[Plugin], call: impl FnOnce(&mut dyn Services) -> T) -> T {
        call(&mut self.running(plugins, BTreeMap::new()))
    }
}

/// All of them made afresh.
pub(crate) fn reloaded(plugins: &[Plugin]) -> Result<Vec<Plugin>, Fault> {
    plugins.iter().map(Plugin::reloaded).collect()
}

impl fmt::Debug for Work<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Work::Event(event) => event.fmt(f),
            Work::Migrate(from) => write!(f, "a migration from state version {from}"),
        }
    }
}
