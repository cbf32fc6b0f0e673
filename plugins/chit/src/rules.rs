//! The table at work: finds the row that applies to one chit, does its effects, enters its state.

use crate::desk::Desk;
use crate::entry::{Entry, Request, Status};
use crate::errands::{self, Verb};
use crate::errors::Refusal;
use crate::half::{Phase, Stat};
use crate::limits;
use crate::state::State;
use crate::table::{Effect, Guard, Happening, Rule, rows};
use crate::{admit, book, chain, notices, sums};
use serde_json::json;
use tallyho_plugin::Fault;
use tallyho_plugin::record::{ChitRecord, ChitType};

/// What came with a happening.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// Nothing but itself.
    Nothing,
    /// A chit: a partner's, or what our user or a lift makes of it.
    Chit(&'a ChitRecord),
    /// Why the transport has given up.
    Why(&'a str),
}

/// What a happening has come to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The row that applied last; `None`: nothing has changed.
    pub rule: Option<&'static Rule>,
    /// The row afterwards.
    pub entry: Option<Entry>,
    /// Why guards did not hold.
    pub why: Vec<Refusal>,
}

/// Applies the first fitting row of the table to a chit, of which `stored` is the row, and makes it durable.
///
/// # Errors
/// The host's faults only: a happening that fits nothing is no error here.
pub fn step(
    desk: &mut Desk<'_, '_>,
    uuid: &str,
    stored: Option<Entry>,
    on: Happening,
    input: Input<'_>,
) -> Result<Outcome, Fault> {
    let current = stored.clone();
    Turn { desk, uuid, stored, input, why: Vec::new() }.meet(current, on)
}

/// Whether a row of the table would apply; nothing is changed.
///
/// # Errors
/// The host's faults.
pub fn possible(
    desk: &mut Desk<'_, '_>,
    uuid: &str,
    stored: Option<Entry>,
    on: Happening,
    input: Input<'_>,
) -> Result<Result<(), Vec<Refusal>>, Fault> {
    let state = State::of(stored.as_ref(), desk.side());
    let mut turn = Turn { desk, uuid, stored, input, why: Vec::new() };
    for rule in rows(state, on) {
        match turn.holds(rule)? {
            Ok(()) => return Ok(Ok(())),
            Err(refusal) => turn.why.push(refusal),
        }
    }
    Ok(Err(turn.why))
}

/// One happening, and those that follow within the same event, at one chit.
struct Turn<'t, 'a, 'c> {
    desk: &'t mut Desk<'a, 'c>,
    uuid: &'t str,
    /// The row in the store.
    stored: Option<Entry>,
    input: Input<'t>,
    why: Vec<Refusal>,
}

impl Turn<'_, '_, '_> {
    fn meet(mut self, current: Option<Entry>, on: Happening) -> Result<Outcome, Fault> {
        for rule in rows(State::of(current.as_ref(), self.desk.side()), on) {
            match self.holds(rule)? {
                Ok(()) => return self.apply(rule, current),
                Err(refusal) => self.why.push(refusal),
            }
        }
        Ok(Outcome { rule: None, entry: self.stored, why: self.why })
    }

    fn holds(&mut self, rule: &Rule) -> Result<Result<(), Refusal>, Fault> {
        for guard in rule.guards {
            if let Err(refusal) = self.guard(*guard)? {
                return Ok(Err(refusal));
            }
        }
        Ok(Ok(()))
    }

    fn guard(&mut self, guard: Guard) -> Result<Result<(), Refusal>, Fault> {
        let Desk { party, half, .. } = &*self.desk;
        let (side, tally) = (party.side, &party.tally);
        let holds = match guard {
            Guard::Takes => half.phase != Phase::Closed,
            Guard::Confirmed => half.conf.is_some(),
            Guard::ByPartner => self.by().is_some_and(|by| by != side),
            Guard::ByUs => self.by() == Some(side),
            Guard::Room => half.invoices < limits::INVOICES,
            Guard::Lifts if half.phase != Phase::Open => return Ok(Err(Refusal::Closing(tally.clone()))),
            Guard::Lifts => half.stat != Stat::Broken,
            Guard::SameCore | Guard::OtherCore | Guard::SameSign => self.compare(guard),
            Guard::SameLift => self.same_lift()?,
            Guard::Invoice => match self.input {
                Input::Chit(chit) => chit.kind() == ChitType::Tran && chit.sign().is_none() && chit.by() == side,
                _ => false,
            },
            Guard::InRange => self.in_range(),
            Guard::Valid => {
                let Input::Chit(chit) = self.input else { return Ok(Err(Refusal::Guard(guard))) };
                let verdict = admit::valid(self.desk, chit, self.stored.as_ref())?;
                return Ok(verdict.map_err(Refusal::Invalid));
            }
        };
        if holds {
            return Ok(Ok(()));
        }
        let tally = tally.clone();
        Ok(Err(match guard {
            Guard::Takes => Refusal::Closed(tally),
            Guard::Confirmed => Refusal::Unconfirmed(tally),
            Guard::Lifts => Refusal::Broken(tally),
            Guard::ByPartner | Guard::ByUs => {
                Refusal::OtherSide { chit: self.uuid.to_owned(), holder: party.holder.clone() }
            }
            Guard::InRange => Refusal::Range { tally, net: half.net },
            Guard::Room => Refusal::Crowded { tally, invoices: half.invoices },
            other => Refusal::Guard(other),
        }))
    }

    /// Whose chit it is.
    fn by(&self) -> Option<tallyho_plugin::record::Side> {
        match self.input {
            Input::Chit(chit) => Some(chit.by()),
            _ => self.stored.as_ref().map(|entry| entry.by),
        }
    }

    fn compare(&self, guard: Guard) -> bool {
        let (Input::Chit(chit), Some(stored)) = (self.input, &self.stored) else { return false };
        match guard {
            Guard::SameCore => stored.core == chit.core_canonical(),
            Guard::OtherCore => stored.core != chit.core_canonical(),
            _ => stored.sign.as_deref() == chit.sign(),
        }
    }

    /// Whether a chit and the one stored are of one lift, and bind the same side by it.
    fn same_lift(&self) -> Result<bool, Fault> {
        let (Input::Chit(chit), Some(stored)) = (self.input, &self.stored) else { return Ok(false) };
        if stored.kind != ChitType::Lift || stored.by != chit.by() {
            return Ok(false);
        }
        let hashes = (stored.record()?.lift().map(|lift| lift.hash()), chit.lift().map(|lift| lift.hash()));
        Ok(matches!(hashes, (Ok(one), Ok(other)) if one == other))
    }

    /// Whether the balance stays exact everywhere, were the chit good.
    fn in_range(&self) -> bool {
        let Input::Chit(chit) = self.input else { return false };
        let good = Entry::new(chit, Status::Good, None, self.desk.context.now());
        let after = sums::counted(&self.desk.half, self.desk.side(), self.stored.as_ref(), Some(&good));
        after.is_some_and(|half| {
            let within = |sum: Option<i64>| sum.is_some_and(|sum| sum.abs() <= limits::BALANCE);
            within(Some(half.net))
                && within(half.net.checked_add(half.lift_in))
                && within(half.net.checked_sub(half.lift_out))
        })
    }

    fn apply(mut self, rule: &'static Rule, current: Option<Entry>) -> Result<Outcome, Fault> {
        let mut after = self.content(rule, current);
        if let (Some(entry), Some((status, request))) = (&mut after, rule.next.and_then(State::stored)) {
            (entry.status, entry.request) = (status, request);
        }
        match (rule.next, after.as_ref(), self.input) {
            // C10, C11: the signature is looked at before anything is written (C12, C13).
            (Some(State::LPendGood), Some(_), Input::Chit(chit)) => {
                let stands = admit::stands(self.desk, chit).is_ok();
                let on = if stands { Happening::SignatureGood } else { Happening::SignatureBad };
                return self.meet(after, on);
            }
            // C12, told to the user at once: nothing of the act is kept.
            (Some(State::LPend), Some(_), _) if rule.on == Happening::SignatureBad => {
                let (chit, holder) = (self.uuid.to_owned(), self.desk.party.holder.clone());
                self.why.push(Refusal::BadSignature { chit, holder });
                return Ok(Outcome { rule: None, entry: self.stored, why: self.why });
            }
            // C14: what goes into the host's outbox is durable, so C15 follows at once.
            (Some(State::LGoodGood), Some(entry), _) => {
                let chit = entry.record()?;
                chain::repeat(self.desk, &chit, entry)?;
                return self.meet(after, Happening::HandedOver);
            }
            _ => {}
        }
        if !self.write(after.as_mut())? {
            self.why.push(Refusal::Overflow(self.desk.party.tally.clone()));
            return Ok(Outcome { rule: None, entry: self.stored, why: self.why });
        }
        for effect in rule.effects {
            self.outer(*effect, after.as_mut())?;
        }
        Ok(Outcome { rule: Some(rule), entry: after, why: self.why })
    }

    /// The row as the effects of a rule make it, its state apart.
    fn content(&mut self, rule: &Rule, current: Option<Entry>) -> Option<Entry> {
        let mut after = current;
        for effect in rule.effects {
            match (effect, self.input) {
                (Effect::Store, Input::Chit(chit)) => {
                    after = Some(Entry::new(chit, Status::Draft, None, self.desk.context.now()));
                }
                (Effect::Remove, _) => after = None,
                (Effect::Stall, Input::Why(why)) => {
                    after.iter_mut().for_each(|entry| entry.stalled = Some(why.to_owned()));
                }
                (Effect::Send, _) => after.iter_mut().for_each(|entry| entry.stalled = None),
                _ => {}
            }
        }
        after
    }

    /// Writes what has changed; false where the sums would not fit.
    fn write(&mut self, after: Option<&mut Entry>) -> Result<bool, Fault> {
        let stored = self.stored.as_ref();
        let Some(entry) = after else { return book::write(self.desk, self.uuid, stored, None) };
        let stays = stored.is_some_and(|stored| (stored.status, stored.request) == (entry.status, entry.request));
        entry.since = match stored {
            Some(stored) if stays => stored.since,
            _ => self.desk.context.now(),
        };
        if !stays {
            entry.stalled = None;
        }
        if stored == Some(&*entry) {
            return Ok(true);
        }
        book::write(self.desk, self.uuid, stored, Some(entry))
    }

    /// What others see.
    fn outer(&mut self, effect: Effect, after: Option<&mut Entry>) -> Result<(), Fault> {
        let Some(entry) = after else { return Ok(()) };
        match (effect, self.input) {
            (Effect::Link, Input::Chit(chit)) => chain::extend(self.desk, chit, entry),
            (Effect::Send, _) => match entry.request {
                Some(Request::Pend) => errands::send(self.desk, Verb::Pend, &entry.record()?),
                Some(Request::Void) => errands::send(self.desk, Verb::Void, &entry.record()?),
                _ => Ok(()),
            },
            (Effect::PendAgain, _) => errands::send(self.desk, Verb::Pend, &entry.record()?),
            (Effect::VoidAgain, _) => errands::send(self.desk, Verb::Void, &entry.record()?),
            (Effect::Withdraw, _) => match self.stored.as_ref().and_then(|stored| stored.request) {
                Some(Request::Pend) => errands::withdraw(self.desk, Verb::Pend, self.uuid),
                Some(Request::Void) => errands::withdraw(self.desk, Verb::Void, self.uuid),
                _ => Ok(()),
            },
            (Effect::Notify(reason), input) => self.notify(reason, entry, input),
            _ => Ok(()),
        }
    }

    fn notify(&mut self, reason: &str, entry: &Entry, input: Input<'_>) -> Result<(), Fault> {
        // What a signed chit replaces: the payor may have signed another amount (O-24).
        let invoice = self.stored.as_ref().filter(|stored| {
            matches!(stored.status, Status::Draft | Status::Pend)
                && stored.kind == ChitType::Tran
                && entry.status == Status::Good
        });
        let more = json!({ "asked": invoice.map(|invoice| invoice.units), "why": entry.stalled });
        match input {
            Input::Chit(chit) => notices::tell(self.desk, chit, entry, reason, &more),
            _ => {
                let chit = entry.record()?;
                notices::tell(self.desk, &chit, entry, reason, &more)
            }
        }
    }
}
