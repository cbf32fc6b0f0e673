//! A network in memory that knows time: hand-over fails over a cut link, and what is given a time to be handed
//! over stalls when that is up. Messages may get lost after hand-over, arrive twice or late.

use std::collections::BTreeSet;
use tallyho_plugin::record::AgentId;
use tallyho_plugin::services::Schedule;
use tallyho_plugin::testkit::{Dice, Envelope, Sent, Site};
use tallyho_plugin::{Fate, Fault};

/// Steps of one `settle` at most: more is a loop.
const MOST: usize = 20_000;

/// How a network treats messages, in hundredths.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// Handed over, but never arrives.
    pub lost: u32,
    /// Arrives twice.
    pub doubled: u32,
    /// Something sent later arrives first.
    pub late: u32,
}

/// Sites, and what is on its way between them.
pub struct Network {
    /// The sites.
    pub sites: Vec<Site>,
    /// How messages fare from now on.
    pub weather: Weather,
    /// Choices of the seed, for a test's own too.
    pub dice: Dice,
    /// Pairs of sites between which nothing is handed over.
    pub cut: BTreeSet<(usize, usize)>,
    /// `target/action` that is lost, by the site it comes from.
    pub swallowed: BTreeSet<(usize, String)>,
    flying: Vec<Envelope>,
    refusals: Vec<Fault>,
    /// Every message that was handed over: from which site, what.
    pub story: Vec<(usize, String)>,
}

impl Network {
    /// These sites, in fair weather.
    pub fn new(seed: u64, mut sites: Vec<Site>) -> Self {
        // Every event twice is for tests of single events; here there are tens of thousands.
        sites.iter_mut().for_each(|site| site.check_determinism(false));
        Network {
            sites,
            weather: Weather::default(),
            dice: Dice::new(seed),
            cut: BTreeSet::new(),
            swallowed: BTreeSet::new(),
            flying: Vec::new(),
            refusals: Vec::new(),
            story: Vec::new(),
        }
    }

    /// Nothing is handed over between two sites, either way.
    pub fn cut(&mut self, one: usize, other: usize) {
        self.cut.insert((one.min(other), one.max(other)));
    }

    /// Nothing reaches a site, and nothing leaves it.
    pub fn isolate(&mut self, place: usize) {
        (0..self.sites.len()).filter(|other| *other != place).for_each(|other| self.cut(place, other));
    }

    /// All links are there again.
    pub fn heal(&mut self) {
        self.cut.clear();
        self.swallowed.clear();
    }

    /// Messages of this `target/action` from this site are handed over and lost.
    pub fn swallow(&mut self, place: usize, verb: &str) {
        self.swallowed.insert((place, verb.to_owned()));
    }

    /// Why messages had no effect since last asked.
    pub fn take_refusals(&mut self) -> Vec<Fault> {
        std::mem::take(&mut self.refusals)
    }

    /// Hands over and delivers until nothing more can be.
    pub fn settle(&mut self) {
        for _ in 0..MOST {
            if !self.hand_over() && !self.land() {
                return;
            }
        }
        panic!("the network does not come to rest");
    }

    /// One message is handed over or arrives, as the seed has it.
    pub fn stir(&mut self) {
        if self.dice.percent(50) {
            self.hand_over();
        } else {
            self.land();
        }
    }

    /// All clocks move on by this much; due timers fire.
    pub fn pass(&mut self, milliseconds: i64) {
        for place in 0..self.sites.len() {
            self.sites[place].advance(milliseconds);
            self.sites[place].fire_timers();
            self.expire(place);
        }
    }

    /// Settles, then moves on to the next timer, until this much time has passed.
    pub fn calm(&mut self, milliseconds: i64) {
        let mut left = milliseconds;
        for _ in 0..MOST {
            self.settle();
            let due = |site: &Site| Some((site.next_timer()?.0 - site.now().0).max(1));
            let next = self.sites.iter().filter_map(due).min().filter(|next| *next <= left);
            self.pass(next.unwrap_or(left));
            left -= next.unwrap_or(left);
            if left <= 0 {
                return self.settle();
            }
        }
        panic!("timers without end");
    }

    /// A site is stopped and started again.
    pub fn restart(&mut self, place: usize) {
        self.sites[place].restart();
    }

    fn index(&self, agent: &AgentId) -> Option<usize> {
        self.sites.iter().position(|site| site.agent() == *agent)
    }

    fn reaches(&self, from: usize, to: usize) -> bool {
        from == to || !self.cut.contains(&(from.min(to), from.max(to)))
    }

    fn hand_over(&mut self) -> bool {
        let first = self.dice.below(self.sites.len());
        for offset in 0..self.sites.len() {
            let place = (first + offset) % self.sites.len();
            let waiting = self.sites[place].sent().iter().filter(|sent| !sent.stalled && !sent.handed_over);
            let next = waiting
                .into_iter()
                .find(|sent| self.index(&sent.message.to.agent).is_some_and(|to| self.reaches(place, to)));
            if let Some(sent) = next.cloned() {
                self.leave(place, &sent);
                return true;
            }
        }
        false
    }

    fn leave(&mut self, place: usize, sent: &Sent) {
        let envelope = sent.envelope(&self.sites[place].address());
        self.story.push((place, sent.verb()));
        let own = sent.message.to.agent == self.sites[place].agent();
        let swallowed = self.swallowed.contains(&(place, sent.verb()));
        if own || !swallowed && !self.dice.percent(self.weather.lost) {
            self.flying.push(envelope.clone());
        }
        if !own && !swallowed && self.dice.percent(self.weather.doubled) {
            self.flying.push(envelope);
        }
        self.tell(place, sent, Fate::HandedOver);
    }

    /// What could not be handed over in its time stalls.
    fn expire(&mut self, place: usize) {
        for sent in self.sites[place].sent().to_vec() {
            let (now, waits) = (self.sites[place].now(), !sent.handed_over && !sent.stalled);
            let over = match sent.message.schedule {
                Schedule::Until(until) => until <= now,
                Schedule::Once | Schedule::Answer => true,
                _ => false,
            };
            let reached = self.index(&sent.message.to.agent).is_some_and(|to| self.reaches(place, to));
            if waits && over && !reached {
                let fate = Fate::Stalled { attempts: 1, unsent: true, why: "cannot connect".to_owned() };
                self.tell(place, &sent, fate);
            }
        }
    }

    fn tell(&mut self, place: usize, sent: &Sent, fate: Fate) {
        if let Err(fault) = self.sites[place].report(sent, fate) {
            self.refusals.push(fault);
        }
    }

    fn land(&mut self) -> bool {
        if self.flying.is_empty() {
            return false;
        }
        let late = self.dice.percent(self.weather.late);
        let choice = if late { self.dice.below(self.flying.len()) } else { 0 };
        let envelope = self.flying.remove(choice);
        let Some(place) = self.index(&envelope.to.agent) else { return true };
        if let Err(fault) = self.sites[place].deliver(&envelope) {
            self.refusals.push(fault);
        }
        true
    }
}
