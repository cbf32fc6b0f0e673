//! What happens in one story; all of it follows from the seed.

use super::checks;
use super::liars::{self, Lie};
use super::nets::{Net, REFEREES, opened};
use super::people::{self, Begun};
use crate::sim::storm::{Weather, blow};
use crate::sim::{Dice, words};
use serde_json::json;
use std::collections::BTreeSet;
use tallyho_lift::record::{Lift, Role};
use tallyho_lift::state::State;
use tallyho_plugin::record::AgentId;

/// Sites of the smallest network, and how many sizes there are.
pub const SIZES: (usize, u64) = (3, 10);

/// Kinds of networks of each size.
const KINDS: u64 = 3;

/// Milliseconds by which a site's clock may be wrong.
const SKEW: i64 = 30_000;

/// The same for a referee (PROTOCOL 10.4).
const REFEREES_SKEW: i64 = 2_000;

/// Milliseconds in which all comes to rest: a lift's life, the longest wait of a chain's checkpoint (PROTOCOL
/// 11.2), and the rounds of asking that a storm can have made.
pub const REST: i64 = 25 * 60_000;

/// Milliseconds in which nothing may be said any more: longer than any wait there is.
const QUIET: i64 = 12 * 60_000;

/// Times of quiet in which a search for a route ends.
const SEARCH: usize = 5;

/// What is out of order beside the weather.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    Nothing,
    /// This site asks for rulings before its lifts have arrived.
    Hasty(usize),
    /// This site lies.
    Liar(usize, Lie),
    /// This site accepts no referee any more, and goes on answering queries for routes.
    Refuser(usize),
    /// A referee is away until all is mended.
    Stall(usize),
    /// This site is gone once it has promised, and comes back long after all else is mended.
    Vanish(usize),
}

/// One story.
#[derive(Debug, Clone)]
pub struct Script {
    /// Sites with users.
    pub size: usize,
    /// Which network of that size.
    pub kind: u64,
    /// Sites acknowledge messages.
    pub receipts: bool,
    /// How far ahead each site's clock is.
    pub skews: Vec<i64>,
    /// How bad it gets.
    pub weather: Weather,
    /// Chance in percent that a message is lost.
    pub losses: u64,
    /// Chance in a thousand that a site is cut off from all others, or that they are mended.
    pub cuts: u64,
    /// Chance in a thousand that nothing happens anywhere for up to a minute.
    pub pauses: u64,
    /// See [`Trouble`].
    pub trouble: Trouble,
    /// Steps in which something is begun.
    pub steps: usize,
}

impl Script {
    /// The story of this seed.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x6c69_6674);
        let size = SIZES.0 + usize::try_from(seed % SIZES.1).unwrap_or(0);
        let site = dice.below(size);
        let trouble = match dice.below(12) {
            0..3 => Trouble::Nothing,
            3..5 => Trouble::Hasty(site),
            5..8 => Trouble::Liar(site, *dice.one_of(&Lie::ALL)),
            8 => Trouble::Refuser(site),
            9 => Trouble::Stall(size + dice.below(REFEREES)),
            _ => Trouble::Vanish(site),
        };
        let calm = dice.percent(25);
        let weather = match calm {
            true => Weather { time: 3, ..Weather::CALM },
            false => Weather { lines: 2, wires: 3, crashes: 1, stores: 1, repeats: 2, overtakings: 2, time: 6 },
        };
        let skewed = dice.percent(60);
        let mut skew = |most: i64| if skewed { dice.below(2 * most as usize + 1) as i64 - most } else { 0 };
        let skews = (0..size + REFEREES).map(|site| skew(if site < size { SKEW } else { REFEREES_SKEW })).collect();
        let (receipts, losses) = (dice.percent(60), if calm { 0 } else { 2 + dice.number() % 12 });
        let (cuts, pauses) = if calm { (0, 0) } else { (dice.number() % 40, dice.number() % 30) };
        let (kind, steps) = (dice.number() % KINDS, 120 + dice.below(320));
        Script { size, kind, receipts, skews, weather, losses, cuts, pauses, trouble, steps }
    }

    /// Sites that do not keep to the rules.
    pub fn faithless(&self) -> BTreeSet<usize> {
        match self.trouble {
            Trouble::Hasty(site) | Trouble::Liar(site, _) => [site].into(),
            _ => BTreeSet::new(),
        }
    }

    /// Its network, before anything happens.
    pub fn net(&self, seed: u64) -> Net {
        let mut net = opened(self.size, self.kind, seed, self.receipts, &self.skews);
        if let Trouble::Liar(site, lie) = self.trouble {
            net.world.tongues.insert(site, liars::tongue(lie));
        }
        if let Trouble::Refuser(site) = self.trouble {
            for referee in net.referees() {
                let chad = net.world.sites[referee].own.to_string();
                // Some know one alone.
                let _ = net.world.command(site, "referee", "refuse", &json!({ "chad": chad }));
            }
        }
        net.world.losses = self.losses;
        net
    }
}

/// Bad times.
pub fn rage(net: &mut Net, script: &Script) -> Begun {
    let mut begun = Begun::default();
    for _ in 0..net.world.dice.below(5) {
        people::set(net);
    }
    for step in 0..script.steps {
        if net.world.dice.percent(3) || net.world.steps().is_empty() {
            people::act(net, &mut begun);
        }
        match script.trouble {
            Trouble::Hasty(site) if net.world.dice.percent(8) => liars::commit_early(net, site),
            Trouble::Hasty(site) if net.world.dice.percent(8) => liars::tell_early(net, site),
            Trouble::Liar(site, lie) if net.world.dice.percent(5) => liars::speak(net, site, lie),
            Trouble::Stall(referee) if step == script.steps / 3 => hold(net, referee),
            Trouble::Vanish(site) if net.world.dice.percent(10) && has_promised(net, site) => hold(net, site),
            _ => {}
        }
        if net.world.dice.number() % 1_000 < script.cuts {
            cut_off(net);
        }
        if net.world.dice.number() % 1_000 < script.pauses {
            let pause = 1 + net.world.dice.below(60_000) as i64;
            net.world.now = net.world.now.plus(pause);
        }
        blow(&mut net.world, script.weather);
    }
    begun
}

/// All wires of a site are cut, or mended, a referee's as well as others.
fn cut_off(net: &mut Net) {
    let (all, cut) = (net.world.sites.len(), net.world.dice.percent(60));
    let site = net.world.dice.below(all);
    for other in (0..all).filter(|other| *other != site) {
        net.world.cut(site, other, cut);
    }
}

/// A site dies and does not come back by itself.
fn hold(net: &mut Net, site: usize) {
    if net.world.held.insert(site) {
        net.world.crash(site);
    }
}

fn has_promised(net: &Net, site: usize) -> bool {
    let lifts: Vec<Lift> = net.world.sites[site].look("lift.lifts");
    lifts.iter().any(|lift| lift.role == Role::Relay && lift.state == State::Pend)
}

/// What honest sites say to each other of such targets, while nothing happens that would be worth saying anything.
/// With one that has given back what it goes on claiming there is no end of it (PROTOCOL 6.4 S3).
fn talk(net: &mut Net, faithless: &BTreeSet<usize>, about: impl Fn(&str) -> bool) -> Vec<String> {
    let before = net.world.said.len();
    net.world.calm(QUIET);
    let honest = |agent: &AgentId| !faithless.iter().any(|site| net.world.sites[*site].agent() == agent);
    let said = net.world.said[before..]
        .iter()
        .filter(|(site, row)| about(&row.message.target) && !faithless.contains(site) && honest(&row.message.to.agent));
    said.map(|(site, row)| format!("{site}: {}", words(row))).collect()
}

/// How a story ended.
#[derive(Debug, Default, Clone, Copy)]
pub struct Ended {
    /// Lifts begun.
    pub begun: usize,
    /// Lifts that were good.
    pub good: usize,
    /// Lifts that came to nothing.
    pub void: usize,
    /// Ways through sites on which somebody had to be asked for the ruling.
    pub asked: usize,
    /// Ways through sites that went on over another exit.
    pub turned: usize,
    /// Ways through relays that gave a pledge back.
    pub released: usize,
    /// Ways through relays and destinations that were good before they had pledged (PROTOCOL 9.7 L20b).
    pub early: usize,
    /// Events run.
    pub events: u64,
}

/// The whole story of a network: bad times, then all is mended, and everything must be as it should.
///
/// # Panics
/// When it is not.
pub fn tell(net: &mut Net, script: &Script) -> Ended {
    let (before, faithless) = (checks::before(net), script.faithless());
    let begun = rage(net, script);
    assert_eq!(checks::overfull(net, &faithless, &before), Vec::<String>::new(), "in the storm");
    net.world.heal();
    if let Trouble::Vanish(site) = script.trouble {
        hold(net, site);
        net.world.calm(REST);
        assert_eq!(checks::unended(net, &[site].into()), Vec::<String>::new(), "while one site is away");
        net.world.heal();
    }
    net.world.calm(REST);
    assert_eq!(checks::wrong(net, &faithless, &before), Vec::<String>::new(), "in the end");
    let lifts = |target: &str| target != "route";
    assert_eq!(talk(net, &faithless, lifts), Vec::<String>::new(), "the talk goes on");
    // A search that nobody answers takes its four tries, of each site on its way.
    for _ in 0..SEARCH {
        if talk(net, &faithless, |_| true).is_empty() {
            break;
        }
    }
    assert_eq!(talk(net, &faithless, |_| true), Vec::<String>::new(), "the talk about routes goes on");
    let events = net.world.sites.iter().map(|site| site.events).sum();
    let mut ended = Ended { begun: begun.payments + begun.clearings, events, ..Ended::default() };
    for lift in (0..net.size).flat_map(|site| net.world.sites[site].look::<Lift>("lift.lifts")) {
        let (own, good) = (lift.role == Role::Originator, lift.state == State::Good);
        ended.good += usize::from(own && good);
        ended.void += usize::from(own && !good);
        ended.asked += usize::from(lift.rounds > 0);
        ended.turned += usize::from(lift.exits > 1);
        ended.released += usize::from(lift.answer.is_some());
        ended.early += usize::from(lift.role == Role::Relay && good && lift.given.is_none());
    }
    ended
}

impl std::ops::AddAssign for Ended {
    fn add_assign(&mut self, other: Ended) {
        self.begun += other.begun;
        self.good += other.good;
        self.void += other.void;
        self.asked += other.asked;
        self.turned += other.turned;
        self.released += other.released;
        self.early += other.early;
        self.events += other.events;
    }
}
