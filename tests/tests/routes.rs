//! Routes between real processes, by their command line (PROTOCOL 8).

use serde_json::{Value, json};
use tallyho_tests::chits::partners;
use tallyho_tests::peer::own;
use tallyho_tests::site::Site;

/// Three sites in a row; bob owes alice 10 CHIPs, carol owes bob 8.
fn row() -> [Site; 3] {
    let sites = ["alice", "bob", "carol"].map(|user| Site::with_users(&[user]));
    let [a, b, c] = &sites;
    for ((stock, creditor), (foil, debtor), units) in
        [((a, "alice"), (b, "bob"), "10000"), ((b, "bob"), (c, "carol"), "8000")]
    {
        let tally = partners(stock, creditor, foil, debtor);
        foil.command(&["chit", "pay", &tally, units, "--user", debtor, "--wait", "confirmed"]);
    }
    sites
}

fn address(site: &Site, user: &str) -> String {
    format!("{user}:{}", own(site)["agent"].as_str().expect("an agent"))
}

#[test]
fn a_route_over_another_site_is_found_by_command_and_kept() {
    let [mut a, _b, c] = row();
    let carol = address(&c, "carol");
    let found = a.command(&["route", "find", &carol, "--user", "alice", "--wait", "good"]);
    let route = &found[0];
    let lading = json!({ "min": 8000, "max": 8000, "margin": 0.0, "reward": 0.0 });
    assert_eq!((&route["status"], &route["lading"], &route["step"]), (&json!("good"), &lading, &json!(0)), "{found}");
    assert_eq!(route["dest"]["cuid"], "carol");

    let listed = a.command(&["route", "list"]);
    assert_eq!((listed.as_array().map(Vec::len), &listed[0]["via"]), (Some(1), &route["via"]), "{listed}");
    let to = &route["dest"];
    let paths = |site: &Site, units: u64| {
        let question = json!({ "from": { "user": "alice" }, "to": to, "units": units });
        let answer = site.call("route", "path.find", &question).expect("it answers");
        answer["paths"].as_array().cloned().expect("paths")
    };
    assert_eq!((paths(&a, 8000).len(), paths(&a, 8001).len()), (1, 0));

    a.kill();
    a.start();
    assert_eq!(a.command(&["route", "list"]), listed);
    assert_eq!(paths(&a, 8000)[0]["fresh"], true);
}

#[test]
fn a_search_in_vain_ends_with_the_state_that_was_and_one_that_cannot_begin_says_why() {
    let [a, b, c] = row();
    let nobody = address(&c, "nobody");
    let searched = a.attempt(&["route", "find", &nobody, "--user", "alice", "--wait", "good"]);
    assert_eq!(searched.code, Some(1), "{searched:?}");
    assert!(searched.errors.contains("none"), "{}", searched.errors);

    let refused = |site: &Site, words: &[&str]| -> Value {
        let answer = site.attempt(words);
        assert_eq!(answer.code, Some(1), "{answer:?}");
        serde_json::from_str(&answer.errors).expect("one JSON value")
    };
    let again = refused(&a, &["route", "find", &nobody, "--user", "alice"]);
    assert_eq!(again["error"]["code"], "no-route", "{again}");
    // Nobody owes carol anything, so nothing can go from her.
    let stuck = refused(&c, &["route", "find", &address(&a, "alice"), "--user", "carol"]);
    assert_eq!(stuck["error"]["code"], "no-exit", "{stuck}");
    assert!(stuck["error"]["fix"].is_string());

    // Bob needs no route to his partner.
    let direct = b.command(&["route", "find", &address(&c, "carol"), "--user", "bob", "--wait", "good"]);
    assert_eq!((&direct[0]["status"], &direct[0]["via"]), (&json!("good"), &Value::Null), "{direct}");
    assert_eq!(b.command(&["route", "settings", "--autoquery", "off"])["autoquery"], "off");
}
