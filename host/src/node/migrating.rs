//! A swap whose tables are too large for one transaction: brought over in parts, the others served in between.

use super::Node;
use crate::ledger::core::{Swap, Swapped};
use crate::ledger::input::Released;
use std::time::Instant;
use tallyho_plugin::Fault;

impl Node {
    /// Brings the tables over part by part and has the candidate serve; where anything fails, all is as it was.
    pub(super) fn in_parts(&self, swap: &Swap) -> Result<Swapped, Fault> {
        let begun = Instant::now();
        let name = &swap.name;
        log::info!("plugin {name}: its tables are large, and brought to another state version in parts");
        let done = self.parts(swap).and_then(|()| {
            let migrate = begun.elapsed();
            let (last, state) = (swap.clone(), swap.previous.as_ref().map(|seat| seat.manifest().state_version));
            let swapped = self.ledger.alter(move |core, now| core.swap(&last, now))?;
            Ok(Swapped { migrate, state, ..swapped })
        });
        match done {
            Ok(swapped) => {
                if let Err(fault) = self.forget(name) {
                    log::warn!("plugin {name}: rows of before its migration are left: {fault}");
                }
                self.ask_again();
                Ok(swapped)
            }
            Err(fault) => {
                if let Err(why) = self.taken_back(name) {
                    let text = format!("{}; and its tables could not be taken back: {}", fault.text, why.text);
                    return Err(Fault { text, ..fault }.fix("mend that and restart the site, which takes them back"));
                }
                Err(fault)
            }
        }
    }

    fn parts(&self, swap: &Swap) -> Result<(), Fault> {
        // Of a migration whose site ended when it was done.
        self.forget(&swap.name)?;
        loop {
            let part = swap.clone();
            if !self.ledger.alter(move |core, now| core.migrate_part(&part, now))? {
                return Ok(());
            }
        }
    }

    fn taken_back(&self, name: &str) -> Result<(), Fault> {
        loop {
            let name = name.to_owned();
            if !self.ledger.alter(move |core, _| core.give_back(&name))? {
                self.ask_again();
                return Ok(());
            }
        }
    }

    /// Deletes what the rows were like before. What is left of it by a site that ends meanwhile is deleted after the
    /// next migration.
    fn forget(&self, name: &str) -> Result<(), Fault> {
        loop {
            let of = name.to_owned();
            let forget = self.ledger.alter(move |core, _| {
                let more = core.forget_undo(&of).map_err(|error| Fault::host(error.to_string()).code("store"))?;
                Ok((more, Released::default()))
            });
            if !forget? {
                return Ok(());
            }
        }
    }
}
