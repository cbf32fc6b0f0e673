//! Commands of the pseudo-plugin `host` ([`host_command`]).

use super::effects::Effect;
use super::running::Running;
use super::tickets::Issued;
use crate::Fault;
use crate::context::to_cbor;
use crate::record::{AgentId, base64v};
use crate::services::{Services, TicketOrder, host_command};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct User {
    cuid: String,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

#[derive(Deserialize)]
struct Filter {
    #[serde(default)]
    subject: Option<String>,
}

#[derive(Deserialize)]
struct Seal {
    to: AgentId,
    prologue: String,
    text: String,
}

#[derive(Deserialize)]
struct Sealed {
    prologue: String,
    sealed: String,
}

/// Answers a host command.
pub(crate) fn call(running: &mut Running<'_>, command: &str, argument: &[u8]) -> Result<Vec<u8>, Fault> {
    let answer = match command {
        host_command::SITE => site(running),
        host_command::USER => user(running, &read::<User>(argument)?.cuid)?,
        host_command::TICKET_ISSUE => issue(running, read(argument)?)?,
        host_command::TICKET_REVOKE => revoke(running, &read::<Token>(argument)?.token)?,
        host_command::TICKET_LIST => list(running, &read(argument)?),
        host_command::SEAL => seal(&read::<Seal>(argument)?)?,
        host_command::UNSEAL => unseal(running, &read::<Sealed>(argument)?),
        _ => return Err(Fault::refused(format!("the host has no command {command}"))),
    };
    to_cbor(&answer)
}

fn read<T: DeserializeOwned>(argument: &[u8]) -> Result<T, Fault> {
    ciborium::from_reader(argument).map_err(|error| Fault::usage(format!("arguments do not fit: {error}")))
}

fn site(running: &Running<'_>) -> Value {
    let address = &running.keys.address;
    json!({ "agent": address.agent, "host": address.host, "port": address.port })
}

fn user(running: &Running<'_>, cuid: &str) -> Result<Value, Fault> {
    let user = running.keys.users.get(cuid);
    let user = user.ok_or_else(|| Fault::not_found(format!("no user {cuid} here")).code("no-such-user"))?;
    Ok(json!({
        "cuid": cuid,
        "name": user.name,
        "public": user.public(),
        "custody": user.custody(),
        "cert": running.keys.certificate(cuid, user, running.now),
    }))
}

fn issue(running: &mut Running<'_>, order: TicketOrder) -> Result<Value, Fault> {
    if !running.keys.users.contains_key(&order.user) {
        return Err(Fault::not_found(format!("no user {} here", order.user)).code("no-such-user"));
    }
    if order.expires.is_none() && !order.reuse {
        // PROTOCOL 2.1, O-6.
        return Err(Fault::usage("a one-time ticket must expire").fix("give --expires, or --reuse for a decal"));
    }
    let mut bytes = [0; 16];
    running.random(&mut bytes);
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let answer = running.keys.ticket_forms(&token, &order);
    let plugin = running.plugin().to_owned();
    let issued = Issued { token, plugin, order, used: None, by: None, revoked: false };
    running.effects.list.push(Effect::Ticket(Box::new(issued)));
    Ok(answer)
}

fn revoke(running: &mut Running<'_>, token: &str) -> Result<Value, Fault> {
    let issued = own_tickets(running).remove(token);
    let mut issued = issued.ok_or_else(|| Fault::not_found(format!("no ticket with token {token} was issued here")))?;
    issued.revoked = true;
    running.effects.list.push(Effect::Ticket(Box::new(issued)));
    Ok(json!({}))
}

fn list(running: &Running<'_>, filter: &Filter) -> Value {
    let tickets = own_tickets(running).into_values();
    let wanted =
        tickets.filter(|issued| filter.subject.as_ref().is_none_or(|subject| *subject == issued.order.subject));
    wanted
        .map(|issued| {
            json!({
                "token": issued.token, "user": issued.order.user, "subject": issued.order.subject,
                "reuse": issued.order.reuse, "expires": issued.order.expires, "limit": issued.order.limit,
                "used": issued.used, "by": issued.by, "revoked": issued.revoked,
            })
        })
        .collect()
}

/// A stand-in for Noise, which this crate does not know: anybody could read it, but who may is kept to.
fn seal(order: &Seal) -> Result<Value, Fault> {
    AgentId::parse(&order.to.0).map_err(|error| Fault::usage(format!("to: {error}")))?;
    let text = json!([order.to, order.prologue, order.text]).to_string();
    Ok(json!({ "sealed": base64v::encode(text) }))
}

fn unseal(running: &Running<'_>, order: &Sealed) -> Value {
    let bytes = base64v::decode(&order.sealed).unwrap_or_default();
    let (to, prologue, text): (AgentId, String, String) = match serde_json::from_slice(&bytes) {
        Ok(parts) => parts,
        Err(_) => return json!({ "text": null }),
    };
    let ours = to == running.keys.address.agent && prologue == order.prologue;
    json!({ "text": ours.then_some(text) })
}

/// The calling plugin's tickets, this event's included.
fn own_tickets(running: &Running<'_>) -> BTreeMap<String, Issued> {
    let mut tickets = running.state.tickets.clone();
    for effect in &running.effects.list {
        if let Effect::Ticket(issued) = effect {
            tickets.insert(issued.token.clone(), (**issued).clone());
        }
    }
    tickets.retain(|_, issued| issued.plugin == running.plugin());
    tickets
}
