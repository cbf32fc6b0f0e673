//! Chance, the same for the same seed.

use tallyho_plugin::testkit;

/// The test kit's stream, thrown in the ways a simulation needs.
#[derive(Debug)]
pub struct Dice(testkit::Dice);

impl Dice {
    /// Thrown from this seed.
    pub fn new(seed: u64) -> Self {
        // Another stream than that of a test kit's site of the same seed.
        Dice(testkit::Dice::new(seed ^ 0x5851_f42d_4c95_7f2d))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.roll()
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.below(end)
    }

    /// Whether it happens, with this chance.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.number() % 100 < chance
    }

    /// One of these.
    ///
    /// # Panics
    /// When there are none.
    pub fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}
