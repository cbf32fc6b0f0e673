//! What the whole-site tests share.

pub mod plugins;
pub mod services;
