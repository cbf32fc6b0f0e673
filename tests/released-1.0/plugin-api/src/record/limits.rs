//! Every bound of the records, with its reason.

/// Largest integer of a canonical string: 2^53 - 1, the last that every IEEE double reader keeps
/// exact (PROTOCOL 3.3 item 4).
pub const MAX_INTEGER: i64 = (1 << 53) - 1;

/// Longest user name in bytes (PROTOCOL 1.1).
pub const MAX_CUID: usize = 64;

/// Longest host name in bytes: the longest DNS name.
pub const MAX_HOST: usize = 253;

/// Port assumed where an address names a host alone (PROTOCOL 1.1).
pub const DEFAULT_PORT: u16 = 65430;

/// Deepest nesting of a record; the record itself is level 1 (PROTOCOL 3.1 check 1).
pub const MAX_DEPTH: usize = 32;

/// Largest canonical certificate in bytes, so that two of them fit a tally (PROTOCOL 3.2).
pub const MAX_CERTIFICATE: usize = 24_000;

/// Largest canonical chit record in bytes, so that one fits any message (PROTOCOL 3.2).
pub const MAX_CHIT: usize = 60_000;

/// Largest canonical core of a chit written here: the rest of the record (hash 52 bytes, signature
/// 186, chain of two indices and a hash 110) must fit [`MAX_CHIT`] too.
pub const MAX_CHIT_CORE: usize = MAX_CHIT - 512;

/// Shortest token: 22 characters of base64url hold 128 bits (PROTOCOL 2.1).
pub const MIN_TOKEN: usize = 22;

/// Longest token (PROTOCOL 2.1).
pub const MAX_TOKEN: usize = 128;

/// Longest text that a person may hand in as an address, ticket or invoice, in bytes: a message's
/// size, so that whatever fits here also fits what is sent about it (PROTOCOL 3.2).
pub const MAX_TEXT: usize = 65_519;

/// Longest life of a lift in seconds (PROTOCOL 9.1).
pub const MAX_LIFT_LIFE: i64 = 3600;
