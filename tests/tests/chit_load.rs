//! Chits in both directions at once, while either site is killed again and again as `kill -9` does: nothing is
//! lost, nothing that was reported as done is undone, and both chains end equal.
//!
//! Real processes. The test counts chits between two kills, drawn from seed 1. The long form kills by the
//! clock, every second; it runs without nextest, which ends what takes minutes:
//!
//! `TALLYHO_TEST_CHITS=10000 TALLYHO_TEST_SEED=7 cargo test --workspace --test chit_load -- --nocapture`

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tallyho_tests::deal::{Deal, is_down};
use tallyho_tests::pipe::Pipe;
use tallyho_tests::site::{Door, PATIENCE, Site};

/// Chits that are to be reported as paid, both directions together, and kills meanwhile.
const CHITS: u64 = 1_000;
const KILLS: u64 = 10;

/// Between two kills of the long form.
const PERIOD: Duration = Duration::from_secs(1);

/// Chits that one user has under way: some are always torn by a kill.
const TOGETHER: u64 = 8;

/// Links asked for at a time.
const PAGE: u64 = 100;

/// Chits reported as paid so far.
#[derive(Default)]
struct Count {
    paid: Mutex<u64>,
    more: Condvar,
}

impl Count {
    fn add(&self) {
        *self.paid.lock().unwrap() += 1;
        self.more.notify_all();
    }

    /// Waits until there are so many, at most so long; whether there are.
    fn wait(&self, goal: u64, patience: Duration) -> bool {
        let paid = self.paid.lock().unwrap();
        let (paid, _) = self.more.wait_timeout_while(paid, patience, |paid| *paid < goal).unwrap();
        *paid >= goal
    }
}

/// What a user has ordered, by memo: the chit's uuid where the site has reported success.
type Orders = BTreeMap<String, Option<String>>;

/// Somebody who pays, whatever becomes of the site.
struct Payer<'a> {
    door: Door,
    user: &'static str,
    tally: &'a str,
    count: &'a Count,
    orders: Orders,
    paid: u64,
}

impl Payer<'_> {
    /// Pays until so many chits are reported as paid.
    fn pay(mut self, chits: u64) -> Orders {
        let mut begun = Instant::now();
        while self.paid < chits {
            let before = self.paid;
            match self.door.pipe() {
                // Until the site dies; what was under way then is not known.
                Ok(mut pipe) => drop(self.go_on(&mut pipe, chits)),
                Err(_) => thread::sleep(Duration::from_millis(5)), // it is being started
            }
            if self.paid > before {
                begun = Instant::now();
            }
            assert!(begun.elapsed() < PATIENCE, "{}: nothing more is paid", self.user);
        }
        self.orders
    }

    fn go_on(&mut self, pipe: &mut Pipe, chits: u64) -> std::io::Result<()> {
        let mut under_way: Vec<String> = Vec::new();
        while self.paid < chits {
            while pipe.under_way() < TOGETHER.min(chits - self.paid) {
                let number = self.orders.len() as u64;
                let memo = format!("{} {number}", self.user);
                let units = 1 + number % 7;
                let order = json!({ "tally": self.tally, "user": self.user, "units": units, "memo": memo });
                self.orders.insert(memo.clone(), None);
                under_way.push(memo);
                pipe.send("chit", "pay", order)?;
            }
            let memo = under_way.remove(0);
            match pipe.answer()? {
                Ok(paid) => {
                    self.orders.insert(memo, Some(paid["uuid"].as_str().unwrap().to_owned()));
                    self.paid += 1;
                    self.count.add();
                }
                Err(fault) => panic!("{memo}: {fault}"),
            }
        }
        Ok(())
    }
}

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
            let payer = Payer { door, user, tally: &tally, count: &count, orders: Orders::new(), paid: 0 };
            scope.spawn(|| payer.pay(chits / 2))
        });
        loop {
            let done = match long {
                Some(_) => count.wait(chits, PERIOD),
                None if kills == KILLS => break,
                // Somewhere between this kill's place and the next one's.
                None => {
                    let goal = (chits * (kills + 1) - roll(chits)) / KILLS;
                    let reached = count.wait(goal.min(chits - 1), PATIENCE);
                    assert!(reached, "{} chits are paid, then no more", count.paid.lock().unwrap());
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

/// What a half has come to.
struct Ended {
    net: i64,
    end: u64,
    links: Vec<Value>,
}

/// Waits until the half is confirmed to its end and nothing waits to be sent.
fn settled(site: &Site, user: &str, tally: &str) -> Ended {
    let begun = Instant::now();
    loop {
        let call = |plugin, command, argument: &Value| site.call(plugin, command, argument);
        let show = call("tally", "show", &json!({ "uuid": tally, "user": user }));
        let status = call("host", "status", &json!({}));
        if let (Ok(show), Ok(status)) = (&show, &status)
            && show["conf"].is_u64()
            && show["conf"] == show["end"]
            && show["chain"]["stat"] == "con"
            && status["outbox"] == 0
        {
            let end = show["end"].as_u64().unwrap();
            return Ended { net: show["net"].as_i64().unwrap(), end, links: links(site, user, tally, end) };
        }
        for fault in [&show, &status].into_iter().filter_map(|answer| answer.as_ref().err()) {
            assert!(is_down(fault), "{fault}");
        }
        assert!(begun.elapsed() < PATIENCE, "{user} does not settle: {show:?} {status:?}\n{}", site.log());
        thread::sleep(Duration::from_millis(10)); // between two looks
    }
}

/// All links, in order.
fn links(site: &Site, user: &str, tally: &str, end: u64) -> Vec<Value> {
    let mut links = Vec::new();
    while (links.len() as u64) < end {
        let from = links.len() as u64 + 1;
        let page = json!({ "tally": tally, "user": user, "from": from, "limit": PAGE });
        let page = site.call("chit", "list", &page).unwrap();
        let page = page.as_array().unwrap();
        assert!(!page.is_empty(), "{user}: the list ends at {from} of {end}");
        links.extend(page.iter().cloned());
    }
    links
}

/// Both chains are one, and hold what was reported as paid, once each, and nothing that nobody ordered.
fn agree(alice: &Ended, bob: &Ended, orders: &[Orders; 2]) {
    let same = |link: &Value| ["uuid", "index", "hash", "by", "units", "memo"].map(|name| link[name].clone());
    let [one, other] = [alice, bob].map(|ended| ended.links.iter().map(same).collect::<Vec<_>>());
    assert_eq!(alice.end, bob.end);
    assert_eq!(one, other);
    let mut linked = BTreeSet::new();
    let mut net = 0;
    for (index, link) in (1..).zip(&alice.links) {
        assert_eq!(link["index"], index);
        let uuid = link["uuid"].as_str().unwrap();
        assert!(linked.insert(uuid), "{uuid} is linked twice");
        let memo = link["memo"].as_str().unwrap();
        let side = usize::from(link["by"] == "foil");
        let reported = orders[side].get(memo).unwrap_or_else(|| panic!("nobody has ordered {link}"));
        assert!(reported.as_deref().is_none_or(|reported| reported == uuid), "{memo} was paid twice: {link}");
        let units = link["units"].as_i64().unwrap();
        net += if side == 1 { units } else { -units };
    }
    for (memo, uuid) in orders.iter().flatten() {
        let uuid = uuid.as_deref();
        assert!(uuid.is_none_or(|uuid| linked.contains(uuid)), "{memo} was reported as paid and is lost");
    }
    assert_eq!((alice.net, bob.net), (net, -net));
}
