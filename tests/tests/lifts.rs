//! Lifts between real processes, by their command line (PROTOCOL 9).

use serde_json::{Value, json};
use tallyho_tests::chits::partners;
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
