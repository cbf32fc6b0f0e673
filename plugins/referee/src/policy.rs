//! What may differ from one referee to the next.

use crate::limits;
use serde_json::Value;
use tallyho_plugin::record::{LiftCore, Timestamp};

/// What a custom referee decides. Everything has a default: the standard referee's.
///
/// A policy is asked, it does not act: it has no context, so it can neither write nor send, and the
/// duties of PROTOCOL 10.4 are kept whatever it answers. It must answer the same to the same question:
/// the host may run an event again.
pub trait Policy: Default + Send + Sync + 'static {
    /// The plugin's version, for people.
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    /// One line about the plugin, for people.
    const ABOUT: &'static str = "Rules on lifts by its clock alone (PROTOCOL 10)";

    /// Whether it serves everybody from the beginning. Otherwise it rules on its own site's lifts alone until
    /// the operator says `referee serve all`; and with `referee serve own` it does so in any case.
    const OPEN: bool = true;

    /// The name in the credentials; `None`: host and port.
    fn name(&self) -> Option<String> {
        None
    }

    /// How to reach the people behind it, for the credentials: objects `{media, address}`.
    fn connect(&self) -> Vec<Value> {
        Vec::new()
    }

    /// Whether this lift may be ruled good. Asked of a commit that came in time and whose originator's
    /// signature stands. Whatever it answers, the lift is void once it has expired.
    fn serve(&self, lift: &LiftCore, now: Timestamp) -> Service {
        let _ = (lift, now);
        Service::Rule
    }

    /// From when and until when lifts are ruled good, as seen now. Once published in credentials, an end
    /// can be put off but not brought forward.
    fn term(&self, now: Timestamp) -> Term {
        // Whole days, so that what is published is the same all day.
        let today = Timestamp(now.0 - now.0.rem_euclid(limits::DAY));
        Term { from: today, to: today.plus(limits::DAY + limits::TERM) }
    }

    /// What time it is, or `None` where that is not known to 2 s of UTC (PROTOCOL 10.4): requests whose
    /// answer depends on it are then answered with `pend`, err `clock`.
    ///
    /// `system` is the host's clock, `latest` the largest instant used in an earlier ruling; an answer
    /// before that is taken for that. A plugin has no other clock to ask, so all that the default can know
    /// is that a system clock more than 2 s behind `latest` is wrong now or was wrong then.
    fn clock(&self, system: Timestamp, latest: Timestamp) -> Option<Timestamp> {
        (latest <= system.plus(limits::CLOCK_TOLERANCE)).then_some(system)
    }

    /// For how long after the end of the published term a good ruling's proof, L and its originator's
    /// signature, is kept, in milliseconds; less than ten years counts as ten. `None`: for ever. The
    /// ruling itself is kept for ever in any case.
    fn keep_proofs(&self) -> Option<i64> {
        None
    }

    /// For how long void rulings are kept, in milliseconds; less than a year counts as one.
    fn keep_voids(&self) -> i64 {
        limits::VOID_LEAST
    }

    /// How many void rulings are kept at most; the oldest go first.
    fn most_voids(&self) -> u64 {
        limits::VOIDS
    }

    /// How many lifts are ruled good in an hour at most; others are answered with `pend`.
    fn hourly(&self) -> u32 {
        limits::HOURLY
    }

    /// The line to be logged of a ruling on this lift; `None`: none. Log files are read by many: who asked
    /// what stays private (PROTOCOL 10.4), so the default logs nothing, and rulings are only counted.
    fn log(&self, lift: &LiftCore, valid: bool) -> Option<String> {
        let _ = (lift, valid);
        None
    }
}

/// Whether a lift may be ruled good. Not to serve is to answer `pend` or nothing (PROTOCOL 10.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// It may.
    Rule,
    /// Not now: `pend`, err `policy`. The originator asks again until expiry.
    Pend,
    /// No answer.
    Silence,
}

/// A span of time in which a referee rules on new lifts (PROTOCOL 10.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// Its first instant.
    pub from: Timestamp,
    /// Its last: no lift that expires later is ruled good.
    pub to: Timestamp,
}

/// The standard referee: serves everybody once its operator says so, for a year ahead, by the host's clock.
#[derive(Debug, Default)]
pub struct Standard;

impl Policy for Standard {
    const OPEN: bool = false;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_clock_is_in_doubt_once_it_is_behind_what_was_used() {
        let at = |milliseconds| Timestamp(1_700_000_000_000).plus(milliseconds);
        assert_eq!(Standard.clock(at(0), at(0)), Some(at(0)));
        assert_eq!(Standard.clock(at(0), Timestamp::default()), Some(at(0)));
        assert_eq!(Standard.clock(at(0), at(limits::CLOCK_TOLERANCE)), Some(at(0)));
        assert_eq!(Standard.clock(at(0), at(limits::CLOCK_TOLERANCE + 1)), None);
    }

    #[test]
    fn the_standard_term_is_the_same_all_day() {
        let morning = Timestamp::parse("2026-03-04T00:00:00.000Z").unwrap_or_default();
        let evening = Timestamp::parse("2026-03-04T23:59:59.999Z").unwrap_or_default();
        assert_eq!(Standard.term(morning), Standard.term(evening));
        assert!(Standard.term(evening).to.0 - evening.0 >= limits::TERM);
        assert!(Standard.term(evening).from <= morning);
    }
}
