//! Every bound of the handler, with its reason.

use tallyho_plugin::record::limits::MAX_INTEGER;

/// Unit of the delay between checkpoints (PROTOCOL 11.2): 5 s, in milliseconds.
pub const CHECK_STEP: i64 = 5_000;

/// Longest delay between checkpoints (PROTOCOL 11.2): 5 min, in milliseconds.
pub const CHECK_MOST: i64 = 300_000;

/// How far from zero our own users may bring a balance, either way, in milli-CHIPs: the largest number
/// that every reader of JSON keeps exact (PROTOCOL 3.3).
pub const BALANCE: i64 = MAX_INTEGER;

/// Invoices of a partner that wait for our user on one tally at most. A person looks at a few; more is a
/// flood, and each takes a row of up to 60 KB.
pub const INVOICES: u64 = 1_000;

/// Canonical bytes of one side's settings at most. They are read with every lift, and kept once more with
/// each chit of settings, so that displaced ones can be taken back at once.
pub const SETTINGS_BYTES: usize = 16_000;

/// Rows of superseded settings deleted in one event; what is left over is passed over when it is met.
pub const SETS_DELETED: u32 = 1_000;

/// Chits raised again in one event after a start: each has about five effects, and a host lets an event
/// have 10,000.
pub const RAISED_AT_ONCE: u32 = 100;

/// Chits that one list shows at most.
pub const LISTED: u32 = 1_000;

/// Bytes of one list at most: memos and references may be long, and the answer goes through one line.
pub const LISTED_BYTES: usize = 4 << 20;

/// Keys of tallies kept at hand for checking signatures beforehand, some 800 bytes each.
pub const KEYS: usize = 10_000;
