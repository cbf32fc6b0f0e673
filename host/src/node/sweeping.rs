//! Has what has run out swept away while the site runs.

use crate::ledger::Ledger;
use crate::ledger::sweep::Sweep;
use crate::ledger::thread::Clock;
use async_std::task;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// Between two steps: a step looks at a few hundred rows, about a millisecond of the ledger's time, so
/// the largest site is through in two hours, and what has run out counts for nothing meanwhile.
pub(super) const PAUSE: Duration = if cfg!(test) { Duration::from_millis(1) } else { Duration::from_secs(5) };

/// Sweeps until the ledger is gone.
pub(super) async fn sweep(ledger: Weak<Ledger>, clock: Arc<dyn Clock>, pause: Duration) {
    let sweep = Arc::new(Mutex::new(Sweep::default()));
    loop {
        task::sleep(pause).await;
        let Some(ledger) = ledger.upgrade() else { return };
        let (sweep, now) = (Arc::clone(&sweep), clock.now());
        ledger.ask_urgently(move |core| {
            let swept = core.sweep(&mut sweep.lock().unwrap_or_else(PoisonError::into_inner), now);
            if let Err(error) = swept {
                log::debug!("nothing can be swept away now: {error}");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ledger::buffer::Buffer;
    use crate::node::{Node, NodeOptions};
    use crate::site::home::Home;
    use crate::site::relations;
    use crate::store::Store;
    use tallyho_plugin::record::{AgentId, Timestamp};
    use tallyho_plugin::services::{Range, Relation};

    #[test]
    fn a_running_site_forgets_relations_that_have_run_out() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path()).unwrap();
        std::fs::write(home.config(), crate::node::loading::none_enabled()).unwrap();
        {
            let mut store = crate::node::founding::found(&home, true).unwrap();
            let mut transaction = store.begin().unwrap();
            let mut buffer = Buffer::new(&mut *transaction);
            for (subject, until) in [("past", Some(Timestamp(1))), ("lasting", None)] {
                let relation = Relation {
                    user: "alice".to_owned(),
                    subject: subject.to_owned(),
                    partner: "bob".to_owned(),
                    agent: AgentId::from_bytes(&[7; 32]),
                    host: None,
                    port: None,
                    until,
                };
                relations::relate(&mut buffer, "tally", &relation).unwrap();
            }
            buffer.keep().unwrap();
            transaction.commit().unwrap();
        }
        let node = Node::open(home, &NodeOptions { offline: true, ..NodeOptions::default() }).unwrap();
        let rows = || {
            let range = Range { limit: 10, ..Range::default() };
            node.ledger.ask(move |core| core.read(|rows| rows.scan(relations::TABLE, &range))).unwrap().unwrap().len()
        };
        let begun = std::time::Instant::now();
        while rows() == 2 {
            assert!(begun.elapsed() < Duration::from_secs(60), "nothing is swept");
        }
        assert_eq!(rows(), 1);
        node.stop();
    }
}
