//! Libraries that are rebuilt under a site that watches them.
#![allow(clippy::unwrap_used)]

use serde_json::json;
use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};
use tallyho_tests::counter::{Builds, text};
use tallyho_tests::site::{PATIENCE, Site, until};

/// How soon a build has to handle what comes next, once it is there. On an idle machine it takes a tenth of a second.
const SOON: Duration = Duration::from_millis(500);

fn site(builds: &Builds) -> Site {
    let mut site = Site::new().watching().plugins(&[text(&builds.make("counter.so", "version=1"))]);
    site.start();
    site
}

/// Sends numbers until this version has counted one; how long that took.
fn handled_by(site: &Site, version: &str, first: u64) -> Duration {
    let begun = Instant::now();
    let mut number = first;
    while site.count(number) != version {
        number += 1;
        assert!(begun.elapsed() < PATIENCE, "version {version} never served\n{}", site.log());
    }
    begun.elapsed()
}

#[test]
fn a_build_handles_the_next_message_half_a_second_after_it_was_made() {
    let builds = Builds::new();
    let site = site(&builds);
    // A machine that does other work may be late once, but not every time.
    let mut times = Vec::new();
    for version in 2..7 {
        builds.make("counter.so", &format!("version={version}"));
        times.push(handled_by(&site, &version.to_string(), version * 1_000_000));
    }
    assert!(times.iter().min() < Some(&SOON), "{times:?}");
    // The line comes after the build serves.
    until(|| site.log().matches("plugin counter was rebuilt: version ").count() == 5);
    let log = site.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("generation 6")).collect();
    let line = "plugin counter was rebuilt: version 6 serves as generation 6, before it generation 5; ";
    assert!(told.len() == 1 && told[0].contains(line), "one line says so: {told:?}");
    assert!(site.counted().iter().all(|(_, times)| *times == 1));
}

#[test]
fn a_build_that_fails_its_checks_is_reported_and_the_old_one_serves_on() {
    let builds = Builds::new();
    let site = site(&builds);
    let fresh = builds.folder().join("fresh");
    fs::write(&fresh, "no library").unwrap();
    fs::rename(&fresh, builds.folder().join("counter.so")).unwrap();
    until(|| site.log().contains("plugin counter was rebuilt: plugin counter is not swapped, generation 1 serves on"));
    assert_eq!(site.count(1), "1");
    builds.make("counter.so", "version=2 state=2");
    until(|| site.log().contains("repeat it with --migrate"));
    assert_eq!(site.count(2), "1");
    builds.make("counter.so", "version=1");
    until(|| site.log().contains("plugin counter was rebuilt: its file holds the build again that serves"));
    builds.make("counter.so", "version=3");
    handled_by(&site, "3", 3);
    assert_eq!(site.log().matches("is not swapped").count(), 2, "each is told once");
}

#[test]
fn a_file_that_is_written_slowly_or_with_the_same_content_is_swapped_in_once_and_not_at_all() {
    let builds = Builds::new();
    let site = site(&builds);
    let path = builds.folder().join("counter.so");
    let same = fs::read(&path).unwrap();
    fs::write(builds.folder().join("fresh"), &same).unwrap();
    fs::rename(builds.folder().join("fresh"), &path).unwrap();
    until(|| site.log().contains("was written again with the same content"));
    assert_eq!(site.counter()["generation"], 1);
    // In place and piece by piece, as a linker does.
    let next = fs::read(builds.make("next.so", "version=2")).unwrap();
    let mut file = fs::File::create(&path).unwrap();
    next.chunks(next.len() / 50).for_each(|piece| file.write_all(piece).unwrap());
    drop(file);
    handled_by(&site, "2", 1);
    let listed = site.counter();
    assert_eq!((&listed["path"], &listed["faults"]), (&json!(path), &json!(0)));
    // Another file that was swapped in is the one that is watched.
    let other = builds.make("other.so", "version=3");
    site.swap(&other);
    builds.make("other.so", "version=4");
    handled_by(&site, "4", 100_000);
}
