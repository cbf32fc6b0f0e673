#![allow(clippy::unwrap_used)]
//! Tests of the wire as a whole.

mod called_host;
mod connections;
mod envelopes;
mod extensions;
mod frames;
mod mutations;
mod roundtrips;
mod vectors;
mod wellformed;

use super::frame::{FrameReader, Kind};
use super::keys::Identity;
use tallyho_plugin::record::{AgentId, Chad};

fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len()).step_by(2).map(|n| u8::from_str_radix(&text[n..n + 2], 16).unwrap()).collect()
}

fn alice() -> Identity {
    Identity::from_seed(&[1; 32])
}

fn bob() -> Identity {
    Identity::from_seed(&[2; 32])
}

fn address(cuid: &str, agent: &AgentId) -> Chad {
    Chad { cuid: Some(cuid.to_owned()), agent: agent.clone(), host: Some("localhost".to_owned()), port: Some(65434) }
}

/// All packets of whole frames.
fn packets(frames: &[u8]) -> Vec<(Kind, Vec<u8>)> {
    let mut bytes = frames.to_vec();
    let mut reader = FrameReader::new();
    let mut packets = reader.packets(&mut bytes);
    let mut found = Vec::new();
    while let Some(packet) = packets.next().unwrap() {
        found.push((packet.kind, packet.body.to_vec()));
    }
    assert_eq!(packets.remaining(), 0, "frames are whole");
    found
}

/// The one packet of one whole frame.
fn packet(frame: &[u8]) -> (Kind, Vec<u8>) {
    let mut found = packets(frame);
    assert_eq!(found.len(), 1);
    found.remove(0)
}

/// Fixed-seed pseudo-random numbers, so that a failure repeats.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}
