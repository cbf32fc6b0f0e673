//! Valid frames and messages, damaged at random (with a fixed seed): nothing panics, and what is
//! authenticated never opens when damaged.

use super::{Random, address, alice, bob, packet, packets};
use crate::wire::envelope::{Encoding, Envelope};
use crate::wire::frame::FrameReader;
use crate::wire::handshake::{Listening, Opening, dial_known, dial_public, dial_ticket};
use serde_json::json;

/// Flips, overwrites, removes, inserts or repeats some bytes.
fn mutate(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let mut mutated = bytes.to_vec();
    for _ in 0..=random.below(3) {
        if mutated.is_empty() {
            break;
        }
        let at = random.below(mutated.len());
        match random.below(6) {
            0 => mutated[at] ^= 1 << random.below(8),
            1 => mutated[at] = random.next() as u8,
            2 => drop(mutated.remove(at)),
            3 => mutated.insert(at, random.next() as u8),
            4 => mutated.truncate(at),
            _ => {
                let end = at + random.below(mutated.len() - at).min(20);
                let copy = mutated[at..end].to_vec();
                mutated.splice(at..at, copy);
            }
        }
    }
    mutated
}

fn message() -> Envelope {
    let mut envelope = Envelope::new("chit", "good", address("bob", bob().agent()), address("alice", alice().agent()));
    let object = json!({
        "by": "foil", "memo": "Rye loaf \u{1f35e}", "ref": {"inv": "A-17", "list": [1, -2, 0.05, null, true]},
        "tally": "9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55", "units": 1_234_500
    });
    let mut bytes = Vec::new();
    ciborium::into_writer(&object, &mut bytes).unwrap();
    envelope.object = Some(bytes);
    envelope.ticket = Some(json!({"token": "t", "cert": {"chad": {"cuid": "alice"}}}));
    envelope.ext = vec!["cbor".to_owned()];
    envelope.mid = Some(7);
    envelope
}

#[test]
fn damaged_messages_never_panic_and_what_parses_can_be_sent_on() {
    let mut random = Random(0x5eed);
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut valid = Vec::new();
        message().encode(encoding, &mut valid).unwrap();
        let mut parsed = 0;
        for _ in 0..20_000 {
            let damaged = mutate(&mut random, &valid);
            let Ok(envelope) = Envelope::parse(&damaged) else { continue };
            parsed += 1;
            for encoding in [Encoding::Json, Encoding::Cbor] {
                let mut again = Vec::new();
                envelope.encode(encoding, &mut again).unwrap();
                let mut reread = Envelope::parse(&again).unwrap();
                if encoding == Encoding::Json {
                    // JSON has one form of what CBOR has several.
                    reread.object = envelope.object.clone();
                }
                assert_eq!(reread, envelope);
            }
        }
        assert!((100..19_000).contains(&parsed), "{parsed}: the damage is neither fatal always nor never");
    }
}

#[test]
fn damaged_openings_never_open_a_channel() {
    let mut random = Random(0x5eed);
    let (alice, bob) = (alice(), bob());
    let openings = [
        dial_ticket(&alice, bob.agent(), b"payload").unwrap().0,
        dial_known(&alice, bob.agent(), b"payload").unwrap().0,
        dial_public(bob.agent(), b"payload").unwrap().0,
    ];
    for sent in &openings {
        for _ in 0..300 {
            let mut damaged = mutate(&mut random, sent);
            if damaged.starts_with(sent) {
                continue;
            }
            let mut reader = FrameReader::new();
            let mut packets = reader.packets(&mut damaged);
            let Ok(Some(first)) = packets.next() else { continue };
            let Ok(opening) = Listening::new().receive(&bob, first.kind, first.body) else { continue };
            let Opening::Claim(claim) = opening else { panic!("a damaged packet has opened") };
            // N was whole, so the damage is in K.
            let Ok(Some(second)) = packets.next() else { continue };
            assert!(claim.receive(&bob, second.kind, second.body).is_err());
        }
    }
}

#[test]
fn damaged_transport_packets_never_open() {
    let mut random = Random(0x5eed);
    let (alice, bob) = (alice(), bob());
    let (sent, awaiting) = dial_ticket(&alice, bob.agent(), b"").unwrap();
    let (kind, body) = packets(&sent).remove(0);
    let Opening::Ticket(offered) = Listening::new().receive(&bob, kind, &body).unwrap() else { panic!() };
    let (answer, mut called) = offered.accept(b"").unwrap();
    let (kind, body) = packet(&answer);
    let (mut caller, _) = awaiting.receive(kind, &body).unwrap();
    let mut frame = Vec::new();
    caller.seal_into(&mut frame, b"a message of some length").unwrap();
    for _ in 0..5_000 {
        let mut damaged = mutate(&mut random, &frame[5..]);
        if damaged != frame[5..] {
            // A host would close here; the state must not have moved all the same.
            assert!(called.open_in_place(&mut damaged).is_err());
        }
    }
    assert_eq!(called.open_in_place(&mut frame[5..]).unwrap(), b"a message of some length");
}
