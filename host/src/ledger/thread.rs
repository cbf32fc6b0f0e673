//! The ledger of a running site: what others hand in to its thread, and how they learn what came of it.

use super::core::{Core, Parts, StateError};
use super::input::{Input, Outcome, Released};
use super::limits::{BATCH, HANDLER_DEADLINE, QUEUE};
use super::oversee::Overseer;
use super::queue::{Closed, Item, Queue, Tell};
use super::runner::{Runner, State};
use super::table::PluginTable;
use super::verify::{Slot, Workers};
use crate::store::StoreError;
use arc_swap::ArcSwap;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::mpsc::{self, Receiver, RecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;
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
    /// Disconnected once its thread has ended, or the one that went on in its place.
    end: Mutex<Receiver<Infallible>>,
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
        let overseer = Overseer::start("ledger", deadline, core.given_up(), Runner::take_over).map_err(system)?;
        let (ended, end) = mpsc::sync_channel(0);
        let state = State::default();
        let runner =
            Runner { core, queue: Arc::clone(&queue), checking, clock, outside, overseer, state, _ended: ended };
        let run = move || {
            runner.release(released);
            runner.go_on();
        };
        thread::Builder::new().name("ledger".to_owned()).spawn(run).map_err(system)?;
        Ok(Arc::new(Ledger { queue, table, workers, end: Mutex::new(end) }))
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
        let one = has_one_message(inputs.iter().map(|(input, _)| input));
        self.queue.poll_push(context, inputs, |(input, tell), idle| {
            let slot = self.checks(&input, idle && one);
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
        let (tell, answer) = mpsc::sync_channel(1);
        self.begin(plugin, name, argument, Box::new(move |outcome| drop(tell.send(outcome))));
        match answer.recv() {
            Ok(Outcome::Done(answer)) => Ok(answer),
            Ok(Outcome::Fault(fault)) => Err(fault),
            Err(_) => Err(Fault::host("the site is stopping, and the command was not done")),
        }
    }

    /// Hands in a command, waiting for room; `tell` is dropped untold where the site stops before the command is done.
    pub fn begin(&self, plugin: &str, name: &str, argument: Vec<u8>, tell: Tell) {
        let input = Input::Command { plugin: plugin.to_owned(), name: name.to_owned(), argument };
        // Fails where the site is stopping, and drops it.
        let _ = self.queue.push(Item::Input(input, None, Some(tell)));
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
        let Err(RecvError) = self.end.lock().unwrap_or_else(PoisonError::into_inner).recv();
    }

    /// Has an event's signatures checked on other processors, where its handler names them. For one that is taken
    /// at once and alone the handler does it: to wake another thread and be woken by it takes longer than a check.
    fn checks(&self, input: &Input, alone: bool) -> Option<Slot> {
        let Input::Peer(inbound) = input else { return None };
        // Made here rather than on the one thread that all wait for. Whoever needs it learns of a fault.
        let _ = inbound.message.event().header();
        if alone {
            return None;
        }
        let table = self.table.load();
        let (serving, target) = table.claiming(&inbound.message.target)?;
        let named = target.prepared.contains(&inbound.message.action);
        named.then(|| self.workers.check(Arc::clone(serving), Arc::clone(inbound.message.event())))
    }
}

/// Whether there is one message among these. Receipts, which come along with others, have nothing to be checked.
fn has_one_message<'a>(inputs: impl Iterator<Item = &'a Input>) -> bool {
    inputs.filter(|input| matches!(input, Input::Peer(_))).count() == 1
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.queue.close();
    }
}

#[cfg(test)]
#[path = "thread_tests.rs"]
mod tests;
