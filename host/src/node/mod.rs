//! A site put together: home, keys, store, plugins, ledger and network.

pub mod backend;
mod checkup;
mod clock;
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

pub use clock::SystemClock;
pub use open::{Node, NodeError, NodeOptions};
