//! What a lift handler has done to the tallies of a lift (PROTOCOL 9.4, C18 to C20): each call is a whole
//! set, and happens on all its tallies or on none.
//!
//! A refusal is an answer here, no fault: a fault would be the caller's event's too, and a lift handler
//! that is told why can still answer its own partner.

use crate::desk::Desk;
use crate::errors::{Refusal, refused};
use crate::rules::{self, Input};
use crate::state::State;
use crate::table::Happening;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tallyho_plugin::record::{ChitDraft, ChitRecord, ChitType, LiftCore, Pledge, Side, Timestamp};
use tallyho_plugin::{Command, Context, Fault};

/// A lift's part on one half of this site.
#[derive(Deserialize)]
struct Item {
    user: String,
    tally: String,
    /// The side that pays.
    #[serde(default)]
    by: Option<Side>,
    /// The signature of its agent's pledge.
    #[serde(default)]
    pledge: Option<String>,
}

#[derive(Deserialize)]
struct Reserve {
    lift: String,
    date: String,
    units: i64,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Complete {
    /// L itself.
    lift: Value,
    /// The referee's ruling.
    sign: String,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct GiveBack {
    lift: String,
    items: Vec<Item>,
}

/// `lift.reserve {lift, date, units, items: [{user, tally, by}]}` (C18).
///
/// # Errors
/// What is malformed.
pub fn reserve(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Reserve { lift, date, units, items } = command.arguments()?;
    let date = Timestamp::parse_any(&date).map_err(|error| Fault::usage(format!("date: {error}")))?;
    let chits = items.iter().map(|item| {
        let draft = ChitDraft {
            tally: item.tally.clone(),
            by: side(item)?,
            kind: ChitType::Lift,
            uuid: lift.clone(),
            date,
            units: Some(units),
            reference: None,
            memo: None,
        };
        Ok(Some(draft.finish().map_err(Refusal::from)?))
    });
    let chits: Vec<Option<ChitRecord>> = chits.collect::<Result<_, Fault>>()?;
    whole(context, &lift, &items, &chits, Happening::LiftReserved)
}

/// `lift.complete {lift: L, sign, items: [{user, tally, by, pledge}]}` (C19).
///
/// # Errors
/// What is malformed.
pub fn complete(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Complete { lift, sign, items } = command.arguments()?;
    let core = LiftCore::parse(lift).map_err(Refusal::from)?;
    let mut chits = Vec::new();
    for item in &items {
        let by = side(item)?;
        let agent = match Desk::open(context, &item.user, &item.tally)? {
            Some(desk) => desk.party.agent(by).clone(),
            // Refused by name below.
            None => context.site()?.agent,
        };
        let mut pledge = Pledge::new(agent, by, &core, &item.tally);
        pledge.sign = item.pledge.clone().unwrap_or_default();
        chits.push(Some(ChitRecord::of_lift(&core, &pledge).map_err(Refusal::from)?.signed(&sign)));
    }
    whole(context, core.uuid(), &items, &chits, Happening::LiftGood)
}

/// `lift.void {lift, items: [{user, tally}]}` (C20). A half without such a reservation is none to give back.
///
/// # Errors
/// What is malformed.
pub fn void(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let GiveBack { lift, items } = command.arguments()?;
    let nothing = items.iter().map(|_| None).collect::<Vec<_>>();
    whole(context, &lift, &items, &nothing, Happening::LiftVoid)
}

/// Does it on all halves, or, where one refuses, on none.
fn whole(
    context: &mut Context<'_>,
    lift: &str,
    items: &[Item],
    chits: &[Option<ChitRecord>],
    on: Happening,
) -> Result<Value, Fault> {
    let mut seen = BTreeSet::new();
    let mut refusals = Vec::new();
    for (item, chit) in items.iter().zip(chits) {
        let twice = !seen.insert((&item.user, &item.tally));
        let verdict = match twice {
            true => Err(Refusal::Twice(item.tally.clone())),
            false => on_half(context, lift, item, chit.as_ref(), on, false)?.map(drop),
        };
        if let Err(refusal) = verdict {
            let fault = Fault::from(refusal);
            let (user, tally) = (&item.user, &item.tally);
            refusals.push(json!({ "user": user, "tally": tally, "code": fault.code, "text": fault.text }));
        }
    }
    if !refusals.is_empty() {
        return Ok(json!({ "lift": lift, "done": false, "refused": refusals }));
    }
    let mut done = Vec::new();
    for (item, chit) in items.iter().zip(chits) {
        let state = on_half(context, lift, item, chit.as_ref(), on, true)?;
        // Each half was asked before, and no two items are about the same.
        let state = state.map_err(|refusal| Fault::failed(format!("lift {lift}: {refusal}")))?;
        done.push(json!({ "user": item.user, "tally": item.tally, "state": state }));
    }
    Ok(json!({ "lift": lift, "done": true, "items": done }))
}

/// Does it on one half, or only says whether it could be done: the state code then or now.
fn on_half(
    context: &mut Context<'_>,
    lift: &str,
    item: &Item,
    chit: Option<&ChitRecord>,
    on: Happening,
    really: bool,
) -> Result<Result<String, Refusal>, Fault> {
    let Some(mut desk) = Desk::open(context, &item.user, &item.tally)? else {
        return Ok(Err(Refusal::NotOpen(item.tally.clone())));
    };
    let stored = desk.entry(lift)?;
    let state = State::of(stored.as_ref(), desk.side());
    if on == Happening::LiftVoid && state == State::None {
        return Ok(Ok(State::None.code().to_owned()));
    }
    let input = chit.map_or(Input::Nothing, Input::Chit);
    if !really {
        return Ok(match rules::possible(&mut desk, lift, stored, on, input)? {
            Ok(()) => Ok(state.code().to_owned()),
            Err(why) => Err(refused(lift, state, on, why)),
        });
    }
    let outcome = rules::step(&mut desk, lift, stored, on, input)?;
    let (Some(_), Some(entry)) = (outcome.rule, outcome.entry) else {
        return Ok(Err(refused(lift, state, on, outcome.why)));
    };
    let code = entry.code(desk.side());
    desk.close()?;
    Ok(Ok(code))
}

fn side(item: &Item) -> Result<Side, Fault> {
    item.by.ok_or_else(|| Fault::usage(format!("items: tally {} has no `by`; give stock or foil", item.tally)))
}
