//! What happens between sites: orders of their schedules, frames, calls.

use super::link::{Call, Frame, Line, Stage};
use super::receive::{self, Way};
use super::site::{Job, Pending};
use super::story::words;
use super::world::{World, is_cut};
use std::collections::BTreeMap;
use std::sync::Arc;
use tallyho::ledger::input::{Answer, Input, Origin, Outcome, Refused};
use tallyho::ledger::line::Line as OutboxLine;
use tallyho::ledger::outbox::OutboxRow;
use tallyho::net::channel::Out;
use tallyho::net::courier::{Courier, Order};
use tallyho_plugin::FaultKind;
use tallyho_plugin::record::{AgentId, Timestamp};
use tallyho_plugin::services::Outgoing;

impl World {
    pub(super) fn place_of(&self, agent: &AgentId) -> usize {
        self.sites.iter().position(|site| site.agent() == agent).expect("agents are sites of this world")
    }

    pub(super) fn deliver(&mut self, site: usize, act: impl FnOnce(&mut Courier, Timestamp) -> Vec<Order>) {
        let now = self.at(site);
        let Some(running) = &mut self.sites[site].running else { return };
        let orders = act(running.changed(), now);
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
                    let line = self.lines.get(&place(channel));
                    let end = line.and_then(|line| line.ends.iter().find(|end| end.site == site && end.open));
                    end.expect("rows go to open channels").channel.send(Out::Row { mid, row, attempt });
                }
                Order::Dial { to, mid, row, attempt } => {
                    self.named += 1;
                    let line = OutboxLine::of(&row.message);
                    let call = Call { from: site, agent: to.agent, line, mid, row, attempt, stage: Stage::Waiting };
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
            let ends = ends.filter(|end| end.channel.agent.as_ref() == Some(&agent) && end.channel.extensions.receipt);
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
        for Answer { origin, row } in released.answers {
            let end = self.lines.get(&place(origin.channel)).map(|line| &line.ends[1]).filter(|end| end.open);
            end.into_iter().for_each(|end| end.channel.send(Out::Answer(Arc::clone(&row))));
        }
        for Refused { origin, .. } in released.refused.into_iter().filter(|refused| refused.close) {
            self.lose(place(origin.channel));
        }
        for (call, outcome) in told {
            self.judge(call, &outcome);
        }
    }

    pub(super) fn write(&mut self, name: usize, end: usize) {
        let Some(line) = self.lines.get_mut(&name) else { return };
        line.used = self.now;
        let (asked, lost) = (line.asked, line.lost);
        let end = &mut line.ends[end];
        let (site, Some(out)) = (end.site, end.sealed.take()) else { return };
        let (channel, to, of) = (end.channel.id, end.channel.agent.clone(), end.channel.line.clone());
        let receipts = self.receipts && !asked;
        let now = self.at(site);
        let (bytes, said, handed) = match out {
            Out::Row { mid, row, attempt } => {
                let said = self.tongue(site, row);
                let own = &self.sites[site].own;
                (said.as_ref().map(|row| receive::encoded(own, row, mid, attempt, receipts, now)), said, Some(mid))
            }
            Out::Answer(row) => {
                let said = self.tongue(site, row);
                let own = &self.sites[site].own;
                (said.as_ref().map(|row| receive::encoded(own, row, 0, 1, false, now)), said, None)
            }
            Out::Receipt(receipt) => {
                let to = to.expect("strangers get no receipts");
                (Some(receive::receipt(&self.sites[site].own, &to, &receipt)), None, None)
            }
        };
        if let Some(row) = &said {
            self.say(site, Arc::clone(row));
        }
        // The system takes bytes for a connection that is gone, as long as it does not know.
        if let Some(line) = self.lines.get_mut(&name).filter(|_| !lost) {
            let end = line.ends.iter_mut().find(|end| end.site == site).expect("it has written");
            end.flight.extend(bytes.map(|bytes| Frame { bytes, row: said }));
        }
        if let (Some(mid), Some(of)) = (handed, of) {
            self.deliver(site, |courier, now| courier.handed(&of, channel, mid, now));
        }
    }

    /// What this site says where its handlers say this; nothing, where it keeps it back.
    fn tongue(&mut self, site: usize, row: Arc<OutboxRow>) -> Option<Arc<OutboxRow>> {
        let Some(mut tongue) = self.tongues.remove(&site) else { return Some(row) };
        let said = tongue(&self.sites[site], &mut self.dice, Arc::clone(&row));
        self.tongues.insert(site, tongue);
        if said.as_ref().is_none_or(|said| !Arc::ptr_eq(said, &row)) {
            let instead = said.as_ref().map_or_else(|| "nothing".to_owned(), |said| words(said));
            self.tell(format!("site {site} LIES: instead of {} it says {instead}", words(&row)));
        }
        said
    }

    pub(super) fn arrive(&mut self, name: usize, end: usize) {
        let Some(line) = self.lines.get_mut(&name) else { return };
        line.used = self.now;
        let Some(Frame { bytes, row }) = line.ends[1 - end].flight.pop_front() else { return };
        let (asked, channel) = (line.asked, &line.ends[end].channel);
        let (site, agent) = (line.ends[end].site, channel.agent.clone());
        let origin = Some(Origin { channel: channel.id, address: channel.address.ip() });
        let way = match (agent, asked) {
            (Some(agent), false) => Way::Peer { agent, receipts: self.receipts },
            (Some(agent), true) => Way::Asked { agent },
            (None, _) => Way::Stranger { origin },
        };
        if self.hear(site, row) {
            let now = self.at(site);
            receive::arrived(&mut self.sites[site], &way, &bytes, None, now);
        }
    }

    /// A site says something of its own accord, by no channel that is there: it arrives at once or never.
    pub fn inject(&mut self, site: usize, message: Outgoing) {
        let to = self.place_of(&message.to.agent);
        if self.sites[site].running.is_none() || is_cut(&self.cut, site, to) {
            return;
        }
        let way = match message.restricted {
            true => Way::Stranger { origin: None },
            false => Way::Peer { agent: self.sites[site].agent().clone(), receipts: false },
        };
        let row = OutboxRow { plugin: "liar".to_owned(), message, created: self.now, handed: false };
        let bytes = receive::encoded(&self.sites[site].own, &row, 0, 1, false, self.now);
        self.tell(format!("site {site} says of its own accord: {}", words(&row)));
        let now = self.at(to);
        receive::arrived(&mut self.sites[to], &way, &bytes, None, now);
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
        let (site, channel) = (end.site, end.channel.id);
        let Some(of) = end.channel.line.clone() else { return };
        self.deliver(site, |courier, now| courier.closed(&of, channel, now));
    }

    pub(super) fn fail(&mut self, name: usize, closed: bool, unsent: bool) {
        let Some(Call { from, line: of, mid, stage, .. }) = self.calls.remove(&name) else { return };
        if let Stage::Answering(line) = stage {
            self.lose(line);
        }
        let why = if closed { "it closed" } else { "it cannot be reached" };
        self.deliver(from, |courier, now| courier.failed(&of, mid, closed, unsent, why, now));
    }

    pub(super) fn call(&mut self, name: usize) {
        let Some(call) = self.calls.get(&name) else { return };
        let (from, to, of, mid) = (call.from, self.place_of(&call.agent), call.line.clone(), call.mid);
        let reachable = self.sites[to].running.is_some() && !is_cut(&self.cut, from, to);
        match &call.stage {
            Stage::Waiting => {
                let now = self.at(from);
                let off =
                    self.sites[from].running.as_mut().and_then(|running| running.changed().called_off(&of, mid, now));
                if let Some(orders) = off {
                    self.calls.remove(&name);
                    self.obey(from, orders);
                } else if reachable {
                    let (row, attempt, receipts) =
                        (Arc::clone(&call.row), call.attempt, self.receipts && !of.is_strangers());
                    // A host may open a channel and say nothing with it.
                    let said = self.tongue(from, row);
                    let own = &self.sites[from].own;
                    let bytes = said.as_ref().map(|row| receive::encoded(own, row, mid, attempt, receipts, now));
                    said.into_iter().for_each(|row| self.say(from, row));
                    self.stage(name, Stage::Opening(bytes.unwrap_or_default()));
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
                let (now, strangers) = (self.at(to), of.is_strangers());
                let admitted =
                    self.sites[to].running.as_ref().map(|running| running.relations.admits(&from_agent, now));
                if ticket {
                    self.stage(name, Stage::Judged);
                    self.hear(to, Some(row)); // about a tally, so it is not lost
                    let way = Way::Peer { agent: from_agent, receipts: false };
                    receive::arrived(&mut self.sites[to], &way, &bytes, Some(name), now);
                } else if strangers || admitted == Some(true) {
                    let line = self.answer(name);
                    if !bytes.is_empty() && self.hear(to, Some(row)) {
                        let way = match (strangers, self.lines.get(&line).map(|line| &line.ends[1].channel)) {
                            (false, _) => Way::Peer { agent: from_agent, receipts: self.receipts },
                            (true, at) => Way::Stranger {
                                origin: at.map(|at| Origin { channel: at.id, address: at.address.ip() }),
                            },
                        };
                        receive::arrived(&mut self.sites[to], &way, &bytes, None, now);
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
                let receipts = self.receipts && !of.is_strangers();
                self.deliver(from, |courier, now| courier.answered(&of, line as u64, mid, true, receipts, now));
            }
            Stage::Judged => {}
        }
    }

    /// A ticket that a call carried has been judged.
    pub(super) fn judge(&mut self, name: usize, outcome: &Outcome) {
        match outcome {
            _ if !self.calls.contains_key(&name) => {}
            Outcome::Done(_) => drop(self.answer(name)),
            Outcome::Fault(fault) => {
                assert!(fault.kind != FaultKind::Failed, "a handler failed: {fault}");
                self.fail(name, true, false);
            }
        }
    }

    /// The side that was called has its end of a new line, and `A` is on its way; the line's name.
    pub(super) fn answer(&mut self, name: usize) -> usize {
        let Some(call) = self.calls.get(&name) else { return 0 };
        let (from, to) = (call.from, self.place_of(&call.agent));
        self.named += 1;
        let line = self.named;
        let agents = [self.sites[from].agent(), self.sites[to].agent()];
        let new = match call.line.is_strangers() {
            true => Line::asked(line as u64, [from, to], call.line.clone(), self.now),
            false => Line::new(line as u64, [from, to], agents, self.receipts, self.now),
        };
        let strangers = new.asked;
        let (caller, ticket) = (agents[0].clone(), call.row.message.ticket.is_some());
        self.lines.insert(line, new);
        self.stage(name, Stage::Answering(line));
        let receipts = self.receipts;
        if strangers {
            return line;
        }
        if ticket {
            self.deliver(to, |courier, now| courier.opened(&OutboxLine::from(&caller), line as u64, receipts, now));
            return line;
        }
        if receipts {
            let older = self.lines.iter().filter(|(name, _)| **name != line).flat_map(|(_, line)| &line.ends);
            let with = older.filter(|end| end.site == to && end.channel.line == Some(OutboxLine::from(&caller)));
            with.for_each(|end| end.channel.take_back());
        }
        self.deliver(to, |courier, now| courier.called_us(&OutboxLine::from(&caller), line as u64, receipts, now));
        line
    }

    pub(super) fn stage(&mut self, name: usize, stage: Stage) {
        if let Some(call) = self.calls.get_mut(&name) {
            call.stage = stage;
        }
    }
}

/// The place among the lines of a channel's name.
fn place(channel: u64) -> usize {
    usize::try_from(channel).unwrap_or(0)
}
