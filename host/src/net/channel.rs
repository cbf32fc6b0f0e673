//! An open channel as the rest of the host sees it: something to hand messages to.

use super::Net;
use super::courier::ChannelId;
use super::limits::ANSWERS_WAITING;
use super::writing::Writing;
use crate::ledger::line::Line;
use crate::ledger::outbox::OutboxRow;
use crate::wire::ext::{Extensions, Receipt};
use crate::wire::limits::MAX_RECEIPT_GAPS;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tallyho_plugin::record::{AgentId, Timestamp};

/// Which side opened the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// This site dialled.
    Initiator,
    /// This site was dialled: closing when idle is its job.
    Responder,
}

/// Something to be sent.
#[derive(Debug)]
pub enum Out {
    /// A row of the outbox.
    Row {
        /// Its id.
        mid: u64,
        /// The message.
        row: Arc<OutboxRow>,
        /// How often it has been sent, this time included.
        attempt: u32,
    },
    /// An answer to a message that came by this channel (`Schedule::Answer`).
    Answer(Arc<OutboxRow>),
    /// What has been committed here. Only the latest matters, so there is at most one waiting.
    Receipt(Receipt),
}

#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<Out>,
    waker: Option<Waker>,
    closing: Option<&'static str>,
}

impl Waiting {
    fn answers(&self) -> usize {
        self.queue.iter().filter(|out| matches!(out, Out::Answer(_))).count()
    }

    fn watch(&mut self, waker: &Waker) {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
    }
}

/// An open channel; see the module. Its task owns the socket, everybody else has this.
#[derive(Debug)]
pub struct Channel {
    /// Its name.
    pub id: ChannelId,
    /// The agent proven at the other end; `None` where a stranger has opened it.
    pub agent: Option<AgentId>,
    /// Which messages of the outbox it carries; `None` where a stranger has opened it.
    pub line: Option<Line>,
    /// Where the other end is.
    pub address: SocketAddr,
    /// Which side this is.
    pub role: Role,
    /// What may be used.
    pub extensions: Extensions,
    /// Since when it is open.
    pub since: Timestamp,
    /// Frames received and sent.
    pub frames: (AtomicU64, AtomicU64),
    heard: AtomicI64,
    stalled: AtomicI64,
    waiting: Mutex<Waiting>,
    /// Once its task has begun, and until that ends. Taken before the courier's lock, never under it.
    writing: Mutex<Option<Writing>>,
}

impl Channel {
    /// A channel with nothing to send yet.
    pub fn new(
        id: ChannelId,
        agent: Option<AgentId>,
        address: SocketAddr,
        role: Role,
        extensions: Extensions,
        now: Timestamp,
    ) -> Arc<Self> {
        let line = agent.as_ref().map(Line::from);
        Arc::new(Self::over(id, agent, line, address, role, extensions, now))
    }

    /// A restricted channel that this site has opened, for this line (PROTOCOL 1.5, `R`).
    pub fn asking(id: ChannelId, line: Line, address: SocketAddr, now: Timestamp) -> Arc<Self> {
        let agent = Some(line.agent());
        Arc::new(Self::over(id, agent, Some(line), address, Role::Initiator, Extensions::NONE, now))
    }

    fn over(
        id: ChannelId,
        agent: Option<AgentId>,
        line: Option<Line>,
        address: SocketAddr,
        role: Role,
        extensions: Extensions,
        now: Timestamp,
    ) -> Self {
        Channel {
            id,
            agent,
            line,
            address,
            role,
            extensions,
            since: now,
            frames: (AtomicU64::new(0), AtomicU64::new(0)),
            heard: AtomicI64::new(now.0),
            stalled: AtomicI64::new(i64::MAX),
            waiting: Mutex::default(),
            writing: Mutex::default(),
        }
    }

    /// Whether this site has opened it to a stranger.
    pub fn is_asking(&self) -> bool {
        self.line.as_ref().is_some_and(Line::is_strangers)
    }

    /// Whether nobody's relation has opened it (PROTOCOL 1.5, `R`).
    pub fn is_restricted(&self) -> bool {
        self.line.is_none() || self.is_asking()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> MutexGuard<'_, Option<Writing>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has its task look at what waits.
    pub fn wake(&self) {
        let waker = self.waiting().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Hands something to the channel, and has its task send it.
    pub fn send(&self, out: Out) {
        self.put(out);
        self.wake();
    }

    /// Hands something to the channel, for [`wake`](Self::wake) or [`write_at_once`](Self::write_at_once) to follow.
    /// The courier's window bounds how much waits.
    pub fn put(&self, out: Out) {
        let waiting = &mut *self.waiting();
        match out {
            Out::Receipt(receipt) => {
                let old = waiting.queue.iter_mut().find_map(|out| match out {
                    Out::Receipt(receipt) => Some(receipt),
                    Out::Row { .. } | Out::Answer(_) => None,
                });
                match old {
                    Some(old) => merge(old, receipt),
                    None => waiting.queue.push_front(Out::Receipt(receipt)),
                }
            }
            // Whoever asks and does not read costs this much memory and no more.
            Out::Answer(_) if waiting.answers() >= ANSWERS_WAITING => {
                waiting.closing.get_or_insert("it does not read its answers");
            }
            out => waiting.queue.push_back(out),
        }
    }

    /// How much waits to be sealed.
    pub fn queued(&self) -> usize {
        self.waiting().queue.len()
    }

    /// Its task begins.
    pub(super) fn begin_writing(&self, writing: Writing) {
        *self.writing() = Some(writing);
    }

    /// Its task ends: nothing is written any more.
    pub(super) fn end_writing(&self) {
        drop(self.writing().take());
    }

    /// Writes what waits, for its task; ready only with a reason to close.
    pub(super) fn poll_write(&self, net: &Net, context: &mut Context<'_>) -> Poll<&'static str> {
        self.writing().as_mut().map_or(Poll::Pending, |writing| writing.poll(net, self, context))
    }

    /// Writes what waits, for whoever has put it there; where that cannot be done at once, its task does it.
    pub(super) fn write_at_once(&self, net: &Net) {
        if self.waiting().closing.is_some() {
            return self.wake();
        }
        // Whoever has it may have looked before this was put there.
        let writing = self.writing.try_lock();
        let all = writing.is_ok_and(|mut writing| writing.as_mut().is_some_and(|writing| writing.at_once(net, self)));
        if !all {
            self.wake();
        }
    }

    /// Takes back rows that have not been written yet.
    pub fn withdraw(&self, mids: &[u64]) {
        self.waiting().queue.retain(|out| !matches!(out, Out::Row { mid, .. } if mids.contains(mid)));
    }

    /// Takes back all rows that have not been written yet.
    pub fn take_back(&self) {
        self.waiting().queue.retain(|out| !matches!(out, Out::Row { .. }));
    }

    /// Asks the channel's task to close it.
    pub fn close(&self, why: &'static str) {
        self.waiting().closing.get_or_insert(why);
        self.wake();
    }

    /// Has `waker` told of whatever comes next; why the channel has to close, if it has to.
    pub fn watch(&self, waker: &Waker) -> Option<&'static str> {
        let mut waiting = self.waiting();
        waiting.watch(waker);
        waiting.closing
    }

    /// The next thing to send.
    pub fn next(&self) -> Option<Out> {
        let mut waiting = self.waiting();
        let out = waiting.queue.pop_front();
        if out.is_none() && waiting.queue.capacity() > 0 {
            waiting.queue = VecDeque::new(); // thousands of idle channels hold no buffers
        }
        out
    }

    /// A frame came.
    pub fn heard(&self, now: Timestamp) {
        self.heard.store(now.0, Ordering::Relaxed);
        self.frames.0.fetch_add(1, Ordering::Relaxed);
    }

    /// When the last frame came.
    pub fn last_heard(&self) -> Timestamp {
        Timestamp(self.heard.load(Ordering::Relaxed))
    }

    /// The socket takes no more since `now`; or it does again (`None`).
    pub fn stalled(&self, since: Option<Timestamp>) {
        match since {
            Some(now) => drop(self.stalled.compare_exchange(i64::MAX, now.0, Ordering::Relaxed, Ordering::Relaxed)),
            None => self.stalled.store(i64::MAX, Ordering::Relaxed),
        }
    }

    /// Since when the socket has taken nothing, where something waits.
    pub fn stalled_since(&self) -> Option<Timestamp> {
        Some(self.stalled.load(Ordering::Relaxed)).filter(|since| *since != i64::MAX).map(Timestamp)
    }
}

/// One receipt that says what both do. What it has no room for is acknowledged when it comes again.
fn merge(old: &mut Receipt, new: Receipt) {
    old.upto = old.upto.max(new.upto);
    old.also.extend(new.also);
    old.also.retain(|mid| *mid > old.upto);
    old.also.sort_unstable();
    old.also.dedup();
    old.also.truncate(MAX_RECEIPT_GAPS);
}

#[cfg(test)]
#[path = "channel_tests.rs"]
mod tests;
