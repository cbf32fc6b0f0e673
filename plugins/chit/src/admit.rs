//! A signed chit on its way into a half, before its place in the chain is known (PROTOCOL 5.3, 6.4, 6.8).

use crate::book;
use crate::desk::Desk;
use crate::entry::{Entry, Status};
use crate::notices;
use crate::store::REFEREES;
use serde::de::IgnoredAny;
use tallyho_plugin::Fault;
use tallyho_plugin::record::{ChitRecord, ChitType};

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
    let before = desk.entry(chit.uuid())?;
    if let Some(known) = before.as_ref().filter(|known| known.status == Status::Good) {
        return Ok(again(desk, chit, known.clone()));
    }
    if let Err(why) = stands(desk, chit) {
        return Ok(Admitted::Invalid(why));
    }
    if let Err(why) = lift_binds(desk, chit, before.as_ref())? {
        return Ok(Admitted::Invalid(why));
    }
    let entry = Entry::new(chit, Status::Good, None, desk.context.now());
    if !book::write(desk, chit.uuid(), before.as_ref(), Some(&entry))? {
        return Ok(Admitted::Invalid("the balance would leave the range of 64 bits".to_owned()));
    }
    notices::binding(desk, chit, &entry, before.as_ref())?;
    Ok(Admitted::New(entry))
}

/// A chit that is good here already: the same, re-signed, or another under its uuid.
fn again(desk: &mut Desk<'_, '_>, chit: &ChitRecord, known: Entry) -> Admitted {
    let same_core = known.core == chit.core_canonical();
    if same_core && known.sign.as_deref() == chit.sign() {
        return Admitted::Known(known);
    }
    match stands(desk, chit) {
        Err(why) => Admitted::Invalid(why),
        Ok(()) if same_core => Admitted::Resigned(known, chit.clone()),
        Ok(()) => Admitted::Conflicting(known),
    }
}

/// Whether the signatures that a chit of this tally needs stand over it (PROTOCOL 5.3).
fn stands(desk: &mut Desk<'_, '_>, chit: &ChitRecord) -> Result<(), String> {
    let (key, agent) = (desk.party.key(chit.by()), desk.party.agent(chit.by()));
    let checks = chit.checks_on(&desk.party.tally, key, agent).map_err(|error| error.to_string())?;
    let members = match chit.kind() {
        ChitType::Tran | ChitType::Set => ["the signature of the paying user", ""],
        ChitType::Lift => ["the referee's ruling", "the issuing agent's pledge"],
    };
    for (check, member) in checks.iter().zip(members) {
        if !desk.context.services().verify(check) {
            return Err(format!("{member} does not stand over it"));
        }
    }
    Ok(())
}

/// What PROTOCOL 9.6 asks of a lift chit beyond its signatures: that we know its referee, and have not
/// taken the pledge back.
///
/// A pledge of ours over this very lift proves that we accepted its referee when we gave it; where the
/// partner pledged, our reservation does.
fn lift_binds(desk: &mut Desk<'_, '_>, chit: &ChitRecord, before: Option<&Entry>) -> Result<Result<(), String>, Fault> {
    if chit.kind() != ChitType::Lift {
        return Ok(Ok(()));
    }
    let ours = chit.by() == desk.side();
    if let Some(reserved) = before.filter(|entry| entry.kind == ChitType::Lift) {
        let same = same_lift(reserved, chit)?;
        match reserved.status {
            Status::Void if ours => return Ok(Err("the pledge was given back to us".to_owned())),
            Status::Pend if !same => return Ok(Err("another lift of this uuid is under way here".to_owned())),
            Status::Pend => return Ok(Ok(())),
            _ if same => return Ok(Ok(())),
            _ => {}
        }
    }
    if ours {
        return Ok(Ok(()));
    }
    let referee = match chit.lift() {
        Ok(lift) => lift.referee().agent.clone(),
        Err(error) => return Ok(Err(error.to_string())),
    };
    let accepted: Option<IgnoredAny> = desk.context.get(REFEREES, &referee.0)?;
    Ok(match accepted {
        Some(_) => Ok(()),
        None => Err(format!("referee {referee} is not accepted here")),
    })
}

/// Whether a reservation is of this lift, as far as a reservation can tell.
fn same_lift(reserved: &Entry, chit: &ChitRecord) -> Result<bool, Fault> {
    Ok(reserved.by == chit.by() && reserved.units == chit.units() && reserved.record()?.date() == chit.date())
}
