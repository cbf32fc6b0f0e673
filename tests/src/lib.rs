//! What the whole-site tests share.

pub mod batches;
pub mod chits;
pub mod counter;
pub mod deal;
pub mod flows;
pub mod payers;
pub mod peer;
pub mod pipe;
pub mod plugins;
pub mod services;
pub mod sim;
pub mod site;
pub mod watch;
