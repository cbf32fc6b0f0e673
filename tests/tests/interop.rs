//! Peers of another make, and of ours, message by message against a real site (PROTOCOL A.3, A.4, 11).

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::net::TcpListener;
use tallyho_tests::flows::{offer, tally_in};
use tallyho_tests::peer::{Channel, Peer, next_mid, own};
use tallyho_tests::site::{Site, free_port, until};

const EXTENDED: &[u8] = br#"{"ext":["cbor","receipt"],"v":1}"#;

fn ticket(site: &Site) -> Value {
    site.command(&["ticket", "new", "--user", "alice", "--agree", "bread"])
}

/// Alice's site, its address, and bob's listener.
fn scene() -> (Site, Value, Peer, TcpListener) {
    let site = Site::configured("limits.idle_seconds = 30", &["alice"]);
    let listener = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let bob = Peer::at(1, "bob").listening_on(listener.local_addr().unwrap().port());
    let mut alice = own(&site);
    alice["cuid"] = "alice".into();
    (site, alice, bob, listener)
}

/// Bob uses tickets, and is away again.
fn introduce(site: &Site, bob: &Peer, tickets: usize) {
    for _ in 0..tickets {
        drop(bob.uses(site, &ticket(site)));
    }
    is_away(site);
}

/// Until then the site may still hand messages to a channel that bob has closed.
fn is_away(site: &Site) {
    site.until(&["peer", "list"], |peers| peers[0]["state"] == "away");
}

/// Alice offers what bob's ticket led to; its uuid.
fn offers(site: &Site) -> String {
    offer(site, "alice", &tally_in(site, "alice", "P.draft"))
}

/// Signs an offer; what `open` carries.
fn accepted(bob: &Peer, offer: &Value) -> Value {
    let mut record = offer["object"].clone();
    let side = if record["foil"]["cert"] == bob.cert() { "foil" } else { "stock" };
    bob.sign(&mut record, side);
    record
}

fn open_and_confirmed(site: &Site, uuid: &str) {
    site.until(&["tally", "show", uuid], |show| show["state"] == "open" && show["conf"] == 0);
}

/// The next message, which must be this one, in this encoding.
fn next(channel: &mut Channel, target: &str, action: &str, cbor: bool) -> Value {
    let (message, in_cbor) = channel.hears_any().expect("a message");
    assert_eq!((&message["target"], &message["action"], in_cbor), (&target.into(), &action.into(), cbor), "{message}");
    message
}

#[test]
fn a_peer_without_extensions_comes_to_an_open_tally_in_plain_json() {
    let (site, own, bob, _listener) = scene();
    let mut channel = bob.uses(&site, &ticket(&site));
    assert!(channel.answer.is_empty(), "A carries nothing for a peer that offers nothing");
    let uuid = offers(&site);
    let offer = next(&mut channel, "tally", "offer", false);
    assert!(offer.get("mid").is_none() && offer.get("ext").is_none(), "{offer}");
    // On a new channel, opened by tally.
    drop(channel);
    let open = bob.message(&own, "tally", "open", accepted(&bob, &offer));
    let mut channel = bob.opens(&site, &open);
    assert!(channel.answer.is_empty());
    let ack = next(&mut channel, "chit", "chain", false);
    assert_eq!((&ack["object"]["cmd"], &ack["object"]["index"]), (&"ack".into(), &0.into()));
    open_and_confirmed(&site, &uuid);
    // A repeat is answered again (T29).
    channel.says(&open);
    assert_eq!(next(&mut channel, "chit", "chain", false)["object"], ack["object"]);
}

#[test]
fn a_peer_without_extensions_makes_an_offer_and_is_accepted() {
    let (site, own, bob, _listener) = scene();
    let mut channel = bob.uses(&site, &ticket(&site));
    let uuid = offers(&site);
    let mut record = channel.hears("tally", "offer")["object"].clone();
    record["revision"] = 2.into();
    record["memo"] = "Cake".into();
    record["sign"] = json!({});
    bob.sign(&mut record, "foil");
    channel.says(&bob.message(&own, "tally", "offer", record));
    site.until(&["tally", "show", &uuid], |show| show["state"] == "P.offer" && show["record"]["memo"] == "Cake");
    site.command(&["tally", "accept", &uuid]);
    let open = next(&mut channel, "tally", "open", false);
    let hash = site.command(&["tally", "show", &uuid])["record"]["sign"]["hash"].clone();
    let ack = json!({ "cmd": "ack", "tally": uuid, "index": 0, "hash": hash });
    assert!(open["object"]["sign"]["foil"].is_string() && open["object"]["sign"]["stock"].is_string());
    channel.says(&bob.message(&own, "chit", "chain", ack));
    open_and_confirmed(&site, &uuid);
}

#[test]
fn the_host_dials_on_its_schedule_until_the_message_is_handed_over() {
    let (site, _, bob, listener) = scene();
    introduce(&site, &bob, 1);
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let uuid = offers(&site);
    until(|| site.log().contains("came to nothing"));
    assert_eq!(site.command(&["status"])["outbox"], 1);
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (channel, first) = bob.takes(&listener, b"");
    assert_eq!((&first["action"], &first["object"]["uuid"]), (&"offer".into(), &uuid.into()));
    assert!(first["try"].as_u64().unwrap() >= 2, "{first}");
    // Handed over: a peer without receipts is not bothered again.
    site.until(&["status"], |status| status["outbox"] == 0);
    drop(channel);
}

#[test]
fn a_peer_with_exchanged_keys_is_understood_and_spoken_to_in_kind_when_dialled() {
    let (site, own, bob, listener) = scene();
    let bob = bob.with_keys_exchanged();
    let mut channel = bob.uses(&site, &ticket(&site));
    // Its first message shows the order of its keys.
    channel.says(&bob.message(&own, "nobody.here", "hello", json!({})));
    let known = |peers: &Value| peers[0]["compat"] == "mychips-js";
    site.until(&["peer", "list"], known);
    let uuid = offers(&site);
    let offer = next(&mut channel, "tally", "offer", false);
    // Then this site dials, and speaks the same way.
    drop(channel);
    is_away(&site);
    let mut record = offer["object"].clone();
    bob.sign(&mut record, "foil");
    let mut channel = bob.opens(&site, &bob.message(&own, "tally", "open", record));
    channel.hears("chit", "chain");
    open_and_confirmed(&site, &uuid);
    drop(channel);
    is_away(&site);
    introduce(&site, &bob, 1);
    let second = offers(&site);
    let (mut channel, first) = bob.takes(&listener, b"");
    assert!(first.get("ext").is_none() && first.get("mid").is_none(), "{first}");
    assert_eq!(first["object"]["uuid"], second.as_str());
    channel.says(&bob.message(&own, "tally", "open", accepted(&bob, &first)));
    channel.hears("chit", "chain");
    open_and_confirmed(&site, &second);
    assert!(!site.log().contains("strike from"));
}

#[test]
fn a_peer_marked_by_the_operator_is_dialled_with_exchanged_keys() {
    let (site, own, bob, listener) = scene();
    let bob = bob.with_keys_exchanged();
    introduce(&site, &bob, 1);
    site.command(&["peer", "set", &bob.agent().0, "--compat", "mychips-js"]);
    let uuid = offers(&site);
    let (mut channel, offer) = bob.takes(&listener, b"");
    channel.says(&bob.message(&own, "tally", "open", accepted(&bob, &offer)));
    next(&mut channel, "chit", "chain", false);
    open_and_confirmed(&site, &uuid);
}

#[test]
fn a_peer_that_was_spoken_to_in_the_wrong_order_of_keys_is_understood_the_next_time() {
    let (site, own, bob, listener) = scene();
    let bob = bob.with_keys_exchanged();
    let mut channel = bob.uses(&site, &ticket(&site));
    offers(&site);
    // The offer has left in the standard order, which this peer cannot read.
    let (_, mut body) = channel.line.packet().unwrap();
    assert!(channel.open.open_in_place(&mut body).is_err());
    channel.says(&bob.message(&own, "nobody.here", "hello", json!({})));
    assert!(channel.is_closed());
    site.until(&["peer", "list"], |peers| peers[0]["compat"] == "mychips-js");
    assert!(!site.log().contains("strike from"), "it was not the peer's fault");
    introduce(&site, &bob, 1);
    offers(&site);
    let (_, first) = bob.takes(&listener, b"");
    assert_eq!(first["action"], "offer");
}

#[test]
fn hosts_of_ours_agree_on_cbor_and_receipts() {
    let (site, own, bob, _listener) = scene();
    introduce(&site, &bob, 1);
    let mut channel = bob.opens_extended(&site);
    let uuid = offers(&site);
    let offer = next(&mut channel, "tally", "offer", true);
    let mid = offer["mid"].as_u64().unwrap();
    // Not a receipt, not forgotten: it stays in the outbox however long the channel is open.
    assert_eq!(site.command(&["status"])["outbox"], 1);
    let receipt = json!({ "upto": mid });
    channel.says(&bob.message(&own, "host", "receipt", receipt));
    site.until(&["status"], |status| status["outbox"] == 0);
    // The answer is committed before its receipt leaves.
    let mut open = bob.message(&own, "tally", "open", accepted(&bob, &offer));
    open["mid"] = next_mid().into();
    channel.says(&open);
    let receipt = channel.hears("host", "receipt");
    assert!(receipt["object"]["upto"].as_u64() >= open["mid"].as_u64());
    assert_eq!(site.command(&["tally", "show", &uuid])["state"], "open");
}

#[test]
fn a_message_is_applied_once_also_after_reconnection_and_after_a_crash() {
    let (mut site, own, bob, _listener) = scene();
    introduce(&site, &bob, 1);
    let mut channel = bob.opens_extended(&site);
    let uuid = offers(&site);
    let offer = channel.hears("tally", "offer");
    channel.says(&bob.message(&own, "host", "receipt", json!({ "upto": offer["mid"] })));
    // Each `open` that is applied is answered by one `ack` (T22, T29).
    let mut open = bob.message(&own, "tally", "open", accepted(&bob, &offer));
    open["mid"] = next_mid().into();
    channel.says(&open);
    let first = channel.hears("chit", "chain")["mid"].as_u64().unwrap();
    let acks = |channel: &mut Channel, open: &Value| -> Vec<u64> {
        channel.says(open);
        let (mut probe, mut acks) = (bob.message(&own, "nobody.here", "probe", json!({})), Vec::new());
        probe["mid"] = next_mid().into();
        channel.says(&probe);
        loop {
            let (message, _) = channel.hears_any().unwrap();
            match message["target"].as_str().unwrap() {
                "chit" => acks.push(message["mid"].as_u64().unwrap()),
                _ if message["object"]["upto"].as_u64() >= probe["mid"].as_u64() => return acks,
                _ => {}
            }
        }
    };
    assert_eq!(acks(&mut channel, &open), [0; 0], "on the same channel");
    drop(channel);
    // The first answer comes again, as it has no receipt; there is no second one.
    channel = bob.opens_extended(&site);
    assert_eq!(acks(&mut channel, &open), [first], "on the next channel");
    site.kill();
    site.start();
    channel = bob.opens_extended(&site);
    // The site is calling, too; bob's channel has everything at once all the same.
    assert_eq!(channel.hears("chit", "chain")["mid"].as_u64(), Some(first), "the first answer comes again");
    assert_eq!(acks(&mut channel, &open), [0; 0], "after a crash");
    open["mid"] = next_mid().into();
    channel.says(&open);
    assert!(channel.hears("chit", "chain")["mid"].as_u64().unwrap() > first, "another one is another one");
    open_and_confirmed(&site, &uuid);
}

#[test]
fn messages_without_a_receipt_are_resent_on_the_next_channel_in_order_under_the_same_ids() {
    let (mut site, own, bob, listener) = scene();
    introduce(&site, &bob, 3);
    let mut channel = bob.opens_extended(&site);
    let uuids: Vec<String> = (0..2).map(|_| offers(&site)).collect();
    let sent = |channel: &mut Channel, count: usize| -> Vec<(u64, String)> {
        let mut heard = Vec::new();
        while heard.len() < count {
            let offer = channel.hears("tally", "offer");
            heard.push((offer["mid"].as_u64().unwrap(), offer["object"]["uuid"].as_str().unwrap().to_owned()));
        }
        heard
    };
    let first = sent(&mut channel, 2);
    assert_eq!(first.iter().map(|(_, uuid)| uuid.as_str()).collect::<Vec<_>>(), uuids);
    assert!(first[0].0 < first[1].0);
    // One more is sent just as the channel breaks: it must not overtake the two.
    drop(channel);
    is_away(&site);
    let third = offers(&site);
    let (mut channel, opening) = bob.takes(&listener, EXTENDED);
    assert_eq!((&opening["mid"], &opening["object"]["uuid"]), (&first[0].0.into(), &uuids[0].as_str().into()));
    let rest = sent(&mut channel, 2);
    assert_eq!(rest[0], first[1]);
    assert_eq!(rest[1].1, third);
    // After a crash the same again, without those received.
    channel.says(&bob.message(&own, "host", "receipt", json!({ "upto": first[0].0 })));
    site.until(&["status"], |status| status["outbox"] == 2);
    site.kill();
    site.start();
    let (mut channel, opening) = bob.takes(&listener, EXTENDED);
    assert_eq!(opening["mid"], first[1].0);
    assert_eq!(sent(&mut channel, 1), rest[1..]);
    // And on a channel that the peer opens.
    drop(channel);
    let mut channel = bob.opens_extended(&site);
    assert_eq!(sent(&mut channel, 2), rest);
}

#[test]
fn messages_handed_over_while_a_handshake_is_pending_wait_in_order_on_the_one_connection() {
    let (site, _, bob, listener) = scene();
    introduce(&site, &bob, 3);
    // The call is not answered before all three are offered.
    let uuids: Vec<String> = (0..3).map(|_| offers(&site)).collect();
    let (mut channel, first) = bob.takes(&listener, b"");
    let mut heard = vec![first["object"]["uuid"].as_str().unwrap().to_owned()];
    heard.extend((0..2).map(|_| channel.hears("tally", "offer")["object"]["uuid"].as_str().unwrap().to_owned()));
    assert_eq!(heard, uuids, "and one channel serves several tallies");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "there is no second call");
}

#[test]
fn a_peer_that_calls_again_is_not_left_waiting_for_its_older_channel_to_be_found_dead() {
    let (site, _, bob, _listener) = scene();
    introduce(&site, &bob, 2);
    let mut older = bob.opens_extended(&site);
    offers(&site);
    let first = older.hears("tally", "offer");
    // Bob's machine has lost that channel, and this site cannot know.
    let mut channel = bob.opens_extended(&site);
    assert_eq!(channel.hears("tally", "offer")["mid"], first["mid"], "it had no receipt");
    let second = offers(&site);
    assert_eq!(channel.hears("tally", "offer")["object"]["uuid"], second.as_str());
    drop(older);
}

#[test]
fn two_channels_that_cross_can_both_be_used() {
    let (site, own, bob, listener) = scene();
    introduce(&site, &bob, 1);
    let uuid = offers(&site);
    // The site's call waits for its answer while bob calls himself: what it carries comes at once.
    let mut own_call = bob.opens_extended(&site);
    let offer = own_call.hears("tally", "offer");
    assert_eq!(offer["object"]["uuid"], uuid.as_str());
    let (mut call, first) = bob.takes(&listener, EXTENDED);
    assert_eq!((&first["object"], &first["mid"]), (&offer["object"], &offer["mid"]), "known by its id");
    own_call.is_served(&bob, &own);
    call.is_served(&bob, &own);
    let mut open = bob.message(&own, "tally", "open", accepted(&bob, &first));
    open["mid"] = next_mid().into();
    call.says(&open);
    open_and_confirmed(&site, &uuid);
    own_call.is_served(&bob, &own);
}
