//! Medians, and the line in which a figure is printed.

use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

/// How much is done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Enough to see that it works.
    Small,
    /// Enough for figures.
    Full,
}

impl Effort {
    /// One of two sizes.
    pub fn choose<T>(self, small: T, full: T) -> T {
        if self == Effort::Full { full } else { small }
    }
}

/// What a figure must be.
#[derive(Clone, Copy)]
pub enum Wanted {
    /// This much or more.
    AtLeast(f64),
    /// This much or less.
    AtMost(f64),
    /// Nothing is required.
    Told,
}

/// The middle one of several values.
pub fn median(mut values: Vec<f64>) -> f64 {
    assert!(!values.is_empty(), "a median needs a value");
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Times of two things done by turns.
pub struct Duel {
    ours: Vec<f64>,
    bare: Vec<f64>,
}

impl Duel {
    /// Does both by turns, `rounds` times after one that does not count. Each returns what it achieved
    /// per second, or per anything else of which more is better.
    pub fn fight(rounds: usize, mut ours: impl FnMut() -> f64, mut bare: impl FnMut() -> f64) -> Self {
        let mut duel = Duel { ours: Vec::new(), bare: Vec::new() };
        for round in 0..=rounds {
            // Neither side always has the warmer caches.
            let (one, other) = if round % 2 == 0 {
                let bare = bare();
                (ours(), bare)
            } else {
                let ours = ours();
                (ours, bare())
            };
            if round > 0 {
                duel.ours.push(one);
                duel.bare.push(other);
            }
        }
        duel
    }

    /// Prints the medians and the median of the ratios.
    pub fn report(self, effort: Effort, name: &str, unit: &str, wanted: Wanted) {
        let ratio = median(self.ours.iter().zip(&self.bare).map(|(ours, bare)| ours / bare).collect());
        let (ours, bare) = (median(self.ours), median(self.bare));
        line(effort, name, &format!("{ours:.0} {unit}"), &format!("{ratio:.2} of {bare:.0} {unit}"), ratio, wanted);
    }
}

/// Prints one figure.
pub fn line(effort: Effort, name: &str, figure: &str, against: &str, value: f64, wanted: Wanted) {
    let (requirement, met) = match wanted {
        Wanted::AtLeast(least) => (format!("at least {least}"), value >= least),
        Wanted::AtMost(most) => (format!("at most {most}"), value <= most),
        Wanted::Told => ("no requirement".to_owned(), true),
    };
    let verdict = match (effort, met) {
        (Effort::Small, _) => "not measured (small run)",
        _ if matches!(wanted, Wanted::Told) => "-",
        (Effort::Full, true) => "ok",
        (Effort::Full, false) => "MISSED",
    };
    println!("{name:<34} {figure:>20}   {against:<32} {requirement:<16} {verdict}");
}

/// How long this takes.
pub fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// Seconds that a log takes to grow by a page, durably, as a small commit has it grow.
pub fn sync(log: &mut File) -> f64 {
    const PAGE: [u8; 4_096] = [7; 4_096];
    let time = timed(|| {
        log.write_all(&PAGE).expect("the disk has room");
        log.sync_all().expect("the disk syncs");
    });
    time.as_secs_f64()
}

/// Processor time of this whole process that this takes, in seconds.
pub fn processor_seconds(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0)).as_secs_f64()
    };
    let begun = now();
    work();
    now() - begun
}
