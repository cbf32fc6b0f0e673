//! Restricted channels made by hand (PROTOCOL 1.5, `R`): strangers who ask a site, and one whom a site asks.

use crate::peer::{Channel, Peer, accept, own};
use crate::site::Site;
use serde_json::{Value, json};
use std::net::TcpListener;
use tallyho::wire::handshake::{Listening, Opening};
use tallyho::wire::keys::Identity;
use tallyho::wire::transport::KeyOrder;
use tallyho_plugin::record::signing::AgentKey;
use tallyho_plugin::record::{base64v, canonical};

/// Opens a restricted channel to the site with this message, null for none; `None` where the site closes.
///
/// # Panics
/// When the message has no room.
pub fn opens(peer: &Peer, site: &Site, address: &Value, first: &Value) -> Option<Channel> {
    let (bytes, awaiting) = peer.public_opening(address, first);
    let mut line = peer.connect(site);
    line.send(&bytes);
    let (kind, body) = line.packet()?;
    let (mut open, answer) = awaiting.receive(kind, &body).expect("the answer is the site's");
    open.settle(KeyOrder::Noise);
    assert!(answer.is_empty(), "strangers are offered nothing");
    Some(Channel { line, open, answer, cbor: false })
}

/// Asks the site for `lift/ACTION` as a stranger, over a channel of its own; the object of `lift/status`.
///
/// # Panics
/// When it does not answer.
pub fn asks(peer: &Peer, site: &Site, action: &str, object: &Value) -> Value {
    let address = own(site);
    let message = peer.message(&address, "lift", action, object.clone());
    let mut channel = opens(peer, site, &address, &message).unwrap_or_else(|| panic!("no answer: {}", site.log()));
    channel.hears("lift", "status")["object"].take()
}

/// An agent at a port of its own that nobody has a relation with.
pub struct Asked {
    identity: Identity,
    key: AgentKey,
    listener: TcpListener,
}

impl Asked {
    /// Listens, with a fresh key.
    ///
    /// # Panics
    /// Without random bytes or a free port.
    pub fn listening() -> Self {
        let key = AgentKey::generate().expect("the system has random bytes");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Asked { identity: Identity::from_seed(key.seed()), key, listener }
    }

    /// Its address, as people write it.
    ///
    /// # Panics
    /// Without a port.
    pub fn place(&self) -> String {
        format!("{}@127.0.0.1:{}", self.identity.agent(), self.port())
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().expect("it listens").port()
    }

    /// Takes the next call, which must be a stranger's; the channel and the opening message.
    ///
    /// # Panics
    /// When none comes, or of another kind.
    pub fn takes(&self) -> (Channel, Value) {
        let mut line = accept(&self.listener);
        let (kind, body) = line.packet().expect("an opening packet");
        let Opening::Public(offered) = Listening::new().receive(&self.identity, kind, &body).expect("it opens") else {
            panic!("a site without a relation opens with R");
        };
        let first = serde_json::from_slice(offered.payload()).unwrap_or_default();
        let (bytes, mut open) = offered.accept(&[]).expect("it can be answered");
        open.settle(KeyOrder::Noise);
        line.send(&bytes);
        (Channel { line, open, answer: Vec::new(), cbor: false }, first)
    }

    /// Takes the next call and closes without a byte.
    pub fn turns_away(&self) {
        let mut line = accept(&self.listener);
        let _ = line.packet();
    }

    /// A message of its own.
    pub fn message(&self, to: &Value, target: &str, action: &str, object: Value) -> Value {
        let from = json!({ "agent": self.identity.agent(), "host": "127.0.0.1", "port": self.port() });
        json!({ "target": target, "action": action, "to": to, "from": from, "object": object })
    }

    /// Its credentials as a referee (PROTOCOL 10.5), dated so.
    ///
    /// # Panics
    /// When they have no canonical form.
    pub fn credentials(&self, date: &str) -> Value {
        let mut credentials = json!({
            "name": "made by hand", "connect": [], "agent": self.identity.agent(), "host": "127.0.0.1",
            "port": self.port(), "date": date,
            "term": { "from": "2021-01-01T00:00:00.000Z", "to": "2999-01-01T00:00:00.000Z" },
        });
        let text = canonical(&credentials).expect("it is made of texts and numbers");
        credentials["sign"] = base64v::encode(self.key.sign(text.as_bytes())).into();
        credentials
    }
}
