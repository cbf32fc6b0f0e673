//! What happens between sites: orders of their schedules, frames, calls.

use super::link::{Call, Frame, Line, Stage};
use super::receive;
use super::site::{Job, Pending};
use super::world::{World, is_cut};
use std::collections::BTreeMap;
use std::sync::Arc;
use tallyho::ledger::input::{Input, Outcome};
use tallyho::ledger::line::Line as OutboxLine;
use tallyho::net::channel::Out;
use tallyho::net::courier::{Courier, Order};
use tallyho_plugin::FaultKind;
use tallyho_plugin::record::{AgentId, Timestamp};

impl World {
    pub(super) fn place_of(&self, agent: &AgentId) -> usize {
        self.sites.iter().position(|site| site.agent() == agent).expect("agents are sites of this world")
    }

    pub(super) fn deliver(&mut self, site: usize, act: impl FnOnce(&mut Courier, Timestamp) -> Vec<Order>) {
        let now = self.now;
        let Some(running) = &mut self.sites[site].running else { return };
        let orders = act(&mut running.courier, now);
        self.obey(site, orders);
    }

    pub(super) fn obey(&mut self, site: usize, orders: Vec<Order>) {
        for order in orders {
            let Some(running) = &mut self.sites[site].running else { return };
            match order {
                Order::Report { line, mid, fate, receipts } => {
                    running.urgent.push_back(Job::Input(Input::Delivery { line, mid, fate, receipts }, None));
                }
                Order::Refill { line, after } => running.urgent.push_back(Job::Refill(line, after)),
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

    pub(super) fn release(&mut self, site: usize) {
        let Some(running) = &mut self.sites[site].running else { return };
        let Some(Pending { released, fresh, told }) = running.pending.take() else { return };
        running.urgent.extend(released.local.into_iter().map(|mid| Job::Input(Input::Local { mid }, None)));
        self.notices.extend(released.notices.into_iter().map(|notice| (site, notice)));
        for (agent, receipt) in released.receipts {
            let ends = self.lines.values().flat_map(|line| &line.ends).filter(|end| end.site == site && end.open);
            let ends = ends.filter(|end| end.channel.agent.as_ref() == Some(&agent));
            // On each channel: one of them may be dead without anybody knowing yet.
            ends.for_each(|end| end.channel.send(Out::Receipt(receipt.clone())));
        }
        let mut withdrawn: BTreeMap<OutboxLine, Vec<u64>> = BTreeMap::new();
        for (line, mid) in released.withdrawn {
            withdrawn.entry(line).or_default().push(mid);
        }
        for (of, mids) in withdrawn {
            let ends = self.lines.values().flat_map(|line| &line.ends).filter(|end| end.site == site);
            ends.filter(|end| end.channel.line.as_ref() == Some(&of)).for_each(|end| end.channel.withdraw(&mids));
            self.deliver(site, |courier, now| courier.remove(&of, &mids, now));
        }
        self.deliver(site, |courier, now| courier.post(released.posts, fresh, now));
        for (call, outcome) in told {
            self.judge(call, &outcome);
        }
    }

    pub(super) fn write(&mut self, name: usize, end: usize) {
        let Some(line) = self.lines.get_mut(&name) else { return };
        let (end, lost) = (&mut line.ends[end], line.lost);
        let (site, Some(out)) = (end.site, end.sealed.take()) else { return };
        let own = &self.sites[site].own;
        let agent = end.channel.agent.clone().expect("all channels here have proven who is there");
        let (bytes, said) = match &out {
            Out::Row { mid, row, attempt } => {
                (receive::encoded(own, row, *mid, *attempt, self.receipts, self.now), Some((*mid, Arc::clone(row))))
            }
            Out::Receipt(receipt) => (receive::receipt(own, &agent, receipt), None),
            Out::Answer(_) => unreachable!("no handler here answers strangers"),
        };
        let row = said.as_ref().map(|(_, row)| Arc::clone(row));
        // The system takes bytes for a connection that is gone, as long as it does not know.
        if !lost {
            end.flight.push_back(Frame { bytes, row });
        }
        let channel = end.channel.id;
        if let Some((mid, row)) = said {
            self.say(site, row);
            self.deliver(site, |courier, now| courier.handed(&OutboxLine::from(&agent), channel, mid, now));
        }
    }

    pub(super) fn arrive(&mut self, name: usize, end: usize) {
        let Some(line) = self.lines.get_mut(&name) else { return };
        let Some(Frame { bytes, row }) = line.ends[1 - end].flight.pop_front() else { return };
        let (site, agent) = (line.ends[end].site, line.ends[end].channel.agent.clone());
        let agent = agent.expect("all channels here have proven who is there");
        if self.hear(site, row) {
            receive::arrived(&mut self.sites[site], &agent, &bytes, self.receipts, None, self.now);
        }
    }

    /// A frame on its way is there once more, behind the others.
    pub(super) fn repeat(&mut self) {
        if let Some((name, end)) = self.flying(1) {
            self.tell(format!("a frame to the other end of {end} of line {name} is REPEATED"));
            let flight = &mut self.lines.get_mut(&name).expect("it was there").ends[end].flight;
            let frame = flight[self.dice.below(flight.len())].clone();
            flight.push_back(frame);
        }
    }

    /// A frame overtakes all before it: only where no receipts are in force, whose ids need the order.
    pub(super) fn overtake(&mut self) {
        if self.receipts {
            return;
        }
        if let Some((name, end)) = self.flying(2) {
            self.tell(format!("a frame to the other end of {end} of line {name} OVERTAKES"));
            let flight = &mut self.lines.get_mut(&name).expect("it was there").ends[end].flight;
            let last = flight.pop_back();
            last.into_iter().for_each(|frame| flight.push_front(frame));
        }
    }

    /// An end with at least so many frames on their way from it.
    fn flying(&mut self, least: usize) -> Option<(usize, usize)> {
        let ends = self.lines.iter().flat_map(|(name, line)| [(*name, 0, &line.ends[0]), (*name, 1, &line.ends[1])]);
        let ends: Vec<(usize, usize)> =
            ends.filter(|(_, _, end)| end.flight.len() >= least).map(|(name, end, _)| (name, end)).collect();
        (!ends.is_empty()).then(|| *self.dice.one_of(&ends))
    }

    pub(super) fn find(&mut self, name: usize, end: usize) {
        let Some(line) = self.lines.get_mut(&name) else { return };
        let end = &mut line.ends[end];
        end.open = false;
        end.flight.clear();
        let (site, channel, agent) = (end.site, end.channel.id, end.channel.agent.clone());
        let agent = agent.expect("all channels here have proven who is there");
        self.deliver(site, |courier, now| courier.closed(&OutboxLine::from(&agent), channel, now));
    }

    pub(super) fn fail(&mut self, name: usize, closed: bool, unsent: bool) {
        let Some(Call { from, agent, mid, stage, .. }) = self.calls.remove(&name) else { return };
        if let Stage::Answering(line) = stage {
            self.lose(line);
        }
        let why = if closed { "it closed" } else { "it cannot be reached" };
        self.deliver(from, |courier, now| courier.failed(&OutboxLine::from(&agent), mid, closed, unsent, why, now));
    }

    pub(super) fn call(&mut self, name: usize) {
        let Some(call) = self.calls.get(&name) else { return };
        let (from, to, agent, mid) = (call.from, self.place_of(&call.agent), call.agent.clone(), call.mid);
        let reachable = self.sites[to].running.is_some() && !is_cut(&self.cut, from, to);
        match &call.stage {
            Stage::Waiting => {
                let now = self.now;
                let off = self.sites[from]
                    .running
                    .as_mut()
                    .and_then(|running| running.courier.called_off(&OutboxLine::from(&agent), mid, now));
                if let Some(orders) = off {
                    self.calls.remove(&name);
                    self.obey(from, orders);
                } else if reachable {
                    let own = &self.sites[from].own;
                    let (row, attempt) = (Arc::clone(&call.row), call.attempt);
                    let bytes = receive::encoded(own, &row, mid, attempt, self.receipts, now);
                    self.say(from, row);
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
                let (bytes, row) = (bytes.clone(), Arc::clone(&call.row));
                let ticket = row.message.ticket.is_some();
                let from_agent = self.sites[from].agent().clone();
                let now = self.now;
                let admitted =
                    self.sites[to].running.as_ref().map(|running| running.relations.admits(&from_agent, now));
                if ticket {
                    self.stage(name, Stage::Judged);
                    self.hear(to, Some(row)); // about a tally, so it is not lost
                    receive::arrived(&mut self.sites[to], &from_agent, &bytes, false, Some(name), now);
                } else if admitted == Some(true) {
                    self.answer(name);
                    if self.hear(to, Some(row)) {
                        receive::arrived(&mut self.sites[to], &from_agent, &bytes, self.receipts, None, now);
                    }
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
                self.deliver(from, |courier, now| {
                    courier.answered(&OutboxLine::from(&agent), line as u64, mid, true, receipts, now)
                });
            }
            Stage::Judged => {}
        }
    }

    /// A ticket that a call carried has been judged.
    pub(super) fn judge(&mut self, name: usize, outcome: &Outcome) {
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
    pub(super) fn answer(&mut self, name: usize) {
        let Some(call) = self.calls.get(&name) else { return };
        let (from, to) = (call.from, self.place_of(&call.agent));
        self.named += 1;
        let line = self.named;
        let agents = [self.sites[from].agent(), self.sites[to].agent()];
        let new = Line::new(line as u64, [from, to], agents, self.receipts, self.now);
        let (caller, ticket) = (agents[0].clone(), call.row.message.ticket.is_some());
        self.lines.insert(line, new);
        self.stage(name, Stage::Answering(line));
        let receipts = self.receipts;
        if ticket {
            return self
                .deliver(to, |courier, now| courier.opened(&OutboxLine::from(&caller), line as u64, receipts, now));
        }
        if receipts {
            let older = self.lines.iter().filter(|(name, _)| **name != line).flat_map(|(_, line)| &line.ends);
            let with = older.filter(|end| end.site == to && end.channel.agent.as_ref() == Some(&caller));
            with.for_each(|end| end.channel.take_back());
        }
        self.deliver(to, |courier, now| courier.called_us(&OutboxLine::from(&caller), line as u64, receipts, now));
    }

    pub(super) fn stage(&mut self, name: usize, stage: Stage) {
        if let Some(call) = self.calls.get_mut(&name) {
            call.stage = stage;
        }
    }
}
