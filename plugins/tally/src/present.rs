//! Tickets of others that our users present (PROTOCOL 2.3, 2.5, O-27).

use crate::limits;
use crate::rules::without_nulls;
use crate::store::{self, INVITED, Invitation, PRESENTED, Presentation};
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::record::Chad;
use tallyho_plugin::record::ticket::TicketText;
use tallyho_plugin::services::{Keep, Outgoing, Relation, Schedule};
use tallyho_plugin::{Command, Context, Fate, Fault};

/// What names of messages, timers and relations about presented tickets begin with.
pub const KEY: &str = "ticket:";

#[derive(Deserialize)]
struct Use {
    ticket: Value,
    user: String,
}

#[derive(Deserialize)]
struct Which {
    token: String,
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
    let known: Option<Presentation> = context.get(PRESENTED, &token)?;
    if let Some(other) =
        known.filter(|known| known.user != user && matches!(known.state.as_str(), "pending" | "accepted"))
    {
        let text = format!("{} has used this ticket already; it is {}", other.user, other.state);
        return Err(Fault::refused(text).code("used").fix("ask its issuer for another one"));
    }
    let until = now.plus(limits::INVITATION_LIFE);
    let state = "pending".to_owned();
    let row = Presentation { token: token.clone(), user: user.clone(), to: to.clone(), state, why: None, until };
    let invitation = Invitation { public: account.cert["public"].clone(), token: token.clone(), until };
    context.put(PRESENTED, &token, &row)?;
    context.put(INVITED, invited_key(&row), &invitation)?;
    context.set_timer(&format!("{KEY}{token}"), until)?;
    // PROTOCOL 1.5: the issuer's agent may come back to us.
    context.relate(&Relation {
        user: user.clone(),
        subject: format!("{KEY}{token}"),
        partner: to.cuid.clone().unwrap_or_default(),
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
        key: format!("{KEY}{token}"),
        schedule: Schedule::Ticket,
        keep: Keep::HandedOver,
        report: true,
    })?;
    Ok(view(&row))
}

/// `ticket.status {token}`.
///
/// # Errors
/// `NotFound` where no user of ours has presented it.
pub fn status(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Which { token } = command.arguments()?;
    let row: Option<Presentation> = context.get(PRESENTED, &token)?;
    row.map(|row| view(&row)).ok_or_else(|| {
        Fault::not_found(format!("no user of this site has presented a ticket with token {token}"))
            .fix("present it with `ticket use`")
    })
}

/// Tickets presented, for `ticket list`.
///
/// # Errors
/// The host's faults.
pub fn list(context: &mut Context<'_>, user: Option<&str>) -> Result<Vec<Value>, Fault> {
    let rows: Vec<(Vec<u8>, Presentation)> = context.scan(PRESENTED, &store::beginning(b"", limits::LISTED as u32))?;
    Ok(rows.iter().map(|(_, row)| row).filter(|row| user.is_none_or(|user| row.user == user)).map(view).collect())
}

/// What became of a presentation.
///
/// # Errors
/// The host's faults.
pub fn delivery(token: &str, fate: &Fate, context: &mut Context<'_>) -> Result<(), Fault> {
    let Some(row) = context.get::<Presentation>(PRESENTED, token)? else { return Ok(()) };
    match fate {
        Fate::Accepted => settle(context, row, "accepted", None),
        // Nothing tells one reason from another (PROTOCOL 2.5).
        Fate::Refused => {
            let why = "the issuer closed the connection: unknown, expired, used, or for somebody else".to_owned();
            settle(context, row, "refused", Some(why))
        }
        // Three times and no more, a restart included (PROTOCOL 2.5): the user has been told.
        Fate::Stalled { why, .. } => {
            context.withdraw(&row.to.agent, &format!("{KEY}{token}"))?;
            settle(context, row, "unreachable", Some(why.clone()))
        }
        // On a channel that was open already nothing answers; an offer will tell.
        _ => Ok(()),
    }
}

/// An offer (or a lost tally) has come from a party to which tickets were presented: they were accepted.
///
/// # Errors
/// The host's faults.
pub fn answered(context: &mut Context<'_>, user: &str, from: &Chad) -> Result<(), Fault> {
    let Some(invitation) = store::invitation(context, user, from)? else { return Ok(()) };
    let row: Option<Presentation> = context.get(PRESENTED, &invitation.token)?;
    match row.filter(|row| row.state != "accepted") {
        Some(row) => settle(context, row, "accepted", None),
        None => Ok(()),
    }
}

/// The invitation is over (O-27).
///
/// # Errors
/// The host's faults.
pub fn forget(token: &str, context: &mut Context<'_>) -> Result<(), Fault> {
    let Some(row) = context.get::<Presentation>(PRESENTED, token)? else { return Ok(()) };
    context.delete(PRESENTED, token)?;
    context.unrelate(&row.user, &format!("{KEY}{token}"), &row.to.agent)?;
    // A later ticket of the same party has its own end.
    let key = invited_key(&row);
    let invitation: Option<Invitation> = context.get(INVITED, &key)?;
    match invitation {
        Some(invitation) if invitation.token == token => context.delete(INVITED, key),
        _ => Ok(()),
    }
}

fn settle(context: &mut Context<'_>, mut row: Presentation, state: &str, why: Option<String>) -> Result<(), Fault> {
    (row.state, row.why) = (state.to_owned(), why);
    context.put(PRESENTED, &row.token, &row)?;
    let notice = json!({
        "about": "ticket", "token": row.token, "user": row.user, "state": row.state, "agent": row.to.agent,
        "why": row.why,
    });
    context.notice(&row.user, &without_nulls(notice))
}

fn view(row: &Presentation) -> Value {
    without_nulls(json!({
        "kind": "presented", "token": row.token, "user": row.user, "state": row.state,
        "accepted": row.state == "accepted", "agent": row.to.agent, "issuer": row.to.to_string(), "why": row.why,
    }))
}

fn invited_key(row: &Presentation) -> Vec<u8> {
    store::key(&[&row.user, &row.to.agent.0, row.to.cuid.as_deref().unwrap_or_default()])
}
