//! Bounds on plugins, each with its reason.

use std::time::Duration;

/// Largest library file, in bytes. Handlers with line tables have some 25 MB, of which 3 are loaded; that part is read
/// into memory once, on a machine that may have 1 GB, and what follows of the copy stays on disk.
pub const MAX_LIBRARY_BYTES: u64 = 128 << 20;

/// Bytes reserved to read a library into; only those it has are ever touched. So large a piece is given back to the
/// system as soon as it is free, while the allocator keeps smaller ones, one of this size for each of its arenas
/// (glibc: pieces above 32 MiB).
pub const READING_ROOM: usize = 33 << 20;

/// Distinct builds mapped in one process. Mappings are never undone and cost about 0.5 MB each; a
/// developer who swaps every minute reaches this in four hours.
pub const MAX_BUILDS: usize = 256;

/// How long a probe may take. It takes about 2 ms; a machine under load is given much longer.
pub const PROBE_DEADLINE: Duration = Duration::from_secs(10);

/// Output kept of a probe, in bytes: enough for a manifest's worth of reasons. More is not read.
pub const MAX_PROBE_OUTPUT: u64 = 64 << 10;

/// Largest manifest, in bytes of CBOR. The tally handler's has a few kB.
pub const MAX_MANIFEST_BYTES: usize = 256 << 10;

/// Largest answer of a handler, in bytes of CBOR: answers are kept in memory and go through the
/// control socket as one JSON text.
pub const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Most signature checks that one event may name beforehand; a chain segment has far fewer.
pub const MAX_CHECKS: usize = 10_000;

/// Longest name of a plugin or of one of its tables, in bytes: `plugin.table` must fit a table name of the store.
pub const MAX_NAME: usize = 32;

/// Longest name of a target, action or command, in bytes.
pub const MAX_WORD: usize = 64;

/// Longest line for people, in bytes.
pub const MAX_LINE: usize = 500;

/// Most entries in any one list of a manifest: it is shown to people and searched for each message.
pub const MAX_ENTRIES: usize = 128;

/// Largest frame between the host and the process of a plugin, in bytes: above [`MAX_ANSWER_BYTES`], which an answer to
/// `invoke` may have, and above what a scan of honest rows returns. A length beyond it is refused before anything is
/// read, and memory is taken as the bytes come, not as a length announces them.
pub const MAX_FRAME: usize = 32 << 20;

/// Bytes of a frame's buffer that are kept between two calls: room for the largest message of the protocol (64 KiB).
pub const FRAME_ROOM: usize = 72 << 10;

/// Bytes of effects that a plugin's process keeps back before it hands them over unasked: few enough that neither side
/// notices them, and enough for all of an honest event.
pub const EFFECTS_KEPT_BACK: usize = 256 << 10;

/// Most random bytes drawn by one call of a plugin in a process of its own; keys and uuids take up to 64.
pub const MAX_RANDOM: usize = 64 << 10;

/// How long the host and the process of a plugin wait for each other without sleeping, leaving the processor to whoever
/// wants it: to wake a process takes up to 90 µs where the machine is a virtual one, a call ten.
pub const CALL_AWAKE: Duration = Duration::from_micros(100);

/// How long a plugin's process may take to begin. It takes some 20 ms; a machine under load is given much longer.
pub const START_DEADLINE: Duration = Duration::from_secs(20);

/// How long the system may take to say how a process has ended that is known to have: it has only to be scheduled.
pub const END_KNOWN: Duration = Duration::from_secs(2);

/// Address space of a plugin's process in MB, unless the configuration says otherwise. The program itself, its threads
/// and a handler take some 30; half of a machine with 1 GB must be left for the site.
pub const PROCESS_MB: u64 = 512;

/// A process that has lived so long has recovered from whatever ended the one before it.
pub const RECOVERED: Duration = Duration::from_secs(60);

/// Pauses before a process is started again, in milliseconds: before the second restart in a row, doubled with each
/// further one, and the longest. The first comes at once. To start costs some 20 ms of processor, and a plugin that
/// ends on every event must not take them from the others.
pub const RESTART_PAUSE_MS: (u64, u64) = (250, 30_000);

/// Lines of a process's standard error that are logged in one minute: a loop must not fill the disk.
pub const STDERR_LINES: usize = 100;

/// Longest line of it that is logged, in bytes: a screenful.
pub const STDERR_LINE_BYTES: usize = 2_048;
