//! Sites that deal in chits in bad times: the same for the same seed, and in the end both halves hold
//! the same chain and the same balance, nothing that was signed is lost, and the talk has stopped.
//!
//! The seeds 0 to 2,000 are told by eight tests, which run at the same time. A million:
//! `TALLYHO_SEEDS=0..1000000 cargo test --release -p tallyho-tests --test chit_simulation storm`.
//! A seed that fails is printed with what happened last; `TALLYHO_SEEDS=7..8` runs that one alone.

#![allow(clippy::unwrap_used, clippy::panic)]

mod courses;
mod quiet;
mod stories;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use tallyho_tests::sim::World;
use tallyho_tests::sim::chits::checks::unkept;
use tallyho_tests::sim::chits::deals::REST;
use tallyho_tests::sim::chits::storm::{Script, rage};
use tallyho_tests::sim::chits::{People, Shape, deals, wrong};

/// Steps of bad times in each story.
const STEPS: usize = 130;

/// Hours in milliseconds.
const HOUR: i64 = 3_600_000;

/// Messages in which any storm of this size is settled once it is over.
const SETTLED: usize = 120;

/// Runs the world; where it fails, tells which it was and how it came to that.
fn told<T>(which: &str, world: &mut World, run: impl FnOnce(&mut World) -> T) -> T {
    catch_unwind(AssertUnwindSafe(|| run(world))).unwrap_or_else(|payload| {
        eprintln!("{}\n{which}: the story ends above", world.story());
        resume_unwind(payload)
    })
}

fn events(world: &World) -> u64 {
    world.sites.iter().map(|site| site.events).sum()
}

/// How storms ended.
#[derive(Debug, Default, Clone, Copy)]
struct Ended {
    chits: usize,
    restores: usize,
    closed: usize,
    /// Messages, the most of any, that a storm took to be settled after it was over.
    most: usize,
}

impl Ended {
    fn and(self, other: Ended) -> Ended {
        Ended {
            chits: self.chits + other.chits,
            restores: self.restores + other.restores,
            closed: self.closed + other.closed,
            most: self.most.max(other.most),
        }
    }
}

fn storm(seed: u64) -> Ended {
    let script = Script::of(seed);
    let (mut world, deals) = deals::opened(script.like, script.receipts, seed);
    told(&format!("seed {seed}"), &mut world, |world| {
        let lossy = !script.receipts;
        let mut people = People::new(deals);
        people.closing = script.closing;
        rage(world, &mut people, &script, STEPS);
        assert_eq!(unkept(world, &people), Vec::<String>::new(), "seed {seed}: in the storm");
        world.heal();
        people.settle(world);
        let before = world.said.len();
        world.calm(REST);
        assert_eq!(wrong(world, &people, lossy), Vec::<String>::new(), "seed {seed}: not settled");
        let most = world.said.len() - before;
        assert!(most <= SETTLED, "seed {seed}: {most} messages to come to rest");
        // What is owed on a tally that is to be closed is given back.
        while people.pay_off(world) {
            world.calm(REST);
            assert_eq!(wrong(world, &people, lossy), Vec::<String>::new(), "seed {seed}: not closed");
        }
        // Once all is done nothing goes on.
        let before = (events(world), world.said.len());
        world.calm(26 * HOUR);
        assert_eq!((events(world), world.said.len()), before, "seed {seed}: it goes on though all is done");
        let closed = people.deals.iter().flat_map(|deal| deals::accounts(world, deal)).flatten();
        let closed = closed.filter(|account| account.half.phase == tallyho_chit::half::Phase::Closed).count();
        Ended { chits: people.pledges.len(), restores: people.restored.len(), closed, most }
    })
}

/// One eighth of the seeds.
fn storms(eighth: u64) {
    let all = seeds();
    let (len, told) = (all.end - all.start, std::env::var_os("TALLYHO_SEEDS").is_some());
    let part = all.start + len * eighth / 8..all.start + len * (eighth + 1) / 8;
    let count = part.end - part.start;
    let (mut ended, mut failed) = (Ended::default(), Vec::new());
    for seed in part {
        match catch_unwind(|| storm(seed)) {
            Ok(storm) => ended = ended.and(storm),
            Err(_) => failed.push(seed),
        }
    }
    eprintln!("{count} storms: {ended:?}");
    assert_eq!(failed, Vec::<u64>::new(), "of {count} seeds these failed; their stories are above");
    // Storms in which little comes about show little.
    let count = usize::try_from(count).unwrap();
    assert!(told || ended.chits > 8 * count && ended.restores > count / 4 && ended.closed > count / 50, "{ended:?}");
}

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("TALLYHO_SEEDS") else { return 0..2_000 };
    let (from, to) = text.split_once("..").expect("TALLYHO_SEEDS=from..to");
    from.parse().unwrap()..to.parse().unwrap()
}

macro_rules! eighths {
    ($($name:ident $part:literal,)*) => {
        mod chains_and_balances_agree_and_nothing_signed_is_lost {
            $(#[test] fn $name() { super::storms($part) })*
        }
    };
}
eighths!(storm_0 0, storm_1 1, storm_2 2, storm_3 3, storm_4 4, storm_5 5, storm_6 6, storm_7 7,);

#[test]
fn a_seed_always_tells_the_same_story() {
    let story = |seed| {
        let script = Script::of(seed);
        let (mut world, deals) = deals::opened(Shape::House.into(), script.receipts, seed);
        rage(&mut world, &mut People::new(deals), &script, 120);
        world.story()
    };
    assert_eq!(story(5), story(5));
    assert_ne!(story(5), story(6));
}
