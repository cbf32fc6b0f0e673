//! Two running sites with tallies between them, and chits paid over these until both sides have confirmed them.

use crate::tallies::{Party, open};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tallyho::control::client::Notices;
use tallyho::control::{Client, Operator};
use tallyho_tests::pipe::Pipe;
use tallyho_tests::site::{PATIENCE, Site};

/// The user at each site.
pub const STOCK: &str = "alice";
pub const FOIL: &str = "bob";

/// Chits under way at a time: two batches of the ledger.
const TOGETHER: u64 = 512;

/// Between two looks at a single chit: looking costs the site processor time.
const LOOK: Duration = Duration::from_micros(100);

/// Two sites.
pub struct Pair {
    pub stock: Site,
    pub foil: Site,
    /// Every tally between the two, with how many chits it has.
    tallies: Vec<String>,
    chits: HashMap<String, u64>,
}

impl Pair {
    /// Two sites whose users' keys are of this kind, with so many tallies open between them.
    pub fn new(key: &str, tallies: usize) -> Self {
        let (mut stock, mut foil) = (Party::new(STOCK, key), Party::new(FOIL, key));
        // The first ticket opens the channel.
        open(&mut stock, &mut foil, 1);
        if tallies > 1 {
            open(&mut stock, &mut foil, tallies - 1);
        }
        let (stock, foil) = (stock.site, foil.site);
        let mut pair = Pair { stock, foil, tallies: Vec::new(), chits: HashMap::new() };
        let list = pair.client(STOCK).call("tally", "list", &json!({ "user": STOCK })).expect("tallies are listed");
        let opened = list.as_array().into_iter().flatten().filter(|tally| tally["state"] == "open");
        pair.tallies = opened.filter_map(|tally| tally["uuid"].as_str().map(str::to_owned)).collect();
        assert_eq!(pair.tallies.len(), tallies, "{list}");
        let all = pair.tallies.clone();
        all.iter().for_each(|tally| pair.confirmed(tally));
        pair
    }

    /// The tallies.
    pub fn tallies(&self) -> &[String] {
        &self.tallies
    }

    fn site(&self, user: &str) -> &Site {
        if user == STOCK { &self.stock } else { &self.foil }
    }

    /// A connection to this user's site.
    pub fn client(&self, user: &str) -> Client {
        Client::connect(&self.site(user).home().join("control.sock")).expect("the site runs")
    }

    /// Has the foil pay so many chits over the first `over` tallies by turns, as many under way as the ledger
    /// can use; how long it takes until all are confirmed on both sides.
    pub fn pay(&mut self, chits: usize, over: usize) -> Duration {
        let mut pipe = self.foil.door().pipe().expect("the site runs");
        let begun = Instant::now();
        for tally in self.tallies.iter().take(over).cycle().take(chits) {
            if pipe.under_way() == TOGETHER {
                answered(&mut pipe);
            }
            *self.chits.entry(tally.clone()).or_default() += 1;
            pipe.send("chit", "pay", order(tally)).expect("the site reads");
        }
        while pipe.under_way() > 0 {
            answered(&mut pipe);
        }
        for tally in &self.tallies[..over] {
            self.confirmed(tally);
        }
        begun.elapsed()
    }

    /// Has the foil pay one chit; how long it takes until it is confirmed on both sides. `told` has the payee's
    /// notices.
    pub fn pay_one(&mut self, payer: &Client, payee: &Client, told: &mut Notices) -> Duration {
        let tally = self.tallies[0].clone();
        *self.chits.entry(tally.clone()).or_default() += 1;
        let begun = Instant::now();
        let paid = payer.call("chit", "pay", &order(&tally)).expect("a chit can be paid");
        let uuid = paid["uuid"].as_str().expect("a chit has a uuid");
        // Looks would only hold its site up.
        while told.next(Some(PATIENCE)).expect("the site runs").expect("the payee is told")["uuid"] != uuid {}
        let confirmed = |client: &Client, user: &str| {
            let chit = json!({ "chit": format!("{user}/{tally}/{uuid}") });
            client.call("chit", "state", &chit).is_ok_and(|state| confirmed(&state))
        };
        while !confirmed(payer, FOIL) {
            assert!(begun.elapsed() < PATIENCE, "{uuid} is never confirmed");
            std::thread::sleep(LOOK);
        }
        let time = begun.elapsed();
        // The payer is the last to know, by an answer that leaves the payee's site once it is confirmed there.
        assert!(confirmed(payee, STOCK), "{uuid} is confirmed with its payer alone");
        time
    }

    /// Waits until both halves have confirmed all their chits.
    fn confirmed(&self, tally: &str) {
        let chits = self.chits.get(tally).copied().unwrap_or_default();
        for user in [FOIL, STOCK] {
            let client = self.client(user);
            let (mut begun, mut last) = (Instant::now(), None);
            loop {
                let conf = conf(&client, user, tally);
                if conf == Some(chits) {
                    break;
                }
                // A long chain may take long, but not without any progress.
                if conf != last {
                    (begun, last) = (Instant::now(), conf);
                }
                let log = || self.site(user).log();
                assert!(begun.elapsed() < PATIENCE, "{user} stays at {conf:?} of {chits}: {}", log());
                std::thread::sleep(Duration::from_millis(1)); // between two looks
            }
        }
    }
}

fn order(tally: &str) -> Value {
    json!({ "tally": tally, "units": 1_000, "memo": "Rye loaf", "user": FOIL })
}

/// Whether `confirmed` is among the words that are true of a chit.
fn confirmed(state: &Value) -> bool {
    state["wait"].as_array().is_some_and(|words| words.iter().any(|word| word == "confirmed"))
}

fn conf(client: &Client, user: &str, tally: &str) -> Option<u64> {
    let show = client.call("tally", "show", &json!({ "uuid": tally, "user": user }));
    show.unwrap_or_else(|fault| panic!("{user}: {fault}"))["conf"].as_u64()
}

fn answered(pipe: &mut Pipe) {
    pipe.answer().expect("the site lives").unwrap_or_else(|fault| panic!("chit pay: {fault}"));
}
