//! The other site: plain sockets and the wire module, on threads of its own.

use crate::noop::{ACTION, TARGET};
use crate::responder::{PARTNER, TALLY, USER};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use tallyho::wire::handshake::dial_known;
use tallyho::wire::{Encoding, Envelope, Extensions, FrameReader, Identity, Open};
use tallyho_plugin::record::Chad;

/// Opens a channel: N, K with an offer of extensions, A.
pub fn dial(identity: &Identity, to: &Chad, offer: Extensions) -> (TcpStream, Open) {
    let from = Chad::agent(identity.agent().clone());
    let mut greeting = Envelope::new("host", "open", Chad::agent(to.agent.clone()), from);
    greeting.ext = offer.names();
    let mut payload = Vec::new();
    greeting.encode(Encoding::Json, &mut payload).expect("a greeting can be written");
    let (packets, awaiting) = dial_known(identity, &to.agent, &payload).expect("the site's key is good");
    let mut stream = TcpStream::connect(("127.0.0.1", to.port.expect("the site listens"))).expect("the site is there");
    stream.set_nodelay(true).expect("the option is known");
    stream.write_all(&packets).expect("the site reads");
    let mut reader = FrameReader::new();
    let mut buffer = [0; 1_024];
    loop {
        let length = stream.read(&mut buffer).expect("the site answers");
        assert!(length > 0, "the site has closed");
        let mut packets = reader.packets(&mut buffer[..length]);
        if let Some(packet) = packets.next().expect("the answer is a frame") {
            let (open, answer) = awaiting.receive(packet.kind, packet.body).expect("the answer is the site's");
            assert_eq!(offer.in_force(&answer), offer, "the site knows all extensions");
            return (stream, open);
        }
    }
}

/// A message like a chit's, of exactly `length` bytes, whose number can be changed.
pub struct Template {
    bytes: Vec<u8>,
    number: usize,
    encoding: Encoding,
    next: u64,
}

/// The first number: from here on all have the same length.
const FIRST: u64 = 1_000_000;

impl Template {
    pub fn new(identity: &Identity, to: &Chad, encoding: Encoding, length: usize) -> Self {
        let bare = Self::message(identity, to, encoding, "").len();
        // A text's own length takes one byte in CBOR below 24, so let it be longer from the start.
        let mut memo = "m".repeat(length.checked_sub(bare).expect("the message is longer"));
        let bytes = loop {
            let bytes = Self::message(identity, to, encoding, &memo);
            match bytes.len() {
                found if found > length => drop(memo.pop()),
                found => {
                    assert_eq!(found, length, "messages of every length can be made");
                    break bytes;
                }
            }
        };
        let marker = Self::written(encoding, FIRST);
        let number = bytes.windows(marker.len()).position(|window| window == marker).expect("its number is in it");
        Template { bytes, number, encoding, next: FIRST }
    }

    fn message(identity: &Identity, to: &Chad, encoding: Encoding, memo: &str) -> Vec<u8> {
        let chad = |cuid: &str, chad: &Chad| Chad { cuid: Some(cuid.to_owned()), ..chad.clone() };
        let from = Chad { cuid: None, agent: identity.agent().clone(), host: None, port: None };
        let object = json!({
            "chit": "8f6d9e35-9c1c-5b0b-a1f5-2c1a2a3e4f50", "tally": TALLY, "by": "foil", "type": "lift",
            "units": 12_345, "date": "2025-11-22T10:20:30.123Z", "memo": memo,
            "sign": "MEUCIQDq3mXzYk1m2q0wq8Zr0c0q7ZbQvJm0n3v1Q7fJXo1b2wIgQ0Z7r1c9Qk3m2v8n5b7x9z1l3k5j7h9g1f3d5s7a9q",
        });
        let mut envelope = Envelope::new(TARGET, ACTION, chad(USER, to), chad(PARTNER, &from));
        let mut bytes = Vec::new();
        ciborium::into_writer(&object, &mut bytes).expect("a map is CBOR");
        envelope.object = Some(bytes);
        envelope.attempt = Some(1);
        envelope.last = Some("2025-11-22T10:20:30.123Z".to_owned());
        envelope.mid = Some(FIRST);
        let mut message = Vec::new();
        envelope.encode(encoding, &mut message).expect("a message can be written");
        message
    }

    fn written(encoding: Encoding, number: u64) -> Vec<u8> {
        match encoding {
            Encoding::Json => number.to_string().into_bytes(),
            Encoding::Cbor => u32::try_from(number).expect("not so many").to_be_bytes().to_vec(),
        }
    }

    /// The next message.
    pub fn next(&mut self) -> &[u8] {
        let written = Self::written(self.encoding, self.next);
        self.bytes[self.number..self.number + written.len()].copy_from_slice(&written);
        self.next += 1;
        &self.bytes
    }
}
