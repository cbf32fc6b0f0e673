//! What the whole site can do, each figure beside what it is measured against in the same run.
//!
//! `cargo bench -p tallyho-tests --bench site` measures everything (some ten minutes);
//! `cargo bench -p tallyho-tests --bench site -- messages events` measures these alone.
//! Each line has the figure, its ratio to something bare, the requirement, and `ok` or `MISSED`.
//!
//! Ratios are taken between runs that follow each other within the same second or two, and the median
//! of these ratios counts: other work on the machine then hits both sides. Store files are under
//! `TMPDIR`: put that on the disk that matters, a memory file system flatters.
//!
//! Without `--bench` (that is how `cargo test` runs it) everything is done in small, to see that
//! it works; no figure decides whether that succeeds.
#![allow(missing_docs)]

mod call;
mod chits;
mod client;
mod events;
mod figures;
mod handshakes;
mod isolated;
mod lifts;
mod linked;
mod memory;
mod messages;
mod noop;
mod paths;
mod responder;
mod rulings;
mod swap;
mod tallies;

use figures::Effort;
use std::process::ExitCode;

type Measure = fn(Effort);

const BENCHES: [(&str, Measure); 15] = [
    ("messages", messages::measure),
    ("handshakes", handshakes::measure),
    ("events", events::measure),
    ("memory", memory::measure),
    ("call", call::measure),
    ("isolated", isolated::measure),
    ("linked", linked::measure),
    ("swap", swap::measure),
    ("tallies", tallies::measure),
    ("chits", chits::measure),
    ("single", chits::single),
    ("growth", chits::growth),
    ("referee", rulings::measure),
    ("paths", paths::measure),
    ("lifts", lifts::measure),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let [role, rest @ ..] = words.as_slice()
        && memory::play(role, rest)
    {
        return ExitCode::SUCCESS;
    }
    // As a test runner asks: one test for each benchmark, none of them ignored.
    if words.contains(&"--list") {
        if !words.contains(&"--ignored") {
            BENCHES.iter().for_each(|(name, _)| println!("{name}: test"));
        }
        return ExitCode::SUCCESS;
    }
    let effort = if words.contains(&"--bench") { Effort::Full } else { Effort::Small };
    let wanted: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with('-')).collect();
    if let Some(unknown) = wanted.iter().find(|word| BENCHES.iter().all(|(name, _)| name != *word)) {
        let names: Vec<&str> = BENCHES.iter().map(|(name, _)| *name).collect();
        eprintln!("no benchmark {unknown}; there are: {}", names.join(", "));
        return ExitCode::from(2);
    }
    for (_, measure) in BENCHES.iter().filter(|(name, _)| wanted.is_empty() || wanted.contains(name)) {
        measure(effort);
    }
    ExitCode::SUCCESS
}
