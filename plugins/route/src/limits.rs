//! Every bound of the handler, with its reason. Durations are milliseconds.

/// A minute.
pub const MINUTE: i64 = 60_000;

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

/// Tallies that one search for paths goes over: two reads each. Where ten tallies a user is usual, a path between
/// any two of 10,000 users takes one or two hundred.
pub const TRIED: usize = 2_000;

/// Tallies gone over after the first path is found, in the hope of a better one. Enough to look at all of a
/// small site, little beside what the first path takes in a large one.
pub const TRIED_MORE: usize = 40;

/// Paths found, better ones not yet told from others, before a search stops: lifts try few.
pub const FOUND: usize = 32;

/// Tallies gone over by a search for ways out of the site.
pub const TRIED_EXITS: usize = 1_000;

/// Ways out that such a search comes back with: of these the best ten are asked ([`MAXQUERY`]).
pub const EXITS: usize = 64;

/// Tallies that one side of a search puts among those to go over; a few users with thousands each fill it. Some
/// 150 bytes each.
pub const STEPS: usize = 20_000;

/// Tallies of one user that a search looks at: a shop may have more, and is then gone through by these.
pub const LINKS_LOOKED: u32 = 1_000;

/// Exits with the same partner, or with a route to the same destination, that one search considers.
pub const TOPS: u32 = 64;

/// Halves looked up in one event after a start: two reads each.
pub const LOOKED_UP: u32 = 500;

/// Wait before the next of them, so that others get their turn.
pub const LOOK_UP_PAUSE: i64 = 20;

/// Routes to one destination that are looked at: as many as exits that were ever asked for it.
pub const ROUTES_LOOKED: u32 = 256;

/// Tallies that wait for one route at most; beyond them the one that asked first is forgotten, and asks again.
pub const REQUESTERS: usize = 64;

/// Records of routes that queries of one tally make in [`ASKED_EVERY`]. Some 500 bytes each for 30 days at most:
/// whoever invents destinations could fill the disk. An honest partner asks for what its users want.
pub const ASKED: u32 = 500;

/// See [`ASKED`].
pub const ASKED_EVERY: i64 = 60 * MINUTE;

/// An unused route is let go after so long: 30 days (R14).
pub const UNUSED: i64 = 30 * DAY;

/// How often routes are looked through for such.
pub const SWEEP_EVERY: i64 = DAY;

/// The first time after a start: when it has taken up its work.
pub const SWEEP_FIRST: i64 = 5 * MINUTE;

/// Wait before the next page of a sweep, so that others get their turn.
pub const SWEEP_PAUSE: i64 = 1_000;

/// Routes over a tally that has closed, ended in one event: some ten effects each, where a host lets an event have
/// 10,000.
pub const CLOSED: u32 = 100;

/// How often some boundary tallies are looked at for segments that routes are wanted for (PROTOCOL 8.5).
pub const SCAN_EVERY: i64 = 10 * MINUTE;

/// How many each time: each costs a search for exits, and at most ten queries where routes are not fresh.
pub const SCANNED: u32 = 8;

/// Rows read at once when walking a table.
pub const PAGE: u32 = 500;

/// Pages that one list looks through: 10,000 routes, some 50 ms.
pub const PAGES: usize = 20;

/// Routes that one list shows at most.
pub const LISTED: usize = 1_000;
