//! What the whole-site tests share.

pub mod batches;
pub mod flows;
pub mod peer;
pub mod plugins;
pub mod services;
pub mod site;
