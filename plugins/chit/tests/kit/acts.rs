//! What users do in tests, and what is seen of it.

use super::{TALLY, USERS};
use serde_json::{Value, json};
use tallyho_plugin::Fault;
use tallyho_plugin::testkit::Net;

/// An act of alice's (place 0) or bob's (place 1).
pub fn act(net: &mut Net, place: usize, name: &str, mut arguments: Value) -> Result<Value, Fault> {
    arguments["user"] = USERS[place.min(1)].into();
    if arguments["tally"].is_null() {
        arguments["tally"] = TALLY.into();
    }
    let site = place.min(net.sites.len() - 1);
    net.sites[site].call("chit", name, arguments)
}

pub fn refused(net: &mut Net, place: usize, name: &str, arguments: Value) -> String {
    let fault = act(net, place, name, arguments).unwrap_err();
    assert!(fault.fix.is_some(), "no remedy: {fault}");
    fault.code
}

/// The state of a chit at alice's and at bob's.
pub fn states(net: &mut Net, uuid: &Value) -> (String, String) {
    let mut state = |place| {
        let shown = act(net, place, "show", json!({ "uuid": uuid })).unwrap_or_default();
        shown["state"].as_str().unwrap_or("none").to_owned()
    };
    (state(0), state(1))
}

pub fn both(net: &mut Net, uuid: &Value, alice: &str, bob: &str) {
    assert_eq!(states(net, uuid), (alice.to_owned(), bob.to_owned()));
}

/// Reasons told about chits since last asked.
pub fn reasons(net: &mut Net, place: usize) -> Vec<String> {
    let notices = net.sites[place].take_notices().into_iter().filter(|(_, notice)| notice["about"] == "chit");
    notices.map(|(_, notice)| notice["reason"].as_str().unwrap().to_owned()).collect()
}

pub fn half(net: &mut Net, place: usize) -> Value {
    net.sites[place].rows("chit.halves").into_values().next().unwrap_or_default()
}
