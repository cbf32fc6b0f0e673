//! A signed chit on its way into a half, before its place in the chain is known (PROTOCOL 5.3, 6.4, 6.8).

use crate::desk::Desk;
use crate::entry::{Entry, Status};
use crate::errors::Refusal;
use crate::rules::{self, Input};
use crate::store::{LIFTS, key};
use crate::table::{Guard, Happening};
use serde_json::{Value, json};
use tallyho_plugin::Fault;
use tallyho_plugin::record::{ChitRecord, ChitType};
use tallyho_plugin::services::NOT_SERVED;

/// What a signed chit turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Admitted {
    /// Valid and new here (C3, C3b): its row is good, counted in the balance, the user told. It has no link
    /// yet: whoever admitted it either links it or keeps it as loose.
    New(Entry),
    /// Known with the same core and signature (C16).
    Known(Entry),
    /// Known with the same core under another signature that stands as well (6.8): ours is kept, theirs is here.
    Resigned(Entry, ChitRecord),
    /// Known with another core that is signed as well (C17, 6.8). Nothing stored.
    Conflicting(Entry),
    /// Not valid (G1), and why. Nothing stored.
    Invalid(String),
}

/// Judges a signed chit of this tally, whoever brought it, and stores it if it is valid and new.
///
/// # Errors
/// The host's faults.
pub fn admit(desk: &mut Desk<'_, '_>, chit: &ChitRecord) -> Result<Admitted, Fault> {
    let stored = desk.entry(chit.uuid())?;
    let outcome = rules::step(desk, chit.uuid(), stored, Happening::PeerGood, Input::Chit(chit))?;
    Ok(match (outcome.rule, outcome.entry) {
        (Some(rule), Some(entry)) if rule.next.is_some() => {
            if chit.kind() == ChitType::Lift {
                tell_lift(desk, chit)?;
            }
            Admitted::New(entry)
        }
        (Some(rule), Some(entry)) if rule.guards.contains(&Guard::OtherCore) => Admitted::Conflicting(entry),
        (Some(rule), Some(entry)) if rule.guards.contains(&Guard::Valid) => Admitted::Resigned(entry, chit.clone()),
        (Some(_), Some(entry)) => Admitted::Known(entry),
        _ => Admitted::Invalid(reason(&outcome.why)),
    })
}

/// A good lift chit is itself a ruling (PROTOCOL 9.6): the lift handler, where one is loaded, hears of it.
fn tell_lift(desk: &mut Desk<'_, '_>, chit: &ChitRecord) -> Result<(), Fault> {
    let lift = chit.reference().map(|reference| &reference["lift"]);
    let ruling = json!({ "lift": lift, "sign": chit.sign() });
    match desk.context.invoke::<Value>("lift", "ruled", &ruling) {
        Err(fault) if fault.code != NOT_SERVED => Err(fault),
        _ => Ok(()),
    }
}

/// The last thing that did not hold, which is the one that came nearest.
fn reason(why: &[Refusal]) -> String {
    let invalid = why.iter().rev().find(|refusal| matches!(refusal, Refusal::Invalid(_)));
    invalid.or(why.last()).map_or_else(|| "it does not fit what is here".to_owned(), ToString::to_string)
}

/// Whether a chit of this tally is valid (PROTOCOL 5.3), `stored` being what stands under its uuid.
///
/// # Errors
/// The host's faults.
pub fn valid(desk: &mut Desk<'_, '_>, chit: &ChitRecord, stored: Option<&Entry>) -> Result<Result<(), String>, Fault> {
    // A reservation stands for a pledge given: nothing but its own lift's chit may take its place.
    let reserved = stored.filter(|entry| entry.kind == ChitType::Lift && entry.status == Status::Pend);
    if reserved.is_some() && chit.kind() != ChitType::Lift {
        return Ok(Err("its uuid is that of a lift under way".to_owned()));
    }
    match stands(desk, chit) {
        // What binds already needs no second judgement of its lift.
        Ok(()) if stored.is_some_and(|stored| stored.status == Status::Good) => Ok(Ok(())),
        Ok(()) if chit.kind() == ChitType::Lift => lift_binds(desk, chit, stored),
        verdict => Ok(verdict),
    }
}

/// Whether the signatures that a chit of this tally needs stand over it.
///
/// # Errors
/// What is missing or does not match, for a person.
pub fn stands(desk: &mut Desk<'_, '_>, chit: &ChitRecord) -> Result<(), String> {
    let (key, agent) = (desk.party.key(chit.by()), desk.party.agent(chit.by()));
    let checks = chit.checks_on(&desk.party.tally, key, agent).map_err(|error| error.to_string())?;
    let members = match chit.kind() {
        ChitType::Tran | ChitType::Set => ["the user's signature", ""],
        ChitType::Lift => ["the referee's ruling", "the issuing agent's pledge"],
    };
    for (check, member) in checks.iter().zip(members) {
        if !desk.context.services().verify(check) {
            return Err(format!("{member} does not stand over it"));
        }
    }
    Ok(())
}

/// What PROTOCOL 9.6 asks of a lift chit beyond its signatures, where its uuid is that of a lift known here.
///
/// Who its referee is does not matter. Its issuer has named it in the pledge, and is bound by its own word; whoever is
/// paid owes nobody for it, and may never have heard of the lift. Whom this site trusts matters to the lift handler,
/// which takes a pledge to give one of ours for it.
fn lift_binds(desk: &mut Desk<'_, '_>, chit: &ChitRecord, stored: Option<&Entry>) -> Result<Result<(), String>, Fault> {
    let Some(reserved) = stored.filter(|entry| entry.kind == ChitType::Lift) else { return Ok(Ok(())) };
    Ok(match reserved.status {
        Status::Void if chit.by() == desk.side() => Err("the pledge was given back to us".to_owned()),
        Status::Pend if !same_lift(desk, reserved, chit)? => {
            Err("another lift of this uuid is under way here".to_owned())
        }
        _ => Ok(()),
    })
}

/// Whether a reservation is of this lift. It knows no Lh; where a partner has promised, the lift handler does. What we
/// have pledged ourselves, nobody can say in another lift's name.
fn same_lift(desk: &mut Desk<'_, '_>, reserved: &Entry, chit: &ChitRecord) -> Result<bool, Fault> {
    let promised: Option<String> = desk.context.get(LIFTS, key(&[chit.uuid(), &desk.party.tally]))?;
    let same = promised.is_none_or(|hash| chit.lift().is_ok_and(|lift| lift.hash() == hash));
    let fits = reserved.by == chit.by() && reserved.units == chit.units();
    Ok(same && fits && reserved.record()?.date() == chit.date())
}
