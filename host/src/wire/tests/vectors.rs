//! The vectors of the JavaScript reference peer, and those of PROTOCOL appendix C.

use super::{packet, packets, unhex};
use crate::wire::error::WireError;
use crate::wire::frame::Kind;
use crate::wire::handshake::{AwaitingA, Listening, Opening, dial_known_with, dial_with};
use crate::wire::keys::{Identity, noise_public};
use crate::wire::noise::{self, Ephemeral, Pattern};
use crate::wire::transport::{KeyOrder, Open};
use serde_json::Value;
use tallyho_plugin::record::AgentId;

struct Vectors(Value);

impl Vectors {
    fn load() -> Self {
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/wire.json"));
        Vectors(serde_json::from_str(text).unwrap())
    }

    fn text(&self, path: &str) -> &str {
        self.0.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("{path}"))
    }

    fn bytes(&self, path: &str) -> Vec<u8> {
        unhex(self.text(path))
    }

    fn key(&self, path: &str) -> [u8; 32] {
        self.bytes(path).try_into().unwrap()
    }

    fn identity(&self, who: &str) -> Identity {
        Identity::from_seed(&self.key(&format!("/keys/{who}/ed25519_seed")))
    }

    fn ephemeral(&self, pattern: &str, who: &str) -> Ephemeral {
        Ephemeral::Given(self.key(&format!("/vectors/{pattern}/{who}_ephemeral_private")))
    }

    fn frame(&self, pattern: &str, message: usize) -> Vec<u8> {
        self.bytes(&format!("/vectors/{pattern}/messages/{message}/frame_hex"))
    }

    fn payload(&self, pattern: &str, message: usize) -> Vec<u8> {
        self.bytes(&format!("/vectors/{pattern}/messages/{message}/payload_hex"))
    }

    /// Dials as the vectors' initiator; the bytes and what follows.
    fn dial(&self, pattern: &str) -> (Vec<u8>, AwaitingA) {
        let (initiator, responder) = (self.identity("initiator"), self.identity("responder"));
        let payload = self.payload(pattern, 0);
        let ephemeral = self.ephemeral(pattern, "initiator");
        match pattern {
            "IK" => dial_with(Pattern::IK, &initiator, responder.agent(), &payload, ephemeral).unwrap(),
            _ => {
                let ephemerals = [self.ephemeral("N", "initiator"), ephemeral];
                dial_known_with(&initiator, responder.agent(), &payload, ephemerals).unwrap()
            }
        }
    }

    /// A channel as both sides have it.
    fn open(&self, pattern: &str) -> (Open, Open) {
        let (sent, awaiting) = self.dial(pattern);
        let responder = self.identity("responder");
        let listening = Listening::with(self.ephemeral(pattern, "responder"));
        let mut sent = packets(&sent).into_iter();
        let (kind, body) = sent.next().unwrap();
        let (answer, called) = match listening.receive(&responder, kind, &body).unwrap() {
            Opening::Ticket(offered) => offered.accept(b"").unwrap(),
            Opening::Claim(claim) => {
                let (kind, body) = sent.next().unwrap();
                claim.receive(&responder, kind, &body).unwrap().accept(b"").unwrap()
            }
            Opening::Public(_) => panic!("no vector of NK"),
        };
        assert_eq!(answer, self.frame(pattern, 1), "{pattern}: A");
        let (kind, body) = packet(&answer);
        let (caller, payload) = awaiting.receive(kind, &body).unwrap();
        assert!(payload.is_empty());
        (caller, called)
    }

    fn transport(&self, pattern: &str) -> Vec<(bool, Vec<u8>, Vec<u8>)> {
        let messages = self.0.pointer(&format!("/vectors/{pattern}/transport")).and_then(Value::as_array).unwrap();
        messages
            .iter()
            .map(|message| {
                let bytes = |member: &str| unhex(message[member].as_str().unwrap());
                (message["from"] == "initiator", bytes("payload_hex"), bytes("frame_hex"))
            })
            .collect()
    }
}

#[test]
fn identities_follow_from_their_seeds() {
    let vectors = Vectors::load();
    for who in ["initiator", "responder"] {
        let identity = vectors.identity(who);
        assert_eq!(identity.agent().0, vectors.text(&format!("/keys/{who}/agent")));
        assert_eq!(identity.noise_public(), vectors.key(&format!("/keys/{who}/x25519_public")));
        assert_eq!(identity.pair()[..32], vectors.key(&format!("/keys/{who}/x25519_private")));
        assert_eq!(noise_public(identity.agent()).unwrap(), identity.noise_public());
    }
}

/// PROTOCOL appendix C.
#[test]
fn noise_keys_follow_from_agent_ids() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use sha2::{Digest, Sha256};
    let table = [
        (
            "spec agent A",
            "c0rNdSQWCuNySKumc-ht5ZRPKu5M7GqegBFu-jhzlrg",
            Some("hffisAlFRm46K1vMgCzDnL4mmYg3oK-_X6-IirPWCjE"),
        ),
        (
            "spec agent B",
            "rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM",
            Some("PnRFXWusf87gchHsQE7bK7pjSvWsgSwDt0waO45iWhg"),
        ),
        ("spec referee R", "pGf4D6HfgFkxMgW9Llts1uS3nfNNmVyUtyemTUZXXh8", None),
    ];
    for (label, agent, noise) in table {
        let identity = Identity::from_seed(&Sha256::digest(label).into());
        assert_eq!(identity.agent().0, agent, "{label}");
        let public = noise_public(identity.agent()).unwrap();
        assert_eq!(public, identity.noise_public(), "{label}");
        if let Some(noise) = noise {
            assert_eq!(URL_SAFE_NO_PAD.encode(public), noise, "{label}");
        }
    }
}

#[test]
fn every_opening_byte_is_the_references() {
    let vectors = Vectors::load();
    assert_eq!(vectors.dial("IK").0, vectors.frame("IK", 0));
    assert_eq!(vectors.dial("KK").0, [vectors.frame("N", 0), vectors.frame("KK", 0)].concat());
}

#[test]
fn every_opening_packet_of_the_reference_is_read() {
    let vectors = Vectors::load();
    let (initiator, responder) = (vectors.identity("initiator"), vectors.identity("responder"));

    let (kind, body) = packet(&vectors.frame("IK", 0));
    let Opening::Ticket(offered) = Listening::new().receive(&responder, kind, &body).unwrap() else { panic!() };
    assert_eq!(offered.payload(), vectors.payload("IK", 0));
    assert!(offered.proves(initiator.agent()));
    assert!(!offered.proves(responder.agent()));

    let (kind, body) = packet(&vectors.frame("N", 0));
    let Opening::Claim(claim) = Listening::new().receive(&responder, kind, &body).unwrap() else { panic!() };
    assert_eq!(claim.claimed(), initiator.agent());
    let (kind, body) = packet(&vectors.frame("KK", 0));
    let offered = claim.receive(&responder, kind, &body).unwrap();
    assert_eq!(offered.payload(), vectors.payload("KK", 0));
    assert_eq!(offered.agent(), initiator.agent());
}

#[test]
fn handshake_hashes_and_split_keys_are_the_references() {
    let vectors = Vectors::load();
    let (initiator, responder) = (vectors.identity("initiator"), vectors.identity("responder"));
    for (name, pattern) in [("N", Pattern::N), ("IK", Pattern::IK), ("KK", Pattern::KK)] {
        let at = |member: &str| format!("/vectors/{name}/{member}");
        let own = (name != "N").then_some(&initiator);
        let ephemeral = vectors.ephemeral(name, "initiator");
        let mut caller = noise::initiate(pattern, own, &responder.noise_public(), ephemeral).unwrap();
        let answers = if name == "N" { Ephemeral::Fresh } else { vectors.ephemeral(name, "responder") };
        let known = (name == "KK").then(|| initiator.noise_public());
        let mut called = noise::respond(pattern, &responder, known.as_ref(), answers).unwrap();
        let before = vectors.bytes(&at("initial_h_after_premessages"));
        assert_eq!((caller.get_handshake_hash(), called.get_handshake_hash()), (&*before, &*before), "{name}");

        let count = vectors.0.pointer(&at("messages")).and_then(Value::as_array).unwrap().len();
        for n in 0..count {
            let payload = vectors.payload(name, n);
            let (writer, reader) = if n == 0 { (&mut caller, &mut called) } else { (&mut called, &mut caller) };
            let mut sent = [0; 1000];
            let length = writer.write_message(&payload, &mut sent).unwrap();
            assert_eq!(sent[..length], vectors.bytes(&at(&format!("messages/{n}/noise_message_hex"))), "{name} {n}");
            assert_eq!(noise::read(reader, Kind::A, &sent[..length]).unwrap(), payload, "{name} {n}");
            let hash = vectors.bytes(&at(&format!("messages/{n}/handshake_hash_after")));
            assert_eq!((writer.get_handshake_hash(), reader.get_handshake_hash()), (&*hash, &*hash), "{name} {n}");
        }
        assert_eq!(caller.get_handshake_hash(), vectors.bytes(&at("handshake_hash")), "{name}");
        let keys = (
            vectors.key(&at("split_noise_spec/k1_initiator_to_responder")),
            vectors.key(&at("split_noise_spec/k2_responder_to_initiator")),
        );
        assert_eq!(caller.dangerously_get_raw_split(), keys, "{name}");
        assert_eq!(called.dangerously_get_raw_split(), keys, "{name}");
    }
}

#[test]
fn messages_in_the_exchanged_order_are_the_references() {
    let vectors = Vectors::load();
    for pattern in ["IK", "KK"] {
        let (mut caller, mut called) = vectors.open(pattern);
        caller.settle(KeyOrder::Exchanged);
        assert_eq!(called.order(), None, "the called side has to learn it");
        for (from_initiator, payload, frame) in vectors.transport(pattern) {
            let (writer, reader) = if from_initiator { (&mut caller, &mut called) } else { (&mut called, &mut caller) };
            let mut sealed = Vec::new();
            writer.seal_into(&mut sealed, &payload).unwrap();
            assert_eq!(sealed, frame, "{pattern}");
            let (kind, mut body) = packet(&frame);
            assert_eq!(kind, Kind::T);
            assert_eq!(reader.open_in_place(&mut body).unwrap(), payload, "{pattern}");
        }
        assert_eq!(called.order(), Some(KeyOrder::Exchanged), "{pattern}");
    }
}

/// In the Noise order each side uses the key that in the reference's order the other one has, so
/// the reference's ciphertexts must appear with the sides exchanged.
#[test]
fn messages_in_the_noise_order_are_the_references_from_the_other_side() {
    let vectors = Vectors::load();
    for pattern in ["IK", "KK"] {
        let (mut caller, mut called) = vectors.open(pattern);
        called.settle(KeyOrder::Noise);
        for (from_initiator, payload, frame) in vectors.transport(pattern) {
            let (writer, reader) = if from_initiator { (&mut called, &mut caller) } else { (&mut caller, &mut called) };
            let mut sealed = Vec::new();
            writer.seal_into(&mut sealed, &payload).unwrap();
            assert_eq!(sealed, frame, "{pattern}");
            let (_, mut body) = packet(&frame);
            assert_eq!(reader.open_in_place(&mut body).unwrap(), payload, "{pattern}");
        }
    }
}

#[test]
fn unencrypted_packets_are_refused() {
    let vectors = Vectors::load();
    let responder = vectors.identity("responder");
    let frames = vectors.0["raw_mode_frames"].as_array().unwrap();
    assert_eq!(frames.len(), 5);
    for frame in frames {
        let (kind, mut body) = packet(&unhex(frame["frame_hex"].as_str().unwrap()));
        let error = match kind {
            Kind::I | Kind::N => Listening::new().receive(&responder, kind, &body).map(drop).unwrap_err(),
            Kind::K => {
                let (n, claim) = packet(&vectors.frame("N", 0));
                let Opening::Claim(claim) = Listening::new().receive(&responder, n, &claim).unwrap() else { panic!() };
                claim.receive(&responder, kind, &body).map(drop).unwrap_err()
            }
            Kind::A => vectors.dial("KK").1.receive(kind, &body).map(drop).unwrap_err(),
            Kind::T => vectors.open("KK").1.open_in_place(&mut body).map(drop).unwrap_err(),
            other => panic!("{other}"),
        };
        assert!(matches!(error, WireError::Handshake(_) | WireError::Transport), "{kind}: {error}");
        assert!(error.closes() && error.is_peers_fault());
    }
}

#[test]
fn frames_that_must_fail_do() {
    let vectors = Vectors::load();
    let responder = vectors.identity("responder");
    let must_fail = vectors.0["must_fail"].as_object().unwrap();
    assert_eq!(must_fail.len(), 8);
    for (name, frame) in must_fail {
        let (kind, body) = packet(&unhex(frame.as_str().unwrap()));
        let error = match kind {
            Kind::I | Kind::N => Listening::new().receive(&responder, kind, &body).map(drop).unwrap_err(),
            Kind::K => {
                let (n, claim) = packet(&vectors.frame("N", 0));
                let Opening::Claim(claim) = Listening::new().receive(&responder, n, &claim).unwrap() else { panic!() };
                claim.receive(&responder, kind, &body).map(drop).unwrap_err()
            }
            Kind::A => {
                for pattern in ["IK", "KK"] {
                    assert!(vectors.dial(pattern).1.receive(kind, &body).is_err(), "{name} {pattern}");
                }
                vectors.dial("KK").1.receive(kind, &body).map(drop).unwrap_err()
            }
            other => panic!("{name}: {other}"),
        };
        assert_eq!(error, WireError::Handshake(kind), "{name}");
    }
}

#[test]
fn agent_ids_that_are_no_keys_are_refused() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let point = |hex: &str| URL_SAFE_NO_PAD.encode(unhex(hex));
    let no_keys = [
        ("empty", String::new()),
        ("too short", "c0rNdSQWCuNySKumc-ht5ZRPKu5M7GqegBFu-jhzlr".to_owned()),
        ("not base64url", "c0rNdSQWCuNySKumc+ht5ZRPKu5M7GqegBFu+jhzlrg".to_owned()),
        ("a second id of one key", "c0rNdSQWCuNySKumc-ht5ZRPKu5M7GqegBFu-jhzlrh".to_owned()),
        ("not on the curve", point(&format!("02{}", "00".repeat(31)))),
        ("the neutral point", point(&format!("01{}", "00".repeat(31)))),
        ("order 2", point(&format!("ec{}7f", "ff".repeat(30)))),
        ("order 4", point(&"00".repeat(32))),
        ("order 8", point("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")),
        ("zero in a second encoding", point(&format!("ed{}7f", "ff".repeat(30)))),
        // y = 3 is on the curve and of large order; p + 3 is the same point written otherwise.
        ("three in a second encoding", point(&format!("f0{}7f", "ff".repeat(30)))),
    ];
    for (what, agent) in no_keys {
        assert_eq!(noise_public(&AgentId(agent)), Err(WireError::AgentId), "{what}");
    }
    assert!(noise_public(&AgentId(point(&format!("03{}", "00".repeat(31))))).is_ok(), "three as it should be");
}
