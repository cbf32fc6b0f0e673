//! Who has no business here gets not one byte (PROTOCOL 2.5, A.3): real processes, hostile peers.
//!
//! Strikes count by address, so each hostile peer comes from an address of its own in 127.0.0.0/8,
//! and the peer that has to be served meanwhile from 127.0.0.1.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::net::Shutdown;
use tallyho::wire::frame::{Kind, write_frame};
use tallyho_tests::peer::{Channel, Peer, own};
use tallyho_tests::site::{Site, until};

/// A site, its address, and a peer whose channel is open all the time.
struct Scene {
    site: Site,
    own: Value,
    friend: Peer,
    channel: Channel,
}

fn ticket(site: &Site, more: &[&str]) -> Value {
    site.command(&[&["ticket", "new", "--user", "alice", "--agree", "bread"], more].concat())
}

impl Scene {
    fn new() -> Self {
        Self::with("")
    }

    fn with(lines: &str) -> Self {
        let site = Site::configured(lines, &["alice"]);
        let (own, friend) = (own(&site), Peer::at(1, "friend"));
        drop(friend.uses(&site, &ticket(&site, &[])));
        let channel = friend.opens_extended(&site);
        let mut scene = Scene { site, own, friend, channel };
        scene.serves();
        scene
    }

    /// The friend's channel, and a new one, are served.
    fn serves(&mut self) {
        self.channel.is_served(&self.friend, &self.own);
        self.friend.opens_extended(&self.site).is_served(&self.friend, &self.own);
    }

    /// All of the site's state that somebody could have changed.
    fn state(&self) -> Value {
        let mut status = self.site.command(&["status"]);
        for passing in ["uptime_s", "connections", "plugins", "bans"] {
            status[passing] = Value::Null;
        }
        let tallies = self.site.command(&["tally", "list"]);
        json!([status, tallies, self.site.command(&["ticket", "list"])])
    }

    fn strikes(&self, peer: &Peer, reason: &str) -> usize {
        let line = format!("strike from {}: {reason}", peer.source());
        self.site.log().lines().filter(|logged| logged.ends_with(&line)).count()
    }

    /// These bytes from this peer: silence, the end, one strike, no change; the friend is served.
    fn refuses(&mut self, peer: &Peer, bytes: &[u8], reason: &str) {
        let (before, strikes) = (self.state(), self.strikes(peer, reason));
        let mut line = peer.connect(&self.site);
        line.send(bytes);
        self.serves();
        assert_eq!(line.bytes_until_closed(), 0);
        // The strike is counted after the socket is closed, or before: either is right.
        until(|| self.strikes(peer, reason) > strikes);
        assert_eq!(self.strikes(peer, reason), strikes + 1, "{}", self.site.log());
        assert_eq!(self.state(), before);
        self.serves();
    }

    fn refuses_ticket(&mut self, peer: &Peer, message: &Value) {
        let (bytes, _) = peer.ticket_opening(&self.own, message);
        self.refuses(peer, &bytes, "ticket");
    }
}

#[test]
fn an_unknown_ticket_is_refused_in_silence() {
    let mut scene = Scene::new();
    let peer = Peer::at(2, "mallory");
    let mut ticket = ticket(&scene.site, &[]);
    ticket["invite"]["invite"]["token"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into();
    scene.refuses_ticket(&peer, &peer.presents(&ticket));
}

#[test]
fn an_expired_ticket_is_refused_in_silence() {
    let mut scene = Scene::new();
    let ticket = ticket(&scene.site, &["--expires", "1ms"]);
    let tally = &ticket["tally"];
    scene.site.until(&["ticket", "list"], |list| {
        list.as_array().unwrap().iter().any(|one| one["tally"] == *tally && one["state"] == "expired")
    });
    let peer = Peer::at(2, "mallory");
    scene.refuses_ticket(&peer, &peer.presents(&ticket));
}

#[test]
fn a_ticket_that_somebody_else_has_used_is_refused_in_silence() {
    let mut scene = Scene::new();
    let ticket = ticket(&scene.site, &[]);
    drop(Peer::at(1, "bob").uses(&scene.site, &ticket));
    let peer = Peer::at(2, "bob");
    scene.refuses_ticket(&peer, &peer.presents(&ticket));
}

#[test]
fn a_revoked_ticket_is_refused_in_silence() {
    let mut scene = Scene::new();
    let ticket = ticket(&scene.site, &[]);
    scene.site.command(&["ticket", "revoke", ticket["token"].as_str().unwrap()]);
    let peer = Peer::at(2, "mallory");
    scene.refuses_ticket(&peer, &peer.presents(&ticket));
}

#[test]
fn a_ticket_whose_draft_is_gone_is_refused_in_silence() {
    let mut scene = Scene::new();
    let ticket = ticket(&scene.site, &[]);
    scene.site.command(&["tally", "delete", ticket["tally"].as_str().unwrap()]);
    let peer = Peer::at(2, "mallory");
    scene.refuses_ticket(&peer, &peer.presents(&ticket));
}

#[test]
fn a_ticket_limited_to_another_party_is_refused_in_silence_and_serves_that_party() {
    let mut scene = Scene::new();
    let bob = Peer::at(1, "bob");
    let limit = format!("bob:{}", bob.agent().0);
    let ticket = ticket(&scene.site, &["--limit", &limit]);
    let peer = Peer::at(2, "bob");
    scene.refuses_ticket(&peer, &peer.presents(&ticket));
    drop(bob.uses(&scene.site, &ticket));
}

#[test]
fn a_certificate_of_another_agent_than_the_connecting_one_is_refused_in_silence() {
    let mut scene = Scene::new();
    let ticket = ticket(&scene.site, &[]);
    let (peer, victim) = (Peer::at(2, "mallory"), Peer::at(2, "bob"));
    // All of the message is the victim's: only the key that the handshake proves is not.
    scene.refuses_ticket(&peer, &victim.presents(&ticket));
    // Or the certificate alone.
    let mut message = peer.presents(&ticket);
    message["ticket"]["cert"] = victim.cert();
    scene.refuses_ticket(&peer, &message);
    let mut message = peer.presents(&ticket);
    message["ticket"]["cert"]["public"] = json!({ "kty": "RSA" });
    scene.refuses_ticket(&peer, &message);
    drop(victim.uses(&scene.site, &ticket));
}

#[test]
fn an_opening_by_ticket_that_carries_no_ticket_for_this_site_is_refused_in_silence() {
    let mut scene = Scene::new();
    let ticket = ticket(&scene.site, &[]);
    let peer = Peer::at(2, "mallory");
    let refused = |scene: &mut Scene, peer: &Peer, message: &str, reason| {
        let message = serde_json::from_str(message).unwrap_or(Value::String(message.to_owned()));
        let (bytes, _) = peer.ticket_opening(&scene.own, &message);
        scene.refuses(peer, &bytes, reason);
    };
    let good = peer.presents(&ticket);
    let mut other = good.clone();
    other["to"]["agent"] = peer.agent().0.as_str().into();
    refused(&mut scene, &peer, &other.to_string(), "not-for-us");
    other = good.clone();
    other["action"] = "offer".into();
    refused(&mut scene, &peer, &other.to_string(), "ticket");
    other = good.clone();
    other.as_object_mut().unwrap().remove("ticket");
    refused(&mut scene, &Peer::at(3, "mallory"), &other.to_string(), "ticket");
    let peer = Peer::at(4, "mallory");
    refused(&mut scene, &peer, "no object", "syntax");
    refused(&mut scene, &peer, "{}", "missing");
}

#[test]
fn the_k_of_an_unknown_agent_is_refused_in_silence() {
    let mut scene = Scene::new();
    let peer = Peer::at(2, "mallory");
    let message = peer.message(&scene.own, "tally", "offer", json!({}));
    let (bytes, _) = peer.known_opening(&scene.own, &message);
    scene.refuses(&peer, &bytes, "stranger");
}

#[test]
fn a_corrupted_k_of_a_known_agent_is_refused_in_silence() {
    let mut scene = Scene::new();
    let (mut bytes, _) = scene.friend.known_opening(&scene.own, &Value::Null);
    *bytes.last_mut().unwrap() ^= 1;
    scene.refuses(&Peer::at(2, "mallory"), &bytes, "handshake");
}

#[test]
fn a_known_agents_name_in_n_without_its_key_in_k_is_refused_in_silence() {
    let mut scene = Scene::new();
    let mallory = Peer::at(2, "mallory");
    let (known, _) = scene.friend.known_opening(&scene.own, &Value::Null);
    let (own, _) = mallory.known_opening(&scene.own, &Value::Null);
    let n = 4 + u32::from_be_bytes(known[..4].try_into().unwrap()) as usize;
    scene.refuses(&mallory, &[&known[..n], &own[n..]].concat(), "handshake");
}

#[test]
fn garbage_is_refused_in_silence() {
    let mut scene = Scene::new();
    let frame = |kind, body: &[u8]| {
        let mut frame = Vec::new();
        write_frame(&mut frame, kind, body).unwrap();
        frame
    };
    scene.refuses(&Peer::at(2, "m"), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "frame-too-long");
    scene.refuses(&Peer::at(2, "m"), &[0xff; 4], "frame-too-long");
    scene.refuses(&Peer::at(2, "m"), &[0, 1, 0, 1, b'I'], "frame-too-long");
    for kind in [Kind::I, Kind::N, Kind::R] {
        scene.refuses(&Peer::at(3, "m"), &frame(kind, &[7; 200]), "handshake");
    }
    scene.refuses(&Peer::at(3, "m"), &frame(Kind::I, &[]), "handshake");
    for (host, kind) in [(4, Kind::K), (4, Kind::A), (4, Kind::T), (5, Kind::Other(b'X'))] {
        scene.refuses(&Peer::at(host, "m"), &frame(kind, &[7; 200]), "wrong-kind");
    }
}

#[test]
fn five_strikes_ban_an_address_until_it_is_cleared() {
    let mut scene = Scene::new();
    let peer = Peer::at(2, "mallory");
    for _ in 0..5 {
        assert_eq!(scene.site.command(&["ban", "list"]), json!([]));
        scene.refuses(&peer, &[0xff; 4], "frame-too-long");
    }
    let bans = scene.site.command(&["ban", "list"]);
    assert_eq!(bans[0]["address"], "127.0.0.2");
    assert_eq!(scene.site.command(&["status"])["bans"], 1);
    // Not even a good ticket is looked at; nothing has to be sent for the end to come.
    let ticket = ticket(&scene.site, &[]);
    assert_eq!(peer.connect(&scene.site).bytes_until_closed(), 0);
    assert!(peer.try_open(&scene.site, &peer.presents(&ticket)).is_none());
    scene.serves();
    assert!(Peer::at(3, "bob").try_open(&scene.site, &json!({ "action": "ticket" })).is_none(), "its own strikes");
    scene.site.command(&["ban", "clear", "127.0.0.2"]);
    assert_eq!(scene.site.command(&["ban", "list"]), json!([]));
    drop(peer.uses(&scene.site, &ticket));
}

#[test]
fn a_channel_that_was_open_before_the_ban_is_served_on() {
    let mut scene = Scene::new();
    let guest = Peer::at(2, "guest");
    drop(guest.uses(&scene.site, &ticket(&scene.site, &[])));
    let mut channel = guest.opens_extended(&scene.site);
    for _ in 0..5 {
        scene.refuses(&guest, &[0xff; 4], "frame-too-long");
    }
    channel.is_served(&guest, &scene.own);
    assert!(guest.try_open(&scene.site, &Value::Null).is_none());
}

#[test]
fn recorded_opening_packets_are_refused_whoever_sends_them_again() {
    let mut scene = Scene::new();
    let bob = Peer::at(1, "bob");
    let presented = bob.presents(&ticket(&scene.site, &[]));
    let (by_ticket, awaiting) = bob.ticket_opening(&scene.own, &presented);
    let mut line = bob.connect(&scene.site);
    line.send(&by_ticket);
    let (kind, body) = line.packet().unwrap();
    awaiting.receive(kind, &body).unwrap();
    let (by_tally, awaiting) = bob.known_opening(&scene.own, &Value::Null);
    line = bob.connect(&scene.site);
    line.send(&by_tally);
    let (kind, body) = line.packet().unwrap();
    awaiting.receive(kind, &body).unwrap();

    let mallory = Peer::at(2, "mallory");
    scene.refuses(&mallory, &by_ticket, "replay");
    scene.refuses(&mallory, &by_tally, "replay");
}

#[test]
fn garbage_does_not_push_recorded_openings_out_of_memory() {
    let mut scene = Scene::with("limits.openings_remembered = 256");
    let (bytes, awaiting) = scene.friend.known_opening(&scene.own, &Value::Null);
    let mut line = scene.friend.connect(&scene.site);
    line.send(&bytes);
    let (kind, body) = line.packet().unwrap();
    awaiting.receive(kind, &body).unwrap();
    // As many garbled openings as are remembered, from addresses below their bans.
    for n in 0..260_u32 {
        let mut garbage = Vec::new();
        let mut body = vec![0; 200];
        body[..4].copy_from_slice(&n.to_be_bytes());
        write_frame(&mut garbage, Kind::I, &body).unwrap();
        let mut line = Peer::at(10 + u8::try_from(n / 4).unwrap(), "m").connect(&scene.site);
        line.send(&garbage);
        assert_eq!(line.bytes_until_closed(), 0);
    }
    scene.refuses(&Peer::at(2, "mallory"), &bytes, "replay");
}

#[test]
fn a_stranger_is_refused_where_nothing_is_served_to_strangers() {
    let mut scene = Scene::with("plugins.referee.enabled = false\nplugins.lift.enabled = false");
    let peer = Peer::at(2, "mallory");
    let message = peer.message(&scene.own, "lift", "check", json!({}));
    let (bytes, _) = peer.public_opening(&scene.own, &message);
    scene.refuses(&peer, &bytes, "not-public");
}

#[test]
fn a_caller_who_says_nothing_is_closed_without_a_byte_and_without_a_strike() {
    let mut scene = Scene::with("limits.handshake_seconds = 1");
    let peer = Peer::at(2, "quiet");
    let before = scene.state();
    let mut lines: Vec<_> = (0..6).map(|_| peer.connect(&scene.site)).collect();
    // Some begin to speak: a torn frame, an N whose K never comes.
    let (bytes, _) = scene.friend.known_opening(&scene.own, &Value::Null);
    let n = 4 + u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    lines[0].send(&bytes[..3]);
    lines[1].send(&bytes[..n - 1]);
    lines[2].send(&bytes[..n]);
    scene.serves();
    for line in &mut lines {
        assert_eq!(line.bytes_until_closed(), 0);
    }
    assert_eq!(scene.site.command(&["ban", "list"]), json!([]));
    assert!(!scene.site.log().contains("strike from"), "PROTOCOL 2.5 has none for silence");
    assert_eq!(scene.state(), before);
    scene.serves();
}

#[test]
fn a_caller_who_hangs_up_leaves_nothing_behind() {
    let mut scene = Scene::new();
    let peer = Peer::at(2, "scanner");
    let connections = |scene: &Scene| scene.site.command(&["status"])["connections"].as_u64().unwrap();
    let before = connections(&scene);
    for bytes in [&b""[..], &[0, 0], &[0, 0, 0, 98, b'N', 1, 2]] {
        let mut line = peer.connect(&scene.site);
        line.send(bytes);
        line.stream.shutdown(Shutdown::Both).unwrap();
    }
    scene.site.until(&["status"], |status| status["connections"].as_u64().unwrap() <= before);
    assert!(!scene.site.log().contains("strike from"));
    scene.serves();
}
