//! The chit handler: pledges, invoices, settings, and the chain that both halves agree on
//! (PROTOCOL 5, 6, 7.2).
//!
//! An event opens one half as a [`desk::Desk`]. [`rules`] says what becomes of a single chit, [`chain`]
//! where it stands in the list that both sides share.
#![forbid(unsafe_code)]

pub mod admit;
pub mod book;
pub mod chain;
pub mod closing;
pub mod desk;
pub mod entry;
pub mod half;
pub mod limits;
mod manifest;
pub mod messages;
pub mod notices;
pub mod party;
pub mod settings;
pub mod store;
pub mod sums;
pub mod variables;

use tallyho_plugin::prelude::*;

/// The handler; all it knows is in its tables.
#[derive(Debug)]
pub struct Chit;

impl Handler for Chit {
    fn manifest() -> Manifest {
        manifest::manifest()
    }

    fn create() -> Result<Self, Fault> {
        Ok(Chit)
    }

    fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        messages::message(message, context)
    }
}

tallyho_plugin::export_plugin!(Chit);
