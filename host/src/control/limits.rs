//! Bounds of the control socket, each with its reason.

use std::time::Duration;

/// Clients served at once. Each has a thread; a person and a handful of scripts need a few.
pub const CLIENTS: usize = 32;

/// Bytes of one request line. The largest argument is a tally's terms; a message to a peer is bounded
/// far below this.
pub const REQUEST_BYTES: usize = 1 << 20;

/// Bytes of one answer line that a client takes: a list of 100,000 tallies fits.
pub const ANSWER_BYTES: usize = 64 << 20;

/// Requests of one client that may be under way at once: two batches of the ledger, so that it finds a full one
/// when it has committed another. A client that sends more is not read until earlier ones are answered.
pub const UNDER_WAY: usize = 2 * crate::ledger::limits::BATCH;

/// Bytes of a handler's answer that whoever brings it may hand on: reading and writing them takes some 20 µs, less than
/// waking a thread.
pub const ANSWER_AT_ONCE: usize = 4 << 10;

/// Notices waiting for one slow watcher; beyond that it loses the oldest. A notice is some 300 bytes, so
/// all clients together hold about 10 MB.
pub const NOTICES_QUEUED: usize = 1024;

/// Old notices that a watcher may ask for, so that they fit the queue.
pub const NOTICES_RECENT: usize = NOTICES_QUEUED;

/// How long a client waits for the greeting. A site that lives greets in a millisecond; a machine
/// under load may need a second.
pub const GREETING_PATIENCE: Duration = Duration::from_secs(5);

/// How long a client waits for an answer. A command's work is bounded by the handler's own deadline;
/// this is for a queue before it.
pub const CALL_PATIENCE: Duration = Duration::from_secs(120);

/// How long the server tries to hand one line to a client that does not read, a stopped watcher for
/// instance, before it lets go of it.
pub const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// How long a stopping server waits for commands under way.
pub const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// How often a watch without notices looks whether its client is still there. It bounds how long
/// closing takes, and costs a wake-up each time.
pub const WATCH_TICK: Duration = Duration::from_millis(250);

/// Pause after the system could not accept a client (no descriptors left), instead of spinning.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bytes of a socket's path that every system takes (`sun_path` holds 104 to 108 with its end mark).
/// Longer ones are reached through the folder's descriptor.
pub const PATH_BYTES: usize = 100;
