//! The ledger's bounds, each with its reason.

use std::time::Duration;

/// Inputs waiting. A peer's connection stops reading when it is full, so memory stays bounded by
/// this many messages of at most 64 KiB (64 MiB) whatever peers do.
pub const QUEUE: usize = 1_024;

/// Inputs run in one store transaction. Large enough to share one fsync among many (an fsync costs
/// some fifty events), small enough that the first of them does not wait long for its commit.
pub const BATCH: usize = 256;

/// Signatures of an event that the host remembers having made: a chit has one, a lift's step two or three.
pub const SIGNATURES_KNOWN: usize = 16;

/// Batches that were run and wait to be dropped by whoever hands in the next inputs: as many as such a thread may be
/// behind, and little enough to stay there where nothing more comes.
pub const SPENT: usize = 2;

/// While a queue that was full is drained, those who wait for room are told when so many places are free: each time
/// costs the ledger's processor some ten microseconds, and them a change of threads.
pub const ROOM: usize = QUEUE / 2;

/// How long a peer's receipt waits for something else to share its commit with. Nobody waits for it, and what it
/// takes out of the outbox is not sent again before its time (PROTOCOL 11.2: 5 s); a commit of its own would be in the
/// way of the next event.
pub const RECEIPT_WAIT: Duration = Duration::from_millis(20);

/// Outbox rows kept for one peer. A peer that is away for weeks costs at most this many rows of disk;
/// beyond it `send` fails, so a handler's event fails rather than disk filling up.
pub const OUTBOX_ROWS_PER_PEER: u64 = 10_000;

/// Outbox rows kept for strangers, all of them together: a few for each lift under way, which none of them
/// outlives. So many unreachable ones cost 2 MB of disk, 128 MiB where every message has the largest size.
pub const OUTBOX_ROWS_FOR_STRANGERS: u64 = 2_048;

/// Answers that one event may give on the channel that brought its message: the protocol has none that needs
/// two.
pub const ANSWERS: usize = 16;

/// Rows of one peer's outbox held in memory at a time; the rest is read as these are received. So many can
/// be on their way without a receipt: several batches, so that the peer has something to do while a batch of
/// ours is run. Some 700 bytes each.
pub const OUTBOX_WINDOW: usize = 4 * BATCH;

/// The same in bytes, so that peers who are sent large messages and do not take them cost no more memory than
/// others: room for [`OUTBOX_WINDOW`] of 4 KB, or for 64 of the largest.
pub const OUTBOX_WINDOW_BYTES: usize = 4 << 20;

/// Outbox rows read from the store at a time, until a window is full: 4 MiB of the largest.
pub const OUTBOX_PAGE: u32 = 64;

/// Events remembered by the journal, oldest overwritten. Some 5 MB on a busy site, half a gigabyte
/// where every message has the largest size.
pub const JOURNAL_SLOTS: u64 = 8_192;

/// Notices remembered, oldest overwritten: what `watch` can still show to somebody who comes late.
pub const NOTICE_SLOTS: u64 = 1_024;

/// Ids of messages received but not applied that are remembered for one peer (PROTOCOL A.4): as many
/// as a peer like us keeps ([`OUTBOX_ROWS_PER_PEER`]), so that none of its messages can be lost. A peer
/// that sends more without waiting for receipts has them neither applied nor acknowledged.
pub const HELD_MIDS: usize = 10_000;

/// A handler calls another, which calls another: this deep and no deeper.
pub const INVOKE_DEPTH: usize = 4;

/// Longest key of a row, in bytes.
pub const KEY_BYTES: usize = 512;

/// Largest value of a row, in bytes: above the largest record of the protocol (64 KiB) with room for
/// a plugin's own gatherings.
pub const VALUE_BYTES: usize = 1 << 20;

/// Rows that one `scan` may return.
pub const SCAN_ROWS: u32 = 10_000;

/// Times in a row that a batch is run again because another process of the site came first; then it
/// waits as for a store that refuses.
pub const CONFLICTS: u32 = 16;

/// Effects (writes, messages, notices) that one event may have.
pub const EFFECTS: usize = 10_000;

/// Bytes of one line that a plugin logs: a screenful.
pub const LOG_BYTES: usize = 2_048;

/// Lines that plugins may log during one event; a loop must not fill the disk.
pub const LOG_LINES: usize = 100;

/// Timers run in one batch.
pub const TIMERS_PER_BATCH: u32 = 64;

/// A timer whose handler failed comes due again after this many milliseconds.
pub const TIMER_RETRY_MS: i64 = 60_000;

/// Times that a timer's handler may fail it; then it is set aside. Five minutes are enough for what passes by
/// itself, and a bug does not.
pub const TIMER_TRIES: u32 = 5;

/// Events of one plugin set aside: 64 MiB of the largest. Those beyond stay with whoever has them: with the peers
/// that give receipts, in the outbox, among the timers.
pub const QUARANTINE_ROWS: u64 = 1_024;

/// How long a handler may take for one event, unless the configuration says otherwise. All others wait
/// meanwhile. The slowest honest event, a chain of thousands of chits whose signatures were not checked
/// beforehand, takes about a second.
pub const HANDLER_DEADLINE: Duration = Duration::from_secs(5);

/// Events that a build swapped in handles before it is trusted. Until then the generation before it stays
/// at hand to be tried on an event that fails.
pub const PROBATION_EVENTS: u64 = 1_000;

/// The fault of a build on probation that has it rolled back. The first: the generation before handles the
/// very same event over the very same tables, which is proof enough. (A fault that both have is the event's.)
pub const FAULT_BUDGET: u64 = 1;

/// Rows that one part of a migration may write while the site runs: all others wait meanwhile, for a tenth of a
/// second at most. Each costs a read and two writes, some 15 µs.
pub const MIGRATION_EFFECTS: usize = 4_000;

/// Rows taken back, or forgotten, in one transaction: as [`MIGRATION_EFFECTS`].
pub const UNDO_ROWS: u32 = 4_000;

/// Events that a shadow run may be told to see: a busy site's of several minutes. Each is run twice meanwhile.
pub const SHADOW_EVENTS: u64 = 1_000_000;

/// Bytes of one event's effects that the journal takes, while it records them; an honest event writes some
/// kilobytes. A replay ends before one that has more.
pub const RECORDED_BYTES: usize = 4 << 20;

/// Differences between two builds that are kept and shown: more of them tell a person no more, and a build
/// that differs in everything must not fill memory. Some 10 kB each at most.
pub const DIFFERENCES_KEPT: usize = 32;

/// Bytes of a row or an answer that are shown of a difference: above every record but the largest.
pub const READABLE_BYTES: usize = 4_096;

/// How often within the deadline the watch looks, so that a handler is found late by so much of it.
pub const WATCH_TICKS: u32 = 20;

/// Handlers that loop for ever in this process: their threads cannot be ended, and each takes what processor
/// time the others leave. With so many of them no plugin is swapped or started before a restart.
pub const STUCK_THREADS: usize = 4;

/// Messages kept for a plugin that is held, from peers that do not keep them themselves: 64 MiB of the
/// largest. Those beyond are dropped, and their senders repeat them on their own schedules.
pub const EVENTS_HELD: u64 = 1_024;

/// Events of all kinds kept for a plugin that is held. Reports on its own messages are never sent again,
/// and there is one at most for each of its messages that waits for a peer.
pub const REPORTS_HELD: u64 = 100_000;

/// The first and the longest wait, in milliseconds, before a batch that the store refused is run
/// again.
pub const STORE_RETRY_MS: (u64, u64) = (100, 5_000);

/// Counters that one plugin may name.
pub const METRICS: usize = 64;

/// Bytes of a message kept for what the network adds to it: the sender's host and port (a DNS name of
/// at most 253 bytes), `try`, `last`, `ext`, `mid`.
pub const ENVELOPE_ROOM: usize = 512;
