//! Two people who pay each other as fast as their sites take it, whatever becomes of these; and what must have come
//! of it in the end.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

use crate::deal::is_down;
use crate::pipe::Pipe;
use crate::site::{Door, PATIENCE, Site};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Chits that one user has under way: some are always torn by a kill.
const TOGETHER: u64 = 8;

/// Links asked for at a time.
const PAGE: u64 = 100;

/// Chits reported as paid so far.
#[derive(Default)]
pub struct Count {
    paid: Mutex<u64>,
    more: Condvar,
}

impl Count {
    /// So many so far.
    pub fn paid(&self) -> u64 {
        *self.paid.lock().unwrap()
    }

    fn add(&self) {
        *self.paid.lock().unwrap() += 1;
        self.more.notify_all();
    }

    /// Waits until there are so many, at most so long; whether there are.
    pub fn wait(&self, goal: u64, patience: Duration) -> bool {
        let paid = self.paid.lock().unwrap();
        let (paid, _) = self.more.wait_timeout_while(paid, patience, |paid| *paid < goal).unwrap();
        *paid >= goal
    }
}

/// What a user has ordered, by memo: the chit's uuid where the site has reported success.
pub type Orders = BTreeMap<String, Option<String>>;

/// Somebody who pays, whatever becomes of the site.
pub struct Payer<'a> {
    door: Door,
    user: &'static str,
    tally: &'a str,
    count: &'a Count,
    orders: Orders,
    paid: u64,
    times: Vec<Duration>,
}

impl<'a> Payer<'a> {
    /// Somebody who has not ordered anything yet.
    pub fn new(door: Door, user: &'static str, tally: &'a str, count: &'a Count) -> Self {
        Payer { door, user, tally, count, orders: Orders::new(), paid: 0, times: Vec::new() }
    }

    /// Goes on with orders that were made before.
    #[must_use]
    pub fn after(self, orders: Orders) -> Self {
        Payer { orders, ..self }
    }

    /// Pays until there are enough chits that were reported as paid. The orders, and how long each report took.
    pub fn pay(mut self, enough: &dyn Fn(u64) -> bool) -> (Orders, Vec<Duration>) {
        let mut begun = Instant::now();
        while !enough(self.paid) {
            let before = self.paid;
            match self.door.pipe() {
                // Until the site dies; what was under way then is not known.
                Ok(mut pipe) => drop(self.go_on(&mut pipe, enough)),
                Err(_) => thread::sleep(Duration::from_millis(5)), // it is being started
            }
            if self.paid > before {
                begun = Instant::now();
            }
            assert!(begun.elapsed() < PATIENCE, "{}: nothing more is paid", self.user);
        }
        (self.orders, self.times)
    }

    fn go_on(&mut self, pipe: &mut Pipe, enough: &dyn Fn(u64) -> bool) -> std::io::Result<()> {
        let mut under_way: VecDeque<(String, Instant)> = VecDeque::new();
        loop {
            while pipe.under_way() < TOGETHER && !enough(self.paid + pipe.under_way()) {
                let number = self.orders.len() as u64;
                let memo = format!("{} {number}", self.user);
                let units = 1 + number % 7;
                let order = json!({ "tally": self.tally, "user": self.user, "units": units, "memo": memo });
                self.orders.insert(memo.clone(), None);
                under_way.push_back((memo, Instant::now()));
                pipe.send("chit", "pay", order)?;
            }
            let Some((memo, sent)) = under_way.pop_front() else { return Ok(()) };
            match pipe.answer()? {
                Ok(paid) => {
                    self.times.push(sent.elapsed());
                    self.orders.insert(memo, Some(paid["uuid"].as_str().unwrap().to_owned()));
                    self.paid += 1;
                    self.count.add();
                }
                Err(fault) => panic!("{memo}: {fault}"),
            }
        }
    }
}

/// What a half has come to.
pub struct Ended {
    net: i64,
    end: u64,
    links: Vec<Value>,
}

/// Waits until the half is confirmed to its end and nothing waits to be sent.
pub fn settled(site: &Site, user: &str, tally: &str) -> Ended {
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
pub fn agree(alice: &Ended, bob: &Ended, orders: &[Orders; 2]) {
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
