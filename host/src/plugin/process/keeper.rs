//! Sees to it that a plugin has a process: starts another when one has ended, at once the first time, then after
//! pauses. While it pauses the plugin *rests*: its events wait, as for one that is stopped.

use super::spawn::{Process, Start, locked};
use crate::plugin::limits::{RECOVERED, RESTART_PAUSE_MS};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tallyho_plugin::{Fault, Manifest};

/// How a plugin's process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessState {
    /// Its number; `None` while there is none.
    pub id: Option<u32>,
    /// How often it had to be started again.
    pub restarts: u64,
    /// How the last one ended.
    pub last: Option<String>,
}

type Rises = Box<dyn Fn(&str, u64) -> bool + Send + Sync>;

/// Whoever has a plugin's events go on when it rests no more; told name and generation. Whether it does.
#[derive(Default)]
pub struct Rested(OnceLock<Rises>);

impl Rested {
    /// From now on this is told.
    pub fn tell(&self, rises: impl Fn(&str, u64) -> bool + Send + Sync + 'static) {
        // The first one stays: a site has one ledger.
        let _ = self.0.set(Box::new(rises));
    }
}

impl fmt::Debug for Rested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rested({})", if self.0.get().is_some() { "told" } else { "nobody" })
    }
}

/// What a plugin and the thread that keeps its process share.
pub struct Keeper {
    start: Start,
    manifest: Manifest,
    generation: u64,
    rested: Arc<Rested>,
    state: Mutex<State>,
    changed: Condvar,
    rests: AtomicBool,
}

struct State {
    process: Option<Arc<Process>>,
    restarts: u64,
    last: Option<String>,
    /// Processes in a row that ended early.
    row: u32,
    retired: bool,
}

impl Keeper {
    /// Keeps this process, which has just been started.
    ///
    /// # Errors
    /// The system's, where it has no room for a thread.
    pub fn of(
        process: Arc<Process>,
        start: Start,
        manifest: Manifest,
        generation: u64,
        rested: Arc<Rested>,
    ) -> std::io::Result<Arc<Self>> {
        let first = Some(Arc::clone(&process));
        let state = State { process: first, restarts: 0, last: None, row: 0, retired: false };
        let keeper = Arc::new(Keeper {
            start,
            manifest,
            generation,
            rested,
            state: Mutex::new(state),
            changed: Condvar::new(),
            rests: AtomicBool::new(false),
        });
        let keeps = Arc::clone(&keeper);
        thread::Builder::new().name("plugin".to_owned()).spawn(move || keeps.keep(process))?;
        Ok(keeper)
    }

    /// The process, where there is one.
    pub fn current(&self) -> Option<Arc<Process>> {
        locked(&self.state).process.clone()
    }

    /// The process; waits for one that is about to be there. Where none comes, the plugin rests from now on.
    ///
    /// # Errors
    /// That it does not serve at present.
    pub fn ready(&self, patience: Duration) -> Result<Arc<Process>, Fault> {
        let waits = |state: &mut State| state.process.is_none() && !self.rests() && !state.retired;
        let waited = self.changed.wait_timeout_while(locked(&self.state), patience, waits);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if let Some(process) = &state.process {
            return Ok(Arc::clone(process));
        }
        Err(self.not_yet(&state))
    }

    /// Waits until this process, which is being ended, is not the one to be used any more.
    ///
    /// # Errors
    /// That it still is, as where the system is too busy to end it; the plugin rests until it has.
    pub fn gone(&self, process: &Arc<Process>, patience: Duration) -> Result<(), Fault> {
        let stays = |state: &mut State| state.process.as_ref().is_some_and(|current| Arc::ptr_eq(current, process));
        let waited = self.changed.wait_timeout_while(locked(&self.state), patience, stays);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if stays(&mut state) { Err(self.not_yet(&state)) } else { Ok(()) }
    }

    /// There is no process in time: the plugin rests until there is.
    fn not_yet(&self, state: &State) -> Fault {
        self.rests.store(true, Ordering::Relaxed);
        let last = state.last.clone().unwrap_or_default();
        Fault::host(format!("its process is being started again: {last}")).code("restarting").fix("repeat it")
    }

    /// Whether it pauses before it is started again.
    pub fn rests(&self) -> bool {
        self.rests.load(Ordering::Relaxed)
    }

    /// It rests no more.
    pub fn rise(&self) {
        self.rests.store(false, Ordering::Relaxed);
    }

    /// How the process is.
    pub fn state(&self) -> ProcessState {
        let state = locked(&self.state);
        let id = state.process.as_ref().map(|process| process.id());
        ProcessState { id, restarts: state.restarts, last: state.last.clone() }
    }

    /// No process is wanted any more.
    pub fn retire(&self) {
        let mut state = locked(&self.state);
        state.retired = true;
        if let Some(process) = state.process.take() {
            process.kill();
        }
        self.changed.notify_all();
    }

    fn keep(&self, mut process: Arc<Process>) {
        let mut since = Instant::now();
        loop {
            let end = process.wait();
            let Some(pause) = self.note(&end.text(), since.elapsed()) else { return };
            process.tell(end);
            let Some(next) = self.another(pause) else { return };
            (process, since) = (next, Instant::now());
            log::info!(target: "tallyho::plugin", "{} has a new process, {}", self.start.name, process.id());
            if self.rests() && !self.rested.0.get().is_some_and(|rises| rises(&self.start.name, self.generation)) {
                self.rise();
            }
        }
    }

    /// Takes note that a process has ended that lived so long; the pause before the next one.
    fn note(&self, how: &str, lived: Duration) -> Option<Duration> {
        let mut state = locked(&self.state);
        if state.retired {
            return None;
        }
        (state.process, state.last) = (None, Some(how.to_owned()));
        state.row = if lived >= RECOVERED { 1 } else { state.row.saturating_add(1) };
        let pause = pause(state.row);
        if pause > Duration::ZERO {
            self.rests.store(true, Ordering::Relaxed);
        }
        self.changed.notify_all();
        log::error!(
            target: "tallyho::plugin",
            "the process of {} has ended: {how}; it is started again {}",
            self.start.name,
            if pause > Duration::ZERO { format!("in {pause:?}") } else { "at once".to_owned() }
        );
        Some(pause)
    }

    /// Starts another process after a pause, as often as it takes; `None` where none is wanted any more.
    fn another(&self, mut pause: Duration) -> Option<Arc<Process>> {
        loop {
            let waited = self.changed.wait_timeout_while(locked(&self.state), pause, |state| !state.retired);
            if waited.unwrap_or_else(PoisonError::into_inner).0.retired {
                return None;
            }
            let why = match Process::start(&self.start) {
                Ok((process, manifest)) if manifest == self.manifest => {
                    let mut state = locked(&self.state);
                    if state.retired {
                        drop(state);
                        process.kill();
                        process.wait();
                        return None;
                    }
                    state.restarts += 1;
                    state.process = Some(Arc::clone(&process));
                    self.changed.notify_all();
                    return Some(process);
                }
                Ok((process, _)) => {
                    process.kill();
                    process.wait();
                    "it says something else about itself than before".to_owned()
                }
                Err(refusal) => refusal.to_string(),
            };
            let mut state = locked(&self.state);
            state.last = Some(why.clone());
            state.row = state.row.saturating_add(1).max(2);
            pause = self::pause(state.row);
            self.rests.store(true, Ordering::Relaxed);
            self.changed.notify_all();
            log::error!(target: "tallyho::plugin", "no process of {}: {why}; again in {pause:?}", self.start.name);
        }
    }
}

/// The pause after so many processes in a row that ended early.
fn pause(row: u32) -> Duration {
    let (first, longest) = RESTART_PAUSE_MS;
    match row {
        0 | 1 => Duration::ZERO,
        row => Duration::from_millis(
            1_u64.checked_shl(row - 2).map_or(longest, |times| first.saturating_mul(times)).min(longest),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_comes_at_once_and_later_ones_ever_later() {
        let millis: Vec<u128> = (1..=4).map(|row| pause(row).as_millis()).collect();
        assert_eq!(millis, [0, 250, 500, 1_000]);
        assert!([20, 70, u32::MAX].into_iter().all(|row| pause(row).as_millis() == 30_000));
    }
}
