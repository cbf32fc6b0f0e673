//! The chain against a model of a few lines: whatever users, networks and disks do, both halves end with the
//! same chits in the same order, none lost that anybody still had, and the balances are theirs.
//!
//! `TALLYHO_CASES=5000 cargo nextest run -p tallyho-chit --test model` looks further than the usual run.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::chain::{FOIL, STOCK, assert_agreed, entries};
use kit::{TALLY, USERS, pair};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tallyho_plugin::FaultKind;
use tallyho_plugin::testkit::{Backup, Net, Weather};

/// What happens; places are 0 (stock) and 1 (foil).
#[derive(Debug, Clone)]
enum Act {
    Pay(usize),
    Many(usize, u64),
    Set(usize, u64),
    Network(usize),
    Restart(usize),
    Backup(usize),
    Restore(usize),
    Stall,
}

fn act() -> impl Strategy<Value = Act> {
    let place = || 0..2_usize;
    prop_oneof![
        48 => place().prop_map(Act::Pay),
        1 => (place(), 100..300_u64).prop_map(|(place, count)| Act::Many(place, count)),
        6 => (place(), 0..9_u64).prop_map(|(place, target)| Act::Set(place, target)),
        80 => (1..9_usize).prop_map(Act::Network),
        6 => place().prop_map(Act::Restart),
        8 => place().prop_map(Act::Backup),
        6 => place().prop_map(Act::Restore),
        1 => Just(Act::Stall),
    ]
}

/// What must come out: the chits that somebody was bound to have all the time.
#[derive(Default)]
struct Model {
    made: BTreeSet<String>,
    kept: BTreeSet<String>,
}

impl Model {
    fn made(&mut self, chit: &Value) {
        let uuid = chit["uuid"].as_str().unwrap().to_owned();
        self.made.insert(uuid.clone());
        self.kept.insert(uuid);
    }

    /// A site goes back to what it was: chits that only it had may be lost, or still on their way.
    fn restored(&mut self, before: &BTreeSet<String>, after: &BTreeSet<String>, other: &BTreeSet<String>) {
        let lost = |chit: &String| before.contains(chit) && !after.contains(chit) && !other.contains(chit);
        self.kept.retain(|chit| !lost(chit));
    }
}

/// A user's act; its answer.
fn act_of(net: &mut Net, place: usize, act: &str, mut given: Value) -> Value {
    (given["tally"], given["user"]) = (TALLY.into(), USERS[place].into());
    net.sites[place].call("chit", act, given).unwrap()
}

fn chits(net: &Net, place: usize) -> BTreeSet<String> {
    entries(&net.sites[place]).into_keys().collect()
}

fn play(seed: u64, weather: Weather, acts: &[Act]) {
    let mut net = pair(seed);
    net.sites.iter_mut().for_each(|site| site.check_determinism(false));
    net.weather = weather;
    let mut model = Model::default();
    let mut backups: [Option<Backup>; 2] = [None, None];
    for act in acts {
        match *act {
            Act::Pay(place) => model.made(&act_of(&mut net, place, "pay", json!({ "units": 1 }))),
            Act::Set(place, target) => {
                let settings = json!({ "settings": { "target": target } });
                model.made(&act_of(&mut net, place, "set", settings));
            }
            Act::Many(place, count) => {
                (0..count).for_each(|_| model.made(&act_of(&mut net, place, "pay", json!({ "units": 2 }))));
            }
            Act::Network(steps) => (0..steps).for_each(|_| net.storm()),
            Act::Restart(place) => net.sites[place].restart(),
            Act::Backup(place) => backups[place] = Some(net.sites[place].backup()),
            Act::Stall => net.stall(),
            Act::Restore(place) => {
                let Some(backup) = &backups[place] else { continue };
                let before = chits(&net, place);
                net.sites[place].restore(backup);
                net.sites[place].restart();
                model.restored(&before, &chits(&net, place), &chits(&net, 1 - place));
            }
        }
    }
    // A site that came back from a backup may have lost the message by which it compares.
    net.calm(1_000_000);
    net.sites.iter_mut().for_each(|site| site.restart());
    net.calm(1_000_000);
    assert_agreed(&net);
    let all = chits(&net, STOCK);
    assert!(all.is_superset(&model.kept) && all.is_subset(&model.made));
    assert_eq!(settings(&net, STOCK), settings(&net, FOIL));
    let failed = net.take_refusals().into_iter().find(|fault| fault.kind != FaultKind::Refused);
    assert_eq!(failed, None);
    assert!(net.sites.iter().all(|site| site.sent().is_empty()), "the talk has ended");
}

fn settings(net: &Net, place: usize) -> Vec<Value> {
    net.sites[place].rows("chit.settings").into_values().collect()
}

fn cases(otherwise: u32) -> u32 {
    std::env::var("TALLYHO_CASES").map_or(otherwise, |text| text.parse().unwrap())
}

fn check(weather: Weather, otherwise: u32) {
    let config = Config { cases: cases(otherwise), failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let strategy = (any::<u32>(), proptest::collection::vec(act(), 1..60));
    let outcome = runner.run(&strategy, |(seed, acts)| {
        play(u64::from(seed), weather, &acts);
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, (seed, acts))) => panic!("{why}\nseed {seed}: {acts:?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

#[test]
fn halves_converge_over_a_network_that_loses_and_repeats() {
    check(Weather { late: 0, ..Weather::ROUGH }, 25);
}

#[test]
fn halves_converge_over_a_network_that_reorders_too() {
    check(Weather::ROUGH, 25);
}

#[test]
fn halves_converge_in_fair_weather_through_restarts_and_backups() {
    check(Weather::FAIR, 20);
}
