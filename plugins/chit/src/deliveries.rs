//! What became of invoices and refusals sent, and starting again (PROTOCOL 11).

use crate::desk::Desk;
use crate::errands::{self, Errand, Verb};
use crate::limits;
use crate::rules::{self, Input};
use crate::store::{REQUESTS, key};
use crate::table::Happening;
use tallyho_plugin::context::Scan;
use tallyho_plugin::services::LogLevel;
use tallyho_plugin::{Context, Delivery, Fate, Fault};

/// What the name of the timer begins with that goes on raising what was under way; behind it stands the
/// last chit raised, `TALLY/HOLDER/CHIT`.
pub const AGAIN: &str = "again:";

/// Takes a report about a message.
///
/// # Errors
/// The host's faults.
pub fn delivery(delivery: &Delivery, context: &mut Context<'_>) -> Result<(), Fault> {
    let Some(errand) = Errand::parse(&delivery.key) else { return Ok(()) };
    let Some(mut desk) = Desk::open(context, &errand.holder, &errand.tally)? else { return Ok(()) };
    let stored = desk.entry(&errand.chit)?;
    // An older copy's report must not move what was asked for since.
    if stored.as_ref().is_none_or(|entry| entry.request != Some(errand.verb.request())) {
        return Ok(());
    }
    match &delivery.fate {
        Fate::HandedOver => rules::step(&mut desk, &errand.chit, stored, Happening::HandedOver, Input::Nothing)?,
        Fate::Stalled { why, .. } => {
            rules::step(&mut desk, &errand.chit, stored, Happening::TransportFailed, Input::Why(why))?
        }
        _ => return Ok(()),
    };
    desk.close()
}

/// Raises again every invoice and refusal that was under way (PROTOCOL 11.2), some at a time: a timer sees
/// to the rest.
///
/// # Errors
/// The host's faults.
pub fn started(context: &mut Context<'_>) -> Result<(), Fault> {
    raise_after(context, "")
}

/// Raises what is under way behind this chit, `TALLY/HOLDER/CHIT`.
///
/// # Errors
/// The host's faults.
pub fn raise_after(context: &mut Context<'_>, last: &str) -> Result<(), Fault> {
    let parts: Vec<&str> = last.split('/').collect();
    let from = if last.is_empty() { Vec::new() } else { [key(&parts), b"\0".to_vec()].concat() };
    let page = Scan { from, limit: limits::RAISED_AT_ONCE, ..Scan::default() };
    let rows: Vec<(Vec<u8>, ())> = context.scan(REQUESTS, &page)?;
    let names: Vec<String> = rows.iter().map(|(key, ())| String::from_utf8_lossy(key).replace('\0', "/")).collect();
    for name in &names {
        // One that cannot be raised (its partner's outbox is full) must not keep the others back.
        if let Err(fault) = raise_again(context, name) {
            context.log(LogLevel::Error, &format!("chit {name} is not sent again: {fault}"));
        }
    }
    match names.last() {
        Some(name) if names.len() >= limits::RAISED_AT_ONCE as usize => {
            context.set_timer(&format!("{AGAIN}{name}"), context.now())
        }
        _ => Ok(()),
    }
}

fn raise_again(context: &mut Context<'_>, name: &str) -> Result<(), Fault> {
    let mut parts = name.split('/');
    let (Some(tally), Some(holder), Some(chit)) = (parts.next(), parts.next(), parts.next()) else { return Ok(()) };
    let Some(mut desk) = Desk::open(context, holder, tally)? else { return Ok(()) };
    let Some(entry) = desk.entry(chit)? else { return Ok(()) };
    let verb = [Verb::Pend, Verb::Void].into_iter().find(|verb| entry.request == Some(verb.request()));
    if let Some(verb) = verb {
        let record = entry.record()?;
        if entry.stalled.is_some() {
            desk.put_entry(chit, &crate::entry::Entry { stalled: None, ..entry })?;
        }
        errands::send(&mut desk, verb, &record)?;
    }
    desk.close()
}
