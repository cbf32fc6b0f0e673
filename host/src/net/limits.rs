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

/// What a commit lets out is written by the ledger's thread where it is no more than so much in all: a message and a
/// receipt, for two peers. To seal and write one takes it some 15 µs, to wake a task for it costs 50 µs until it runs.
pub const AT_ONCE: usize = 4;

/// Bytes encrypted ahead of the socket for one connection.
pub const WRITE_AHEAD: usize = 64 * 1_024;

/// Opening packets remembered, so that a recorded one is refused (PROTOCOL A.3): 4 MB.
pub const OPENINGS: usize = 65_536;

/// Of so many connections one may be a channel that a stranger has opened (`R`): the others are left to those
/// who share a tally with this site.
pub const STRANGERS_SHARE: usize = 4;

/// The same from one address: a site needs one, and several may be behind one address.
pub const STRANGERS_PER_ADDRESS: usize = 8;

/// Answers that wait on one channel for its peer to read: more than a stranger may ask for in a minute.
pub const ANSWERS_WAITING: usize = 64;

/// Calls to strangers at a time. They have their own number, since the addresses come with lifts and may lead
/// nowhere: that must not hold up calls to partners.
pub const STRANGERS_DIALS: usize = 32;

/// Milliseconds without a frame after which a restricted channel that this site has opened is closed: long
/// enough for a commit that is repeated every 5 s (PROTOCOL 11.2), short enough to leave the place to others.
pub const ASKED_IDLE_MS: i64 = 20_000;

/// Messages that may come by a restricted channel of ours for each that went out: an answer, the ruling that
/// follows, and repeats of both.
pub const ANSWERS_PER_QUESTION: u64 = 4;

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
