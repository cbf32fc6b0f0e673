//! A site put together: home, keys, store, plugins, ledger and network.

mod aside;
pub mod backend;
mod checkup;
mod clock;
mod founding;
pub mod host;
mod kept;
mod loading;
mod migrating;
mod notices;
mod open;
mod operator;
mod plugin_views;
mod plugins;
mod replay;
mod shadows;
mod sweeping;
mod views;
mod watching;

pub use clock::SystemClock;
pub use open::{Node, NodeError, NodeOptions};
