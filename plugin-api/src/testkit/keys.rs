//! The keys of a site in memory: its agent's and its users'.

use super::dice;
use crate::Fault;
use crate::record::{AgentId, Chad, Timestamp};
use crate::services::{Check, CheckKey, TicketOrder};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An Ed25519 key made from a seed, so that a test sees the same agent each time.
#[derive(Clone)]
pub struct UserKey(Arc<Ed25519KeyPair>);

pub(crate) struct User {
    pub name: String,
    pub key: UserKey,
    /// The site holds the private key.
    pub here: bool,
}

pub(crate) struct Keys {
    pub agent: UserKey,
    pub address: Chad,
    pub users: BTreeMap<String, User>,
}

impl UserKey {
    /// The key of this label, the same each time.
    ///
    /// # Panics
    /// Never: 32 bytes are always an Ed25519 seed.
    #[allow(clippy::expect_used)]
    pub fn of(label: &str) -> Self {
        let seed = dice::digest(&[b"tallyho test key", label.as_bytes()]);
        UserKey(Arc::new(Ed25519KeyPair::from_seed_unchecked(&seed).expect("32 bytes are a seed")))
    }

    /// The JWK that a certificate carries.
    pub fn public(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": self.id() })
    }

    /// The signature over these bytes.
    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.0.sign(text).as_ref().to_vec()
    }

    /// The signature over these bytes in base64url, as records carry it.
    pub fn sign_text(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.sign(text.as_bytes()))
    }

    fn id(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.public_key().as_ref())
    }
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
        let agent = UserKey::of(&format!("agent {seed}"));
        let address = Chad {
            cuid: None,
            agent: AgentId(agent.id()),
            host: Some("localhost".to_owned()),
            port: Some(65430 + (seed % 100) as u16),
        };
        Keys { agent, address, users: BTreeMap::new() }
    }

    /// A user's address.
    pub fn chad(&self, cuid: &str) -> Chad {
        Chad { cuid: Some(cuid.to_owned()), ..self.address.clone() }
    }

    pub fn certificate(&self, cuid: &str, user: &User, now: Timestamp) -> Value {
        json!({
            "chad": self.chad(cuid),
            "date": date(now),
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
            Some(user) => Ok(user.key.sign(text)),
        }
    }

    /// The forms of PROTOCOL 2.2.
    pub fn ticket_forms(&self, token: &str, order: &TicketOrder) -> Value {
        let chad = self.chad(&order.user);
        let mut invite = json!({ "token": token, "chad": chad });
        if let Some(expires) = order.expires {
            invite["expires"] = date(expires).into();
        }
        json!({
            "token": token,
            "expires": order.expires,
            "link": "",
            "uri": "",
            "invite": { "invite": invite },
        })
    }
}

/// Whether a signature stands.
pub(crate) fn checks_out(check: &Check) -> bool {
    let public = match &check.key {
        CheckKey::Agent(agent) => agent.0.clone(),
        CheckKey::User(jwk) => {
            let jwk: Value = serde_json::from_str(jwk).unwrap_or_default();
            jwk["x"].as_str().unwrap_or_default().to_owned()
        }
    };
    let (Ok(public), Ok(signature)) = (URL_SAFE_NO_PAD.decode(public), URL_SAFE_NO_PAD.decode(&check.signature)) else {
        return false;
    };
    UnparsedPublicKey::new(&ED25519, public).verify(&check.text, &signature).is_ok()
}

fn date(now: Timestamp) -> String {
    let instant = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(now.0) * 1_000_000)
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        instant.year(),
        u8::from(instant.month()),
        instant.day(),
        instant.hour(),
        instant.minute(),
        instant.second(),
        instant.millisecond()
    )
}
