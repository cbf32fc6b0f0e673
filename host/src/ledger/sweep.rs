//! Rows of the host's own that have run out, deleted a few at a time (PROTOCOL 1.5, 2.1): relations past
//! their end, tickets long dead. Both count for nothing from their end on; this is about room.

use crate::ledger::buffer::Buffer;
use crate::site::relations::{self, RelationChange};
use crate::site::tickets;
use crate::store::{StoreError, Transaction};
use tallyho_plugin::record::Timestamp;

/// Where the next step goes on in each table.
#[derive(Debug, Default)]
pub struct Sweep {
    relations: Vec<u8>,
    tickets: Vec<u8>,
}

impl Sweep {
    /// Deletes what has run out among the next few rows of each table; the relations that ended. Commits
    /// only where there was something.
    ///
    /// # Errors
    /// The store's; nothing has changed then, and the next step is the same one.
    pub fn step(
        &mut self,
        mut transaction: Box<dyn Transaction + '_>,
        now: Timestamp,
    ) -> Result<Vec<RelationChange>, StoreError> {
        let mut rows = Buffer::new(&mut *transaction);
        let (ended, relations) = relations::sweep(&mut rows, &self.relations, now)?;
        let (dead, tickets) = tickets::sweep(&mut rows, &self.tickets, now)?;
        if !ended.is_empty() || dead > 0 {
            rows.keep()?;
            transaction.commit()?;
        }
        *self = Sweep { relations: relations.unwrap_or_default(), tickets: tickets.unwrap_or_default() };
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::site::limits::SWEEP_ROWS;
    use crate::store::{MemoryStore, Store};
    use tallyho_plugin::record::AgentId;
    use tallyho_plugin::services::{Range, Relation};

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn rows(store: &mut MemoryStore) -> usize {
        let range = Range { limit: 10_000, ..Range::default() };
        store.begin().unwrap().scan(relations::TABLE, &range).unwrap().len()
    }

    #[test]
    fn steps_go_through_the_whole_table_and_begin_again() {
        let mut store = MemoryStore::new();
        let count = 2 * SWEEP_ROWS as usize + 1;
        let relate = |store: &mut MemoryStore, range: std::ops::Range<usize>| {
            let mut transaction = store.begin().unwrap();
            let mut buffer = Buffer::new(&mut *transaction);
            for number in range {
                let relation = Relation {
                    user: "alice".to_owned(),
                    subject: format!("{number:06}"),
                    partner: "bob".to_owned(),
                    agent: AgentId::from_bytes(&[7; 32]),
                    host: None,
                    port: None,
                    until: (number % 2 == 0).then_some(NOW),
                };
                relations::relate(&mut buffer, "tally", &relation).unwrap();
            }
            buffer.keep().unwrap();
            transaction.commit().unwrap();
        };
        relate(&mut store, 0..count);
        let mut sweep = Sweep::default();
        assert!(sweep.step(store.begin().unwrap(), NOW.plus(-1)).unwrap().is_empty(), "they hold until their end");
        let mut sweep = Sweep::default();
        let mut ended = 0;
        for _ in 0..3 {
            ended += sweep.step(store.begin().unwrap(), NOW).unwrap().len();
        }
        assert_eq!((ended, rows(&mut store)), (count.div_ceil(2), count / 2));
        // What has come behind the cursor is found in the next round.
        relate(&mut store, 0..1);
        assert_eq!(sweep.step(store.begin().unwrap(), NOW).unwrap().len(), 1);
    }
}
