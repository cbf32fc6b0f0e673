//! The child process in which a library is tried, and what it tells.
//!
//! It is this very program, started with a hidden argument. A line says what it is about to do, the next one what
//! came of it, so that whoever reads them knows what a crash or an endless loop is to be blamed on.

use crate::plugin::{LoadedPlugin, Loader, LoaderOptions, Plugin, Refusal};
use rustix::process::{Resource, Rlimit, Signal};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use tallyho_plugin::abi_adapt::event_to_bytes;
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::services::{Check, Services};
use tallyho_plugin::testkit::conformance::rules::{FUTURE_EVENTS, NO_PANIC};
use tallyho_plugin::testkit::conformance::{Conformance, Finding};
use tallyho_plugin::testkit::{Driven, Maker};
use tallyho_plugin::{Event, Fault};

/// The hidden argument that makes the host's program a trial.
pub(super) const TRIAL_ARGUMENT: &str = "__try-plugin";

/// How the child's own lines begin; a library may print what it likes between them.
pub(super) const MARK: &str = "tallyho-trial: ";

/// A line of the child's.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Line {
    /// The library was loaded.
    Loaded { name: String, version: String },
    /// It was not.
    Refused { reason: String, fix: String },
    /// What is being done now.
    Case { number: usize, label: String },
    /// What it took, in microseconds each call, and what came of it.
    Ran { calls: Vec<f64>, findings: Vec<Finding> },
    /// All was done, so many cases.
    Done { cases: usize },
}

/// Runs as a trial and exits, if the program was started as one; call it first in `main`.
pub fn run_trial_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|argument| argument != TRIAL_ARGUMENT) {
        return;
    }
    let (file, copies, without) = (arguments.next(), arguments.next(), arguments.next());
    let (Some(file), Some(copies)) = (file, copies) else { std::process::exit(2) };
    let without = without.unwrap_or_default();
    let without = without.to_string_lossy().split(',').filter_map(|number| number.parse().ok()).collect();
    // A crash is expected here: no core file. And no child outlives whoever asked for it.
    let _ = rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    // Panics that are caught would be told one by one, with their backtraces.
    std::panic::set_hook(Box::new(|_| {}));
    trial(Path::new(&file), Path::new(&copies), &without);
    std::process::exit(0)
}

fn tell(line: &Line) {
    // Lines are plain enums of texts and numbers, which always serialise. The newline before keeps apart what the
    // library may have printed.
    let json = serde_json::to_string(line).unwrap_or_default();
    let mut output = std::io::stdout().lock();
    // Nobody listens any more: the parent has given up.
    let _ = writeln!(output, "\n{MARK}{json}").and_then(|()| output.flush());
}

fn trial(file: &Path, copies: &Path, without: &HashSet<usize>) {
    let refused = |reason: String, fix: String| tell(&Line::Refused { reason, fix });
    let loaded = Loader::new(LoaderOptions::new(copies)).and_then(|loader| loader.load(file));
    let plugin = match loaded {
        Ok(plugin) => plugin,
        Err(error) => return refused(format!("{} {}", file.display(), error.refusal), error.refusal.fix()),
    };
    let manifest = plugin.manifest().clone();
    tell(&Line::Loaded { name: manifest.name.clone(), version: manifest.version.clone() });
    let (build, path) = (Arc::clone(plugin.shared_build()), file.to_owned());
    let make: Maker = Arc::new(move || match LoadedPlugin::create(Arc::clone(&build), &path, None) {
        Ok(plugin) => Ok(Arc::new(Library(plugin)) as Arc<dyn Driven>),
        Err(Refusal::NoHandler(fault)) => Err(fault),
        Err(other) => Err(Fault::failed(other.to_string()).fix(other.fix())),
    });
    let mut conformance = match Conformance::new(manifest, make) {
        Ok(conformance) => conformance,
        Err(fault) => return refused(fault.text, fault.fix.unwrap_or_default()),
    };
    let mut cases = 0;
    while let Some(case) = conformance.next_case() {
        cases += 1;
        if without.contains(&case.number) {
            continue;
        }
        let (calls, findings) = (conformance.calls().len(), conformance.findings().len());
        tell(&Line::Case { number: case.number, label: case.label.clone() });
        conformance.run(&case);
        let calls = conformance.calls()[calls..].to_vec();
        tell(&Line::Ran { calls, findings: conformance.findings()[findings..].to_vec() });
    }
    let number = cases;
    if !without.contains(&number) {
        tell(&Line::Case { number, label: "events of kinds unknown to it".to_owned() });
        let findings = conformance.with_services(|services| unknown_events(&plugin, services));
        tell(&Line::Ran { calls: Vec::new(), findings });
    }
    // Its handlers are dropped, and its own code runs at exit: both belong to the trial.
    tell(&Line::Case { number: number + 1, label: "being given back, and the end of its process".to_owned() });
    drop((conformance, plugin));
    tell(&Line::Done { cases: cases + 1 });
}

/// A newer host's events, and bytes that are no event at all.
fn unknown_events(plugin: &LoadedPlugin, services: &mut dyn Services) -> Vec<Finding> {
    let future = json!({ "kind": "eclipse", "of": "the moon" });
    let cases = [
        ("an event of a kind to come", to_cbor(&future).unwrap_or_default()),
        ("no event", Vec::new()),
        ("bytes that are no event", vec![0xff, 0x00]),
    ];
    let mut findings = Vec::new();
    for (label, event) in cases {
        let (rule, what) = match plugin.handle_bytes(&event, &[], services) {
            Ok(_) => (FUTURE_EVENTS, "it handles what it cannot know".to_owned()),
            Err(fault) if fault.code == "panic" => (NO_PANIC, fault.to_string()),
            Err(fault) if fault.code != "unknown-event" => {
                (FUTURE_EVENTS, format!("a fault of code {:?} ({fault}), expected unknown-event", fault.code))
            }
            Err(_) => continue,
        };
        findings.push(Finding { rule: rule.to_owned(), case: label.to_owned(), what });
    }
    findings
}

/// A loaded handler, as the kit drives it.
struct Library(LoadedPlugin);

impl Driven for Library {
    fn handle(&self, event: &Event, services: &mut dyn Services) -> Result<Vec<u8>, Fault> {
        let (header, body) = event_to_bytes(event)?;
        self.0.handle_bytes(&header, body, services)
    }

    fn prepare(&self, event: &Event) -> Result<Vec<Check>, Fault> {
        self.0.prepare(&event.clone().into())
    }

    fn migrate(&self, from: u32, services: &mut dyn Services) -> Result<(), Fault> {
        self.0.migrate(from, services)
    }
}
