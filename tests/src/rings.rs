//! Sites in a row or a ring with a referee beside them, and what must be true of them whatever lifts did.
//!
//! User `uN` lives at site N. On tally N the user of site N holds the stock and the one of the next site the foil,
//! and has set a target: so lifts go from N to N + 1.

use crate::deal::Deal;
use crate::site::{Site, until};
use serde_json::{Value, json};
use std::thread;
use std::time::{Duration, Instant};
use tallyho_plugin::Fault;

/// Everybody here calls from one address, and more often than strangers may.
const CONFIGURATION: &str = "limits = { strangers_per_minute = 100000 }";

/// How long lifts are waited for at most: those whose news were lost end some seconds after their life.
pub const END: Duration = Duration::from_secs(60);

/// The sites.
pub struct Ring {
    /// In order.
    pub sites: Vec<Site>,
    /// The referee's.
    pub judge: Site,
    /// Tally N is between site N and the next one.
    pub tallies: Vec<String>,
    /// Site N's user's address, which a site that stands still need not be asked for.
    addresses: Vec<String>,
}

/// The user of a site.
pub fn user(place: usize) -> String {
    format!("u{place}")
}

/// What became of a lift at the sites that know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Good from the first to the last.
    Good,
    /// Void, or never heard of.
    Void,
}

impl Ring {
    /// So many sites, the last one joined to the first where `closed`; the targets of the tallies in milli-CHIPs.
    ///
    /// # Panics
    /// When it does not come to that.
    pub fn new(count: usize, closed: bool, target: impl Fn(usize) -> i64) -> Ring {
        Ring::logging(count, closed, "debug", target)
    }

    /// The same with logs of this level.
    ///
    /// # Panics
    /// As for [`Ring::new`].
    pub fn logging(count: usize, closed: bool, level: &str, target: impl Fn(usize) -> i64) -> Ring {
        let site = || {
            let mut site = Site::new();
            std::fs::write(site.home().join("tallyho.toml"), CONFIGURATION).expect("the configuration can be written");
            site.environment("RUST_LOG", level);
            site.start();
            site
        };
        let judge = site();
        judge.command(&["referee", "serve", "all"]);
        let referee = format!("{}@localhost:{}", agent(&judge), judge.port());
        let sites: Vec<Site> = (0..count).map(|_| site()).collect();
        for (place, site) in sites.iter().enumerate() {
            site.add_user(&user(place));
            site.call("referee", "accept", &json!({ "chad": referee })).expect("a referee can be accepted");
        }
        let address =
            |(place, site): (usize, &Site)| format!("{}:{}@localhost:{}", user(place), agent(site), site.port());
        let addresses = sites.iter().enumerate().map(address).collect();
        let mut ring = Ring { sites, judge, tallies: Vec::new(), addresses };
        for place in 0..if closed { count } else { count - 1 } {
            ring.tallies.push(ring.open(place, target(place)));
        }
        ring
    }

    fn open(&self, place: usize, target: i64) -> String {
        let next = self.next(place);
        let (alice, bob) = (user(place), user(next));
        let (stock, foil) = (self.sites[place].door(), self.sites[next].door());
        let tally = Deal { stock, alice: &alice, foil, bob: &bob, revive: &|| {} }.make();
        let settings = json!({ "tally": tally, "user": bob, "settings": { "target": target } });
        self.sites[next].call("chit", "set", &settings).expect("a target can be set");
        until(|| [place, next].iter().all(|place| self.half(*place, &tally).is_some()));
        tally
    }

    /// The site after this one.
    pub fn next(&self, place: usize) -> usize {
        (place + 1) % self.sites.len()
    }

    /// The address of a site's user.
    pub fn address(&self, place: usize) -> &str {
        &self.addresses[place]
    }

    /// Has the user of one site pay that of another by lift, within so many seconds; the lift's uuid.
    ///
    /// # Errors
    /// The site's.
    pub fn pay(&self, from: usize, to: usize, units: u64, life: u32) -> Result<String, Fault> {
        let order = json!({ "user": user(from), "to": self.address(to), "units": units, "life": life * 1_000 });
        let begun = self.sites[from].call("lift", "pay", &order)?;
        Ok(begun["lift"].as_str().expect("a lift has a uuid").to_owned())
    }

    /// Waits until the first of these has a route to the second.
    ///
    /// # Panics
    /// When there never is one.
    pub fn route(&self, from: usize, to: usize) {
        let find = json!({ "user": user(from), "chad": self.address(to) });
        let good = |found: &Value| found.as_array().is_some_and(|all| all.iter().any(|one| one["status"] == "good"));
        until(|| self.sites[from].call("route", "find", &find).is_ok_and(|found| good(&found)));
    }

    /// The state of a lift at a site, `none` where it is not known, nothing where the site does not run.
    pub fn state(&self, place: usize, lift: &str) -> Option<String> {
        match self.sites[place].call("lift", "state", &json!({ "lift": lift })) {
            Ok(shown) => shown["state"].as_str().map(str::to_owned),
            Err(fault) if fault.code == "no-such-lift" => Some("none".to_owned()),
            Err(_) => None,
        }
    }

    /// Waits until a lift is in one of these states at a site.
    ///
    /// # Panics
    /// When it never is.
    #[track_caller]
    pub fn until_state(&self, place: usize, lift: &str, states: &[&str]) {
        let begun = Instant::now();
        loop {
            let state = self.state(place, lift);
            if state.as_deref().is_some_and(|state| states.contains(&state)) {
                return;
            }
            let log = || self.sites[place].log();
            assert!(begun.elapsed() < END, "site {place}: the lift is {state:?}, not {states:?}\n{}", log());
            thread::sleep(Duration::from_millis(5)); // between two looks; no result hangs on it
        }
    }

    /// Waits until no site has a lift under way, every chit is confirmed, nothing reserved, and both halves of each
    /// tally are the same; what each user is owed in all.
    ///
    /// # Panics
    /// When it never comes to that.
    #[track_caller]
    pub fn settled(&self) -> Vec<i64> {
        let begun = Instant::now();
        loop {
            let (open, unlike) = (self.open_at(), self.unlike());
            if open.is_none() && unlike.is_none() {
                break;
            }
            if begun.elapsed() > END {
                let place = open.or(unlike).unwrap_or_default();
                let lifts = self.sites[place].call("lift", "list", &json!({}));
                panic!("open at {open:?}: {lifts:?}; unlike: {unlike:?}\n{}", self.sites[place].log());
            }
            thread::sleep(Duration::from_millis(10)); // between two looks; no result hangs on it
        }
        (0..self.sites.len()).map(|place| self.worth(place)).collect()
    }

    /// Whether all of that is so now.
    pub fn at_rest(&self) -> bool {
        self.open_at().is_none() && self.unlike().is_none()
    }

    /// A site that has a lift under way, or does not run.
    fn open_at(&self) -> Option<usize> {
        let none = |site: &Site| site.call("lift", "list", &json!({})).is_ok_and(|list| list == json!([]));
        self.sites.iter().position(|site| !none(site))
    }

    /// A tally whose halves are not the same, or not at rest.
    fn unlike(&self) -> Option<usize> {
        (0..self.tallies.len()).find(|number| !self.alike(*number))
    }

    fn alike(&self, number: usize) -> bool {
        let (one, other) =
            (self.half(number, &self.tallies[number]), self.half(self.next(number), &self.tallies[number]));
        let (Some(one), Some(other)) = (one, other) else { return false };
        let of = |half: &Value| (half["end"].clone(), half["chain"]["tip"].clone());
        of(&one) == of(&other) && one["net"].as_i64() == other["net"].as_i64().map(|net| -net)
    }

    /// A half, once every chit of it is confirmed and none is pending.
    fn half(&self, place: usize, tally: &str) -> Option<Value> {
        let shown = self.sites[place].call("tally", "show", &json!({ "uuid": tally, "user": user(place) })).ok()?;
        let rests = shown["end"].is_u64() && shown["end"] == shown["conf"] && shown["net"] == shown["net_p"];
        Some(shown).filter(|_| rests)
    }

    fn worth(&self, place: usize) -> i64 {
        let listed = self.sites[place].call("tally", "list", &json!({})).expect("tallies can be listed");
        listed.as_array().into_iter().flatten().filter_map(|row| row["net"].as_i64()).sum()
    }

    /// What became of a lift that went from one site on to another: the same at all sites on its way.
    ///
    /// # Panics
    /// When it is not over, or not the same.
    #[track_caller]
    pub fn end(&self, from: usize, to: usize, lift: &str) -> End {
        let all: Vec<Option<String>> = (0..self.sites.len()).map(|place| self.state(place, lift)).collect();
        let on_way = |place: usize| {
            let count = self.sites.len();
            from == to || (place + count - from) % count <= (to + count - from) % count
        };
        let good = all[from].as_deref() == Some("good");
        for (place, state) in all.iter().enumerate() {
            let fits = match (good, on_way(place)) {
                (true, true) => state.as_deref() == Some("good"),
                (false, true) => matches!(state.as_deref(), Some("void" | "none")),
                (_, false) => state.as_deref() == Some("none"),
            };
            assert!(fits, "lift {lift} from {from} to {to}: {all:?}\n{}", self.sites[place].log());
        }
        if good { End::Good } else { End::Void }
    }
}

fn agent(site: &Site) -> String {
    let status = site.call("host", "status", &json!({})).expect("a site has a status");
    status["agent"].as_str().expect("a site has an agent").to_owned()
}
