//! Payments, invoices, settings and the end of a tally, between real processes by their command line.

use serde_json::{Value, json};
use tallyho_tests::chits::{chits, half, partners, settled, until_chit, until_half};
use tallyho_tests::site::Site;

/// Two sites and an open tally: alice's stock, bob's foil.
struct Scene {
    stock: Site,
    foil: Site,
    tally: String,
}

impl Scene {
    fn new() -> Self {
        let (stock, foil) = (Site::with_users(&["alice"]), Site::with_users(&["bob"]));
        let tally = partners(&stock, "alice", &foil, "bob");
        Scene { stock, foil, tally }
    }

    fn settled(&self, links: u64) -> i64 {
        settled((&self.stock, "alice"), (&self.foil, "bob"), &self.tally, links)
    }

    /// Alice asks; the chit, once bob has it.
    fn asked(&self, units: &str, memo: &str) -> String {
        let asked = self.stock.command(&["chit", "ask", &self.tally, units, "--memo", memo]);
        let chit = text(&asked["uuid"]);
        until_chit(&self.foil, "bob", &self.tally, &chit, "L.pend");
        chit
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn refused(site: &Site, words: &[&str]) -> String {
    let answer = site.attempt(words);
    assert!(matches!(answer.code, Some(1 | 2)), "{words:?}: {answer:?}");
    let told: Value = serde_json::from_str(&answer.errors).unwrap_or_else(|_| panic!("one JSON value: {answer:?}"));
    assert!(told["error"]["fix"].is_string(), "what to do is said: {told}");
    text(&told["error"]["text"])
}

#[test]
fn payments_go_both_ways_and_are_confirmed_at_both_sites() {
    let scene = Scene::new();
    let tally = scene.tally.as_str();
    let paid = scene.foil.command(&["chit", "pay", tally, "12000", "--memo", "Rye loaf", "--wait", "confirmed"]);
    assert_eq!((&paid["state"], &paid["index"]), (&"L.good".into(), &1.into()), "{paid}");
    assert_eq!(scene.settled(1), 12_000);
    let line = ["chit", "pay", tally, "2000", "--ref", "{\"inv\": 7}", "--wait", "confirmed"];
    let change = scene.stock.command(&line);
    assert_eq!(scene.settled(2), 10_000);
    let seen = until_chit(&scene.foil, "bob", tally, &text(&change["uuid"]), "A.good");
    assert_eq!((&seen["units"], &seen["confirmed"]), (&2_000.into(), &true.into()), "{seen}");
    let shown = scene.foil.command(&["chit", "show", tally, &text(&change["uuid"])]);
    assert_eq!(shown["ref"]["inv"], 7, "{shown}");
    let listed = scene.stock.command(&["tally", "list"]);
    assert_eq!((&listed[0]["net"], &listed[0]["net_p"]), (&10_000.into(), &10_000.into()), "{listed}");
}

#[test]
fn an_invoice_is_looked_at_and_paid() {
    let scene = Scene::new();
    let chit = scene.asked("5000", "A cake");
    assert_eq!(half(&scene.foil, "bob", &scene.tally)["net_p"], -5_000, "an invoice is in the projected balance");
    scene.foil.command(&["chit", "accept", &scene.tally, &chit, "--wait", "confirmed"]);
    assert_eq!(scene.settled(1), 5_000);
    until_chit(&scene.stock, "alice", &scene.tally, &chit, "A.good");
}

#[test]
fn an_invoice_that_was_refused_may_be_asked_again_and_be_paid() {
    let scene = Scene::new();
    let chit = scene.asked("9000", "A golden cake");
    scene.foil.command(&["chit", "refuse", &scene.tally, &chit, "--wait", "void"]);
    until_chit(&scene.stock, "alice", &scene.tally, &chit, "A.void");
    assert_eq!(scene.settled(0), 0);
    let again = scene.stock.command(&["chit", "ask", &scene.tally, "4000", "--memo", "A cake", "--again", &chit]);
    assert_eq!(again["uuid"], chit.as_str(), "the same chit with another content");
    until_chit(&scene.foil, "bob", &scene.tally, &chit, "L.pend");
    scene.foil.command(&["chit", "accept", &scene.tally, &chit, "--wait", "confirmed"]);
    assert_eq!(scene.settled(1), 4_000);
}

#[test]
fn settings_are_known_to_both_and_bad_ones_are_refused() {
    let scene = Scene::new();
    let tally = scene.tally.as_str();
    scene.foil.command(&["chit", "set", tally, "{\"target\": 10000, \"bound\": 50000}", "--wait", "confirmed"]);
    assert_eq!(scene.settled(1), 0);
    for (site, user) in [(&scene.stock, "alice"), (&scene.foil, "bob")] {
        let settings = half(site, user, tally)["settings"].clone();
        assert_eq!((&settings["foil"]["target"], &settings["foil"]["bound"]), (&10_000.into(), &50_000.into()));
        assert!(settings["stock"]["target"].is_null(), "the other side's are its own: {settings}");
    }
    for bad in ["{\"target\": -1}", "{\"reward\": 2}", "{\"reward\": 0.1, \"clutch\": -0.2}", "[]", "{}"] {
        refused(&scene.stock, &["chit", "set", tally, bad]);
    }
    assert_eq!(scene.settled(1), 0);
}

#[test]
fn what_cannot_be_paid_is_refused_and_nothing_changes() {
    let scene = Scene::new();
    let tally = scene.tally.as_str();
    for units in ["0", "-5", "1.5", "9007199254740992", "much"] {
        refused(&scene.foil, &["chit", "pay", tally, units]);
        refused(&scene.stock, &["chit", "ask", tally, units]);
    }
    refused(&scene.foil, &["chit", "pay", "ffff", "5"]);
    refused(&scene.foil, &["chit", "accept", tally, "ffff"]);
    let chit = scene.asked("5", "for bob to pay");
    refused(&scene.stock, &["chit", "accept", tally, &chit]);
    assert_eq!(scene.settled(0), 0);
}

#[test]
fn a_tally_that_is_not_open_takes_no_chit() {
    let (stock, foil) = (Site::with_users(&["alice"]), Site::with_users(&["bob"]));
    let tally = tallyho_tests::flows::offered(&stock, "alice", &foil, "bob");
    for site in [&stock, &foil] {
        refused(site, &["chit", "pay", &tally, "5"]);
        refused(site, &["tally", "close", &tally]);
    }
}

#[test]
fn old_chits_are_listed_in_pages() {
    let scene = Scene::new();
    let argument = json!({ "tally": scene.tally, "units": 10 });
    for _ in 0..45 {
        scene.foil.call("chit", "pay", &argument).unwrap_or_else(|fault| panic!("{fault}"));
    }
    assert_eq!(scene.settled(45), 450);
    let page = |more: &[&str]| -> Vec<u64> {
        let listed = scene.stock.command(&[&["chit", "list", &scene.tally], more].concat());
        listed.as_array().expect("a list").iter().map(|chit| chit["index"].as_u64().expect("an index")).collect()
    };
    assert_eq!(page(&["--limit", "20"]), (26..=45).collect::<Vec<_>>(), "the newest page");
    assert_eq!(page(&["--from", "1", "--limit", "20"]), (1..=20).collect::<Vec<_>>());
    assert_eq!(page(&["--from", "41", "--limit", "20"]), (41..=45).collect::<Vec<_>>());
    assert_eq!(page(&["--from", "46"]), [0; 0]);
    assert_eq!(chits(&scene.stock, "alice", &scene.tally).len(), 45);
}

#[test]
fn a_payment_made_while_the_partner_is_away_arrives_when_it_is_back() {
    let mut scene = Scene::new();
    let tally = scene.tally.clone();
    scene.stock.kill();
    let line = ["chit", "pay", &tally, "700", "--wait", "confirmed", "--timeout", "200ms"];
    let answer = scene.foil.attempt(&line);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(answer.errors.contains("good"), "the state that was is named: {}", answer.errors);
    assert_eq!(answer.json["state"], "L.good", "and what was done is told: {answer:?}");
    scene.stock.start();
    let chit = text(&answer.json["uuid"]);
    scene.foil.command(&["chit", "resend", &tally, &chit]);
    until_chit(&scene.stock, "alice", &tally, &chit, "A.good");
    assert_eq!(scene.settled(1), 700);
    // Once more, and nothing comes of it.
    scene.foil.command(&["chit", "resend", &tally, &chit, "--wait", "confirmed"]);
    assert_eq!(scene.settled(1), 700);
}

#[test]
fn either_side_closes_a_tally_once_nothing_is_owed() {
    for closer in ["alice", "bob"] {
        let scene = Scene::new();
        let tally = scene.tally.as_str();
        let (site, other, other_user) =
            if closer == "alice" { (&scene.stock, &scene.foil, "bob") } else { (&scene.foil, &scene.stock, "alice") };
        let closed = site.command(&["tally", "close", tally, "--wait", "close"]);
        assert_eq!(closed["state"], "close", "{closed}");
        until_half(other, other_user, tally, |half| half["state"] == "close");
        assert_eq!(scene.settled(1), 0);
        for site in [&scene.stock, &scene.foil] {
            refused(site, &["chit", "pay", tally, "5"]);
        }
    }
}

#[test]
fn a_tally_with_a_balance_closes_when_it_has_been_paid_back() {
    let scene = Scene::new();
    let tally = scene.tally.as_str();
    scene.foil.command(&["chit", "pay", tally, "300", "--wait", "confirmed"]);
    scene.foil.command(&["tally", "close", tally, "--wait", "C.open"]);
    until_half(&scene.stock, "alice", tally, |half| half["state"] == "C.open");
    refused(&scene.foil, &["tally", "close", tally]);
    scene.stock.command(&["chit", "pay", tally, "300"]);
    for (site, user) in [(&scene.stock, "alice"), (&scene.foil, "bob")] {
        until_half(site, user, tally, |half| half["state"] == "close");
    }
    assert_eq!(scene.settled(3), 0);
}

#[test]
fn two_users_of_one_site_pay_each_other() {
    let site = Site::with_users(&["alice", "bob"]);
    let tally = partners(&site, "alice", &site, "bob");
    let told = refused(&site, &["chit", "pay", &tally, "5"]);
    assert!(told.contains("alice") && told.contains("bob"), "whose half must be said: {told}");
    let pay =
        |user: &str, units: &str| site.command(&["chit", "pay", &tally, units, "--user", user, "--wait", "confirmed"]);
    pay("bob", "900");
    pay("alice", "400");
    assert_eq!(settled((&site, "alice"), (&site, "bob"), &tally, 2), 500);
    pay("alice", "500");
    site.command(&["tally", "close", &tally, "--user", "alice"]);
    for user in ["alice", "bob"] {
        until_half(&site, user, &tally, |half| half["state"] == "close");
    }
    assert_eq!(site.command(&["status"])["connections"], 0);
}

#[test]
fn users_with_the_networks_own_keys_pay_each_other() {
    let (stock, foil) = (Site::with_users(&[]), Site::with_users(&[]));
    stock.command(&["user", "add", "alice"]);
    foil.command(&["user", "add", "bob"]);
    let tally = partners(&stock, "alice", &foil, "bob");
    foil.command(&["chit", "pay", &tally, "12", "--wait", "confirmed"]);
    stock.command(&["chit", "pay", &tally, "2", "--wait", "confirmed"]);
    assert_eq!(settled((&stock, "alice"), (&foil, "bob"), &tally, 2), 10);
}
