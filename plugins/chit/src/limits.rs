//! Every bound of the handler, with its reason.

/// Unit of the delay between checkpoints (PROTOCOL 11.2): 5 s, in milliseconds.
pub const CHECK_STEP: i64 = 5_000;

/// Longest delay between checkpoints (PROTOCOL 11.2): 5 min, in milliseconds.
pub const CHECK_MOST: i64 = 300_000;
