//! Tallies opened between two running sites, from the ticket until both have them open: real processes
//! with their stores, driven through their control sockets, several tallies under way at a time.

use crate::figures::{Effort, Wanted, line, median};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Instant;
use tallyho::control::client::Client;
use tallyho::control::{Feed, Operator};
use tallyho_tests::site::{PATIENCE, Site};

/// Tallies under way at a time.
const TOGETHER: usize = 32;

pub fn measure(effort: Effort) {
    let (tallies, rounds) = effort.choose((2, 1), (100, 5));
    let (mut stock, mut foil) = (Party::new("alice", "ed25519"), Party::new("bob", "ed25519"));
    // The first ticket opens the channel.
    open(&mut stock, &mut foil, 1);
    let rate = median((0..rounds).map(|_| open(&mut stock, &mut foil, tallies)).collect());
    let against = format!("{TOGETHER} at a time, two processes");
    line(effort, "tallies, ticket to open on both", &format!("{rate:.0} /s"), &against, rate, Wanted::Told);
}

/// A running site with one user, and notices of it.
pub struct Party {
    user: &'static str,
    client: Client,
    notices: Feed,
    pub site: Site,
}

impl Party {
    /// A new one, its user's key of this kind.
    pub fn new(user: &'static str, key: &str) -> Self {
        let mut site = Site::new();
        // No log of every message, unlike in the tests.
        site.environment("RUST_LOG", "warn");
        site.start();
        site.command(&["user", "add", user, "--key", key]);
        let client = control(&site);
        Party { user, notices: client.watch(0), client, site }
    }

    /// Answers each tally that comes to `state` by `command`, until so many are open; calls `opened`
    /// at each.
    fn follow(&mut self, tallies: usize, state: &str, command: &str, mut opened: impl FnMut()) {
        let (mut answered, mut open) = (HashSet::new(), HashSet::new());
        while open.len() < tallies {
            let notice = self.notices.next(PATIENCE).unwrap_or_else(|_| {
                let (user, open) = (self.user, open.len());
                panic!("{user}: {open} of {tallies} are open, then nothing more happened\n{}", self.site.log());
            });
            let Some(uuid) = notice["uuid"].as_str().map(str::to_owned) else { continue };
            if notice["state"] == state && answered.insert(uuid.clone()) {
                call(&self.client, command, &json!({ "uuid": uuid, "user": self.user }));
            } else if notice["state"] == "open" && open.insert(uuid) {
                opened();
            }
        }
    }
}

fn control(site: &Site) -> Client {
    Client::connect(&site.home().join("control.sock")).expect("the site runs")
}

fn call(client: &Client, command: &str, argument: &Value) -> Value {
    client.call("tally", command, argument).unwrap_or_else(|fault| panic!("{command} {argument}: {fault}"))
}

/// Opens so many; how many a second.
pub fn open(stock: &mut Party, foil: &mut Party, tallies: usize) -> f64 {
    let begun = Instant::now();
    let (issuer, taker) = (control(&stock.site), control(&foil.site));
    let (begin, done) = sync_channel(TOGETHER);
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..tallies {
                begin.send(()).expect("whoever takes them out goes on");
                let ticket =
                    call(&issuer, "ticket.new", &json!({ "user": "alice", "memo": "Bread", "agree": "bread" }));
                call(&taker, "ticket.use", &json!({ "ticket": ticket["link"], "user": "bob" }));
            }
        });
        scope.spawn(|| foil.follow(tallies, "P.offer", "accept", || {}));
        stock.follow(tallies, "P.draft", "offer", move || done.recv().expect("it was begun"));
    });
    tallies as f64 / begun.elapsed().as_secs_f64()
}
