//! What peers can make a site hold, and how long they can keep it busy (PROTOCOL A.1, A.3, 3.1).

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};
use tallyho::wire::frame::{Kind, write_frame};
use tallyho_plugin::testkit::Dice;
use tallyho_tests::flows::offer;
use tallyho_tests::peer::{Channel, Line, Peer, next_mid, own};
use tallyho_tests::site::{PATIENCE, Site, until};

const MEGABYTE: u64 = 1 << 20;

fn ticket(site: &Site, more: &[&str]) -> Value {
    site.command(&[&["ticket", "new", "--user", "alice", "--agree", "bread"], more].concat())
}

/// A site, alice's address, and a peer with an open channel.
fn scene(lines: &str) -> (Site, Value, Peer, Channel) {
    let site = Site::configured(lines, &["alice"]);
    let mut alice = own(&site);
    alice["cuid"] = "alice".into();
    let friend = guest(&site, 1, "friend");
    let mut channel = friend.opens_extended(&site);
    channel.is_served(&friend, &alice);
    (site, alice, friend, channel)
}

/// A peer with a relation.
fn guest(site: &Site, host: u8, cuid: &str) -> Peer {
    let peer = Peer::at(host, cuid);
    drop(peer.uses(site, &ticket(site, &[])));
    peer
}

/// The tally that alice shares with this peer.
fn tally_of(site: &Site, peer: &Peer) -> String {
    let list = site.command(&["tally", "list"]);
    let tally = list.as_array().unwrap().iter().find(|tally| tally.to_string().contains(&peer.agent().0)).unwrap();
    tally["uuid"].as_str().unwrap().to_owned()
}

fn strikes(site: &Site) -> usize {
    site.log().matches("strike from").count()
}

fn connections(site: &Site) -> u64 {
    site.command(&["status"])["connections"].as_u64().unwrap()
}

#[test]
fn connections_are_bounded_for_each_address_and_half_open_ones_in_all() {
    let (site, alice, friend, mut channel) =
        scene("limits = { connections_per_address = 4, half_open = 6, handshake_seconds = 2 }");
    // Beyond the bound the next one is closed at once, and costs no strike.
    let mut held: Vec<Line> = (0..4).map(|_| Peer::at(2, "m").connect(&site)).collect();
    assert_eq!(Peer::at(2, "m").connect(&site).bytes_until_closed(), 0);
    held.extend((0..2).map(|_| Peer::at(3, "m").connect(&site)));
    assert_eq!(Peer::at(4, "m").connect(&site).bytes_until_closed(), 0);
    channel.is_served(&friend, &alice);
    // They are closed in time, and then others are let in.
    for line in &mut held {
        assert_eq!(line.bytes_until_closed(), 0);
    }
    friend.opens_extended(&site).is_served(&friend, &alice);
    assert_eq!(strikes(&site), 0);
}

#[test]
fn connections_are_bounded_in_all() {
    let (site, alice, friend, mut channel) = scene("limits = { connections = 3 }");
    site.until(&["status"], |status| status["connections"] == 1);
    let held = [Peer::at(2, "m").connect(&site), Peer::at(3, "m").connect(&site)];
    assert_eq!(Peer::at(4, "m").connect(&site).bytes_until_closed(), 0);
    channel.is_served(&friend, &alice);
    drop(held);
    site.until(&["status"], |status| status["connections"] == 1);
    friend.opens_extended(&site).is_served(&friend, &alice);
}

#[test]
fn frames_that_come_byte_by_byte_or_several_at_a_time_are_read() {
    let (site, alice, friend, mut channel) = scene("");
    let mut probe = friend.message(&alice, "nobody.here", "probe", json!({ "pad": "x".repeat(100) }));
    let mut frames = Vec::new();
    for _ in 0..3 {
        probe["mid"] = next_mid().into();
        channel.open.seal_into(&mut frames, probe.to_string().as_bytes()).unwrap();
    }
    frames.extend([0, 0, 0, 0]); // an empty frame is ignored
    for byte in frames {
        channel.line.send(&[byte]);
    }
    while channel.hears("host", "receipt")["object"]["upto"] != probe["mid"] {}
    let mut frames = Vec::new();
    for _ in 0..50 {
        probe["mid"] = next_mid().into();
        channel.open.seal_into(&mut frames, probe.to_string().as_bytes()).unwrap();
    }
    channel.line.send(&frames);
    while channel.hears("host", "receipt")["object"]["upto"] != probe["mid"] {}
    assert_eq!(strikes(&site), 0);
}

#[test]
fn other_kinds_of_packets_are_ignored_in_an_open_channel() {
    let (site, alice, friend, mut channel) = scene("");
    for kind in [Kind::I, Kind::N, Kind::K, Kind::R, Kind::A, Kind::Other(b'?')] {
        let mut frame = Vec::new();
        write_frame(&mut frame, kind, &[1; 100]).unwrap();
        channel.line.send(&frame);
    }
    channel.is_served(&friend, &alice);
    assert_eq!(strikes(&site), 0);
}

#[test]
fn a_message_that_does_not_open_or_a_frame_too_long_closes_the_channel_and_costs_a_strike() {
    let (site, alice, friend, mut channel) = scene("");
    let guest = guest(&site, 2, "guest");
    let mut garbled = Vec::new();
    write_frame(&mut garbled, Kind::T, &[1; 100]).unwrap();
    let mut empty = Vec::new();
    write_frame(&mut empty, Kind::T, &[]).unwrap();
    for (bytes, struck) in [(garbled, 1), (empty, 2), (vec![0xff; 4], 3), (vec![0, 1, 0, 1], 4)] {
        let mut broken = guest.opens_extended(&site);
        broken.line.send(&bytes);
        assert!(broken.is_closed());
        until(|| strikes(&site) == struck);
        channel.is_served(&friend, &alice);
    }
    // A good message twice: the counters can never meet again.
    let mut broken = guest.opens_extended(&site);
    let mut frame = Vec::new();
    broken.open.seal_into(&mut frame, b"{}").unwrap();
    broken.line.send(&frame);
    broken.line.send(&frame);
    assert!(broken.is_closed());
    until(|| strikes(&site) == 5);
    channel.is_served(&friend, &alice);
}

#[test]
fn a_message_that_fails_a_check_is_dropped_and_the_next_one_is_handled() {
    let (site, alice, friend, mut channel) = scene("");
    let other = guest(&site, 2, "other");
    let uuid = offer(&site, "alice", &tally_of(&site, &friend));
    let foreign = offer(&site, "alice", &tally_of(&site, &other));
    channel.hears("tally", "offer");
    let void = |uuid: &str| friend.message(&alice, "tally", "void", json!({ "uuid": uuid }));
    let good = void(&uuid);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut message = good.clone();
        change(&mut message);
        message.to_string()
    };
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    site.until(&["status"], |status| status["tallies"]["draft.offer"] == 1 && status["tallies"]["H.offer"] == 1);
    let before = site.command(&["tally", "list"]);
    let faulty = [
        changed(&|message| message["from"] = other.chad()),
        changed(&|message| message["from"]["cuid"] = "somebody".into()),
        changed(&|message| message["to"]["agent"] = other.agent().0.as_str().into()),
        changed(&|message| message["to"]["cuid"] = "nobody".into()),
        changed(&|message| drop(message["to"].as_object_mut().unwrap().remove("cuid"))),
        changed(&|message| message["target"] = "unknown".into()),
        changed(&|message| message["target"] = "host".into()),
        changed(&|message| message["action"] = "unknown".into()),
        changed(&|message| message["object"]["uuid"] = 5.into()),
        changed(&|message| drop(message["object"].as_object_mut().unwrap().remove("uuid"))),
        changed(&|message| message["object"] = json!([])),
        void(&foreign).to_string(),
        void("9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55").to_string(),
        good.to_string().replacen('{', "{\"x\":1,\"x\":2,", 1),
        good.to_string().replacen("\"uuid\"", "\"a\":1,\"a\":2,\"uuid\"", 1),
        good.to_string().replacen('{', &format!("{{\"x\":{},", nested(32)), 1),
        good.to_string().replacen('{', &format!("{{\"x\":{},", nested(20_000)), 1),
        good.to_string().replacen('{', "{\"x\":\"\\ud800\",", 1),
        good.to_string().replacen('{', "{\"x\":9007199254740993,", 1),
        format!("{good} "),
        format!("{good}{good}"),
        "[]".to_owned(),
        String::new(),
    ];
    for message in &faulty[..19] {
        channel.says_bytes(message.as_bytes());
    }
    for message in &faulty[20..] {
        channel.says_bytes(message.as_bytes());
    }
    channel.says_bytes(b"{\"target\":\"\xff\"}");
    channel.says_bytes(&[0xa1, 0x61]);
    channel.is_served(&friend, &alice);
    assert_eq!(site.command(&["tally", "list"]), before);
    assert_eq!(strikes(&site), 0, "{}", site.log());
    // Level 32 is allowed, and so is white space.
    let deep = good.to_string().replacen('{', &format!("{{\"x\":{},", nested(31)), 1);
    channel.says_bytes(format!(" {deep} ").as_bytes());
    site.until(&["tally", "show", &uuid], |show| show["state"] == "void");
    assert_eq!(site.command(&["tally", "show", &foreign])["state"], "draft.offer", "nobody is at home there");
}

#[test]
fn a_faulty_ticket_on_an_open_channel_costs_a_strike_and_the_channel_stays() {
    let (site, alice, friend, mut channel) = scene("");
    let mut presented = friend.presents(&ticket(&site, &[]));
    presented["ticket"]["token"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into();
    channel.says(&presented);
    channel.is_served(&friend, &alice);
    until(|| strikes(&site) == 1);
    presented["ticket"] = json!({ "token": 1 });
    channel.says(&presented);
    channel.is_served(&friend, &alice);
    until(|| strikes(&site) == 2);
}

#[test]
fn an_idle_channel_is_closed_by_the_one_who_was_called() {
    let (site, alice, friend, mut channel) = scene("limits.idle_seconds = 5");
    let mut busy = friend.opens_extended(&site);
    let begun = Instant::now();
    // One is used meanwhile, the other is not.
    channel.line.stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    loop {
        busy.is_served(&friend, &alice);
        let mut byte = [0; 4_096];
        match std::io::Read::read(&mut channel.line.stream, &mut byte) {
            Ok(0) => break,
            Ok(_) => {} // receipts go to every channel
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        assert!(begun.elapsed() < Duration::from_secs(15));
    }
    assert!(begun.elapsed() >= Duration::from_secs(4), "too early: {:?}", begun.elapsed());
    busy.is_served(&friend, &alice);
    assert_eq!(strikes(&site), 0);
}

#[test]
fn a_peer_that_never_reads_is_closed_and_costs_little_memory() {
    const TALLIES: usize = 100;
    let (site, alice, friend, mut channel) = scene("limits.idle_seconds = 5");
    let guest = Peer::at(2, "guest");
    let terms = json!({ "pad": "t".repeat(7_900) }).to_string();
    let memo = "m".repeat(4_000);
    let decal = ticket(&site, &["--reuse", "--memo", &memo, "--terms", &terms, "--partner-terms", &terms]);
    // As many users of one agent, each with a tally of its own of some 40 kB.
    let mut opening = guest.uses(&site, &ticket(&site, &[]));
    for n in 0..TALLIES {
        let mut presented = guest.presents(&decal);
        presented["ticket"]["cert"]["connect"] = json!([{ "media": "web", "comment": "c".repeat(20_000) }]);
        let cuid = Value::from(format!("guest{n}"));
        presented["ticket"]["cert"]["chad"]["cuid"] = cuid.clone();
        presented["from"]["cuid"] = cuid;
        opening.says(&presented);
    }
    let drafts = |list: &Value| -> Vec<String> {
        let of = |tally: &&Value| tally["state"] == "P.draft" && tally["memo"].as_str() == Some(&memo);
        list.as_array().unwrap().iter().filter(of).map(|tally| tally["uuid"].as_str().unwrap().to_owned()).collect()
    };
    let drafts = drafts(&site.until(&["tally", "list"], |list| drafts(list).len() == TALLIES));
    drop(opening);
    site.until(&["status"], |status| status["connections"] == 1);

    let line = guest.connect_with(&site, Some(4_096));
    let mut stalled = guest.open_on(line, &alice, &Value::Null).unwrap();
    let before = site.memory();
    // Four megabytes for it, far more than sockets hold.
    for draft in &drafts {
        site.command(&["tally", "offer", draft]);
        channel.is_served(&friend, &alice);
    }
    assert!(site.memory() < before + 64 * MEGABYTE, "{} bytes, {before} before", site.memory());
    assert!(site.command(&["status"])["outbox"].as_u64().unwrap() > 10, "what is not handed over waits");
    // It goes on talking, so it is not closed for its silence.
    let probe = guest.message(&alice, "nobody.here", "probe", json!({}));
    let mut away = || {
        stalled.says(&probe);
        channel.is_served(&friend, &alice);
        connections(&site) == 1
    };
    let begun = Instant::now();
    while !away() {
        assert!(begun.elapsed() < Duration::from_secs(15), "{}", site.command(&["peer", "list"]));
    }
}

/// How much a peer sends that sends as fast as it can: far more than the site may hold of it.
const FLOOD: u64 = 96 * MEGABYTE;

#[test]
fn a_peer_that_floods_takes_no_memory_and_others_are_served_meanwhile() {
    let (site, alice, friend, mut channel) = scene("");
    let guest = guest(&site, 2, "guest");
    let mut flood = guest.opens_extended(&site);
    let before = site.memory();
    // Each goes to the handler, which finds that there is nothing to do. Where the ledger's queue is
    // full the socket is not read, so the writes here wait.
    let tally = tally_of(&site, &guest);
    let mut message = guest.message(&alice, "tally", "void", json!({ "uuid": tally, "pad": "x".repeat(4_000) }));
    flood.line.stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let (mut sent, mut looked) = (0, 0);
    while sent < FLOOD {
        message["mid"] = next_mid().into();
        let mut frame = Vec::new();
        flood.open.seal_into(&mut frame, message.to_string().as_bytes()).unwrap();
        flood.line.stream.write_all(&frame).unwrap();
        sent += frame.len() as u64;
        if sent / (8 * MEGABYTE) > looked {
            looked += 1;
            channel.is_served(&friend, &alice);
            assert!(site.memory() < before + 64 * MEGABYTE, "{} bytes, {before} before", site.memory());
        }
    }
    assert_eq!(strikes(&site), 0);
}

fn byte(dice: &mut Dice) -> u8 {
    dice.roll().to_le_bytes()[0]
}

#[test]
fn random_bytes_and_mutated_sessions_leave_the_site_up_and_its_peers_served() {
    let seed = 0x07a1_11e5_u64;
    let (mut site, alice, friend, mut channel) = scene("limits.handshake_seconds = 1");
    let guest = guest(&site, 2, "guest");
    let mut dice = Dice::new(seed);
    let before = site.memory();
    for round in 0..300_u32 {
        let peer = Peer::at(u8::try_from(10 + round % 200).unwrap(), "fuzz");
        let mut line = peer.connect(&site);
        let mut bytes = match round % 3 {
            0 => (0..dice.below(300)).map(|_| byte(&mut dice)).collect(),
            1 => guest.known_opening(&alice, &guest.message(&alice, "tally", "void", json!({ "uuid": "x" }))).0,
            _ => guest.ticket_opening(&alice, &json!({ "target": "tally", "action": "ticket" })).0,
        };
        if !bytes.is_empty() {
            for _ in 0..=dice.below(4) {
                let at = dice.below(bytes.len());
                match dice.below(3) {
                    0 => bytes[at] ^= 1 << dice.below(8),
                    1 => bytes.truncate(at + 1),
                    _ => bytes.insert(at, byte(&mut dice)),
                }
            }
        }
        line.send(&bytes);
    }
    // Messages of a peer with a relation, mutated inside the encryption.
    let good = guest.message(&alice, "tally", "offer", json!({ "uuid": "x", "sign": {}, "stock": {}, "version": 1 }));
    let mut session = guest.opens_extended(&site);
    for _ in 0..500 {
        let mut bytes = good.to_string().into_bytes();
        for _ in 0..=dice.below(6) {
            let at = dice.below(bytes.len());
            match dice.below(3) {
                0 => bytes[at] = byte(&mut dice),
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b"{}[]\":,0\\\xa1\xbf\xff"[dice.below(12)]),
            }
        }
        session.says_bytes(&bytes);
    }
    session.is_served(&guest, &alice);
    channel.is_served(&friend, &alice);
    assert!(site.runs());
    site.until(&["status"], |status| status["connections"].as_u64().unwrap() <= 3);
    assert!(site.memory() < before + 64 * MEGABYTE, "seed {seed}");
    let status = site.command(&["status"]);
    assert!(status["plugins"].as_array().unwrap().iter().all(|plugin| plugin["faults"] == 0), "seed {seed}: {status}");
    assert!(connections(&site) >= 2);
}
