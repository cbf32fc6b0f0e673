//! The site's bounds, each with its reason. Those of the network, which an operator may change, are
//! in [`config::Limits`](crate::site::config::Limits).

/// Strikes from one address that make a ban (PROTOCOL 2.5, O-11).
pub const STRIKES: usize = 5;
/// Milliseconds within which those strikes must fall (O-11).
pub const STRIKE_WINDOW: i64 = 60_000;
/// Milliseconds a ban lasts (O-11).
pub const BAN: i64 = 600_000;
/// Most addresses remembered with strikes or bans: under 2 MB, and one sender of IPv6 owns 2^64
/// addresses but few networks of 64 bits.
pub const STRUCK_ADDRESSES: usize = 16_384;

/// Random bytes of a token: 144 bits, over the 128 that PROTOCOL 2.1 asks for, and a multiple of
/// three, so that base64url (24 characters) wastes none.
pub const TOKEN_BYTES: usize = 18;
/// Milliseconds a ticket lives where nothing is said: 48 h (PROTOCOL 2.1, O-6).
pub const TICKET_LIFE: i64 = 48 * 3_600_000;
/// Milliseconds a dead token is still listed, so that its issuer can see what became of it: 7 days.
pub const TICKET_HISTORY: i64 = 7 * 24 * 3_600_000;
/// Longest name a handler gives to what a ticket or a relation is about, in bytes: a uuid is 36; a
/// store key holds it beside a cuid (64), an agent (43) and a plugin's name (32).
pub const SUBJECT_BYTES: usize = 256;
/// Rows that one sweep looks at, so that it never holds up the event it shares a transaction with
/// (5 µs a row: about 1 ms).
pub const SWEEP_ROWS: u32 = 200;
/// Rows read at a time when a whole table is listed.
pub const PAGE_ROWS: u32 = 1_000;
/// Most relations a site holds: about 1.4 kB each in memory, so a third of a machine with 1 GB.
pub const RELATIONS: usize = 250_000;

/// Largest configuration file read, in bytes: a real one has a few thousand.
pub const CONFIG_BYTES: u64 = 1 << 20;
/// Largest key file read, in bytes: a P-521 JWK has about 300.
pub const KEY_FILE_BYTES: u64 = 16 * 1024;
/// Most bytes of keys written or read at once: room for some 90,000 users with P-521 keys.
pub const KEY_SET_BYTES: u64 = 32 << 20;
/// Largest key export read, in bytes: so many keys, in base64url.
pub const EXPORT_BYTES: u64 = 2 * KEY_SET_BYTES;
/// Longest line with a backup's key, in bytes: some 400 are used.
pub const BACKUP_KEY_LINE_BYTES: u64 = 4_096;
/// Largest label of a backup, in bytes: some 150 are used.
pub const BACKUP_LABEL_BYTES: u64 = 4_096;
/// Rounds of PBKDF2-HMAC-SHA-512 when exporting keys: three times what OWASP advised in 2023
/// (210,000); about 0.4 s of one processor, once per export and once per import.
pub const EXPORT_ROUNDS: u32 = 600_000;
/// Most rounds accepted on import: a file asking for more would hold the program for minutes.
pub const EXPORT_ROUNDS_MAX: u32 = 10_000_000;
/// Fewest rounds accepted on import (RFC 7518 4.8.1.2).
pub const EXPORT_ROUNDS_MIN: u32 = 1_000;
/// Shortest passphrase accepted when exporting, in bytes: shorter ones are guessed in days.
pub const PASSPHRASE_MIN: usize = 8;
/// Longest passphrase read, in bytes: a stream that never ends is not read forever.
pub const PASSPHRASE_MAX: usize = 1_024;

/// Longest name of a person in bytes: it is repeated in every tally.
pub const NAME_BYTES: usize = 256;
/// How often a starting host tries to lock its home while others only look whether it is locked...
pub const LOCK_PATIENCE: u32 = 200;
/// ...and how long it waits between: looking takes microseconds, so a second in all is ample.
pub const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(5);
/// Longest path of a Unix socket in bytes on every platform we know (BSD: 104 with the end mark).
pub const SOCKET_PATH_BYTES: usize = 103;

/// How far a file may have been changed ahead of the clock: file servers' clocks differ by seconds,
/// rulings bear 2 s (PROTOCOL O-51).
pub const CLOCK_SLACK: std::time::Duration = std::time::Duration::from_secs(5);
