//! How soon another build serves: told to (`plugin swap`), and by itself once its file is there (`run --watch`).
//!
//! The site runs all standard plugins. Builds of the chit plugin differ in what is loaded of them, so that each is
//! copied, hashed, probed and mapped; those that were loaded before are known by their hash.

use crate::figures::{Effort, Wanted, line, median, sync};
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tallyho_tests::counter::{Builds, text};
use tallyho_tests::plugins::{another_build, build_library, development_build};
use tallyho_tests::site::{PATIENCE, Site};

/// From the command to the new build serving, in milliseconds.
const SWAP_MS: f64 = 20.0;

/// From the file being there to the first answer by the new build, in milliseconds.
const WATCH_MS: f64 = 500.0;

/// The steps of a swap, in their order. The hash of a new build and its probe are taken at the same time.
const PHASES: [&str; 11] =
    ["copy", "read", "hash", "probe", "check", "create", "keep", "wait", "migrate", "start", "switch"];

/// How this program and what it loads were built.
const PROFILE: &str = if cfg!(debug_assertions) { "development" } else { "release" };

pub fn measure(effort: Effort) {
    for (package, measure) in [("tallyho-chit", told as fn(Effort, &str, &Path)), ("tallyho-fixture-counter", watched)]
    {
        measure(effort, PROFILE, &build_library(package));
        // The edit loop's builds are as large and less optimised.
        if effort == Effort::Full {
            measure(effort, "development", &development_build(package));
        }
    }
}

/// Swaps by command.
fn told(effort: Effort, profile: &str, library: &Path) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let library = std::fs::read(library).expect("a library just built can be read");
    let builds: Vec<PathBuf> = (1..=effort.choose(2, 15))
        .map(|number| {
            let path = folder.path().join(format!("{number}.so"));
            std::fs::write(&path, another_build(&library, number)).expect("a build can be written");
            // All are made before: the disk is not to be busy with them while a swap is made durable.
            File::open(&path).and_then(|file| file.sync_all()).expect("a build can be kept");
            path
        })
        .collect();
    let site = site(Site::empty());
    let mut log = tempfile::tempfile().expect("a temporary file can be made");
    let mut syncs = Vec::new();
    let mut swap = |build: &PathBuf| {
        syncs.push(sync(&mut log) * 1e3);
        Swap::of(&site, build)
    };
    let new: Vec<Swap> = builds.iter().map(&mut swap).collect();
    let known: Vec<Swap> = builds.iter().map(&mut swap).collect();
    let size = format!("{:.1} MB", library.len() as f64 / 1e6);
    let ms = |what: &str, value: f64, against: &str, wanted: Wanted| {
        line(effort, &format!("swap, {profile}: {what}"), &format!("{value:.2} ms"), against, value, wanted);
    };
    for phase in PHASES {
        ms(phase, Swap::median(&new, |swap| swap.phase(phase)), "a new build", Wanted::Told);
    }
    ms("in all", Swap::median(&new, Swap::all), &format!("a new build, {size}"), Wanted::AtMost(SWAP_MS));
    ms("in all", Swap::median(&known, Swap::all), &format!("a known build, {size}"), Wanted::AtMost(SWAP_MS));
    ms("one sync", median(syncs), "of which a switch has one", Wanted::Told);
    let command = Swap::median(&new, |swap| swap.command);
    ms("its command", command, "until it has ended", Wanted::Told);
}

/// A site that says little, so that its log costs nothing.
fn site(mut site: Site) -> Site {
    site.environment("RUST_LOG", "info");
    site.start();
    site
}

/// How long a swap took.
struct Swap {
    /// As the site tells it.
    answer: Value,
    /// What whoever types the command waits.
    command: f64,
}

impl Swap {
    fn of(site: &Site, build: &Path) -> Self {
        let begun = Instant::now();
        let answer = site.command(&["plugin", "swap", "chit", text(build)]);
        Swap { command: begun.elapsed().as_secs_f64() * 1e3, answer }
    }

    fn all(&self) -> f64 {
        self.answer["ms"].as_f64().expect("the time is told in milliseconds")
    }

    fn phase(&self, phase: &str) -> f64 {
        self.answer["phases"][phase].as_f64().expect("each phase is told in milliseconds")
    }

    fn median(swaps: &[Self], figure: impl Fn(&Self) -> f64) -> f64 {
        median(swaps.iter().map(figure).collect())
    }
}

/// Swaps by the site itself.
fn watched(effort: Effort, profile: &str, library: &Path) {
    let builds = Builds::of(library);
    let site = site(Site::new().watching().plugins(&[text(&builds.make("counter.so", "version=1"))]));
    let mut number = 0;
    let times = (2..=effort.choose(2, 16)).map(|version: u64| {
        builds.make("counter.so", &format!("version={version}"));
        let begun = Instant::now();
        while site.count(number) != version.to_string() {
            assert!(begun.elapsed() < PATIENCE, "version {version} never served\n{}", site.log());
            number += 1;
        }
        number += 1;
        begun.elapsed().as_secs_f64() * 1e3
    });
    let value = median(times.collect());
    let (name, against) = (format!("watch, {profile}"), "from the file to the first answer");
    line(effort, &name, &format!("{value:.0} ms"), against, value, Wanted::AtMost(WATCH_MS));
}
