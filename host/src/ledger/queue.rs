//! Inputs waiting for the ledger, bounded, with producers that can wait without a thread.

use super::core::Core;
use super::input::{Input, Outcome, Released};
use super::limits::{BATCH, QUEUE, RECEIPT_WAIT, ROOM, SPENT};
use super::verify::{Checked, Slot};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tallyho_plugin::record::Timestamp;

/// Told what came of an input once that is durable.
pub type Tell = Box<dyn FnOnce(Outcome) + Send>;

/// Something for the ledger's thread to do.
// Nearly all items are inputs, the largest: boxing them would only cost allocations.
#[allow(clippy::large_enum_variant)]
pub enum Item {
    /// An input, where its checks will be found, and who wants to know.
    Input(Input, Option<Slot>, Option<Tell>),
    /// Something to be done with the core between two batches.
    Ask(Box<dyn FnOnce(&mut Core) + Send>),
    /// The same, letting something out; then whoever waits is told.
    Alter(Alter),
}

/// Changes the core at this time; what that lets out, and what to call once it has left.
pub type Alter = Box<dyn FnOnce(&mut Core, Timestamp) -> (Released, Box<dyn FnOnce() + Send>) + Send>;

impl Item {
    /// Whether somebody waits for it, so that it can be done or refused while nothing can be committed.
    pub fn is_awaited(&self) -> bool {
        matches!(self, Item::Ask(_) | Item::Alter(_) | Item::Input(Input::Command { .. }, ..))
    }

    /// Whether it can wait for others to share a commit with.
    fn is_patient(&self) -> bool {
        matches!(self, Item::Input(Input::Receipt { .. }, _, None))
    }

    /// Whether it is likely to need a commit. Most commands only look, and most deliveries tell nothing new.
    fn commits(&self) -> bool {
        match self {
            Item::Input(Input::Receipt { .. } | Input::Command { .. } | Input::Delivery { .. }, ..) => false,
            Item::Input(..) => true,
            Item::Ask(_) | Item::Alter(_) => false,
        }
    }
}

/// A batch that was run: thousands of small pieces of memory, allocated by those who have handed it in.
pub type Spent = Arc<Vec<(Input, Checked)>>;

#[derive(Default)]
struct Inner {
    urgent: VecDeque<Item>,
    waiting: VecDeque<Item>,
    full: Vec<Waker>,
    /// The taker waits and has not been woken yet.
    idle: bool,
    /// Threads that wait for room.
    crowd: usize,
    closed: bool,
    /// How many of those that wait are patient, and since when the first of them has been here.
    patient: usize,
    since: Option<Instant>,
    /// The taker waits with that in mind.
    timed: bool,
    /// Batches that were run.
    spent: Vec<Spent>,
}

impl Inner {
    /// Something to take that should not wait, or nothing will come any more.
    fn is_pressing(&self) -> bool {
        !self.urgent.is_empty() || self.waiting.len() > self.patient || self.patient >= BATCH || self.closed
    }

    fn add(&mut self, item: Item) {
        if item.is_patient() {
            self.patient += 1;
            self.since.get_or_insert_with(Instant::now);
        }
        self.waiting.push_back(item);
    }

    fn removed(&mut self, item: &Item) {
        self.patient -= usize::from(item.is_patient());
        if self.patient == 0 {
            self.since = None;
        }
    }
}

/// The queue; see the module.
pub struct Queue {
    /// How long the patient wait.
    patience: Duration,
    inner: Mutex<Inner>,
    filled: Condvar,
    emptied: Condvar,
}

/// The ledger takes nothing more: the site is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the site is stopping")]
pub struct Closed;

impl Default for Queue {
    fn default() -> Self {
        Self::with_patience(RECEIPT_WAIT)
    }
}

impl Queue {
    /// One in which a receipt waits so long for others.
    pub fn with_patience(patience: Duration) -> Self {
        Queue { patience, inner: Mutex::default(), filled: Condvar::new(), emptied: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the taker, if it waits. Waking costs more than all else here, so it is done once and
    /// without the lock, for which the taker would only wait again.
    fn fill(&self, mut inner: MutexGuard<'_, Inner>) {
        // For the first of the patient it is woken too: from then on it has to look at the clock.
        let timed = inner.since.is_some() && !inner.timed;
        let wake = (inner.is_pressing() || timed) && std::mem::take(&mut inner.idle);
        drop(inner);
        if wake {
            self.filled.notify_one();
        }
    }

    /// Moves what is `ready` to the queue as far as there is room, each made an item by `make` then and
    /// not before, which is told whether nothing else waits and it will be taken at once. Pending: there is more than
    /// that.
    pub fn poll_push<T>(
        &self,
        context: &mut Context<'_>,
        ready: &mut VecDeque<T>,
        mut make: impl FnMut(T, bool) -> Item,
    ) -> Poll<Result<(), Closed>> {
        let mut inner = self.lock();
        if inner.closed {
            return Poll::Ready(Err(Closed));
        }
        let room = QUEUE.saturating_sub(inner.waiting.len()).min(ready.len());
        let idle = inner.idle && inner.urgent.is_empty() && inner.waiting.len() == inner.patient;
        ready.drain(..room).for_each(|one| inner.add(make(one, idle)));
        let result = if ready.is_empty() {
            Poll::Ready(Ok(()))
        } else {
            // A task may be polled often while it waits here.
            if !inner.full.iter().any(|waker| waker.will_wake(context.waker())) {
                inner.full.push(context.waker().clone());
            }
            Poll::Pending
        };
        let spent = inner.spent.pop();
        self.fill(inner);
        drop(spent);
        result
    }

    /// Leaves a batch to be dropped by whoever hands in the next inputs, on another processor and where nobody waits
    /// for it, if there is room.
    pub fn spend(&self, spent: Spent) {
        let mut inner = self.lock();
        if inner.spent.len() < SPENT {
            inner.spent.push(spent);
        } else {
            drop(inner);
            drop(spent);
        }
    }

    /// Adds an item, waiting for room.
    ///
    /// # Errors
    /// [`Closed`].
    pub fn push(&self, item: Item) -> Result<(), Closed> {
        let mut inner = self.lock();
        inner.crowd += 1;
        let full = |inner: &mut Inner| inner.waiting.len() >= QUEUE && !inner.closed;
        let mut inner = self.emptied.wait_while(inner, full).unwrap_or_else(PoisonError::into_inner);
        inner.crowd -= 1;
        if inner.closed {
            return Err(Closed);
        }
        inner.add(item);
        self.fill(inner);
        Ok(())
    }

    /// Adds an item that must not wait, before all others. Only for what the ledger itself has
    /// caused (fates of its own messages, messages to itself): that bounds how many there are.
    pub fn push_urgent(&self, item: Item) {
        let mut inner = self.lock();
        if !inner.closed {
            inner.urgent.push_back(item);
            self.fill(inner);
        }
    }

    /// Takes at most `most` items, waiting for the first of them at most `patience`, and with receipts alone for
    /// others to come. `None` when closed and empty.
    pub fn take(&self, most: usize, patience: Option<Duration>) -> Option<Vec<Item>> {
        let until = patience.and_then(|patience| Instant::now().checked_add(patience));
        let mut inner = self.lock();
        while !inner.is_pressing() {
            let receipts = inner.since.and_then(|since| since.checked_add(self.patience));
            (inner.idle, inner.timed) = (true, receipts.is_some());
            inner = match until.into_iter().chain(receipts).min() {
                None => self.filled.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    self.filled.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        inner.idle = false;
        let urgent = inner.urgent.len().min(most);
        let waiting = inner.waiting.len().min(most - urgent);
        if urgent + waiting == 0 && inner.closed {
            return None;
        }
        let mut items: Vec<Item> = inner.urgent.drain(..urgent).collect();
        // The patient go along where there is a commit to share, and when they have waited long enough.
        let overdue = inner.since.is_some_and(|since| since.elapsed() >= self.patience);
        let shared = items.iter().chain(inner.waiting.iter().take(waiting)).any(Item::commits);
        let all = shared || overdue || inner.closed || inner.patient >= BATCH;
        let mut left = VecDeque::new();
        for item in inner.waiting.drain(..waiting) {
            if all || !item.is_patient() { items.push(item) } else { left.push_back(item) }
        }
        items.iter().for_each(|item| inner.removed(item));
        left.append(&mut inner.waiting);
        inner.waiting = left;
        // What is left is taken soon, and then there is room for more at once.
        let room = items.len() > urgent && inner.waiting.len() <= QUEUE - ROOM;
        self.emptied(inner, room);
        Some(items)
    }

    /// As [`take`](Self::take), but only items that somebody waits for; the others keep their places.
    /// `None` when closed and there are none of these.
    pub fn take_awaited(&self, most: usize, patience: Option<Duration>) -> Option<Vec<Item>> {
        let patience = patience.unwrap_or(Duration::MAX);
        let none = |inner: &mut Inner| {
            // Woken for another item, it waits again and wants to be woken again.
            inner.idle = !inner.closed && !inner.urgent.iter().chain(&inner.waiting).any(Item::is_awaited);
            inner.idle
        };
        let inner = self.lock();
        let mut inner = self.filled.wait_timeout_while(inner, patience, none).unwrap_or_else(PoisonError::into_inner).0;
        inner.idle = false;
        let mut items = Vec::new();
        let mut room = false;
        // None of these is patient, so the counts of those stay.
        let Inner { urgent, waiting, .. } = &mut *inner;
        for (queue, bounded) in [(urgent, false), (waiting, true)] {
            for item in std::mem::take(queue) {
                if items.len() < most && item.is_awaited() {
                    items.push(item);
                    room |= bounded;
                } else {
                    queue.push_back(item);
                }
            }
        }
        if items.is_empty() && inner.closed {
            return None;
        }
        self.emptied(inner, room);
        Some(items)
    }

    /// Tells those who wait for room. They are woken without the lock: a waker may do as it pleases.
    fn emptied(&self, mut inner: MutexGuard<'_, Inner>, room: bool) {
        if room {
            let (full, crowd) = (std::mem::take(&mut inner.full), inner.crowd);
            drop(inner);
            if crowd > 0 {
                self.emptied.notify_all();
            }
            full.into_iter().for_each(Waker::wake);
        }
    }

    /// Takes nothing more; what is there is still taken out.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        self.filled.notify_all();
        self.emptied(inner, true);
    }

    /// Takes nothing more and forgets what is there: nobody will ever do it. Whoever waits for an
    /// answer learns so.
    pub fn abandon(&self) {
        self.close();
        let mut inner = self.lock();
        let items = (std::mem::take(&mut inner.urgent), std::mem::take(&mut inner.waiting));
        (inner.patient, inner.since) = (0, None);
        drop(inner);
        drop(items);
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
