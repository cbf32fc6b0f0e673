//! Whole sites in one thread, on a network and disks that fail as told, the same for the same seed.
//!
//! Each site is a real ledger core with real handlers, a real outbox schedule and a store in memory or
//! in a file; what is pretended is the thread, the clock and the sockets between them. A [`World`]
//! always knows which steps could come next (a commit, its release, one frame written, one frame
//! arrived, a channel found lost, a call coming further), so whoever drives it decides on every
//! order of things and on a crash between any two of them.
//!
//! Nothing here knows what the handlers do: see [`tallies`], [`chits`] and [`lifts`] for people who use them.

pub mod chits;
pub mod dice;
pub mod disk;
pub mod lifts;
pub mod link;
mod network;
pub mod receive;
pub mod site;
pub mod storm;
mod story;
pub mod tallies;
pub mod world;

pub use dice::Dice;
pub use disk::Disk;
pub use site::{Plan, SimSite};
pub use story::words;
pub use world::{Step, World};
