//! Every bound of the chain, with its reason.

/// Links above `conf` that are sent one by one and not acknowledged. Enough to keep two sites busy over a
/// slow line; what comes beyond goes in one `upd` with the next `ack`, which is cheaper, and a partner
/// who is away fills no outbox.
pub const ANNOUNCED: u64 = 128;

/// Parts of a split `upd` sent at once: half a megabyte, which the outbox and the partner's queue take
/// with ease. The `ack` of the last one calls for the next.
pub const PARTS: usize = 8;

/// Lists remembered that were sent, lowest forgotten: twice [`PARTS`]. What a list that is forgotten and still waits
/// says once too often is answered by one `ack`.
pub const LISTS: usize = 2 * PARTS;

/// Bytes of the entries of one part at most, as JSON. A message has 65,519 (PROTOCOL 3.2), of which two
/// addresses and the envelope take up to 2,000; one chit has 60,000 at most.
pub const PART_BYTES: usize = 60_000;

/// Entries of one received list at most. The smallest signed chit takes some 300 bytes of the 65,519 that
/// a message has, so no honest list has more than 220.
pub const ENTRIES: usize = 400;

/// Waiting chits that may stand above `conf` before the partner has acknowledged them, and that one event
/// links: each takes up to eight effects, and with 400 entries to merge an event stays below 10,000.
pub const RELINKED: u64 = 600;

/// Links that a `nak` makes us look at again. A break further down is found by the whole check of
/// `chit check`.
pub const REVALIDATED: u64 = 1_000;

/// Uuids remembered that were answered with `nak`, oldest forgotten. One or two are an accident; a
/// partner who sends many draws at most one `nak` for each message all the same.
pub const REFUSED: usize = 32;

/// Bytes of a hash in a message at most; base64v has 43.
pub const HASH_BYTES: usize = 64;

/// How long links that were sent count as on their way, in milliseconds (PROTOCOL 6.4, G3).
pub const ON_THE_WAY: i64 = 3_000;

/// Links read at once while an `upd` is written: two parts' worth.
pub const PAGE: u32 = 400;

/// Halves raised in one event after a start: each may send [`PARTS`] messages and write some rows, and an
/// event has at most 10,000 effects.
pub const RAISED_AT_ONCE: u32 = 100;

/// Wait between two lots of settled halves compared after a start, in milliseconds: 100 a second give
/// nobody a flood of calls.
pub const RAISED_EVERY: i64 = 1_000;
