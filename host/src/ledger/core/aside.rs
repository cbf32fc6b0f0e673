//! Events that their plugin has failed for good are set aside, in the transaction in which it failed them; and
//! tried again, or dropped, when the operator says so.

use super::Core;
use super::batch::Batch;
use crate::ledger::buffer::Buffer;
use crate::ledger::difference::what;
use crate::ledger::input::{Input, Outcome, Released};
use crate::ledger::quarantine::{self, Aside};
use crate::ledger::verify::Checked;
use crate::store::StoreError;
use serde_json::json;
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::{Event, Fault, FaultKind};

impl Batch<'_> {
    /// Keeps an event for the operator where its plugin has failed it, so often by now: it is not lost, and nobody
    /// is asked for it for ever. Where there is no room the host cannot serve, and whoever has the event keeps it.
    pub(super) fn set_aside(
        &mut self,
        plugin: &str,
        event: &Event,
        outcome: Outcome,
        tries: u32,
    ) -> Result<Outcome, StoreError> {
        let fault = match &outcome {
            Outcome::Fault(fault) if fault.kind == FaultKind::Failed => fault.to_string(),
            _ => return Ok(outcome),
        };
        let aside = Aside::new(plugin, (event, what(event)), tries, fault.clone(), self.turn.now)?;
        let mut buffer = Buffer::new(&mut *self.transaction);
        let Some(number) = quarantine::put(&mut buffer, &aside)? else {
            log::error!(target: "tallyho::plugin", "{plugin}: too many events are set aside, {} is not", aside.what);
            return Ok(Outcome::Fault(full(plugin)));
        };
        buffer.keep()?;
        self.turn.changed = true;
        log::error!(target: "tallyho::plugin", "{plugin}: {} is set aside as number {number}", aside.what);
        self.turn.released.notices.push(json!({
            "about": "plugin", "name": plugin, "reason": "set an event aside", "number": number, "what": aside.what,
            "why": fault, "at": self.turn.now.to_string(),
        }));
        Ok(outcome)
    }

    /// An event set aside is tried again. Only where its plugin fails it once more does it stay: one that is
    /// refused by now was handled.
    pub(super) fn retry(&mut self, number: u64) -> Result<Outcome, StoreError> {
        let found = quarantine::get(&mut Buffer::new(&mut *self.transaction), number)?;
        let Some(aside) = found else { return Ok(Outcome::Fault(nothing(number))) };
        let (plugin, event) = (aside.plugin.clone(), aside.event()?.into());
        if self.turn.table.named(&plugin).is_none() {
            let fault = Fault::refused(format!("plugin {plugin} is not loaded")).code("not-loaded");
            return Ok(Outcome::Fault(fault.fix(format!("run the site with it (--plugin {plugin})"))));
        }
        let outcome = self.event(&plugin, &event, &Checked::new(), |_| Ok(None))?;
        let mut buffer = Buffer::new(&mut *self.transaction);
        match &outcome {
            Outcome::Fault(fault) if fault.kind == FaultKind::Host => {}
            Outcome::Fault(fault) if fault.kind == FaultKind::Failed => {
                quarantine::tried(&mut buffer, number, aside, fault.to_string())?;
            }
            _ => drop(quarantine::remove(&mut buffer, number)?),
        }
        buffer.keep()?;
        Ok(outcome)
    }

    /// An event set aside is forgotten.
    pub(super) fn forget(&mut self, number: u64) -> Result<Outcome, StoreError> {
        let mut buffer = Buffer::new(&mut *self.transaction);
        let was_there = quarantine::remove(&mut buffer, number)?;
        buffer.keep()?;
        Ok(if was_there { Outcome::Done(Vec::new()) } else { Outcome::Fault(nothing(number)) })
    }
}

impl Core {
    /// Tries an event set aside again, or forgets it; why that was in vain, where it was. The event is then set
    /// aside as before, unless its plugin has refused it by now, which is as good as having handled it.
    ///
    /// # Errors
    /// The store's.
    pub fn aside(&mut self, number: u64, again: bool, now: Timestamp) -> Result<(Option<Fault>, Released), StoreError> {
        let input = if again { Input::Retry { number } } else { Input::Forget { number } };
        let mut done = self.apply(&[(input, Checked::new())], now)?;
        let fault = done.outcomes.pop().and_then(|outcome| match outcome {
            Outcome::Fault(fault) => Some(fault),
            Outcome::Done(_) => None,
        });
        Ok((fault, done.released))
    }
}

fn nothing(number: u64) -> Fault {
    Fault::not_found(format!("no event is set aside under number {number}")).fix("see `tallyho plugin quarantine list`")
}

fn full(plugin: &str) -> Fault {
    Fault::host(format!("too many events of plugin {plugin} are set aside already"))
        .code("full")
        .fix("see `tallyho plugin quarantine list`; try them again with a mended build, or drop them")
}
