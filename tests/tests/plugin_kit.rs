//! What authors of plugins are given: a crate to begin with, and the conformance kit for what they have built.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tallyho::plugin::{Loader, LoaderOptions, Plugin, ProbeCommand};
use tallyho_tests::counter::{Builds, text};
use tallyho_tests::plugins::{build_library, build_program, cargo_elsewhere, workshop, workspace_target};
use tallyho_tests::site::program;

/// `tallyho plugin …`: exit code, and the JSON on standard output.
fn plugin(words: &[&str]) -> (Option<i32>, Value, String) {
    let output = Command::new(program()).args(["--json", "plugin"]).args(words).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default(), errors)
}

/// Has what takes minutes done too.
const LONG: &str = "TALLYHO_TEST_NEW_REFEREE";

/// The names of the rules that a library breaks, and the whole report.
fn broken(library: &Path, more: &[&str]) -> (Vec<String>, Value) {
    let (code, report, errors) = plugin(&[&["test", text(library)], more].concat());
    let rules = report["rules"].as_array().unwrap_or_else(|| panic!("{report} {errors}"));
    let broken = rules.iter().filter(|rule| rule["ok"] == false);
    let broken: Vec<String> = broken.map(|rule| rule["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(code, Some(i32::from(!broken.is_empty())), "{report}");
    for rule in rules.iter().filter(|rule| rule["ok"] == false) {
        assert!(rule["fix"].as_str().is_some_and(|fix| fix.len() > 20), "{rule}");
        assert!(rule["findings"][0]["case"].is_string() && rule["findings"][0]["what"].is_string(), "{rule}");
    }
    (broken, report)
}

#[test]
fn the_standard_plugins_and_the_examples_keep_every_rule() {
    let standard = ["tallyho-tally", "tallyho-chit", "tallyho-route", "tallyho-lift", "tallyho-referee"];
    for package in standard.into_iter().chain(["tallyho-echo", "tallyho-strict-referee"]) {
        let (broken, report) = broken(&build_library(package), &["--seconds", "20"]);
        assert!(broken.is_empty(), "{package}: {report:#}");
        assert_eq!(report["rules"].as_array().unwrap().len(), 12);
        assert!(report["cases"].as_u64() > Some(20), "{report}");
        assert!(report["cost"]["p50_us"].as_f64() <= report["cost"]["p99_us"].as_f64(), "{report}");
    }
}

#[test]
fn each_seeded_fault_is_found() {
    let builds = Builds::new();
    let cases: [(&str, &[&str]); 7] = [
        ("version=1", &[]),
        ("version=1 panic-at=0", &["no-panic"]),
        ("version=1 memory=static", &["deterministic"]),
        ("version=1 start=refuse", &["starts"]),
        ("version=1 start=panic", &["no-panic"]),
        ("version=1 state=2 migrate=refuse", &["state-version"]),
        ("version=1 name=Bad", &["loads"]),
    ];
    for (settings, expected) in cases {
        let (broken, report) = broken(&builds.make("counter.so", settings), &[]);
        assert_eq!(broken, expected, "{settings}: {report:#}");
    }
    let (broken, report) = broken(&build_library("tallyho-fixture-raw"), &[]);
    assert_eq!(broken, ["answers", "future-events"], "{report:#}");
}

#[test]
fn a_library_that_loops_or_ends_the_process_costs_a_child_and_the_rest_is_tried() {
    let builds = Builds::new();
    // `the largest number` is one case of many.
    for (fault, rule) in [("loop-at", "in-time"), ("abort-at", "survives")] {
        let settings = format!("version=1 {fault}={}", u64::MAX);
        let (broken, report) = broken(&builds.make("counter.so", &settings), &["--seconds", "2"]);
        assert_eq!(broken, [rule], "{settings}: {report:#}");
        assert!(report["cases"].as_u64() > Some(100), "{report}");
        let rules = report["rules"].as_array().unwrap();
        let found = rules.iter().find(|found| found["name"] == rule).unwrap();
        assert_eq!(found["findings"][0]["case"], "command add: number is the largest number", "{found:#}");
    }
}

#[test]
fn a_new_handler_builds_without_network_and_keeps_its_promises() {
    let folder = workshop("plugin-new");
    let place = made(&folder, "kit-notes", "handler");
    // Told before minutes of building.
    let output = Command::new("./loop").current_dir(&place).env("TALLYHO", "/nowhere/tallyho").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && errors.starts_with("loop: there is no program /nowhere/tallyho"), "{errors}");
    keeps_its_promises(&place, &workspace_target(), "kit-notes");
    let (code, _, errors) = plugin(&["new", "kit-notes", "--dir", text(&folder)]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("is there already, and nothing is overwritten"), "{errors}");
}

/// A referee is built upon the standard one, which is a `cdylib` too: it needs a target folder of its own, and
/// minutes. That is done where [`LONG`] is set; here its dependencies have to be found.
#[test]
fn a_new_referee_builds_without_network_and_keeps_its_promises() {
    let folder = workshop("plugin-new");
    let place = made(&folder, "kit-judge", "referee");
    if std::env::var_os(LONG).is_some() {
        return keeps_its_promises(&place, &folder.join("target"), "referee");
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let output = cargo.args(["metadata", "--offline", "--format-version=1"]).current_dir(&place).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&str> =
        found["packages"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert!(names.contains(&"tallyho-kit-judge") && names.contains(&"tallyho-referee"), "{names:?}");
}

/// Has the crate made anew; its folder.
fn made(folder: &Path, name: &str, kind: &str) -> PathBuf {
    let _ = fs::remove_dir_all(folder.join(format!("tallyho-{name}")));
    let (code, made, errors) = plugin(&["new", name, "--kind", kind, "--dir", text(folder)]);
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(made["offline"], true, "{made}");
    let place = PathBuf::from(made["folder"].as_str().unwrap());
    assert_eq!(place, folder.join(format!("tallyho-{name}")));
    let files = made["files"].as_array().unwrap();
    assert!(files.iter().all(|file| place.join(file.as_str().unwrap()).is_file()), "{made}");
    assert!(files.iter().any(|file| file == "Cargo.lock"), "{made}");
    place
}

/// Its own tests pass, and its library is loaded and keeps every rule.
fn keeps_its_promises(place: &Path, target: &Path, serves: &str) {
    for words in [["test"], ["build"]] {
        cargo_elsewhere(place, target, &words).unwrap_or_else(|errors| panic!("{errors}"));
    }
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let name = place.file_name().unwrap().to_str().unwrap().replace('-', "_");
    let library = target.join(profile).join(format!("lib{name}.so"));
    let copies = tempfile::tempdir().unwrap();
    let probe = ProbeCommand::program(build_program("tallyho-probe"));
    let options = LoaderOptions { probe, ..LoaderOptions::new(copies.path()) };
    assert_eq!(Loader::new(options).unwrap().load(&library).unwrap().manifest().name, serves);
    let (broken, report) = broken(&library, &["--seconds", "20"]);
    assert!(broken.is_empty(), "{report:#}");
}
