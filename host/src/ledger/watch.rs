//! Handlers that run outside a batch (a swap, a migration, a look, a replay) on a thread of their own, which can be
//! given up when one of them is not done in time.
//!
//! Those of a batch run on the ledger's thread, and are watched by [`oversee`](super::oversee): there are two
//! changes of threads in each job here.

use super::at_work::{GivenUp, Patience, Progress, Stuck};
use super::lend::{Lent, lend};
use super::limits::{STUCK_THREADS, WATCH_TICKS};
use crate::store::Open;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

type Job = Box<dyn FnOnce() + Send>;

struct Worker {
    jobs: SyncSender<Job>,
    progress: Arc<Progress>,
}

/// Runs handlers under watch; see the module.
pub struct Watch {
    deadline: Duration,
    worker: Option<Worker>,
    given_up: GivenUp,
}

impl Watch {
    /// Handlers have so long for one event.
    pub fn new(deadline: Duration) -> Self {
        Watch { deadline, worker: None, given_up: GivenUp::default() }
    }

    /// How long a handler has for one event.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Threads given up, to which others add theirs.
    pub fn given_up(&self) -> &GivenUp {
        &self.given_up
    }

    /// Whether so many threads are stuck that no plugin that was may be tried again.
    pub fn is_exhausted(&self) -> bool {
        self.given_up.count() >= STUCK_THREADS
    }

    /// Runs a job with a transaction on loan, which is given back either way.
    pub fn run_with<R: Send + 'static>(
        &mut self,
        transaction: Open,
        job: impl FnOnce(&mut Lent) -> R + Send + 'static,
    ) -> (Result<R, Stuck>, Open) {
        let (loan, mut lent) = lend(transaction);
        let ran = self.run(move || job(&mut lent));
        (ran, loan.take_back())
    }

    /// Runs a job on the watched thread. What it has only on loan is to be taken back from it where it is stuck.
    ///
    /// # Errors
    /// [`Stuck`]. The job may go on for ever.
    ///
    /// # Panics
    /// When the job does.
    pub fn run<R: Send + 'static>(&mut self, job: impl FnOnce() -> R + Send + 'static) -> Result<R, Stuck> {
        let (deadline, tick) = (self.deadline, self.deadline / WATCH_TICKS);
        let worker = self.worker();
        let (tell, told) = sync_channel(1);
        let run: Job = Box::new(move || {
            let result = catch_unwind(AssertUnwindSafe(job));
            // Nobody listens any more where it took too long.
            drop(tell.send(result));
        });
        let ended = "the thread of handlers has ended: this is a bug of this program";
        assert!(worker.jobs.send(run).is_ok(), "{ended}");
        let mut patience = Patience::new(deadline);
        let stuck = loop {
            match told.recv_timeout(tick) {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(panic)) => resume_unwind(panic),
                Err(RecvTimeoutError::Disconnected) => panic!("{ended}"),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(stuck) = patience.look(&worker.progress) {
                break stuck;
            }
        };
        if let Some(worker) = self.worker.take() {
            self.given_up.add(&worker.progress);
        }
        Err(stuck)
    }

    /// The thread that handlers run on, a new one where the last was given up.
    fn worker(&mut self) -> &Worker {
        self.worker.get_or_insert_with(|| {
            let (jobs, inbox) = sync_channel::<Job>(1);
            let (tell, told) = sync_channel(1);
            let work = move || {
                drop(tell.send(Progress::of_this_thread()));
                while let Ok(job) = inbox.recv() {
                    job();
                }
            };
            let spawned = thread::Builder::new().name("handlers".to_owned()).spawn(work);
            // As when a thread of the site's own cannot be started: nothing can be served.
            spawned.expect("the system has room for a thread");
            Worker { jobs, progress: told.recv().expect("a thread that has begun says so") }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ledger::at_work::at_work;
    use crate::store::{MemoryStore, Shelf, Transaction};
    use std::sync::mpsc;
    use std::time::Instant;

    const SOON: Duration = Duration::from_millis(50);
    /// Ten times what an event of these tests takes, so that a busy machine does not make it late.
    const LATER: Duration = Duration::from_secs(1);

    #[test]
    fn a_job_that_never_ends_is_given_up_and_the_next_one_runs() {
        let mut shelf = Shelf::new(Box::new(MemoryStore::new()));
        let mut watch = Watch::new(SOON);
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let (stuck, transaction) = watch.run_with(shelf.begin().unwrap(), move |lent| {
            let _outer = at_work(6);
            let _inner = at_work(7);
            let _ = may_go_on.recv();
            tell.send(lent.get("t", b"k")).unwrap();
        });
        assert_eq!(stuck, Err(Stuck { generation: 7 }), "the one called last is at fault");
        assert_eq!(watch.given_up().count(), 1);
        assert_eq!(watch.run_with(transaction, |lent| lent.get("t", b"k")).0, Ok(Ok(None)));
        go_on.send(()).unwrap();
        assert!(told.recv().unwrap().is_err(), "what comes late has no transaction");
        while watch.given_up().count() > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn many_events_may_take_longer_together_and_so_may_the_host_itself() {
        let mut watch = Watch::new(LATER);
        let busy = |time| {
            let begun = Instant::now();
            while begun.elapsed() < time {
                thread::yield_now();
            }
        };
        let done = watch.run(move || {
            for _ in 0..15 {
                let _at_work = at_work(1);
                busy(LATER / 10);
            }
            busy(LATER + SOON);
            5
        });
        assert_eq!((done, watch.given_up().count()), (Ok(5), 0));
    }

    #[test]
    fn a_panic_of_the_host_is_one_of_the_calling_thread() {
        let mut watch = Watch::new(SOON);
        assert!(catch_unwind(AssertUnwindSafe(|| watch.run(|| panic!("a bug")))).is_err());
        assert_eq!(watch.run(|| 5), Ok(5));
    }
}
