//! Bounds of the site in memory: those of a host, so that a plugin meets them in its own tests.

/// Plugins on the stack at most; deeper calls are a design gone wrong.
pub(crate) const CALL_DEPTH: usize = 8;
/// Rows one scan returns at most, as [`Range::limit`](crate::services::Range::limit) promises.
pub(crate) const SCAN_ROWS: u32 = 10_000;
/// Bytes of a key at most, as `Services::put` promises.
pub(crate) const KEY_BYTES: usize = 512;
/// Bytes of a value at most, as `Services::put` promises.
pub(crate) const VALUE_BYTES: usize = 1 << 20;
/// Events that one call of `Net::calm` or `Site::settle` handles at most: more is a loop.
pub(crate) const SETTLE_EVENTS: usize = 100_000;
/// Attempts after which a request stalls (PROTOCOL 11.2).
pub(crate) const REQUEST_TRIES: u32 = 100;
/// Attempts after which a ticket stalls (PROTOCOL 11.2).
pub(crate) const TICKET_TRIES: u32 = 3;
/// Effects that one event may have, as a host allows.
pub(crate) const EFFECTS: usize = 10_000;
