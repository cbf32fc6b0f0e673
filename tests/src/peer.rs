//! A peer made by hand: what another implementation, or an attacker, can do with a socket.
//!
//! Nothing here shares code with the site's network: a [`Peer`] writes the bytes it is told to, from
//! an address of its own (Linux lets a program bind any of 127.0.0.0/8, and strikes count by address).

use crate::site::{PATIENCE, Site};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tallyho::wire::envelope::{Encoding, Envelope};
use tallyho::wire::frame::{FrameReader, Kind};
use tallyho::wire::handshake::{AwaitingA, Listening, Opening, dial_known, dial_public, dial_ticket};
use tallyho::wire::keys::Identity;
use tallyho::wire::transport::{KeyOrder, Open};
use tallyho_plugin::record::cert::NewCertificate;
use tallyho_plugin::record::keys::KeyKind;
use tallyho_plugin::record::signing::{AgentKey, UserKey};
use tallyho_plugin::record::{AgentId, Chad, Timestamp, canonical};

/// One user with an agent of its own.
pub struct Peer {
    identity: Identity,
    key: UserKey,
    cuid: String,
    port: u16,
    source: Ipv4Addr,
    order: KeyOrder,
    cert: Value,
}

impl Peer {
    /// A user at 127.0.0.`host`, with fresh keys.
    ///
    /// # Panics
    /// Without random bytes.
    pub fn at(host: u8, cuid: &str) -> Self {
        let agent = AgentKey::generate().expect("the system has random bytes");
        let key = UserKey::generate(KeyKind::Ed25519).expect("the system has random bytes");
        let identity = Identity::from_seed(agent.seed());
        let source = Ipv4Addr::new(127, 0, 0, host);
        let mut peer =
            Peer { identity, key, cuid: cuid.to_owned(), port: 9, source, order: KeyOrder::Noise, cert: Value::Null };
        peer.cert = peer.new_cert();
        peer
    }

    /// Tells this port as its own, in its certificate and in every message.
    #[must_use]
    pub fn listening_on(mut self, port: u16) -> Self {
        self.port = port;
        self.cert = self.new_cert();
        self
    }

    /// Exchanges the two transport keys, as the JavaScript reference does.
    #[must_use]
    pub fn with_keys_exchanged(mut self) -> Self {
        self.order = KeyOrder::Exchanged;
        self
    }

    fn new_cert(&self) -> Value {
        let chad = Chad::user(self.cuid.as_str(), self.agent().clone()).at(self.source.to_string(), self.port);
        let date = Timestamp(1_700_000_000_000);
        let cert = NewCertificate::person(chad, &self.cuid, self.key.public(), date).build();
        cert.expect("a certificate of a user with all its parts").into_value()
    }

    /// The peer's agent.
    pub fn agent(&self) -> &AgentId {
        self.identity.agent()
    }

    /// Where it comes from.
    pub fn source(&self) -> Ipv4Addr {
        self.source
    }

    /// Its certificate.
    pub fn cert(&self) -> Value {
        self.cert.clone()
    }

    /// Its address.
    pub fn chad(&self) -> Value {
        self.cert["chad"].clone()
    }

    /// Signs a tally's core, as PROTOCOL 4.1 wants it.
    ///
    /// # Panics
    /// Where the record has no canonical form.
    pub fn sign(&self, record: &mut Value, side: &str) {
        let mut core = record.clone();
        core.as_object_mut().expect("a record is an object").remove("sign");
        let text = canonical(&core).expect("a record of this protocol has a canonical form");
        record["sign"][side] = self.sign_text(&text).into();
    }

    /// This peer's signature over a text, as records carry it.
    ///
    /// # Panics
    /// Where the key cannot sign.
    pub fn sign_text(&self, text: &str) -> String {
        let signature = self.key.sign(text.as_bytes()).expect("the key signs");
        tallyho_plugin::record::base64v::encode(signature)
    }

    /// A message from this peer's user.
    pub fn message(&self, to: &Value, target: &str, action: &str, object: Value) -> Value {
        json!({ "target": target, "action": action, "to": to, "from": self.chad(), "object": object })
    }

    /// The presentation of a ticket (PROTOCOL 2.3), as `ticket new --json` prints it.
    pub fn presents(&self, ticket: &Value) -> Value {
        let invite = &ticket["invite"]["invite"];
        json!({
            "target": "tally", "action": "ticket", "to": invite["chad"], "from": self.chad(),
            "ticket": { "token": invite["token"], "cert": self.cert() },
        })
    }

    /// A connection to the site, from this peer's address.
    ///
    /// # Panics
    /// When none can be made.
    pub fn connect(&self, site: &Site) -> Line {
        self.connect_with(site, None)
    }

    /// A connection whose receiving system holds at most so many bytes.
    ///
    /// # Panics
    /// When none can be made.
    pub fn connect_with(&self, site: &Site, receive_buffer: Option<usize>) -> Line {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        if let Some(bytes) = receive_buffer {
            sockopt::set_socket_recv_buffer_size(&socket, bytes).expect("the buffer can be set");
        }
        bind(&socket, &SocketAddrV4::new(self.source, 0)).expect("an address of the loopback network");
        connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, site.port())).expect("the site listens");
        Line::over(TcpStream::from(socket))
    }

    /// The bytes of an opening by ticket, and what the answer is for.
    ///
    /// # Panics
    /// When the message has no room.
    pub fn ticket_opening(&self, site: &Value, message: &Value) -> (Vec<u8>, AwaitingA) {
        let opening = dial_ticket(&self.identity, &agent_of(site), message.to_string().as_bytes());
        opening.expect("the opening packet holds the message")
    }

    /// The bytes of an opening by tally; `first` may be null for none.
    ///
    /// # Panics
    /// When the message has no room.
    pub fn known_opening(&self, site: &Value, first: &Value) -> (Vec<u8>, AwaitingA) {
        let payload = if first.is_null() { String::new() } else { first.to_string() };
        dial_known(&self.identity, &agent_of(site), payload.as_bytes()).expect("the opening packet holds the message")
    }

    /// The bytes of an opening by nobody in particular; `first` may be null for none.
    ///
    /// # Panics
    /// When the message has no room.
    pub fn public_opening(&self, site: &Value, first: &Value) -> (Vec<u8>, AwaitingA) {
        let payload = if first.is_null() { String::new() } else { first.to_string() };
        dial_public(&agent_of(site), payload.as_bytes()).expect("the opening packet holds the message")
    }

    /// Presents a ticket and waits for the answer.
    ///
    /// # Panics
    /// When it is refused.
    pub fn uses(&self, site: &Site, ticket: &Value) -> Channel {
        self.opens(site, &self.presents(ticket))
    }

    /// Opens with this message, by ticket where it is one.
    ///
    /// # Panics
    /// When it is refused.
    pub fn opens(&self, site: &Site, first: &Value) -> Channel {
        self.try_open(site, first).unwrap_or_else(|| panic!("no answer: {}", site.log()))
    }

    /// Opens with this message; `None` where the site closes.
    pub fn try_open(&self, site: &Site, first: &Value) -> Option<Channel> {
        self.open_on(self.connect(site), &own(site), first)
    }

    /// Opens over this connection; `None` where the site closes.
    pub fn open_on(&self, mut line: Line, site: &Value, first: &Value) -> Option<Channel> {
        let (bytes, awaiting) = match first["action"] == "ticket" {
            true => self.ticket_opening(site, first),
            false => self.known_opening(site, first),
        };
        line.send(&bytes);
        let (kind, body) = line.packet()?;
        let (mut open, answer) = awaiting.receive(kind, &body).expect("the answer is the site's");
        open.settle(self.order);
        Some(Channel { line, open, answer, cbor: false })
    }

    /// Opens with what hosts of ours offer each other beyond the protocol.
    ///
    /// # Panics
    /// When it is refused.
    pub fn opens_extended(&self, site: &Site) -> Channel {
        let mut greeting = self.message(&own(site), "host", "open", Value::Null);
        greeting["ext"] = json!(["cbor", "receipt"]);
        let channel = self.opens(site, &greeting);
        assert_eq!(serde_json::from_slice::<Value>(&channel.answer).expect("JSON")["ext"], json!(["cbor", "receipt"]));
        Channel { cbor: true, ..channel }
    }

    /// Takes the next call at this listener; the channel and the opening message.
    ///
    /// # Panics
    /// When none comes, or not from the site.
    pub fn takes(&self, listener: &TcpListener, answer: &[u8]) -> (Channel, Value) {
        let mut line = accept(listener);
        let (kind, body) = line.packet().expect("an opening packet");
        let Opening::Claim(claim) = Listening::new().receive(&self.identity, kind, &body).expect("it opens") else {
            panic!("a site with a relation opens with N");
        };
        let (kind, body) = line.packet().expect("K follows N");
        let offered = claim.receive(&self.identity, kind, &body).expect("it opens");
        let first = serde_json::from_slice(offered.payload()).unwrap_or_default();
        let (bytes, mut open) = offered.accept(answer).expect("it can be answered");
        open.settle(self.order);
        line.send(&bytes);
        (Channel { line, open, answer: Vec::new(), cbor: !answer.is_empty() }, first)
    }
}

/// The site's own address.
pub fn own(site: &Site) -> Value {
    let status = site.command(&["status"]);
    json!({ "agent": status["agent"], "host": "127.0.0.1", "port": site.port() })
}

fn agent_of(site: &Value) -> AgentId {
    AgentId(site["agent"].as_str().expect("a site has an agent").to_owned())
}

/// The next connection.
///
/// # Panics
/// When none comes.
pub fn accept(listener: &TcpListener) -> Line {
    listener.set_nonblocking(true).expect("a listener can be asked");
    let begun = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).expect("a socket can be set");
                return Line::over(stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && begun.elapsed() < PATIENCE => {
                std::thread::sleep(std::time::Duration::from_millis(5)); // between two looks
            }
            Err(error) => panic!("nobody calls: {error}"),
        }
    }
}

/// A connection that speaks in packets.
pub struct Line {
    /// The socket.
    pub stream: TcpStream,
    reader: FrameReader,
}

impl Line {
    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket can be set");
        stream.set_nodelay(true).expect("a socket can be set");
        Line { stream, reader: FrameReader::new() }
    }

    /// Writes all of it, as far as the other side takes it.
    pub fn send(&mut self, bytes: &[u8]) {
        // Who closes on what has come so far need not take the rest.
        let _ = self.stream.write_all(bytes);
    }

    /// The next packet; `None` where the site closes.
    ///
    /// # Panics
    /// When neither comes to pass.
    pub fn packet(&mut self) -> Option<(Kind, Vec<u8>)> {
        let mut buffer = [0; 65_536];
        let mut received: &mut [u8] = &mut [];
        loop {
            if let Some(packet) = self.reader.packets(received).next().expect("frames of a site are well formed") {
                return Some((packet.kind, packet.body.to_vec()));
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(length) => received = &mut buffer[..length],
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("neither a packet nor an end: {error}"),
            }
        }
    }

    /// How many bytes come until the site closes.
    ///
    /// # Panics
    /// When it does not close.
    pub fn bytes_until_closed(&mut self) -> usize {
        let (mut total, mut buffer) = (self.reader.held(), [0; 4_096]);
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return total,
                Ok(length) => total += length,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return total,
                Err(error) => panic!("the site does not close: {error}"),
            }
        }
    }
}

/// An open channel.
pub struct Channel {
    /// The connection.
    pub line: Line,
    /// Its keys.
    pub open: Open,
    /// The payload of `A`.
    pub answer: Vec<u8>,
    /// Whether it writes CBOR.
    pub cbor: bool,
}

impl Channel {
    /// Sends a message.
    ///
    /// # Panics
    /// When it has no room.
    pub fn says(&mut self, message: &Value) {
        let mut bytes = message.to_string().into_bytes();
        if self.cbor {
            let envelope = Envelope::parse(&bytes).expect("a message of this protocol");
            bytes.clear();
            envelope.encode(Encoding::Cbor, &mut bytes).expect("it has room");
        }
        self.says_bytes(&bytes);
    }

    /// Sends any bytes as a message.
    ///
    /// # Panics
    /// When they have no room.
    pub fn says_bytes(&mut self, message: &[u8]) {
        let mut frame = Vec::new();
        self.open.seal_into(&mut frame, message).expect("it has room");
        self.line.send(&frame);
    }

    /// The next message, and whether it came as CBOR; `None` where the site closes.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn hears_any(&mut self) -> Option<(Value, bool)> {
        let (kind, mut body) = self.line.packet()?;
        assert_eq!(kind, Kind::T);
        let message = self.open.open_in_place(&mut body).expect("a site's messages open");
        Some(match message.first() {
            Some(b'{') => (serde_json::from_slice(message).expect("JSON"), false),
            _ => (ciborium::from_reader(&*message).expect("CBOR"), true),
        })
    }

    /// The next message of this target and action; others are passed over.
    ///
    /// # Panics
    /// When it does not come.
    pub fn hears(&mut self, target: &str, action: &str) -> Value {
        loop {
            let (message, _) = self.hears_any().unwrap_or_else(|| panic!("closed before {target}/{action}"));
            if message["target"] == target && message["action"] == action {
                return message;
            }
        }
    }

    /// Whether the site handles what comes over this channel: a message that goes nowhere, and its
    /// receipt. For channels with receipts.
    ///
    /// # Panics
    /// When it does not.
    pub fn is_served(&mut self, peer: &Peer, site: &Value) {
        let mut probe = peer.message(site, "nobody.here", "probe", json!({}));
        let mid = next_mid();
        probe["mid"] = mid.into();
        self.says(&probe);
        while self.hears("host", "receipt")["object"]["upto"].as_u64().expect("a number") < mid {}
    }

    /// Whether the site has closed the channel, without another message.
    ///
    /// # Panics
    /// When it does not close it.
    pub fn is_closed(&mut self) -> bool {
        self.line.packet().is_none()
    }
}

/// A message id above all before.
pub fn next_mid() -> u64 {
    static MID: AtomicU64 = AtomicU64::new(1_000);
    MID.fetch_add(1, Ordering::Relaxed)
}
