//! Messages of one connection, one way: from the socket through decryption, parsing, all checks, the
//! ledger's queue and thread to a handler that does nothing.
//!
//! Against a bare loop: snow with ring's cipher, one thread sealing and writing frame by frame, another
//! reading through a buffer and opening. Ours has receipts in force, the ledger's journal is
//! written, and its store keeps nothing.

use crate::client::{Template, dial};
use crate::figures::{Duel, Effort, Wanted, processor_seconds, timed};
use crate::noop::{NoStore, handled};
use crate::responder::{peer, responder};
use snow::resolvers::{DefaultResolver, FallbackResolver, RingResolver};
use snow::{Builder, TransportState};
use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use tallyho::wire::{Extensions, Open};

/// Bytes of a message before it is encrypted.
const MESSAGE: usize = 600;

pub fn measure(effort: Effort) {
    let (messages, rounds) = effort.choose((2_000, 1), (50_000, 25));
    let wanted = Wanted::AtLeast(0.3);
    let cbor = || Sender::new(Extensions::ALL);
    let json = || Sender::new(Extensions { cbor: false, ..Extensions::ALL });
    let each = "one a write";
    let by_clock = |work: &mut dyn FnMut()| timed(work).as_secs_f64();
    let by_processor = |work: &mut dyn FnMut()| processor_seconds(work);
    let clock = |sender: &mut Sender| duel(messages, rounds, sender, by_clock);
    let processor = |sender: &mut Sender| duel(messages, rounds, sender, by_processor);
    clock(&mut cbor().by_frame()).report(effort, &format!("messages, CBOR, {each}"), "/s", wanted);
    clock(&mut json().by_frame()).report(effort, "messages, JSON, the same", "/s", Wanted::Told);
    clock(&mut cbor()).report(effort, "messages, CBOR, 32 a write", "/s", Wanted::Told);
    // A site has three threads to the bare loop's two, and so gets more of a busy machine.
    let unit = "/s of processor";
    processor(&mut cbor().by_frame()).report(effort, "messages, CBOR, sender included", unit, Wanted::Told);
    processor(&mut json().by_frame()).report(effort, "messages, JSON, the same", unit, Wanted::Told);
}

fn duel(messages: u64, rounds: usize, sender: &mut Sender, seconds: impl Fn(&mut dyn FnMut()) -> f64) -> Duel {
    let mut bare = Bare::new();
    let rate = |seconds: f64| messages as f64 / seconds;
    Duel::fight(rounds, || rate(seconds(&mut || sender.send(messages))), || rate(seconds(&mut || bare.send(messages))))
}

/// A site, and a peer that sends.
struct Sender {
    _site: crate::responder::Responder,
    stream: TcpStream,
    open: Open,
    template: Template,
    /// Messages sealed for one write to the socket.
    together: usize,
}

impl Sender {
    fn new(extensions: Extensions) -> Self {
        let identity = peer(1);
        let site = responder(Box::new(NoStore), [identity.agent().clone()]);
        let (stream, open) = dial(&identity, &site.own, extensions);
        let template = Template::new(&identity, &site.own, extensions.encoding(), MESSAGE);
        // Receipts come back; they are taken off the socket, as a peer would do.
        let mut back = stream.try_clone().expect("a socket has two handles");
        thread::spawn(move || while matches!(back.read(&mut [0; 4_096]), Ok(1..)) {});
        Sender { _site: site, stream, open, template, together: 32 }
    }

    fn by_frame(mut self) -> Self {
        self.together = 1;
        self
    }

    /// Sends so many, and waits until the handler has had all of them.
    fn send(&mut self, messages: u64) {
        let Sender { stream, open, template, together, .. } = self;
        handled().wait_for(messages, || {
            let mut sealed = Vec::new();
            for number in 1..=messages {
                open.seal_into(&mut sealed, template.next()).expect("a message can be sealed");
                if number % *together as u64 == 0 || number == messages {
                    stream.write_all(&sealed).expect("the site reads");
                    sealed.clear();
                }
            }
        });
    }
}

/// Snow and a socket, nothing else.
struct Bare {
    writer: (TransportState, TcpStream),
    reader: Option<(TransportState, BufReader<TcpStream>)>,
}

impl Bare {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let out = TcpStream::connect(address).expect("the listener is there");
        out.set_nodelay(true).expect("the option is known");
        let (stream, _) = listener.accept().expect("somebody has called");
        let (caller, called) = transports();
        Bare { writer: (caller, out), reader: Some((called, BufReader::with_capacity(64 * 1_024, stream))) }
    }

    fn send(&mut self, messages: u64) {
        let (mut transport, mut stream) = self.reader.take().expect("the last reader has come back");
        let reader = thread::spawn(move || {
            let (mut sealed, mut opened) = (vec![0; 65_536], vec![0; 65_536]);
            for _ in 0..messages {
                let mut header = [0; 5];
                stream.read_exact(&mut header).expect("the other side writes");
                let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize - 1;
                stream.read_exact(&mut sealed[..length]).expect("the other side writes");
                let read = transport.read_message(&sealed[..length], &mut opened).expect("it opens");
                assert_eq!(read, MESSAGE);
            }
            (transport, stream)
        });
        let (transport, stream) = &mut self.writer;
        let (message, mut frame) = ([7; MESSAGE], vec![0; 65_536]);
        for _ in 0..messages {
            let length = transport.write_message(&message, &mut frame[5..]).expect("it seals");
            frame[..4].copy_from_slice(&(length as u32 + 1).to_be_bytes());
            frame[4] = b'T';
            stream.write_all(&frame[..5 + length]).expect("the other side reads");
        }
        self.reader = Some(reader.join().expect("the reader ends"));
    }
}

/// Both ends of a channel, from snow alone, with ring's cipher (the faster of the two it offers).
fn transports() -> (TransportState, TransportState) {
    let builder = || {
        let resolver = FallbackResolver::new(Box::new(RingResolver), Box::new(DefaultResolver));
        let name = "Noise_NN_25519_ChaChaPoly_BLAKE2b".parse().expect("snow knows it");
        Builder::with_resolver(name, Box::new(resolver))
    };
    let mut caller = builder().build_initiator().expect("nothing is missing");
    let mut called = builder().build_responder().expect("nothing is missing");
    let (mut packet, mut payload) = ([0; 128], [0; 128]);
    let length = caller.write_message(&[], &mut packet).expect("e");
    called.read_message(&packet[..length], &mut payload).expect("e");
    let length = called.write_message(&[], &mut packet).expect("e, ee");
    caller.read_message(&packet[..length], &mut payload).expect("e, ee");
    let transport = |state: snow::HandshakeState| state.into_transport_mode().expect("the handshake is done");
    (transport(caller), transport(called))
}
