//! Waiting for a state that a command leads to.

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tallyho_plugin::manifest::Wait;
use tallyho_plugin::{CommandSpec, Fault};

use super::declared::Waiting;
use super::limits::{WAIT_GAP, WAIT_POLL};
use crate::control::client::Notices;

/// How long to pause before each question: short ones first, since what is waited for is mostly there in a
/// moment and need not come with a notice.
#[derive(Debug)]
pub struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Pauses(WAIT_GAP)
    }
}

impl Pauses {
    /// The next one, of which no more than `left` is left.
    pub fn next(&mut self, left: Duration) -> (Duration, Duration) {
        let most = self.0;
        self.0 = (most * 2).min(WAIT_POLL);
        (WAIT_GAP.min(left), most.min(left))
    }
}

/// Time, and what may have changed meanwhile.
pub trait Pace {
    /// Time since some fixed moment.
    fn now(&self) -> Duration;

    /// Returns when something may have changed, or after `most`; not before `least`.
    ///
    /// # Errors
    /// The site has gone.
    fn pause(&mut self, least: Duration, most: Duration) -> Result<(), Fault>;
}

/// Real time, and a running site's notices.
#[derive(Debug)]
pub struct Live {
    notices: Notices,
    begun: Instant,
}

impl Live {
    /// From now on.
    pub fn new(notices: Notices) -> Self {
        Live { notices, begun: Instant::now() }
    }
}

impl Pace for Live {
    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn pause(&mut self, least: Duration, most: Duration) -> Result<(), Fault> {
        std::thread::sleep(least.min(most));
        // What came during the sleep and before is one reason to look, not many.
        let mut changed = false;
        while self.notices.next(Some(Duration::ZERO))?.is_some() {
            changed = true;
        }
        if !changed {
            self.notices.next(Some(most.saturating_sub(least)))?;
        }
        Ok(())
    }
}

/// How a wait ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Waited {
    /// The command's answer, brought up to date from the last report.
    pub answer: Value,
    /// Why it did not end well.
    pub failure: Option<Fault>,
}

/// Asks `report` until one of the states waited for is there: after each notice and now and then
/// without one. `first` is the command's own answer, which is kept whatever becomes of the wait: the
/// command itself was carried out.
pub fn wait(
    spec: &CommandSpec,
    rule: &Wait,
    waiting: &Waiting,
    first: &Value,
    pace: &mut dyn Pace,
    report: &mut dyn FnMut(&str, &Value) -> Result<Value, Fault>,
) -> Waited {
    try_wait(spec, rule, waiting, first, pace, report)
        .unwrap_or_else(|fault| Waited { answer: first.clone(), failure: Some(fault) })
}

fn try_wait(
    spec: &CommandSpec,
    rule: &Wait,
    waiting: &Waiting,
    first: &Value,
    pace: &mut dyn Pace,
    report: &mut dyn FnMut(&str, &Value) -> Result<Value, Fault>,
) -> Result<Waited, Fault> {
    // Of a list, any row names what is waited for.
    let Some(subject) = first.as_array().and_then(|rows| rows.first()).unwrap_or(first).get(&rule.argument) else {
        let text = format!("cannot wait: the answer of `{}` has no member `{}`", spec.name, rule.argument);
        return Err(Fault::failed(text));
    };
    let argument = json!({ rule.argument.as_str(): subject });
    let wanted: Vec<&str> = match &waiting.state {
        Some(state) => vec![state],
        None => rule.always.iter().map(String::as_str).collect(),
    };
    let deadline = pace.now() + waiting.patience;
    let mut pauses = Pauses::default();
    loop {
        let reported = report(&rule.command, &argument)?;
        let states = states(reported.get(&rule.member));
        let is = |wanted: &str| states.iter().any(|state| state == wanted);
        let failed = rule.failed.iter().find(|state| is(state));
        let reached = wanted.iter().find(|state| is(state));
        let left = deadline.saturating_sub(pace.now());
        let failure = match (reached, failed) {
            // A state that means failure is one even if it was asked for by the command itself.
            (Some(state), _) if waiting.state.is_some() || !rule.failed.iter().any(|failed| failed == state) => None,
            (_, Some(state)) => {
                let why = reported["why"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
                Some(Fault::refused(format!("the state is `{state}`{why}")).code("wait-failed"))
            }
            _ if !left.is_zero() => {
                let (least, most) = pauses.next(left);
                pace.pause(least, most)?;
                continue;
            }
            _ => Some(too_late(&wanted, &states, waiting.patience)),
        };
        return Ok(Waited { answer: up_to_date(first, &reported, &rule.member), failure });
    }
}

fn too_late(wanted: &[&str], states: &[String], patience: Duration) -> Fault {
    let wanted = wanted.iter().map(|state| format!("`{state}`")).collect::<Vec<_>>().join(" or ");
    let states = states.iter().map(|state| format!("`{state}`")).collect::<Vec<_>>().join(", ");
    let is = if states.is_empty() { "none is reported".to_owned() } else { format!("the state is {states}") };
    Fault::refused(format!("{wanted} was not reached within {} ms; {is}", patience.as_millis()))
        .code("wait-timeout")
        .fix("wait longer with --timeout, or see whether the partner's site can be reached with `tallyho peer list`")
}

/// A member that is one state or several.
fn states(member: Option<&Value>) -> Vec<String> {
    let word = |value: &Value| match value {
        Value::String(word) => Some(word.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    match member {
        Some(Value::Array(all)) => all.iter().filter_map(word).collect(),
        Some(one) => word(one).into_iter().collect(),
        None => Vec::new(),
    }
}

/// The first answer with its members' values of now; what only a report has stays out, except the
/// state. A list is the report's member `list` now.
fn up_to_date(first: &Value, reported: &Value, member: &str) -> Value {
    if let (Value::Array(_), Some(list @ Value::Array(_))) = (first, reported.get("list")) {
        return list.clone();
    }
    let (Value::Object(first), Value::Object(reported)) = (first, reported) else { return first.clone() };
    let mut answer = first.clone();
    for (name, value) in &mut answer {
        match reported.get(name) {
            // `state` may be one word in the answer and all that hold in the report.
            Some(now) if value.is_null() || std::mem::discriminant(now) == std::mem::discriminant(value) => {
                *value = now.clone();
            }
            _ => {}
        }
    }
    if let (false, Some(now)) = (answer.contains_key(member), reported.get(member)) {
        answer.insert(member.to_owned(), now.clone());
    }
    Value::Object(answer)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A clock that only pauses move.
    #[derive(Default)]
    struct Clock {
        now: Duration,
        pauses: Vec<(Duration, Duration)>,
    }

    impl Pace for Clock {
        fn now(&self) -> Duration {
            self.now
        }

        fn pause(&mut self, least: Duration, most: Duration) -> Result<(), Fault> {
            assert!(!most.is_zero(), "a pause of nothing is a busy loop");
            self.pauses.push((least, most));
            self.now += most;
            Ok(())
        }
    }

    fn spec() -> (CommandSpec, Wait) {
        let rule = Wait::new("show", "uuid", "states").always(["accepted", "refused"]).failed(["refused"]);
        (CommandSpec::new("offer", "").wait(rule.clone()), rule)
    }

    /// Waits while the report gives one of these after the other, the last one for ever.
    fn run(state: Option<&str>, seconds: u64, reports: &[Value]) -> (Waited, Clock, usize) {
        let (spec, rule) = spec();
        let waiting = Waiting { state: state.map(str::to_owned), patience: Duration::from_secs(seconds) };
        let mut clock = Clock::default();
        let mut asked = 0;
        let mut report = |command: &str, argument: &Value| {
            assert_eq!((command, argument), ("show", &json!({"uuid": "u"})));
            asked += 1;
            Ok(reports[(asked - 1).min(reports.len() - 1)].clone())
        };
        let first = json!({"uuid": "u", "state": "H.offer"});
        let result = wait(&spec, &rule, &waiting, &first, &mut clock, &mut report);
        (result, clock, asked)
    }

    #[test]
    fn a_state_that_is_there_already_ends_the_wait_without_a_pause() {
        let (waited, clock, asked) = run(Some("open"), 30, &[json!({"states": "open"})]);
        assert_eq!(waited.failure, None);
        assert_eq!((clock.pauses.len(), asked), (0, 1));
    }

    #[test]
    fn a_state_may_be_one_of_several() {
        let reports = [json!({"states": ["open"]}), json!({"states": ["open", "confirmed"], "state": "open"})];
        let (waited, clock, _) = run(Some("confirmed"), 30, &reports);
        assert_eq!(waited.failure, None);
        assert_eq!(waited.answer, json!({"uuid": "u", "state": "open", "states": ["open", "confirmed"]}));
        assert_eq!(clock.pauses, [(WAIT_GAP, WAIT_GAP)]);
    }

    #[test]
    fn a_wait_in_vain_ends_in_time_and_names_the_state_that_was() {
        let (waited, clock, asked) = run(Some("open"), 3, &[json!({"states": "H.offer"})]);
        let failure = waited.failure.unwrap();
        assert!(failure.text.contains("`open`") && failure.text.contains("`H.offer`"), "{failure}");
        assert_eq!(clock.now, Duration::from_secs(3));
        assert_eq!(asked, 1 + clock.pauses.len(), "at the start, after each pause, and no more");
    }

    #[test]
    fn a_wait_asks_often_at_first_and_then_seldom() {
        let (_, clock, _) = run(Some("open"), 10, &[json!({"states": "draft"})]);
        let pauses: Vec<u128> = clock.pauses.iter().map(|(_, most)| most.as_millis()).collect();
        assert_eq!(pauses[..8], [20, 40, 80, 160, 320, 640, 1_000, 1_000]);
        assert!(pauses.len() < 20, "{pauses:?}");
    }

    #[test]
    fn states_waited_for_by_themselves_end_the_wait_well_or_badly() {
        let (waited, _, _) = run(None, 30, &[json!({"states": "asking"}), json!({"states": "accepted"})]);
        assert_eq!(waited.failure, None);
        let (waited, _, _) = run(None, 30, &[json!({"states": "asking"}), json!({"states": "refused"})]);
        assert!(waited.failure.unwrap().text.contains("`refused`"));
        assert_eq!(waited.answer["states"], "refused");
    }

    #[test]
    fn a_state_that_means_failure_ends_the_wait_for_another_unless_it_is_the_one_asked_for() {
        let (waited, clock, _) = run(Some("open"), 30, &[json!({"states": ["refused"]})]);
        assert_eq!((waited.failure.unwrap().code.as_str(), clock.pauses.len()), ("wait-failed", 0));
        let (waited, _, _) = run(Some("refused"), 30, &[json!({"states": ["refused"]})]);
        assert_eq!(waited.failure, None);
    }

    #[test]
    fn a_wait_of_no_time_asks_once() {
        let (waited, clock, asked) = run(Some("open"), 0, &[json!({"states": "draft"})]);
        assert!(waited.failure.is_some());
        assert_eq!((clock.pauses.len(), asked), (0, 1));
    }

    #[test]
    fn an_answer_without_the_subject_is_the_plugins_fault() {
        let (spec, rule) = spec();
        let waiting = Waiting { state: None, patience: Duration::from_secs(1) };
        let mut report = |_: &str, _: &Value| panic!("nothing to ask about");
        let waited = wait(&spec, &rule, &waiting, &json!({}), &mut Clock::default(), &mut report);
        let fault = waited.failure.unwrap();
        assert_eq!(fault.kind, tallyho_plugin::FaultKind::Failed);
        assert!(fault.text.contains("`uuid`"));
    }

    #[test]
    fn of_a_list_the_first_row_names_what_is_waited_for_and_the_list_is_brought_up_to_date() {
        let (spec, rule) = spec();
        let waiting = Waiting { state: Some("good".into()), patience: Duration::from_secs(30) };
        let now = json!([{"uuid": "u", "state": "good"}, {"uuid": "u", "state": "none"}]);
        let mut report = |_: &str, argument: &Value| {
            assert_eq!(*argument, json!({"uuid": "u"}));
            Ok(json!({"states": ["good"], "list": now}))
        };
        let first = json!([{"uuid": "u", "state": "pend"}]);
        let waited = wait(&spec, &rule, &waiting, &first, &mut Clock::default(), &mut report);
        assert_eq!(waited, Waited { answer: now.clone(), failure: None });
    }

    #[test]
    fn a_report_that_fails_ends_the_wait_and_keeps_the_commands_answer() {
        let (spec, rule) = spec();
        let waiting = Waiting { state: Some("open".into()), patience: Duration::from_secs(30) };
        let mut report = |_: &str, _: &Value| Err(Fault::not_found("no such tally"));
        let first = json!({"uuid": "u"});
        let waited = wait(&spec, &rule, &waiting, &first, &mut Clock::default(), &mut report);
        assert_eq!(waited, Waited { answer: first, failure: Some(Fault::not_found("no such tally")) });
    }
}
