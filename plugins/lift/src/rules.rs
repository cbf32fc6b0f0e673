//! The table at work: finds the row that applies to one lift, does its effects, enters its state.

use crate::record::{Lift, Name, Role, Ruling};
use crate::state::State;
use crate::store::{self, Tomb};
use crate::table::{Effect, Guard, Happening, Rule, rows};
use crate::{asking, chits, clock, invariants, limits, notices, paths, referees, say};
use tallyho_plugin::record::Pledge;
use tallyho_plugin::{Context, Fault, Message};

/// What is known when something happens.
#[derive(Default)]
pub struct Facts<'a> {
    /// The guards that hold.
    pub holds: Vec<Guard>,
    /// A ruling that verifies.
    pub ruling: Option<Ruling>,
    /// The message that says it.
    pub message: Option<&'a Message>,
    /// Why, in the words of PROTOCOL 9.2 or for a person.
    pub why: Option<String>,
    /// The answer given before, of a tombstone.
    pub tomb: Option<Tomb>,
}

impl<'a> Facts<'a> {
    /// Something that a message says.
    pub fn of(message: &'a Message) -> Self {
        Facts { message: Some(message), ..Facts::default() }
    }

    /// Guards that hold.
    #[must_use]
    pub fn holding(mut self, guards: &[Guard]) -> Self {
        self.holds.extend(guards);
        self
    }
}

/// Applies the first fitting row of the table to a lift and makes it durable; the row, or `None` where
/// nothing has changed. `lift` is what it becomes, members that the caller has filled in included.
///
/// # Errors
/// The host's faults; `Failed` where an invariant of PROTOCOL 9.7 would not hold: the event then has no effect.
pub fn step(
    context: &mut Context<'_>,
    lift: &mut Lift,
    on: Happening,
    facts: &Facts<'_>,
) -> Result<Option<&'static Rule>, Fault> {
    let holds = |rule: &&Rule| rule.guards.iter().all(|guard| facts.holds.contains(guard));
    let Some(rule) = rows(lift.state, on).find(holds) else { return Ok(None) };
    let stored = store::lift(context, &lift.name())?;
    let before = lift.state;
    if let Some(ruling) = &facts.ruling
        && !before.is_final()
    {
        lift.ruling = Some(ruling.clone());
    }
    for effect in rule.effects {
        carry_out(context, lift, *effect, rule, facts)?;
    }
    if let Some(next) = rule.next {
        lift.state = next;
        lift.since = context.now();
    }
    if lift.state == State::Tombstone {
        return Ok(Some(rule));
    }
    invariants::check(stored.as_ref(), lift, rule)?;
    store::put(context, lift, stored.map_or(State::None, |stored| stored.state))?;
    clock::set(context, lift)?;
    Ok(Some(rule))
}

/// Applies the ruling, which verifies, to every way of this lift through the site.
///
/// # Errors
/// As for [`step`].
pub fn ruled(context: &mut Context<'_>, hash: &str, facts: &Facts<'_>) -> Result<(), Fault> {
    let Some(ruling) = &facts.ruling else { return Ok(()) };
    for mut lift in store::segments(context, hash)? {
        answered(context, &mut lift)?;
        let waits = lift.ruling.as_ref().filter(|_| !lift.state.is_final());
        if waits.is_some_and(|first| first.valid != ruling.valid) {
            // L38, though the first one waits for the transport's word yet.
            referees::contradicts(context, &mut lift, Some(ruling))?;
            store::put(context, &lift, lift.state)?;
            continue;
        }
        if ruling.valid && lift.awaits_word() {
            lift.ruling = Some(ruling.clone());
            store::put(context, &lift, lift.state)?;
            continue;
        }
        let on = Happening::ruling(ruling.valid);
        let unsent: &[Guard] = if lift.given.is_some() && lift.unsent && !lift.left { &[Guard::Unsent] } else { &[] };
        let facts =
            Facts { holds: unsent.to_vec(), ruling: facts.ruling.clone(), message: facts.message, ..Facts::default() };
        step(context, &mut lift, on, &facts)?;
    }
    Ok(())
}

/// The transport has said what became of our pledge, or never will: a ruling that has waited for that is applied.
///
/// # Errors
/// As for [`step`].
pub fn word_came(context: &mut Context<'_>, lift: &mut Lift) -> Result<(), Fault> {
    let Some(ruling) = lift.ruling.clone().filter(|_| !lift.state.is_final()) else { return Ok(()) };
    store::put(context, lift, lift.state)?;
    let hash = lift.core.hash();
    ruled(context, &hash, &Facts { ruling: Some(ruling), ..Facts::default() })
}

/// An answer from upstream says that the promise has arrived, also where the transport's word is still under
/// way (L5 before L7, L8, L9 and L10).
///
/// # Errors
/// As for [`step`].
pub fn answered(context: &mut Context<'_>, lift: &mut Lift) -> Result<(), Fault> {
    if lift.state != State::InitSeek {
        return Ok(());
    }
    lift.left = true;
    lift.gone = lift.gone.or(Some(context.now()));
    step(context, lift, Happening::PromiseGone, &Facts::default()).map(drop)
}

fn carry_out(
    context: &mut Context<'_>,
    lift: &mut Lift,
    effect: Effect,
    rule: &Rule,
    facts: &Facts<'_>,
) -> Result<(), Fault> {
    match effect {
        Effect::Promise => promise(context, lift),
        Effect::StartExp => {
            lift.exp = clock::overdue(lift);
            Ok(())
        }
        Effect::Free => chits::free(context, &lift.core, &lift.edges),
        Effect::Complete => {
            remind(context, lift, facts.message)?;
            whole(context, lift)
        }
        Effect::CompleteBelow => below(context, lift),
        Effect::Withdraw => say::withdraw(context, lift),
        Effect::Commit => {
            lift.exp = context.now().plus(limits::COMMIT);
            say::commit(context, lift)
        }
        Effect::Ask => asking::begin(context, lift),
        Effect::NextExp => {
            lift.asked = None;
            lift.exp = clock::next_round(context.now(), lift.rounds);
            lift.rounds = lift.rounds.saturating_add(1);
            Ok(())
        }
        Effect::Term => {
            lift.arrival = Some(say::arrival(context, &lift.core)?);
            say::term(context, lift)
        }
        Effect::TermAgain if lift.role == Role::Terminus => say::term(context, lift),
        Effect::TermAgain => Ok(()),
        Effect::Fail => fail(context, lift, rule, facts),
        Effect::FailAgain => {
            let answer = facts.tomb.as_ref().map(|tomb| &tomb.answer).or(lift.answer.as_ref()).cloned();
            reply(context, facts, "fail", answer)
        }
        Effect::PushDown => push(context, lift, false),
        Effect::PushUp => push(context, lift, true),
        Effect::RulingAgain => {
            let ruling = ruling_of(lift)?;
            let action = if ruling.valid { "good" } else { "void" };
            reply(context, facts, action, Some(say::ruled(&lift.core, &ruling)))
        }
        Effect::StatusRuled => {
            let ruling = ruling_of(lift)?;
            reply(context, facts, "status", Some(say::ruled(&lift.core, &ruling)))
        }
        Effect::StatusPend => {
            let now = context.now();
            reply(context, facts, "status", Some(say::pending(&lift.core, now)))
        }
        Effect::RouteGood => paths::tell(context, lift, true),
        Effect::RouteFail => paths::tell(context, lift, false),
        Effect::AskNext => asking::after_pending(context, lift, facts.message),
        Effect::Evidence => referees::contradicts(context, lift, facts.ruling.as_ref()),
        Effect::Notify(reason) => {
            lift.why = facts.why.clone().or(lift.why.take());
            notices::tell(context, lift, reason)
        }
    }
}

/// Our pledge upstream and the message with it. What was promised over another exit has been given back.
fn promise(context: &mut Context<'_>, lift: &mut Lift) -> Result<(), Fault> {
    let (Some(top), Some(edge)) = (&lift.top, lift.edges.last()) else {
        return Err(Fault::failed(format!("lift {}: a promise needs an exit", lift.core.uuid())));
    };
    let mut pledge = Pledge::new(context.site()?.agent, edge.by, &lift.core, top.tally.as_str());
    pledge.sign = context.sign_agent(pledge.text().map_err(chits::unwritable)?.as_bytes())?;
    lift.given = Some(pledge);
    (lift.left, lift.unsent, lift.released) = (false, false, false);
    (lift.gone, lift.repeats, lift.asked) = (None, 0, None);
    lift.exits = lift.exits.saturating_add(1);
    lift.exp = clock::overdue(lift);
    let (now, expires) = (context.now(), lift.core.expires());
    // A relay that cannot reach one exit has to have time for another.
    let until = match lift.role {
        Role::Relay => now.plus(expires.0.saturating_sub(now.0) / limits::EXIT_SHARE),
        _ => expires,
    };
    say::promise(context, lift, until)
}

/// A ruling that anybody but the neighbour upstream has brought does not say that our promise has arrived there. It
/// binds us all the same, so the promise goes once more, before the chit (D-113).
fn remind(context: &mut Context<'_>, lift: &Lift, message: Option<&Message>) -> Result<(), Fault> {
    let (Role::Relay, Some(top)) = (lift.role, &lift.top) else { return Ok(()) };
    // Where it came by a chit, or was here before, that is so only of lifts that have taken too long.
    let known = match message {
        Some(message) => message.from.agent == top.partner.agent,
        None => context.now() < lift.core.expires(),
    };
    if known || !lift.left {
        return Ok(());
    }
    let until = context.now().plus(limits::PUSH);
    say::promise(context, lift, until)
}

/// Everything that was reserved. A circle that its originator had ruled before it was closed has no pledge on
/// the closing tally, and nobody owes anything there, unless the terminus has sent its chit already.
fn whole(context: &mut Context<'_>, lift: &mut Lift) -> Result<(), Fault> {
    let ruling = ruling_of(lift)?;
    let closes = lift.role == Role::Originator && lift.bottom.is_some() && lift.edges.len() > 1;
    if !closes || lift.received.is_some() {
        return chits::complete(context, lift, &lift.edges, &ruling);
    }
    let closing = lift.edges.remove(0);
    if chits::is_good(context, &lift.core, &closing)? {
        chits::complete(context, lift, &lift.edges, &ruling)?;
        lift.edges.insert(0, closing);
        return Ok(());
    }
    chits::free(context, &lift.core, std::slice::from_ref(&closing))?;
    lift.avoid.push(closing.tally);
    chits::complete(context, lift, &lift.edges, &ruling)
}

/// L20b: what downstream has pledged is ours, what we have not pledged upstream is nobody's.
fn below(context: &mut Context<'_>, lift: &mut Lift) -> Result<(), Fault> {
    let ruling = ruling_of(lift)?;
    let find = lift.core.find().cuid.as_ref();
    let covered = match lift.role {
        // As far as the destination's own user.
        Role::Terminus => lift.edges.iter().position(|edge| edge.halves.last() == find).map_or(1, |last| last + 1),
        _ => 1,
    };
    let rest = lift.edges.split_off(covered.min(lift.edges.len()));
    chits::free(context, &lift.core, &rest)?;
    chits::complete(context, lift, &lift.edges, &ruling)?;
    lift.avoid.extend(rest.into_iter().map(|edge| edge.tally));
    lift.given = None;
    Ok(())
}

/// The release downstream. It is remembered before it is said, and not said where it cannot be (I6).
fn fail(context: &mut Context<'_>, lift: &mut Lift, rule: &Rule, facts: &Facts<'_>) -> Result<(), Fault> {
    invariants::may_release(lift)?;
    let Some(bottom) = lift.bottom.clone() else { return Ok(()) };
    let why = facts.why.as_deref().or(lift.why.as_deref());
    let answer = say::release(context, &lift.core, &bottom.tally, why)?;
    if rule.next == Some(State::Tombstone) {
        let until = lift.core.expires().max(context.now()).plus(limits::TOMBSTONE);
        let tomb = Tomb { answer: answer.clone(), until };
        let name = Name { hash: lift.core.hash(), bottom: Some(bottom.tally.clone()) };
        if !store::bury(context, &name, &tomb)? {
            context.metric("unanswered", 1);
            return Ok(());
        }
    }
    say::fail(context, &bottom, &lift.core.hash(), &answer)?;
    lift.answer = Some(answer);
    Ok(())
}

fn push(context: &mut Context<'_>, lift: &Lift, upstream: bool) -> Result<(), Fault> {
    let ruling = ruling_of(lift)?;
    say::push(context, lift, &ruling, upstream)?;
    // PROTOCOL 9.8: who had to ask for it tells both neighbours. A void goes both ways by itself.
    if !upstream && ruling.valid && lift.asked.is_some() {
        say::push(context, lift, &ruling, true)?;
    }
    Ok(())
}

fn reply(
    context: &mut Context<'_>,
    facts: &Facts<'_>,
    action: &str,
    object: Option<serde_json::Value>,
) -> Result<(), Fault> {
    let (Some(message), Some(object)) = (facts.message, object) else { return Ok(()) };
    let mut reply = message.reply(action, &object)?;
    reply.tally = message.tally.clone();
    reply.key = format!("{action} {} {}", object["hash"].as_str().unwrap_or_default(), crate::messages::asker(message));
    context.send(&reply)
}

fn ruling_of(lift: &Lift) -> Result<Ruling, Fault> {
    lift.ruling.clone().ok_or_else(|| Fault::failed(format!("I2: lift {} has no ruling", lift.core.uuid())))
}
