#![allow(clippy::unwrap_used, clippy::panic)]

mod aside;
mod events;
mod failures;
mod held;
mod local;
mod outgoing;
mod peers;
mod probation;
mod rest;
mod shadow;
mod states;
mod strangers;
mod tickets;
mod timers;
