//! A handler was not done in time: its plugin is suspended, and the rest of the site goes on.

use super::Core;
use crate::ledger::at_work::Stuck;
use crate::ledger::limits::HANDLER_DEADLINE;
use crate::ledger::table::Hold;
use crate::ledger::watch::Watch;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tallyho_plugin::Fault;

impl Core {
    /// How long a handler has for one event.
    pub fn deadline(&self) -> Duration {
        self.watch.as_ref().map_or(HANDLER_DEADLINE, Watch::deadline)
    }

    /// Suspends the plugin whose generation was not done in time, or rolls it back where it is on probation.
    /// The event that it was given is run again, and then waits with the others for the plugin.
    pub fn overdue(&mut self, stuck: Stuck) {
        let table = self.table.load_full();
        let is_it = |generation: u64| generation == stuck.generation;
        if self.overdue_candidate(stuck) {
            return;
        }
        let seats = table.seats();
        let seat = seats.into_iter().find(|seat| is_it(seat.serving.generation()));
        // Another generation may have been swapped in while a check of this one was made.
        let Some(seat) = seat else { return };
        let name = &seat.serving.manifest().name;
        let late = format!("it was not done with an event within {:?}", self.deadline());
        if let Some((before, rolled_back)) = table.rolled_back(name, &late) {
            log::error!(target: "tallyho::plugin", "{name}: generation {}, on probation: {late}", stuck.generation);
            self.fallen.push(rolled_back);
            self.replace(Arc::new(before));
            return;
        }
        let hold = Hold::Overdue { deadline: self.deadline() };
        log::error!(target: "tallyho::plugin", "{name} is suspended: {}", hold.why());
        self.news.push(json!({
            "about": "plugin",
            "name": name,
            "reason": "suspended",
            "generation": stuck.generation,
            "why": hold.why(),
            "at": self.latest.to_string(),
        }));
        self.table.store(Arc::new(table.holding(name, Some(hold))));
    }

    /// Refuses what might leave one more thread looping, once there are too many.
    ///
    /// # Errors
    /// That a restart is needed.
    pub(super) fn check_threads(&self) -> Result<(), Fault> {
        match &self.watch {
            Some(watch) if watch.is_exhausted() => {
                let text = format!("{} handlers loop in this process and cannot be ended", watch.given_up().count());
                Err(Fault::host(text).code("stuck").fix("restart the site: that ends them"))
            }
            _ => Ok(()),
        }
    }
}

/// The fault of a candidate that was not done in time.
pub(super) fn too_late(version: &str, what: &str, deadline: Duration) -> Fault {
    Fault::failed(format!("version {version} was not done {what} within {deadline:?}"))
        .code("deadline")
        .fix("mend the plugin, so that it ends, and build it again")
}
