#![allow(clippy::unwrap_used, clippy::panic)]

mod events;
mod failures;
mod held;
mod local;
mod outgoing;
mod peers;
mod tickets;
mod timers;
