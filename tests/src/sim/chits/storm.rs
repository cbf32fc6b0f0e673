//! Bad times for people who deal in chits.

use super::deals::{Like, Shape};
use super::people::People;
use crate::sim::storm::{Weather, blow};
use crate::sim::{Disk, World};

/// What one story is made of; all of it follows from the seed.
#[derive(Debug, Clone)]
pub struct Script {
    /// Where it is told.
    pub like: Like,
    /// Sites acknowledge messages.
    pub receipts: bool,
    /// Stores come back from older copies.
    pub restores: bool,
    /// How bad it gets.
    pub weather: Weather,
    /// Chance in percent that an act is a closing.
    pub closing: u64,
}

impl Script {
    /// The story of this seed.
    pub fn of(seed: u64) -> Self {
        let shape = match seed % 8 {
            0 => Shape::Row,
            1 | 4 => Shape::House,
            2 | 6 => Shape::Both,
            _ => Shape::Pair,
        };
        Script {
            // A file costs real writes to a disk: now and then is enough.
            like: Like { shape, files: seed % 50 == 7, elliptic: seed % 11 == 5 },
            receipts: !seed.is_multiple_of(3),
            restores: seed % 2 == 1,
            weather: if seed % 10 == 9 { Weather::CALM } else { Weather::ROUGH },
            closing: if seed.is_multiple_of(7) { 4 } else { 0 },
        }
    }
}

/// Copies of stores kept for later.
const COPIES: usize = 3;

/// So many steps in which people act, things fail, and stores come back from older copies.
pub fn rage(world: &mut World, people: &mut People, script: &Script, steps: usize) {
    let mut copies: Vec<(usize, Disk)> = Vec::new();
    for _ in 0..steps {
        // While nothing goes on people do something.
        if world.dice.percent(14) || world.steps().is_empty() {
            people.act(world);
        }
        if script.restores && world.dice.percent(4) {
            let site = world.dice.below(world.sites.len());
            copies.push((site, world.sites[site].disk.copy()));
            if copies.len() > COPIES {
                copies.remove(0);
            }
            world.tell(format!("site {site} is COPIED"));
        }
        if script.restores && world.dice.percent(2) && !copies.is_empty() {
            // The same copy may be put back twice.
            let (site, copy) = world.dice.one_of(&copies).clone();
            people.restore(world, site, &copy);
        }
        blow(world, script.weather);
    }
}
