//! Each rule finds the handler that breaks it, and a good one breaks none.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::rules::{ANSWERS, BLAME, BOUNDED, DETERMINISTIC, NO_PANIC, STARTS, STATE_VERSION, SWAP};
use super::{Conformance, Report, of};
use crate::prelude::*;
use crate::services::Services;
use crate::testkit::{Driven, Maker};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    /// How the handlers of this test misbehave.
    static FAULT: Cell<&'static str> = const { Cell::new("") };
}

#[derive(Default)]
struct Odd(AtomicU64);

fn is(fault: &str) -> bool {
    FAULT.get() == fault
}

impl Handler for Odd {
    fn manifest() -> Manifest {
        Manifest::new("odd", "1.0.0")
            .state_version(2)
            .target(Target::new("odd", &["say"]).relation_in_object("uuid"))
            .tables(&["rows"])
            .command(
                CommandSpec::new("keep", "keeps a word")
                    .argument(Argument::option("word", ArgumentKind::Text, "which").required())
                    .invocable(),
            )
            .command(CommandSpec::new("later", "does it later"))
    }

    fn create() -> Result<Self, Fault> {
        Ok(Odd::default())
    }

    fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        let object: Value =
            message.object().map_err(|fault| if is(BLAME) { Fault::failed(fault.text) } else { fault })?;
        if is(NO_PANIC) {
            let _ = object["uuid"].as_str().unwrap();
        }
        context.put("rows", "heard", &object.to_string())
    }

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        if command.name == "later" {
            context.set_timer("later", context.now().plus(1000))?;
            return Ok(json!({ "random": context.uuid() }));
        }
        let Value::Object(argument) = command.arguments()? else { return Err(Fault::usage("an object is needed")) };
        let word = argument.get("word").and_then(Value::as_str).ok_or_else(|| Fault::usage("word is missing"))?;
        if is(BOUNDED) {
            (0..10_001_u32).try_for_each(|n| context.put("rows", n.to_be_bytes(), &n))?;
        }
        context.put("rows", "word", &word)?;
        let known: Option<String> = context.get("rows", "word")?;
        Ok(match FAULT.get() {
            DETERMINISTIC => json!({ "count": count }),
            // The first two runs agree, the other generation's does not.
            SWAP => json!({ "of": std::ptr::from_ref(self) as usize as u64 }),
            _ => json!({ "word": known }),
        })
    }

    fn life(&self, _: &Life, _: &mut Context<'_>) -> Result<(), Fault> {
        if is(STARTS) { Err(Fault::refused("not today")) } else { Ok(()) }
    }

    fn migrate(&self, _: u32, context: &mut Context<'_>) -> Result<(), Fault> {
        if is(STATE_VERSION) { context.migrate_again() } else { context.put("rows", "migrated", &1) }
    }
}

fn broken(report: &Report) -> Vec<&str> {
    report.rules.iter().filter(|rule| !rule.ok).map(|rule| rule.name.as_str()).collect()
}

#[test]
fn a_good_handler_breaks_no_rule() {
    let report = of::<Odd>().unwrap();
    report.check();
    assert!(report.ok && report.cases > 100, "{report:?}");
    let cost = report.cost.unwrap();
    assert!(cost.p50_us <= cost.p99_us && cost.p99_us <= cost.max_us && cost.calls >= report.cases, "{cost:?}");
}

#[test]
fn each_rule_finds_the_handler_that_breaks_it_and_says_what_to_do() {
    for fault in [STARTS, NO_PANIC, BLAME, DETERMINISTIC, SWAP, BOUNDED, STATE_VERSION] {
        FAULT.set(fault);
        let report = of::<Odd>().unwrap();
        assert_eq!(broken(&report), [fault], "{report:?}");
        let verdict = report.rules.iter().find(|rule| !rule.ok).unwrap();
        assert!(verdict.broken >= verdict.findings.len() && !verdict.findings.is_empty());
        assert!(verdict.fix.as_ref().is_some_and(|fix| fix.len() > 20), "{verdict:?}");
    }
}

#[test]
#[should_panic(expected = "odd 1.0.0 breaks rules\nno-panic: ")]
fn a_broken_rule_fails_the_test_that_asks_for_it() {
    FAULT.set(NO_PANIC);
    of::<Odd>().unwrap().check();
}

/// Answers with bytes that are no CBOR.
struct Corrupt;

impl Driven for Corrupt {
    fn handle(&self, event: &Event, _: &mut dyn Services) -> Result<Vec<u8>, Fault> {
        Ok(if matches!(event, Event::Command(_)) { vec![0xf6, 0x00] } else { vec![0xff] })
    }
    fn prepare(&self, _: &Event) -> Result<Vec<crate::services::Check>, Fault> {
        Ok(Vec::new())
    }
    fn migrate(&self, _: u32, _: &mut dyn Services) -> Result<(), Fault> {
        Ok(())
    }
}

#[test]
fn an_answer_that_is_no_cbor_is_found() {
    let make: Maker = Arc::new(|| Ok(Arc::new(Corrupt)));
    let mut conformance = Conformance::new(Odd::manifest(), make).unwrap();
    while let Some(case) = conformance.next_case() {
        conformance.run(&case);
    }
    let report = conformance.report();
    assert_eq!(broken(&report), [ANSWERS], "{report:?}");
    let found = &report.rules.iter().find(|rule| !rule.ok).unwrap().findings;
    assert!(found.iter().any(|found| found.what.contains("bytes behind its end")), "{found:?}");
}

#[test]
fn cases_have_the_same_numbers_each_time_and_the_rest_comes_where_one_is_left_out() {
    let labels = |without: Option<usize>| {
        let make: Maker = Arc::new(|| Ok(Arc::new(Odd::create()?)));
        let mut conformance = Conformance::new(Odd::manifest(), make).unwrap();
        let mut labels = Vec::new();
        while let Some(case) = conformance.next_case() {
            if Some(case.number) != without {
                conformance.run(&case);
            }
            labels.push((case.number, case.label));
        }
        labels
    };
    let all = labels(None);
    assert_eq!(all, labels(Some(20)));
    assert!(all.iter().any(|(_, label)| label == "its timer \"later\""));
}
