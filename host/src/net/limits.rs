//! The network's bounds, each with its reason. Those that a site may want otherwise are in its
//! configuration ([`crate::site::config`]), with these as defaults.

/// Connections in all: an open one holds up to two packets of 64 KiB, so 128 MiB at the worst.
pub const CONNECTIONS: usize = 1_024;

/// Connections from one address: a site behind one address needs two or three.
pub const CONNECTIONS_PER_ADDRESS: usize = 32;

/// Connections whose handshake is not done: each may cost half a millisecond of processor time.
pub const HALF_OPEN: usize = 128;

/// Handshakes to other sites at a time.
pub const DIALS: usize = 64;

/// Milliseconds from `accept` to a valid opening packet, and for each later step of a handshake
/// (PROTOCOL 2.5).
pub const HANDSHAKE_MS: u64 = 10_000;

/// Milliseconds without a frame from the initiator after which the responder closes (PROTOCOL A.3).
pub const IDLE_MS: i64 = 60_000;

/// Milliseconds without a frame after which an initiator gives up on a responder that should have
/// closed long ago.
pub const DEAD_MS: i64 = 3 * IDLE_MS;

/// Milliseconds that a write may make no progress.
pub const WRITE_STALL_MS: i64 = 30_000;

/// Bytes encrypted ahead of the socket for one connection.
pub const WRITE_AHEAD: usize = 64 * 1_024;

/// Opening packets remembered, so that a recorded one is refused (PROTOCOL A.3): 4 MB.
pub const OPENINGS: usize = 65_536;

/// Requests a minute from one address on public channels (PROTOCOL 10.2).
pub const PUBLIC_PER_MINUTE: u32 = 20;

/// First and longest delay between two attempts of a request, in milliseconds (PROTOCOL 11.2).
pub const REQUEST_RETRY_MS: (i64, i64) = (5_000, 300_000);

/// Attempts of a request (PROTOCOL 11.2).
pub const REQUEST_TRIES: u32 = 100;

/// Delay between two attempts of a ticket, in milliseconds (PROTOCOL 11.2).
pub const TICKET_RETRY_MS: i64 = 10_000;

/// Attempts of a ticket (PROTOCOL 11.2).
pub const TICKET_TRIES: u32 = 3;

/// A read of more outbox rows that brought no answer within this many milliseconds (the store failed)
/// is asked for again.
pub const REFILL_RETRY_MS: i64 = 5_000;
