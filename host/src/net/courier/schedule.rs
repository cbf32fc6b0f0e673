//! When a message is tried again (PROTOCOL 11.2).

use crate::net::limits::{REQUEST_RETRY_MS, REQUEST_TRIES, TICKET_RETRY_MS, TICKET_TRIES};
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::services::Schedule;

/// Random delays, all drawn from one seed. xorshift64: it spreads the retries of many sites, nothing
/// depends on its quality.
#[derive(Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// Drawn from this seed.
    pub fn new(seed: u64) -> Self {
        Jitter(seed | 1)
    }

    /// The delay, 20 % more or less.
    fn spread(&mut self, delay: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let percent = i64::try_from(self.0 % 41).unwrap_or(0) - 20;
        delay + delay * percent / 100
    }
}

/// The instant of the attempt after the `n`-th, which was at `now`; `None`: there is none.
pub fn next(schedule: Schedule, n: u32, now: Timestamp, jitter: &mut Jitter) -> Option<Timestamp> {
    match schedule {
        Schedule::Request if n < REQUEST_TRIES => {
            let (step, most) = REQUEST_RETRY_MS;
            Some(now.plus(jitter.spread((step * i64::from(n.max(1))).min(most))))
        }
        Schedule::Ticket if n < TICKET_TRIES => Some(now.plus(TICKET_RETRY_MS)),
        // The ninth delay is 512 s; an end further away than that needs no longer ones.
        Schedule::Until(end) => Some(now.plus(2_000i64 << n.saturating_sub(1).min(8))).filter(|next| *next < end),
        _ => None,
    }
}

/// Whether the message has no meaning any more.
pub fn is_over(schedule: Schedule, now: Timestamp) -> bool {
    matches!(schedule, Schedule::Until(end) if end <= now)
}
