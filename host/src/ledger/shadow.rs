//! A candidate that is tried on the events of the build that serves, without effect.

use super::core::Swap;
use super::difference::Difference;
use super::limits::DIFFERENCES_KEPT;
use super::table::Serving;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A shadow run: a candidate, and what has been found of it.
pub struct Shadow {
    /// What is done once it has proved itself.
    pub swap: Swap,
    /// So many events are wanted.
    pub wanted: u64,
    progress: Mutex<Progress>,
    noted: AtomicBool,
}

/// How a shadow run stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// Events that both have been given.
    pub seen: u64,
    /// Those that the candidate would have handled otherwise.
    pub differing: u64,
    /// What it would have done otherwise, the first ones.
    pub differences: Vec<Difference>,
    /// How it ended; `None`: it goes on.
    pub end: Option<End>,
}

/// How a shadow run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The candidate serves, in the place of this generation.
    Promoted {
        /// The generation before.
        from: u64,
    },
    /// The candidate was let go.
    Refused {
        /// Why, for people.
        why: String,
    },
}

impl Shadow {
    /// A run over so many events, none of them seen yet.
    pub fn new(swap: Swap, wanted: u64) -> Arc<Self> {
        Arc::new(Shadow { swap, wanted, progress: Mutex::default(), noted: AtomicBool::new(false) })
    }

    /// The candidate.
    pub fn serving(&self) -> &Arc<Serving> {
        &self.swap.serving
    }

    fn locked(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it stands.
    pub fn progress(&self) -> Progress {
        self.locked().clone()
    }

    /// Events seen so far.
    pub fn seen(&self) -> u64 {
        self.locked().seen
    }

    /// An event that is durable was given to both.
    pub fn add(&self, found: Vec<Difference>) {
        self.locked().add(found);
    }

    /// It has ended, unless it had before.
    pub fn end(&self, end: End) {
        self.locked().end.get_or_insert(end);
    }

    /// Takes note of its end; whether for the first time.
    pub fn note(&self) -> bool {
        !self.noted.swap(true, Ordering::Relaxed)
    }

    /// Whether it has seen all it was to see, or something that cannot be borne.
    pub fn is_over(&self) -> bool {
        let progress = self.locked();
        progress.end.is_some() || progress.seen >= self.wanted
    }
}

impl Progress {
    /// An event was given to both.
    pub fn add(&mut self, found: Vec<Difference>) {
        self.seen += 1;
        self.differing += u64::from(!found.is_empty());
        let room = DIFFERENCES_KEPT.saturating_sub(self.differences.len());
        self.differences.extend(found.into_iter().take(room));
    }

    /// The first difference in a line, where there is one.
    pub fn first(&self) -> Option<String> {
        let Difference { event, what, effect, table, key, expected, found, .. } = self.differences.first()?;
        let place = match (table, key) {
            (Some(table), Some(key)) => format!("{effect} {key} of {table}"),
            _ => effect.clone(),
        };
        Some(format!("event {event} ({what}), {place}: expected {expected}, found {found}"))
    }

    /// Why a candidate whose events were these is not to serve.
    pub fn objection(&self) -> Option<String> {
        let first = self.first()?;
        let Progress { seen, differing, .. } = self;
        Some(format!("it differs in {differing} of {seen} events, first in {first}"))
    }
}
