//! Lifts between real processes: five sites in a row and a referee's, all on this machine with their stores on disk.
//!
//! How many a second go over four tallies when many are under way, beside the cryptography of a lift alone; and how
//! long one lift takes that is alone, by the number of tallies it goes over, which should grow by the same for each.

use crate::figures::{Duel, Effort, Wanted, line, median, timed};
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};
use tallyho::control::{Client, Feed, Operator};
use tallyho_plugin::record::keys::PublicKey;
use tallyho_plugin::record::signing::{AgentKey, verify_bytes};
use tallyho_tests::rings::{Ring, user};
use tallyho_tests::site::{PATIENCE, Site};

/// Tallies between the first site and the last.
const HOPS: usize = 4;

/// Lifts under way at a time: fewer than a referee lets a stranger ask for before it has answered.
const TOGETHER: usize = 32;

/// Milli-CHIPs that the tallies take: nothing is to fail for want of room.
const TARGET: i64 = 1_000_000_000;

/// Milli-CHIPs of a lift.
const UNITS: u64 = 10;

/// Seconds that a lift may take.
const LIFE: u32 = 120;

/// Between two looks at a single lift: looking costs the sites processor time.
const LOOK: Duration = Duration::from_micros(500);

/// Bytes that are signed: L is about as long.
const TEXT: [u8; 500] = [7; 500];

pub fn measure(effort: Effort) {
    let (many, rounds, single) = effort.choose((4, 1, 1), (200, 5, 50));
    let ring = Ring::logging(HOPS + 1, false, "warn", |_| TARGET);
    (1..=HOPS).for_each(|to| ring.route(0, to));
    let payer = client(&ring.sites[0]);
    let notices = payer.watch(0);
    let crypto = Crypto::new();
    Duel::fight(rounds, || many as f64 / together(&ring, &notices, many), || crypto.lifts(many)).report(
        effort,
        "lifts over 4 tallies, 5 sites",
        "/s",
        Wanted::Told,
    );

    // By turns, so that what else the machine does hits all alike.
    let mut times = vec![Vec::new(); HOPS];
    for _ in 0..single {
        for (hops, times) in (1..).zip(&mut times) {
            times.push(alone(&ring, &payer, hops) * 1e3);
        }
    }
    let times: Vec<f64> = times.into_iter().map(median).collect();
    for (hops, time) in (1..).zip(&times) {
        let against = match hops {
            1 => "the payee's partner pays".to_owned(),
            _ => format!("{:.1} ms more than over {}", time - times[hops - 2], hops - 1),
        };
        line(effort, &format!("one lift, {hops} tallies"), &format!("{time:.1} ms"), &against, *time, Wanted::Told);
    }
    // Where four would be if the fourth cost what the second and third have.
    let straight = times[0] + (times[2] - times[0]) * 1.5;
    let ratio = times[3] / straight;
    let against = format!("{ratio:.2} of {straight:.1} ms, in line");
    line(effort, "growth by tallies", &format!("{:.1} ms", times[3]), &against, ratio, Wanted::AtMost(1.25));
}

fn client(site: &Site) -> Client {
    Client::connect(&site.home().join("control.sock")).expect("the site runs")
}

/// Has the first site pay the last one so many times; seconds until all are good and every chit is confirmed.
fn together(ring: &Ring, notices: &Feed, lifts: usize) -> f64 {
    let order = json!({ "user": user(0), "to": ring.address(HOPS), "units": UNITS, "life": LIFE * 1_000 });
    let mut pipe = ring.sites[0].door().pipe().expect("the site runs");
    let (mut begun, mut done) = (0, 0);
    let work = || {
        while done < lifts {
            if begun < lifts && begun - done < TOGETHER {
                pipe.send("lift", "pay", order.clone()).expect("the site reads");
                begun += 1;
                continue;
            }
            while pipe.under_way() > 0 {
                pipe.answer().expect("the site lives").unwrap_or_else(|fault| panic!("lift pay: {fault}"));
            }
            let notice = notices.next(PATIENCE).unwrap_or_else(|_| {
                panic!("{done} of {lifts} are good, then nothing more happened\n{}", ring.sites[0].log())
            });
            if notice["about"] == "lift" {
                assert_ne!(notice["status"], "void", "{notice}");
                done += usize::from(notice["status"] == "good");
            }
        }
        ring.settled();
    };
    timed(work).as_secs_f64()
}

/// Seconds from the order of one lift over so many tallies until payor's and payee's sites have it good.
fn alone(ring: &Ring, payer: &Client, hops: usize) -> f64 {
    let payee = client(&ring.sites[hops]);
    let order = json!({ "user": user(0), "to": ring.address(hops), "units": UNITS, "life": LIFE * 1_000 });
    let begun = Instant::now();
    let paid = payer.call("lift", "pay", &order).expect("there is a way");
    for site in [payer, &payee] {
        // The payee's does not know it at once.
        while !site.call("lift", "state", &json!({ "lift": paid["lift"] })).is_ok_and(|shown| shown["state"] == "good")
        {
            assert!(begun.elapsed() < PATIENCE, "{paid} is never good over {hops} tallies");
            thread::sleep(LOOK);
        }
    }
    let time = begun.elapsed().as_secs_f64();
    // The next one finds everybody at rest.
    ring.settled();
    time
}

/// The signatures of a lift, all on one thread.
struct Crypto {
    key: AgentKey,
    public: PublicKey,
}

impl Crypto {
    fn new() -> Self {
        let key = AgentKey::generate().expect("there are random bytes");
        let public = PublicKey::Ed25519(key.id().to_bytes().expect("an agent's id is its key"));
        Crypto { key, public }
    }

    /// Lifts a second, of so many. Signed are the payor's order, a pledge for each tally, the arrival, the consent
    /// and the ruling; each is verified by whoever gets it, the ruling by every site, and the chit of each tally,
    /// ruling and pledge, by the partner to whom it comes.
    fn lifts(&self, lifts: usize) -> f64 {
        let (signed, verified) = (HOPS + 4, 1 + HOPS + 1 + 1 + (HOPS + 1) + 2 * HOPS);
        let signature = self.key.sign(&TEXT);
        let work = || {
            for _ in 0..lifts {
                (0..signed).for_each(|_| assert_eq!(self.key.sign(&TEXT).len(), 64));
                (0..verified).for_each(|_| assert!(verify_bytes(&self.public, &TEXT, &signature)));
            }
        };
        lifts as f64 / timed(work).as_secs_f64()
    }
}
