//! Which handler is at work on a thread, for those who watch it: two numbers in memory, so that being watched costs
//! an event next to nothing.

use rustix::process::Pid;
use std::cell::RefCell;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// What a thread says of the handler at work on it.
#[derive(Default)]
pub struct Progress {
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

impl Progress {
    /// That of the calling thread, which is kept from now on.
    pub fn of_this_thread() -> Arc<Progress> {
        let new = || {
            let thread = AtomicI32::new(rustix::thread::gettid().as_raw_nonzero().get());
            Arc::new(Progress { thread, ..Progress::default() })
        };
        PROGRESS.with_borrow_mut(|progress| Arc::clone(progress.get_or_insert_with(new)))
    }
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

/// Since when a thread has been at the same event.
pub struct Patience {
    deadline: Duration,
    event: u64,
    since: Instant,
}

impl Patience {
    /// So long for one event, from now on.
    pub fn new(deadline: Duration) -> Self {
        Patience { deadline, event: 0, since: Instant::now() }
    }

    /// Looks at the thread: whether a handler has been at one event for too long.
    pub fn look(&mut self, progress: &Progress) -> Option<Stuck> {
        let event = progress.events.load(Ordering::Relaxed);
        let generation = progress.generation.load(Ordering::Relaxed);
        if generation == 0 || event != self.event {
            (self.event, self.since) = (event, Instant::now());
        }
        (self.since.elapsed() >= self.deadline).then_some(Stuck { generation })
    }
}

/// Threads that were given up. They cannot be ended.
#[derive(Clone, Default)]
pub struct GivenUp(Arc<Mutex<Vec<Weak<Progress>>>>);

impl GivenUp {
    /// Leaves a thread to itself, made to wait behind all others.
    pub fn add(&self, progress: &Arc<Progress>) {
        if let Some(thread) = Pid::from_raw(progress.thread.load(Ordering::Relaxed))
            && let Err(error) = rustix::process::setpriority_process(Some(thread), 19)
        {
            log::warn!("a handler that loops takes processor time from the others: {error}");
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(progress));
    }

    /// How many of them are still at work.
    pub fn count(&self) -> usize {
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| thread.strong_count() > 0);
        threads.len()
    }
}
