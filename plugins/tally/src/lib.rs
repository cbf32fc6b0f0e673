//! The tally handler: tickets, and tallies from draft to close (PROTOCOL 2 and 4). What is paid on them
//! is a chit handler's: this one reads its balances ([`chits`]) and hears of its chain ([`closing`]).
//!
//! [`table`] is the law: PROTOCOL 4.5 row by row. [`rules`] applies it to one [`half::Half`] at a time;
//! everything else turns events into happenings ([`messages`], [`acts`], [`deliveries`]) or halves into
//! answers ([`view`]).
#![forbid(unsafe_code)]

pub mod acts;
pub mod chain;
pub mod chits;
pub mod closing;
pub mod deliveries;
pub mod drafts;
pub mod errands;
pub mod errors;
pub mod guard;
pub mod half;
pub mod limits;
mod manifest;
pub mod messages;
pub mod present;
pub mod resolve;
pub mod rules;
pub mod state;
pub mod store;
pub mod table;
pub mod tickets;
pub mod view;

use table::Happening;
use tallyho_plugin::prelude::*;
use tallyho_plugin::{Event, services::Check};

/// The handler; all it knows is in its tables.
#[derive(Debug)]
pub struct Tally;

impl Handler for Tally {
    fn manifest() -> Manifest {
        manifest::manifest()
    }

    fn create() -> Result<Self, Fault> {
        Ok(Tally)
    }

    fn prepare(&self, event: &Event) -> Vec<Check> {
        messages::prepare(event)
    }

    fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        messages::message(message, context)
    }

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        match command.name.as_str() {
            "ticket.new" => tickets::issue(command, context),
            "ticket.list" => tickets::list(command, context),
            "ticket.revoke" => tickets::revoke(command, context),
            "ticket.use" => present::present(command, context),
            "ticket.status" => present::status(command, context),
            "list" => view::list(command, context),
            "shared" => view::shared(command, context),
            "show" => view::show(command, context),
            "text" => view::text(command, context),
            "state" => view::state(command, context),
            "get" => view::get(command, context),
            "edit" => acts::edit(command, context),
            "delete" => acts::delete(command, context),
            "offer" => acts::signed(Happening::UserOffer, command, context),
            "accept" => acts::signed(Happening::UserAccept, command, context),
            "revise" => acts::plain(Happening::UserRevise, command, context),
            "refuse" => acts::plain(Happening::UserRefuse, command, context),
            "withdraw" => acts::plain(Happening::UserWithdraw, command, context),
            "resend" => acts::plain(Happening::UserResend, command, context),
            "close" => closing::close(command, context),
            "confirm" => chain::confirm(command, context),
            "chain" => closing::told(command, context),
            "settings" => acts::settings(command, context),
            other => Err(Fault::usage(format!("tally has no command {other}"))),
        }
    }

    fn timer(&self, timer: &Timer, context: &mut Context<'_>) -> Result<(), Fault> {
        deliveries::timer(timer, context)
    }

    fn delivery(&self, delivery: &Delivery, context: &mut Context<'_>) -> Result<(), Fault> {
        deliveries::delivery(delivery, context)
    }

    fn life(&self, life: &Life, context: &mut Context<'_>) -> Result<(), Fault> {
        match life {
            Life::Started => deliveries::started(context),
            _ => Ok(()),
        }
    }
}

tallyho_plugin::export_plugin!(Tally);
