//! A ring of sites over which many lifts go at the same time: payments between any two of them and clearings of the
//! whole ring. Each is good or void, the same on every site; nobody in between has less than before, nothing stays
//! reserved.
//!
//! Real processes, all at one address: of strangers, who tell arrivals and ask for rulings, each site lets in few at a
//! time from there, so that many lifts wait for their turn, which sites of the world would not. The test has a few sites and lifts; twelve sites and two hundred lifts, drawn from another seed:
//!
//! `TALLYHO_TEST_LIFTS=200 TALLYHO_TEST_SITES=12 TALLYHO_TEST_SEED=7 cargo test --workspace --test lift_ring -- --nocapture`

#![allow(clippy::unwrap_used)]

use serde_json::json;
use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};
use tallyho_tests::deal::is_down;
use tallyho_tests::rings::{End, Ring, user};

/// In the test.
const SITES: u64 = 6;
const LIFTS: u64 = 24;

/// Of so many lifts one is a clearing.
const CLEARING: u64 = 10;

/// Milli-CHIPs that each tally takes for each lift there is; little enough that some payments find no room.
const TARGET: u64 = 40;
/// What the user of the first site owes the one of the last before each clearing.
const OWED: i64 = 200;
/// Payments are of so much at most.
const UNITS: u64 = 100;

/// Seconds that a payment may take: two hundred at once take some on two processors.
const LIFE: u32 = 60;

/// How long the way round is looked for.
const SEARCH: Duration = Duration::from_secs(10);

/// Payments asked for at the same time.
const TOGETHER: usize = 8;

struct Payment {
    from: usize,
    to: usize,
    units: u64,
    lift: Option<String>,
}

#[test]
fn lifts_over_a_ring_at_the_same_time_end_alike_and_cost_nobody_in_between() {
    let number = |name: &str, otherwise| {
        std::env::var(name).map_or(otherwise, |text| text.parse::<u64>().expect("a number is given"))
    };
    let (sites, lifts) = (number("TALLYHO_TEST_SITES", SITES), number("TALLYHO_TEST_LIFTS", LIFTS));
    let mut dice = number("TALLYHO_TEST_SEED", 1) | 1 << 40;
    let mut roll = |sides: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % sides
    };
    let count = usize::try_from(sites).unwrap();
    let begun = Instant::now();
    // Over the closing tally only what is owed on it goes.
    let target = i64::try_from(TARGET * lifts).unwrap();
    let ring = Ring::logging(count, true, "info", |place| if place == count - 1 { 0 } else { target });
    let clearings = lifts / CLEARING;
    let mut payments: Vec<Payment> = (clearings..lifts)
        .map(|_| {
            let from = usize::try_from(roll(sites - 1)).unwrap();
            let hops = usize::try_from(1 + roll(sites - 1 - from as u64)).unwrap();
            Payment { from, to: from + hops, units: 1 + roll(UNITS), lift: None }
        })
        .collect();
    eprintln!("{count} sites stand after {:.1} s", begun.elapsed().as_secs_f64());
    owe(&ring, OWED);
    // One after the other: a search that meets another one for the same user is turned away (PROTOCOL 8.3 rule 7),
    // and what failed is not tried again for an hour.
    let ways: BTreeSet<(usize, usize)> = payments.iter().map(|payment| (payment.from, payment.to)).collect();
    ways.iter().for_each(|(from, to)| ring.route(*from, *to));
    eprintln!("{} ways are known after {:.1} s", ways.len(), begun.elapsed().as_secs_f64());
    let before = ring.settled();

    let begun = Instant::now();
    let (cleared, owed) = thread::scope(|scope| {
        let clearing = scope.spawn(|| clear(&ring, clearings));
        let share = payments.len().div_ceil(TOGETHER).max(1);
        for some in payments.chunks_mut(share) {
            let ring = &ring;
            scope.spawn(move || some.iter_mut().for_each(|payment| payment.begin(ring)));
        }
        clearing.join().unwrap()
    });
    let asked = begun.elapsed();
    let after = ring.settled();
    let all = begun.elapsed();

    let mut expected = before;
    expected[0] -= owed;
    expected[count - 1] += owed;
    let (mut good, mut void, mut refused) = (0, 0, 0);
    for payment in &payments {
        let Some(lift) = &payment.lift else {
            refused += 1;
            continue;
        };
        match ring.end(payment.from, payment.to, lift) {
            End::Good => {
                good += 1;
                let units = i64::try_from(payment.units).unwrap();
                expected[payment.from] -= units;
                expected[payment.to] += units;
            }
            End::Void => void += 1,
        }
    }
    let round: Vec<End> = cleared.iter().map(|lift| ring.end(0, count - 1, lift)).collect();
    let rounds = round.iter().filter(|end| **end == End::Good).count();
    eprintln!(
        "{count} sites: of {} payments {good} good, {void} void, {refused} without a way; of {} clearings {rounds} good; \
         asked within {:.1} s, over after {:.1} s, {:.1} lifts a second",
        payments.len(),
        cleared.len(),
        asked.as_secs_f64(),
        all.as_secs_f64(),
        (good + void + cleared.len()) as f64 / all.as_secs_f64(),
    );
    assert_eq!(after, expected, "what each has in all: nobody in between has lost anything");
    assert!(good > 0, "some of it is done");
}

impl Payment {
    /// Begins it; where no way is known and none can be looked for, that is told at once.
    fn begin(&mut self, ring: &Ring) {
        match ring.pay(self.from, self.to, self.units, LIFE) {
            Ok(lift) => self.lift = Some(lift),
            Err(fault) => assert!(fault.code == "no-route" || is_down(&fault), "{fault}"),
        }
    }
}

/// The first site's user buys something of the last one's.
fn owe(ring: &Ring, units: i64) {
    let tally = ring.tallies.last().unwrap();
    let order = json!({ "tally": tally, "user": user(0), "units": units });
    ring.sites[0].call("chit", "pay", &order).unwrap();
}

/// So many clearings, one after the other, until one comes to nothing: the way round is not tried again for an
/// hour then (PROTOCOL 8.4 R12). The first site's user owes something before each. Their uuids, and what was borrowed for those after the first.
fn clear(ring: &Ring, wanted: u64) -> (Vec<String>, i64) {
    let (mut lifts, mut owed): (Vec<String>, i64) = (Vec::new(), 0);
    let mut begun = Instant::now();
    loop {
        let cleared = ring.sites[0].call("lift", "clear", &json!({ "user": user(0) })).unwrap();
        let Some(lift) = cleared["begun"][0]["lift"].as_str() else {
            // The way round is being looked for, or a payment from the first to the last has failed.
            if begun.elapsed() > SEARCH {
                return (lifts, owed);
            }
            thread::sleep(Duration::from_millis(20)); // between two looks; no result hangs on it
            continue;
        };
        lifts.push(lift.to_owned());
        ring.until_state(0, lift, &["good", "void"]);
        if lifts.len() as u64 >= wanted || ring.state(0, lift).as_deref() != Some("good") {
            return (lifts, owed);
        }
        owe(ring, OWED);
        owed += OWED;
        begun = Instant::now();
    }
}
