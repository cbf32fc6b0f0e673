//! What has to be done when a site starts.

use super::held::let_go;
use super::{Core, posts, unreadable};
use crate::ledger::buffer::Buffer;
use crate::ledger::input::{Input, Outcome, Released};
use crate::ledger::line::Line;
use crate::ledger::outbox;
use crate::ledger::remembered::{self, Remembered};
use crate::ledger::table::Hold;
use crate::ledger::verify::Checked;
use crate::store::StoreError;
use std::sync::Arc;
use tallyho_plugin::Life;
use tallyho_plugin::record::Timestamp;

impl Core {
    /// What has to be done at start: plugins are told, then whatever waits is released.
    ///
    /// # Errors
    /// The store's.
    pub fn start(&mut self, now: Timestamp) -> Result<Released, StoreError> {
        let waiting = self.settle()?;
        let table = self.table.load_full();
        let serving: Vec<String> = table
            .seats()
            .into_iter()
            .filter(|seat| seat.held.is_none())
            .map(|seat| seat.serving.manifest().name.clone())
            .collect();
        let lives = serving.iter().map(|plugin| Input::Life { plugin: plugin.clone(), life: Life::Started });
        let inputs: Vec<(Input, Checked)> = lives.map(|life| (life, Checked::new())).collect();
        let done = self.apply(&inputs, now)?;
        for (outcome, (input, _)) in done.outcomes.iter().zip(&inputs) {
            if let (Outcome::Fault(fault), Input::Life { plugin, .. }) = (outcome, input) {
                log::error!("plugin {plugin} could not take up its work: {fault}");
            }
        }
        // Everything is read from the outbox once more, so what these events sent is included.
        let mut released =
            Released { posts: Vec::new(), local: Vec::new(), withdrawn: Vec::new(), waiting, ..done.released };
        let mut transaction = self.store.begin()?;
        let own = Line::from(self.host.agent());
        for (line, _) in outbox::lines(&mut transaction).map_err(unreadable)? {
            if line == own {
                let mut after = 0;
                loop {
                    let rows = outbox::window(&mut transaction, &own, after).map_err(unreadable)?;
                    let Some((last, _)) = rows.last() else { break };
                    after = *last;
                    released.local.extend(rows.iter().map(|(mid, _)| *mid));
                }
            } else {
                released.posts.append(&mut posts(&mut transaction, &line, 0)?);
            }
        }
        Ok(released)
    }

    /// Takes up what is remembered of each plugin: who is stopped, what has waited.
    fn settle(&mut self) -> Result<Vec<(String, u64)>, StoreError> {
        let mut table = (*self.table.load_full()).clone();
        let mut transaction = self.store.begin()?;
        let (mut changed, mut waiting) = (false, Vec::new());
        for seat in self.table.load_full().seats() {
            let manifest = seat.serving.manifest();
            let mut buffer = Buffer::new(&mut transaction);
            let before = remembered::get(&mut buffer, &manifest.name)?;
            // A build that reads later versions writes its own from now on.
            let known = Remembered { state: manifest.state_version, undo: None, ..before.clone().unwrap_or_default() };
            if before.as_ref() != Some(&known) {
                remembered::put(&mut buffer, &manifest.name, &known);
                changed = true;
            }
            buffer.keep()?;
            if known.stopped {
                table = table.holding(&manifest.name, Some(Hold::Stopped));
            } else {
                changed |= known.parked;
                waiting.append(&mut let_go(&mut transaction, &manifest.name)?);
            }
        }
        if changed {
            transaction.commit()?;
            // Timers that were put away may be due.
            self.next_timer = Some(self.latest);
        }
        self.table.store(Arc::new(table));
        Ok(waiting)
    }
}
