//! Signature checks made beforehand, on other processors, in no order; their events stay in order.

use super::table::Serving;
use crate::plugin::Given;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
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

    /// Waits for the checks, at most so long. A worker fills every slot it takes, also when the handler's
    /// `prepare` panics; only where that never ends, [`Workers::overdue`] has to.
    pub fn wait(&self, patience: Duration) -> Option<Checked> {
        let (place, filled) = &*self.0;
        let place = place.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = filled.wait_timeout_while(place, patience, |place| place.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
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

/// Checks to be made.
struct Job {
    serving: Arc<Serving>,
    event: Arc<Given>,
    promise: Promise,
}

/// What a worker is asking a handler.
#[derive(Default)]
struct Worker {
    /// The generation asked, since when, and where its answer is waited for.
    asking: Mutex<Option<(u64, Instant, Slot)>>,
    /// Another has taken its place.
    given_up: AtomicBool,
}

impl Worker {
    fn asking(&self) -> MutexGuard<'_, Option<(u64, Instant, Slot)>> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Worker threads that make checks.
pub struct Workers {
    jobs: SyncSender<Job>,
    inbox: Arc<Mutex<Receiver<Job>>>,
    workers: Mutex<Vec<Arc<Worker>>>,
}

impl Workers {
    /// Starts `threads` workers with room for `waiting` events. They end when the value is dropped.
    ///
    /// # Errors
    /// The system's, when no thread can be started.
    pub fn start(threads: usize, waiting: usize) -> std::io::Result<Self> {
        let (jobs, inbox) = sync_channel::<Job>(waiting);
        let inbox = Arc::new(Mutex::new(inbox));
        let workers = (0..threads.max(1)).map(|_| spawn(&inbox)).collect::<Result<_, _>>()?;
        Ok(Workers { jobs, inbox, workers: Mutex::new(workers) })
    }

    /// Has the checks of an event made; waits where too many are waiting already.
    pub fn check(&self, serving: Arc<Serving>, event: Arc<Given>) -> Slot {
        let slot = Slot::default();
        // Where no worker is left the promise comes back, is dropped, and `verify` makes the checks itself.
        drop(self.jobs.send(Job { serving, event, promise: Promise(slot.clone()) }));
        slot
    }

    /// The generations whose `prepare` is not done within the deadline. Nobody waits for them any more, and
    /// other workers take the places of those that do.
    pub fn overdue(&self, deadline: Duration) -> Vec<u64> {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut generations = Vec::new();
        for worker in workers.iter_mut() {
            let asking = worker.asking().take_if(|(_, since, _)| since.elapsed() >= deadline);
            let Some((generation, _, slot)) = asking else { continue };
            worker.given_up.store(true, Ordering::Relaxed);
            generations.push(generation);
            slot.fill(Checked::new());
            match spawn(&self.inbox) {
                Ok(other) => *worker = other,
                Err(error) => log::error!("a thread for signature checks is lost: {error}"),
            }
        }
        generations
    }
}

fn spawn(inbox: &Arc<Mutex<Receiver<Job>>>) -> std::io::Result<Arc<Worker>> {
    let (inbox, worker) = (Arc::clone(inbox), Arc::new(Worker::default()));
    let own = Arc::clone(&worker);
    thread::Builder::new().name("verify".to_owned()).spawn(move || work(&inbox, &own))?;
    Ok(worker)
}

fn work(inbox: &Mutex<Receiver<Job>>, worker: &Worker) {
    while !worker.given_up.load(Ordering::Relaxed) {
        let job = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { serving, event, promise }) = job else { return };
        let in_flight = serving.enter();
        let made = catch_unwind(AssertUnwindSafe(|| {
            *worker.asking() = Some((serving.generation(), Instant::now(), promise.0.clone()));
            // What the handler does not name is checked when it asks.
            let checks = serving.plugin.prepare(&event).unwrap_or_default();
            worker.asking().take();
            let checked = checks.into_iter().map(|check| {
                let stands = verify(&check);
                (check, stands)
            });
            promise.0.fill(checked.collect());
        }));
        // The payload is not dropped: doing so may panic again, and end this worker.
        made.unwrap_or_else(std::mem::forget);
        worker.asking().take();
        drop(in_flight);
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
