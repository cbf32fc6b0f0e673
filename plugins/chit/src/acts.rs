//! What users do (PROTOCOL 5.6, events U).

use crate::desk::Desk;
use crate::entry::Entry;
use crate::errors::{Refusal, refused};
use crate::half::{Phase, Stat};
use crate::rules::{self, Input};
use crate::state::State;
use crate::table::{Happening, rows};
use crate::{chain, resolve, settings, view};
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::record::limits::MAX_INTEGER;
use tallyho_plugin::record::{ChitDraft, ChitRecord, ChitType, integer, refuse_nulls};
use tallyho_plugin::{Command, Context, Fault};

/// What a new chit says.
#[derive(Deserialize)]
struct New {
    tally: String,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    units: Option<Value>,
    #[serde(default)]
    memo: Option<String>,
    #[serde(default, rename = "ref")]
    reference: Option<Value>,
    /// Settings, of `set` and `draft --set`.
    #[serde(default, alias = "set")]
    settings: Option<Value>,
    /// The refused invoice that `ask` puts anew.
    #[serde(default)]
    again: Option<String>,
}

/// A chit that is there.
#[derive(Deserialize)]
struct Act {
    tally: String,
    uuid: String,
    #[serde(default)]
    user: Option<String>,
    /// Made elsewhere, over what `text` prints.
    #[serde(default)]
    signature: Option<String>,
}

#[derive(Deserialize)]
struct OnTally {
    tally: String,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    signature: Option<String>,
}

/// `pay {tally, units, memo?, ref?, user?}` (C11).
///
/// # Errors
/// The argument at fault; why it cannot be done in this state.
pub fn pay(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    pay_new(context, command.arguments()?)
}

/// The same for an invoice that came out of band: `user` pays over this tally.
///
/// # Errors
/// As for [`pay`].
pub fn pay_as(
    context: &mut Context<'_>,
    user: &str,
    tally: &str,
    units: i64,
    memo: Option<String>,
    reference: Option<Value>,
) -> Result<Value, Fault> {
    let (user, units) = (Some(user.to_owned()), Some(units.into()));
    pay_new(context, New { tally: tally.to_owned(), user, units, memo, reference, settings: None, again: None })
}

fn pay_new(context: &mut Context<'_>, new: New) -> Result<Value, Fault> {
    let mut desk = resolve::desk(context, &new.tally, new.user.as_deref())?;
    let chit = payment(&mut desk, &new, true)?;
    let entry = sign(&mut desk, &chit, None, None)?;
    view::done(desk, chit.uuid(), &entry)
}

/// `ask {tally, units, memo?, ref?, again?, user?}` (C1, C5).
///
/// # Errors
/// As for [`pay`].
pub fn ask(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let new: New = command.arguments()?;
    let mut desk = resolve::desk(context, &new.tally, new.user.as_deref())?;
    let stored = new.again.as_ref().map(|again| resolve::chit(&mut desk, again)).transpose()?;
    let mut chit = payment(&mut desk, &new, false)?;
    if let Some((uuid, _)) = &stored {
        chit = renamed(&chit, uuid)?;
    }
    let entry = act(&mut desk, chit.uuid(), stored.map(|(_, entry)| entry), Happening::UserAsk, Input::Chit(&chit))?;
    view::done(desk, chit.uuid(), &entry)
}

/// `set {tally, settings, user?}` (C11).
///
/// # Errors
/// As for [`pay`]; the setting that breaks its constraint.
pub fn set(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let new: New = command.arguments()?;
    let mut desk = resolve::desk(context, &new.tally, new.user.as_deref())?;
    let chit = changing(&mut desk, new.settings.unwrap_or_default(), new.memo)?;
    let entry = sign(&mut desk, &chit, None, None)?;
    view::done(desk, chit.uuid(), &entry)
}

/// `draft {tally, units?, set?, memo?, ref?, user?}`: what a user with a key elsewhere signs there.
///
/// # Errors
/// As for [`pay`].
pub fn draft(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let new: New = command.arguments()?;
    let mut desk = resolve::desk(context, &new.tally, new.user.as_deref())?;
    let chit = match (&new.units, &new.settings) {
        (Some(_), Some(_)) => {
            return Err(Fault::usage("chit draft: UNITS and --set").fix("give one of them: a payment or settings"));
        }
        (_, Some(settings)) => changing(&mut desk, settings.clone(), new.memo.clone())?,
        _ => payment(&mut desk, &new, true)?,
    };
    let entry = act(&mut desk, chit.uuid(), None, Happening::UserDraft, Input::Chit(&chit))?;
    let text = chit.core_canonical().to_owned();
    let mut answer = view::done(desk, chit.uuid(), &entry)?;
    answer["text"] = text.into();
    Ok(answer)
}

/// `accept {tally, uuid, signature?, user?}`: an invoice (C10) or a draft (C11), as it stands.
///
/// # Errors
/// Why it cannot be done in this state; a signature that does not stand.
pub fn accept(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Act { tally, uuid, user, signature } = command.arguments()?;
    let mut desk = resolve::desk(context, &tally, user.as_deref())?;
    let (uuid, stored) = resolve::chit(&mut desk, &uuid)?;
    ours(&desk, &uuid, &stored)?;
    let chit = stored.record()?;
    if rows(State::of(Some(&stored), desk.side()), Happening::UserPay).next().is_some() && chit.kind() == ChitType::Set
    {
        allowed(&mut desk, chit.reference().unwrap_or(&Value::Null))?;
    }
    let entry = sign(&mut desk, &chit, Some(stored), signature)?;
    view::done(desk, &uuid, &entry)
}

/// `refuse {tally, uuid, user?}`: an invoice (C8), or a draft, which is dropped.
///
/// # Errors
/// Why it cannot be done in this state.
pub fn refuse(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    plain(Happening::UserRefuse, command, context)
}

/// `resend {tally, uuid, user?}` (C14, and what was lost or has stalled).
///
/// # Errors
/// Why it cannot be done in this state.
pub fn resend(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    plain(Happening::UserResend, command, context)
}

/// `mend {tally, user?}`: a person has settled what kept the halves apart (PROTOCOL 6.8).
///
/// # Errors
/// A refusal where there is nothing to mend.
pub fn mend(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let OnTally { tally, user, .. } = command.arguments()?;
    let mut desk = resolve::desk(context, &tally, user.as_deref())?;
    if desk.half.stat != Stat::Broken {
        return Err(Refusal::NotBroken(desk.party.tally).into());
    }
    chain::mend(&mut desk)?;
    let answer = json!({ "tally": desk.party.tally, "half": desk.party.name(), "stat": desk.half.stat });
    desk.close()?;
    Ok(answer)
}

/// `close {tally, user, signature?}`, for `tally close`: a `set` chit that closes (PROTOCOL 4.5, T34). The
/// tally handler reads in the answer what it would otherwise be told: it waits for it.
///
/// # Errors
/// As for [`set`].
pub fn close(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let OnTally { tally, user, signature } = command.arguments()?;
    let mut desk = resolve::desk(context, &tally, user.as_deref())?;
    desk.quiet = command.caller.as_deref() == Some("tally");
    if desk.half.phase == Phase::Closing {
        return Err(Refusal::Closing(desk.party.tally).into());
    }
    let entry;
    let chit = match &signature {
        None => {
            let chit = changing(&mut desk, json!({ "close": true }), None)?;
            entry = sign(&mut desk, &chit, None, None)?;
            chit
        }
        Some(signature) => {
            let (draft, chit) = view::closing_draft(&mut desk, signature)?;
            entry = sign(&mut desk, &chit, Some(draft), Some(signature.clone()))?;
            chit
        }
    };
    view::closed(desk, chit.uuid(), &entry)
}

fn plain(on: Happening, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Act { tally, uuid, user, .. } = command.arguments()?;
    let mut desk = resolve::desk(context, &tally, user.as_deref())?;
    let (uuid, stored) = resolve::chit(&mut desk, &uuid)?;
    if on == Happening::UserRefuse || State::of(Some(&stored), desk.side()) == State::AGood {
        ours(&desk, &uuid, &stored)?;
    }
    let (name, dropped) = (desk.chit_name(&uuid), stored.clone());
    let outcome = rules::step(&mut desk, &uuid, Some(stored), on, Input::Nothing)?;
    match (outcome.rule, outcome.entry) {
        (Some(_), Some(entry)) => view::done(desk, &uuid, &entry),
        // A draft that is no more.
        (Some(_), None) => {
            let answer = json!({ "uuid": uuid, "chit": name, "tally": desk.party.tally, "state": "none",
                "index": null, "hash": dropped.hash(), "wait": ["none"] });
            desk.close()?;
            Ok(answer)
        }
        (None, _) => Err(refused(&uuid, State::of(Some(&dropped), desk.side()), on, outcome.why).into()),
    }
}

/// One step of the table; the refusal where no row applies.
fn act(
    desk: &mut Desk<'_, '_>,
    uuid: &str,
    stored: Option<Entry>,
    on: Happening,
    input: Input<'_>,
) -> Result<Entry, Fault> {
    let state = State::of(stored.as_ref(), desk.side());
    let outcome = rules::step(desk, uuid, stored, on, input)?;
    match (outcome.rule, outcome.entry) {
        (Some(_), Some(entry)) => Ok(entry),
        _ => Err(refused(uuid, state, on, outcome.why).into()),
    }
}

/// Signs a chit of the holder's, or takes the signature handed in, and makes it good (C10 to C13).
fn sign(
    desk: &mut Desk<'_, '_>,
    chit: &ChitRecord,
    stored: Option<Entry>,
    signature: Option<String>,
) -> Result<Entry, Fault> {
    let state = State::of(stored.as_ref(), desk.side());
    if rows(state, Happening::UserPay).next().is_none() {
        return Err(refused(chit.uuid(), state, Happening::UserPay, Vec::new()).into());
    }
    let signature = match signature {
        Some(signature) => signature,
        None => {
            let (holder, tally) = (desk.party.holder.clone(), desk.party.tally.clone());
            let made = desk.context.sign_user(&holder, chit.core_canonical().as_bytes());
            made.map_err(|fault| match (fault.code.as_str(), state) {
                ("custody", State::None) => fault.fix(drafting(chit, &tally)),
                ("custody", _) => fault
                    .fix(format!("sign what `chit text {tally} {}` prints and give it with --signature", chit.uuid())),
                _ => fault,
            })?
        }
    };
    let signed = chit.clone().signed(signature);
    act(desk, chit.uuid(), stored, Happening::UserPay, Input::Chit(&signed))
}

/// How a user whose key is kept elsewhere gets there.
fn drafting(chit: &ChitRecord, tally: &str) -> String {
    let what = match chit.reference() {
        Some(settings) if chit.kind() == ChitType::Set => format!("--set '{settings}'"),
        _ => chit.units().to_string(),
    };
    format!("`chit draft {tally} {what}` prints what to sign; then `chit accept {tally} UUID --signature ...`")
}

/// A new `tran` chit, by the holder's side or the partner's.
fn payment(desk: &mut Desk<'_, '_>, new: &New, own: bool) -> Result<ChitRecord, Fault> {
    let units = new.units.as_ref().unwrap_or(&Value::Null);
    let shown = || if units.is_null() { "missing".to_owned() } else { units.to_string() };
    let units = integer(units).filter(|units| (1..=MAX_INTEGER).contains(units));
    let units = units.ok_or_else(|| Refusal::Units(shown()))?;
    if let Some(reference) = &new.reference {
        refuse_nulls(reference, "ref").map_err(Refusal::from)?;
    }
    let side = desk.side();
    let draft = ChitDraft {
        tally: desk.party.tally.clone(),
        by: if own { side } else { side.other() },
        kind: ChitType::Tran,
        uuid: desk.context.dated_uuid(),
        date: desk.context.now(),
        units: Some(units),
        reference: new.reference.clone(),
        memo: new.memo.clone(),
    };
    Ok(draft.finish().map_err(Refusal::from)?)
}

/// A new `set` chit.
fn changing(desk: &mut Desk<'_, '_>, settings: Value, memo: Option<String>) -> Result<ChitRecord, Fault> {
    allowed(desk, &settings)?;
    let draft = ChitDraft {
        tally: desk.party.tally.clone(),
        by: desk.side(),
        kind: ChitType::Set,
        uuid: desk.context.dated_uuid(),
        date: desk.context.now(),
        units: None,
        reference: Some(settings),
        memo,
    };
    Ok(draft.finish().map_err(Refusal::from)?)
}

/// PROTOCOL 5.7: what our own user may set. A partner's settings that break a constraint are linked and
/// passed over; our own user's are refused before they are signed.
fn allowed(desk: &mut Desk<'_, '_>, change: &Value) -> Result<(), Fault> {
    let both = settings::both(desk)?;
    settings::check(&both[desk.side().as_str()], change).map_err(Fault::from)
}

/// ILI: only the side that a chit is by may sign, refuse or send it.
fn ours(desk: &Desk<'_, '_>, uuid: &str, stored: &Entry) -> Result<(), Fault> {
    if stored.by == desk.side() {
        return Ok(());
    }
    Err(Refusal::OtherSide { chit: uuid.to_owned(), holder: desk.party.holder.clone() }.into())
}

/// The same chit under another uuid.
fn renamed(chit: &ChitRecord, uuid: &str) -> Result<ChitRecord, Fault> {
    let mut record = chit.value().clone();
    record["uuid"] = uuid.into();
    Ok(ChitRecord::parse(record).map_err(Refusal::from)?)
}
