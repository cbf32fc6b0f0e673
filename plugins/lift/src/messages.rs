//! Messages about lifts on record (PROTOCOL 9.2); a `promise` is dealt with by [`crate::promise`].

use crate::record::{Lift, Name, Role, Ruling};
use crate::rules::{self, Facts};
use crate::state::State;
use crate::table::{Guard, Happening};
use crate::{asking, chits, originate, promise, referees, store};
use serde::Deserialize;
use serde_json::Value;
use tallyho_plugin::fault::STRIKE;
use tallyho_plugin::record::{Arrival, LiftCore, Pledge, Release};
use tallyho_plugin::{Context, Fault, Message};

/// The hash, and what `status`, `good` and `void` add. The uuid beside it says nothing that the hash does not.
#[derive(Deserialize)]
struct Said {
    hash: String,
    #[serde(default)]
    valid: Option<bool>,
    #[serde(default)]
    signed: Option<String>,
}

/// The object of `fail`.
#[derive(Deserialize)]
pub(crate) struct Failed {
    lift: String,
    hash: String,
    #[serde(default)]
    why: Option<String>,
    pub(crate) release: Release,
}

/// The object of `term`.
#[derive(Deserialize)]
pub(crate) struct Arrived {
    lift: String,
    hash: String,
    pub(crate) term: Arrival,
    #[serde(default)]
    pub(crate) pledge: Option<Pledge>,
}

/// A message for the handler's one target.
///
/// # Errors
/// Why it has no effect; the host's faults.
pub fn message(message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
    if message.restricted && !message.asked {
        on_record(message, context)?;
    }
    match message.action.as_str() {
        "promise" => promise::promise(message, context),
        "fail" => fail(message, context),
        "term" => term(message, context),
        "check" => check(message, context),
        "commit" => for_referee(message, context),
        "good" | "void" | "status" => ruling(message, context),
        _ => Ok(()),
    }
}

/// PROTOCOL 9.8: of strangers, what concerns no lift on record here is not taken, and their channel is closed. What
/// is for a referee at this site, that one judges.
fn on_record(message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
    let known = match message.action.as_str() {
        "good" | "void" | "status" | "term" => !store::segments(context, &message.object::<Said>()?.hash)?.is_empty(),
        _ => true,
    };
    match known {
        true => Ok(()),
        false => Err(Fault::refused("the lift is not on record here").code("unknown")),
    }
}

/// Who came, as a part of an answer's name in the outbox: a later answer to the same one takes its place.
pub fn asker(message: &Message) -> String {
    format!("{} {}", message.from.cuid.as_deref().unwrap_or("-"), message.tally.as_deref().unwrap_or("-"))
}

/// L7, L26: the release of the pledge on our top tally.
fn fail(message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
    let (Some(tally), Failed { lift: uuid, hash, why, release }) = (&message.tally, message.object()?) else {
        return Ok(());
    };
    // A chit may have told of a ruling in the event before: what it has made good cannot be given back.
    asking::heard(context, &hash)?;
    for mut lift in store::segments(context, &hash)? {
        let ours = lift.top.as_ref().is_some_and(|top| {
            top.tally == *tally && top.partner.same_party(&message.from) && message.to.cuid.as_ref() == Some(&top.user)
        });
        if !ours || lift.core.uuid() != uuid {
            continue;
        }
        let fits = lift.given.is_some() && release.hash == hash && release.tally == *tally;
        if !fits || release.agent != message.from.agent || !stands(context, release.check())? {
            return Err(
                Fault::refused(format!("lift {uuid}: the release on tally {tally} does not stand")).code(STRIKE)
            );
        }
        rules::answered(context, &mut lift)?;
        if rows_hold(&lift, Happening::PeerFail) {
            if lift.awaits_word() && lift.ruling.is_some() {
                // L20b: the pledge is back, and the ruling is here already.
                (lift.released, lift.unsent) = (true, true);
                rules::word_came(context, &mut lift)?;
                continue;
            }
            lift.released = true;
            let mut facts = Facts::of(message).holding(&[Guard::Given]);
            facts.why = why.clone();
            let swaps = matches!(lift.state, State::DraftRelay | State::Pend | State::PendCheck);
            if swaps {
                crate::paths::tell(context, &lift, false)?;
            }
            if swaps && promise::other_exit(context, &mut lift)? {
                facts = facts.holding(&[Guard::OtherExit]);
            }
            let next = match lift.role {
                Role::Originator => originate::instead(context, &lift)?,
                _ => None,
            };
            // A payor is not told that it is over where it goes on.
            let payment = next.as_ref().filter(|next| next.bottom.is_none());
            lift.instead = payment.map(|next| next.core.uuid().to_owned());
            rules::step(context, &mut lift, Happening::PeerFail, &facts)?;
            if let Some(next) = next {
                originate::begin_instead(context, &mut lift, next)?;
            }
        }
    }
    Ok(())
}

/// L8: the destination's word that the lift has arrived.
fn term(message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
    let Arrived { lift: uuid, hash, term, pledge } = message.object()?;
    // Over the closing tally where it comes back to us, over none where it does not (PROTOCOL 9.2).
    let name = Name { hash: hash.clone(), bottom: message.tally.clone() };
    let Some(mut lift) = store::lift(context, &name)?.filter(|lift| lift.core.uuid() == uuid) else { return Ok(()) };
    if lift.role != Role::Originator {
        return Ok(());
    }
    let arrived = term.agent == lift.core.find().agent && term.hash == hash && stands(context, term.check())?;
    if !arrived {
        return Err(Fault::refused(format!("lift {uuid}: the arrival is not its destination's")).code(STRIKE));
    }
    let mut facts = Facts::of(message);
    if closes(context, message, &lift, pledge.as_ref())? && context.now() < lift.core.expires() {
        facts = facts.holding(&[Guard::Arrived]);
        rules::answered(context, &mut lift)?;
        if rows_hold(&lift, Happening::PeerTerm) {
            lift.arrival = Some(term);
            lift.received = pledge.filter(|_| lift.bottom.is_some());
        }
    }
    if lift.bottom.is_none() {
        // PROTOCOL 9.8: where its terminus can be told. The agent is the one that has signed.
        lift.terminus =
            Some(tallyho_plugin::record::Chad { agent: lift.core.find().agent.clone(), ..message.from.clone() });
    }
    if rules::step(context, &mut lift, Happening::PeerTerm, &facts)?.is_some() && lift.state == State::SeekCall {
        let mut facts = Facts::default();
        if context.now() < lift.core.expires() {
            facts = facts.holding(&[Guard::InTime]);
        }
        rules::step(context, &mut lift, Happening::Decide, &facts)?;
    }
    Ok(())
}

/// Whether the closing pledge covers our bottom tally; a linear lift needs none.
fn closes(context: &mut Context<'_>, message: &Message, lift: &Lift, pledge: Option<&Pledge>) -> Result<bool, Fault> {
    let Some(bottom) = &lift.bottom else { return Ok(true) };
    let Some(pledge) = pledge else { return Ok(false) };
    let expected = Pledge::new(bottom.partner.agent.clone(), bottom.side.other(), &lift.core, bottom.tally.as_str());
    let fits = Pledge { sign: String::new(), ..pledge.clone() } == expected;
    let from = message.from.same_party(&bottom.partner) && message.to.cuid.as_ref() == Some(&bottom.user);
    Ok(fits && from && stands(context, pledge.check())?)
}

/// `check`: of a neighbour about a lift on record, of anybody about one of ours, of anybody to a referee here.
fn check(message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
    let object: Value = message.object()?;
    let hash = match LiftCore::from_object(&object, &["hash"]) {
        Ok(core) if core.referee().agent == context.site()?.agent => return for_referee(message, context),
        Ok(core) => core.hash(),
        Err(_) => match message.object::<Said>() {
            Ok(said) => said.hash,
            Err(_) => return for_referee(message, context),
        },
    };
    let facts = Facts::of(message);
    // A stranger is no neighbour, whatever tally it names.
    if let Some(tally) = message.tally.as_ref().filter(|_| !message.restricted) {
        for mut lift in store::segments(context, &hash)? {
            let neighbours = lift.neighbours().any(|at| at.tally == *tally && at.partner.same_party(&message.from));
            if neighbours {
                return answer_check(context, &mut lift, facts);
            }
        }
        let name = Name { hash, bottom: Some(tally.clone()) };
        return promise::again(context, message, &name, Happening::PeerCheck);
    }
    let own = context.site()?.agent;
    let ours = store::segments(context, &hash)?.into_iter().find(|lift| lift.core.org().agent == own);
    match ours {
        Some(mut lift) => answer_check(context, &mut lift, facts),
        None => for_referee(message, context),
    }
}

fn answer_check(context: &mut Context<'_>, lift: &mut Lift, facts: Facts<'_>) -> Result<(), Fault> {
    let facts = if lift.answer.is_some() { facts.holding(&[Guard::Answered]) } else { facts };
    rules::step(context, lift, Happening::PeerCheck, &facts).map(drop)
}

/// PROTOCOL 10.3: what is for a referee at this site.
fn for_referee(message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
    let Some(answer) = referees::rule(context, message)? else {
        return match message.restricted {
            true => Err(Fault::refused("nothing here rules on it").code("unknown")),
            false => Ok(()),
        };
    };
    let mut reply = message.reply("status", &answer)?;
    reply.key = format!("status {} {}", answer["hash"].as_str().unwrap_or_default(), asker(message));
    context.send(&reply)
}

/// `good`, `void` and `status`: a ruling proves itself, whoever brings it (PROTOCOL 9.2).
fn ruling(message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
    let Said { hash, valid, signed, .. } = message.object()?;
    match (valid, signed) {
        (Some(valid), Some(signed)) => asking::ruling_came(context, &hash, Ruling { valid, signed }, Some(message)),
        _ => {
            for mut lift in store::segments(context, &hash)? {
                rules::step(context, &mut lift, Happening::PeerPend, &Facts::of(message))?;
            }
            Ok(())
        }
    }
}

/// Whether any row could apply: members of a lift are not filled in for nothing.
fn rows_hold(lift: &Lift, on: Happening) -> bool {
    crate::table::rows(lift.state, on).any(|rule| rule.next.is_some())
}

/// Whether the signature of a statement stands.
pub(crate) fn stands(
    context: &mut Context<'_>,
    check: Result<tallyho_plugin::services::Check, tallyho_plugin::record::CanonError>,
) -> Result<bool, Fault> {
    let check = check.map_err(chits::unwritable)?;
    Ok(context.services().verify(&check))
}
