//! A site put together: home, keys, store, plugins, ledger and network.

mod aside;
pub mod backend;
mod checkup;
mod founding;
pub mod host;
mod kept;
mod loading;
mod notices;
mod open;
mod operator;
mod plugin_views;
mod plugins;
mod sweeping;
mod views;

pub use open::{Node, NodeError, NodeOptions};

use crate::ledger::thread::Clock;
use tallyho_plugin::record::Timestamp;

/// The system's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp(since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
    }
}
