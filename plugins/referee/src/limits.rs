//! Every bound of the handler, with its reason. Durations are milliseconds.

/// A day.
pub const DAY: i64 = 24 * 60 * 60 * 1000;

/// A year: its longest form, since what is kept so long is kept *at least* so long.
pub const YEAR: i64 = 366 * DAY;

/// How far ahead of our clock an originator's may be: 60 s (PROTOCOL 10.3 F1, O-51).
pub const AHEAD: i64 = 60_000;

/// How far a referee's clock may be from UTC: 2 s (PROTOCOL 10.4, O-51).
pub const CLOCK_TOLERANCE: i64 = 2_000;

/// An L that the system's clock has seen ended for so long is void even while a policy doubts the clock: a
/// doubt of more than a day is no doubt but a refusal, and a void is never refused (PROTOCOL 10.4).
pub const DOUBT: i64 = DAY;

/// Bytes of L's canonical string up to which a lift is ruled good, since it is kept for ever then. An L
/// without a plan has some 400; a plan with a long memo and reference 12,000. Larger ones end void.
pub const LIFT_BYTES: usize = 16_384;

/// Lifts ruled good in an hour where the policy says nothing else: whoever makes keys at will could fill
/// the disk otherwise, by 20 requests a minute from each address. Of usual lifts that is 10 MB an hour.
pub const HOURLY: u32 = 10_000;

/// Void rulings kept where the policy says nothing else; 0.3 kB each with their indexes. A flood of expired
/// lifts pushes out the oldest, which come out the same when they are asked for again: nothing is good
/// after its expiry, and our clock does not go back.
pub const VOIDS: u64 = 1_000_000;

/// A policy cannot have fewer void rulings kept than this.
pub const VOIDS_LEAST: u64 = 100;

/// A good ruling's proof is kept for at least ten years after the end of the published term (PROTOCOL 10.4).
pub const PROOF_LEAST: i64 = 10 * YEAR;

/// A void ruling is kept for at least a year (PROTOCOL 10.4).
pub const VOID_LEAST: i64 = YEAR;

/// How far ahead the standard referee promises to rule on new lifts.
pub const TERM: i64 = 365 * DAY;

/// How often the store is searched for what need not be kept any longer.
pub const SWEEP_EVERY: i64 = DAY;

/// Rulings let go in one event: three effects each, where a host lets an event have 10,000, and little
/// enough that other events do not wait.
pub const SWEEP_PAGE: u32 = 500;

/// Wait before the next page of a sweep, so that others get their turn.
pub const SWEEP_PAUSE: i64 = 1_000;

/// Other sites' referees known at most. People accept a handful; each is shown by `referee list`.
pub const REFEREES: usize = 1_000;

/// Bytes of credentials in canonical form at most: name, contacts and an invitation have some hundreds.
pub const CREDENTIALS_BYTES: usize = 8_192;

/// How long a question for credentials is tried: shorter than the 30 s that a person waits by default, so
/// that the reason is there before the patience ends.
pub const ASK_FOR: i64 = 20_000;

/// Rulings that one `referee list` shows where nothing is said: a screenful or two.
pub const LISTED: u32 = 50;

/// Rulings that one `referee list` shows at most, a bound on the answer's size.
pub const LISTED_MOST: u32 = 1_000;
