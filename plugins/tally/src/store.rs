//! The handler's tables, and what follows a row wherever it changes: indexes, relations.

use crate::half::Half;
use crate::limits;
use crate::state::Status;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tallyho_plugin::record::{Chad, Timestamp};
use tallyho_plugin::services::{NOT_SERVED, Relation};
use tallyho_plugin::{Context, Fault, context::Scan};

/// uuid, 0, holder → [`Half`].
pub const TALLIES: &str = "tallies";
/// holder, 0, partner's agent, 0, partner's cuid, 0, uuid → nothing. Agent and cuid are empty while the
/// partner is not known.
pub const PARTNERS: &str = "partners";
/// holder, 0, uuid → nothing, for halves with a request or not yet confirmed.
pub const UNDERWAY: &str = "underway";
/// token → [`Led`].
pub const TOKENS: &str = "tokens";
/// token, 0, presenting agent, 0, presenting cuid → uuid of the clone made.
pub const CLONES: &str = "clones";
/// token, 0, user → [`Presentation`].
pub const PRESENTED: &str = "presented";
/// holder, 0, agent, 0, cuid → [`Invitation`].
pub const INVITED: &str = "invited";
/// One row, key `site` → [`Settings`].
pub const SETTINGS: &str = "settings";

/// All tables, for the manifest.
pub const TABLES: &[&str] = &[TALLIES, PARTNERS, UNDERWAY, TOKENS, CLONES, PRESENTED, INVITED, SETTINGS];

/// What a token of ours leads to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Led {
    /// Holder of the draft.
    pub holder: String,
    /// The draft.
    pub uuid: String,
}

/// A ticket that a user of ours has presented.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Presentation {
    /// The token.
    pub token: String,
    /// Our user.
    pub user: String,
    /// The ticket's issuer.
    pub to: Chad,
    /// `pending`, `accepted`, `refused` or `unreachable`.
    pub state: String,
    /// Why it is so, where known.
    pub why: Option<String>,
    /// Until when the issuer may make an offer.
    pub until: Timestamp,
    /// `date` of each certificate disclosed with it, the latest last.
    pub disclosed: Vec<String>,
}

/// The right of a party to make one of our users a first offer (O-27).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Invitation {
    /// The `public` of the certificate disclosed with the ticket.
    pub public: Value,
    /// The tokens presented to that party, the latest last.
    pub tokens: Vec<String>,
    /// Ends then.
    pub until: Timestamp,
}

/// What the operator has decided for the site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Whether a partner may give a lost tally back (T33, O-46).
    pub recovery: bool,
    /// `agree` of drafts whose author names none.
    pub agree: Value,
}

impl Default for Settings {
    fn default() -> Self {
        let text = "What we owe each other is what the signed chits of this tally say, under the terms it \
                    states; there is no contract beside it.";
        Settings { recovery: true, agree: serde_json::json!({ "text": text }) }
    }
}

/// A key of several parts. None of them holds a zero byte: names, ids and uuids are checked text.
pub fn key(parts: &[&str]) -> Vec<u8> {
    parts.join("\0").into_bytes()
}

/// The half of this holder.
pub fn half(context: &mut Context<'_>, holder: &str, uuid: &str) -> Result<Option<Half>, Fault> {
    context.get(TALLIES, key(&[uuid, holder]))
}

/// Halves whose uuid begins so, of this holder or of all.
pub fn halves(context: &mut Context<'_>, prefix: &str, holder: Option<&str>) -> Result<Vec<Half>, Fault> {
    let mut scan = Scan::beginning(prefix.as_bytes(), limits::PAGE);
    let mut found = Vec::new();
    loop {
        let rows: Vec<(Vec<u8>, Half)> = context.scan(TALLIES, &scan)?;
        let full = rows.len() == limits::PAGE as usize;
        let last = rows.last().map(|(key, _)| key.clone());
        found.extend(
            rows.into_iter().map(|(_, half)| half).filter(|half| holder.is_none_or(|name| half.holder == name)),
        );
        match last {
            Some(last) if full && found.len() < limits::LISTED => scan.from = [last.as_slice(), b"\0"].concat(),
            _ => return Ok(found),
        }
    }
}

/// uuids of a holder's halves, of one partner or of all.
pub fn shared(context: &mut Context<'_>, holder: &str, partner: Option<&Chad>) -> Result<Vec<String>, Fault> {
    let prefix = match partner {
        Some(chad) => key(&[holder, &chad.agent.0, chad.cuid.as_deref().unwrap_or_default(), ""]),
        None => key(&[holder, ""]),
    };
    let rows: Vec<(Vec<u8>, ())> = context.scan(PARTNERS, &Scan::beginning(prefix, limits::LISTED as u32))?;
    Ok(rows.into_iter().filter_map(|(key, ())| last_part(&key)).collect())
}

/// Halves with a request or not yet confirmed, as (holder, uuid), behind the half `HOLDER/UUID` (or from
/// the first, where it is empty), at most `limit`.
pub fn underway(context: &mut Context<'_>, last: &str, limit: u32) -> Result<Vec<(String, String)>, Fault> {
    let from = last.split_once('/').map_or_else(Vec::new, |(holder, uuid)| key(&[holder, uuid, ""]));
    let rows: Vec<(Vec<u8>, ())> = context.scan(UNDERWAY, &Scan { from, limit, ..Scan::default() })?;
    let text = rows.iter().map(|(key, ())| String::from_utf8_lossy(key));
    Ok(text.filter_map(|key| key.split_once('\0').map(|(holder, uuid)| (holder.to_owned(), uuid.to_owned()))).collect())
}

/// The right of this party to make `holder` a first offer, if it has one now.
pub fn invitation(context: &mut Context<'_>, holder: &str, from: &Chad) -> Result<Option<Invitation>, Fault> {
    Ok(invitations(context, holder, from)?.into_iter().next())
}

/// The same: what gives it the right by its own name, and what gives it to any user of its agent.
pub fn invitations(context: &mut Context<'_>, holder: &str, from: &Chad) -> Result<Vec<Invitation>, Fault> {
    let mut valid = Vec::new();
    // A ticket may name its agent alone; then any user of that agent may answer.
    for cuid in [from.cuid.as_deref().unwrap_or_default(), ""] {
        let found: Option<Invitation> = context.get(INVITED, key(&[holder, &from.agent.0, cuid]))?;
        valid.extend(found.filter(|found| context.now() < found.until));
    }
    Ok(valid)
}

/// The site's settings.
pub fn settings(context: &mut Context<'_>) -> Result<Settings, Fault> {
    Ok(context.get(SETTINGS, "site")?.unwrap_or_default())
}

/// Makes what a half has become durable, with indexes and relations. `None` is no half.
pub fn save(context: &mut Context<'_>, before: Option<&Half>, after: Option<&Half>) -> Result<(), Fault> {
    let (old, new) = (before.map(Traces::of), after.map(Traces::of));
    if let (Some(old), Some(half)) = (&old, before) {
        if new.as_ref().is_none_or(|new| new.row != old.row) {
            context.delete(TALLIES, &old.row)?;
        }
        if new.as_ref().is_none_or(|new| new.partner != old.partner) {
            context.delete(PARTNERS, &old.partner)?;
        }
        if old.underway && new.as_ref().is_none_or(|new| !new.underway || new.row != old.row) {
            context.delete(UNDERWAY, key(&[&half.holder, &half.uuid]))?;
        }
        if let Some(relation) = &old.relation
            && !new.iter().filter_map(|new| new.relation.as_ref()).any(|new| same_place(new, relation))
        {
            context.unrelate(&relation.user, &relation.subject, &relation.agent)?;
        }
    }
    if let (Some(new), Some(half)) = (new, after) {
        context.put(TALLIES, &new.row, half)?;
        if old.as_ref().is_none_or(|old| old.partner != new.partner) {
            context.put(PARTNERS, &new.partner, &())?;
        }
        if new.underway && old.as_ref().is_none_or(|old| !old.underway || old.row != new.row) {
            context.put(UNDERWAY, key(&[&half.holder, &half.uuid]), &())?;
        }
        if let Some(relation) = new.relation
            && old.as_ref().and_then(|old| old.relation.as_ref()) != Some(&relation)
        {
            context.relate(&relation)?;
        }
    }
    match after.or(before) {
        Some(half) if before.is_some_and(Half::takes_lifts) != after.is_some_and(Half::takes_lifts) => {
            tell_routes(context, half)
        }
        _ => Ok(()),
    }
}

/// Tells a route handler that a half has begun or ceased to be one that lifts may go over: it looks the half up
/// by itself. Where there is no such handler, nobody wants to know.
fn tell_routes(context: &mut Context<'_>, half: &Half) -> Result<(), Fault> {
    let about = json!({ "user": half.holder, "tally": half.uuid });
    match context.invoke::<Value>("route", "tally.told", &about) {
        Err(fault) if fault.code != NOT_SERVED => Err(fault),
        _ => Ok(()),
    }
}

/// What a half leaves in other places.
struct Traces {
    row: Vec<u8>,
    partner: Vec<u8>,
    underway: bool,
    relation: Option<Relation>,
}

impl Traces {
    fn of(half: &Half) -> Self {
        let (agent, cuid) = match half.partner_party() {
            Some((agent, cuid)) => (agent.0, cuid),
            None => (String::new(), String::new()),
        };
        Traces {
            row: key(&[&half.uuid, &half.holder]),
            partner: key(&[&half.holder, &agent, &cuid, &half.uuid]),
            underway: half.request.is_some() || (half.status == Status::Open && half.conf.is_none()),
            relation: relation(half),
        }
    }
}

/// PROTOCOL 1.5: who may talk to our user about this tally, and until when.
fn relation(half: &Half) -> Option<Relation> {
    let chad = half.partner()?;
    Some(Relation {
        user: half.holder.clone(),
        subject: half.uuid.clone(),
        partner: chad.cuid.unwrap_or_default(),
        agent: chad.agent,
        host: chad.host,
        port: chad.port,
        until: (half.status == Status::Void).then(|| half.since.plus(limits::VOID_LIFE)),
    })
}

fn same_place(one: &Relation, other: &Relation) -> bool {
    one.user == other.user && one.subject == other.subject && one.agent == other.agent
}

fn last_part(key: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(key).ok()?;
    text.rsplit('\0').next().map(str::to_owned)
}
