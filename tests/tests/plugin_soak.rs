//! Builds of the chit plugin swapped again and again, on both sites, while their people pay each other as fast as
//! the sites take it, and with `kill -9` now and then: no chit is lost or doubled, no command fails, memory stays.
//!
//! The long form, of a thousand swaps, takes minutes, so it runs without nextest and in a release build. It also
//! fails where swaps make the slowest hundredth of payments take more than twice as long:
//!
//! `TALLYHO_TEST_SWAPS=1000 cargo test --release --workspace --test plugin_soak -- --nocapture`

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use tallyho_tests::deal::{Deal, is_down};
use tallyho_tests::payers::{Count, Orders, Payer, agree, settled};
use tallyho_tests::plugins::{another_build, build_library};
use tallyho_tests::site::{Door, PATIENCE, Site};

/// Swaps of the short form; a third of them with kills.
const SWAPS: u64 = 30;

/// Builds: each is mapped once, so that what a swap itself leaves behind shows after the first round of them.
const BUILDS: u64 = 3;

/// Memory that a site may gain in the short form, in bytes: a seventh of one mapping for each swap.
const GAIN: u64 = 32 << 20;

/// Memory that a site may gain for each swap while nobody pays, in bytes: a hundredth of a mapping, so that the
/// allocator's own ups and downs over a few swaps do not count.
const SLOPE: f64 = 64.0 * 1_024.0;

/// Swaps between two kills.
const KILLED: u64 = 5;

/// What people do while something else goes on, and how long each payment took.
fn paying(
    doors: &[Door; 2],
    tally: &str,
    orders: [Orders; 2],
    meanwhile: impl FnOnce(&Count),
) -> ([Orders; 2], Vec<Duration>) {
    let (count, over) = (Count::default(), AtomicBool::new(false));
    let (count, over) = (&count, &over);
    thread::scope(|scope| {
        let people = ["alice", "bob"].into_iter().zip(orders).zip(doors);
        let payers: Vec<_> = people
            .map(|((user, orders), door)| {
                let payer = Payer::new(door.clone(), user, tally, count).after(orders);
                scope.spawn(|| payer.pay(&|_| over.load(Ordering::Relaxed)))
            })
            .collect();
        // Ends them also where this panics.
        let ends = Ends(over);
        meanwhile(count);
        drop(ends);
        let mut paid = payers.into_iter().map(|payer| payer.join().unwrap());
        let ((one, mut times), (other, more)) = (paid.next().unwrap(), paid.next().unwrap());
        times.extend(more);
        ([one, other], times)
    })
}

struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The time that all but the slowest hundredth take.
fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// Bytes gained for each swap, by least squares over what was seen after each.
fn slope(seen: &[u64]) -> f64 {
    let n = seen.len() as f64;
    let (mean_x, mean_y) = ((n - 1.0) / 2.0, seen.iter().sum::<u64>() as f64 / n);
    let sums = seen.iter().enumerate().fold((0.0, 0.0), |(xy, xx), (x, y)| {
        let (dx, dy) = (x as f64 - mean_x, *y as f64 - mean_y);
        (xy + dx * dy, xx + dx * dx)
    });
    sums.0 / sums.1
}

#[test]
fn a_slope_is_what_each_swap_adds() {
    assert_eq!(slope(&[10, 12, 14, 16]), 2.0);
    assert_eq!(slope(&[7, 7, 7]), 0.0);
}

#[test]
fn swaps_and_kills_lose_no_chit_fail_no_command_and_leave_nothing_in_memory() {
    let long = std::env::var("TALLYHO_TEST_SWAPS").ok().map(|text| text.parse::<u64>().expect("a number of swaps"));
    let swaps = long.unwrap_or(SWAPS);
    let folder = tempfile::tempdir().unwrap();
    let library = fs::read(build_library("tallyho-chit")).unwrap();
    let builds: Vec<PathBuf> = (0..BUILDS)
        .map(|number| {
            let path = folder.path().join(format!("{number}.so"));
            fs::write(&path, another_build(&library, number)).unwrap();
            path
        })
        .collect();
    let mut sites = [Site::with_users(&["alice"]), Site::with_users(&["bob"])];
    let doors = [sites[0].door(), sites[1].door()];
    let [stock, foil] = doors.clone();
    let tally = Deal { stock, alice: "alice", foil, bob: "bob", revive: &|| {} }.make();
    let swap = |turn: u64| {
        // Each site has every build in its turn.
        let build = &builds[(turn / 2 % BUILDS) as usize];
        let swapped = doors[turn as usize % 2].call("host", "plugin.swap", &json!({ "name": "chit", "file": build }));
        // In all, and that part during which the site runs no events.
        let ms = |value: &Value| value.as_f64().unwrap();
        let pause = |phases: &Value| ["migrate", "start", "switch"].iter().map(|phase| ms(&phases[phase])).sum::<f64>();
        swapped.map(|swapped| (ms(&swapped["ms"]), pause(&swapped["phases"])))
    };

    let (orders, quiet) = paying(&doors, &tally, Default::default(), |count| {
        assert!(count.wait(swaps * 20, PATIENCE * 10), "{} chits, then no more", count.paid());
    });
    let (mut memory, mut took) = ([Vec::new(), Vec::new()], Vec::new());
    let (orders, busy) = paying(&doors, &tally, orders, |count| {
        let before = count.paid();
        for turn in 0..swaps {
            took.push(swap(turn).unwrap_or_else(|fault| panic!("swap {turn}: {fault}")));
            if turn >= 2 * BUILDS {
                memory[turn as usize % 2].push(sites[turn as usize % 2].memory());
            }
        }
        assert!(count.paid() > before, "nothing was paid meanwhile");
    });
    let gains = memory.each_ref().map(|seen| seen.last().unwrap().saturating_sub(seen[0]));
    let (mut took, mut pauses): (Vec<f64>, Vec<f64>) = took.into_iter().unzip();
    [&mut took, &mut pauses].into_iter().for_each(|times| times.sort_by(f64::total_cmp));
    let (without, with) = (p99(quiet), p99(busy));

    let (turns, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let (orders, _) = paying(&doors, &tally, orders, |count| {
        thread::scope(|scope| {
            let _ends = Ends(&over);
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    match swap(turns.load(Ordering::Relaxed)) {
                        Ok(_) => drop(turns.fetch_add(1, Ordering::Relaxed)),
                        // Its site has been killed under it, and is started again.
                        Err(fault) => assert!(is_down(&fault), "{fault}"),
                    }
                }
            });
            for kill in 0..(swaps / 3).div_ceil(KILLED) {
                while turns.load(Ordering::Relaxed) < (kill + 1) * KILLED {
                    let paid = count.paid();
                    assert!(count.wait(paid + 1, PATIENCE), "{paid} chits are paid, then no more");
                }
                let site = &mut sites[kill as usize % 2];
                site.kill();
                site.environment("RUST_LOG", "info");
                site.start();
            }
        });
    });
    let killed = turns.into_inner();
    let [alice, bob] =
        [("alice", 0), ("bob", 1)].map(|(user, site): (&str, usize)| settled(&sites[site], user, &tally));
    agree(&alice, &bob, &orders);

    // Payments take memory too, for caches that fill; what swaps leave behind shows when nothing else goes on.
    let mut still = [Vec::new(), Vec::new()];
    for turn in 0..swaps {
        swap(turn).unwrap();
        if turn >= 2 * BUILDS {
            still[turn as usize % 2].push(sites[turn as usize % 2].memory());
        }
    }
    let slopes = still.each_ref().map(|seen| slope(seen));
    eprintln!(
        "{} chits; {swaps} swaps, median {:.1} ms, of which no event is run for {:.1} ms; then {killed} with kills\n\
         p99 of a payment {without:?} without swaps, {with:?} during them\n\
         memory of the sites: {gains:?} bytes more after {swaps} swaps with payments; {slopes:.0?} bytes a swap without",
        orders.iter().map(Orders::len).sum::<usize>(),
        took[took.len() / 2],
        pauses[pauses.len() / 2],
    );
    assert!(slopes.iter().all(|slope| *slope < SLOPE), "{slopes:?}: {still:?}");
    match long {
        None => assert!(gains.iter().all(|gain| *gain < GAIN), "{gains:?}"),
        Some(_) => assert!(with <= 2 * without, "{with:?} {without:?}"),
    }
}
