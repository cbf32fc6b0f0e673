//! A MyCHIPs site node: the host process of handler plugins.
//!
//! `wire` turns bytes into authenticated messages and back, without I/O; `net` is the async shell
//! round it; `ledger` runs one event at a time through a plugin inside one transaction of the
//! `store`; `plugin` loads handlers, `kit` is for their authors; `site` holds keys, tickets, relations and bans; `control` and
//! `cli` are how people reach all of it.

pub mod cli;
pub mod control;
pub mod crash;
pub mod kit;
pub mod ledger;
pub mod net;
pub mod node;
pub mod plugin;
pub mod site;
pub mod store;
pub mod wire;
