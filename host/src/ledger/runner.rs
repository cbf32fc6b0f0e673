//! What the ledger's thread goes on with: takes what waits, runs it as one batch, tells everybody.
//!
//! It is a value rather than a loop, because handlers that never come back take their thread with them: another one
//! then goes on with this, from where it was (see [`oversee`](super::oversee)).

use super::at_work::Stuck;
use super::core::{Core, Done, Ran, Work};
use super::input::{Input, Outcome, Released};
use super::limits::{BATCH, CONFLICTS, QUEUE, STORE_RETRY_MS};
use super::oversee::Overseer;
use super::queue::{Item, Queue, Tell};
use super::thread::{Clock, Outside};
use super::verify::{Checked, Slot, Workers};
use crate::crash::crash_point;
use crate::store::StoreError;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};
use tallyho_plugin::Fault;

/// See the module.
pub(super) struct Runner {
    pub(super) core: Core,
    pub(super) queue: Arc<Queue>,
    pub(super) checking: Arc<Workers>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) outside: Arc<dyn Outside>,
    pub(super) overseer: Overseer<Runner>,
    pub(super) state: State,
    /// Whoever waits for the end learns of it when this is dropped, last of all.
    pub(super) _ended: SyncSender<Infallible>,
}

/// How far it has come.
#[derive(Default)]
pub(super) struct State {
    /// What was taken from the queue and has not been looked at.
    items: VecDeque<Item>,
    /// What came before the item at hand has been run.
    settled: bool,
    /// What was taken before has been looked at.
    sorted: bool,
    /// Nothing more will come.
    closed: bool,
    /// Inputs to be run, those of a batch that the store refused first.
    kept: Kept,
    /// The batch at hand, until it is durable or refused.
    batch: Option<AtHand>,
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

/// A batch from its first attempt on.
struct AtHand {
    inputs: Arc<Vec<(Input, Checked)>>,
    tells: Vec<Option<Tell>>,
    /// How often it may still be run again because another process came first.
    conflicts: u32,
}

/// The store refuses writes.
struct Refusal {
    again: Instant,
    wait: Duration,
}

impl Drop for Runner {
    /// However it ends, also by a panic: nobody waits for it any more.
    fn drop(&mut self) {
        if std::thread::panicking() {
            log::error!("the ledger's thread ended by a panic: this is a bug of this program");
        }
        self.queue.abandon();
        self.overseer.close();
    }
}

impl Runner {
    /// Goes on until nothing more will come, or until handlers do not come back.
    pub(super) fn go_on(mut self) {
        let overseer = self.overseer.clone();
        while let Some(work) = self.next() {
            let Some((runner, ran)) = overseer.mind(self, || work.run()) else { return };
            self = runner;
            self.ran(Ok(ran));
        }
    }

    /// The same on a new thread, after another was given up.
    pub(super) fn take_over(mut self, stuck: Stuck) {
        self.ran(Err(stuck));
        self.go_on();
    }

    /// Does what there is to do up to the next batch that handlers are to run. `None`: nothing more will come.
    fn next(&mut self) -> Option<Work> {
        loop {
            if self.state.batch.is_some() {
                // Rolled back, and to be run again.
                if let Some(work) = self.begin() {
                    return Some(work);
                }
            }
            let work = match self.state.items.pop_front() {
                // What came before it is run as it was meant: by the generation that served then.
                Some(item @ Item::Alter(_)) if !self.state.settled => {
                    self.state.settled = true;
                    self.state.items.push_front(item);
                    if self.state.refusal.is_none() { self.batch() } else { None }
                }
                Some(item) => {
                    self.state.settled = false;
                    self.sort(item);
                    None
                }
                None if !self.state.sorted => {
                    self.state.sorted = true;
                    let may = self.state.refusal.as_ref().is_none_or(|refusal| refusal.again <= Instant::now());
                    if may { self.batch() } else { None }
                }
                None if self.state.closed => return None,
                None => match self.take() {
                    Some(items) => {
                        (self.state.items, self.state.sorted) = (items.into(), false);
                        None
                    }
                    None => {
                        self.state.closed = true;
                        // Once more, whatever the store has said.
                        if self.state.kept.inputs.is_empty() { None } else { self.batch() }
                    }
                },
            };
            if work.is_some() {
                return work;
            }
        }
    }

    /// What to do next. While the store refuses, what cannot be run stays in the queue, whose bound
    /// then slows the peers down; but nobody waits in vain for an answer.
    fn take(&self) -> Option<Vec<Item>> {
        match BATCH.min(QUEUE.saturating_sub(self.state.kept.inputs.len())) {
            0 => self.queue.take_awaited(BATCH, self.patience()),
            room => self.queue.take(room, self.patience()),
        }
    }

    /// How long to wait for something to do; `None`: as long as it takes.
    fn patience(&self) -> Option<Duration> {
        if let Some(refusal) = &self.state.refusal {
            return Some(refusal.again.saturating_duration_since(Instant::now()));
        }
        let wait = self.core.next_timer()?.0.saturating_sub(self.clock.now().0);
        Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
    }

    fn sort(&mut self, item: Item) {
        match item {
            Item::Ask(ask) => ask(&mut self.core),
            Item::Alter(alter) => {
                let (released, told) = alter(&mut self.core, self.clock.now());
                if !released.is_empty() {
                    self.release(released);
                }
                told();
            }
            Item::Input(input, slot, tell) => {
                let looked = self.state.refusal.is_some().then(|| self.core.look(&input, self.clock.now()));
                if let Some(Ok(Some(outcome))) = looked {
                    return answer(tell, outcome);
                }
                // Somebody waits who may have made room just now: try at once.
                if let (Some(refusal), true) = (&mut self.state.refusal, someone_waits(&input)) {
                    refusal.again = Instant::now();
                }
                let checked = slot.map(|slot| self.checked(&slot)).unwrap_or_default();
                self.state.kept.push(input, checked, tell);
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

    /// A batch of all that waits, begun; `None`: nothing does, or the store refuses.
    fn batch(&mut self) -> Option<Work> {
        match self.core.due(self.clock.now()) {
            Ok(due) => due.into_iter().for_each(|timer| self.state.kept.push(timer, Checked::new(), None)),
            Err(error) => {
                self.refused(&error);
                return None;
            }
        }
        if self.state.kept.inputs.is_empty() {
            self.state.refusal = None;
            return None;
        }
        let Kept { inputs, tells } = std::mem::take(&mut self.state.kept);
        self.state.batch = Some(AtHand { inputs: Arc::new(inputs), tells, conflicts: CONFLICTS });
        self.begin()
    }

    /// Begins the batch at hand.
    fn begin(&mut self) -> Option<Work> {
        let inputs = Arc::clone(&self.state.batch.as_ref()?.inputs);
        let begun = self.core.begin(&inputs, self.clock.now());
        // Before `failed`, which keeps them whole where nobody else has them.
        drop(inputs);
        begun.map_err(|error| self.failed(error)).ok()
    }

    /// Ends the batch at hand once its handlers have run.
    fn ran(&mut self, ran: Result<Ran, Stuck>) {
        match self.core.end(ran) {
            Ok(Some(done)) => self.done(done),
            Ok(None) => {}
            Err(error) => self.failed(error),
        }
    }

    fn done(&mut self, done: Done) {
        let Some(AtHand { inputs, tells, .. }) = self.state.batch.take() else { return };
        if self.state.refusal.take().is_some() {
            log::info!("the store takes writes again");
        }
        if !done.released.is_empty() {
            self.release(done.released);
        }
        for released in self.core.end_shadows(self.clock.now()) {
            self.release(released);
        }
        for (tell, outcome) in tells.into_iter().zip(done.outcomes) {
            if let Some(tell) = tell {
                tell(outcome);
            }
        }
        self.queue.spend(inputs);
    }

    /// Nothing of the batch at hand was kept.
    fn failed(&mut self, error: StoreError) {
        let Some(mut batch) = self.state.batch.take() else { return };
        // Another process of the site came first; handlers are deterministic, so a retry is safe.
        if error == StoreError::Conflict && batch.conflicts > 0 {
            batch.conflicts -= 1;
            self.state.batch = Some(batch);
            return;
        }
        self.state.kept = Kept { inputs: Arc::unwrap_or_clone(batch.inputs), tells: batch.tells };
        self.refused(&error);
    }

    fn refused(&mut self, error: &StoreError) {
        let (first, longest) = STORE_RETRY_MS;
        let wait = self
            .state
            .refusal
            .as_ref()
            .map_or(Duration::from_millis(first), |refusal| (refusal.wait * 2).min(Duration::from_millis(longest)));
        log::error!("nothing can be committed: {error}; trying again in {} ms", wait.as_millis());
        self.state.refusal = Some(Refusal { again: Instant::now() + wait, wait });
        // A timer is found again by `due`; who waits for an answer is told, and decides what to do;
        // everything else is kept.
        let now = self.clock.now();
        let Kept { inputs, tells } = std::mem::take(&mut self.state.kept);
        for ((input, checked), tell) in inputs.into_iter().zip(tells) {
            match input {
                Input::Timer { .. } => {}
                // Kept for nobody: whoever it was asks again, and many of them must not fill the queue.
                Input::Peer(inbound) if inbound.message.restricted && !inbound.message.asked => {}
                input if someone_waits(&input) => match self.core.look(&input, now) {
                    Ok(Some(outcome)) => answer(tell, outcome),
                    _ => answer(tell, refusal(error)),
                },
                input => self.state.kept.push(input, checked, tell),
            }
        }
    }

    pub(super) fn release(&self, mut released: Released) {
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
