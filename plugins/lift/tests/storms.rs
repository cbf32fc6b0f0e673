//! Lifts in bad weather: loss, repeats, reordering, cut links, restarts, originators that cheat. Whatever happens,
//! each lift ends good or void, the same wherever pledges were given, nothing stays reserved, and no honest relay
//! loses. The seed of a failing story is in its message; `TALLYHO_SEEDS=from..to` tells others.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::net::Weather;
use kit::places::{World, user};
use serde_json::json;
use tallyho_plugin::record::LiftCore;
use tallyho_plugin::testkit::Envelope;

/// Stories told where nothing else is asked for: a few seconds.
const STORIES: std::ops::Range<u64> = 0..30;

fn seeds() -> std::ops::Range<u64> {
    let Ok(given) = std::env::var("TALLYHO_SEEDS") else { return STORIES };
    let (from, to) = given.split_once("..").expect("TALLYHO_SEEDS=from..to");
    from.parse().unwrap()..to.parse().unwrap()
}

/// What an originator without manners does: asks for the ruling as soon as it has promised.
fn commit_early(world: &mut World, lift: &str) {
    let core = world.core(0, lift);
    let text = core.valid_text(true).unwrap();
    let signed = world.net.sites[0].call("route", "sign", json!({ "text": text })).unwrap();
    let mut object = core.with_valid(true);
    object["signed"] = signed;
    let mut envelope = Envelope::new(&world.net.sites[0].address(), &world.referee(), "lift/commit", &object);
    envelope.restricted = true;
    let referee = world.count();
    world.net.sites[referee].deliver(&envelope).unwrap();
}

struct Story {
    world: World,
    seed: u64,
    circular: bool,
    cheats: bool,
    lifts: Vec<String>,
    /// L of each lift, as its originator made it.
    cores: Vec<LiftCore>,
}

impl Story {
    fn new(seed: u64) -> Self {
        let circular = seed % 2 == 1;
        let sites = 3 + (seed / 2 % 4) as usize;
        let world = if circular { World::ring(seed, sites) } else { World::row(seed, sites) };
        Story { world, seed, circular, cheats: seed % 3 == 2, lifts: Vec::new(), cores: Vec::new() }
    }

    fn begin(&mut self) {
        let units = 1 + self.world.net.dice.below(300) as i64;
        let begun = match self.circular {
            true => {
                let cleared = self.world.net.sites[0].call("lift", "clear", json!({ "user": user(0) })).unwrap();
                cleared["begun"][0]["lift"].as_str().map(str::to_owned)
            }
            false => Some(self.world.pay(units)),
        };
        if let Some(lift) = begun {
            self.cores.push(self.world.core(0, &lift));
            self.lifts.push(lift);
        }
    }

    fn rage(&mut self) {
        self.world.net.weather = Weather { lost: 20, doubled: 20, late: 30 };
        let count = self.world.net.sites.len();
        for _ in 0..400 {
            let net = &mut self.world.net;
            match net.dice.below(100) {
                0..70 => net.stir(),
                70..84 => {
                    let passed = net.dice.below(4_000) as i64;
                    net.pass(passed);
                }
                84..89 => {
                    let (one, other) = (net.dice.below(count), net.dice.below(count));
                    if one != other {
                        net.cut(one, other);
                    }
                }
                89..95 => net.heal(),
                95..97 => {
                    let place = net.dice.below(count);
                    net.restart(place);
                }
                97 if self.cheats && !self.lifts.is_empty() => {
                    let last = self.lifts.last().unwrap().clone();
                    commit_early(&mut self.world, &last);
                }
                _ if self.lifts.len() < 6 => self.begin(),
                _ => {}
            }
        }
    }

    /// All is well again, and time passes: more than the longest wait between two rounds of asking.
    fn rest(&mut self) {
        self.world.net.weather = Weather::default();
        self.world.net.heal();
        self.world.net.calm(45 * 60_000);
    }

    fn check(&mut self) {
        let seed = self.seed;
        let count = self.world.count();
        for (number, lift) in self.lifts.clone().iter().enumerate() {
            let states = self.world.states(lift);
            let open: Vec<&String> =
                states.iter().filter(|state| !["good", "void", "none"].contains(&state.as_str())).collect();
            assert!(open.is_empty(), "seed {seed}: lift {number} is left in {states:?}");
            let good = states.iter().filter(|state| *state == "good").count();
            let referee = &self.world.net.sites[count];
            let ruled = referee
                .rows("referee.rulings")
                .into_iter()
                .find(|(key, _)| *key == self.cores[number].hash().as_bytes());
            let valid = ruled.is_some_and(|(_, ruling)| ruling["valid"] == true);
            assert!(good == 0 || valid, "seed {seed}: lift {number} is good without a ruling: {states:?}");
            if valid && !self.cheats {
                assert_eq!(good, count, "seed {seed}: lift {number} was ruled valid: {states:?}");
            }
        }
        for place in 0..count {
            assert_eq!(self.world.reserved(place), 0, "seed {seed}: site {place} has reserved for nothing");
            let relay = place > 0 && place + 1 < count;
            if relay {
                assert!(
                    self.world.worth(place) >= 0,
                    "seed {seed}: relay {place} has lost {}",
                    self.world.worth(place)
                );
            }
        }
        self.check_tallies();
    }

    /// Both halves of every tally say the same.
    fn check_tallies(&mut self) {
        let count = self.world.count();
        for number in 0..self.world.tallies {
            let stock = self.world.half(number, number);
            let foil = self.world.half((number + 1) % count, number);
            let sum = stock["net"].as_i64().unwrap() + foil["net"].as_i64().unwrap();
            assert_eq!(sum, 0, "seed {}: tally {number}", self.seed);
            assert_eq!(
                (&stock["stat"], &stock["tip"]),
                (&json!("con"), &foil["tip"]),
                "seed {}: tally {number}",
                self.seed
            );
        }
    }
}

#[test]
fn every_lift_ends_the_same_everywhere_and_no_honest_relay_loses() {
    let mut told = [0; 2];
    for seed in seeds() {
        let mut story = Story::new(seed);
        story.begin();
        story.rage();
        story.rest();
        story.check();
        let faults = story.world.net.take_refusals();
        let failed = faults.iter().filter(|fault| fault.kind == tallyho_plugin::FaultKind::Failed).collect::<Vec<_>>();
        assert!(failed.is_empty(), "seed {seed}: {failed:?}");
        for lift in story.lifts.clone() {
            told[usize::from(story.world.state(0, &lift) == "good")] += 1;
        }
    }
    // Both ends have to come up, or the stories tell nothing.
    assert!(told[0] > 0 && told[1] > 0, "void and good: {told:?}");
}
