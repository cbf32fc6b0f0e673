//! Every bound of the handler, with its reason.

/// A day in milliseconds.
pub const DAY: i64 = 24 * 60 * 60 * 1000;

/// How long a ticket lives where its issuer does not say: 48 hours (PROTOCOL 2.1), in milliseconds.
pub const TICKET_LIFE: i64 = 2 * DAY;

/// How long a presented ticket lets its issuer's agent in and make us an offer: 30 days (PROTOCOL 1.5,
/// O-27), in milliseconds.
pub const INVITATION_LIFE: i64 = 30 * DAY;

/// How long a void tally's partner may still talk about it: 30 days (PROTOCOL 1.5), in milliseconds.
pub const VOID_LIFE: i64 = 30 * DAY;

/// Unit of the delay between repeats (PROTOCOL 11.2): 5 s, in milliseconds.
pub const REPEAT_STEP: i64 = 5_000;

/// Longest delay between repeats (PROTOCOL 11.2): 5 min, in milliseconds.
pub const REPEAT_MOST: i64 = 300_000;

/// Copies of `open` after which the acceptance stalls (PROTOCOL 11.2).
pub const REPEAT_TRIES: u32 = 100;

/// Clones one decal makes at most. Whoever holds its text can present it under any number of names, so
/// without a bound it would fill the store; a shop that has served this many makes a new one.
pub const CLONES: u32 = 10_000;

/// Offers of one party that wait for our user at most. A partner needs one or two; more is a flood.
pub const OFFERS_OF_PARTNER: usize = 64;

/// Certificates remembered as disclosed with one ticket: one each time it is presented anew. More than a few
/// attempts of one user with one ticket mean that it does not work.
pub const DISCLOSED: usize = 8;

/// Tickets of one party remembered as presented by one user, to tell which of them an offer answers.
pub const TICKETS_OF_PARTY: usize = 64;

/// Tickets one draft leads to at most. One is usual; a few replace lost ones.
pub const TICKETS_OF_DRAFT: usize = 32;

/// Tallies raised again in one event after a start: each has about ten effects, and a host lets an event
/// have 10,000.
pub const RAISED_AT_ONCE: u32 = 100;

/// Rows read at once when walking a table: enough to be quick, few enough to stay small in memory.
pub const PAGE: u32 = 500;

/// Rows one list shows at most; more than a person reads, and a bound on the answer's size.
pub const LISTED: usize = 10_000;

/// Bytes of a tally's canonical core at most: a message holds 65 439 in an opening packet (PROTOCOL 3.2),
/// less room for two signatures and the hash (450) and for the envelope with two addresses (1 900).
pub const RECORD_BYTES: usize = 63_000;

/// Bytes of a memo at most, so that a note does not crowd out certificates and terms.
pub const MEMO_BYTES: usize = 4_000;

/// Bytes of `agree` or of one side's terms at most, for the same reason.
pub const PART_BYTES: usize = 8_000;
