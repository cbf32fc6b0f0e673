//! Chits in both directions at once, while either site is killed again and again as `kill -9` does: nothing is
//! lost, nothing that was reported as done is undone, and both chains end equal.
//!
//! Real processes. The test counts chits between two kills, drawn from seed 1. The long form kills by the
//! clock, every second; it runs without nextest, which ends what takes minutes:
//!
//! `TALLYHO_TEST_CHITS=10000 TALLYHO_TEST_SEED=7 cargo test --workspace --test chit_load -- --nocapture`

#![allow(clippy::unwrap_used)]

use std::thread;
use std::time::Duration;
use tallyho_tests::deal::Deal;
use tallyho_tests::payers::{Count, Orders, Payer, agree, settled};
use tallyho_tests::site::{PATIENCE, Site};

/// Chits that are to be reported as paid, both directions together, and kills meanwhile.
const CHITS: u64 = 1_000;
const KILLS: u64 = 10;

/// Between two kills of the long form.
const PERIOD: Duration = Duration::from_secs(1);

#[test]
fn chits_paid_both_ways_at_once_survive_the_killing_of_either_site() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number is given"));
    let (long, mut dice) = (number("TALLYHO_TEST_CHITS"), number("TALLYHO_TEST_SEED").unwrap_or(1) | 1 << 40);
    let chits = long.unwrap_or(CHITS);
    let mut sites = [Site::with_users(&["alice"]), Site::with_users(&["bob"])];
    let doors = [sites[0].door(), sites[1].door()];
    let [stock, foil] = doors.clone();
    let tally = Deal { stock, alice: "alice", foil, bob: "bob", revive: &|| {} }.make();
    let mut roll = |sides: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % sides
    };
    let (count, mut kills) = (Count::default(), 0);
    let orders: [Orders; 2] = thread::scope(|scope| {
        let payers = ["alice", "bob"].map(|user| {
            let door = doors[usize::from(user == "bob")].clone();
            let payer = Payer::new(door, user, &tally, &count);
            scope.spawn(|| payer.pay(&|paid| paid >= chits / 2).0)
        });
        loop {
            let done = match long {
                Some(_) => count.wait(chits, PERIOD),
                None if kills == KILLS => break,
                // Somewhere between this kill's place and the next one's.
                None => {
                    let goal = (chits * (kills + 1) - roll(chits)) / KILLS;
                    let reached = count.wait(goal.min(chits - 1), PATIENCE);
                    assert!(reached, "{} chits are paid, then no more", count.paid());
                    false
                }
            };
            if done {
                break;
            }
            let site = &mut sites[usize::from(roll(2) == 1)];
            site.kill();
            site.environment("RUST_LOG", "info");
            site.start();
            kills += 1;
        }
        payers.map(|payer| payer.join().unwrap())
    });
    eprintln!("{chits} chits, {kills} kills");
    let [alice, bob] =
        [("alice", 0), ("bob", 1)].map(|(user, site): (&str, usize)| settled(&sites[site], user, &tally));
    agree(&alice, &bob, &orders);
}
