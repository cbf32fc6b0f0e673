//! Both ends of a connection in memory, with lost, torn and duplicated bytes.

use super::called_host::{Called, CalledHost};
use super::{Random, address, alice, bob, packet, packets};
use crate::wire::envelope::{Envelope, authenticate, unproven};
use crate::wire::error::WireError;
use crate::wire::frame::{Kind, Packet};
use crate::wire::handshake::{
    AwaitingA, Listening, Opening, ReplayMemory, dial_known, dial_public, dial_ticket, opening_ephemeral,
};
use crate::wire::keys::Identity;
use crate::wire::limits::{MAX_ANSWER, MAX_MESSAGE, MAX_OPENING_MESSAGE};
use crate::wire::transport::{KeyOrder, Open};
use crate::wire::{Encoding, Extensions};

type Dial = fn(&[u8]) -> (Vec<u8>, AwaitingA);

const DIALS: [(&str, Dial); 3] = [
    ("I", |payload| dial_ticket(&alice(), bob().agent(), payload).unwrap()),
    ("N+K", |payload| dial_known(&alice(), bob().agent(), payload).unwrap()),
    ("R", |payload| dial_public(bob().agent(), payload).unwrap()),
];

fn connected(dial: Dial) -> (Open, CalledHost) {
    let (sent, awaiting) = dial(b"first");
    let mut called = CalledHost::new(b"");
    let (kind, body) = packet(&called.receive(&sent));
    (awaiting.receive(kind, &body).unwrap().0, called)
}

#[test]
fn each_way_of_opening_carries_payloads_both_ways_and_then_messages() {
    for (name, dial) in DIALS {
        for (payload, answer) in
            [(&b""[..], &b""[..]), (b"first", b"{\"ext\":[],\"v\":1}"), (&[9; 60_000], &[8; 60_000])]
        {
            let (sent, awaiting) = dial(payload);
            let mut called = CalledHost::new(answer);
            // Torn into pieces of one to a few bytes.
            let mut random = Random(42);
            let mut rest = &sent[..];
            let mut written = Vec::new();
            while !rest.is_empty() {
                let most = if sent.len() > 1000 { 2000 } else { 5 };
                let (piece, next) = rest.split_at((1 + random.below(most)).min(rest.len()));
                written.extend(called.receive(piece));
                rest = next;
            }
            assert_eq!(called.opening.as_deref(), Some(payload), "{name}");
            let (kind, body) = packet(&written);
            let (mut caller, received) = awaiting.receive(kind, &body).unwrap();
            assert_eq!(received, answer, "{name}");

            let mut frames = Vec::new();
            for n in 0..5u8 {
                caller.seal_into(&mut frames, &[n; 3]).unwrap();
            }
            called.receive(&frames);
            assert_eq!(called.messages, [[0; 3], [1; 3], [2; 3], [3; 3], [4; 3]], "{name}");
            let mut frames = Vec::new();
            called.open().seal_into(&mut frames, b"back").unwrap();
            let (_, mut body) = packet(&frames);
            assert_eq!(caller.open_in_place(&mut body).unwrap(), b"back", "{name}");
        }
    }
}

#[test]
fn opening_packets_have_the_sizes_of_the_protocol() {
    let sizes = |dial: Dial| packets(&dial(b"").0).into_iter().map(|(_, body)| 5 + body.len()).collect::<Vec<_>>();
    assert_eq!(sizes(DIALS[0].1), [101]);
    assert_eq!(sizes(DIALS[1].1), [98, 53]);
    assert_eq!(sizes(DIALS[2].1), [53]);
    let mut called = CalledHost::new(b"");
    assert_eq!(called.receive(&DIALS[0].1(b"").0).len(), 53);
    let mut frame = Vec::new();
    called.open().seal_into(&mut frame, b"").unwrap();
    assert_eq!(frame.len(), 21);
}

#[test]
fn a_lost_or_duplicated_byte_never_opens_a_channel() {
    for (name, dial) in DIALS {
        let (sent, _) = dial(b"first");
        for at in 0..sent.len() {
            for duplicate in [false, true] {
                let mut damaged = sent.clone();
                if duplicate {
                    damaged.insert(at, sent[at]);
                } else {
                    damaged.remove(at);
                }
                // Where the next byte is the same, another loss or doubling gives the same stream; all
                // that counts is that it differs from what was sent, up to the last byte needed.
                if damaged.starts_with(&sent) {
                    continue;
                }
                let mut called = CalledHost::new(b"");
                let written = called.receive(&damaged);
                assert!(written.is_empty() && called.opening.is_none(), "{name} {at} {duplicate}");
            }
        }
    }
}

#[test]
fn a_lost_doubled_or_exchanged_message_closes_an_open_channel() {
    for (name, dial) in DIALS {
        let orders: [&[usize]; 3] = [&[1, 2], &[0, 0], &[1, 0]];
        for order in orders {
            let (mut caller, mut called) = connected(dial);
            let frames: Vec<Vec<u8>> = (0..3u8)
                .map(|n| {
                    let mut frame = Vec::new();
                    caller.seal_into(&mut frame, &[n]).unwrap();
                    frame
                })
                .collect();
            for n in order {
                called.receive(&frames[*n]);
            }
            assert!(matches!(called.state, Called::Closed(WireError::Transport)), "{name} {order:?}");
            assert!(called.messages.len() <= 1);
        }
    }
}

#[test]
fn a_wrong_kind_closes_every_state_but_open() {
    let bob = bob();
    let (claim, _) = dial_known(&alice(), bob.agent(), b"").unwrap();
    let (_, n) = packets(&claim).remove(0);
    let kinds = [Kind::I, Kind::N, Kind::K, Kind::R, Kind::A, Kind::T, Kind::Other(b'Z')];
    for kind in kinds {
        if !matches!(kind, Kind::I | Kind::N | Kind::R) {
            let error = Listening::new().receive(&bob, kind, &[0; 64]).map(drop).unwrap_err();
            assert_eq!(error, WireError::WrongKind { got: kind, wanted: "I, N or R" });
            assert!(error.closes());
        }
        if kind != Kind::K {
            let Opening::Claim(waiting) = Listening::new().receive(&bob, Kind::N, &n).unwrap() else { panic!() };
            let error = waiting.receive(&bob, kind, &[0; 64]).map(drop).unwrap_err();
            assert_eq!(error, WireError::WrongKind { got: kind, wanted: "K" });
        }
        if kind != Kind::A {
            let (_, waiting) = dial_known(&alice(), bob.agent(), b"").unwrap();
            let error = waiting.receive(kind, &[0; 64]).map(drop).unwrap_err();
            assert_eq!(error, WireError::WrongKind { got: kind, wanted: "A" });
        }
        if kind != Kind::T {
            let (_, mut called) = connected(DIALS[1].1);
            assert_eq!(called.open().receive(Packet { kind, body: &mut [0; 64] }), Ok(None));
        }
    }
}

#[test]
fn a_claim_is_proven_only_by_its_own_key() {
    // Mallory announces alice, and can only sign K with an own key.
    let (bob, mallory) = (bob(), Identity::from_seed(&[66; 32]));
    let (honest, _) = dial_known(&alice(), bob.agent(), b"").unwrap();
    let (forged, _) = dial_known(&mallory, bob.agent(), b"").unwrap();
    let (_, n) = packets(&honest).remove(0);
    let (_, k) = packets(&forged).remove(1);
    let Opening::Claim(claim) = Listening::new().receive(&bob, Kind::N, &n).unwrap() else { panic!() };
    assert_eq!(claim.receive(&bob, Kind::K, &k).map(drop), Err(WireError::Handshake(Kind::K)));
}

#[test]
fn an_announcement_must_be_an_agent_id_in_quotes() {
    use crate::wire::noise::{self, Ephemeral, Pattern};
    let bob = bob();
    let claim = |payload: &[u8]| {
        let mut noise = noise::initiate(Pattern::N, None, &bob.noise_public(), Ephemeral::Fresh).unwrap();
        let mut frame = Vec::new();
        noise::write(&mut noise, Kind::N, payload, 48, &mut frame).unwrap();
        let (kind, body) = packet(&frame);
        Listening::new().receive(&bob, kind, &body).map(drop)
    };
    let good = format!("\"{}\"", alice().agent().0);
    assert_eq!(claim(good.as_bytes()), Ok(()));
    for bad in [
        "",
        "\"\"",
        "null",
        "\"alice@localhost:65430\"",
        &good[1..good.len() - 1],
        &format!("{good}x"),
        "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
    ] {
        assert_eq!(claim(bad.as_bytes()), Err(WireError::Claim), "{bad}");
    }
}

#[test]
fn the_answer_of_another_than_was_dialled_is_refused() {
    let mallory = Identity::from_seed(&[66; 32]);
    let (_, awaiting) = dial_known(&alice(), bob().agent(), b"").unwrap();
    let (to_mallory, _) = dial_known(&alice(), mallory.agent(), b"").unwrap();
    let mut called = CalledHost { identity: mallory, ..CalledHost::new(b"") };
    let (kind, body) = packet(&called.receive(&to_mallory));
    assert_eq!(awaiting.receive(kind, &body).map(drop), Err(WireError::Handshake(Kind::A)));
    assert!(dial_known(&alice(), &tallyho_plugin::record::AgentId("x".to_owned()), b"").is_err());
}

#[test]
fn payloads_are_bounded() {
    for (_, dial) in DIALS {
        let (sent, _) = dial(&vec![7; MAX_OPENING_MESSAGE]);
        let mut called = CalledHost::new(b"");
        called.receive(&sent);
        assert_eq!(called.opening.map(|payload| payload.len()), Some(MAX_OPENING_MESSAGE));
    }
    let too_long = vec![7; MAX_OPENING_MESSAGE + 1];
    let refused = Err(WireError::TooLong { length: 65_440, limit: 65_439 });
    assert_eq!(dial_ticket(&alice(), bob().agent(), &too_long).map(drop), refused);
    assert_eq!(dial_known(&alice(), bob().agent(), &too_long).map(drop), refused);
    assert_eq!(dial_public(bob().agent(), &too_long).map(drop), refused);

    // K leaves more room than I; a peer that uses it is refused.
    use crate::wire::noise::{self, Ephemeral, Pattern};
    let mut noise = noise::initiate(Pattern::NK, None, &bob().noise_public(), Ephemeral::Fresh).unwrap();
    let mut frame = Vec::new();
    noise::write(&mut noise, Kind::R, &too_long, 48, &mut frame).unwrap();
    let mut called = CalledHost::new(b"");
    called.receive(&frame);
    assert!(matches!(called.state, Called::Closed(WireError::OpeningTooLong(65_440))));

    let (sent, _) = DIALS[0].1(b"");
    let mut called = CalledHost::new(&vec![0; MAX_ANSWER + 1]);
    assert!(called.receive(&sent).is_empty());
    assert!(matches!(called.state, Called::Closed(WireError::TooLong { .. })));

    let (mut caller, mut called) = connected(DIALS[0].1);
    let mut frames = b"before".to_vec();
    assert!(caller.seal_into(&mut frames, &vec![1; MAX_MESSAGE + 1]).is_err());
    assert_eq!(frames, b"before");
    frames.clear();
    caller.seal_into(&mut frames, &vec![1; MAX_MESSAGE]).unwrap();
    called.receive(&frames);
    assert_eq!(called.messages, [vec![1; MAX_MESSAGE]], "the refused message has used no number");
}

#[test]
fn a_called_side_that_has_spoken_does_not_change_its_keys() {
    let (mut caller, mut called) = connected(DIALS[1].1);
    assert_eq!(called.open().order(), None);
    let mut frames = Vec::new();
    called.open().seal_into(&mut frames, b"too early for a reference peer").unwrap();
    assert_eq!(called.open().order(), Some(KeyOrder::Noise));
    caller.settle(KeyOrder::Exchanged);
    frames.clear();
    caller.seal_into(&mut frames, b"with a key that was used already").unwrap();
    called.receive(&frames);
    assert!(matches!(called.state, Called::Closed(WireError::Transport)));
}

#[test]
fn the_order_of_keys_can_be_told_beforehand_but_not_changed_later() {
    let (mut caller, mut called) = connected(DIALS[1].1);
    assert_eq!(caller.order(), Some(KeyOrder::Noise));
    caller.settle(KeyOrder::Exchanged);
    called.open().settle(KeyOrder::Exchanged);
    let mut frames = Vec::new();
    called.open().seal_into(&mut frames, b"at once").unwrap();
    let (_, mut body) = packet(&frames);
    assert_eq!(caller.open_in_place(&mut body).unwrap(), b"at once");
    caller.settle(KeyOrder::Noise);
    assert_eq!(caller.order(), Some(KeyOrder::Exchanged));
}

#[test]
fn halves_of_a_channel_learn_from_each_other() {
    let (mut caller, called) = connected(DIALS[1].1);
    caller.settle(KeyOrder::Exchanged);
    let Called::Open(called) = called.state else { panic!() };
    let (mut sealer, mut opener) = called.split();
    let mut frame = Vec::new();
    caller.seal_into(&mut frame, b"hello").unwrap();
    let (_, mut body) = packet(&frame);
    assert_eq!(opener.open_in_place(&mut body).unwrap(), b"hello");
    assert_eq!(sealer.order(), Some(KeyOrder::Exchanged));
    frame.clear();
    sealer.seal_into(&mut frame, b"and back").unwrap();
    let (_, mut body) = packet(&frame);
    assert_eq!(caller.open_in_place(&mut body).unwrap(), b"and back");
}

#[test]
fn an_opening_packet_is_known_when_it_comes_again() {
    let mut memory = ReplayMemory::with_limit(3);
    assert!(memory.is_empty());
    let mut keys = Vec::new();
    for (_, dial) in DIALS {
        let (kind, body) = packets(&dial(b"").0).pop().unwrap();
        let key = opening_ephemeral(kind, &body).unwrap();
        assert!(!memory.knows(&key));
        assert!(memory.remember(key));
        assert!(memory.knows(&key) && !memory.remember(key));
        keys.push(key);
    }
    assert_eq!(memory.len(), 3);
    assert!(memory.remember([0; 32]), "one more");
    assert!(!memory.knows(&keys[0]), "the oldest is out");
    assert!(memory.knows(&keys[1]) && memory.knows(&keys[2]));
    assert_eq!(memory.len(), 3);
    assert_eq!(opening_ephemeral(Kind::T, &[0; 64]), None);
    assert_eq!(opening_ephemeral(Kind::K, &[0; 31]), None);
}

#[test]
fn two_hosts_agree_on_extensions_and_talk_cbor() {
    let (alice, bob) = (alice(), bob());
    let mut opening = Envelope::new("chit", "good", address("bob", bob.agent()), address("alice", alice.agent()));
    opening.object = Some(b"\xa1\x65units\x05".to_vec());
    opening.ext = Extensions::ALL.names();
    opening.mid = Some(1);
    let mut message = Vec::new();
    opening.encode(Encoding::Json, &mut message).unwrap();

    let (sent, awaiting) = dial_known(&alice, bob.agent(), &message).unwrap();
    let mut called = CalledHost::new(b"");
    let read = {
        let (_, k) = packets(&sent).remove(1);
        let Opening::Claim(claim) = Listening::new().receive(&bob, Kind::N, &packets(&sent).remove(0).1).unwrap()
        else {
            panic!()
        };
        Envelope::parse(claim.receive(&bob, Kind::K, &k).unwrap().payload()).unwrap()
    };
    assert_eq!(read, opening);
    let agreed = Extensions::offered(&read).and(Extensions::ALL);
    called.answer = agreed.answer();
    let (kind, body) = packet(&called.receive(&sent));
    let (mut caller, answer) = awaiting.receive(kind, &body).unwrap();
    assert_eq!(Extensions::ALL.in_force(&answer), agreed);

    let mut message = Vec::new();
    opening.ext.clear();
    opening.encode(agreed.encoding(), &mut message).unwrap();
    assert_eq!(Encoding::of(&message), Encoding::Cbor);
    let mut frames = Vec::new();
    caller.seal_into(&mut frames, &message).unwrap();
    called.receive(&frames);
    assert_eq!(Envelope::parse(&called.messages[0]).unwrap(), opening);
}

#[test]
fn only_the_proven_agent_may_stand_in_from_and_only_ours_in_to() {
    let (alice, bob, carol) = (alice(), bob(), Identity::from_seed(&[3; 32]));
    let envelope = Envelope::new("chit", "good", address("bob", bob.agent()), address("alice", alice.agent()));
    let checked = authenticate(envelope.clone(), alice.agent(), bob.agent()).unwrap();
    assert_eq!(checked.action, "good");
    assert_eq!(checked.into_inner(), envelope);
    assert_eq!(authenticate(envelope.clone(), carol.agent(), bob.agent()), Err(WireError::ForgedFrom));
    assert_eq!(authenticate(envelope.clone(), alice.agent(), carol.agent()), Err(WireError::NotForUs));
    assert_eq!(*unproven(envelope.clone(), bob.agent()).unwrap(), envelope);
    assert_eq!(unproven(envelope, carol.agent()), Err(WireError::NotForUs));
    assert!(!WireError::ForgedFrom.closes() && !WireError::NotForUs.closes());
}
