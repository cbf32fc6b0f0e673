//! What time it is for the referee (PROTOCOL 10.4): never earlier than it was in an earlier ruling, whatever
//! happens to the system's clock, to the process or to the plugin's build.

use crate::limits;
use crate::policy::Policy;
use tallyho_plugin::record::Timestamp;

/// The time, and how far it can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The referee's time, for people and for answers.
    pub now: Timestamp,
    /// Whether it is within 2 s of UTC, as far as the policy knows.
    pub certain: bool,
    system: Timestamp,
    latest: Timestamp,
}

impl Reading {
    /// The time when the system's clock shows `system` and the largest instant used so far is `latest`.
    pub fn take(policy: &impl Policy, system: Timestamp, latest: Timestamp) -> Self {
        let clock = policy.clock(system, latest);
        Reading { now: clock.unwrap_or(system).max(latest), certain: clock.is_some(), system, latest }
    }

    /// Whether what ends at `expiry` has ended, beyond doubt.
    pub fn is_past(&self, expiry: Timestamp) -> bool {
        match self.certain {
            true => self.now > expiry,
            // The referee's time was past it in an earlier ruling, or no doubt reaches that far.
            false => self.latest > expiry || self.system > expiry.plus(limits::DOUBT),
        }
    }

    /// The instant that a ruling uses which says that `expiry` is past: one that is certain.
    pub fn used_past(&self, expiry: Timestamp) -> Timestamp {
        if self.certain { self.now } else { self.latest.max(expiry.plus(1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Standard;

    const HOUR: i64 = 3_600_000;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp(1_700_000_000_000).plus(milliseconds)
    }

    /// Never sure.
    #[derive(Default)]
    struct Lost;

    impl Policy for Lost {
        fn clock(&self, _: Timestamp, _: Timestamp) -> Option<Timestamp> {
            None
        }
    }

    #[test]
    fn time_never_goes_back_behind_a_ruling() {
        let reading = Reading::take(&Standard, at(-1_000), at(0));
        assert_eq!((reading.now, reading.certain), (at(0), true));
        let reading = Reading::take(&Standard, at(-HOUR), at(0));
        assert_eq!((reading.now, reading.certain), (at(0), false));
        assert!(reading.is_past(at(-1)) && !reading.is_past(at(0)));
        assert_eq!(reading.used_past(at(-1)), at(0));
    }

    #[test]
    fn the_last_millisecond_of_a_lift_is_in_time() {
        let reading = Reading::take(&Standard, at(0), Timestamp::default());
        assert!(!reading.is_past(at(0)) && reading.is_past(at(-1)));
    }

    #[test]
    fn a_doubt_puts_a_void_off_for_a_day_and_no_longer() {
        let ends = at(0);
        assert!(!Reading::take(&Lost, at(limits::DOUBT), Timestamp::default()).is_past(ends));
        let later = Reading::take(&Lost, at(limits::DOUBT + 1), Timestamp::default());
        assert!(later.is_past(ends));
        // The doubtful clock itself is not remembered as time that has been.
        assert_eq!(later.used_past(ends), at(1));
    }
}
