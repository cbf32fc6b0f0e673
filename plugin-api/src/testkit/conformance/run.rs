//! Giving a handler its cases, and looking what it makes of them.

use super::cases::{self, Case, SUBJECT, What};
use super::friendly::{self, Known, USER};
use super::report::{Cost, Finding, Report};
use super::rules::{ANSWERS, BLAME, BOUNDED, DETERMINISTIC, NO_PANIC, STARTS, STATE_VERSION, SWAP};
use crate::context::to_cbor;
use crate::event::Command;
use crate::services::Services;
use crate::testkit::limits::{EFFECTS, SETTLE_EVENTS};
use crate::testkit::plugin::{CORRUPT_ANSWER, Plugin, Work};
use crate::testkit::trials::{Wanted, reloaded};
use crate::testkit::{Maker, Peer, Site};
use crate::{Event, Fault, FaultKind, Manifest};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// A handler being tried, case after case. Two generations of it handle the cases by turns.
pub struct Conformance {
    site: Site,
    peer: Peer,
    /// The generation that is not at work.
    other: Plugin,
    known: Known,
    waiting: VecDeque<(String, What)>,
    followed_up: bool,
    given: usize,
    tried: usize,
    findings: Vec<Finding>,
    calls: Vec<f64>,
}

impl Conformance {
    /// A handler to be tried; `make` makes one generation of it after the other.
    ///
    /// # Errors
    /// The handler's own reason not to be made.
    pub fn new(manifest: Manifest, make: Maker) -> Result<Self, Fault> {
        let mut site = Site::new(1).user(USER);
        let peer = site.partner("bob", USER, SUBJECT);
        let plugin = Plugin::made(manifest, make)?;
        let other = plugin.reloaded()?;
        let waiting = cases::first(&plugin.manifest, &site.address(), &peer).into();
        site.seat(plugin);
        let (known, followed_up) = (Known::default(), false);
        let (findings, calls) = (Vec::new(), Vec::new());
        Ok(Conformance { site, peer, other, known, waiting, followed_up, given: 0, tried: 0, findings, calls })
    }

    /// The next case; `None` when all have been given out. Whoever leaves one out gets the others all the same.
    pub fn next_case(&mut self) -> Option<Case> {
        if self.waiting.is_empty() && !self.followed_up {
            self.followed_up = true;
            let manifest = Arc::clone(&self.manifest());
            self.waiting = cases::then(&manifest, &self.site.timers(), self.site.sent(), &self.peer).into();
        }
        let (label, what) = self.waiting.pop_front()?;
        self.given += 1;
        Some(Case { number: self.given - 1, label, what })
    }

    /// Gives a case to the handler: twice to one generation of it, then to the other.
    pub fn run(&mut self, case: &Case) {
        self.tried += 1;
        match &case.what {
            What::Event(event) => drop(self.event(case, event)),
            What::Command { at, all } => {
                let Some(spec) = self.manifest().commands.get(*at).cloned() else { return };
                let argument = friendly::arguments(&spec, *all, &self.known);
                let body = to_cbor(&argument).unwrap_or_default();
                let event = Event::Command(Command { name: spec.name, caller: None, body });
                if let Some(wanted) = self.event(case, &event) {
                    self.known.learn(&wanted.answer);
                }
            }
            What::Migrate { from, empty } => self.migrate(case, *from, *empty),
        }
    }

    /// What came of the cases run so far.
    pub fn report(&self) -> Report {
        let tried = [STARTS, NO_PANIC, BLAME, DETERMINISTIC, SWAP, ANSWERS, BOUNDED, STATE_VERSION];
        let manifest = self.manifest();
        let cost = Cost::of(self.calls.clone());
        Report::new((&manifest.name, &manifest.version), &tried, self.tried, &self.findings, cost)
    }

    /// The rules broken so far, in order.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How long calls have taken, in microseconds each.
    pub fn calls(&self) -> &[f64] {
        &self.calls
    }

    /// What the handler says about itself.
    pub fn manifest(&self) -> Arc<Manifest> {
        Arc::clone(&self.other.manifest)
    }

    /// The services that an event is given, for calls that do without events. What is wanted is dropped.
    pub fn with_services<T>(&self, call: impl FnOnce(&mut dyn Services) -> T) -> T {
        self.site.trials().with_services(&self.site.plugins, call)
    }

    fn found(&mut self, rule: &str, case: &Case, what: impl Into<String>) {
        self.findings.push(Finding { rule: rule.to_owned(), case: case.label.clone(), what: what.into() });
    }

    fn event(&mut self, case: &Case, event: &Event) -> Option<Wanted> {
        let wanted = match self.attempts(case, &Work::Event(event)) {
            Ok(wanted) => wanted,
            Err(fault) => {
                self.blame(case, event, &fault);
                return None;
            }
        };
        if !matches!(event, Event::Command(_)) && !wanted.answer.is_null() {
            self.found(ANSWERS, case, format!("it answers {}", wanted.answer));
        }
        let effects = wanted.effects.count();
        if effects > EFFECTS {
            self.found(BOUNDED, case, format!("it wants {effects} effects"));
        }
        self.site.keep(wanted.effects.clone());
        Some(wanted)
    }

    /// What a fault says of the handler.
    fn blame(&mut self, case: &Case, event: &Event, fault: &Fault) {
        let rule = match (fault.code.as_str(), fault.kind, event) {
            ("panic", ..) => NO_PANIC,
            (CORRUPT_ANSWER, ..) => ANSWERS,
            (_, _, Event::Life(_)) => STARTS,
            (_, FaultKind::Failed, _) => BLAME,
            _ => return,
        };
        self.found(rule, case, fault.to_string());
    }

    /// What the handler wants: three attempts, of which nothing is kept.
    fn attempts(&mut self, case: &Case, work: &Work<'_>) -> Result<Wanted, Fault> {
        self.site.events += 1;
        let mut trials = self.site.trials();
        let begun = Instant::now();
        let first = trials.attempt(&self.site.plugins, 0, work);
        let took = begun.elapsed().as_secs_f64() * 1e6;
        let again = trials.attempt(&self.site.plugins, 0, work);
        let others = [self.other.clone()];
        let other = trials.attempt(&others, 0, work);
        let fresh = reloaded(&others).map(|fresh| trials.attempt(&fresh, 0, work));
        self.calls.push(took);
        if first != again {
            self.found(DETERMINISTIC, case, difference(&first, &again));
        } else if first != other {
            self.found(SWAP, case, difference(&first, &other));
        } else if let Ok(fresh) = &fresh
            && first != *fresh
        {
            self.found(SWAP, case, difference(&first, fresh));
        }
        // The next case is the other generation's.
        std::mem::swap(&mut self.site.plugins[0], &mut self.other);
        first
    }

    fn migrate(&mut self, case: &Case, from: u32, empty: bool) {
        let before = self.site.backup();
        if empty {
            self.site.state.tables.clear();
        }
        let mut ended = false;
        for _ in 0..SETTLE_EVENTS {
            match self.attempts(case, &Work::Migrate(from)) {
                Ok(wanted) => {
                    self.site.keep(wanted.effects);
                    ended = !wanted.again;
                    if ended {
                        break;
                    }
                }
                Err(fault) => {
                    ended = true;
                    let version = self.manifest().state_version;
                    if fault.code == "panic" {
                        self.found(NO_PANIC, case, fault.to_string());
                    } else if from + 1 == version {
                        self.found(STATE_VERSION, case, fault.to_string());
                    }
                    break;
                }
            }
        }
        if !ended {
            self.found(STATE_VERSION, case, "it wants to be called again for ever");
        }
        self.site.restore(&before);
    }
}

/// Two runs that differ, in words.
fn difference(one: &Result<Wanted, Fault>, other: &Result<Wanted, Fault>) -> String {
    match (one, other) {
        (Ok(one), Ok(other)) if one.answer != other.answer => {
            format!("it answers {:.200}, then {:.200}", one.answer.to_string(), other.answer.to_string())
        }
        (Ok(_), Ok(_)) => "it wants other effects the second time".to_owned(),
        (one, other) => {
            let told = |run: &Result<Wanted, Fault>| match run {
                Ok(_) => "it is done".to_owned(),
                Err(fault) => format!("a fault: {fault}"),
            };
            format!("{}, then {}", told(one), told(other))
        }
    }
}
