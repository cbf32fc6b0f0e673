//! What partners say (PROTOCOL 4.3, 4.6).

use crate::half::Half;
use crate::rules::{self, Input, Outcome};
use crate::state::State;
use crate::table::Happening;
use crate::{present, store};
use serde_json::Value;
use tallyho_plugin::event::Presented;
use tallyho_plugin::record::cert::Certificate;
use tallyho_plugin::record::tally::TallyRecord;
use tallyho_plugin::record::{Chad, is_uuid};
use tallyho_plugin::services::{Check, LogLevel};
use tallyho_plugin::{Context, Event, Fault, Message};

/// The signature checks that a message will ask for.
pub fn prepare(event: &Event) -> Vec<Check> {
    match event {
        Event::Message(message) if matches!(message.action.as_str(), "offer" | "open") => {
            let object = message.object::<Value>().ok();
            object
                .and_then(|object| TallyRecord::parse(object).ok())
                .map(|received| received.checks())
                .unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

/// Takes a message. One that does not fit the state has no effect and is no error (PROTOCOL 0).
///
/// # Errors
/// The host's faults; a refusal of a ticket that leads nowhere (PROTOCOL 2.5).
pub fn message(message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
    match message.action.as_str() {
        "ticket" => match &message.ticket {
            Some(ticket) => ticket_presented(ticket, context),
            None => Err(Fault::refused("tally/ticket without a ticket")),
        },
        "offer" => about_tally(message, Happening::PeerOffer, context),
        "draft" => about_tally(message, Happening::PeerDraft, context),
        "void" => about_tally(message, Happening::PeerVoid, context),
        "open" => about_tally(message, Happening::PeerOpen, context),
        _ => Ok(()),
    }
}

fn about_tally(message: &Message, on: Happening, context: &mut Context<'_>) -> Result<(), Fault> {
    let object: Value = message.object()?;
    let (Some(uuid), Some(holder)) = (object["uuid"].as_str(), message.to.cuid.as_deref()) else { return Ok(()) };
    if !is_uuid(uuid) {
        return Ok(());
    }
    let uuid = uuid.to_owned();
    let half = store::half(context, holder, &uuid)?;
    // PROTOCOL 3.1 item 5, O-13: our partner on this tally and nobody else.
    if half.as_ref().is_some_and(|half| half.partner().is_none_or(|partner| !partner.same_party(&message.from))) {
        return Ok(());
    }
    let from_nothing = half.is_none();
    let outcome = match on {
        Happening::PeerOffer | Happening::PeerOpen => match TallyRecord::parse(object) {
            Ok(received) => rules::step(context, holder, half, on, Input::Record(&received, &message.from))?,
            Err(error) => Outcome { why: vec![error.to_string()], ..Outcome::default() },
        },
        _ => rules::step(context, holder, half, on, Input::Nothing)?,
    };
    if outcome.rule.is_none() && !outcome.why.is_empty() {
        let why = outcome.why.join("; ");
        let text = format!("tally/{} about {holder}/{uuid} ignored: {why}", message.action);
        context.log(LogLevel::Warn, &text);
        context.metric("ignored", 1);
    }
    match outcome.half {
        Some(half) if outcome.rule.is_some() && from_nothing => present::answered(context, &half),
        _ => Ok(()),
    }
}

/// PROTOCOL 2.4 steps 2, 4 and 5; the host has done the others and marks the token used if this succeeds.
fn ticket_presented(ticket: &Presented, context: &mut Context<'_>) -> Result<(), Fault> {
    let cert = Certificate::check(&ticket.cert, None).map_err(|error| Fault::refused(error.to_string()))?;
    let party = cert.chad();
    let led: Option<store::Led> = context.get(store::TOKENS, &ticket.token)?;
    let led = led.ok_or_else(|| Fault::refused("the token leads to no tally here"))?;
    let half = store::half(context, &led.holder, &led.uuid)?;
    let half = half.ok_or_else(|| Fault::refused("the token's tally is gone"))?;
    if party.cuid.as_deref() == Some(&half.holder) && party.agent == context.site()?.agent {
        return Err(Fault::refused("the certificate is the holder's own"));
    }
    let half = match served(context, ticket, party)? {
        // This subject has its clone: what is on offer may be sent again, nothing else happens.
        Some(clone) if clone.state() != State::HOffer => return Ok(()),
        Some(clone) => clone,
        None => half,
    };
    let (holder, state) = (half.holder.clone(), half.state());
    let outcome = rules::step(context, &holder, Some(half), Happening::PeerTicket, Input::Ticket(ticket))?;
    if outcome.rule.is_none() && !ticket.repeat {
        return Err(Fault::refused(format!("the token's tally is in state {}, not a draft", state.code())));
    }
    Ok(())
}

/// The clone that a decal has made for this party, unless that one has come to its end.
fn served(context: &mut Context<'_>, ticket: &Presented, party: &Chad) -> Result<Option<Half>, Fault> {
    if !ticket.reuse {
        return Ok(None);
    }
    let key = store::key(&[&ticket.token, &party.agent.0, party.cuid.as_deref().unwrap_or_default()]);
    let Some(uuid) = context.get::<String>(store::CLONES, key)? else { return Ok(None) };
    let clone = store::half(context, &ticket.user, &uuid)?;
    Ok(clone.filter(|clone| !matches!(clone.state(), State::Void | State::Close)))
}
