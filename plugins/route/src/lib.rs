//! The route handler: paths over the tallies of this site's users, and routes beyond it
//! (PROTOCOL 7.2 to 7.5 and 8).
#![forbid(unsafe_code)]

pub mod limits;
mod manifest;
pub mod store;

use tallyho_plugin::prelude::*;

/// The handler; all it knows is in its tables.
#[derive(Debug)]
pub struct Route;

impl Handler for Route {
    fn manifest() -> Manifest {
        manifest::manifest()
    }

    fn create() -> Result<Self, Fault> {
        Ok(Route)
    }

    fn message(&self, _: &Message, _: &mut Context<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn command(&self, command: &Command, _: &mut Context<'_>) -> Result<Value, Fault> {
        Err(Fault::usage(format!("route has no command {} yet", command.name)))
    }
}

tallyho_plugin::export_plugin!(Route);
