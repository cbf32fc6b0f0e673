//! What the wire costs on this machine: `cargo run --release -p tallyho-tests --example wire_costs`.
//!
//! Each line is the best of several rounds, in nanoseconds for one operation.

use serde_json::json;
use std::hint::black_box;
use std::time::Instant;
use tallyho::wire::frame::{FrameReader, Kind, write_frame};
use tallyho::wire::handshake::{AwaitingA, Listening, Opening, dial_known, dial_public, dial_ticket};
use tallyho::wire::{Encoding, Envelope, Identity, Open, keys};

/// Repetitions per round: enough to make the clock's own cost vanish.
const REPEAT: u32 = 2_000;

/// Rounds: the best one is the least disturbed.
const ROUNDS: u32 = 25;

fn cost(what: &str, operation: impl FnMut()) {
    measure(what, REPEAT, operation);
}

/// The same for what takes microseconds.
fn slow_cost(what: &str, operation: impl FnMut()) {
    measure(what, 50, operation);
}

fn measure(what: &str, repeat: u32, mut operation: impl FnMut()) {
    let mut round = || {
        let start = Instant::now();
        (0..repeat).for_each(|_| operation());
        start.elapsed().as_nanos() / u128::from(repeat)
    };
    let best = (0..ROUNDS).map(|_| round()).min().unwrap_or_default();
    println!("{best:>8} ns  {what}");
}

/// A chit of the usual size.
fn chit(alice: &Identity, bob: &Identity) -> Envelope {
    let chad = |cuid: &str, identity: &Identity, port: u16| json!({"cuid": cuid, "agent": identity.agent(), "host": "localhost", "port": port});
    let message = json!({
        "target": "chit", "action": "good", "to": chad("bob", bob, 65435), "from": chad("alice", alice, 65434),
        "object": {
            "by": "foil", "date": "2021-11-04T09:30:00.500Z", "memo": "Rye loaf", "ref": {"inv": "A-17"},
            "sign": "A".repeat(176), "tally": "9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55", "type": "tran",
            "units": 1_234_500, "uuid": "3f0f7c52-0c2e-4b6b-9d5e-7c8a1b2c3d4e"
        },
        "mid": 123_456
    });
    Envelope::parse(message.to_string().as_bytes()).expect("the message is well-formed")
}

fn main() {
    let (alice, bob) = (Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32]));
    let envelope = chit(&alice, &bob);
    for encoding in [Encoding::Cbor, Encoding::Json] {
        let mut message = Vec::new();
        envelope.encode(encoding, &mut message).expect("the message fits");
        let size = message.len();
        cost(&format!("parse {encoding:?}, {size} bytes"), || drop(black_box(Envelope::parse(black_box(&message)))));
        let mut out = Vec::new();
        cost(&format!("encode {encoding:?}, {size} bytes"), || {
            out.clear();
            black_box(envelope.encode(encoding, &mut out)).expect("the message fits");
        });
    }
    let object = envelope.object.clone().unwrap_or_default();
    cost(&format!("check an object of {} bytes", object.len()), || {
        black_box(tallyho::wire::envelope::check_object(black_box(&object))).expect("the object is well-formed");
    });

    let mut frame = Vec::new();
    for size in [100, 600, 60_000] {
        let message = vec![7; size];
        let (mut caller, _) = open(&alice, &bob);
        cost(&format!("seal, {size} bytes"), || {
            frame.clear();
            caller.seal_into(&mut frame, black_box(&message)).expect("the message fits");
        });
        let (mut caller, mut fresh) = open(&alice, &bob);
        let total = (REPEAT * ROUNDS) as usize;
        if size < 1000 {
            let mut sealed = Vec::with_capacity(total);
            for _ in 0..total {
                frame.clear();
                caller.seal_into(&mut frame, &message).expect("the message fits");
                sealed.push(frame[5..].to_vec());
            }
            let mut next = sealed.iter_mut();
            cost(&format!("open, {size} bytes"), || {
                let body = next.next().expect("one for each repetition");
                black_box(fresh.open_in_place(body)).expect("sealed in this order");
            });
        }
    }
    let mut frames = Vec::new();
    write_frame(&mut frames, Kind::T, &[0; 600]).expect("the frame fits");
    cost("take a whole frame from a buffer", || {
        let mut reader = FrameReader::new();
        let mut packets = reader.packets(black_box(&mut frames));
        black_box(packets.next()).expect("the frame is whole");
    });

    slow_cost("Noise key of an agent id", || {
        black_box(keys::noise_public(black_box(bob.agent()))).expect("bob is an agent");
    });
    slow_cost("I and A, both sides", || {
        let (sent, awaiting) = dial_ticket(&alice, bob.agent(), b"{}").expect("bob is an agent");
        black_box(finish(&bob, sent, awaiting));
    });
    slow_cost("N, K and A, both sides", || drop(black_box(open(&alice, &bob))));
    slow_cost("R and A, both sides", || {
        let (sent, awaiting) = dial_public(bob.agent(), b"{}").expect("bob is an agent");
        black_box(finish(&bob, sent, awaiting));
    });
    slow_cost("a garbage I refused", || {
        let refused = Listening::new().receive(&bob, Kind::I, black_box(&[9; 200]));
        assert!(refused.is_err());
    });
    println!("{:>8} bytes  an open channel, and 88 on the heap", size_of::<Open>());
}

fn open(alice: &Identity, bob: &Identity) -> (Open, Open) {
    let (sent, awaiting) = dial_known(alice, bob.agent(), b"{}").expect("bob is an agent");
    finish(bob, sent, awaiting)
}

fn finish(bob: &Identity, mut sent: Vec<u8>, awaiting: AwaitingA) -> (Open, Open) {
    let mut reader = FrameReader::new();
    let mut packets = reader.packets(&mut sent);
    let mut next = || {
        let packet = packets.next().expect("frames are well-formed").expect("frames are whole");
        (packet.kind, packet.body.to_vec())
    };
    let (kind, body) = next();
    let opening = Listening::new().receive(bob, kind, &body).expect("the packet is good");
    let (mut answer, called) = match opening {
        Opening::Ticket(offered) => offered.accept(b""),
        Opening::Public(offered) => offered.accept(b""),
        Opening::Claim(claim) => {
            let (kind, body) = next();
            claim.receive(bob, kind, &body).expect("the packet is good").accept(b"")
        }
    }
    .expect("an empty answer fits");
    let mut reader = FrameReader::new();
    let mut packets = reader.packets(&mut answer);
    let answer = packets.next().expect("frames are well-formed").expect("frames are whole");
    let (caller, _) = awaiting.receive(answer.kind, answer.body).expect("the answer is good");
    (caller, called)
}
