//! Signature checks made beforehand, on other processors, in no order; their events stay in order.

use super::table::Serving;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use tallyho_plugin::Event;
use tallyho_plugin::record::signing::verify;
use tallyho_plugin::services::Check;

/// Checks made, with what came of each.
pub type Checked = HashMap<Check, bool>;

/// Where the checks of one event will be found.
#[derive(Clone, Default)]
pub struct Slot(Arc<(Mutex<Option<Checked>>, Condvar)>);

impl Slot {
    fn fill(&self, checked: Checked) {
        let (place, filled) = &*self.0;
        place.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(checked);
        filled.notify_all();
    }

    /// Waits for the checks. A worker fills every slot it takes, also when the handler's `prepare`
    /// panics, so the wait is as long as the checks take.
    pub fn wait(&self) -> Checked {
        let (place, filled) = &*self.0;
        let place = place.lock().unwrap_or_else(PoisonError::into_inner);
        let mut place = filled.wait_while(place, |place| place.is_none()).unwrap_or_else(PoisonError::into_inner);
        place.take().unwrap_or_default()
    }
}

/// Fills the slot with nothing when dropped, where nothing has filled it: whatever happens to the
/// worker, nobody waits for ever.
struct Promise(Slot);

impl Drop for Promise {
    fn drop(&mut self) {
        self.0.fill(Checked::new());
    }
}

struct Job {
    serving: Arc<Serving>,
    event: Arc<Event>,
    promise: Promise,
}

/// Worker threads that make checks.
pub struct Workers {
    jobs: SyncSender<Job>,
}

impl Workers {
    /// Starts `threads` workers with room for `waiting` events. They end when the value is dropped.
    ///
    /// # Errors
    /// The system's, when no thread can be started.
    pub fn start(threads: usize, waiting: usize) -> std::io::Result<Self> {
        let (jobs, inbox) = sync_channel::<Job>(waiting);
        let inbox = Arc::new(Mutex::new(inbox));
        for number in 0..threads.max(1) {
            let inbox = Arc::clone(&inbox);
            thread::Builder::new().name(format!("verify-{number}")).spawn(move || work(&inbox))?;
        }
        Ok(Workers { jobs })
    }

    /// Has the checks of an event made; waits where too many are waiting already.
    pub fn check(&self, serving: Arc<Serving>, event: Arc<Event>) -> Slot {
        let slot = Slot::default();
        // Where no worker is left the promise comes back, is dropped, and `verify` makes the checks itself.
        drop(self.jobs.send(Job { serving, event, promise: Promise(slot.clone()) }));
        slot
    }
}

fn work(inbox: &Mutex<Receiver<Job>>) {
    loop {
        let job = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        let Job { serving, event, promise } = job;
        let in_flight = serving.enter();
        let made = catch_unwind(AssertUnwindSafe(|| {
            // What the handler does not name is checked when it asks.
            let checks = serving.plugin.prepare(&event).unwrap_or_default();
            let checked = checks.into_iter().map(|check| {
                let stands = verify(&check);
                (check, stands)
            });
            promise.0.fill(checked.collect());
        }));
        // The payload is not dropped: doing so may panic again, and end this worker.
        made.unwrap_or_else(std::mem::forget);
        drop(in_flight);
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
