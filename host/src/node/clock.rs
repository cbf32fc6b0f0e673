//! The system's clock.
//!
//! In a build with debug assertions, `TALLYHO_CLOCK=FILE` has it differ by so many milliseconds as the file says
//! at the time, for tests of what a clock that is set does to a site. A release build has none of this.

use crate::ledger::thread::Clock;
use tallyho_plugin::record::Timestamp;

/// See the module.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp(since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))).plus(wrong_by())
    }
}

#[cfg(debug_assertions)]
fn wrong_by() -> i64 {
    static FILE: std::sync::LazyLock<Option<std::ffi::OsString>> =
        std::sync::LazyLock::new(|| std::env::var_os("TALLYHO_CLOCK"));
    let text = FILE.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

#[cfg(not(debug_assertions))]
fn wrong_by() -> i64 {
    0
}
