//! Every bound of the handler, with its reason. Durations are milliseconds.

/// A minute.
const MINUTE: i64 = 60_000;

/// A day.
pub const DAY: i64 = 24 * 60 * MINUTE;

/// `routes.life` (PROTOCOL B): a good route is fresh for so long, and one that failed is not tried again.
pub const LIFE: i64 = 60 * MINUTE;

/// `routes.pend` (PROTOCOL B, O-34): how long a query may stay without an answer; a user waits.
pub const PEND: i64 = 5 * MINUTE;

/// `routes.tries` (PROTOCOL B): queries sent before an exit counts as leading nowhere.
pub const TRIES: u32 = 4;

/// `routes.maxstep` (PROTOCOL B): sites that a search passes at most.
pub const MAXSTEP: u64 = 10;

/// `routes.maxquery` (PROTOCOL B): exits that one query, or one wish, is passed on over.
pub const MAXQUERY: usize = 10;

/// `paths.maxlen` (PROTOCOL B): a path has one edge more at most (PROTOCOL 7.3).
pub const MAXLEN: usize = 10;

/// Paths that one question is answered with where it does not say how many: a lift tries few.
pub const PATHS: usize = 8;

/// Paths that one question is answered with at most.
pub const PATHS_MOST: usize = 64;
