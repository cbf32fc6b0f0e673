//! Large tables brought to another state version while the site runs: in parts, each a transaction of its own between
//! two batches, with the plugin held and everybody else served. Where it fails, or the site ends midway, the
//! tables are taken back to what they were.

use super::batch::batch;
use super::overdue::too_late;
use super::swap::{nobody, store};
use super::{Core, Swap, seal, watched};
use crate::crash::crash_point;
use crate::ledger::buffer::Buffer;
use crate::ledger::core::held::let_go;
use crate::ledger::input::Released;
use crate::ledger::remembered::{self, Remembered};
use crate::ledger::table::{Hold, Seat};
use crate::ledger::undo;
use crate::store::StoreError;
use std::sync::Arc;
use tallyho_plugin::Fault;
use tallyho_plugin::record::Timestamp;

impl Core {
    /// Holds a plugin whose tables are about to be brought over, and takes the first part or the next one; whether
    /// there is more to do.
    ///
    /// # Errors
    /// Why it cannot be done. What has been done of it is then to be [taken back](Self::give_back).
    pub fn migrate_part(&mut self, swap: &Swap, now: Timestamp) -> Result<(bool, Released), Fault> {
        self.latest = self.latest.max(now);
        let table = self.table.load_full();
        if table.held(&swap.name) != Some(Hold::Migrating) {
            table.named(&swap.name).ok_or_else(|| nobody(&swap.name))?;
            self.replace(Arc::new(table.holding(&swap.name, Some(Hold::Migrating))));
        }
        let next = Seat { held: Some(Hold::Migrating), ..Seat::of(Arc::clone(&swap.serving)) };
        let next = table.seating(&swap.name, next).map_err(|clash| super::swap::claimed(&clash))?;
        let turn = self.turn(Arc::new(next));
        let (deadline, manifest) = (self.deadline(), swap.serving.manifest());
        let transaction = self.store.begin().map_err(|error| store(&error))?;
        let job = manifest.clone();
        let ran = watched(&mut self.watch, transaction, move |transaction| {
            batch(transaction, turn, |mut batch| {
                let from = remembered::of(&mut Buffer::new(&mut *batch.transaction), &job)?;
                let from = from.undo.map_or(from.state, |undo| undo.state);
                let migrated = batch.migrate(&job, from, true)?;
                Ok::<_, StoreError>(migrated.map(|again| (batch.turn, again)))
            })
        });
        let (ran, transaction) = ran.map_err(|_| too_late(&manifest.version, "with a part of its tables", deadline))?;
        let (turn, again) = ran.map_err(|error| store(&error))??;
        let sealed = seal(transaction, turn, self.latest).map_err(|error| store(&error))?;
        crash_point("migrated-part");
        Ok((again, self.sealed(sealed)))
    }

    /// Takes some rows back, and has the plugin serve again once all are as they were; whether there are more.
    ///
    /// # Errors
    /// The store's.
    pub fn give_back(&mut self, name: &str) -> Result<(bool, Released), Fault> {
        if self.take_back(name).map_err(|error| store(&error))? {
            return Ok((true, Released::default()));
        }
        let mut let_go_on = || -> Result<_, StoreError> {
            let mut transaction = self.store.begin()?;
            let waiting = let_go(&mut transaction, name)?;
            transaction.commit()?;
            Ok(waiting)
        };
        let waiting = let_go_on().map_err(|error| store(&error))?;
        self.replace(Arc::new(self.table.load().holding(name, None)));
        // Timers that were put away may be due.
        self.next_timer = Some(self.latest);
        Ok((false, Released { waiting, ..Released::default() }))
    }

    /// Takes some rows back; whether there are more.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn take_back(&mut self, name: &str) -> Result<bool, StoreError> {
        let mut transaction = self.store.begin()?;
        let rows = undo::take_back(&mut transaction, name)?;
        let mut buffer = Buffer::new(&mut transaction);
        let Some(known) = remembered::get(&mut buffer, name)? else { return Ok(false) };
        let Some(undo) = known.undo else { return Ok(false) };
        let left = if rows == 0 { 0 } else { undo.rows.saturating_sub(rows) };
        let known = match left {
            0 => Remembered { migrating: None, state: undo.state, undo: None, ..known },
            rows => Remembered { undo: Some(remembered::Undo { rows, ..undo }), ..known },
        };
        remembered::put(&mut buffer, name, &known);
        buffer.keep()?;
        transaction.commit()?;
        crash_point("gave-back-part");
        Ok(left > 0)
    }

    /// The tables are not to be taken back any more.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn give_up_undo(&mut self, name: &str, known: Remembered) -> Result<(), StoreError> {
        let mut transaction = self.store.begin()?;
        let mut buffer = Buffer::new(&mut transaction);
        remembered::put(&mut buffer, name, &Remembered { undo: None, ..known });
        buffer.keep()?;
        transaction.commit()?;
        while self.forget_undo(name)? {}
        Ok(())
    }

    /// Forgets what rows were like that nobody wants back; whether there may be more.
    ///
    /// # Errors
    /// The store's.
    pub fn forget_undo(&mut self, name: &str) -> Result<bool, StoreError> {
        let mut transaction = self.store.begin()?;
        let more = undo::forget(&mut transaction, name)?;
        transaction.commit()?;
        Ok(more)
    }
}
