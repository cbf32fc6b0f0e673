//! The search against a plain one that tries everything.

#![allow(clippy::unwrap_used, clippy::panic)]

mod kit;

use kit::*;
use serde_json::{Value, json};
use std::cmp::Ordering;
use tallyho_chit::capacity::Edge;
use tallyho_chit::variables::Variables;
use tallyho_plugin::record::Side;
use tallyho_plugin::testkit::{Dice, Site};
use tallyho_route::lading::Lading;

const USERS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// A site on paper.
struct Paper {
    /// Tally, issuer, receiver, what goes over it.
    edges: Vec<(u32, usize, usize, Lading)>,
}

impl Paper {
    /// Up to so many tallies between any two users, with any settings; written down and in a site.
    fn new(dice: &mut Dice, tallies: u32) -> (Self, Site) {
        let mut site = site(1, &USERS);
        let mut paper = Paper { edges: Vec::new() };
        for number in 0..tallies {
            let (stock, foil) = (dice.below(USERS.len()), dice.below(USERS.len()));
            if stock == foil {
                continue;
            }
            let owed = dice.below(21) as i64 - 10;
            let sides = [Paper::variables(dice), Paper::variables(dice)];
            let settings = |side: &Variables| json!({ "target": side.target, "bound": side.bound, "reward": side.reward, "clutch": side.clutch });
            Tally::new(number, &site.chad(USERS[stock]), &site.chad(USERS[foil]), owed)
                .set(settings(&sides[0]), settings(&sides[1]))
                .open(&mut site);
            for (receiver, n, from, to, own, other) in [
                (Side::Foil, -owed, stock, foil, &sides[1], &sides[0]),
                (Side::Stock, owed, foil, stock, &sides[0], &sides[1]),
            ] {
                let edge = Edge::new(receiver, n, own, other);
                if edge.max > 0 {
                    paper.edges.push((number, from, to, Lading::of(&edge)));
                }
            }
        }
        (paper, site)
    }

    fn variables(dice: &mut Dice) -> Variables {
        let clutch = if dice.percent(30) { 0.1 } else { 0.0 };
        let bound = if dice.percent(50) { 12 } else { 0 };
        Variables { target: dice.below(5) as i64, bound, reward: 0.02, clutch }
    }

    /// Every path, as its tallies and its lading.
    fn paths(&self, from: usize, to: usize, units: Option<i64>) -> Vec<(Vec<u32>, Lading)> {
        let (mut all, mut way) = (Vec::new(), vec![from]);
        self.go_on(&mut way, &mut Vec::new(), None, to, units, &mut all);
        all
    }

    fn go_on(
        &self,
        way: &mut Vec<usize>,
        tallies: &mut Vec<u32>,
        sum: Option<Lading>,
        to: usize,
        units: Option<i64>,
        all: &mut Vec<(Vec<u32>, Lading)>,
    ) {
        let here = *way.last().unwrap();
        for (tally, _, next, edge) in self.edges.iter().filter(|(_, from, ..)| *from == here) {
            let lading = sum.map_or(*edge, |sum| sum.then(*edge));
            let fits = lading.max > 0 && units.is_none_or(|units| edge.carries(units));
            if !fits || way.contains(next) {
                continue;
            }
            tallies.push(*tally);
            way.push(*next);
            match *next == to {
                true => all.push((tallies.clone(), lading)),
                false => self.go_on(way, tallies, Some(lading), to, units, all),
            }
            way.pop();
            tallies.pop();
        }
    }
}

fn lading(path: &Value) -> Lading {
    serde_json::from_value(path["lading"].clone()).unwrap()
}

#[test]
fn random_sites_are_searched_as_a_plain_search_would() {
    let (mut found, mut in_vain) = (0, 0);
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let tallies = 6 + dice.below(9) as u32;
        let (paper, mut site) = Paper::new(&mut dice, tallies);
        site.check_determinism(false);
        for units in [None, Some(2)] {
            for (from, to) in [(0, 1), (2, 3), (4, 5), (6, 0)] {
                let question = json!({
                    "from": { "user": USERS[from] }, "to": { "user": USERS[to] }, "units": units, "limit": 64,
                });
                let paths = kit::find(&mut site, question);
                let all = paper.paths(from, to, units);
                let story = || format!("seed {seed}, {from} to {to} with {units:?}: {paths:?}\nof {all:?}");
                assert_eq!(paths.is_empty(), all.is_empty(), "{}", story());
                for path in &paths {
                    // Each is one of them, with the same lading.
                    let on_paper = all.iter().find(|(tallies, _)| *tallies == over(path));
                    let expected = on_paper.unwrap_or_else(|| panic!("{}", story())).1;
                    assert_eq!(lading(path).rounded(), expected.rounded(), "{}", story());
                }
                let best = all.iter().map(|(_, lading)| lading.rounded()).min_by(|one, other| one.order(0, other, 0));
                if let (Some(best), Some(first)) = (best, paths.first()) {
                    let order = best.order(0, &lading(first).rounded(), 0);
                    assert_eq!(order, Ordering::Equal, "a better one is missed: {best:?}; {}", story());
                }
                if all.is_empty() { in_vain += 1 } else { found += 1 }
            }
        }
    }
    assert!(found > 100 && in_vain > 50, "{found} found, {in_vain} in vain: the sites are too easy");
}
