//! Requests of one client that were read and are not answered yet: answers leave in the order of the requests,
//! whichever is known first.

use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::answer::Answer;
use super::feed::Feed;
use super::limits::UNDER_WAY;

/// What is to be said.
#[derive(Debug)]
pub(super) enum What {
    /// This.
    Answer(Answer),
    /// That a watch has begun, and then its notices.
    Watch(Feed),
}

/// What is to be done next for a client.
#[derive(Debug)]
pub(super) enum Next {
    /// Say this under this id.
    Say(Value, What),
    /// Write the rest of a line.
    Rest,
    /// Nothing more will come.
    End,
}

#[derive(Debug, Default)]
pub(super) struct Turns {
    inner: Mutex<Inner>,
    /// The first may be answered, or nothing more will come.
    ready: Condvar,
    /// There is room for another, or no use for it.
    room: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    /// The number of the first that waits.
    first: u64,
    waiting: VecDeque<(Value, Option<What>)>,
    /// The socket has not taken a whole line.
    rest: bool,
    /// Whoever asks what is to be done next is at it.
    saying: bool,
    /// Somebody else is, who has brought an answer.
    bringing: bool,
    /// No more requests will be read.
    ended: bool,
    /// Nobody takes answers any more.
    gone: bool,
}

impl Inner {
    /// What may be said now.
    fn next(&mut self) -> Option<Next> {
        if self.gone {
            return Some(Next::End);
        }
        if std::mem::take(&mut self.rest) {
            return Some(Next::Rest);
        }
        match self.pop() {
            Some((id, what)) => {
                self.saying = true;
                Some(Next::Say(id, what))
            }
            None => (self.ended && self.waiting.is_empty() && !self.bringing).then_some(Next::End),
        }
    }

    /// The first, where it is known what is to be said to it.
    fn pop(&mut self) -> Option<(Value, What)> {
        let what = self.waiting.front_mut()?.1.take()?;
        let (id, _) = self.waiting.pop_front()?;
        self.first += 1;
        Some((id, what))
    }

    /// Whether one request waits, and nothing is being said to one before it.
    pub(super) fn is_lone(&self) -> bool {
        self.waiting.len() == 1 && !self.saying
    }

    /// The first, where its answer is known and small: for somebody else to say, and then to tell by
    /// [`Turns::brought`].
    pub(super) fn pop_small(&mut self) -> Option<(Value, Answer)> {
        match self.waiting.front() {
            Some((_, Some(What::Answer(answer)))) if answer.is_small() => {}
            _ => return None,
        }
        match self.pop() {
            Some((id, What::Answer(answer))) => {
                self.bringing = true;
                Some((id, answer))
            }
            _ => None,
        }
    }
}

impl Turns {
    /// A place for another request, waiting for room; its number, or `None` where nobody would take the answer.
    pub fn enter(&self, id: Value) -> Option<u64> {
        let full = |inner: &mut Inner| inner.waiting.len() >= UNDER_WAY && !inner.gone;
        let mut inner = self.room.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner);
        if inner.gone {
            return None;
        }
        inner.waiting.push_back((id, None));
        Some(inner.first + inner.waiting.len() as u64 - 1)
    }

    /// What is to be said to a request, and what is here then. [`call`](Self::call) has it said.
    pub fn fill(&self, number: u64, what: What) -> MutexGuard<'_, Inner> {
        let mut inner = self.lock();
        let place = number.checked_sub(inner.first).and_then(|at| usize::try_from(at).ok());
        if let Some(waiting) = place.and_then(|at| inner.waiting.get_mut(at)) {
            waiting.1 = Some(what);
        }
        inner
    }

    /// Has whoever waits for something to be said look again.
    pub fn call(&self) {
        self.ready.notify_one();
    }

    /// What was taken has been said, but perhaps for the rest of a line, which comes before all else.
    pub fn brought(&self, rest: bool) {
        let mut inner = self.lock();
        (inner.bringing, inner.rest) = (false, rest);
        if rest || inner.ended {
            self.ready.notify_one();
        }
    }

    /// What is to be done next, now that the last has been; waits for it.
    pub fn next(&self) -> Next {
        let mut inner = self.lock();
        inner.saying = false;
        loop {
            if let Some(next) = inner.next() {
                drop(inner);
                self.room.notify_one();
                return next;
            }
            inner = self.ready.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more requests will be read.
    pub fn end(&self) {
        self.lock().ended = true;
        self.ready.notify_all();
    }

    /// Nobody takes answers any more.
    pub fn leave(&self) {
        self.lock().gone = true;
        self.ready.notify_all();
        self.room.notify_all();
    }

    /// Whether that is so.
    pub fn is_gone(&self) -> bool {
        self.lock().gone
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change above is whole before anything could panic, so what is here is still sound.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
