//! Randomness that a seed repeats.

use sha2::{Digest, Sha256};

/// A stream of numbers that depends on its seed alone (SplitMix64). Not secret: for tests only.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, not including, `end` (0 where `end` is 0).
    pub fn below(&mut self, end: usize) -> usize {
        match end {
            0 => 0,
            // The remainder is smaller than `end`, which is a usize.
            end => (self.roll() % end as u64) as usize,
        }
    }

    /// True this many times in a hundred.
    pub fn percent(&mut self, chance: u32) -> bool {
        self.roll() % 100 < u64::from(chance)
    }

    /// Fills the buffer.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for part in buffer.chunks_mut(8) {
            let bytes = self.roll().to_le_bytes();
            part.copy_from_slice(&bytes[..part.len()]);
        }
    }
}

/// 32 bytes that depend on the parts alone.
pub(crate) fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        // The length first, so that no two lists of parts run together to the same bytes.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// A seed for [`Dice`] that depends on the parts alone.
pub(crate) fn seed(parts: &[&[u8]]) -> u64 {
    let bytes = digest(parts);
    let mut first = [0; 8];
    first.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_stream() {
        let (mut one, mut two, mut other) = (Dice::new(7), Dice::new(7), Dice::new(8));
        let first: Vec<u64> = (0..20).map(|_| one.roll()).collect();
        assert_eq!(first, (0..20).map(|_| two.roll()).collect::<Vec<_>>());
        assert_ne!(first, (0..20).map(|_| other.roll()).collect::<Vec<_>>());
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
    }
}
