//! Bounds of the command line, each with its reason.

use std::time::Duration;

/// How long `--wait` waits where `--timeout` does not say: a message and its answer take a second,
/// a first connection over a bad line some ten.
pub const WAIT_PATIENCE: &str = "30s";

/// How seldom a wait asks at last although no notice came: a state may change without one.
pub const WAIT_POLL: Duration = Duration::from_secs(1);

/// Least time between two questions of a wait, so that a busy site's notices do not turn it into load: 50
/// a second at most. So soon it asks a second time, then after twice as long each time up to [`WAIT_POLL`].
pub const WAIT_GAP: Duration = Duration::from_millis(20);

/// Bytes of a file named where JSON is expected; more would not fit a request.
pub const JSON_FILE_BYTES: u64 = 1 << 20;

/// Columns of a table cell that holds nested values; the rest is cut off, `--json` shows it.
pub const CELL_COLUMNS: usize = 60;

/// Words of a declared command; nobody types more to say one thing.
pub const WORDS: usize = 4;

/// How long a site of the demo may take to start: making keys and a store on a slow disk.
pub const DEMO_START: Duration = Duration::from_secs(30);

/// How long a site of the demo may take to stop before it is killed.
pub const DEMO_STOP: Duration = Duration::from_secs(10);

/// How long a step of the demo waits for what another site has to do.
pub const DEMO_STEP: Duration = Duration::from_secs(30);

/// Lines of each site's log that are shown when the demo fails.
pub const DEMO_LOG_LINES: usize = 10;
