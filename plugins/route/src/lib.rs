//! The route handler: paths over the tallies of this site's users, and routes beyond it
//! (PROTOCOL 7.2 to 7.5 and 8).
#![forbid(unsafe_code)]

pub mod discover;
pub mod edges;
pub mod lading;
pub mod limits;
pub mod links;
mod manifest;
pub mod path;
pub mod paths;
pub mod route;
pub mod search;
pub mod store;

use tallyho_plugin::Life;
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

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        match command.name.as_str() {
            "path.find" => paths::find(command, context),
            "tally.told" => links::told(command, context),
            other => Err(Fault::usage(format!("route has no command {other} yet"))),
        }
    }

    fn timer(&self, timer: &Timer, context: &mut Context<'_>) -> Result<(), Fault> {
        match timer.key.split_once(':') {
            Some(("links", last)) => links::look_up_after(context, last),
            _ => Ok(()),
        }
    }

    fn life(&self, life: &Life, context: &mut Context<'_>) -> Result<(), Fault> {
        match life {
            Life::Started => links::look_up_after(context, ""),
            _ => Ok(()),
        }
    }
}

tallyho_plugin::export_plugin!(Route);
