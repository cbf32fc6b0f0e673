//! The random bytes of events, and the seeds they are drawn from.

use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// Seeds drawn from the system at a time. One by one they would cost more than all else that the ledger does
/// for an event.
const DRAWN: usize = 128;

/// Seeds from the system's random bytes, each given once.
pub struct Seeds {
    drawn: [[u8; 32]; DRAWN],
    left: usize,
}

impl Seeds {
    /// None drawn yet.
    pub fn new() -> Self {
        Seeds { drawn: [[0; 32]; DRAWN], left: 0 }
    }

    /// The next seed.
    ///
    /// # Panics
    /// Where the system has no random bytes: nothing that is signed could be trusted then.
    #[allow(clippy::expect_used)]
    pub fn draw(&mut self) -> [u8; 32] {
        if self.left == 0 {
            aws_lc_rs::rand::fill(self.drawn.as_flattened_mut()).expect("the system has random bytes");
            self.left = DRAWN;
        }
        self.left -= 1;
        let seed = self.drawn[self.left];
        self.drawn[self.left].zeroize();
        seed
    }
}

impl Default for Seeds {
    fn default() -> Self {
        Seeds::new()
    }
}

/// Random bytes of one event, all drawn from one seed, so that a replay draws the same.
pub struct Random {
    seed: [u8; 32],
    drawn: u64,
}

impl Random {
    /// Bytes drawn from this seed.
    pub fn new(seed: [u8; 32]) -> Self {
        Random { seed, drawn: 0 }
    }

    /// Fills the buffer. SHA-256 of seed and counter: unpredictable to whoever lacks the seed.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(32) {
            let block = Sha256::new().chain_update(self.seed).chain_update(self.drawn.to_be_bytes()).finalize();
            self.drawn += 1;
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_seed_is_given_twice_nor_kept() {
        let mut seeds = Seeds::new();
        let given: HashSet<[u8; 32]> = (0..3 * DRAWN + 1).map(|_| seeds.draw()).collect();
        assert_eq!(given.len(), 3 * DRAWN + 1);
        assert!(!given.contains(&[0; 32]));
        assert!(seeds.drawn.iter().all(|kept| *kept == [0; 32] || !given.contains(kept)));
    }
}
