//! Ways through the site, as the route handler finds them (PROTOCOL 7.3, 7.5, 8, 9.3 item 6).

use crate::limits;
use crate::record::{Boundary, Edge, Lift, Role};
use crate::store::TALLIES;
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::record::cert::chad_of;
use tallyho_plugin::record::{Chad, Side};
use tallyho_plugin::services::NOT_SERVED;
use tallyho_plugin::{Context, Fault};

/// The route handler, and its commands for others.
const ROUTE: &str = "route";
const FIND: &str = "path.find";
const WANT: &str = "route.want";
const GOOD: &str = "route.good";
const FAIL: &str = "route.fail";

/// Where a way begins.
#[derive(Debug, Clone, Copy)]
pub enum From<'a> {
    /// At a user of ours.
    User(&'a str),
    /// With this boundary tally as its first edge.
    Tally(&'a str, &'a str),
}

/// One way, the local part of it edge by edge.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Way {
    /// From downstream to upstream; the last one leaves the site where `via` says so.
    pub edges: Vec<Edge>,
    /// What it can carry as a whole.
    #[serde(default)]
    pub lading: Lading,
    /// The tally by which it leaves the site.
    #[serde(default)]
    pub via: Option<Via>,
}

/// What a way can carry, in milli-CHIPs.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
pub struct Lading {
    /// Free of charge.
    #[serde(default)]
    pub min: i64,
}

/// The half of a boundary tally.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Via {
    /// The local user.
    pub user: String,
    /// The tally.
    pub tally: String,
}

#[derive(Deserialize)]
struct Found {
    paths: Vec<Way>,
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    status: String,
}

/// A half as the tally handler keeps it, as far as it matters here.
#[derive(Deserialize)]
struct Row {
    side: Side,
    core: Value,
}

/// Ways from here to there that carry these units, in the order of PROTOCOL 9.3; none where no route handler
/// is loaded.
///
/// # Errors
/// The route handler's faults.
pub fn find(
    context: &mut Context<'_>,
    from: From<'_>,
    to: &Chad,
    units: Option<i64>,
    avoid: &[String],
) -> Result<Vec<Way>, Fault> {
    let from = match from {
        From::User(user) => json!({ "user": user }),
        From::Tally(user, tally) => json!({ "user": user, "tally": tally }),
    };
    let own = to.agent == context.site()?.agent;
    let to = match (&to.cuid, own) {
        (Some(cuid), true) => json!({ "user": cuid }),
        (cuid, _) => json!({ "cuid": cuid, "agent": to.agent }),
    };
    let mut asked = json!({ "from": from, "to": to, "avoid": avoid, "limit": limits::PATHS });
    if let Some(units) = units {
        asked["units"] = units.into();
    }
    let found: Option<Found> = served(context.invoke(ROUTE, FIND, &asked))?;
    let ways = found.map(|found| found.paths).unwrap_or_default();
    // What does not hang together would fail an invariant later; a route handler may be anybody's.
    Ok(ways.into_iter().filter(|way| !way.edges.is_empty()).collect())
}

/// Has routes to this destination looked for (PROTOCOL 8.4 R1); their status, empty where nobody can.
///
/// # Errors
/// The route handler's faults.
pub fn want(context: &mut Context<'_>, from: From<'_>, find: &Chad) -> Result<String, Fault> {
    let mut asked = match from {
        From::User(user) => json!({ "user": user }),
        From::Tally(user, tally) => json!({ "user": user, "tally": tally }),
    };
    asked["find"] = find.to_value();
    let wanted: Option<Wanted> = served(context.invoke(ROUTE, WANT, &asked))?;
    Ok(wanted.map(|wanted| wanted.status).unwrap_or_default())
}

/// Tells the route that a lift has gone over it (R11), or that none has (R12). A partner who is the
/// destination is reached without a route, as is the originator of a circle from its terminus.
///
/// # Errors
/// The route handler's faults.
pub fn tell(context: &mut Context<'_>, lift: &Lift, good: bool) -> Result<(), Fault> {
    let Some(top) = &lift.top else { return Ok(()) };
    if lift.role == Role::Terminus || top.partner.same_party(lift.core.find()) {
        return Ok(());
    }
    let told = json!({ "via": { "user": top.user, "tally": top.tally }, "find": lift.core.find().to_value() });
    served(context.invoke::<Value>(ROUTE, if good { GOOD } else { FAIL }, &told)).map(drop)
}

/// The half of this user at this tally, as an edge of the site; `None` where there is none.
///
/// # Errors
/// The host's faults; `Failed` where the tally's row is damaged.
pub fn boundary(context: &mut Context<'_>, user: &str, tally: &str) -> Result<Option<Boundary>, Fault> {
    let row: Option<Row> = context.get(TALLIES, format!("{tally}\0{user}"))?;
    let Some(Row { side, core }) = row else { return Ok(None) };
    let cert = &core[side.other().as_str()]["cert"];
    if cert.is_null() {
        // A draft without a partner.
        return Ok(None);
    }
    let partner = chad_of(cert).map_err(|error| Fault::failed(format!("tally {user}/{tally}: {error}")))?;
    Ok(Some(Boundary { user: user.to_owned(), tally: tally.to_owned(), side, partner }))
}

impl Way {
    /// The edge by which it leaves the site, as we hold it; `None` where it stays inside or does not hang
    /// together.
    ///
    /// # Errors
    /// As for [`boundary`].
    pub fn exit(&self, context: &mut Context<'_>) -> Result<Option<Boundary>, Fault> {
        let (Some(via), Some(last)) = (&self.via, self.edges.last()) else { return Ok(None) };
        let exit = boundary(context, &via.user, &via.tally)?;
        Ok(exit.filter(|exit| last.tally == exit.tally && last.by == exit.side && last.halves == [exit.user.as_str()]))
    }
}

/// A handler that is not loaded has nothing to say.
fn served<T>(answer: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(fault) if fault.code == NOT_SERVED => Ok(None),
        Err(fault) => Err(fault),
    }
}
