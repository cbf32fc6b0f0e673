//! What the border of a loaded plugin costs: `cargo bench -p tallyho-tests --bench abi`.
#![allow(missing_docs)]

use divan::{Bencher, black_box};
use std::sync::{Arc, OnceLock};
use tallyho::plugin::{LoadedPlugin, Loader, LoaderOptions, Plugin, ProbeCommand};
use tallyho_plugin::abi_adapt::{event_from_bytes, event_to_bytes};
use tallyho_plugin::record::{AgentId, Chad};
use tallyho_plugin::{Event, Message};
use tallyho_tests::plugins::build_library;
use tallyho_tests::services::NoServices;

/// A typical message's object.
const BODY: usize = 600;

fn main() {
    divan::main();
}

fn loader() -> &'static Loader {
    static LOADER: OnceLock<Loader> = OnceLock::new();
    LOADER.get_or_init(|| {
        let mut options = LoaderOptions::new(env!("CARGO_TARGET_TMPDIR").to_owned() + "/bench-abi");
        options.probe = ProbeCommand::program(env!("CARGO_BIN_EXE_tallyho-probe"));
        Loader::new(options).expect("the target folder can be written")
    })
}

fn load(package: &str) -> Arc<LoadedPlugin> {
    loader().load(&build_library(package)).expect("a good plugin loads")
}

fn say() -> Event {
    let chad = |cuid: &str| Chad {
        cuid: Some(cuid.into()),
        agent: AgentId("jJ2gnNPb2kzfAIyCAtdZL2xqNnBYVIZD4AwcKH1dAPI".into()),
        host: Some("example.org".into()),
        port: Some(65430),
    };
    let mut body = Vec::new();
    let object = std::collections::BTreeMap::from([("text", "x".repeat(BODY - 10))]);
    ciborium::into_writer(&object, &mut body).expect("a map of texts is CBOR");
    Event::Message(Message {
        target: "echo".into(),
        action: "say".into(),
        to: chad("joe"),
        from: chad("ann"),
        tally: None,
        ticket: None,
        restricted: false,
        asked: false,
        attempt: Some(1),
        body,
    })
}

/// The guarded call alone, 600 bytes in and 600 out.
#[divan::bench]
fn raw_guarded_call(bencher: Bencher<'_, '_>) {
    let plugin = load("tallyho-fixture-raw");
    let body = vec![7; BODY];
    bencher.bench_local(|| plugin.handle_bytes(black_box(&[]), black_box(&body), &mut NoServices));
}

/// The event's header to CBOR, and back with a copy of the body: what both sides add to the call.
#[divan::bench]
fn event_header_to_bytes(bencher: Bencher<'_, '_>) {
    let event = say();
    bencher.bench_local(|| event_to_bytes(black_box(&event)).map(|(header, body)| header.len() + body.len()));
}

#[divan::bench]
fn event_header_from_bytes(bencher: Bencher<'_, '_>) {
    let event = say();
    let (header, body) = event_to_bytes(&event).expect("an event is CBOR");
    bencher.bench_local(|| event_from_bytes(black_box(&header), black_box(body)));
}

/// A whole event through the echo plugin, its reply handed to services that forget it.
#[divan::bench]
fn echo_message_loaded(bencher: Bencher<'_, '_>) {
    let plugin = load("tallyho-echo");
    let event = say();
    bencher.bench_local(|| plugin.handle(black_box(&event), &mut NoServices));
}

/// The same bytes again: reading, hashing and making a handler.
#[divan::bench]
fn load_known_build(bencher: Bencher<'_, '_>) {
    let path = build_library("tallyho-echo");
    bencher.bench_local(|| loader().load(&path).map(|plugin| plugin.generation()));
}

/// New bytes: the same, and a private copy, the probe and the mapping.
#[divan::bench(sample_count = 50, sample_size = 1)]
fn load_new_build(bencher: Bencher<'_, '_>) {
    let path = build_library("tallyho-echo");
    let good = std::fs::read(&path).expect("a library just built can be read");
    let changed = path.with_file_name("changed.so");
    let number = std::cell::Cell::new(0u32);
    bencher
        .with_inputs(|| {
            // What follows an ELF file's end is part of its hash only.
            number.set(number.get() + 1);
            std::fs::write(&changed, [good.as_slice(), &number.get().to_le_bytes()].concat()).expect("there is space");
        })
        .bench_local_values(|()| loader().load(&changed).map(|plugin| plugin.generation()));
    let _ = std::fs::remove_file(&changed);
}
