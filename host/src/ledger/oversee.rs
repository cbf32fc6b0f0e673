//! A thread that handlers may never give back, and another that then goes on in its place.
//!
//! Handlers of a batch run on the ledger's own thread: to hand each batch to another thread and back would cost more
//! than a small batch takes. What the ledger's thread has at that moment it leaves on a desk. A second thread
//! looks there now and then; where a handler is not done in time, it gives what was left to a new thread of the ledger.
//! The old one, should it ever come back, finds that and ends.

use super::at_work::{GivenUp, Patience, Progress, Stuck};
use super::limits::WATCH_TICKS;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Watches the threads that go by turns at what a `T` is needed for.
pub struct Overseer<T>(Arc<Shared<T>>);

impl<T> Clone for Overseer<T> {
    fn clone(&self) -> Self {
        Overseer(Arc::clone(&self.0))
    }
}

struct Shared<T> {
    deadline: Duration,
    given_up: GivenUp,
    desk: Mutex<Desk<T>>,
    /// Something was left, or nothing ever will be again.
    left: Condvar,
}

struct Desk<T> {
    left: Option<Left<T>>,
    /// The watching thread sleeps until something is left.
    asleep: bool,
    closed: bool,
}

/// What a thread has left while handlers are at work on it.
struct Left<T> {
    what: T,
    by: Arc<Progress>,
}

/// What to do with what was left, on a new thread.
pub type GoOn<T> = fn(T, Stuck);

impl<T: Send + 'static> Overseer<T> {
    /// Starts the thread that watches. `go_on` is run on a new thread of this name with what was left by one that
    /// was given up.
    ///
    /// # Errors
    /// The system's, when no thread can be started.
    pub fn start(name: &'static str, deadline: Duration, given_up: GivenUp, go_on: GoOn<T>) -> std::io::Result<Self> {
        let desk = Mutex::new(Desk { left: None, asleep: false, closed: false });
        let shared = Arc::new(Shared { deadline, given_up, desk, left: Condvar::new() });
        let watching = Arc::clone(&shared);
        thread::Builder::new().name("overseer".to_owned()).spawn(move || watching.watch(name, go_on))?;
        Ok(Overseer(shared))
    }

    /// Runs handlers on this thread with `left` out of its hands. `None`: another has gone on with that, and this
    /// thread is to end.
    ///
    /// # Panics
    /// When the job does.
    pub fn mind<R>(&self, left: T, job: impl FnOnce() -> R) -> Option<(T, R)> {
        let by = Progress::of_this_thread();
        let mut desk = self.0.desk();
        desk.left = Some(Left { what: left, by: Arc::clone(&by) });
        let wake = std::mem::take(&mut desk.asleep);
        drop(desk);
        if wake {
            self.0.left.notify_one();
        }
        let result = catch_unwind(AssertUnwindSafe(job));
        // What stands there may have been left by the thread that went on.
        let left = self.0.desk().left.take_if(|left| Arc::ptr_eq(&left.by, &by))?;
        match result {
            Ok(result) => Some((left.what, result)),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Nothing will be left any more: the thread that watches ends.
    pub fn close(&self) {
        self.0.desk().closed = true;
        self.0.left.notify_one();
    }
}

impl<T: Send + 'static> Shared<T> {
    fn desk(&self) -> MutexGuard<'_, Desk<T>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, name: &'static str, go_on: GoOn<T>) {
        let mut patience = Patience::new(self.deadline);
        let mut idle = false;
        let mut desk = self.desk();
        while !desk.closed {
            match &desk.left {
                Some(left) => {
                    idle = false;
                    if let Some(stuck) = patience.look(&left.by)
                        && let Some(Left { what, by }) = desk.left.take()
                    {
                        drop(desk);
                        self.given_up.add(&by);
                        patience = Patience::new(self.deadline);
                        let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || go_on(what, stuck));
                        if let Err(error) = spawned {
                            // What was left is dropped with it: whoever waits for it learns so.
                            log::error!("no thread can go on in the place of one that loops: {error}");
                        }
                        desk = self.desk();
                        continue;
                    }
                }
                None => {
                    patience = Patience::new(self.deadline);
                    // To be woken for each of a few events would cost them more than a look now and then.
                    if std::mem::replace(&mut idle, true) {
                        desk.asleep = true;
                        desk = self.left.wait(desk).unwrap_or_else(PoisonError::into_inner);
                        desk.asleep = false;
                        continue;
                    }
                }
            }
            desk = self.left.wait_timeout(desk, self.deadline / WATCH_TICKS).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ledger::at_work::at_work;
    use std::sync::mpsc::{Receiver, Sender, channel};

    const SOON: Duration = Duration::from_millis(50);

    /// What a thread has: where to say what became of it, and the overseer itself.
    struct Hat {
        tell: Sender<Option<Stuck>>,
        overseer: Overseer<Hat>,
    }

    impl Drop for Hat {
        fn drop(&mut self) {
            let _ = self.tell.send(None);
            self.overseer.close();
        }
    }

    fn bench() -> (Hat, GivenUp, Receiver<Option<Stuck>>) {
        let given_up = GivenUp::default();
        let overseer = Overseer::start("hat", SOON, given_up.clone(), |hat: Hat, stuck| {
            hat.tell.send(Some(stuck)).unwrap();
            // It is minded as the one before it was.
            let overseer = hat.overseer.clone();
            assert!(overseer.mind(hat, || 5).is_some_and(|(_, five)| five == 5));
        });
        let (tell, told) = channel();
        (Hat { tell, overseer: overseer.unwrap() }, given_up, told)
    }

    #[test]
    fn what_a_thread_has_is_given_back_to_it_when_it_is_done_in_time() {
        let (mut hat, given_up, told) = bench();
        let overseer = hat.overseer.clone();
        for round in 0..1_000 {
            let (back, result) = overseer.mind(hat, || (round, at_work(1)).0).unwrap();
            assert_eq!(result, round);
            hat = back;
        }
        assert_eq!(given_up.count(), 0);
        drop(hat);
        assert_eq!(told.recv(), Ok(None));
    }

    #[test]
    fn another_goes_on_in_the_place_of_a_thread_that_does_not_come_back_and_that_one_ends_if_it_does() {
        let (hat, given_up, told) = bench();
        let overseer = hat.overseer.clone();
        let (go_on, may_go_on) = channel::<()>();
        let stuck = thread::spawn(move || {
            let minded = overseer.mind(hat, || {
                let _outer = at_work(6);
                let _inner = at_work(7);
                may_go_on.recv().unwrap();
            });
            minded.is_none()
        });
        assert_eq!(told.recv(), Ok(Some(Stuck { generation: 7 })), "the one called last is at fault");
        assert_eq!(told.recv(), Ok(None), "the other thread is done");
        assert_eq!(given_up.count(), 1);
        go_on.send(()).unwrap();
        assert!(stuck.join().unwrap(), "it has nothing any more");
        assert_eq!(given_up.count(), 0);
    }

    #[test]
    fn the_host_itself_may_take_longer() {
        let (hat, given_up, _told) = bench();
        let overseer = hat.overseer.clone();
        let (_never, waits) = channel::<()>();
        let minded = overseer.mind(hat, || waits.recv_timeout(4 * SOON).is_err());
        assert!(minded.is_some_and(|(_, late)| late));
        assert_eq!(given_up.count(), 0);
    }

    #[test]
    fn a_panic_takes_what_was_left_with_it() {
        let (hat, _, told) = bench();
        let overseer = hat.overseer.clone();
        assert!(catch_unwind(AssertUnwindSafe(|| overseer.mind(hat, || panic!("a bug")))).is_err());
        assert_eq!(told.recv(), Ok(None), "it was dropped");
    }
}
