//! The ledger's own thread: takes what waits, runs it as one batch, tells everybody.

use super::core::{Core, Parts, StateError};
use super::input::{Input, Outcome, Released};
use super::limits::{BATCH, CONFLICTS, HANDLER_DEADLINE, QUEUE, STORE_RETRY_MS};
use super::queue::{Closed, Item, Queue, Tell};
use super::table::PluginTable;
use super::verify::{Checked, Slot, Workers};
use super::watch::Stuck;
use crate::crash::crash_point;
use crate::store::StoreError;
use arc_swap::ArcSwap;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tallyho_plugin::Fault;
use tallyho_plugin::record::Timestamp;

/// Where released effects go.
pub trait Outside: Send + Sync {
    /// A commit is durable: this may leave. Must not block.
    fn released(&self, released: Released);
}

/// What time it is.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// Why a ledger cannot take up its work.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store's, or the system's as [`StoreError::Engine`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A plugin's tables.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The ledger of a running site: a handle on its thread.
pub struct Ledger {
    queue: Arc<Queue>,
    table: Arc<ArcSwap<PluginTable>>,
    workers: Arc<Workers>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Ledger {
    /// Opens the core and starts its thread. `outside` hears of what waits in the store first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn start(parts: Parts, clock: Arc<dyn Clock>, outside: Arc<dyn Outside>) -> Result<Arc<Self>, LedgerError> {
        Self::start_with(parts, clock, outside, HANDLER_DEADLINE)
    }

    /// The same with so long for a handler to be done with one event.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn start_with(
        parts: Parts,
        clock: Arc<dyn Clock>,
        outside: Arc<dyn Outside>,
        deadline: Duration,
    ) -> Result<Arc<Self>, LedgerError> {
        let table = Arc::clone(&parts.table);
        let mut core = Core::open(parts)?;
        core.watch(deadline);
        core.migrate(clock.now())??;
        let released = core.start(clock.now())?;
        let queue = Arc::new(Queue::default());
        let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let system = |error: std::io::Error| StoreError::Engine(format!("cannot start a thread: {error}"));
        let workers = Arc::new(Workers::start(threads, QUEUE + BATCH).map_err(system)?);
        let checking = Arc::clone(&workers);
        let runner =
            Runner { core, queue: Arc::clone(&queue), checking, clock, outside, kept: Kept::default(), refusal: None };
        let spawned = thread::Builder::new().name("ledger".to_owned()).spawn(move || runner.run(released));
        let thread = Mutex::new(Some(spawned.map_err(system)?));
        Ok(Arc::new(Ledger { queue, table, workers, thread }))
    }

    /// Who serves what at present.
    pub fn table(&self) -> Arc<PluginTable> {
        self.table.load_full()
    }

    /// Hands in these inputs as far as there is room, which is what slows a peer down. Pending: the
    /// rest is to be handed in again.
    pub fn poll_submit(
        &self,
        context: &mut Context<'_>,
        inputs: &mut VecDeque<(Input, Option<Tell>)>,
    ) -> Poll<Result<(), Closed>> {
        self.queue.poll_push(context, inputs, |(input, tell)| {
            let slot = self.checks(&input);
            Item::Input(input, slot, tell)
        })
    }

    /// Hands in an input, waiting for room.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn submit(&self, input: Input, tell: Option<Tell>) -> Result<(), Closed> {
        let mut inputs = VecDeque::from([(input, tell)]);
        poll_fn(|context| self.poll_submit(context, &mut inputs)).await
    }

    /// Reports what became of a message of the outbox; never waits.
    pub fn report(&self, delivery: Input) {
        self.queue.push_urgent(Item::Input(delivery, None, None));
    }

    /// Hands in a command and waits for its answer, blocking the thread.
    ///
    /// # Errors
    /// The command's fault.
    pub fn call(&self, plugin: &str, name: &str, argument: Vec<u8>) -> Result<Vec<u8>, Fault> {
        self.begin(plugin, name, argument)()
    }

    /// Hands in a command, waiting for room; what is returned waits for its answer. Both block the thread.
    pub fn begin(
        &self,
        plugin: &str,
        name: &str,
        argument: Vec<u8>,
    ) -> impl FnOnce() -> Result<Vec<u8>, Fault> + Send + use<> {
        let (tell, answer) = mpsc::sync_channel(1);
        let input = Input::Command { plugin: plugin.to_owned(), name: name.to_owned(), argument };
        let tell: Tell = Box::new(move |outcome| drop(tell.send(outcome)));
        let pushed = self.queue.push(Item::Input(input, None, Some(tell)));
        move || {
            pushed.map_err(|_| Fault::host("the site is stopping"))?;
            match answer.recv() {
                Ok(Outcome::Done(answer)) => Ok(answer),
                Ok(Outcome::Fault(fault)) => Err(fault),
                Err(_) => Err(Fault::host("the site stopped before the command was done")),
            }
        }
    }

    /// Has something done with the core between two batches, and waits for it, blocking the thread.
    ///
    /// # Errors
    /// [`Closed`].
    pub fn ask<T: Send + 'static>(&self, ask: impl FnOnce(&mut Core) -> T + Send + 'static) -> Result<T, Closed> {
        let (tell, answer) = mpsc::sync_channel(1);
        self.queue.push(Item::Ask(Box::new(move |core| drop(tell.send(ask(core))))))?;
        answer.recv().map_err(|_| Closed)
    }

    /// Has something changed about the core between two batches, blocking the thread until it is done and
    /// what it lets out has left. `change` is given the time.
    ///
    /// # Errors
    /// The change's, or one of kind `Host` where the site is stopping.
    pub fn alter<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Core, Timestamp) -> Result<(T, Released), Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (tell, answer) = mpsc::sync_channel(1);
        let stopping = || Fault::host("the site is stopping");
        let alter = move |core: &mut Core, now| {
            let (result, released) = match change(core, now) {
                Ok((value, released)) => (Ok(value), released),
                Err(fault) => (Err(fault), Released::default()),
            };
            let told: Box<dyn FnOnce() + Send> = Box::new(move || drop(tell.send(result)));
            (released, told)
        };
        self.queue.push(Item::Alter(Box::new(alter))).map_err(|_| stopping())?;
        answer.recv().map_err(|_| stopping())?
    }

    /// Has something done with the core before the next batch, without waiting for it.
    pub fn ask_urgently(&self, ask: impl FnOnce(&mut Core) + Send + 'static) {
        self.queue.push_urgent(Item::Ask(Box::new(ask)));
    }

    /// Takes nothing more, finishes what waits, and ends the thread.
    pub fn stop(&self) {
        self.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            log::error!("the ledger's thread ended by a panic: this is a bug of this program");
        }
    }

    /// Has an event's signatures checked on other processors, where its handler names them.
    fn checks(&self, input: &Input) -> Option<Slot> {
        let Input::Peer(inbound) = input else { return None };
        // Made here rather than on the one thread that all wait for. Whoever needs it learns of a fault.
        let _ = inbound.message.event().header();
        let table = self.table.load();
        let (serving, target) = table.claiming(&inbound.message.target)?;
        let named = target.prepared.contains(&inbound.message.action);
        named.then(|| self.workers.check(Arc::clone(serving), Arc::clone(inbound.message.event())))
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.queue.close();
    }
}

struct Runner {
    core: Core,
    queue: Arc<Queue>,
    checking: Arc<Workers>,
    clock: Arc<dyn Clock>,
    outside: Arc<dyn Outside>,
    /// Inputs to be run, those of a batch that the store refused first.
    kept: Kept,
    refusal: Option<Refusal>,
}

/// Inputs with the checks made for them, and who is to be told what came of each. Apart, because the core is given
/// the inputs alone, and moving them costs more than running the smallest.
#[derive(Default)]
struct Kept {
    inputs: Vec<(Input, Checked)>,
    tells: Vec<Option<Tell>>,
}

impl Kept {
    fn push(&mut self, input: Input, checked: Checked, tell: Option<Tell>) {
        self.inputs.push((input, checked));
        self.tells.push(tell);
    }
}

impl Drop for Runner {
    /// However the thread ends, also by a panic: nobody waits for it any more.
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

/// The store refuses writes.
struct Refusal {
    again: Instant,
    wait: Duration,
}

impl Runner {
    fn run(mut self, released: Released) {
        self.release(released);
        while let Some(items) = self.take() {
            for item in items {
                self.sort(item);
            }
            if self.refusal.as_ref().is_none_or(|refusal| refusal.again <= Instant::now()) {
                self.batch();
            }
        }
        if !self.kept.inputs.is_empty() {
            self.batch();
        }
    }

    /// What to do next. While the store refuses, what cannot be run stays in the queue, whose bound
    /// then slows the peers down; but nobody waits in vain for an answer.
    fn take(&self) -> Option<Vec<Item>> {
        match BATCH.min(QUEUE.saturating_sub(self.kept.inputs.len())) {
            0 => self.queue.take_awaited(BATCH, self.patience()),
            room => self.queue.take(room, self.patience()),
        }
    }

    /// How long to wait for something to do; `None`: as long as it takes.
    fn patience(&self) -> Option<Duration> {
        if let Some(refusal) = &self.refusal {
            return Some(refusal.again.saturating_duration_since(Instant::now()));
        }
        let wait = self.core.next_timer()?.0.saturating_sub(self.clock.now().0);
        Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
    }

    fn sort(&mut self, item: Item) {
        match item {
            Item::Ask(ask) => ask(&mut self.core),
            Item::Alter(alter) => {
                // What came before it is run as it was meant: by the generation that served then.
                if self.refusal.is_none() {
                    self.batch();
                }
                let (released, told) = alter(&mut self.core, self.clock.now());
                if !released.is_empty() {
                    self.release(released);
                }
                told();
            }
            Item::Input(input, slot, tell) => {
                let looked = self.refusal.is_some().then(|| self.core.look(&input, self.clock.now()));
                if let Some(Ok(Some(outcome))) = looked {
                    return answer(tell, outcome);
                }
                // Somebody waits who may have made room just now: try at once.
                if let (Some(refusal), true) = (&mut self.refusal, someone_waits(&input)) {
                    refusal.again = Instant::now();
                }
                let checked = slot.map(|slot| self.checked(&slot)).unwrap_or_default();
                self.kept.push(input, checked, tell);
            }
        }
    }

    /// The checks made for an input. A handler that does not name them in time is suspended.
    fn checked(&mut self, slot: &Slot) -> Checked {
        let deadline = self.core.deadline();
        loop {
            if let Some(checked) = slot.wait(deadline) {
                return checked;
            }
            for generation in self.checking.overdue(deadline) {
                self.core.overdue(Stuck { generation });
            }
        }
    }

    fn batch(&mut self) {
        let now = self.clock.now();
        match self.core.due(now) {
            Ok(due) => due.into_iter().for_each(|timer| self.kept.push(timer, Checked::new(), None)),
            Err(error) => return self.refused(&error),
        }
        if self.kept.inputs.is_empty() {
            self.refusal = None;
            return;
        }
        let Kept { inputs, tells } = std::mem::take(&mut self.kept);
        let inputs = Arc::new(inputs);
        let mut result = self.core.apply_shared(&inputs, now);
        // Another process of the site came first; handlers are deterministic, so a retry is safe.
        for _ in 0..CONFLICTS {
            if !matches!(result, Err(StoreError::Conflict)) {
                break;
            }
            result = self.core.apply_shared(&inputs, self.clock.now());
        }
        match result {
            Ok(done) => {
                if self.refusal.take().is_some() {
                    log::info!("the store takes writes again");
                }
                if !done.released.is_empty() {
                    self.release(done.released);
                }
                for released in self.core.end_shadows(now) {
                    self.release(released);
                }
                for (tell, outcome) in tells.into_iter().zip(done.outcomes) {
                    if let Some(tell) = tell {
                        tell(outcome);
                    }
                }
                self.checking.discard(inputs);
            }
            Err(error) => {
                self.kept = Kept { inputs: Arc::unwrap_or_clone(inputs), tells };
                self.refused(&error);
            }
        }
    }

    fn refused(&mut self, error: &StoreError) {
        let (first, longest) = STORE_RETRY_MS;
        let wait = self
            .refusal
            .as_ref()
            .map_or(Duration::from_millis(first), |refusal| (refusal.wait * 2).min(Duration::from_millis(longest)));
        log::error!("nothing can be committed: {error}; trying again in {} ms", wait.as_millis());
        self.refusal = Some(Refusal { again: Instant::now() + wait, wait });
        // A timer is found again by `due`; who waits for an answer is told, and decides what to do;
        // everything else is kept.
        let now = self.clock.now();
        let Kept { inputs, tells } = std::mem::take(&mut self.kept);
        for ((input, checked), tell) in inputs.into_iter().zip(tells) {
            match input {
                Input::Timer { .. } => {}
                // Kept for nobody: whoever it was asks again, and many of them must not fill the queue.
                Input::Peer(inbound) if inbound.message.restricted && !inbound.message.asked => {}
                input if someone_waits(&input) => match self.core.look(&input, now) {
                    Ok(Some(outcome)) => answer(tell, outcome),
                    _ => answer(tell, refusal(error)),
                },
                input => self.kept.push(input, checked, tell),
            }
        }
    }

    fn release(&self, mut released: Released) {
        for mid in std::mem::take(&mut released.local) {
            self.queue.push_urgent(Item::Input(Input::Local { mid }, None, None));
        }
        for (plugin, number) in std::mem::take(&mut released.waiting) {
            self.queue.push_urgent(Item::Input(Input::Waiting { plugin, number }, None, None));
        }
        self.outside.released(released);
        crash_point("after-release");
    }
}

/// A command's caller waits for its answer, a ticket's subject for the `A` packet, and both give up: what
/// they asked for must not come to pass behind their backs.
fn someone_waits(input: &Input) -> bool {
    match input {
        Input::Command { .. } => true,
        Input::Peer(inbound) => inbound.ticket.is_some() && inbound.mid.is_none(),
        _ => false,
    }
}

fn refusal(error: &StoreError) -> Outcome {
    let fix = "make room, or mend the folder's permissions; the site goes on by itself, then repeat the command";
    Outcome::Fault(Fault::host(format!("nothing was changed: {error}")).code("store").fix(fix))
}

fn answer(tell: Option<Tell>, outcome: Outcome) {
    if let Some(tell) = tell {
        tell(outcome);
    }
}

#[cfg(test)]
#[path = "thread_tests.rs"]
mod tests;
