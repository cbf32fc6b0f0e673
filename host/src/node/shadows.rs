//! `plugin swap --shadow`: a candidate is tried on what the build that serves is given, and serves itself where it
//! would have done the same.

use super::Node;
use super::plugins::{locked, milliseconds, phases};
use crate::ledger::core::Swap;
use crate::ledger::input::Released;
use crate::ledger::limits::SHADOW_EVENTS;
use crate::ledger::shadow::{End, Shadow};
use crate::ledger::table::Seat;
use crate::plugin::Steps;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;
use tallyho_plugin::Fault;

/// The number of events that a command asks for.
///
/// # Errors
/// A number that makes no sense.
pub(super) fn wanted(argument: &Value) -> Result<Option<u64>, Fault> {
    match &argument["shadow"] {
        Value::Null => Ok(None),
        number => match number.as_u64() {
            Some(events @ 1..=SHADOW_EVENTS) => Ok(Some(events)),
            _ => Err(Fault::usage(format!("shadow: {number} is no number of events from 1 to {SHADOW_EVENTS}"))
                .fix("for example --shadow 100")),
        },
    }
}

impl Node {
    /// Begins a shadow run, and tells how it stands.
    pub(super) fn tried(
        &self,
        seat: &Seat,
        swap: Swap,
        events: u64,
        steps: Steps,
        begun: Instant,
    ) -> Result<Value, Fault> {
        let (name, generation) = (swap.name.clone(), seat.serving.generation());
        if swap.migrate {
            let text =
                format!("plugin {name}: a build that has to bring its tables over cannot be tried on them before");
            return Err(Fault::usage(text).fix("give either --shadow or --migrate"));
        }
        let shadow = Shadow::new(swap, events);
        let run = Arc::clone(&shadow);
        let begins = self.ledger.alter(move |core, _| core.shadow(&run).map(|()| ((), Released::default())));
        begins.map_err(|fault| {
            let text = format!("plugin {name} is not swapped, generation {generation} serves on: {}", fault.text);
            Fault { text, ..fault }
        })?;
        locked(&self.plugins.shadows).insert(name.clone(), shadow);
        let mut answer = self.shadow_report(&name)?;
        answer["ms"] = milliseconds(begun.elapsed());
        answer["phases"] = phases(&steps);
        Ok(answer)
    }

    /// `plugin.shadow`: how the last shadow run of a plugin stands. `state` is `shadow`, `refused` or `serving`.
    pub(super) fn shadow_report(&self, name: &str) -> Result<Value, Fault> {
        let serving = self.seat(name)?.serving;
        let state = |state: &str| json!({ "name": name, "state": state, "to": serving.generation() });
        let Some(shadow) = locked(&self.plugins.shadows).get(name).cloned() else { return Ok(state("serving")) };
        let candidate = shadow.serving();
        let progress = shadow.progress();
        let (state, why) = match &progress.end {
            None => ("shadow", progress.objection()),
            Some(End::Promoted { .. }) => ("serving", None),
            Some(End::Refused { why }) => ("refused", Some(why.clone())),
        };
        let from = match &progress.end {
            Some(End::Promoted { from }) => *from,
            _ => serving.generation(),
        };
        Ok(json!({
            "name": name,
            "state": state,
            "from": from,
            "to": candidate.generation(),
            "version": candidate.manifest().version,
            "build": candidate.plugin.build().map(|build| build.to_string()),
            "wanted": shadow.wanted,
            "events": progress.seen,
            "differing": progress.differing,
            "differences": progress.differences,
            "why": why.map(|why| format!("generation {from} serves on: {why}")),
        }))
    }

    /// A shadow run in one line, for lists.
    pub(super) fn shadow_line(&self, name: &str) -> Option<String> {
        let shadow = locked(&self.plugins.shadows).get(name).cloned()?;
        let (progress, version) = (shadow.progress(), &shadow.serving().manifest().version);
        let seen = format!("{} of {} events", progress.seen, shadow.wanted);
        Some(match (&progress.end, progress.objection()) {
            (None, None) => format!("{version} is tried: {seen}, no difference"),
            (None, Some(objection)) => format!("{version} is tried: {seen}; {objection}"),
            (Some(End::Promoted { .. }), _) => format!("{version} was promoted after {seen} without a difference"),
            (Some(End::Refused { why }), _) => format!("{version} was not promoted: {why}"),
        })
    }

    /// Takes note of candidates that serve by now: of the generations that serve no more, and of the copies that
    /// need not be kept.
    pub(super) fn note_promotions(&self) {
        let shadows: Vec<Arc<Shadow>> = locked(&self.plugins.shadows).values().cloned().collect();
        for shadow in shadows {
            if let (Some(End::Promoted { .. }), Some(previous)) = (shadow.progress().end, &shadow.swap.previous)
                && shadow.note()
            {
                self.remember_gone(previous);
                self.tidy();
            }
        }
    }
}
