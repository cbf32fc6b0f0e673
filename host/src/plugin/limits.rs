//! Bounds on plugins, each with its reason.

use std::time::Duration;

/// Largest library file, in bytes. Handlers with debug information have about 10 MB; the file is read
/// into memory once, on a machine that may have 1 GB.
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
