//! A plugin that had no process has one again.

use super::held::let_go;
use super::swap::store;
use super::{Core, seal};
use crate::ledger::input::Released;
use crate::store::StoreError;
use serde_json::json;
use std::sync::Arc;
use tallyho_plugin::Fault;
use tallyho_plugin::record::Timestamp;

impl Core {
    /// Has the events that wait for a plugin go on. Whether this generation of it has a seat; another one's events
    /// are kept by nobody.
    ///
    /// # Errors
    /// The store's; the plugin then rests on.
    pub fn rise(&mut self, name: &str, generation: u64, now: Timestamp) -> Result<(bool, Released), Fault> {
        self.latest = self.latest.max(now);
        let table = self.table.load_full();
        let Some(seat) = table.seat(name).filter(|seat| seat.serving.generation() == generation) else {
            return Ok((false, Released::default()));
        };
        if seat.held.is_some() {
            seat.serving.plugin.rise();
            return Ok((true, Released::default())); // its events wait on, for another reason
        }
        let mut turn = self.turn(Arc::clone(&table));
        let rise = || -> Result<_, StoreError> {
            let mut transaction = self.store.begin()?;
            turn.released.waiting.extend(let_go(&mut transaction, name)?);
            turn.changed = true;
            turn.released.notices.push(json!({
                "about": "plugin", "name": name, "reason": "restarted", "generation": generation,
                "at": self.latest.to_string(),
            }));
            seal(transaction, turn, self.latest)
        };
        let sealed = rise().map_err(|error| store(&error))?;
        seat.serving.plugin.rise();
        Ok((true, self.sealed(sealed)))
    }
}
