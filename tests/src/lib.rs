//! What the whole-site tests share.

pub mod batches;
pub mod chits;
pub mod counter;
pub mod deal;
pub mod flows;
pub mod full_disk;
pub mod lifts;
pub mod payers;
pub mod peer;
pub mod pipe;
pub mod plugins;
pub mod rings;
pub mod services;
pub mod sim;
pub mod site;
pub mod stranger;
pub mod watch;
