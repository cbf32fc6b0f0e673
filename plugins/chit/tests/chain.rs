//! The chain between two halves (PROTOCOL 6), over the test kit's network.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::*;

#[test]
fn the_kit_opens_a_tally_at_both_sites() {
    let mut net = pair(1);
    for (place, user) in [(0, "alice"), (1, "bob")] {
        let half = net.sites[place].call("tally", "get", serde_json::json!({ "user": user, "uuid": TALLY }));
        assert_eq!(half.unwrap()["state"], "open");
    }
}
