//! Tickets of others that our users present (PROTOCOL 2.3, 2.5, O-27).
//!
//! Several users of a site may present the same decal, so everything here is about a token and a user.

use crate::half::Half;
use crate::limits;
use crate::rules::without_nulls;
use crate::store::{self, INVITED, Invitation, PRESENTED, Presentation};
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::context::Scan;
use tallyho_plugin::record::ticket::TicketText;
use tallyho_plugin::services::{Keep, Outgoing, Relation, Schedule};
use tallyho_plugin::{Command, Context, Fate, Fault};

/// What names of messages, timers and relations about presented tickets begin with; `TOKEN/USER` follows.
pub const KEY: &str = "ticket:";

#[derive(Deserialize)]
struct Use {
    ticket: Value,
    user: String,
}

#[derive(Deserialize)]
struct Which {
    /// A token, or `USER/TOKEN`.
    #[serde(alias = "presented")]
    token: String,
    #[serde(default)]
    user: Option<String>,
}

/// `ticket.use {ticket, user}`: presents a ticket for one of our users.
///
/// # Errors
/// What is wrong with the ticket or the user.
pub fn present(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Use { ticket, user } = command.arguments()?;
    let TicketText { token, chad: to, expires } = crate::tickets::read(&ticket)?;
    let now = context.now();
    if expires.is_some_and(|expires| expires <= now) {
        return Err(Fault::refused("the ticket has expired").code("expired").fix("ask its issuer for a new one"));
    }
    let account = context.user(&user)?;
    if to.agent == context.site()?.agent && to.cuid.as_deref() == Some(&user) {
        return Err(Fault::refused(format!("the ticket is {user}'s own")).fix("hand it to somebody else"));
    }
    let until = now.plus(limits::INVITATION_LIFE);
    let known: Option<Presentation> = context.get(PRESENTED, row_key(&token, &user))?;
    let mut disclosed = known.map(|known| known.disclosed).unwrap_or_default();
    latest(&mut disclosed, account.cert["date"].as_str().unwrap_or_default(), limits::DISCLOSED);
    let state = "pending".to_owned();
    let (name, to_cuid) = (name(&token, &user), to.cuid.clone().unwrap_or_default());
    let row =
        Presentation { token: token.clone(), user: user.clone(), to: to.clone(), state, why: None, until, disclosed };
    let invited: Option<Invitation> = context.get(INVITED, invited_key(&row))?;
    let mut tokens = invited.map(|invited| invited.tokens).unwrap_or_default();
    latest(&mut tokens, &token, limits::TICKETS_OF_PARTY);
    let invitation = Invitation { public: account.cert["public"].clone(), tokens, until };
    context.put(PRESENTED, row_key(&token, &user), &row)?;
    context.put(INVITED, invited_key(&row), &invitation)?;
    context.set_timer(&name, until)?;
    // PROTOCOL 1.5: the issuer's agent may come back to us.
    context.relate(&Relation {
        user: user.clone(),
        subject: name.clone(),
        partner: to_cuid,
        agent: to.agent.clone(),
        host: to.host.clone(),
        port: to.port,
        until: Some(until),
    })?;
    context.send(&Outgoing {
        to,
        from: user,
        target: "tally".to_owned(),
        action: "ticket".to_owned(),
        object: Vec::new(),
        tally: None,
        ticket: Some(json!({ "token": token, "cert": account.cert })),
        key: name,
        schedule: Schedule::Ticket,
        keep: Keep::HandedOver,
        report: true,
        restricted: false,
    })?;
    Ok(view(&row))
}

/// `ticket.status {token, user?}`, the token alone or as `USER/TOKEN`.
///
/// # Errors
/// `NotFound` where no user of ours has presented it, or not this one; `Usage` where several have.
pub fn status(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Which { token, user } = command.arguments()?;
    let (user, token) = match token.split_once('/') {
        Some((user, token)) => (Some(user.to_owned()), token),
        None => (user, token.as_str()),
    };
    let of_token = Scan::beginning(store::key(&[token, ""]), limits::LISTED as u32);
    let rows: Vec<(Vec<u8>, Presentation)> = context.scan(PRESENTED, &of_token)?;
    let wanted = |row: &&Presentation| user.as_ref().is_none_or(|user| row.user == *user);
    match rows.iter().map(|(_, row)| row).filter(wanted).collect::<Vec<_>>().as_slice() {
        [] => {
            let who = user.as_deref().unwrap_or("no user of this site");
            let has = if user.is_some() { "has not" } else { "has" };
            Err(Fault::not_found(format!("{who} {has} presented a ticket with token {token}"))
                .fix("present it with `ticket use`"))
        }
        [row] => Ok(view(row)),
        several => {
            let users: Vec<&str> = several.iter().map(|row| row.user.as_str()).collect();
            let text = format!("several users of this site have presented ticket {token}: {}", users.join(", "));
            Err(Fault::usage(text).code("whose").fix("say which with --user CUID"))
        }
    }
}

/// Tickets presented, for `ticket list`.
///
/// # Errors
/// The host's faults.
pub fn list(context: &mut Context<'_>, user: Option<&str>) -> Result<Vec<Value>, Fault> {
    let rows: Vec<(Vec<u8>, Presentation)> = context.scan(PRESENTED, &Scan::beginning(b"", limits::LISTED as u32))?;
    Ok(rows.iter().map(|(_, row)| row).filter(|row| user.is_none_or(|user| row.user == user)).map(view).collect())
}

/// What became of a presentation; `name` is what follows [`KEY`] in the message's name.
///
/// # Errors
/// The host's faults.
pub fn delivery(name: &str, fate: &Fate, context: &mut Context<'_>) -> Result<(), Fault> {
    let Some(row) = named(context, name)? else { return Ok(()) };
    match fate {
        Fate::Accepted => settle(context, row, "accepted", None),
        // Nothing tells one reason from another (PROTOCOL 2.5).
        Fate::Refused => {
            let why = "the issuer closed the connection: unknown, expired, used, or for somebody else".to_owned();
            settle(context, row, "refused", Some(why))
        }
        // Three times and no more, a restart included (PROTOCOL 2.5): the user has been told.
        Fate::Stalled { why, .. } => {
            context.withdraw(&row.to.agent, &format!("{KEY}{name}"))?;
            settle(context, row, "unreachable", Some(why.clone()))
        }
        // On a channel that was open already nothing answers; an offer will tell.
        _ => Ok(()),
    }
}

/// A first offer (or a lost tally) has come from a party to which tickets were presented. It carries the
/// certificate as it was disclosed with one of them, whose `date` tells which: that one was accepted,
/// whatever became of its answer. It says nothing of the others, and nothing where the date fits several.
///
/// # Errors
/// The host's faults.
pub fn answered(context: &mut Context<'_>, half: &Half) -> Result<(), Fault> {
    let (Some(from), Some(date)) = (half.partner(), half.own_cert()["date"].as_str()) else { return Ok(()) };
    let mut fitting = Vec::new();
    for invitation in store::invitations(context, &half.holder, &from)? {
        for token in &invitation.tokens {
            let row: Option<Presentation> = context.get(PRESENTED, row_key(token, &half.holder))?;
            fitting.extend(row.filter(|row| row.disclosed.iter().any(|disclosed| disclosed == date)));
        }
    }
    match fitting.pop() {
        Some(row) if fitting.is_empty() && row.state != "accepted" => settle(context, row, "accepted", None),
        _ => Ok(()),
    }
}

/// The invitation is over (O-27); `name` is what follows [`KEY`] in the timer's name.
///
/// # Errors
/// The host's faults.
pub fn forget(name: &str, context: &mut Context<'_>) -> Result<(), Fault> {
    let Some(row) = named(context, name)? else { return Ok(()) };
    context.delete(PRESENTED, row_key(&row.token, &row.user))?;
    context.unrelate(&row.user, &format!("{KEY}{name}"), &row.to.agent)?;
    // A later ticket of the same party has its own end.
    let key = invited_key(&row);
    let invitation: Option<Invitation> = context.get(INVITED, &key)?;
    match invitation {
        Some(invitation) if invitation.until <= context.now() => context.delete(INVITED, key),
        _ => Ok(()),
    }
}

fn settle(context: &mut Context<'_>, mut row: Presentation, state: &str, why: Option<String>) -> Result<(), Fault> {
    (row.state, row.why) = (state.to_owned(), why);
    context.put(PRESENTED, row_key(&row.token, &row.user), &row)?;
    let notice = json!({
        "about": "ticket", "token": row.token, "user": row.user, "state": row.state, "agent": row.to.agent,
        "why": row.why,
    });
    context.notice(&row.user, &without_nulls(notice))
}

fn view(row: &Presentation) -> Value {
    without_nulls(json!({
        "kind": "presented", "token": row.token, "user": row.user, "state": row.state,
        "presented": format!("{}/{}", row.user, row.token),
        "accepted": row.state == "accepted", "agent": row.to.agent, "issuer": row.to.to_string(), "why": row.why,
    }))
}

/// The presentation of a message, timer or relation. Neither token nor user's name holds a slash.
fn named(context: &mut Context<'_>, name: &str) -> Result<Option<Presentation>, Fault> {
    match name.split_once('/') {
        Some((token, user)) => context.get(PRESENTED, row_key(token, user)),
        None => Ok(None),
    }
}

/// What message, timer and relation are called.
fn name(token: &str, user: &str) -> String {
    format!("{KEY}{token}/{user}")
}

fn row_key(token: &str, user: &str) -> Vec<u8> {
    store::key(&[token, user])
}

/// Puts a text last, once, and keeps the last so many.
fn latest(texts: &mut Vec<String>, text: &str, most: usize) {
    texts.retain(|known| known != text);
    texts.push(text.to_owned());
    texts.drain(..texts.len().saturating_sub(most));
}

fn invited_key(row: &Presentation) -> Vec<u8> {
    store::key(&[&row.user, &row.to.agent.0, row.to.cuid.as_deref().unwrap_or_default()])
}
