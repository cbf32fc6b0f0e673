//! Every bound of the handler, with its reason. Durations are milliseconds unless a name says otherwise.

/// A second.
pub const SECOND: i64 = 1_000;

/// Seconds that a lift of ours may take (PROTOCOL 9.1, appendix B: lifts.life).
pub const LIFE_SECONDS: i64 = 120;

/// A promise with less life left than this is refused (PROTOCOL 9.3 item 2, lifts.minlife).
pub const LEAST_LIFE: i64 = SECOND;

/// How far ahead of our clock an originator's may be (PROTOCOL 9.3 item 2, O-51).
pub const AHEAD: i64 = 60 * SECOND;

/// A lift of ours that has no way yet is given up with so much of its life left: five sites need some
/// seconds to promise, and the referee some to rule.
pub const LEAST_USEFUL: i64 = 15 * SECOND;

/// An exit that cannot be reached is given up for another one after this part of what life is left, so
/// that the other one still has time (PROTOCOL 9.7 L25).
pub const EXIT_SHARE: i64 = 3;

/// Least and most delay beyond expiry before a site asks (PROTOCOL 9.8).
pub const OVERDUE: (i64, i64) = (2 * SECOND, 60 * SECOND);

/// How long each one asked is given (PROTOCOL 9.8).
pub const STEP: i64 = 5 * SECOND;

/// Wait after the first round of asking; each further one doubles it (PROTOCOL 9.8).
pub const ROUND: i64 = 10 * SECOND;

/// Most wait between two rounds (PROTOCOL 9.8).
pub const ROUND_MOST: i64 = 600 * SECOND;

/// How long a commit is given before it is sent again (PROTOCOL 11.2).
pub const COMMIT: i64 = 5 * SECOND;

/// When a promise or a notice of arrival is repeated after it was handed over (PROTOCOL 11.2).
pub const REPEATS: [i64; 2] = [10 * SECOND, 30 * SECOND];

/// How long a ruling is pushed towards a neighbour that is away; it can ask for itself later (PROTOCOL 9.8).
pub const PUSH: i64 = 60 * SECOND;

/// A release is remembered beyond expiry for this long (PROTOCOL 9.7 I6).
pub const TOMBSTONE: i64 = 60 * SECOND;

/// How long a final lift is kept. Originators answer for at least 30 days (PROTOCOL 9.8).
pub const KEEP: i64 = 31 * 24 * 3600 * SECOND;

/// Lifts under way at a site at most, some 2 kB each. Each new one is refused beyond that.
pub const OPEN: u64 = 20_000;

/// Lifts under way that came over one tally at most: one partner cannot use up all of [`OPEN`]. A row of
/// promises of one milli-CHIP each costs the partner as many signatures.
pub const OPEN_ON_TALLY: u64 = 1_000;

/// Tombstones at most. Beyond that a promise that is not taken is dropped without a release, which costs its
/// sender the time until expiry and nothing else.
pub const TOMBSTONES: u64 = 20_000;

/// Ways asked for at once: if none of so many can be reserved, no other will do.
pub const PATHS: u32 = 8;

/// Exits that one promise is sent to, one after the other, at most.
pub const EXITS: usize = 8;

/// Segments of one lift at one site at most; a lift crosses a site once or twice.
pub const SEGMENTS: u32 = 16;

/// Bytes of L in canonical form at most. The standard referee rules on no larger one, and a promise with its
/// pledge must fit a message.
pub const CORE_BYTES: usize = 16_000;

/// Rows let go in one event of a sweep: three writes each, of the 10,000 effects that a host allows.
pub const SWEEP_PAGE: u32 = 500;

/// How often the store is searched for what need not be kept.
pub const SWEEP_EVERY: i64 = 600 * SECOND;

/// Wait before the next page of a sweep, so that others get their turn.
pub const SWEEP_PAUSE: i64 = SECOND;

/// Lifts that one `lift list` shows where nothing is said.
pub const LISTED: u32 = 50;

/// Lifts that one `lift list` shows at most.
pub const LISTED_MOST: u32 = 1_000;

/// Tallies that one `lift clear` looks at: each costs a search for ways. Of more, the rest is left
/// for a call that names another user.
pub const CLEARED: u32 = 50;

/// Lifts that one `lift clear` begins at most.
pub const CLEARS: usize = 10;
