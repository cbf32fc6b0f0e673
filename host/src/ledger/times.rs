//! How long calls have taken: a histogram that costs one addition a call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Each doubling of time is cut in so many parts, so a figure is at most a quarter too high.
const PARTS: usize = 4;
/// Doublings of a nanosecond: 2^43 ns are more than two hours.
const DOUBLINGS: usize = 44;

/// Times of calls, by size.
pub struct Times([AtomicU64; PARTS * DOUBLINGS]);

impl Default for Times {
    fn default() -> Self {
        Times([const { AtomicU64::new(0) }; PARTS * DOUBLINGS])
    }
}

impl Times {
    /// Counts a call.
    pub fn add(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.0[place(nanoseconds)].fetch_add(1, Ordering::Relaxed);
    }

    /// The time within which this share of all calls was done (0.5: the median); `None` without calls.
    pub fn within(&self, share: f64) -> Option<Duration> {
        let counts: Vec<u64> = self.0.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let all: u64 = counts.iter().sum();
        if all == 0 {
            return None;
        }
        let mut left = ((all as f64 * share).ceil() as u64).clamp(1, all);
        let place = counts.iter().position(|count| {
            let here = left <= *count;
            left = left.saturating_sub(*count);
            here
        })?;
        Some(Duration::from_nanos(end(place)))
    }
}

/// Which part of which doubling.
fn place(nanoseconds: u64) -> usize {
    let doubling = (u64::BITS - nanoseconds.max(1).leading_zeros() - 1) as usize;
    let part = if doubling < 2 { 0 } else { (nanoseconds >> (doubling - 2)) as usize % PARTS };
    (doubling * PARTS + part).min(PARTS * DOUBLINGS - 1)
}

/// Where that part ends.
fn end(place: usize) -> u64 {
    let (doubling, part) = (place / PARTS, place % PARTS);
    match doubling {
        0 | 1 => 1 << (doubling + 1),
        _ => (1 << doubling) + ((part as u64 + 1) << (doubling - 2)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_figure_is_never_too_low_and_at_most_a_quarter_too_high() {
        for nanoseconds in (0..5_000).chain([u64::from(u32::MAX), 1 << 40]) {
            let times = Times::default();
            times.add(Duration::from_nanos(nanoseconds));
            let told = times.within(0.5).unwrap().as_nanos() as u64;
            assert!(told >= nanoseconds && told <= nanoseconds + nanoseconds / 4 + 2, "{nanoseconds}: {told}");
        }
    }

    #[test]
    fn the_slowest_call_in_a_hundred_does_not_move_the_median() {
        let times = Times::default();
        assert_eq!(times.within(0.5), None);
        (0..99).for_each(|_| times.add(Duration::from_micros(10)));
        times.add(Duration::from_secs(10_000_000));
        assert!(times.within(0.5).unwrap() < Duration::from_micros(13));
        assert!(times.within(0.99).unwrap() < Duration::from_micros(13));
        assert!(times.within(1.0).unwrap() > Duration::from_secs(3_600));
    }
}
