//! Channels opened and closed: a new connection, N, K with an offer of extensions, A, both sides in this
//! process. Against snow doing the same cryptography (N and KK, both sides) in memory.
//!
//! What counts is the processor time of the whole process, so the figure is per processor.

use crate::client::dial;
use crate::figures::{Duel, Effort, Wanted, processor_seconds};
use crate::noop::NoStore;
use crate::responder::{Responder, peer, responder};
use snow::resolvers::{DefaultResolver, FallbackResolver, RingResolver};
use snow::{Builder, HandshakeState};
use std::thread;
use std::time::Duration;
use tallyho::wire::Extensions;

/// Threads that dial, so that the site always has something to do.
const DIALLERS: u32 = 2;

pub fn measure(effort: Effort) {
    let (handshakes, rounds) = effort.choose((20, 1), (500, 25));
    let site = responder(Box::new(NoStore), (0..DIALLERS).map(|number| peer(number).agent().clone()));
    let duel = Duel::fight(
        rounds,
        || f64::from(handshakes) / processor_seconds(|| open_and_close(&site, handshakes)),
        || f64::from(handshakes) / processor_seconds(|| bare(handshakes)),
    );
    duel.report(effort, "handshakes", "/s of processor", Wanted::AtLeast(0.6));
}

fn open_and_close(site: &Responder, handshakes: u32) {
    thread::scope(|scope| {
        for number in 0..DIALLERS {
            scope.spawn(move || {
                let identity = peer(number);
                for _ in 0..handshakes / DIALLERS {
                    drop(dial(&identity, &site.own, Extensions::ALL));
                }
            });
        }
    });
    // Closing is part of it.
    while site.net.channels().count() > 0 {
        thread::sleep(Duration::from_millis(1));
    }
}

/// N and KK with two payloads of about the same size as ours.
fn bare(handshakes: u32) {
    let keys = || builder("N").generate_keypair().expect("there are random bytes");
    let (caller, called) = (keys(), keys());
    let (mut packet, mut payload) = ([0; 1_024], [0; 1_024]);
    let mut pass = |from: &mut HandshakeState, to: &mut HandshakeState, content: &[u8]| {
        let length = from.write_message(content, &mut packet).expect("it can be written");
        to.read_message(&packet[..length], &mut payload).expect("it can be read");
    };
    for _ in 0..handshakes {
        let from = builder("N").remote_public_key(&called.public).expect("a key");
        let to = builder("N").local_private_key(&called.private).expect("a key");
        let mut from = from.build_initiator().expect("complete");
        pass(&mut from, &mut to.build_responder().expect("complete"), &[b'x'; 45]);

        let from = builder("KK").remote_public_key(&called.public).expect("a key");
        let from = from.local_private_key(&caller.private).expect("a key");
        let to = builder("KK").remote_public_key(&caller.public).expect("a key");
        let to = to.local_private_key(&called.private).expect("a key");
        let mut from = from.build_initiator().expect("complete");
        let mut to = to.build_responder().expect("complete");
        pass(&mut from, &mut to, &[b'x'; 250]);
        pass(&mut to, &mut from, &[b'x'; 32]);
        let transport = |state: HandshakeState| state.into_transport_mode().expect("the handshake is done");
        drop((transport(from), transport(to)));
    }
}

fn builder(pattern: &str) -> Builder<'static> {
    let resolver = FallbackResolver::new(Box::new(RingResolver), Box::new(DefaultResolver));
    let name = format!("Noise_{pattern}_25519_ChaChaPoly_BLAKE2b").parse().expect("snow knows it");
    Builder::with_resolver(name, Box::new(resolver))
}
