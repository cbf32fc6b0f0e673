//! The keys of a site in memory: its agent's and its users'.

use super::dice;
use crate::Fault;
use crate::record::keys::KeyKind;
use crate::record::signing::{AgentKey, UserKey as Key};
use crate::record::ticket::TicketText;
use crate::record::{Chad, Timestamp, base64v};
use crate::services::TicketOrder;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A user's key, for a test that signs in the user's place.
#[derive(Clone)]
pub struct UserKey(Arc<Key>);

pub(crate) struct User {
    pub name: String,
    pub key: UserKey,
    /// The site holds the private key.
    pub here: bool,
}

pub(crate) struct Keys {
    pub agent: AgentKey,
    pub address: Chad,
    pub users: BTreeMap<String, User>,
}

impl UserKey {
    /// The Ed25519 key of this label, the same each time.
    ///
    /// # Panics
    /// Never: 32 bytes are always an Ed25519 seed.
    #[allow(clippy::expect_used)]
    pub fn of(label: &str) -> Self {
        let seed = dice::digest(&[b"tallyho test key", label.as_bytes()]);
        let id = agent_key(&seed).id().0.clone();
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": id, "d": base64v::encode(seed) });
        UserKey(Arc::new(Key::from_private_jwk(&jwk.to_string()).expect("both parts come from one seed")))
    }

    /// A P-521 key, another each time.
    ///
    /// # Panics
    /// Where the system has no randomness.
    #[allow(clippy::expect_used)]
    pub fn p521() -> Self {
        UserKey(Arc::new(Key::generate(KeyKind::P521).expect("the system has randomness")))
    }

    /// The JWK that a certificate carries.
    pub fn public(&self) -> Value {
        self.0.public_jwk()
    }

    /// The signature over this text in base64url, as records carry it.
    ///
    /// # Panics
    /// Where the cryptographic library fails.
    #[allow(clippy::expect_used)]
    pub fn sign(&self, text: &str) -> String {
        base64v::encode(self.0.sign(text.as_bytes()).expect("the library signs"))
    }
}

/// The agent key of this seed.
#[allow(clippy::expect_used)]
fn agent_key(seed: &[u8; 32]) -> AgentKey {
    AgentKey::from_seed(seed).expect("32 bytes are always an Ed25519 seed")
}

impl User {
    pub fn public(&self) -> Value {
        self.key.public()
    }

    pub fn custody(&self) -> &'static str {
        if self.here { "site" } else { "elsewhere" }
    }
}

impl Keys {
    pub fn of(seed: u64) -> Self {
        let mut keys = Self::of_agent(&dice::digest(&[b"tallyho test agent", &seed.to_le_bytes()]));
        keys.address.port = Some(65430 + (seed % 100) as u16);
        keys
    }

    /// The keys of a site whose agent has the key of this seed.
    pub fn of_agent(seed: &[u8; 32]) -> Self {
        let agent = agent_key(seed);
        let address = Chad::agent(agent.id().clone()).at("localhost", 65430);
        Keys { agent, address, users: BTreeMap::new() }
    }

    /// A user's address.
    pub fn chad(&self, cuid: &str) -> Chad {
        Chad { cuid: Some(cuid.to_owned()), ..self.address.clone() }
    }

    pub fn certificate(&self, cuid: &str, user: &User, now: Timestamp) -> Value {
        json!({
            "chad": self.chad(cuid),
            "date": now.text(),
            "type": "p",
            "name": { "first": user.name, "surname": "Test" },
            "public": user.public(),
        })
    }

    pub fn sign(&self, cuid: &str, text: &[u8]) -> Result<Vec<u8>, Fault> {
        match self.users.get(cuid) {
            None => Err(Fault::refused(format!("no user {cuid} here")).code("no-such-user")),
            Some(user) if !user.here => Err(Fault::refused(format!("the key of {cuid} is kept elsewhere"))
                .code("custody")
                .fix("sign the text there and hand the signature in")),
            Some(user) => user.key.0.sign(text).map_err(|error| Fault::host(error.to_string())),
        }
    }

    /// The forms of PROTOCOL 2.2.
    pub fn ticket_forms(&self, token: &str, order: &TicketOrder) -> Value {
        let text = TicketText { token: token.to_owned(), chad: self.chad(&order.user), expires: order.expires };
        json!({
            "token": token,
            "expires": order.expires,
            "link": text.to_link(),
            "uri": text.to_uri(),
            "invite": text.to_json(),
        })
    }
}
