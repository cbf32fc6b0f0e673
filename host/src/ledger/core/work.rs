//! A batch in three steps, so that its handlers can be at work with the core out of reach: begun with the core, run
//! with what is lent to it, ended with the core again.

use super::batch::{Turn, batch};
use super::{Core, Done, rollback, seal};
use crate::ledger::at_work::Stuck;
use crate::ledger::input::{Input, Outcome};
use crate::ledger::lend::{Lent, Loan, lend};
use crate::ledger::table::PluginTable;
use crate::ledger::verify::Checked;
use crate::store::StoreError;
use std::sync::Arc;
use tallyho_plugin::record::Timestamp;

/// What the core keeps of a batch that was begun.
pub(super) struct Begun {
    loan: Loan,
    /// Who served what then.
    table: Arc<PluginTable>,
}

/// A batch that was begun, to be run. It has nothing of the core's but on loan.
pub struct Work {
    inputs: Arc<Vec<(Input, Checked)>>,
    turn: Turn,
    lent: Lent,
}

/// A batch that was run, to be ended.
pub struct Ran(Result<(Turn, Vec<Outcome>), StoreError>);

impl Work {
    /// Gives each input to its handler.
    pub fn run(self) -> Ran {
        let Work { inputs, turn, mut lent } = self;
        Ran(batch(&mut lent, turn, |mut batch| {
            let mut outcomes = Vec::with_capacity(inputs.len());
            for (input, checked) in &*inputs {
                outcomes.push(batch.input(input, checked)?);
            }
            Ok((batch.turn, outcomes))
        }))
    }
}

impl Core {
    /// Begins a batch of these inputs. Until it is [ended](Self::end) nothing else can be done with the store.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply).
    pub fn begin(&mut self, inputs: &Arc<Vec<(Input, Checked)>>, now: Timestamp) -> Result<Work, StoreError> {
        self.latest = self.latest.max(now);
        let begun = self.begun(inputs);
        self.look_again(begun.is_err());
        begun
    }

    fn begun(&mut self, inputs: &Arc<Vec<(Input, Checked)>>) -> Result<Work, StoreError> {
        let table = self.table.load_full();
        let mut turn = self.turn(Arc::clone(&table));
        let mut transaction = self.store.begin()?;
        for rolled_back in &self.fallen {
            rollback::record(&mut transaction, &mut turn, rolled_back)?;
        }
        let (loan, lent) = lend(transaction);
        self.begun = Some(Begun { loan, table });
        Ok(Work { inputs: Arc::clone(inputs), turn, lent })
    }

    /// Commits a batch that was run. `None`: a handler was not done in time, or none was begun; everything is rolled
    /// back, and the same inputs are to be run again, without that plugin.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply).
    pub fn end(&mut self, ran: Result<Ran, Stuck>) -> Result<Option<Done>, StoreError> {
        let Some(Begun { loan, table }) = self.begun.take() else { return Ok(None) };
        let transaction = loan.take_back();
        let ran = match ran {
            Ok(Ran(ran)) => ran,
            Err(stuck) => {
                drop(transaction);
                self.overdue(stuck);
                return Ok(None);
            }
        };
        let sealed = ran.and_then(|(turn, outcomes)| Ok((seal(transaction, turn, self.latest)?, outcomes)));
        self.look_again(sealed.is_err());
        let (sealed, outcomes) = sealed?;
        if !Arc::ptr_eq(&sealed.turn.table, &table) {
            // A build on probation has failed in this batch.
            self.replace(Arc::clone(&sealed.turn.table));
        }
        self.fallen.clear();
        let released = self.sealed(sealed);
        Ok(Some(Done { outcomes, released }))
    }

    /// After a batch that failed: the timers found may not have been run.
    fn look_again(&mut self, failed: bool) {
        if failed {
            self.next_timer = Some(self.latest);
        }
    }
}
