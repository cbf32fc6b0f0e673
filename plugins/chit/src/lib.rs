//! The chit handler: pledges, invoices, settings, and the chain that both halves agree on
//! (PROTOCOL 5, 6, 7.2).
//!
//! An event opens one half as a [`desk::Desk`]. [`rules`] says what becomes of a single chit, by the
//! [`table`]; [`chain`] where it stands in the list that both sides share.
#![forbid(unsafe_code)]

pub mod acts;
pub mod admit;
pub mod audit;
pub mod book;
pub mod capacity;
pub mod chain;
pub mod checkup;
pub mod closing;
pub mod deliveries;
pub mod desk;
pub mod entry;
pub mod errands;
pub mod errors;
pub mod half;
pub mod invoices;
pub mod keys;
pub mod lifts;
pub mod limits;
mod manifest;
pub mod messages;
pub mod notices;
pub mod party;
pub mod resolve;
pub mod rules;
pub mod settings;
pub mod state;
pub mod store;
pub mod sums;
pub mod table;
pub mod variables;
pub mod view;

use tallyho_plugin::prelude::*;
use tallyho_plugin::services::Check;
use tallyho_plugin::{Event, Life};

/// The handler; all it knows is in its tables, but for keys kept at hand.
#[derive(Debug, Default)]
pub struct Chit {
    keys: keys::Keys,
}

impl Handler for Chit {
    fn manifest() -> Manifest {
        manifest::manifest()
    }

    fn create() -> Result<Self, Fault> {
        Ok(Chit::default())
    }

    fn prepare(&self, event: &Event) -> Vec<Check> {
        self.keys.checks(event)
    }

    fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        messages::message(message, &self.keys, context)
    }

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        match command.name.as_str() {
            "pay" => acts::pay(command, context),
            "ask" => acts::ask(command, context),
            "accept" => acts::accept(command, context),
            "refuse" => acts::refuse(command, context),
            "set" => acts::set(command, context),
            "resend" => acts::resend(command, context),
            "mend" => acts::mend(command, context),
            "check" => audit::check(command, context),
            "check.all" => checkup::check_all(command, context),
            "draft" => acts::draft(command, context),
            "close" => acts::close(command, context),
            "invoice.new" => invoices::new(command, context),
            "invoice.show" => invoices::show(command, context),
            "invoice.pay" => invoices::pay(command, context),
            "list" => view::list(command, context),
            "show" => view::show(command, context),
            "text" => view::text(command, context),
            "state" => view::state(command, context),
            "capacity" => capacity::capacity(command, context),
            "lift.reserve" => lifts::reserve(command, context),
            "lift.complete" => lifts::complete(command, context),
            "lift.void" => lifts::void(command, context),
            other => Err(Fault::usage(format!("chit has no command {other}"))),
        }
    }

    fn timer(&self, timer: &Timer, context: &mut Context<'_>) -> Result<(), Fault> {
        match timer.key.strip_prefix(deliveries::AGAIN) {
            Some(last) => deliveries::raise_after(context, last),
            None => chain::timer(timer, context).map(drop),
        }
    }

    fn delivery(&self, delivery: &Delivery, context: &mut Context<'_>) -> Result<(), Fault> {
        deliveries::delivery(delivery, context)
    }

    fn life(&self, life: &Life, context: &mut Context<'_>) -> Result<(), Fault> {
        match life {
            Life::Started => {
                deliveries::started(context)?;
                chain::started(context)
            }
            _ => Ok(()),
        }
    }
}

tallyho_plugin::export_plugin!(Chit);
