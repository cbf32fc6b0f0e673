//! Carries out the table: one request, at most one answer, and the ruling written in the same event
//! (PROTOCOL 10.4: durable before it is answered; a host lets answers out after the commit).

use crate::clock::Reading;
use crate::limits;
use crate::office;
use crate::policy::{Policy, Service};
use crate::request::{Request, Subject};
use crate::store::{self, Book, Proof, Ruling};
use crate::table::{Act, Guard, Rule, State, rows};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::cell::OnceCell;
use tallyho_plugin::fault::STRIKE;
use tallyho_plugin::record::{AgentId, CanonError, LiftCore};
use tallyho_plugin::services::LogLevel;
use tallyho_plugin::{Context, Fault};

/// Answers a request: the object of `lift/status`, or `None` where there is no answer.
///
/// # Errors
/// The host's faults; a refusal of code [`STRIKE`] where the sender has earned one.
pub fn answer(policy: &impl Policy, request: &Request, context: &mut Context<'_>) -> Result<Option<Value>, Fault> {
    let book = store::book(context)?;
    let reading = Reading::take(policy, context.now(), book.latest);
    let ruling = match request.hash() {
        Some(hash) => store::ruling(context, hash)?,
        None => None,
    };
    let own = context.site()?.agent;
    let case = Case { policy, request, book, reading, ruling, own, consent: OnceCell::new() };
    let rule = case.rule(context)?;
    case.carry_out(rule, context)
}

/// Everything that a request's answer depends on.
struct Case<'a, P> {
    policy: &'a P,
    request: &'a Request,
    book: Book,
    reading: Reading,
    ruling: Option<Ruling>,
    own: AgentId,
    /// The text of a good ruling, and of the consent to it.
    consent: OnceCell<String>,
}

impl<P: Policy> Case<'_, P> {
    fn rule(&self, context: &mut Context<'_>) -> Result<&'static Rule, Fault> {
        let state = self.ruling.as_ref().map_or(State::None, Ruling::state);
        for rule in rows(state, self.request.kind) {
            let holds = match rule.guard {
                None => true,
                Some(guard) => self.holds(guard, context)?,
            };
            if holds {
                return Ok(rule);
            }
        }
        // The test of the table proves that it has a row for every pair.
        Err(Fault::failed(format!("no rule for {:?} in state {state:?}", self.request.kind)))
    }

    fn holds(&self, guard: Guard, context: &mut Context<'_>) -> Result<bool, Fault> {
        let Subject::Lift { core, signed, .. } = &self.request.subject else {
            return Ok(guard == Guard::Malformed && matches!(self.request.subject, Subject::Malformed(_)));
        };
        Ok(match guard {
            Guard::Malformed => false,
            Guard::Foreign => core.referee().agent != self.own,
            Guard::Expired => self.reading.is_past(core.expires()),
            Guard::Doubtful => !self.reading.certain,
            Guard::Forged => {
                let text = self.text(core, true)?;
                !context.verify_agent(&core.org().agent, text.as_bytes(), signed)
            }
            Guard::Early => core.date() > self.reading.now.plus(limits::AHEAD),
            Guard::Declined => self.service(core).is_err(),
        })
    }

    /// Whether the lift may be ruled good; otherwise the `err` of the answer, `None` for silence.
    fn service(&self, core: &LiftCore) -> Result<(), Option<&'static str>> {
        let now = self.reading.now;
        let term = self.policy.term(now);
        // PROTOCOL 10.5: what was published once is kept.
        if now < term.from || core.expires() > term.to.max(self.book.promised) {
            return Err(Some("term"));
        }
        if core.canonical().len() > limits::LIFT_BYTES {
            return Err(Some("size"));
        }
        if !office::is_open::<P>(&self.book) && core.org().agent != self.own {
            return Err(Some("policy"));
        }
        match self.policy.serve(core, now) {
            Service::Silence => Err(None),
            Service::Pend => Err(Some("policy")),
            Service::Rule if self.book.goods_at(now) >= self.policy.hourly() => Err(Some("busy")),
            Service::Rule => Ok(()),
        }
    }

    fn carry_out(self, rule: &Rule, context: &mut Context<'_>) -> Result<Option<Value>, Fault> {
        match rule.act {
            Act::Drop => Ok(None),
            Act::Strike => {
                context.metric("forged", 1);
                let lift = self.request.lift().unwrap_or_default();
                Err(Fault::refused(format!("lift {lift}: the signature is not the originator's")).code(STRIKE))
            }
            Act::Repeat => Ok(self.ruling.as_ref().and_then(|ruling| Some(ruled(self.request.hash()?, ruling)))),
            Act::Pend(err) => Ok(self.pending(err)),
            Act::Decline => {
                context.metric("declined", 1);
                match &self.request.subject {
                    Subject::Lift { core, .. } => {
                        Ok(self.service(core).err().flatten().and_then(|err| self.pending(Some(err))))
                    }
                    _ => Ok(None),
                }
            }
            Act::RuleGood => self.make(true, context),
            Act::RuleVoid => self.make(false, context),
        }
    }

    fn make(self, valid: bool, context: &mut Context<'_>) -> Result<Option<Value>, Fault> {
        let Subject::Lift { core, hash, signed: consent } = &self.request.subject else { return Ok(None) };
        let text = self.text(core, valid)?;
        let at = if valid { self.reading.now } else { self.reading.used_past(core.expires()) };
        let proof = valid.then(|| Proof { core: core.value().clone(), signed: consent.clone() });
        let ruling = Ruling {
            lift: core.uuid().to_owned(),
            valid,
            signed: context.sign_agent(text.as_bytes())?,
            at,
            expires: core.expires(),
            units: core.units(),
            proof,
        };
        store::add(context, self.policy, hash, &ruling, self.book)?;
        context.metric(if valid { "good" } else { "void" }, 1);
        if let Some(line) = self.policy.log(core, valid) {
            context.log(LogLevel::Info, &line);
        }
        Ok(Some(ruled(hash, &ruling)))
    }

    /// What a ruling signs.
    fn text(&self, core: &LiftCore, valid: bool) -> Result<Cow<'_, str>, Fault> {
        let text = || core.valid_text(valid).map_err(unwritable);
        if !valid {
            return text().map(Cow::from);
        }
        let kept = match self.consent.get() {
            Some(kept) => kept,
            None => {
                let made = text()?;
                self.consent.get_or_init(|| made)
            }
        };
        Ok(Cow::from(kept.as_str()))
    }

    /// `status` of what is not ruled on.
    fn pending(&self, err: Option<&str>) -> Option<Value> {
        let (lift, hash, now) = (self.request.lift()?, self.request.hash()?, self.reading.now.text());
        let mut status = json!({ "lift": lift, "hash": hash, "pend": true, "now": now });
        if let Some(err) = err {
            status["err"] = err.into();
        }
        Some(status)
    }
}

/// `status` of what is ruled on.
fn ruled(hash: &str, ruling: &Ruling) -> Value {
    json!({ "lift": ruling.lift, "hash": hash, "valid": ruling.valid, "signed": ruling.signed })
}

/// Never for a core that was read.
fn unwritable(error: CanonError) -> Fault {
    Fault::failed(error.to_string())
}
