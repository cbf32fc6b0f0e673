//! Bad times, drawn by chance.

use super::world::World;
use tallyho::store::{Operation, StoreError};

/// How bad times are: chances in percent that something of the kind happens before a step.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// A line is lost.
    pub lines: u64,
    /// A wire is cut or mended.
    pub wires: u64,
    /// A site crashes.
    pub crashes: u64,
    /// A store begins to fail.
    pub stores: u64,
    /// A frame on its way is there once more.
    pub repeats: u64,
    /// Without receipts: a frame overtakes another, as between peers that use two channels at a time
    /// (PROTOCOL A.3).
    pub overtakings: u64,
    /// Time passes.
    pub time: u64,
}

impl Weather {
    /// All of it, often.
    pub const ROUGH: Weather =
        Weather { lines: 3, wires: 2, crashes: 2, stores: 3, repeats: 3, overtakings: 3, time: 6 };
    /// Everything works, though in any order.
    pub const CALM: Weather =
        Weather { lines: 0, wires: 0, crashes: 0, stores: 0, repeats: 0, overtakings: 0, time: 6 };
}

/// One step of the world in this weather.
pub fn blow(world: &mut World, weather: Weather) {
    let sites = world.sites.len();
    if world.dice.percent(weather.lines) {
        let lines = world.lines();
        if !lines.is_empty() {
            let line = *world.dice.one_of(&lines);
            world.tell(format!("line {line} is LOST"));
            world.lose(line);
        }
    }
    if world.dice.percent(weather.repeats) {
        world.repeat();
    }
    if world.dice.percent(weather.overtakings) {
        world.overtake();
    }
    if world.dice.percent(weather.wires) && sites > 1 {
        let one = world.dice.below(sites);
        let other = (one + 1 + world.dice.below(sites - 1)) % sites;
        let cut = world.dice.percent(50);
        world.cut(one, other, cut);
    }
    if world.dice.percent(weather.crashes) {
        let site = world.dice.below(sites);
        if world.sites[site].running.is_some() {
            world.crash(site);
            // Sometimes the store fails while it starts.
            if world.dice.percent(30) {
                let nth = 1 + world.dice.number() % 40;
                world.start(site, Some(nth));
            }
        }
    }
    if world.dice.percent(weather.stores) {
        let site = world.dice.below(sites);
        let errors = [
            StoreError::Conflict,
            StoreError::Unwritable { path: "store".to_owned(), why: "full".to_owned() },
            StoreError::Engine("as told".to_owned()),
        ];
        let error = world.dice.one_of(&errors).clone();
        let (nth, times) = (1 + world.dice.number() % 60, 1 + world.dice.number() % 30);
        let operation = *world.dice.one_of(&[Operation::Any, Operation::Commit, Operation::Put, Operation::Begin]);
        world.tell(format!("the store of site {site} FAILS {times} times from its {nth}. {operation:?} on: {error}"));
        if let Some(running) = &world.sites[site].running {
            running.faults.fail_stretch(operation, nth, times, error);
        }
    }
    let stands_still = !world.any();
    if stands_still || world.dice.percent(weather.time) {
        let most = world.next_due().map_or(5_000, |next| (next.0 - world.now.0).clamp(1, 60_000));
        let pause = if stands_still { most } else { 1 + i64::try_from(world.dice.number() % 500).unwrap_or(0) };
        world.now = world.now.plus(pause);
    }
}
