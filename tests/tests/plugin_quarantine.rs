//! What a plugin fails for good waits for the operator, on a whole site and through kills of it.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use tallyho_tests::counter::{Builds, text};
use tallyho_tests::deal::related;
use tallyho_tests::site::{Site, until};

fn site(builds: &Builds, settings: &str) -> Site {
    let mut site = Site::new().plugins(&["tally", "chit", text(&builds.make("counter.so", settings))]);
    site.start();
    site
}

fn list(site: &Site) -> Vec<Value> {
    site.command(&["plugin", "quarantine", "list"]).as_array().unwrap().clone()
}

#[test]
fn a_message_that_a_build_panics_on_is_set_aside_and_handled_by_a_mended_one() {
    let builds = Builds::new();
    let (alice, mut bob) = (site(&builds, "version=1"), site(&builds, "version=1 panic-at=3"));
    let to = related(&alice, &bob);
    for number in 0..6 {
        alice.call("counter", "send", &json!({ "number": number, "to": to, "from": "alice" })).unwrap();
    }
    until(|| bob.counted().len() == 5 && alice.call("host", "status", &json!({})).unwrap()["outbox"] == 0);
    bob.kill();
    bob.start();
    let listed = list(&bob);
    assert_eq!(listed.len(), 1);
    let (plugin, what, tries) = (&listed[0]["plugin"], &listed[0]["what"], &listed[0]["tries"]);
    assert_eq!((plugin, what, tries), (&json!("counter"), &json!("message count/add"), &json!(1)), "{listed:?}");
    assert!(listed[0]["fault"].as_str().unwrap().contains("3 is too much"), "{listed:?}");
    let number = listed[0]["number"].to_string();
    assert_eq!(bob.command(&["status"])["quarantine"], 1);
    let doctor = bob.attempt(&["doctor"]);
    let told = doctor.json["checks"].as_array().unwrap().iter().any(|check| {
        check["name"] == "quarantine" && check["ok"] == false && check["fix"].as_str().unwrap().contains("retry")
    });
    assert!(told && doctor.code == Some(1), "{}", doctor.json);

    // The same build fails it again, and says so.
    let again = bob.attempt(&["plugin", "quarantine", "retry", &number]);
    assert_eq!(again.code, Some(1));
    assert!(again.errors.contains("3 is too much"), "{}", again.errors);
    assert_eq!(list(&bob)[0]["tries"], 2);
    bob.swap(&builds.make("mended.so", "version=2"));
    let done = bob.command(&["plugin", "quarantine", "retry"]);
    assert_eq!(done[0]["state"], "done", "{done}");
    assert_eq!(bob.counted(), (0..6).map(|number| (number, 1)).collect::<Vec<_>>());
    assert_eq!((list(&bob), &bob.command(&["status"])["quarantine"]), (vec![], &json!(0)));
}

#[test]
fn what_is_dropped_is_gone_and_all_of_it_only_where_that_is_said() {
    let builds = Builds::new();
    let (alice, bob) = (site(&builds, "version=1"), site(&builds, "version=1 panic-at=3"));
    let to = related(&alice, &bob);
    for _ in 0..3 {
        alice.call("counter", "send", &json!({ "number": 3, "to": to, "from": "alice" })).unwrap();
        until(|| alice.call("host", "status", &json!({})).unwrap()["outbox"] == 0);
    }
    until(|| list(&bob).len() == 3);
    let usage = bob.attempt(&["plugin", "quarantine", "drop"]);
    assert_eq!(usage.code, Some(2), "{}", usage.errors);
    let number = list(&bob)[1]["number"].to_string();
    assert_eq!(bob.command(&["plugin", "quarantine", "drop", &number])[0]["state"], "dropped");
    assert_eq!(list(&bob).len(), 2);
    assert_eq!(bob.attempt(&["plugin", "quarantine", "drop", &number]).code, Some(1));
    assert_eq!(bob.command(&["plugin", "quarantine", "drop", "--all", "--plugin", "tally"]), json!([]));
    assert_eq!(bob.command(&["plugin", "quarantine", "drop", "--all"]).as_array().unwrap().len(), 2);
    assert_eq!(list(&bob), Vec::<Value>::new());
}
