//! Bounds of the kit, each with its reason.

use std::time::Duration;

/// How long a case may take, its four calls together, before it counts as endless. The same as a host gives a
/// handler for one event, unless it is told otherwise.
pub const CASE_DEADLINE: Duration = crate::ledger::limits::HANDLER_DEADLINE;

/// Child processes that may be lost to a library: each costs its deadline, and whoever has mended the cases they
/// were lost to tries again.
pub const LOST_CHILDREN: usize = 4;

/// Longest line taken from a child, in bytes: a library may print what it likes between them.
pub const LINE_BYTES: u64 = 1 << 20;

/// Bytes kept of what a child says on standard error: enough for its last words.
pub const ERROR_BYTES: u64 = 64 << 10;
