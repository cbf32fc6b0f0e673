//! Worlds to lift in: rows and rings of sites, a referee beside them.

use super::net::Network;
use super::standins::{Route, Tally};
use serde_json::{Value, json};
use tallyho_chit::Chit;
use tallyho_lift::Lifts;
use tallyho_plugin::Handler;
use tallyho_plugin::record::signing::AgentKey;
use tallyho_plugin::record::{Chad, LiftCore, canonical, hash_text};
use tallyho_plugin::testkit::{Envelope, Site};
use tallyho_referee::{Referee, Standard};

/// How much every tally takes, in milli-CHIPs.
pub const TARGET: i64 = 1_000;

/// Sites in a row or a ring, user `uN` on site N, and at the end a referee's. On tally N the user of site N holds
/// the stock and the one of the next site the foil, so lifts go from N to N + 1.
pub struct World {
    /// The sites, the referee's last.
    pub net: Network,
    /// Tallies by number.
    pub tallies: usize,
    ring: bool,
}

/// The uuid of a tally.
pub fn tally(number: usize) -> String {
    format!("9b8f6c1e-5d0a-4f1e-8c27-{number:012x}")
}

/// The user of a site.
pub fn user(number: usize) -> String {
    format!("u{number}")
}

impl World {
    /// So many sites in a row, with a way from the first to the last.
    pub fn row(seed: u64, sites: usize) -> World {
        World::new::<Route>(seed, sites, false).with_roads()
    }

    /// So many sites in a ring, with a way round it from the first.
    pub fn ring(seed: u64, sites: usize) -> World {
        World::new::<Route>(seed, sites, true).with_roads()
    }

    /// The same with this route handler, which has to find the ways itself.
    pub fn new<R: Handler>(seed: u64, count: usize, ring: bool) -> World {
        let place = |number: usize| {
            Site::new(seed * 100 + number as u64)
                .with::<Tally>()
                .with::<Chit>()
                .with::<Referee<Standard>>()
                .with::<Lifts>()
                .with::<R>()
                .user(&user(number))
        };
        let mut sites: Vec<Site> = (0..count).map(place).collect();
        sites.push(Site::new(seed * 100 + 99).with::<Referee<Standard>>());
        let mut world = World { net: Network::new(seed, sites), tallies: if ring { count } else { count - 1 }, ring };
        for number in 0..world.tallies {
            world.open(number, number, (number + 1) % count);
        }
        let referee = world.referee();
        world.net.sites[count].call("referee", "serve", json!({ "whom": "all" })).unwrap();
        for site in &mut world.net.sites[..count] {
            site.call("referee", "accept", json!({ "chad": referee.to_string() })).unwrap();
        }
        world.net.settle();
        for number in 0..world.tallies {
            let foil = (number + 1) % count;
            let order = json!({ "tally": tally(number), "user": user(foil), "settings": { "target": TARGET } });
            world.net.sites[foil].call("chit", "set", order).unwrap();
        }
        world.net.calm(60_000);
        // Whether the referee's credentials have come is none of a lift's business.
        world.net.take_refusals();
        world
    }

    fn with_roads(mut self) -> World {
        self.roads(self.count());
        self
    }

    /// The referee's address.
    pub fn referee(&self) -> Chad {
        self.net.sites.last().unwrap().address()
    }

    /// A referee of the test's in its place, which says what the test wants.
    pub fn with_own_referee(&mut self, key: &AgentKey) {
        let genuine = self.referee().to_string();
        for place in 0..self.count() {
            self.net.sites[place].call("referee", "refuse", json!({ "chad": genuine })).unwrap();
            let chad = format!("{}@localhost:65440", key.id());
            self.net.sites[place].call("referee", "accept", json!({ "chad": chad })).unwrap();
        }
    }

    /// Somebody tells a site what was ruled.
    pub fn bring(&mut self, place: usize, object: &Value) {
        let from = self.net.sites.last().unwrap().address();
        let to = self.net.sites[place].address();
        let envelope = Envelope::new(&from, &to, "lift/status", object);
        self.net.sites[place].deliver(&envelope).unwrap();
    }

    /// How many sites there are beside the referee's.
    pub fn count(&self) -> usize {
        self.net.sites.len() - 1
    }

    /// The address of a site's user.
    pub fn chad(&self, number: usize) -> Chad {
        self.net.sites[number].chad(&user(number))
    }

    /// A confirmed tally between the users of two sites.
    pub fn open(&mut self, number: usize, stock: usize, foil: usize) {
        let cert = |place: usize| self.net.sites[place].certificate(&user(place));
        let core = json!({
            "version": 1, "revision": 1, "uuid": tally(number), "date": "2021-11-03T20:05:00.125Z", "memo": "",
            "agree": "A", "stock": { "cert": cert(stock), "terms": {} }, "foil": { "cert": cert(foil), "terms": {} },
        });
        let hash = hash_text(&canonical(&core).unwrap());
        for (place, side, other) in [(stock, "stock", foil), (foil, "foil", stock)] {
            let half = json!({
                "state": "open", "status": "open", "closing": false, "conf": 0, "side": side, "core": core,
                "hash": hash, "partner": self.chad(other), "holder": user(place), "uuid": tally(number),
            });
            let put = json!({ "user": user(place), "uuid": tally(number), "half": half });
            self.net.sites[place].call("tally", "put", put).unwrap();
        }
    }

    /// Tells every site's route handler the ways along the row or round the ring.
    fn roads(&mut self, count: usize) {
        let last = self.chad(count - 1);
        let to = json!({ "cuid": last.cuid, "agent": last.agent });
        for place in 0..count {
            let edge =
                |number: usize| json!({ "tally": tally(number), "by": "stock", "sign": -1, "halves": [user(place)] });
            let via = json!({ "user": user(place), "tally": tally(place) });
            let enters = (place + count - 1) % count;
            let arrives = json!({ "user": user(place), "tally": tally(enters) });
            let own = json!({ "user": user(place) });
            let mut ways = Vec::new();
            if place + 1 < count {
                ways.push(json!({ "from": own, "to": to, "edges": [edge(place)], "via": via }));
            }
            if place == count - 1 {
                ways.push(json!({ "from": arrives, "to": own, "edges": [edge(enters)], "via": null }));
            } else if place > 0 || self.ring {
                ways.push(json!({ "from": arrives, "to": to, "edges": [edge(enters), edge(place)], "via": via }));
            }
            if self.ring && place == count - 1 {
                let first = self.chad(0);
                let back = json!({ "cuid": first.cuid, "agent": first.agent });
                ways.push(json!({ "from": own, "to": back, "edges": [edge(place)], "via": via }));
            }
            for way in ways {
                self.way(place, way);
            }
        }
    }

    /// Tells a site's route handler one way.
    pub fn way(&mut self, place: usize, way: Value) {
        self.net.sites[place].call("route", "add", way).unwrap();
    }

    /// The first site's user pays the last one's; the lift's uuid.
    pub fn pay(&mut self, units: i64) -> String {
        let to = self.chad(self.count() - 1).to_string();
        let order = json!({ "user": user(0), "to": to, "units": units, "memo": "Rye loaf", "ref": { "inv": 1 } });
        let paid = self.net.sites[0].call("lift", "pay", order).unwrap();
        paid["lift"].as_str().unwrap().to_owned()
    }

    /// The first site clears; the lift's uuid.
    pub fn clear(&mut self) -> String {
        let cleared = self.net.sites[0].call("lift", "clear", json!({ "user": user(0) })).unwrap();
        cleared["begun"][0]["lift"].as_str().unwrap_or_else(|| panic!("{cleared}")).to_owned()
    }

    /// The state of a lift at a site, its own record first; `none` where it is not known.
    pub fn state(&mut self, place: usize, lift: &str) -> String {
        match self.net.sites[place].call("lift", "state", json!({ "lift": lift })) {
            Ok(shown) => shown["state"].as_str().unwrap().to_owned(),
            Err(_) => "none".to_owned(),
        }
    }

    /// Its state at every site.
    pub fn states(&mut self, lift: &str) -> Vec<String> {
        (0..self.count()).map(|place| self.state(place, lift)).collect()
    }

    /// L, as a site has it.
    pub fn core(&mut self, place: usize, lift: &str) -> LiftCore {
        let shown = self.net.sites[place].call("lift", "show", json!({ "lift": lift })).unwrap();
        LiftCore::parse(shown["core"].clone()).unwrap()
    }

    /// The account of a user's half of a tally.
    pub fn half(&self, place: usize, number: usize) -> Value {
        let key = [tally(number).as_bytes(), b"\0", user(place).as_bytes()].concat();
        self.net.sites[place].rows("chit.halves").remove(&key).unwrap_or_default()
    }

    /// What all tallies together say that a site's user is owed, pending lifts left out.
    pub fn worth(&self, place: usize) -> i64 {
        self.net.sites[place].rows("chit.halves").values().map(|half| half["net"].as_i64().unwrap()).sum()
    }

    /// What is reserved at a site.
    pub fn reserved(&self, place: usize) -> i64 {
        let halves = self.net.sites[place].rows("chit.halves");
        halves.values().map(|half| half["lift_in"].as_i64().unwrap() + half["lift_out"].as_i64().unwrap()).sum()
    }

    /// What the route handler of a site was told of lifts.
    pub fn told(&self, place: usize) -> Vec<String> {
        let told = self.net.sites[place].rows("route.told");
        told.into_values().map(|told| told[0].as_str().unwrap().to_owned()).collect()
    }

    /// Reasons of the notices about lifts at a site since last asked, and whom they went to.
    pub fn notices(&mut self, place: usize) -> Vec<(String, String)> {
        let notices = self.net.sites[place].take_notices();
        let lifts = notices.into_iter().filter(|(_, notice)| notice["about"] == "lift");
        lifts.map(|(user, notice)| (user, notice["reason"].as_str().unwrap().to_owned())).collect()
    }
}
