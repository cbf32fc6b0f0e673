//! One event, one transaction.
//!
//! Everything that happens (a peer's message, a command, a timer, the fate of a message sent, a turn
//! in a plugin's life) is an [`Input`]. [`Core`] runs as many as are waiting inside one store
//! transaction: each input's effects are gathered in a [`buffer`] of its own and join the transaction
//! only when its handler has succeeded. Nothing leaves ([`Released`]) before the commit is durable.
//!
//! `Core` has no thread, no clock and no sockets, so that a simulation can drive it; [`thread`] gives
//! it all three.

pub mod at_work;
pub mod buffer;
pub mod core;
pub mod difference;
pub mod host;
pub mod inbound;
pub mod input;
pub mod journal;
pub mod lend;
pub mod limits;
pub mod line;
pub mod made;
pub mod outbox;
pub mod oversee;
pub mod quarantine;
pub mod queue;
pub mod readable;
pub mod recording;
#[cfg(test)]
mod relate_tests;
pub mod remembered;
pub mod replay;
#[cfg(test)]
mod robot;
pub mod router;
mod runner;
pub mod seeds;
pub mod services;
pub mod shadow;
pub mod signed;
pub mod sweep;
pub mod table;
pub mod thread;
pub mod timers;
pub mod times;
pub mod undo;
pub mod verify;
pub mod waiting;
pub mod watch;

pub use self::core::{Core, Parts};
pub use input::{Inbound, Input, Outcome, Post, Released};
pub use table::PluginTable;
pub use thread::{Ledger, Outside};
