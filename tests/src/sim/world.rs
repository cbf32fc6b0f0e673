//! All sites and what lies between them.

use super::dice::Dice;
use super::disk::Disk;
use super::link::{Call, Line, Stage};
use super::site::{Plan, SimSite};
use super::story::{BEGIN, Story};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tallyho::ledger::outbox::OutboxRow;
use tallyho_plugin::Fault;
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::record::Timestamp;

/// Something that can happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A site's ledger runs a batch and commits it.
    Turn(usize),
    /// What a commit lets out leaves.
    Release(usize),
    /// A site's outbox schedule has something due.
    Tick(usize),
    /// A site that is down starts.
    Start(usize),
    /// An end of a line writes what it has.
    Write(usize, usize),
    /// A frame arrives at an end of a line.
    Arrive(usize, usize),
    /// An end finds its line lost.
    Find(usize, usize),
    /// A call comes one step further.
    Call(usize),
}

/// Milliseconds without a frame after which a restricted channel is closed, as `net` does it.
const ASKED_IDLE: i64 = 20_000;

/// What a site says instead of what its handlers say; nothing, where it keeps it back.
pub type Tongue = Box<dyn FnMut(&SimSite, &mut Dice, Arc<OutboxRow>) -> Option<Arc<OutboxRow>>>;

/// All sites; see the module.
pub struct World {
    /// The sites.
    pub sites: Vec<SimSite>,
    /// Chance.
    pub dice: Dice,
    /// The time.
    pub now: Timestamp,
    /// Notices told, by site.
    pub notices: Vec<(usize, Value)>,
    /// Messages written to a wire, with the site that wrote them; receipts are not among them.
    pub said: Vec<(usize, Arc<OutboxRow>)>,
    /// After so many more messages about chits one is lost, though its channel is not: another program may
    /// take a message and lose it (PROTOCOL 6.7, mishap 3).
    pub swallow: Option<u64>,
    /// Chance in percent that a message about lifts or routes is lost, though its channel is not. Only where no
    /// receipts are in force: with them no message is lost by itself.
    pub losses: u64,
    /// What sites say instead of what their handlers say.
    pub tongues: BTreeMap<usize, Tongue>,
    /// Sites that do not start by themselves.
    pub held: BTreeSet<usize>,
    pub(super) receipts: bool,
    pub(super) lines: BTreeMap<usize, Line>,
    pub(super) calls: BTreeMap<usize, Call>,
    pub(super) cut: BTreeSet<(usize, usize)>,
    pub(super) named: usize,
    told: Story,
}

impl World {
    /// The plan's sites, running, nothing between them yet.
    pub fn new(plan: &Plan) -> Self {
        let sites = (0..plan.users.len()).map(|place| SimSite::new(plan, place, BEGIN)).collect();
        World::with(sites, plan.seed, plan.receipts, BEGIN)
    }

    fn with(sites: Vec<SimSite>, seed: u64, receipts: bool, now: Timestamp) -> Self {
        World {
            sites,
            dice: Dice::new(seed),
            now,
            notices: Vec::new(),
            said: Vec::new(),
            swallow: None,
            losses: 0,
            tongues: BTreeMap::new(),
            held: BTreeSet::new(),
            receipts,
            lines: BTreeMap::new(),
            calls: BTreeMap::new(),
            cut: BTreeSet::new(),
            named: 0,
            told: Story::default(),
        }
    }

    /// A world that goes on from here in its own way: the same sites with copies of their disks, just
    /// started, nothing between them yet.
    #[must_use]
    pub fn fork(&self, seed: u64, receipts: bool) -> Self {
        self.fork_skewed(seed, receipts, &[])
    }

    /// The same, with clocks that are so many milliseconds ahead, by site.
    #[must_use]
    pub fn fork_skewed(&self, seed: u64, receipts: bool, skews: &[i64]) -> Self {
        // Other chances than those by which it has come to be like this.
        let seeds = seed.wrapping_mul(31) ^ self.now.0.unsigned_abs();
        let skew = |place: usize| skews.get(place).copied().unwrap_or(0);
        let fork =
            |(place, site): (usize, &SimSite)| site.fork(seeds.wrapping_add(place as u64), self.now, skew(place));
        World::with(self.sites.iter().enumerate().map(fork).collect(), seed, receipts, self.now)
    }

    /// What a site takes for the time.
    pub fn at(&self, site: usize) -> Timestamp {
        self.now.plus(self.sites[site].skew)
    }

    /// Remembers a line for [`World::story`].
    pub fn tell(&mut self, line: String) {
        self.told.tell(self.now, line);
    }

    pub(super) fn say(&mut self, site: usize, row: Arc<OutboxRow>) {
        self.told.message(self.now, "sends", site, Arc::clone(&row));
        self.said.push((site, row));
    }

    /// A message has come; whether it gets further than that (`swallow`).
    pub(super) fn hear(&mut self, site: usize, row: Option<Arc<OutboxRow>>) -> bool {
        let Some(row) = row else { return true };
        if let Some(left) = self.swallow.filter(|_| row.message.target == "chit") {
            self.swallow = left.checked_sub(1);
            if left == 0 {
                self.told.message(self.now, "LOSES", site, row);
                return false;
            }
        }
        let about = matches!(row.message.target.as_str(), "lift" | "route" | "referee");
        if self.losses > 0 && about && !self.receipts && self.dice.percent(self.losses) {
            self.told.message(self.now, "LOSES", site, row);
            return false;
        }
        self.told.message(self.now, "hears", site, row);
        true
    }

    /// The latest that happened, a line each.
    pub fn story(&self) -> String {
        self.told.read()
    }

    /// A user's command; what it lets out is pending then.
    ///
    /// # Errors
    /// The command's fault.
    ///
    /// # Panics
    /// When an answer is none.
    pub fn command(&mut self, site: usize, plugin: &str, name: &str, argument: &Value) -> Result<Value, Fault> {
        if self.sites[site].running.as_ref().is_some_and(|running| running.pending.is_some()) {
            self.step(Step::Release(site));
        }
        let bytes = to_cbor(argument)?;
        let now = self.at(site);
        let result = self.sites[site].command(plugin, name, bytes, now);
        let brief = match &result {
            Ok(_) => "done".to_owned(),
            Err(fault) => format!("{:?}: {fault}", fault.kind),
        };
        self.tell(format!("site {site}: {plugin} {name} {argument}: {brief}"));
        result.map(|answer| ciborium::from_reader(answer.as_slice()).expect("an answer is CBOR"))
    }

    /// Everything that can happen now.
    pub fn steps(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (place, site) in self.sites.iter_mut().enumerate() {
            let now = self.now.plus(site.skew);
            match &mut site.running {
                None if self.held.contains(&place) => {}
                None => steps.push(Step::Start(place)),
                Some(running) => {
                    steps.extend(running.pending.is_some().then_some(Step::Release(place)));
                    steps.extend(running.is_busy(now).then_some(Step::Turn(place)));
                    steps.extend(running.next_row().filter(|next| *next <= now).map(|_| Step::Tick(place)));
                }
            }
        }
        for (name, line) in &mut self.lines {
            line.lost |= line.asked && self.now >= line.used.plus(ASKED_IDLE);
            let cut = is_cut(&self.cut, line.ends[0].site, line.ends[1].site);
            for end in 0..2 {
                steps.extend(line.ends[end].is_writing().then_some(Step::Write(*name, end)));
                let arrives = line.ends[end].open && !cut && !line.ends[1 - end].flight.is_empty();
                steps.extend(arrives.then_some(Step::Arrive(*name, end)));
                steps.extend((line.lost && line.ends[end].open).then_some(Step::Find(*name, end)));
            }
        }
        let waits = |call: &Call| !matches!(call.stage, Stage::Judged);
        steps.extend(self.calls.iter().filter(|(_, call)| waits(call)).map(|(name, _)| Step::Call(*name)));
        steps
    }

    /// Has it happen.
    pub fn step(&mut self, step: Step) {
        self.told.step(self.now, step);
        match step {
            Step::Turn(site) => {
                let most = 1 + self.dice.below(8);
                let now = self.at(site);
                let orders = self.sites[site].turn(most, now);
                self.obey(site, orders);
            }
            Step::Release(site) => self.release(site),
            Step::Tick(site) => self.deliver(site, |courier, now| courier.tick(now)),
            Step::Start(site) => self.start(site, None),
            Step::Write(line, end) => self.write(line, end),
            Step::Arrive(line, end) => self.arrive(line, end),
            Step::Find(line, end) => self.find(line, end),
            Step::Call(call) => self.call(call),
        }
        self.lines.retain(|_, line| !line.is_over());
    }

    /// Any of the steps that can happen; whether there was one.
    pub fn any(&mut self) -> bool {
        let steps = self.steps();
        if steps.is_empty() {
            return false;
        }
        let step = *self.dice.one_of(&steps);
        self.step(step);
        true
    }

    /// The next instant at which something will be due.
    pub fn next_due(&mut self) -> Option<Timestamp> {
        self.sites.iter_mut().filter_map(|site| Some(site.running.as_mut()?.next_due()?.plus(-site.skew))).min()
    }

    /// Lets things happen for so many milliseconds, and until nothing is left to happen then.
    ///
    /// # Panics
    /// When that never comes to be.
    pub fn calm(&mut self, milliseconds: i64) {
        let end = self.now.plus(milliseconds);
        for _ in 0..200_000 {
            if self.any() {
                continue;
            }
            match self.next_due().filter(|next| *next <= end) {
                Some(next) => self.now = self.now.max(next),
                None => {
                    self.now = end;
                    return;
                }
            }
        }
        let due = |running: &super::site::Running| (running.core.next_timer(), running.courier.next(), running.refused);
        let due: Vec<_> = self.sites.iter().map(|site| site.running.as_ref().map(due)).collect();
        panic!("it never comes to rest: at {} the sites wait for timer, outbox, store at {due:?}", self.now.0);
    }

    /// Starts a site that is down. `fail`: its store's n-th operation fails.
    pub fn start(&mut self, site: usize, fail: Option<u64>) {
        let now = self.at(site);
        if let Err(error) = self.sites[site].start(now, fail) {
            self.tell(format!("site {site} does not start: {error}"));
        }
    }

    /// A site's process dies.
    pub fn crash(&mut self, site: usize) {
        self.tell(format!("site {site} CRASHES"));
        self.sites[site].running = None;
        let agent = self.sites[site].agent().clone();
        for line in self.lines.values_mut() {
            for end in line.ends.iter_mut().filter(|end| end.site == site && end.open) {
                end.open = false;
                line.lost = true;
            }
        }
        let gone: Vec<usize> = self.calls.iter().filter(|(_, call)| call.from == site).map(|(name, _)| *name).collect();
        for name in gone {
            let call = self.calls.remove(&name);
            if let Some(Call { stage: Stage::Answering(line), .. }) = call {
                self.lose(line);
            }
        }
        // Whoever was in the middle of calling it sees the connection close.
        let hung: Vec<usize> = self
            .calls
            .iter()
            .filter(|(_, call)| call.agent == agent && !matches!(call.stage, Stage::Waiting))
            .map(|(name, _)| *name)
            .collect();
        hung.into_iter().for_each(|name| self.fail(name, true, false));
    }

    /// A site's process dies, and its disk is replaced by an older copy of it. The clock goes on meanwhile.
    pub fn restore(&mut self, site: usize, copy: &Disk) {
        self.crash(site);
        self.tell(format!("site {site} comes back FROM AN OLDER COPY"));
        self.sites[site].disk = copy.copy();
        self.now = self.now.plus(1);
    }

    /// A line is lost; both ends will find out.
    pub fn lose(&mut self, line: usize) {
        if let Some(line) = self.lines.get_mut(&line) {
            line.lost = true;
        }
    }

    /// All lines.
    pub fn lines(&self) -> Vec<usize> {
        self.lines.keys().copied().collect()
    }

    /// Cuts or mends the wire between two sites. Lines over a wire that is cut may outlive that.
    pub fn cut(&mut self, one: usize, other: usize, cut: bool) {
        self.tell(format!("the wire between {one} and {other} is {}", if cut { "CUT" } else { "mended" }));
        let pair = (one.min(other), one.max(other));
        if cut {
            self.cut.insert(pair)
        } else {
            self.cut.remove(&pair)
        };
        let over: Vec<usize> =
            self.lines.iter().filter(|(_, line)| line.joins(one, other)).map(|(name, _)| *name).collect();
        for line in over {
            if cut && self.dice.percent(70) {
                self.lose(line);
            }
        }
    }

    /// Mends every wire and every store, and starts every site.
    pub fn heal(&mut self) {
        self.tell("all is mended".to_owned());
        self.cut.clear();
        self.held.clear();
        self.losses = 0;
        for place in 0..self.sites.len() {
            match &self.sites[place].running {
                Some(running) => running.faults.clear(),
                None => self.start(place, None),
            }
        }
    }
}

pub(super) fn is_cut(cut: &BTreeSet<(usize, usize)>, one: usize, other: usize) -> bool {
    cut.contains(&(one.min(other), one.max(other)))
}
