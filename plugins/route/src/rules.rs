//! The table at work: finds the row that applies to one route, does its effects, enters its state.

use crate::lading::Lading;
use crate::route::{Name, Requester, Route, State, Status};
use crate::table::{Effect, Guard, Happening, Rule, rows};
use crate::{answers, errands, limits, store};
use tallyho_plugin::record::Chad;
use tallyho_plugin::{Context, Fault};

/// Who wants a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who<'a> {
    /// A local user; the empty name is the site itself.
    User(&'a str),
    /// A lift of this user's, or passing through (empty name).
    Lift(&'a str),
    /// A query that came in on this tally of this user.
    Tally(&'a str, &'a str),
}

/// A wish for a route.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// Who has it.
    pub who: Who<'a>,
    /// Hops from where the search began.
    pub step: u64,
    /// The destination as it was named, with hints where it is.
    pub find: &'a Chad,
}

/// What came with a happening.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// Nothing but itself.
    Nothing,
    /// Somebody wants it.
    Demand(Demand<'a>),
    /// What the partner says that it carries.
    Lading(Lading),
}

/// What a happening has come to.
#[derive(Debug)]
pub struct Outcome {
    /// The row that applied; `None`: nothing has changed.
    pub rule: Option<&'static Rule>,
    /// The state afterwards.
    pub state: State,
    /// The lading, where the route is good.
    pub lading: Option<Lading>,
}

/// Applies the first fitting row of the table to a route, and makes it durable.
///
/// # Errors
/// The host's faults only: a happening that fits nothing is no error here.
pub fn step(context: &mut Context<'_>, name: &Name, on: Happening, input: Input<'_>) -> Result<Outcome, Fault> {
    let now = context.now();
    let before = store::route(context, name)?;
    let state = before.as_ref().map_or(State::Absent, |route| route.state(now));
    let holds = |guard: Guard| match (guard, &before) {
        (Guard::TriesLeft, Some(route)) => route.tries < limits::TRIES,
        (Guard::LongAgo, Some(route)) => now > route.since.plus(limits::LIFE),
        (Guard::NotOurOwn, Some(route)) => !route.is_native(),
        (Guard::Unused, Some(route)) => now > route.used.plus(limits::UNUSED),
        (_, None) => false,
    };
    let rule = rows(state, on).find(|rule| rule.guard.is_none_or(holds));
    let Some(rule) = rule else {
        let lading = before.as_ref().and_then(Route::good_lading);
        return Ok(Outcome { rule: None, state, lading });
    };
    let new = before.is_none();
    let mut turn = Turn { context, name, on, input, route: before.unwrap_or_else(|| Route::new(0, now)) };
    turn.apply(rule, new)
}

/// One happening at one route.
struct Turn<'a, 'c> {
    context: &'a mut Context<'c>,
    name: &'a Name,
    on: Happening,
    input: Input<'a>,
    route: Route,
}

impl Turn<'_, '_> {
    fn apply(&mut self, rule: &'static Rule, new: bool) -> Result<Outcome, Fault> {
        let now = self.context.now();
        self.enter(rule.next);
        for effect in rule.effects {
            self.inner(*effect)?;
        }
        if matches!(self.on, Happening::Want | Happening::Query | Happening::PeerGood | Happening::LiftGood) {
            self.route.used = now;
        }
        let kept = (rule.next != Some(State::Absent)).then_some(&self.route);
        store::put_route(self.context, self.name, kept, new)?;
        // Others read the table.
        for effect in rule.effects {
            match effect {
                Effect::TellGood => answers::tell_natives(self.context, self.name, &self.route, "good")?,
                Effect::TellNone => answers::tell_natives(self.context, self.name, &self.route, "none")?,
                _ => {}
            }
        }
        let state = kept.map_or(State::Absent, |route| route.state(now));
        Ok(Outcome { rule: Some(rule), state, lading: self.route.good_lading() })
    }

    fn enter(&mut self, next: Option<State>) {
        let status = match next {
            Some(State::Draft) => Status::Draft,
            Some(State::Pend | State::PendX) => Status::Pend,
            Some(State::Good | State::GoodX) => Status::Good,
            Some(State::None) => Status::None,
            Some(State::Absent) | None => return,
        };
        if self.route.status != status {
            self.route.since = self.context.now();
        }
        self.route.status = status;
    }

    fn inner(&mut self, effect: Effect) -> Result<(), Fault> {
        let now = self.context.now();
        match (effect, self.input) {
            (Effect::Make, Input::Demand(Demand { step, find, .. })) => {
                self.route = Route { at: errands::place(find), ..Route::new(step, now) };
            }
            (Effect::Renew, Input::Demand(Demand { step, find, .. })) => {
                self.route.step = step;
                self.route.at = errands::place(find).or(self.route.at.take());
                self.route.tries = 0;
                self.route.natives.clear();
                self.route.lift = false;
                self.route.requesters.retain(|requester| !requester.good_told && !requester.none_told);
            }
            (Effect::Join, Input::Demand(demand)) => self.join(demand.who),
            (Effect::Ask, _) => {
                self.route.tries += 1;
                self.route.last = now;
                errands::ask(self.context, self.name, &self.route)?;
            }
            (Effect::Await, _) => {
                self.route.last = now;
                errands::wait(self.context, self.name)?;
            }
            (Effect::Stop, _) => errands::stop(self.context, self.name)?,
            (Effect::Store, Input::Lading(lading)) => {
                self.route.lading = lading;
                self.route.good_date = Some(now);
            }
            (Effect::TellGood, _) => answers::good(self.context, self.name, &mut self.route)?,
            (Effect::TellNone, _) => answers::none(self.context, self.name, &mut self.route)?,
            (Effect::CountLift, _) => {
                self.route.lift_date = Some(now);
                self.route.lift_count += 1;
            }
            _ => {}
        }
        Ok(())
    }

    fn join(&mut self, who: Who<'_>) {
        match who {
            Who::User(user) => {
                self.route.natives.insert(user.to_owned());
            }
            Who::Lift(user) => {
                self.route.natives.insert(user.to_owned());
                self.route.lift = true;
            }
            Who::Tally(user, tally) => {
                let asked = |requester: &Requester| requester.user == user && requester.tally == tally;
                // A new query: it may be answered once more.
                self.route.requesters.retain(|requester| !asked(requester));
                if self.route.requesters.len() >= limits::REQUESTERS {
                    self.route.requesters.remove(0);
                }
                let (user, tally) = (user.to_owned(), tally.to_owned());
                self.route.requesters.push(Requester { user, tally, good_told: false, none_told: false });
            }
        }
    }
}
