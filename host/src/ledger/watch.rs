//! Handlers under watch: they run on a thread that can be given up when one of them is not done in time.
//!
//! The ledger's thread lends the transaction to that thread for a batch and waits. The two tell each other
//! nothing for each event but two numbers in memory, so the watch costs a batch some ten microseconds and
//! an event next to nothing.

use super::limits::{AWAKE, STUCK_THREADS, WATCH_TICKS};
use crate::plugin::lend::{Lent, lend};
use crate::store::Transaction;
use rustix::process::Pid;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// What a thread says of the handler at work on it.
#[derive(Default)]
struct Progress {
    /// Events begun: another number, another event.
    events: AtomicU64,
    /// The generation at work, the one called last where one calls another; 0: none.
    generation: AtomicU64,
    /// The system's number of the thread.
    thread: AtomicI32,
}

thread_local! {
    static PROGRESS: RefCell<Option<Arc<Progress>>> = const { RefCell::new(None) };
}

/// A handler at work on this thread, until dropped.
pub struct AtWork(Option<(Arc<Progress>, u64)>);

/// A handler of this generation begins to work on this thread.
pub fn at_work(generation: u64) -> AtWork {
    AtWork(PROGRESS.with_borrow(|progress| {
        let progress = progress.as_ref()?;
        let before = progress.generation.swap(generation, Ordering::Relaxed);
        if before == 0 {
            progress.events.fetch_add(1, Ordering::Relaxed);
        }
        Some((Arc::clone(progress), before))
    }))
}

impl Drop for AtWork {
    fn drop(&mut self) {
        if let Some((progress, before)) = &self.0 {
            progress.generation.store(*before, Ordering::Relaxed);
        }
    }
}

/// A handler was not done in time; its thread was given up, and the transaction has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stuck {
    /// The generation that was at work.
    pub generation: u64,
}

type Job = Box<dyn FnOnce() + Send>;

struct Worker {
    jobs: SyncSender<Job>,
    progress: Arc<Progress>,
}

/// Counts a thread for as long as it lives.
struct Lives(Arc<AtomicUsize>);

impl Drop for Lives {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What comes within [`AWAKE`], waited for without sleeping: to be woken costs more than the smallest batch takes.
fn soon<T>(inbox: &Receiver<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        match inbox.try_recv() {
            Ok(value) => return Some(value),
            Err(TryRecvError::Empty) if begun.elapsed() < AWAKE => thread::yield_now(),
            Err(_) => return None,
        }
    }
}

/// Runs handlers under watch; see the module.
pub struct Watch {
    deadline: Duration,
    worker: Option<Worker>,
    threads: Arc<AtomicUsize>,
}

impl Watch {
    /// Handlers have so long for one event.
    pub fn new(deadline: Duration) -> Self {
        Watch { deadline, worker: None, threads: Arc::default() }
    }

    /// How long a handler has for one event.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Threads given up that are still at work.
    pub fn stuck(&self) -> usize {
        self.threads.load(Ordering::Relaxed).saturating_sub(usize::from(self.worker.is_some()))
    }

    /// Whether so many threads are stuck that no plugin that was may be tried again.
    pub fn is_exhausted(&self) -> bool {
        self.stuck() >= STUCK_THREADS
    }

    /// Runs a job with the transaction, on the watched thread.
    ///
    /// # Errors
    /// [`Stuck`]. The job may go on for ever, but without the transaction.
    ///
    /// # Panics
    /// When the job does.
    pub fn run<R: Send + 'static>(
        &mut self,
        transaction: &mut (dyn Transaction + '_),
        job: impl FnOnce(&mut Lent) -> R + Send + 'static,
    ) -> Result<R, Stuck> {
        let (deadline, tick) = (self.deadline, self.deadline / WATCH_TICKS);
        let worker = self.worker();
        let result = lend(transaction, |mut lent| {
            let (tell, told) = sync_channel(1);
            let run: Job = Box::new(move || {
                let result = catch_unwind(AssertUnwindSafe(|| job(&mut lent)));
                // Nobody listens any more where it took too long.
                drop(tell.send(result));
            });
            if worker.jobs.send(run).is_err() {
                panic!("the thread of handlers has ended: this is a bug of this program");
            }
            let (mut event, mut since) = (0, Instant::now());
            let mut early = soon(&told);
            loop {
                match early.take().map_or_else(|| told.recv_timeout(tick), Ok) {
                    Ok(result) => return Ok(result),
                    Err(RecvTimeoutError::Disconnected) => {
                        panic!("the thread of handlers has ended: this is a bug of this program")
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                }
                let now = worker.progress.events.load(Ordering::Relaxed);
                let generation = worker.progress.generation.load(Ordering::Relaxed);
                if generation == 0 || now != event {
                    (event, since) = (now, Instant::now());
                } else if since.elapsed() >= deadline {
                    return Err(Stuck { generation });
                }
            }
        });
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(stuck) => {
                self.give_up();
                Err(stuck)
            }
        }
    }

    /// The thread that handlers run on, a new one where the last was given up.
    fn worker(&mut self) -> &Worker {
        self.worker.get_or_insert_with(|| {
            let progress = Arc::new(Progress::default());
            let (jobs, inbox) = sync_channel::<Job>(1);
            let own = Arc::clone(&progress);
            self.threads.fetch_add(1, Ordering::Relaxed);
            let lives = Lives(Arc::clone(&self.threads));
            let work = move || {
                let _lives = lives;
                own.thread.store(rustix::thread::gettid().as_raw_nonzero().get(), Ordering::Relaxed);
                PROGRESS.set(Some(own));
                while let Some(job) = soon(&inbox).or_else(|| inbox.recv().ok()) {
                    job();
                }
            };
            let spawned = thread::Builder::new().name("handlers".to_owned()).spawn(work);
            // As when a thread of the site's own cannot be started: nothing can be served.
            spawned.expect("the system has room for a thread");
            Worker { jobs, progress }
        })
    }

    /// Leaves the thread to itself. It cannot be ended, but it can be made to wait behind all others.
    fn give_up(&mut self) {
        let Some(worker) = self.worker.take() else { return };
        if let Some(thread) = Pid::from_raw(worker.progress.thread.load(Ordering::Relaxed))
            && let Err(error) = rustix::process::setpriority_process(Some(thread), 19)
        {
            log::warn!("a handler that loops takes processor time from the others: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::{MemoryStore, Store};
    use std::sync::mpsc;

    const SOON: Duration = Duration::from_millis(50);
    /// Ten times what an event of these tests takes, so that a busy machine does not make it late.
    const LATER: Duration = Duration::from_secs(1);

    #[test]
    fn a_job_that_never_ends_is_given_up_and_the_next_one_runs() {
        let mut store = MemoryStore::new();
        let mut watch = Watch::new(SOON);
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let mut transaction = store.begin().unwrap();
        let stuck = watch.run(&mut *transaction, move |lent| {
            let _outer = at_work(6);
            let _inner = at_work(7);
            let _ = may_go_on.recv();
            tell.send(lent.get("t", b"k")).unwrap();
        });
        assert_eq!(stuck, Err(Stuck { generation: 7 }), "the one called last is at fault");
        assert_eq!(watch.stuck(), 1);
        drop(transaction);
        let mut transaction = store.begin().unwrap();
        assert_eq!(watch.run(&mut *transaction, |lent| lent.get("t", b"k")), Ok(Ok(None)));
        go_on.send(()).unwrap();
        assert!(told.recv().unwrap().is_err(), "what comes late has no transaction");
        while watch.stuck() > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn many_events_may_take_longer_together_and_so_may_the_host_itself() {
        let mut store = MemoryStore::new();
        let mut watch = Watch::new(LATER);
        let mut transaction = store.begin().unwrap();
        let busy = |time| {
            let begun = Instant::now();
            while begun.elapsed() < time {
                thread::yield_now();
            }
        };
        let done = watch.run(&mut *transaction, move |_| {
            for _ in 0..15 {
                let _at_work = at_work(1);
                busy(LATER / 10);
            }
            busy(LATER + SOON);
            5
        });
        assert_eq!((done, watch.stuck()), (Ok(5), 0));
    }

    #[test]
    fn a_panic_of_the_host_is_one_of_the_ledgers_thread() {
        let mut store = MemoryStore::new();
        let mut watch = Watch::new(SOON);
        let mut transaction = store.begin().unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _ = watch.run(&mut *transaction, |_| panic!("a bug"));
        }));
        assert!(panicked.is_err());
    }
}
