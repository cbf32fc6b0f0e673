//! Lifts between real processes, by their command line (PROTOCOL 9).

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use tallyho_plugin::record::base64v;
use tallyho_plugin::record::keys::KeyKind;
use tallyho_plugin::record::signing::UserKey;
use tallyho_tests::chits::partners;
use tallyho_tests::flows::{both_open, tally_in, ticket};
use tallyho_tests::peer::own;
use tallyho_tests::plugins::build_library;
use tallyho_tests::site::{Site, until};

/// All that a site runs, and the referee.
const PLUGINS: [&str; 5] = ["tally", "chit", "route", "lift", "referee"];

fn address(site: &Site, user: &str) -> String {
    let own = own(site);
    format!("{user}:{}@localhost:{}", own["agent"].as_str().expect("an agent"), site.port())
}

/// Sites of alice, bob and carol in a row, bob owing alice 10 CHIPs and carol owing bob 8; and a referee whom all
/// of them accept and none of them knows otherwise.
fn row() -> [Site; 4] {
    build_library("tallyho-referee");
    let sites = ["alice", "bob", "carol", "judge"].map(|user| {
        let mut site = Site::empty().plugins(&PLUGINS);
        site.start();
        site.add_user(user);
        site
    });
    let [a, b, c, judge] = &sites;
    for ((stock, creditor), (foil, debtor), units) in
        [((a, "alice"), (b, "bob"), "10000"), ((b, "bob"), (c, "carol"), "8000")]
    {
        let tally = partners(stock, creditor, foil, debtor);
        foil.command(&["chit", "pay", &tally, units, "--user", debtor, "--wait", "confirmed"]);
    }
    judge.command(&["referee", "serve", "all"]);
    let referee = address(judge, "judge").split_once(':').map(|(_, agent)| agent.to_owned()).expect("an agent");
    for site in [a, b, c] {
        site.command(&["referee", "accept", &referee]);
    }
    sites
}

fn net(site: &Site) -> Vec<i64> {
    let listed = site.command(&["tally", "list"]);
    let rows = listed.as_array().cloned().expect("a list");
    rows.iter().map(|row| row["net"].as_i64().expect("a number")).collect()
}

#[test]
fn a_payment_over_a_third_site_is_good_everywhere_by_a_strangers_ruling() {
    let [mut a, b, c, judge] = row();
    let carol = address(&c, "carol");
    a.command(&["route", "find", &carol, "--user", "alice", "--wait", "good"]);
    let paid =
        a.command(&["lift", "pay", "3000", "--user", "alice", "--to", &carol, "--memo", "Honey", "--wait", "good"]);
    assert_eq!((&paid["state"], &paid["units"]), (&json!("good"), &json!(3000)), "{paid}");
    let lift = paid["lift"].as_str().expect("a uuid").to_owned();
    let state = |site: &Site| -> Value {
        site.call("lift", "state", &json!({ "lift": lift })).map_or(Value::Null, |state| state["state"].clone())
    };
    until(|| [&b, &c].iter().all(|site| state(site) == "good"));
    until(|| (net(&a), net(&c)) == (vec![7000], vec![-5000]));
    assert_eq!(net(&b).iter().sum::<i64>(), -2000, "as before");
    let ruled = judge.command(&["referee", "list"]);
    assert!(ruled.to_string().contains(&lift), "{ruled}");

    a.kill();
    a.start();
    assert_eq!(state(&a), "good");
    assert_eq!(a.command(&["lift", "list"]), json!([]));
}

#[test]
fn an_invoice_is_paid_by_lift_while_a_relay_is_killed_and_started_again() {
    let [a, mut b, c, _judge] = row();
    let carol = address(&c, "carol");
    a.command(&["route", "find", &carol, "--user", "alice", "--wait", "good"]);
    let invoice = c.command(&["invoice", "new", "--user", "carol", "500", "--memo", "Six rolls"]);
    let link = invoice["link"].as_str().expect("a link");
    b.kill();
    let begun = a.command(&["lift", "pay", "--user", "alice", "--to", link]);
    let lift = begun["lift"].as_str().expect("a uuid").to_owned();
    b.start();
    until(|| a.call("lift", "state", &json!({ "lift": lift })).is_ok_and(|state| state["state"] == "good"));
    until(|| (net(&a), net(&c)) == (vec![9500], vec![-7500]));
}

#[test]
fn a_payor_whose_key_is_kept_elsewhere_pays_by_an_order_and_a_signature() {
    let key = UserKey::generate(KeyKind::P521).unwrap();
    let sign = |answer: &Value| base64v::encode(key.sign(answer["text"].as_str().unwrap().as_bytes()).unwrap());
    let [a, b] = [Site::with_users(&[]), Site::with_users(&["bob"])];
    let file = a.home().join("alice.jwk");
    std::fs::write(&file, key.public_jwk().to_string()).unwrap();
    a.command(&["user", "add", "alice", "--public", file.to_str().unwrap()]);
    assert_eq!(b.command(&["ticket", "use", &ticket(&a, "alice"), "--user", "bob"])["accepted"], true);
    let draft = tally_in(&a, "alice", "P.draft");
    let signature = sign(&a.command(&["tally", "text", &draft]));
    let tally = a.command(&["tally", "offer", &draft, "--signature", &signature])["uuid"].as_str().unwrap().to_owned();
    assert_eq!(tally_in(&b, "bob", "P.offer"), tally);
    b.command(&["tally", "accept", &tally]);
    both_open(&a, "alice", &b, "bob", &tally);
    b.command(&["chit", "pay", &tally, "10000", "--wait", "confirmed"]);
    // Each of the two is referee enough for the other.
    a.command(&["referee", "serve", "all"]);
    let referee = address(&a, "alice").split_once(':').unwrap().1.to_owned();
    for site in [&a, &b] {
        site.command(&["referee", "accept", &referee]);
    }

    let bob = address(&b, "bob");
    let refused = a.attempt(&["lift", "pay", "500", "--user", "alice", "--to", &bob]);
    assert!(refused.code == Some(1) && refused.errors.contains("lift draft"), "{refused:?}");
    let drafted = a.command(&["lift", "draft", "500", "--user", "alice", "--to", &bob, "--memo", "Honey"]);
    let (order, signature) = (drafted["order"].as_str().unwrap(), sign(&drafted));
    let paid = a.command(&["lift", "accept", order, "--signature", &signature, "--wait", "good"]);
    assert_eq!((&paid["lift"], &paid["units"]), (&drafted["lift"], &json!(500)));
    until(|| (net(&a), net(&b)) == (vec![9500], vec![-9500]));
    let again = a.attempt(&["lift", "accept", order, "--signature", &signature]);
    assert!(again.code == Some(1) && again.errors.contains("begun already"), "{again:?}");
}

#[test]
fn a_payment_that_one_site_will_not_carry_goes_over_another() {
    let sites = ["alice", "bob", "carol", "dave", "judge"].map(|user| Site::with_users(&[user]));
    let [a, b, c, d, judge] = &sites;
    // Two ways from alice to dave; bob's carries more and is tried first.
    for ((stock, creditor), (foil, debtor), units) in [
        ((a, "alice"), (b, "bob"), "10000"),
        ((b, "bob"), (d, "dave"), "10000"),
        ((a, "alice"), (c, "carol"), "8000"),
        ((c, "carol"), (d, "dave"), "8000"),
    ] {
        let tally = partners(stock, creditor, foil, debtor);
        foil.command(&["chit", "pay", &tally, units, "--user", debtor, "--wait", "confirmed"]);
    }
    judge.command(&["referee", "serve", "all"]);
    let referee = address(judge, "judge").split_once(':').unwrap().1.to_owned();
    for site in [a, c, d] {
        site.command(&["referee", "accept", &referee]);
    }
    let dave = address(d, "dave");
    a.command(&["route", "find", &dave, "--user", "alice"]);
    let good = |list: &Value| list.as_array().unwrap().iter().filter(|route| route["status"] == "good").count();
    a.until(&["route", "list"], |list| good(list) == 2);

    let paid = a.command(&["lift", "pay", "3000", "--user", "alice", "--to", &dave, "--wait", "good"]);
    assert_eq!(paid["state"], "good", "{paid}");
    let shown = a.command(&["lift", "show", paid["lift"].as_str().unwrap()]);
    assert_eq!(shown["bottom"], Value::Null);
    let first = a.command(&["lift", "show", shown["instead_of"].as_str().unwrap()]);
    assert_eq!(
        (&first["state"], &first["why"], &first["instead"]),
        (&json!("void"), &json!("referee"), &shown["lift"])
    );
    let sums = || [a, b, c, d].map(|site| net(site).iter().sum::<i64>());
    until(|| sums() == [15_000, 0, 0, -15_000]);
    assert_eq!(a.command(&["lift", "list"]), json!([]));
}
