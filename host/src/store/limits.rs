//! The store's bounds, each with its reason.

use std::time::Duration;

/// Longest table name: a plugin's name (32 bytes), a dot and the plugin's own table name (32).
pub const TABLE_NAME_BYTES: usize = 65;

/// How long SQLite waits for another connection's lock. One host works on a store at a time, so a
/// wait means that `doctor` or a backup is opening or closing it, which takes milliseconds.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Page size of a new store. Rows up to a quarter of it stay in the leaf: chits and messages of
/// 600 to 1,000 bytes do, and each changed page costs its whole size in the log.
pub const PAGE_BYTES: u32 = 4096;

/// A file that is not empty has at least one page, and SQLite's smallest page has 512 bytes.
pub const FILE_BYTES_LEAST: u64 = 512;

/// SQLite's page cache. Holds what a search for paths reads in a site of 10,000 users and 50,000 tallies, which takes
/// a fifth longer with half of it, and leaves a machine of 1 GB room; the operating system caches the rest.
pub const CACHE_KIB: i64 = 64 * 1024;

/// The log is written back into the file when it has this many pages (16 MiB): often enough
/// that a restart reads it in well under a second, seldom enough that pages changed by many batches
/// are written back once.
pub const WAL_CHECKPOINT_PAGES: u32 = 4096;

/// Zeros written behind the log's end at a time, until it is first written back: a megabyte is written in a quarter
/// of a millisecond, and lasts for some thirty small batches.
pub const WAL_AHEAD_BYTES: usize = 1 << 20;

/// What SQLite writes before each page in the log.
pub const WAL_FRAME_HEADER_BYTES: u32 = 24;

/// A log grown beyond this by one huge batch, or by a long backup, is cut back to it once it has
/// been written back.
pub const WAL_KEPT_BYTES: i64 = 64 * 1024 * 1024;

/// Prepared statements kept between transactions: up to seven for each table, a few kilobytes each,
/// for the 30 to 40 tables of a site with all standard plugins.
pub const STATEMENTS_CACHED: usize = 256;

/// Rows a scan makes room for before it knows how many there are; a caller's limit may be in the
/// thousands where the range holds three.
pub const SCAN_ROWS_RESERVED: usize = 64;

/// Faults an integrity check lists before it stops: one is reason enough to restore a backup.
pub const PROBLEMS_LISTED: usize = 20;
