//! Several sites in memory, and what carries messages between them.

use super::dice::Dice;
use super::state::Sent;
use super::{Envelope, Site, limits};
use crate::event::Fate;
use crate::record::AgentId;
use crate::services::Schedule;
use crate::{Fault, Handler};

/// How a network treats messages, in hundredths of those concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weather {
    /// Handed over, but never arrives.
    pub lost: u32,
    /// Arrives twice, the second time later.
    pub doubled: u32,
    /// Arrives after messages sent later.
    pub late: u32,
    /// Cannot be handed over at this attempt.
    pub unreachable: u32,
}

impl Weather {
    /// Everything arrives once and in order.
    pub const FAIR: Weather = Weather { lost: 0, doubled: 0, late: 0, unreachable: 0 };
    /// A third goes wrong in one way or another.
    pub const ROUGH: Weather = Weather { lost: 25, doubled: 20, late: 30, unreachable: 20 };
}

/// Sites, and the messages between them. [`Net::settle`] carries everything; [`Net::storm`] does what a
/// bad network does, the same for the same seed.
pub struct Net {
    /// The sites, in the order given.
    pub sites: Vec<Site>,
    /// How messages fare from now on.
    pub weather: Weather,
    dice: Dice,
    flying: Vec<Envelope>,
    /// Faults of handlers and drops by hosts, in order, for a test to look at.
    refusals: Vec<Fault>,
}

impl Net {
    /// A network of these sites, in fair weather.
    pub fn new(seed: u64, sites: Vec<Site>) -> Self {
        Net { sites, weather: Weather::FAIR, dice: Dice::new(seed), flying: Vec::new(), refusals: Vec::new() }
    }

    /// Two sites with this handler: the first with user `alice`, the second with user `bob`.
    pub fn pair<H: Handler>(seed: u64) -> Self {
        let first = Site::new(seed.wrapping_mul(2)).with::<H>().user("alice");
        let second = Site::new(seed.wrapping_mul(2).wrapping_add(1)).with::<H>().user("bob");
        Net::new(seed, vec![first, second])
    }

    /// The first site.
    pub fn a(&mut self) -> &mut Site {
        &mut self.sites[0]
    }

    /// The second site.
    pub fn b(&mut self) -> &mut Site {
        &mut self.sites[1]
    }

    /// Numbers of the network's own seed, for a test's own choices.
    pub fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    /// Why messages had no effect since last asked: faults of handlers, and those of code
    /// [`DROPPED`](super::DROPPED) by the host.
    pub fn take_refusals(&mut self) -> Vec<Fault> {
        std::mem::take(&mut self.refusals)
    }

    /// Hands over and delivers until nothing waits. Timers are not fired.
    pub fn settle(&mut self) {
        for _ in 0..limits::SETTLE_EVENTS {
            if !self.hand_over_next() && !self.land(0) {
                return;
            }
        }
    }

    /// In fair weather: settles, then moves all clocks on to the next timer and settles again, until no
    /// timer is due within this many milliseconds from now.
    pub fn calm(&mut self, milliseconds: i64) {
        self.weather = Weather::FAIR;
        let now = self.sites.iter().map(Site::now).max().unwrap_or_default();
        self.sites.iter_mut().for_each(|site| site.set(now));
        let end = now.plus(milliseconds);
        for _ in 0..limits::SETTLE_EVENTS {
            self.settle();
            let next = self.sites.iter().filter_map(Site::next_timer).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            for site in &mut self.sites {
                site.set(next);
                site.fire_timers();
            }
        }
        self.sites.iter_mut().for_each(|site| site.set(end));
    }

    /// One thing chosen by the seed: a site hands over its next message (or fails to), a message on its
    /// way arrives, gets lost or arrives twice, or some seconds pass and timers fire.
    pub fn storm(&mut self) {
        match self.dice.below(4) {
            0 => drop(self.hand_over_next()),
            1 | 2 => {
                let choice = if self.dice.percent(self.weather.late) { self.dice.below(self.flying.len()) } else { 0 };
                self.land(choice);
            }
            _ => {
                let passed = self.dice.below(20_000) as i64;
                for site in &mut self.sites {
                    site.advance(passed);
                    site.fire_timers();
                }
            }
        }
    }

    /// Tells every handler that its waiting messages have stalled (PROTOCOL 11.2).
    pub fn stall(&mut self) {
        for index in 0..self.sites.len() {
            for sent in self.sites[index].sent().to_vec() {
                let fate = Fate::Stalled { attempts: sent.attempts, unsent: true, why: "cannot connect".to_owned() };
                self.tell(index, &sent, fate);
            }
        }
    }

    /// Hands over one message; false where none waits.
    fn hand_over_next(&mut self) -> bool {
        let first = self.dice.below(self.sites.len());
        for offset in 0..self.sites.len() {
            let index = (first + offset) % self.sites.len();
            let next = self.sites[index].sent().iter().find(|sent| !sent.stalled && !sent.handed_over).cloned();
            if let Some(sent) = next {
                self.hand_over(index, &sent);
                return true;
            }
        }
        false
    }

    fn hand_over(&mut self, index: usize, sent: &Sent) {
        let envelope = sent.envelope(&self.sites[index].address());
        let known = self.sites.iter().any(|site| site.agent() == sent.message.to.agent);
        let own = sent.message.to.agent == self.sites[index].agent();
        if !own && (!known || self.dice.percent(self.weather.unreachable)) {
            return self.failed(index, sent);
        }
        if sent.message.ticket.is_some() {
            return self.present(index, sent, &envelope, own);
        }
        if own || !self.dice.percent(self.weather.lost) {
            self.flying.push(envelope.clone());
        }
        if !own && self.dice.percent(self.weather.doubled) {
            self.flying.push(envelope);
        }
        self.tell(index, sent, Fate::HandedOver);
    }

    /// A ticket opens a channel: its answer is the answer of the handshake.
    fn present(&mut self, index: usize, sent: &Sent, envelope: &Envelope, own: bool) {
        let accepted = self.arrive(envelope);
        if !own && self.dice.percent(self.weather.lost) {
            return self.failed(index, sent);
        }
        self.tell(index, sent, if accepted { Fate::Accepted } else { Fate::Refused });
    }

    fn failed(&mut self, index: usize, sent: &Sent) {
        let attempts = sent.attempts + 1;
        let tries =
            if sent.message.schedule == Schedule::Ticket { limits::TICKET_TRIES } else { limits::REQUEST_TRIES };
        let why = "cannot connect".to_owned();
        let fate = match attempts {
            attempts if attempts < tries => Fate::Delayed { attempts, why },
            attempts => Fate::Stalled { attempts, unsent: true, why },
        };
        self.tell(index, sent, fate);
    }

    fn tell(&mut self, index: usize, sent: &Sent, fate: Fate) {
        if let Err(fault) = self.sites[index].report(sent, fate) {
            self.refusals.push(fault);
        }
    }

    /// Delivers one message on its way; false where there is none.
    fn land(&mut self, choice: usize) -> bool {
        if self.flying.is_empty() {
            return false;
        }
        let envelope = self.flying.remove(choice);
        self.arrive(&envelope);
        true
    }

    fn arrive(&mut self, envelope: &Envelope) -> bool {
        let Some(index) = self.index(&envelope.to.agent) else { return false };
        match self.sites[index].deliver(envelope) {
            Ok(()) => true,
            Err(fault) => {
                self.refusals.push(fault);
                false
            }
        }
    }

    fn index(&self, agent: &AgentId) -> Option<usize> {
        self.sites.iter().position(|site| site.agent() == *agent)
    }
}
