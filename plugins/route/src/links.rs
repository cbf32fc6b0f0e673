//! Which halves are open, by holder: what paths are made of. The tally handler tells of each that opens or
//! closes; what it told while nobody heard is looked up after a start.

use crate::store::{EXITS, LINKS, PARTNERS, TALLIES, key, parts};
use crate::{discover, limits};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::rc::Rc;
use tallyho_plugin::context::Scan;
use tallyho_plugin::record::cert::chad_of;
use tallyho_plugin::record::{AgentId, Chad, Side};
use tallyho_plugin::{Command, Context, Fault};

/// What the name of the timer begins with that goes on looking halves up; behind it stands where.
pub const AGAIN: &str = "links";

/// An open half, from its holder's side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct Link {
    /// The holder's side.
    pub side: Side,
    /// The partner's user name.
    pub cuid: String,
    /// The partner's agent; `None`: this site's, so that the tally is an inner one.
    pub agent: Option<AgentId>,
}

/// How it is kept: a search reads thousands.
type Row = (Side, String, Option<AgentId>);

impl From<Row> for Link {
    fn from((side, cuid, agent): Row) -> Self {
        Link { side, cuid, agent }
    }
}

impl From<Link> for Row {
    fn from(link: Link) -> Self {
        (link.side, link.cuid, link.agent)
    }
}

impl Link {
    /// The partner beyond the site; `None` for an inner tally.
    pub fn partner(&self) -> Option<Chad> {
        self.agent.clone().map(|agent| Chad::user(&self.cuid, agent))
    }
}

/// A half as the tally handler keeps it, as far as it matters here.
#[derive(Deserialize)]
struct Half {
    status: String,
    closing: bool,
    side: Side,
    core: Value,
}

#[derive(Deserialize)]
struct Told {
    user: String,
    tally: String,
}

/// The open half of this holder.
///
/// # Errors
/// The host's faults.
pub fn link(context: &mut Context<'_>, user: &str, tally: &str) -> Result<Option<Link>, Fault> {
    context.get(LINKS, key(&[user, tally]))
}

/// A holder's open halves by uuid, at most [`limits::LINKS_LOOKED`] of them.
///
/// # Errors
/// The host's faults.
pub fn of_user(context: &mut Context<'_>, user: &str) -> Result<Vec<(Rc<str>, Link)>, Fault> {
    let prefix = key(&[user, ""]);
    let rows: Vec<(Vec<u8>, Link)> = context.scan(LINKS, &Scan::beginning(prefix.as_slice(), limits::LINKS_LOOKED))?;
    let uuid = |key: &[u8]| Rc::from(String::from_utf8_lossy(&key[prefix.len()..]));
    Ok(rows.into_iter().map(|(key, link)| (uuid(&key), link)).collect())
}

/// Tallies that leave the site towards this party, as (holder, uuid), at most `limit`.
///
/// # Errors
/// The host's faults.
pub fn towards(context: &mut Context<'_>, partner: &Chad, limit: u32) -> Result<Vec<(String, String)>, Fault> {
    let cuid = partner.cuid.as_deref().unwrap_or_default();
    let rows: Vec<(Vec<u8>, ())> =
        context.scan(EXITS, &Scan::beginning(key(&[partner.agent.as_str(), cuid, ""]), limit))?;
    let exit = |(key, ()): (Vec<u8>, ())| {
        let [_, _, holder, tally] = parts(&key)?;
        Some((holder.to_owned(), tally.to_owned()))
    };
    Ok(rows.into_iter().filter_map(exit).collect())
}

/// `tally.told {user, tally}`, for the tally handler: the half has opened or closed. What follows from it comes
/// in an event of its own, since whoever called may be in the middle of something.
///
/// # Errors
/// The host's faults.
pub fn told(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Told { user, tally } = command.arguments()?;
    let before = link(context, &user, &tally)?;
    let now = look_up(context, &user, &tally, before.as_ref())?;
    if before != now && before.as_ref().or(now.as_ref()).is_some_and(|link| link.agent.is_some()) {
        discover::later(context, &user, &tally)?;
    }
    Ok(json!({ "open": now.is_some() }))
}

/// Brings the link of a half up to date.
fn look_up(context: &mut Context<'_>, user: &str, tally: &str, before: Option<&Link>) -> Result<Option<Link>, Fault> {
    let own = context.site()?.agent;
    let half: Option<Half> = context.get(TALLIES, key(&[tally, user]))?;
    let now = half.filter(|half| half.status == "open" && !half.closing).and_then(|half| {
        let partner = chad_of(&half.core[half.side.other().as_str()]["cert"]).ok()?;
        let agent = Some(partner.agent).filter(|agent| *agent != own);
        Some(Link { side: half.side, cuid: partner.cuid?, agent })
    });
    if before == now.as_ref() {
        return Ok(now);
    }
    if let Some(exit) = before.and_then(|link| exit_key(link, user, tally)) {
        context.delete(EXITS, exit)?;
    }
    match &now {
        Some(link) => {
            context.put(LINKS, key(&[user, tally]), link)?;
            if let Some(exit) = exit_key(link, user, tally) {
                context.put(EXITS, exit, &())?;
            }
        }
        None => context.delete(LINKS, key(&[user, tally]))?,
    }
    Ok(now)
}

fn exit_key(link: &Link, user: &str, tally: &str) -> Option<Vec<u8>> {
    link.agent.as_ref().map(|agent| key(&[agent.as_str(), &link.cuid, user, tally]))
}

/// Looks up what was told while this handler did not serve: a page of halves that have no link, behind this
/// one (`HOLDER/AGENT/CUID/UUID`, or from the first); a timer sees to the rest. What has closed meanwhile needs
/// no looking up: a closed half has no capacity.
///
/// # Errors
/// The host's faults.
pub fn look_up_after(context: &mut Context<'_>, last: &str) -> Result<(), Fault> {
    let mut scan = Scan { from: last.replace('/', "\0").into_bytes(), limit: limits::LOOKED_UP, ..Scan::default() };
    if !last.is_empty() {
        scan.from.push(0);
    }
    let rows: Vec<(Vec<u8>, ())> = context.scan(PARTNERS, &scan)?;
    for (row, ()) in &rows {
        if let Some([holder, _, _, tally]) = parts(row)
            && link(context, holder, tally)?.is_none()
        {
            // Routes for it are looked for when the periodic scan comes to it: there may be thousands.
            look_up(context, holder, tally, None)?;
        }
    }
    match rows.last() {
        Some((row, ())) if rows.len() == limits::LOOKED_UP as usize => {
            let last = String::from_utf8_lossy(row).replace('\0', "/");
            let at = context.now().plus(limits::LOOK_UP_PAUSE);
            context.set_timer(&format!("{AGAIN}:{last}"), at)
        }
        _ => Ok(()),
    }
}
