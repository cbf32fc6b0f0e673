//! Lifts that begin here: payments and clearings (PROTOCOL 9.7 L1 to L4, 9.9).

use crate::orders::Signature;
use crate::paths::{self, From, Way};
use crate::plan::Plan;
use crate::promise::take;
use crate::record::{Boundary, Lift, Payment, Role, Ruling};
use crate::rules::{self, Facts};
use crate::state::State;
use crate::table::{Guard, Happening};
use crate::{chits, limits, referees, store};
use serde_json::{Value, json};
use tallyho_plugin::context::SiteAddress;
use tallyho_plugin::fault::FaultKind;
use tallyho_plugin::record::{Chad, LiftCore, Timestamp};
use tallyho_plugin::{Context, Fault};

/// What is wanted of a new lift.
pub struct Order {
    /// Milli-CHIPs.
    pub units: i64,
    /// The destination.
    pub find: Chad,
    /// The payor, or the user whose tally value comes in by.
    pub user: String,
    /// The tally by which value comes in, of a clearing.
    pub bottom: Option<Boundary>,
    /// What for.
    pub memo: Option<String>,
    /// Invoice data.
    pub reference: Option<Value>,
    /// Seconds that it may take; within the bounds of PROTOCOL 9.1.
    pub life: i64,
    /// The payor's signature, where the key is kept elsewhere.
    pub signed: Option<Signature>,
}

/// L1: makes L and the record, and looks for a way at once. `None` where there is none to a destination that no
/// route may come to either.
///
/// # Errors
/// `Refused` where no referee is accepted, or L would be too large; `custody` where the payor's key is kept
/// elsewhere; the host's faults.
pub fn begin(context: &mut Context<'_>, order: Order) -> Result<Lift, Fault> {
    let mut lift = prepare(context, order)?;
    rules::step(context, &mut lift, Happening::Wanted, &Facts::default())?;
    if !set_out(context, &mut lift)? && search(context, &lift)? != SEARCHED {
        return Err(no_way(&lift));
    }
    Ok(lift)
}

/// L7: the lift that takes the place of one of ours whose promise has been given back, where there is time left and
/// another exit by which a way is known. Of a clearing that is not known yet: what is reserved on its own tally is in
/// the way. Nothing is written: see [`begin_instead`].
///
/// # Errors
/// The host's faults.
pub fn instead(context: &mut Context<'_>, lift: &Lift) -> Result<Option<Lift>, Fault> {
    let (Some(top), Some(user)) = (&lift.top, lift.payment.user.clone()) else { return Ok(None) };
    let left = lift.core.expires().0.saturating_sub(context.now().0) / limits::SECOND;
    let tried = lift.tried.saturating_add(1);
    if left * limits::SECOND < least_useful(lift.core.life()) || tried as usize >= limits::EXITS {
        return Ok(None);
    }
    let Payment { other, memo, reference, .. } = lift.payment.clone();
    let find = other.unwrap_or_else(|| lift.core.find().clone());
    let bottom = lift.bottom.clone();
    let order = Order { units: lift.core.units(), find, user, bottom, memo, reference, life: left, signed: None };
    let mut next = match prepare(context, order) {
        Ok(next) => next,
        // As when no referee is accepted any more, or the payor would have to sign elsewhere.
        Err(fault) if !matches!(fault.kind, FaultKind::Failed | FaultKind::Host) => return Ok(None),
        Err(fault) => return Err(fault),
    };
    next.avoid = lift.avoid.iter().cloned().chain([top.tally.clone()]).collect();
    (next.tried, next.instead_of) = (tried, Some(lift.core.uuid().to_owned()));
    let known = next.bottom.is_some() || !ways(context, &next)?.is_empty();
    Ok(Some(next).filter(|_| known))
}

/// What [`instead`] has made sets out, now that `before` has ended and its reservations are given back.
///
/// # Errors
/// The host's faults.
pub fn begin_instead(context: &mut Context<'_>, before: &mut Lift, mut lift: Lift) -> Result<(), Fault> {
    if before.instead.is_none() {
        if ways(context, &lift)?.is_empty() {
            return Ok(());
        }
        before.instead = Some(lift.core.uuid().to_owned());
        store::put(context, before, before.state)?;
    }
    rules::step(context, &mut lift, Happening::Wanted, &Facts::default())?;
    if set_out(context, &mut lift)? { Ok(()) } else { no_route(context, &mut lift) }
}

/// Milliseconds before its end at which a lift of so many seconds without a way is given up.
fn least_useful(life: i64) -> i64 {
    limits::LEAST_USEFUL.min(life * limits::SECOND / 2)
}

/// L and what is kept of it, of which nothing is written.
fn prepare(context: &mut Context<'_>, order: Order) -> Result<Lift, Fault> {
    let (site, now) = (context.site()?, context.now());
    let (uuid, date) = match &order.signed {
        Some(signed) => (signed.lift.clone(), signed.date),
        None => (context.uuid(), now),
    };
    let inside = order.find.agent == site.agent;
    let expires = date.plus(order.life * limits::SECOND);
    let referee = match inside {
        true => Chad::agent(site.agent.clone()).at(site.host.as_str(), site.port),
        false => referees::accepted(context, None, Some(expires))?.into_iter().next().ok_or_else(no_referee)?,
    };
    let mut core = json!({
        "lift": uuid, "date": date.text(), "life": order.life, "units": order.units,
        "find": order.find.party().to_value(), "org": agent(&site), "ref": referee.to_value(),
    });
    let unplanned = parse(core.clone())?;
    let (plan, sign) = match &order.bottom {
        Some(_) => (Plan::Circle { user: order.user.clone() }, None),
        None => {
            let sign = Some(signature(context, &order, &unplanned)?);
            let (payor, reference, memo) = (order.user.clone(), order.reference.clone(), order.memo.clone());
            (Plan::Payment { payor, reference, memo, sign: sign.clone() }, sign)
        }
    };
    if !inside {
        core["org"]["plan"] = plan.seal(&order.find.agent, &uuid, context)?.into();
    }
    let core = parse(core)?;
    if core.canonical().len() > limits::CORE_BYTES {
        let text = format!("the lift would have {} bytes, at most {}", core.canonical().len(), limits::CORE_BYTES);
        return Err(Fault::refused(text).code("too-large").fix("shorten --memo or --ref"));
    }
    if !store::has_room(context, order.bottom.as_ref().map(|bottom| bottom.tally.as_str()))? {
        return Err(Fault::refused("as many lifts are under way as this site takes")
            .code("busy")
            .fix("wait until some are done; see `lift list`"));
    }
    let mut lift = Lift::new(core, Role::Originator, now);
    lift.exp = lift.core.expires().plus(-least_useful(order.life));
    lift.bottom = order.bottom;
    let (user, other) = (Some(order.user), Some(order.find).filter(|_| lift.bottom.is_none()));
    lift.payment = Payment { user, other, memo: order.memo, reference: order.reference, sign };
    Ok(lift)
}

/// L2 to L4: looks at the order and for a way, and sets out where there is one.
///
/// # Errors
/// The host's faults.
fn set_out(context: &mut Context<'_>, lift: &mut Lift) -> Result<bool, Fault> {
    if let (Some(user), None) = (lift.payment.user.clone(), &lift.bottom) {
        let public = context.user(&user)?.cert["public"].clone();
        let text = order_text(&lift.core, &lift.payment.reference, &lift.payment.memo)?;
        let sign = lift.payment.sign.clone().unwrap_or_default();
        if !context.verify_user(&public, text.as_bytes(), &sign) {
            let facts = Facts { why: Some("the payor's signature does not stand".to_owned()), ..Facts::default() };
            rules::step(context, lift, Happening::Begin, &facts.holding(&[Guard::OrderBad]))?;
            return Ok(true);
        }
    }
    for way in ways(context, lift)? {
        let Some(guard) = take(context, lift, way)? else { continue };
        let mut facts = Facts::default().holding(&[guard]);
        if guard == Guard::Inside {
            // This site is referee in its own house: such chits then prove themselves like all others.
            let text = lift.core.valid_text(true).map_err(chits::unwritable)?;
            facts.ruling = Some(Ruling { valid: true, signed: context.sign_agent(text.as_bytes())? });
        }
        rules::step(context, lift, Happening::Begin, &facts)?;
        return Ok(true);
    }
    Ok(false)
}

/// Ways that are known, the best first.
fn ways(context: &mut Context<'_>, lift: &Lift) -> Result<Vec<Way>, Fault> {
    let ways = paths::find(context, from(lift), lift.core.find(), Some(lift.core.units()), &lift.avoid)?;
    let enters = |way: &Way| match &lift.bottom {
        Some(bottom) => way.edges.first().is_some_and(|edge| edge.tally == bottom.tally),
        None => true,
    };
    Ok(ways.into_iter().filter(enters).collect())
}

/// A route has become good, or the search has failed: lifts that wait for it look again. One that nothing is
/// looked for any more is given up: no later search is coming that it could wait for.
///
/// # Errors
/// The host's faults.
pub fn found(context: &mut Context<'_>, find: &str) -> Result<(), Fault> {
    for name in store::waiting(context, find)? {
        let Some(mut lift) = store::lift(context, &name)?.filter(|lift| lift.state == State::DraftInit) else {
            continue;
        };
        if !set_out(context, &mut lift)? && search(context, &lift)? != SEARCHED {
            no_route(context, &mut lift)?;
        }
    }
    Ok(())
}

/// L4: a last look, then the lift is given up.
///
/// # Errors
/// The host's faults.
pub fn give_up(context: &mut Context<'_>, lift: &mut Lift) -> Result<(), Fault> {
    if set_out(context, lift)? {
        return Ok(());
    }
    no_route(context, lift)
}

/// What the route handler says while it looks for a way.
const SEARCHED: &str = "pend";

/// Has a way looked for; how far that is.
fn search(context: &mut Context<'_>, lift: &Lift) -> Result<String, Fault> {
    let to = lift.payment.other.clone().unwrap_or_else(|| lift.core.find().clone());
    paths::want(context, from(lift), &to)
}

fn no_route(context: &mut Context<'_>, lift: &mut Lift) -> Result<(), Fault> {
    let facts = Facts { why: Some("noroute".to_owned()), ..Facts::default() };
    rules::step(context, lift, Happening::GivenUp, &facts).map(drop)
}

/// Where the lift's way through this site begins.
fn from(lift: &Lift) -> From<'_> {
    match &lift.bottom {
        Some(bottom) => From::Tally(&bottom.user, &bottom.tally),
        None => From::User(lift.payment.user.as_deref().unwrap_or_default()),
    }
}

/// What the payor signs, if it were this lift.
///
/// # Errors
/// `Usage` where it cannot be expressed; the host's faults.
pub fn text(context: &mut Context<'_>, order: &Order, uuid: &str, date: Timestamp) -> Result<String, Fault> {
    let site = context.site()?;
    // Neither the referee nor the life is part of it.
    let core = json!({
        "lift": uuid, "date": date.text(), "life": order.life, "units": order.units,
        "find": order.find.party().to_value(), "org": agent(&site), "ref": agent(&site),
    });
    order_text(&parse(core)?, &order.reference, &order.memo)
}

/// The payor's signature over the order: the one handed in, or made here.
fn signature(context: &mut Context<'_>, order: &Order, core: &LiftCore) -> Result<String, Fault> {
    let text = order_text(core, &order.reference, &order.memo)?;
    let Some(signed) = &order.signed else {
        return context.sign_user(&order.user, text.as_bytes()).map_err(|fault| match fault.code.as_str() {
            "custody" => fault.fix("`lift draft` prints the text to sign, and `lift accept` takes the signature"),
            _ => fault,
        });
    };
    if store::hash_of(context, core.uuid(), None)?.is_some() {
        return Err(Fault::refused(format!("lift {} has begun already", core.uuid()))
            .code("known")
            .fix("see `lift show`; `lift draft` writes another order"));
    }
    let public = context.user(&order.user)?.cert["public"].clone();
    match context.verify_user(&public, text.as_bytes(), &signed.sign) {
        true => Ok(signed.sign.clone()),
        false => Err(Fault::refused(format!("the signature is not {}'s over the order's text", order.user))
            .code("signature")
            .fix("sign exactly what `lift draft` has printed as `text`")),
    }
}

fn order_text(core: &LiftCore, reference: &Option<Value>, memo: &Option<String>) -> Result<String, Fault> {
    core.order_text(reference.as_ref(), memo.as_deref()).map_err(|error| Fault::usage(format!("ref: {error}")))
}

fn parse(core: Value) -> Result<LiftCore, Fault> {
    LiftCore::parse(core).map_err(|error| Fault::usage(error.to_string()))
}

fn agent(site: &SiteAddress) -> Value {
    json!({ "agent": site.agent, "host": site.host, "port": site.port })
}

fn no_referee() -> Fault {
    Fault::refused("this site accepts no referee, and a lift needs one")
        .code("no-referee")
        .fix("agree with your partners on one, then `referee accept AGENT@HOST:PORT`")
}

fn no_way(lift: &Lift) -> Fault {
    let (units, find) = (lift.core.units(), lift.core.find());
    Fault::refused(format!("there is no way for {units} mCHIP to {find}"))
        .code("no-route")
        .fix("try less, or when a way that has failed is tried again, after an hour (`route list`); partners take lifts by their settings: `chit set TALLY '{\"target\":…}'`")
}
