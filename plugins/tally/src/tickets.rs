//! Tickets that our users issue (PROTOCOL 2.1, 2.2).

use crate::drafts::{self, Change};
use crate::half::{Half, Token};
use crate::rules::{self, Input, without_nulls};
use crate::state::Status;
use crate::store::{self, Led, TOKENS};
use crate::table::Happening;
use crate::{limits, present, resolve};
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::record::ticket::TicketText;
use tallyho_plugin::record::{Chad, Timestamp};
use tallyho_plugin::services::{TicketOrder, host_command};
use tallyho_plugin::{Command, Context, Fault};

#[derive(Deserialize)]
struct New {
    #[serde(default)]
    user: Option<String>,
    /// Milliseconds.
    #[serde(default)]
    expires: Option<i64>,
    #[serde(default)]
    reuse: bool,
    #[serde(default)]
    limit: Option<Value>,
    /// A further ticket for this draft.
    #[serde(default)]
    tally: Option<String>,
    #[serde(flatten)]
    change: Change,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    user: Option<String>,
}

#[derive(Deserialize)]
struct Which {
    token: String,
}

/// `ticket.new`: drafts a tally, or takes one, and issues a ticket that leads to it.
///
/// # Errors
/// What is wrong with the arguments or the draft.
pub fn issue(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let New { user, expires, reuse, limit, tally, change } = command.arguments()?;
    let half = match (&tally, user) {
        (Some(uuid), user) => ready(context, uuid, user.as_deref(), reuse, &change)?,
        (None, Some(user)) => drafts::begin(context, &user, change)?,
        (None, None) => {
            return Err(Fault::usage("ticket new: --user is missing").fix("name the user who issues it: --user alice"));
        }
    };
    let limit = limit.map(|limit| party(&limit)).transpose()?;
    let expires = match expires {
        Some(life) if life <= 0 => {
            return Err(
                Fault::usage(format!("ticket new: --expires {life} ms is no time to come")).fix("for example 48h")
            );
        }
        Some(life) => Some(context.now().plus(life)),
        None if reuse => None,
        None => Some(context.now().plus(limits::TICKET_LIFE)),
    };
    let (user, subject) = (half.holder.clone(), half.uuid.clone());
    let issued = context.issue_ticket(&TicketOrder { user, subject, reuse, expires, limit })?;
    let mut led = half.clone();
    led.tokens.push(Token { token: issued.token.clone(), live: true });
    led.template |= reuse;
    store::save(context, Some(&half), Some(&led))?;
    context.put(TOKENS, &issued.token, &Led { holder: half.holder.clone(), uuid: half.uuid.clone() })?;
    Ok(without_nulls(json!({
        "token": issued.token, "link": issued.link, "uri": issued.uri, "invite": issued.invite, "tally": half.uuid,
        "uuid": half.uuid, "half": half.name(), "state": half.state().code(),
        "expires": issued.expires.map(Timestamp::text),
    })))
}

/// `ticket.list {user?}`: tickets issued, then tickets presented.
///
/// # Errors
/// The host's faults.
pub fn list(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let List { user } = command.arguments()?;
    let now = context.now();
    let issued: Vec<Value> = context.invoke("host", host_command::TICKET_LIST, &json!({}))?;
    let mut listed = Vec::new();
    for mut ticket in issued {
        if user.as_ref().is_some_and(|user| ticket["user"] != *user) {
            continue;
        }
        let led: Option<Led> = context.get(TOKENS, ticket["token"].as_str().unwrap_or_default())?;
        ticket["kind"] = "issued".into();
        ticket["tally"] = led.map(|led| led.uuid).into();
        ticket["state"] = state(&ticket, now).into();
        for instant in ["issued", "expires", "used"] {
            ticket[instant] = ticket[instant].as_i64().map(|instant| Timestamp(instant).text()).into();
        }
        listed.push(without_nulls(ticket));
    }
    listed.extend(present::list(context, user.as_deref())?);
    Ok(Value::Array(listed))
}

/// `ticket.revoke {token}`.
///
/// # Errors
/// `NotFound` where no such ticket was issued here.
pub fn revoke(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Which { token } = command.arguments()?;
    let led: Option<Led> = context.get(TOKENS, &token)?;
    let led = led.ok_or_else(|| {
        Fault::not_found(format!("no ticket with token {token} was issued here")).fix("see `ticket list`")
    })?;
    context.revoke_ticket(&token)?;
    if let Some(half) = store::half(context, &led.holder, &led.uuid)? {
        let mut after = half.clone();
        for own in after.tokens.iter_mut().filter(|own| own.token == token) {
            own.live = false;
        }
        store::save(context, Some(&half), Some(&after))?;
    }
    Ok(json!({ "token": token, "state": "revoked", "tally": led.uuid }))
}

/// Reads a ticket in any form of PROTOCOL 2.2.
///
/// # Errors
/// What the text is instead, or which part of it is wrong.
pub fn read(ticket: &Value) -> Result<TicketText, Fault> {
    let text = match ticket {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    TicketText::read(&text).map_err(|error| Fault::usage(format!("ticket use: {error}")))
}

/// The draft that a further ticket is to lead to.
fn ready(
    context: &mut Context<'_>,
    uuid: &str,
    user: Option<&str>,
    reuse: bool,
    change: &Change,
) -> Result<Half, Fault> {
    let half = resolve::half(context, uuid, user)?;
    if half.status != Status::Draft || half.request.is_some() || half.offered {
        return Err(Fault::refused(format!(
            "tally {uuid} is in state {}, and a ticket leads to a fresh draft",
            half.state().code()
        ))
        .code("state")
        .fix("make a new one with `ticket new --user`"));
    }
    if half.tokens.len() >= limits::TICKETS_OF_DRAFT {
        return Err(Fault::refused(format!("{} tickets lead to tally {uuid} already", half.tokens.len())));
    }
    // A template is cloned for each subject, a draft gets one partner; one tally cannot be both.
    if half.template != reuse && !half.tokens.is_empty() {
        return Err(Fault::refused(format!(
            "the tickets of tally {uuid} are {}",
            if reuse { "for one use" } else { "decals" }
        ))
        .fix("make a new draft with `ticket new --user`"));
    }
    if *change == Change::default() {
        return Ok(half);
    }
    let changed = drafts::changed(context, &half, change.clone())?;
    let holder = half.holder.clone();
    let outcome = rules::step(context, &holder, Some(half), Happening::UserEdit, Input::Content(&changed))?;
    Ok(outcome.half.unwrap_or(changed))
}

fn party(limit: &Value) -> Result<Chad, Fault> {
    let chad = match limit {
        Value::String(text) => text.parse(),
        other => Chad::from_external(other),
    };
    let chad = chad.map_err(|error| Fault::usage(format!("ticket new: --limit: {error}")))?;
    match chad.cuid {
        Some(_) => Ok(chad.party()),
        None => Err(Fault::usage("ticket new: --limit names no user").fix("give it as CUID:AGENT")),
    }
}

fn state(ticket: &Value, now: Timestamp) -> &'static str {
    if ticket["revoked"] == true {
        "revoked"
    } else if !ticket["used"].is_null() {
        "used"
    } else if ticket["expires"].as_i64().is_some_and(|expires| expires <= now.0) {
        "expired"
    } else {
        "valid"
    }
}
