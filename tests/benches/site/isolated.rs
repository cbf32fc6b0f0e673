//! A call of a plugin in a process of its own, 600 bytes in and 600 out; and one that reads a row meanwhile.

use crate::figures::{Effort, Wanted, line, median};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use tallyho::plugin::process::MEMORY;
use tallyho::plugin::{Given, Loader, LoaderOptions, Plugin, ProbeCommand};
use tallyho_plugin::{Command, Event};
use tallyho_tests::plugins::build_library;
use tallyho_tests::services::SmallServices;

pub fn measure(effort: Effort) {
    let calls = effort.choose(100, 100_000);
    let raw = apart("tallyho-fixture-raw", "raw");
    let microseconds = timed(&*raw, &given("any", vec![7; 600]), calls, 600);
    let against = "600 bytes in and out, a process of its own".to_owned();
    line(effort, "isolated call", &format!("{microseconds:.1} us"), &against, microseconds, Wanted::AtMost(30.0));
    // Two rows read, which takes a turn each, and written with the answer.
    let counter = apart("tallyho-fixture-counter", "counter");
    let argument = tallyho_plugin::context::to_cbor(&serde_json::json!({ "number": 1 })).expect("JSON is CBOR");
    let microseconds = timed(&*counter, &given("add", argument), calls, 0);
    let against = "two rows read and written".to_owned();
    line(effort, "isolated event", &format!("{microseconds:.1} us"), &against, microseconds, Wanted::Told);
}

/// A fixture in a process of its own.
fn apart(package: &str, name: &str) -> Arc<dyn Plugin> {
    let mut options = LoaderOptions::new(env!("CARGO_TARGET_TMPDIR").to_owned() + "/bench-isolated");
    options.probe = ProbeCommand::program(env!("CARGO_BIN_EXE_tallyho-probe"));
    options.processes.memory.insert(name.to_owned(), MEMORY);
    let loader = Loader::new(options).expect("the target folder can be written");
    let (plugin, _) = loader.seat(&build_library(package)).expect("a good plugin loads");
    // Its process reads the copy once; what is made of the loader lives on without it.
    assert!(plugin.process().is_some_and(|process| process.id.is_some()), "it has a process");
    plugin
}

fn given(name: &str, body: Vec<u8>) -> Given {
    Given::from(Event::Command(Command { name: name.to_owned(), caller: None, body }))
}

/// The median of so many calls, in microseconds.
fn timed(plugin: &dyn Plugin, event: &Given, calls: u32, least: usize) -> f64 {
    let mut services = SmallServices::default();
    let once = |_| {
        let begun = Instant::now();
        let answer = plugin.handle(black_box(event), &mut services);
        let took = begun.elapsed();
        assert!(answer.expect("it answers").len() >= least);
        took.as_secs_f64() * 1e6
    };
    median((0..calls).map(once).collect())
}
