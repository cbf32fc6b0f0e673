//! Lifts (PROTOCOL 9): value moved over a chain of tallies, all of it or none, by a referee's ruling.
//!
//! [`table`] is the law: PROTOCOL 9.7 row by row, over the states of [`state`]; [`rules`] applies it to one
//! [`record`], and [`invariants`] looks at every change before it becomes durable. [`originate`], [`orders`], [`promise`],
//! [`messages`], [`deliveries`] and [`clock`] turn events into what can happen; [`asking`] is the procedure for
//! overdue lifts. [`chits`], [`paths`] and [`referees`] call the other handlers, [`plan`] has the originator's plan
//! sealed and opened, [`say`] sends. [`store`] keeps lifts, [`sweep`] lets them go, [`view`] and [`notices`] tell
//! people.
#![forbid(unsafe_code)]

pub mod asking;
pub mod chits;
pub mod clock;
pub mod commands;
pub mod deliveries;
pub mod invariants;
pub mod limits;
mod manifest;
pub mod messages;
pub mod notices;
pub mod orders;
pub mod originate;
pub mod paths;
pub mod plan;
mod prepare;
pub mod promise;
pub mod record;
pub mod referees;
pub mod rules;
pub mod say;
pub mod state;
pub mod store;
pub mod sweep;
pub mod table;
pub mod told;
pub mod view;

use tallyho_plugin::prelude::*;
use tallyho_plugin::services::Check;

/// The handler. It keeps nothing in memory.
pub struct Lifts;

impl Handler for Lifts {
    fn manifest() -> Manifest {
        manifest::manifest()
    }

    fn create() -> Result<Self, Fault> {
        Ok(Lifts)
    }

    fn prepare(&self, event: &Event) -> Vec<Check> {
        prepare::checks(event)
    }

    fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        messages::message(message, context)
    }

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        match command.name.as_str() {
            "pay" => commands::pay(command, context),
            "draft" => orders::draft(command, context),
            "accept" => orders::accept(command, context),
            "clear" => commands::clear(command, context),
            "list" => view::list(command, context),
            "show" => view::show(command, context),
            "state" => view::state(command, context),
            "route.told" => told::route(command, context),
            "ruled" => told::ruled(command, context),
            other => Err(Fault::usage(format!("lift has no command {other}"))),
        }
    }

    fn timer(&self, timer: &Timer, context: &mut Context<'_>) -> Result<(), Fault> {
        if timer.key == sweep::TIMER { sweep::sweep(context) } else { clock::fired(context, timer) }
    }

    fn delivery(&self, delivery: &Delivery, context: &mut Context<'_>) -> Result<(), Fault> {
        deliveries::delivery(delivery, context)
    }

    fn life(&self, life: &Life, context: &mut Context<'_>) -> Result<(), Fault> {
        match life {
            Life::Started => sweep::start(context),
            _ => Ok(()),
        }
    }
}

tallyho_plugin::export_plugin!(Lifts);
