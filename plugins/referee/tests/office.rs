//! Whom the standard referee serves: its own site until the operator says otherwise.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::{ask, commit, is_ruling, lift, signed_by, stranger, told};
use serde_json::json;
use tallyho_plugin::FaultKind;
use tallyho_plugin::testkit::{Envelope, Site};
use tallyho_referee::{Referee, Standard};

/// As it comes.
fn fresh() -> Site {
    Site::of_agent(kit::agent("R").seed()).with::<Referee<Standard>>()
}

#[test]
fn until_the_operator_says_so_others_lifts_are_not_ruled_good_but_end_void() {
    let mut site = fresh();
    let lift = lift(&site, 1, site.now());
    assert_eq!(told(&mut site, "commit", &commit(&lift))["err"], "policy");
    assert_eq!(told(&mut site, "check", &lift)["pend"], true);
    site.advance(121_000);
    let void = told(&mut site, "commit", &commit(&lift));
    assert!(is_ruling(&site, &lift, false, &void), "{void}");
}

#[test]
fn a_site_is_its_own_referee_from_the_beginning() {
    let mut site = fresh();
    let mut own = lift(&site, 1, site.now());
    own["org"]["agent"] = site.agent().0.into();
    let good = told(&mut site, "commit", &signed_by(&own, &kit::agent("R")));
    assert!(is_ruling(&site, &own, true, &good), "{good}");
}

#[test]
fn a_forged_consent_gets_its_strike_whomever_the_referee_serves() {
    let mut site = fresh();
    let lift = lift(&site, 1, site.now());
    let fault = ask(&mut site, "commit", &signed_by(&lift, &kit::agent("B"))).unwrap_err();
    assert_eq!(fault.code, tallyho_plugin::fault::STRIKE);
}

#[test]
fn a_referee_for_nobody_else_does_not_hand_out_its_credentials() {
    let mut site = fresh();
    let query = Envelope::new(&stranger(), &site.address(), "referee/query", &json!({}));
    assert_eq!(site.deliver(&query).unwrap_err().kind, FaultKind::Refused);
    assert!(site.sent().is_empty());
    assert_eq!(site.command("credentials", json!({})).unwrap()["state"], "received", "to its own people it does");
}

#[test]
fn the_operators_word_opens_and_closes_it_and_rulings_stay() {
    let mut site = fresh();
    assert_eq!(site.command("list", json!({})).unwrap()["serves"], "own");
    assert_eq!(site.command("serve", json!({ "whom": "all" })).unwrap(), json!({ "serves": "all" }));
    let (first, second) = (lift(&site, 1, site.now()), lift(&site, 2, site.now()));
    let good = told(&mut site, "commit", &commit(&first));
    assert!(is_ruling(&site, &first, true, &good));
    site.restart();
    assert_eq!(site.command("serve", json!({ "whom": "own" })).unwrap(), json!({ "serves": "own" }));
    assert_eq!(told(&mut site, "check", &first), good);
    assert_eq!(told(&mut site, "commit", &commit(&second))["err"], "policy");
    let fault = site.command("serve", json!({ "whom": "some" })).unwrap_err();
    assert!(fault.text.contains("expected all or own"), "{fault}");
}
