//! The table at work: finds the row that applies to one half, does its effects, enters its state.

use crate::chits::Balance;
use crate::errands::{self, Errand, Verb};
use crate::half::Half;
use crate::state::{State, Status};
use crate::table::{Effect, Guard, Happening, Rule, rows};
use crate::{chain, guard, limits, store};
use serde_json::{Value, json};
use std::cmp::Ordering;
use tallyho_plugin::event::Presented;
use tallyho_plugin::record::cert::chad_of;
use tallyho_plugin::record::tally::{Side, TallyRecord};
use tallyho_plugin::record::{Chad, canonical, hash_text};
use tallyho_plugin::services::LogLevel;
use tallyho_plugin::{Context, Fault};

/// What came with a happening.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// Nothing but itself.
    Nothing,
    /// A record drafted (T1) or changed (T2) by the user.
    Content(&'a Half),
    /// The user's signature.
    Signature(&'a str),
    /// A ticket.
    Ticket(&'a Presented),
    /// A partner's record.
    Record(&'a TallyRecord, &'a Chad),
    /// The hash of an acknowledgement.
    Hash(&'a str),
    /// Why the transport has given up.
    Why(&'a str),
}

/// What a happening has come to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The row that applied; `None`: nothing has changed.
    pub rule: Option<&'static Rule>,
    /// The half afterwards.
    pub half: Option<Half>,
    /// Why guards did not hold.
    pub why: Vec<String>,
    /// A signature of ours turned out bad (T8, T20).
    pub bad_signature: bool,
}

/// Applies the first fitting row of the table to `half`, which is `holder`'s, and makes it durable.
///
/// # Errors
/// The host's faults only: a happening that fits nothing is no error here.
pub fn step(
    context: &mut Context<'_>,
    holder: &str,
    half: Option<Half>,
    on: Happening,
    input: Input<'_>,
) -> Result<Outcome, Fault> {
    let state = half.as_ref().map_or(State::None, Half::state);
    let mut turn = Turn { context, holder, before: half, on, input, why: Vec::new() };
    for rule in rows(state, on) {
        let mut holds = true;
        for guard in rule.guards {
            holds = holds && turn.holds(*guard)?;
        }
        if holds {
            return turn.apply(rule);
        }
    }
    Ok(Outcome { half: turn.before, why: turn.why, ..Outcome::default() })
}

/// One happening at one half.
struct Turn<'a, 'c> {
    context: &'a mut Context<'c>,
    holder: &'a str,
    before: Option<Half>,
    on: Happening,
    input: Input<'a>,
    why: Vec<String>,
}

impl Turn<'_, '_> {
    fn holds(&mut self, guard: Guard) -> Result<bool, Fault> {
        let half = self.before.as_ref();
        Ok(match (guard, self.input) {
            (Guard::OneTimeToken, Input::Ticket(ticket)) => !ticket.reuse && !ticket.repeat,
            (Guard::ReusableToken, Input::Ticket(ticket)) => ticket.reuse,
            (Guard::Repeat, Input::Ticket(ticket)) => {
                let party = chad_of(&ticket.cert).ok();
                let same = |partner: Chad| party.is_some_and(|party| party.same_party(&partner));
                (ticket.repeat || ticket.reuse) && half.and_then(Half::partner).is_some_and(same)
            }
            (Guard::PartnerAndAgree, _) => {
                half.is_some_and(|half| half.partner().is_some() && !half.core["agree"].is_null())
            }
            (Guard::BothStored, Input::Signature(_)) => half.is_some_and(|half| half.partner_sign.is_some()),
            (Guard::Acceptable, Input::Record(received, from)) => {
                let holder = Chad::user(self.holder, self.context.site()?.agent);
                let verdict = guard::acceptable(self.context, half, received, &holder, from, self.on)?;
                self.explain(verdict)
            }
            (Guard::Invited, Input::Record(_, from)) => {
                let verdict = invited(self.context, self.holder, from)?;
                self.explain(verdict)
            }
            (Guard::HigherRevision, Input::Record(received, _)) => {
                half.is_some_and(|half| received.revision() > half.revision())
            }
            (Guard::SameOrHigherRevision, Input::Record(received, _)) => {
                half.is_some_and(|half| received.revision() >= half.revision())
            }
            (Guard::NewProposal, Input::Record(received, _)) => {
                let new = half.is_some_and(|half| match received.revision().cmp(&half.revision()) {
                    Ordering::Greater => true,
                    Ordering::Equal => !same_core(half, received),
                    Ordering::Less => false,
                });
                self.explain(if new { Ok(()) } else { Err("it was turned down before".to_owned()) })
            }
            (Guard::TurnedDown, Input::Record(received, _)) => half.is_some_and(|half| same_core(half, received)),
            (Guard::FirstWord, _) => half.is_some_and(|half| !half.revised),
            (Guard::CoreAsOffered, Input::Record(received, _)) => {
                let same = half.is_some_and(|half| same_core(half, received));
                self.explain(if same { Ok(()) } else { Err("it is not what we offered".to_owned()) })
            }
            (Guard::HashAsOurs, Input::Hash(hash)) => half.is_some_and(|half| half.hash.as_deref() == Some(hash)),
            (Guard::NotConfirmed, _) => half.is_some_and(|half| half.conf.is_none()),
            (Guard::NoChits, _) => match half {
                Some(half) => Balance::of(self.context, half)?.is_untouched(),
                None => false,
            },
            (Guard::Closing, _) => half.is_some_and(|half| half.closing),
            (Guard::NotClosing, _) => half.is_some_and(|half| !half.closing),
            (Guard::BothVerify, Input::Record(received, _)) => {
                let both = received.is_signed_by_both();
                let verdict = guard::verified(self.context, received);
                self.explain(if both { verdict } else { Err("a signature is missing".to_owned()) })
            }
            (Guard::SameCore, Input::Record(received, _)) => {
                half.is_some_and(|half| half.hash.as_deref() == Some(received.hash().as_str()))
            }
            (Guard::OtherCore, Input::Record(received, _)) => {
                half.is_some_and(|half| half.hash.as_deref() != Some(received.hash().as_str()))
            }
            (Guard::RecoveryAllowed, _) => {
                let allowed = store::settings(self.context)?.recovery;
                self.explain(if allowed { Ok(()) } else { Err("this site takes no lost tallies back".to_owned()) })
            }
            _ => false,
        })
    }

    fn explain(&mut self, verdict: Result<(), String>) -> bool {
        self.why.extend(verdict.as_ref().err().cloned());
        verdict.is_ok()
    }

    /// The effects of a row, then its state, then what goes out.
    fn apply(mut self, rule: &'static Rule) -> Result<Outcome, Fault> {
        let mut after = self.before.clone();
        for effect in rule.effects {
            self.inner(*effect, &mut after)?;
        }
        if let Some(half) = &mut after {
            enter(half, rule.next, self.context);
        }
        store::save(self.context, self.before.as_ref(), after.as_ref())?;
        let mut outcome = Outcome { rule: Some(rule), half: after, ..Outcome::default() };
        let Some(half) = &outcome.half else { return Ok(outcome) };
        self.settle_timers_and_tokens(half)?;
        for effect in rule.effects {
            outcome.bad_signature |= self.outer(*effect, half)?;
        }
        if outcome.bad_signature {
            // T8, T20: nothing has left; the request and the signature are taken back.
            let taken_back = step(self.context, self.holder, outcome.half, Happening::SignatureBad, Input::Nothing)?;
            return Ok(Outcome { bad_signature: true, ..taken_back });
        }
        // Settling may have changed the row (tokens).
        outcome.half = store::half(self.context, self.holder, &half.uuid.clone())?;
        Ok(outcome)
    }

    /// What changes the half itself.
    fn inner(&mut self, effect: Effect, after: &mut Option<Half>) -> Result<(), Fault> {
        match (effect, self.input, after.as_mut()) {
            (Effect::MakeDraft | Effect::ApplyEdit, Input::Content(content), _) => *after = Some(content.clone()),
            (Effect::StoreOffer | Effect::StoreLost, Input::Record(received, from), _) => {
                let offer = effect == Effect::StoreOffer;
                *after = Some(self.taken_over(received, from, offer));
            }
            (Effect::Remove, _, Some(half)) => {
                forget_tokens(self.context, half)?;
                *after = None;
            }
            (Effect::SetPartner, Input::Ticket(ticket), Some(half)) => {
                set_partner(half, &ticket.cert);
                for token in half.tokens.iter_mut().filter(|token| token.token == ticket.token) {
                    token.live = false;
                }
            }
            (Effect::CloneTemplate, Input::Ticket(ticket), Some(template)) => {
                clone_template(self.context, template, ticket)?;
            }
            (Effect::StoreOwnSignature, Input::Signature(signature), Some(half)) => {
                half.own_sign = Some(signature.to_owned());
            }
            (Effect::ClearOwnSignature, _, Some(half)) => half.own_sign = None,
            (Effect::StorePartnerSignature, Input::Record(received, _), Some(half)) => {
                half.partner_sign = received.sign(half.side.other()).map(str::to_owned);
            }
            (Effect::TakeBack, _, Some(half)) => {
                half.core["revision"] = (half.revision() + 1).into();
                (half.own_sign, half.partner_sign) = (None, None);
            }
            (Effect::Freeze, _, Some(half)) => {
                let text = canonical(&half.core).map_err(|error| Fault::failed(error.to_string()))?;
                half.hash = Some(hash_text(&text));
                half.settings = half.terms();
            }
            (Effect::Unconfirm, _, Some(half)) => (half.conf, half.copies) = (None, 1),
            (Effect::Confirm, _, Some(half)) => half.conf = Some(0),
            (Effect::MarkRevised, _, Some(half)) => half.revised = true,
            (Effect::MarkClosing, _, Some(half)) => half.closing = true,
            (Effect::Stall, Input::Why(why), Some(half)) => half.stalled = Some(why.to_owned()),
            (Effect::Raise, _, Some(half)) => (half.stalled, half.copies) = (None, 0),
            _ => {}
        }
        Ok(())
    }

    /// What others see. Whether a signature of ours has turned out bad.
    fn outer(&mut self, effect: Effect, half: &Half) -> Result<bool, Fault> {
        match effect {
            Effect::Raise => return Ok(!errands::raise(self.context, half)?),
            Effect::OfferAgain => errands::send(self.context, half, Verb::Offer)?,
            Effect::AnswerVoid => errands::send(self.context, half, Verb::Void)?,
            Effect::SendAck => chain::send_ack(self.context, half)?,
            Effect::Unconfirm => errands::repeat_later(self.context, half)?,
            Effect::Alarm => {
                let text = format!("tally {}: the partner sends `open` with another core than ours", half.name());
                self.context.log(LogLevel::Error, &text);
            }
            Effect::Notify(reason) => notify(self.context, half, reason)?,
            _ => {}
        }
        Ok(false)
    }

    /// The half that a partner's record makes: an offer carries the partner's signature alone.
    fn taken_over(&self, received: &TallyRecord, from: &Chad, offer: bool) -> Half {
        // `ok` has found the sender on exactly one side.
        let side = if received.side_of(from) == Some(Side::Stock) { Side::Foil } else { Side::Stock };
        let mut half = Half::new(self.holder, side, received.core(), self.context.now());
        half.partner_sign = received.sign(side.other()).map(str::to_owned);
        if !offer {
            half.own_sign = received.sign(side).map(str::to_owned);
        }
        if let Some(before) = &self.before {
            // The row says which state comes next; T13 stays where it is.
            (half.status, half.request, half.since) = (before.status, before.request, before.since);
            half.tokens = before.tokens.clone();
        }
        half.offered = true;
        half
    }

    fn settle_timers_and_tokens(&mut self, half: &Half) -> Result<(), Fault> {
        let waited = self.before.as_ref().is_some_and(Half::is_unconfirmed);
        let waits = half.status == Status::Open && half.conf.is_none();
        if waited && !waits {
            self.context.cancel_timer(&Errand::of(half, Verb::Open).key())?;
            if let Some((agent, _)) = half.partner_party() {
                self.context.withdraw(&agent, &Errand::of(half, Verb::Open).key())?;
            }
        }
        // PROTOCOL 2.1: any other status than draft kills the tokens.
        if half.status != Status::Draft && half.tokens.iter().any(|token| token.live) {
            let mut half = half.clone();
            for token in half.tokens.iter_mut().filter(|token| token.live) {
                self.context.revoke_ticket(&token.token)?;
                token.live = false;
            }
            store::save(self.context, Some(&half.clone()), Some(&half))?;
        }
        Ok(())
    }
}

/// Tells the holder, in the words of PROTOCOL 4.5.
pub fn notify(context: &mut Context<'_>, half: &Half, reason: &str) -> Result<(), Fault> {
    let notice = json!({
        "about": "tally", "uuid": half.uuid, "user": half.holder, "state": half.state().code(), "reason": reason,
        "partner": half.partner(), "side": half.side, "why": half.stalled,
    });
    context.notice(&half.holder, &without_nulls(notice))
}

/// A copy without null members, one level deep.
pub fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| !member.is_null());
    }
    value
}

/// Stores what the state says. `Open` is whichever open state the flags say.
fn enter(half: &mut Half, next: Option<State>, context: &Context<'_>) {
    let Some((status, request)) = next.and_then(State::stored) else { return };
    if (half.status, half.request) != (status, request) {
        half.since = context.now();
        half.stalled = None;
        half.revised = false;
    }
    (half.status, half.request) = (status, request);
    half.offered |= status != Status::Draft;
}

fn set_partner(half: &mut Half, cert: &Value) {
    let side = half.side.other().as_str();
    half.core[side]["cert"] = cert.clone();
}

/// T5: a draft of its own for this subject, like the template in everything but uuid and partner.
fn clone_template(context: &mut Context<'_>, template: &mut Half, ticket: &Presented) -> Result<(), Fault> {
    if template.clones >= limits::CLONES {
        return Err(Fault::refused(format!(
            "the decal of tally {} has led to {} tallies",
            template.uuid,
            limits::CLONES
        ))
        .fix("make a new one with `ticket new --reuse`"));
    }
    let mut core = template.core.clone();
    core["uuid"] = context.uuid().into();
    core["date"] = context.now().text().into();
    let mut clone = Half::new(&template.holder, template.side, core, context.now());
    set_partner(&mut clone, &ticket.cert);
    store::save(context, None, Some(&clone))?;
    if let Some((agent, cuid)) = clone.partner_party() {
        context.put(store::CLONES, store::key(&[&ticket.token, &agent.0, &cuid]), &clone.uuid)?;
    }
    template.clones += 1;
    notify(context, &clone, "ticket")
}

/// T3: the tokens die with the draft.
fn forget_tokens(context: &mut Context<'_>, half: &Half) -> Result<(), Fault> {
    for token in &half.tokens {
        if token.live {
            context.revoke_ticket(&token.token)?;
        }
        context.delete(store::TOKENS, &token.token)?;
    }
    Ok(())
}

fn same_core(half: &Half, received: &TallyRecord) -> bool {
    canonical(&half.core).is_ok_and(|text| text == received.core_canonical())
}

/// T11 from `none`: our user has presented a ticket to that party, or shares a tally with it (O-27).
fn invited(context: &mut Context<'_>, holder: &str, from: &Chad) -> Result<Result<(), String>, Fault> {
    let invitation = store::invitation(context, holder, from)?;
    let (mut shared, mut waiting) = (false, 0);
    for uuid in store::shared(context, holder, Some(from))? {
        let Some(half) = store::half(context, holder, &uuid)? else { continue };
        shared |= matches!(half.status, Status::Offer | Status::Open | Status::Close);
        waiting += usize::from(half.state() == State::POffer);
    }
    Ok(if invitation.is_none() && !shared {
        Err("our user has neither presented a ticket to the sender nor shares a tally with it".to_owned())
    } else if waiting >= limits::OFFERS_OF_PARTNER {
        Err(format!("{waiting} offers of the sender already wait for our user"))
    } else {
        Ok(())
    })
}
