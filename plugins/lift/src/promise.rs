//! A promise comes (PROTOCOL 9.3, 9.7 L18, L19, L22 to L28, L33 to L35).

use crate::paths::{self, From, Way};
use crate::plan::{self, Plan};
use crate::record::{Boundary, Edge, Lift, Name, Payment, Role};
use crate::rules::{self, Facts};
use crate::state::State;
use crate::table::{Guard, Happening};
use crate::{chits, clock, limits, referees, say, store};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use tallyho_plugin::record::{Chad, LiftCore, Pledge};
use tallyho_plugin::{Context, Fault, Message};

#[derive(Deserialize)]
struct Promised {
    pledge: Pledge,
}

/// `promise`.
///
/// # Errors
/// Why it is dropped; the host's faults.
pub fn promise(message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
    let (Some(tally), Some(user)) = (&message.tally, &message.to.cuid) else {
        return Err(Fault::refused("a promise names the tally it comes over, and the user of it"));
    };
    let (core, pledge) = read(message)?;
    let bottom = paths::boundary(context, user, tally)?.filter(|bottom| bottom.partner.same_party(&message.from));
    let Some(bottom) = bottom else {
        return Err(Fault::refused(format!("{user} has no tally {tally} with {}", message.from.party())));
    };
    let name = Name { hash: core.hash(), bottom: Some(tally.clone()) };
    if let Some(mut lift) = store::lift(context, &name)? {
        let mut facts = Facts::of(message);
        if lift.answer.is_some() {
            facts = facts.holding(&[Guard::Answered]);
        }
        return rules::step(context, &mut lift, Happening::PeerPromise, &facts).map(drop);
    }
    if store::tomb(context, &name)?.is_some() {
        return again(context, message, &name, Happening::PeerPromise);
    }
    // Item 5: another core of this uuid over this tally has been here.
    if store::hash_of(context, core.uuid(), Some(tally))?.is_some() {
        return Err(Fault::refused(format!("lift {}: another one of this uuid is known", core.uuid())));
    }
    let mut lift = Lift::new(core, Role::Relay, context.now());
    lift.exp = clock::overdue(&lift);
    let refused = acceptable(context, message, &bottom, &lift.core, &pledge)?;
    lift.bottom = Some(bottom);
    lift.received = Some(pledge);
    let mut facts = Facts::of(message);
    let guard = match refused {
        Some(why) => Err(why),
        None => reserve_way(context, &mut lift)?,
    };
    match guard {
        Ok(guard) => facts = facts.holding(&[guard]),
        Err(why) => {
            facts = facts.holding(&[Guard::Refused]);
            facts.why = Some(why.to_owned());
        }
    }
    rules::step(context, &mut lift, Happening::PeerPromise, &facts)?;
    if lift.state == State::DraftFound { read_plan(context, &mut lift) } else { Ok(()) }
}

/// Reads L and the pledge. What has no L has no hash, so not even a release could be about it.
///
/// # Errors
/// What is malformed.
pub fn read(message: &Message) -> Result<(LiftCore, Pledge), Fault> {
    let object: Value = message.object()?;
    let core = LiftCore::from_object(&object, &["pledge"]).map_err(|error| Fault::refused(error.to_string()))?;
    let Promised { pledge } = message.object()?;
    Ok((core, pledge))
}

/// What was answered where there is no record is answered once more (L23).
///
/// # Errors
/// The host's faults.
pub fn again(context: &mut Context<'_>, message: &Message, name: &Name, on: Happening) -> Result<(), Fault> {
    let Some(tomb) = store::tomb(context, name)? else { return Ok(()) };
    let Some(rule) = crate::table::rows(State::Tombstone, on).next() else { return Ok(()) };
    debug_assert_eq!(rule.effects, [crate::table::Effect::FailAgain]);
    let mut reply = message.reply("fail", &tomb.answer)?;
    reply.tally = message.tally.clone();
    reply.key = format!("fail {} {}", name.hash, name.bottom.as_deref().unwrap_or_default());
    context.send(&reply)
}

/// Items 1 to 4 of PROTOCOL 9.3, as far as a `fail` can answer them; the word of PROTOCOL 9.2 where one fails.
fn acceptable(
    context: &mut Context<'_>,
    message: &Message,
    bottom: &Boundary,
    core: &LiftCore,
    pledge: &Pledge,
) -> Result<Option<&'static str>, Fault> {
    let capacity = chits::capacity(context, &bottom.user, &bottom.tally)?;
    let theirs = capacity.inward.as_ref().is_some_and(|inward| inward.by == pledge.by);
    if !capacity.usable || !theirs || pledge.by != bottom.side.other() {
        return Ok(Some("policy"));
    }
    let now = context.now();
    if now >= core.expires().plus(-limits::LEAST_LIFE) || core.date() > now.plus(limits::AHEAD) {
        return Ok(Some("expired"));
    }
    let referee = &core.referee().agent;
    if referees::accepted(context, Some(referee), Some(core.expires()))?.is_empty() {
        return Ok(Some("referee"));
    }
    let expected = Pledge::new(message.from.agent.clone(), pledge.by, core, bottom.tally.as_str());
    let fits = Pledge { sign: String::new(), ..pledge.clone() } == expected;
    if !fits || !crate::messages::stands(context, pledge.check())? {
        return Ok(Some("policy"));
    }
    if core.canonical().len() > limits::CORE_BYTES || !store::has_room(context, Some(&bottom.tally))? {
        return Ok(Some("policy"));
    }
    Ok(None)
}

/// Item 6: the first way that can be reserved, reserved.
fn reserve_way(context: &mut Context<'_>, lift: &mut Lift) -> Result<Result<Guard, &'static str>, Fault> {
    let Some(bottom) = lift.bottom.clone() else { return Ok(Err("noroute")) };
    lift.avoid = used(context, lift, &[])?;
    let (from, find) = (From::Tally(&bottom.user, &bottom.tally), lift.core.find().clone());
    let ways = paths::find(context, from, &find, Some(lift.core.units()), &lift.avoid)?;
    for way in ways {
        let first = way.edges.first();
        let enters = first.is_some_and(|edge| edge.tally == bottom.tally && edge.by == bottom.side.other());
        if enters && let Some(guard) = take(context, lift, way)? {
            return Ok(Ok(guard));
        }
    }
    // Whether it is the amount that is in the way; advice only.
    let any = paths::find(context, from, &find, None, &lift.avoid)?;
    Ok(Err(if any.is_empty() { "noroute" } else { "capacity" }))
}

/// Reserves this way, if it can be.
///
/// # Errors
/// The host's faults.
pub fn take(context: &mut Context<'_>, lift: &mut Lift, way: Way) -> Result<Option<Guard>, Fault> {
    let own = context.site()?.agent;
    let inside = lift.core.find().agent == own;
    let top = way.exit(context)?;
    if top.is_none() != inside || chits::reserve(context, &lift.core, &way.edges)?.is_err() {
        return Ok(None);
    }
    (lift.edges, lift.top) = (way.edges, top);
    Ok(Some(match (inside, lift.role) {
        (true, Role::Originator) => Guard::Inside,
        (true, _) => {
            lift.role = Role::Terminus;
            Guard::Local
        }
        (false, _) => Guard::Exit,
    }))
}

/// L25, L26: whether the rest of the way can go by another exit; its reservations are moved then.
///
/// # Errors
/// The host's faults.
pub fn other_exit(context: &mut Context<'_>, lift: &mut Lift) -> Result<bool, Fault> {
    let (Some(bottom), Some(top)) = (lift.bottom.clone(), lift.top.clone()) else { return Ok(false) };
    let late = context.now() >= lift.core.expires().plus(-limits::LEAST_LIFE);
    if late || lift.role != Role::Relay || lift.exits as usize >= limits::EXITS {
        return Ok(false);
    }
    let avoid = used(context, lift, std::slice::from_ref(&top.tally))?;
    let (from, find) = (From::Tally(&bottom.user, &bottom.tally), lift.core.find().clone());
    for way in paths::find(context, from, &find, Some(lift.core.units()), &avoid)? {
        let Some(exit) = way.exit(context)? else { continue };
        let enters = way.edges.first().is_some_and(|edge| lift.edges.first() == Some(edge));
        let kept = |edge: &Edge| lift.edges.contains(edge);
        let added: Vec<Edge> = way.edges.iter().filter(|edge| !kept(edge)).cloned().collect();
        // A tally in both ways, the other way round, cannot be reserved twice.
        let crosses = added.iter().any(|edge| lift.edges.iter().any(|old| old.tally == edge.tally));
        if !enters || crosses || chits::reserve(context, &lift.core, &added)?.is_err() {
            continue;
        }
        let given_back: Vec<Edge> = lift.edges.iter().filter(|edge| !way.edges.contains(edge)).cloned().collect();
        chits::free(context, &lift.core, &given_back)?;
        say::withdraw(context, lift)?;
        lift.avoid = avoid;
        lift.avoid.extend(given_back.into_iter().map(|edge| edge.tally));
        (lift.edges, lift.top) = (way.edges, Some(exit));
        return Ok(true);
    }
    Ok(false)
}

/// Tallies that this way must not use: those of other ways of the same lift through this site, those it has
/// given back, and `more`.
fn used(context: &mut Context<'_>, lift: &Lift, more: &[String]) -> Result<Vec<String>, Fault> {
    let name = lift.name();
    let others = store::segments(context, &name.hash)?.into_iter().filter(|other| other.name() != name);
    let edges = others.flat_map(|other| other.edges.into_iter().map(|edge| edge.tally).chain(other.avoid));
    let all: BTreeSet<String> = edges.chain(lift.avoid.iter().cloned()).chain(more.iter().cloned()).collect();
    Ok(all.into_iter().collect())
}

/// L27, L28: reads the plan and, where the lift goes back to its originator, extends the way there.
fn read_plan(context: &mut Context<'_>, lift: &mut Lift) -> Result<(), Fault> {
    let verdict = match plan::read(context, &lift.core)? {
        Ok(None) => Ok(()),
        Ok(Some(Plan::Payment { payor, reference, memo, sign })) => {
            let other = Some(Chad { cuid: Some(payor), ..lift.core.org().clone() });
            lift.payment = Payment { user: None, other, memo, reference, sign };
            Ok(())
        }
        Ok(Some(Plan::Circle { user })) => {
            let closing = Chad { cuid: Some(user), ..lift.core.org().clone() };
            close(context, lift, &closing)?
        }
        Err(why) => Err(why),
    };
    match verdict {
        Ok(()) => {
            if lift.top.is_none() {
                lift.payment.user = lift.core.find().cuid.clone();
            }
            rules::step(context, lift, Happening::PlanGood, &Facts::default()).map(drop)
        }
        Err(why) => {
            let facts = Facts { why: Some(why), ..Facts::default() };
            rules::step(context, lift, Happening::PlanBad, &facts).map(drop)
        }
    }
}

/// Extends the reservation from the destination's user over the closing tally, and pledges on it.
fn close(context: &mut Context<'_>, lift: &mut Lift, closing: &Chad) -> Result<Result<(), String>, Fault> {
    let find = lift.core.find().cuid.clone().unwrap_or_default();
    let mut avoid = used(context, lift, &[])?;
    avoid.extend(lift.edges.iter().map(|edge| edge.tally.clone()));
    // PROTOCOL 7.3: a way enters no user twice.
    let entered: BTreeSet<&String> =
        lift.edges.iter().flat_map(|edge| &edge.halves).filter(|user| **user != find).collect();
    let units = Some(lift.core.units());
    for way in paths::find(context, From::User(&find), closing, units, &avoid)? {
        let Some(exit) = way.exit(context)?.filter(|exit| exit.partner.same_party(closing)) else { continue };
        let again = way.edges.iter().flat_map(|edge| &edge.halves).any(|user| entered.contains(user));
        if again || chits::reserve(context, &lift.core, &way.edges)?.is_err() {
            continue;
        }
        let Some(last) = way.edges.last() else { continue };
        lift.given = Some(chits::own_pledge(context, &lift.core, last)?);
        (lift.edges, lift.top) = ([lift.edges.clone(), way.edges].concat(), Some(exit));
        return Ok(Ok(()));
    }
    Ok(Err("capacity".to_owned()))
}
