//! All sites and what lies between them.

use super::dice::Dice;
use super::link::{Call, Line, Stage};
use super::receive;
use super::site::{Job, Pending, Plan, SimSite};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tallyho::ledger::input::{Input, Outcome};
use tallyho::net::channel::Out;
use tallyho::net::courier::{Courier, Order};
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::record::{AgentId, Timestamp};
use tallyho_plugin::{Fault, FaultKind};

/// Steps remembered for whoever wonders how it came to this.
const REMEMBERED: usize = 400;

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
    receipts: bool,
    lines: BTreeMap<usize, Line>,
    calls: BTreeMap<usize, Call>,
    cut: BTreeSet<(usize, usize)>,
    named: usize,
    told: VecDeque<String>,
}

impl World {
    /// The plan's sites, running, nothing between them yet.
    pub fn new(plan: &Plan) -> Self {
        let now = Timestamp(1_700_000_000_000);
        let sites = (0..plan.users.len()).map(|place| SimSite::new(plan, place, now)).collect();
        World {
            sites,
            dice: Dice::new(plan.seed),
            now,
            notices: Vec::new(),
            receipts: plan.receipts,
            lines: BTreeMap::new(),
            calls: BTreeMap::new(),
            cut: BTreeSet::new(),
            named: 0,
            told: VecDeque::new(),
        }
    }

    /// Remembers a line for [`World::story`].
    pub fn tell(&mut self, line: String) {
        if self.told.len() == REMEMBERED {
            self.told.pop_front();
        }
        self.told.push_back(format!("{:>8} {line}", self.now.0 - 1_700_000_000_000));
    }

    /// The latest that happened, a line each.
    pub fn story(&self) -> String {
        self.told.iter().map(|line| format!("{line}\n")).collect()
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
        let result = self.sites[site].command(plugin, name, bytes, self.now);
        let brief = match &result {
            Ok(_) => "done".to_owned(),
            Err(fault) => format!("{:?}: {fault}", fault.kind),
        };
        if !matches!(name, "show" | "list") {
            self.tell(format!("site {site}: {plugin} {name} {argument}: {brief}"));
        }
        result.map(|answer| ciborium::from_reader(answer.as_slice()).expect("an answer is CBOR"))
    }

    /// Everything that can happen now.
    pub fn steps(&mut self) -> Vec<Step> {
        let (mut steps, now) = (Vec::new(), self.now);
        for (place, site) in self.sites.iter().enumerate() {
            match &site.running {
                None => steps.push(Step::Start(place)),
                Some(running) => {
                    steps.extend(running.pending.is_some().then_some(Step::Release(place)));
                    steps.extend(running.is_busy(now).then_some(Step::Turn(place)));
                    steps.extend(running.courier.next().filter(|next| *next <= now).map(|_| Step::Tick(place)));
                }
            }
        }
        for (name, line) in &mut self.lines {
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
        self.tell(format!("{step:?}"));
        match step {
            Step::Turn(site) => {
                let most = 1 + self.dice.below(8);
                let orders = self.sites[site].turn(most, self.now);
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
    pub fn next(&self) -> Option<Timestamp> {
        self.sites.iter().filter_map(|site| site.running.as_ref()?.next()).min()
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
            match self.next().filter(|next| *next <= end) {
                Some(next) => self.now = self.now.max(next),
                None => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("it never comes to rest");
    }

    /// Starts a site that is down. `fail`: its store's n-th operation fails.
    pub fn start(&mut self, site: usize, fail: Option<u64>) {
        if let Err(error) = self.sites[site].start(self.now, fail) {
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
        for place in 0..self.sites.len() {
            match &self.sites[place].running {
                Some(running) => running.faults.clear(),
                None => self.start(place, None),
            }
        }
    }

    fn place_of(&self, agent: &AgentId) -> usize {
        self.sites.iter().position(|site| site.agent() == agent).expect("agents are sites of this world")
    }

    fn deliver(&mut self, site: usize, act: impl FnOnce(&mut Courier, Timestamp) -> Vec<Order>) {
        let now = self.now;
        let Some(running) = &mut self.sites[site].running else { return };
        let orders = act(&mut running.courier, now);
        self.obey(site, orders);
    }

    fn obey(&mut self, site: usize, orders: Vec<Order>) {
        for order in orders {
            let Some(running) = &mut self.sites[site].running else { return };
            match order {
                Order::Report { agent, mid, fate, receipts } => {
                    running.urgent.push_back(Job::Input(Input::Delivery { agent, mid, fate, receipts }, None));
                }
                Order::Refill { agent, after } => running.urgent.push_back(Job::Refill(agent, after)),
                Order::Send { channel, mid, row, attempt } => {
                    let line = self.lines.get(&usize::try_from(channel).unwrap_or(0));
                    let end = line.and_then(|line| line.ends.iter().find(|end| end.site == site && end.open));
                    end.expect("rows go to open channels").channel.send(Out::Row { mid, row, attempt });
                }
                Order::Dial { to, mid, row, attempt } => {
                    self.named += 1;
                    let call = Call { from: site, agent: to.agent, mid, row, attempt, stage: Stage::Waiting };
                    self.calls.insert(self.named, call);
                }
            }
        }
    }

    fn release(&mut self, site: usize) {
        let Some(running) = &mut self.sites[site].running else { return };
        let Some(Pending { released, fresh, told }) = running.pending.take() else { return };
        running.urgent.extend(released.local.into_iter().map(|mid| Job::Input(Input::Local { mid }, None)));
        self.notices.extend(released.notices.into_iter().map(|notice| (site, notice)));
        for (agent, receipt) in released.receipts {
            let ends = self.lines.values().flat_map(|line| &line.ends);
            let open: Vec<_> =
                ends.filter(|end| end.site == site && end.open && end.channel.agent.as_ref() == Some(&agent)).collect();
            if !open.is_empty() {
                // Any will do, as where two sites have called each other.
                self.dice.one_of(&open).channel.send(Out::Receipt(receipt));
            }
        }
        let mut withdrawn: BTreeMap<AgentId, Vec<u64>> = BTreeMap::new();
        for (agent, mid) in released.withdrawn {
            withdrawn.entry(agent).or_default().push(mid);
        }
        for (agent, mids) in withdrawn {
            let ends = self.lines.values().flat_map(|line| &line.ends).filter(|end| end.site == site);
            ends.filter(|end| end.channel.agent.as_ref() == Some(&agent)).for_each(|end| end.channel.withdraw(&mids));
            self.deliver(site, |courier, now| courier.remove(&agent, &mids, now));
        }
        self.deliver(site, |courier, now| courier.post(released.posts, fresh, now));
        for (call, outcome) in told {
            self.judge(call, &outcome);
        }
    }

    fn write(&mut self, name: usize, end: usize) {
        let Some(line) = self.lines.get_mut(&name) else { return };
        let (end, lost) = (&mut line.ends[end], line.lost);
        let (site, Some(out)) = (end.site, end.sealed.take()) else { return };
        let own = &self.sites[site].own;
        let agent = end.channel.agent.clone().expect("all channels here have proven who is there");
        let (bytes, mid) = match &out {
            Out::Row { mid, row, attempt } => {
                (receive::encoded(own, row, *mid, *attempt, self.receipts, self.now), Some(*mid))
            }
            Out::Receipt(receipt) => (receive::receipt(own, &agent, receipt), None),
        };
        // The system takes bytes for a connection that is gone, as long as it does not know.
        if !lost {
            end.flight.push_back(bytes);
        }
        let channel = end.channel.id;
        if let Some(mid) = mid {
            self.deliver(site, |courier, now| courier.handed(&agent, channel, mid, now));
        }
    }

    fn arrive(&mut self, name: usize, end: usize) {
        let Some(line) = self.lines.get_mut(&name) else { return };
        let Some(bytes) = line.ends[1 - end].flight.pop_front() else { return };
        let (site, agent) = (line.ends[end].site, line.ends[end].channel.agent.clone());
        let agent = agent.expect("all channels here have proven who is there");
        receive::arrived(&mut self.sites[site], &agent, &bytes, self.receipts, None, self.now);
    }

    fn find(&mut self, name: usize, end: usize) {
        let Some(line) = self.lines.get_mut(&name) else { return };
        let end = &mut line.ends[end];
        end.open = false;
        end.flight.clear();
        let (site, channel, agent) = (end.site, end.channel.id, end.channel.agent.clone());
        let agent = agent.expect("all channels here have proven who is there");
        self.deliver(site, |courier, now| courier.closed(&agent, channel, now));
    }

    fn fail(&mut self, name: usize, closed: bool, unsent: bool) {
        let Some(Call { from, agent, mid, stage, .. }) = self.calls.remove(&name) else { return };
        if let Stage::Answering(line) = stage {
            self.lose(line);
        }
        let why = if closed { "it closed" } else { "it cannot be reached" };
        self.deliver(from, |courier, now| courier.failed(&agent, mid, closed, unsent, why, now));
    }

    fn call(&mut self, name: usize) {
        let Some(call) = self.calls.get(&name) else { return };
        let (from, to, agent, mid) = (call.from, self.place_of(&call.agent), call.agent.clone(), call.mid);
        let reachable = self.sites[to].running.is_some() && !is_cut(&self.cut, from, to);
        match &call.stage {
            Stage::Waiting => {
                let now = self.now;
                let off =
                    self.sites[from].running.as_mut().and_then(|running| running.courier.called_off(&agent, mid, now));
                if let Some(orders) = off {
                    self.calls.remove(&name);
                    self.obey(from, orders);
                } else if reachable {
                    let own = &self.sites[from].own;
                    let bytes = receive::encoded(own, &call.row, mid, call.attempt, self.receipts, now);
                    self.stage(name, Stage::Opening(bytes));
                } else {
                    self.fail(name, false, true);
                }
            }
            _ if !reachable => {
                // Silence until the deadline, or the connection is seen to close.
                let closed = self.dice.percent(50);
                self.fail(name, closed, false);
            }
            Stage::Opening(bytes) => {
                let (bytes, ticket) = (bytes.clone(), call.row.message.ticket.is_some());
                let from_agent = self.sites[from].agent().clone();
                let now = self.now;
                let admitted =
                    self.sites[to].running.as_ref().map(|running| running.relations.admits(&from_agent, now));
                if ticket {
                    self.stage(name, Stage::Judged);
                    receive::arrived(&mut self.sites[to], &from_agent, &bytes, false, Some(name), now);
                } else if admitted == Some(true) {
                    self.answer(name);
                    receive::arrived(&mut self.sites[to], &from_agent, &bytes, self.receipts, None, now);
                } else {
                    self.fail(name, true, false);
                }
            }
            Stage::Answering(line) => {
                let line = *line;
                let Some(open) = self.lines.get_mut(&line).filter(|line| !line.lost) else {
                    return self.fail(name, true, false);
                };
                open.ends[0].open = true;
                self.calls.remove(&name);
                let receipts = self.receipts;
                self.deliver(from, |courier, now| courier.answered(&agent, line as u64, mid, true, receipts, now));
            }
            Stage::Judged => {}
        }
    }

    /// A ticket that a call carried has been judged.
    fn judge(&mut self, name: usize, outcome: &Outcome) {
        match outcome {
            _ if !self.calls.contains_key(&name) => {}
            Outcome::Done(_) => self.answer(name),
            Outcome::Fault(fault) => {
                assert!(fault.kind != FaultKind::Failed, "a handler failed: {fault}");
                self.fail(name, true, false);
            }
        }
    }

    /// The side that was called has its end of a new line, and `A` is on its way.
    fn answer(&mut self, name: usize) {
        let Some(call) = self.calls.get(&name) else { return };
        let (from, to) = (call.from, self.place_of(&call.agent));
        self.named += 1;
        let line = self.named;
        let agents = [self.sites[from].agent(), self.sites[to].agent()];
        let new = Line::new(line as u64, [from, to], agents, self.receipts, self.now);
        let caller = agents[0].clone();
        self.lines.insert(line, new);
        self.stage(name, Stage::Answering(line));
        let receipts = self.receipts;
        self.deliver(to, |courier, now| courier.opened(&caller, line as u64, receipts, now));
    }

    fn stage(&mut self, name: usize, stage: Stage) {
        if let Some(call) = self.calls.get_mut(&name) {
            call.stage = stage;
        }
    }
}

fn is_cut(cut: &BTreeSet<(usize, usize)>, one: usize, other: usize) -> bool {
    cut.contains(&(one.min(other), one.max(other)))
}
