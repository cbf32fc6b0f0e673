//! The route handler: paths over the tallies of this site's users, and routes beyond it
//! (PROTOCOL 7.2 to 7.5 and 8).
#![forbid(unsafe_code)]

pub mod answers;
pub mod discover;
pub mod edges;
pub mod errands;
pub mod exits;
pub mod front;
pub mod ground;
pub mod lading;
pub mod limits;
pub mod links;
mod manifest;
pub mod path;
pub mod paths;
pub mod query;
pub mod route;
pub mod rules;
pub mod search;
pub mod step;
pub mod store;
pub mod sweep;
pub mod table;
pub mod view;
pub mod wants;
pub mod ways;

use table::Happening;
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

    fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        query::message(message, context)
    }

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        match command.name.as_str() {
            "path.find" => paths::find(command, context),
            "route.want" => wants::want(command, context),
            "route.good" => wants::lifted(command, Happening::LiftGood, context),
            "route.fail" => wants::lifted(command, Happening::LiftFail, context),
            "tally.told" => links::told(command, context),
            "find" => wants::find(command, context),
            "list" => view::list(command, context),
            "state" => view::state(command, context),
            "settings" => view::settings(command, context),
            other => Err(Fault::usage(format!("route has no command {other}"))),
        }
    }

    fn timer(&self, timer: &Timer, context: &mut Context<'_>) -> Result<(), Fault> {
        match timer.key.split_once(':') {
            Some((links::AGAIN, last)) => links::look_up_after(context, last),
            Some((discover::LOOK, tally)) => discover::look(context, tally),
            Some((errands::WAIT, _)) => errands::due(timer, context),
            Some((sweep::TIMER, behind)) => sweep::sweep(context, behind),
            None if timer.key == discover::SCAN => discover::scan(context),
            _ => Ok(()),
        }
    }

    fn delivery(&self, delivery: &Delivery, context: &mut Context<'_>) -> Result<(), Fault> {
        errands::delivery(delivery, context)
    }

    fn life(&self, life: &Life, context: &mut Context<'_>) -> Result<(), Fault> {
        match life {
            Life::Started => {
                links::look_up_after(context, "")?;
                discover::started(context)?;
                sweep::start(context)
            }
            _ => Ok(()),
        }
    }
}

tallyho_plugin::export_plugin!(Route);
