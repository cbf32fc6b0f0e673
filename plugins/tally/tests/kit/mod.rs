//! What the tests of the tally handler share.

#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

pub mod chit;

use chit::Chit;
use serde_json::{Value, json};
use tallyho_plugin::record::canonical;
use tallyho_plugin::testkit::{Envelope, Net, Site, UserKey};
use tallyho_tally::Tally;

/// A site with the tally handler, and one in the place of the chit handler.
pub fn site(seed: u64) -> Site {
    Site::new(seed).with::<Tally>().with::<Chit>()
}

/// Two sites: alice's and bob's.
pub fn pair(seed: u64) -> Net {
    Net::new(seed, vec![site(seed * 2).user("alice"), site(seed * 2 + 1).user("bob")])
}

/// One site with both users.
pub fn house(seed: u64) -> Net {
    Net::new(seed, vec![site(seed).user("alice").user("bob")])
}

/// What a chit handler keeps of a half: good and pending milli-CHIPs, and the chain's end.
pub fn balance(net: i64, pend: i64, end: u64) -> Value {
    json!({ "net": net, "pend": pend, "end": end, "conf": end, "stat": "con" })
}

/// Has the chit handler of a user keep this.
pub fn keeps(site: &mut Site, user: &str, uuid: &str, half: &Value) {
    site.write("chit.halves", format!("{uuid}\0{user}").as_bytes(), half);
}

/// Has the chit handler of a user tell of an event of the chain; whether it changed anything.
pub fn told(site: &mut Site, user: &str, uuid: &str, event: &str) -> bool {
    let answer = site.command("chit.tell", json!({ "uuid": uuid, "user": user, "event": event })).unwrap();
    answer["done"].as_bool().unwrap()
}

/// The place of bob's site.
pub fn bobs(net: &Net) -> usize {
    net.sites.len() - 1
}

/// Alice's draft and bob's ticket, used: `P.draft` at alice's. The draft's uuid.
pub fn introduced(net: &mut Net) -> String {
    let ticket = net.a().command("ticket.new", json!({ "user": "alice", "memo": "bread" })).unwrap();
    let bob = bobs(net);
    net.sites[bob].command("ticket.use", json!({ "ticket": ticket["link"], "user": "bob" })).unwrap();
    net.settle();
    ticket["tally"].as_str().unwrap().to_owned()
}

/// `H.offer` at alice's, `P.offer` at bob's.
pub fn offered(net: &mut Net) -> String {
    let uuid = introduced(net);
    alice(net, "offer", &uuid);
    net.settle();
    uuid
}

/// Open and confirmed at both.
pub fn opened(net: &mut Net) -> String {
    let uuid = offered(net);
    bob(net, "accept", &uuid);
    net.settle();
    assert_eq!(states(net, &uuid), ("open".into(), "open".into()));
    uuid
}

/// An act of alice's.
pub fn alice(net: &mut Net, act: &str, uuid: &str) -> Value {
    net.a().command(act, json!({ "uuid": uuid, "user": "alice" })).unwrap()
}

/// An act of bob's.
pub fn bob(net: &mut Net, act: &str, uuid: &str) -> Value {
    let bob = bobs(net);
    net.sites[bob].command(act, json!({ "uuid": uuid, "user": "bob" })).unwrap()
}

/// What a user is shown of a tally; `Null` where there is none.
pub fn shown(site: &mut Site, user: &str, uuid: &str) -> Value {
    site.command("show", json!({ "uuid": uuid, "user": user })).unwrap_or_default()
}

/// The state code at both; `none` where there is no tally.
pub fn states(net: &mut Net, uuid: &str) -> (String, String) {
    let bob = bobs(net);
    let code = |shown: Value| shown["state"].as_str().unwrap_or("none").to_owned();
    (code(shown(net.a(), "alice", uuid)), code(shown(&mut net.sites[bob], "bob", uuid)))
}

/// Whether both are open, confirmed, with the same hash.
pub fn agreed(net: &mut Net, uuid: &str) -> bool {
    let bob = bobs(net);
    let (one, two) = (shown(net.a(), "alice", uuid), shown(&mut net.sites[bob], "bob", uuid));
    one["state"] == "open"
        && two["state"] == "open"
        && one["conf"] == 0
        && two["conf"] == 0
        && one["hash"] == two["hash"]
}

/// The reasons told to a user about tallies since last asked.
pub fn reasons(site: &mut Site, user: &str) -> Vec<String> {
    let told = site.take_notices().into_iter().filter(|(whom, notice)| whom == user && notice["about"] == "tally");
    told.map(|(_, notice)| notice["reason"].as_str().unwrap().to_owned()).collect()
}

/// Bob's key, as the kit makes it for the second site of `pair(seed)`.
pub fn bobs_key(seed: u64) -> UserKey {
    UserKey::of(&format!("user bob of {}", seed * 2 + 1))
}

/// Alice's, of the first.
pub fn alices_key(seed: u64) -> UserKey {
    UserKey::of(&format!("user alice of {}", seed * 2))
}

/// The record, signed anew by these after a change.
pub fn resigned(record: &Value, change: impl FnOnce(&mut Value), signers: &[(&str, &UserKey)]) -> Value {
    let mut record = record.clone();
    record.as_object_mut().unwrap().remove("sign");
    change(&mut record);
    let text = canonical(&record).unwrap();
    record["sign"] = signers.iter().map(|(side, key)| ((*side).to_owned(), json!(key.sign(&text)))).collect();
    record
}

/// A message of alice's to bob.
pub fn from_alice(net: &mut Net, action: &str, object: &Value) {
    let envelope =
        Envelope::new(&net.sites[0].chad("alice"), &net.sites[1].chad("bob"), &format!("tally/{action}"), object);
    net.b().deliver(&envelope).unwrap();
}

/// A message of bob's to alice.
pub fn from_bob(net: &mut Net, verb: &str, object: &Value) {
    let envelope = Envelope::new(&net.sites[1].chad("bob"), &net.sites[0].chad("alice"), verb, object);
    net.a().deliver(&envelope).unwrap();
}
