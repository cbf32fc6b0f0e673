//! What the site itself does inside an event: signing, and the commands of the pseudo-plugin `host`
//! that change its tables. The commands that only look are in [`super::views`].

use crate::ledger::host::{Host, HostCall};
use crate::site::addresses::{self, Known, Setting};
use crate::site::books::DEFAULT_PORT;
use crate::site::config::Compat;
use crate::site::endpoint::{Endpoint, is_host};
use crate::site::keys::{KeyRing, SignError};
use crate::site::limits::TOKEN_BYTES;
use crate::site::relations::RelationRegistry;
use crate::site::tickets::{self, OrderError};
use crate::site::users::{self, Custody, User, UserError};
use crate::store::StoreError;
use crate::wire::{Identity, seal};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use tallyho_plugin::Fault;
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::record::keys::PublicKey;
use tallyho_plugin::record::ticket::TicketText;
use tallyho_plugin::record::{AgentId, Chad, base64v};
use tallyho_plugin::services::{CheckKey, TicketOrder, host_command};

/// Who signs for the site.
pub trait Signer: Send + Sync {
    /// The site's agent.
    fn agent(&self) -> &AgentId;
    /// Signs as the agent.
    fn sign_agent(&self, text: &[u8]) -> Vec<u8>;
    /// Signs as a user.
    ///
    /// # Errors
    /// [`SignError`].
    fn sign_user(&self, cuid: &str, text: &[u8]) -> Result<Vec<u8>, SignError>;
    /// Whether this is the key of the user, or of the agent where none is named, and is here to sign with.
    fn holds(&self, _cuid: Option<&str>, _key: &CheckKey) -> bool {
        false
    }
    /// Reads what was sealed for the agent; `None` where it was not.
    fn unseal(&self, prologue: &[u8], sealed: &[u8]) -> Option<Vec<u8>>;
}

impl Signer for KeyRing {
    fn agent(&self) -> &AgentId {
        self.agent_id()
    }
    fn sign_agent(&self, text: &[u8]) -> Vec<u8> {
        KeyRing::sign_agent(self, text).to_vec()
    }
    fn sign_user(&self, cuid: &str, text: &[u8]) -> Result<Vec<u8>, SignError> {
        KeyRing::sign_user(self, cuid, text)
    }
    fn holds(&self, cuid: Option<&str>, key: &CheckKey) -> bool {
        KeyRing::holds(self, cuid, key)
    }
    fn unseal(&self, prologue: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        seal::unseal(&Identity::from_seed(KeyRing::agent(self).seed()), prologue, sealed)
    }
}

/// Keys, books and address of the site.
pub struct SiteHost {
    /// All keys.
    pub keys: Arc<dyn Signer>,
    /// Where others dial.
    pub endpoint: Endpoint,
    /// Who may talk to whom.
    pub relations: Arc<RelationRegistry>,
}

fn arguments<T: DeserializeOwned>(name: &str, argument: &[u8]) -> Result<T, Fault> {
    ciborium::from_reader(argument).map_err(|error| Fault::usage(format!("{name}: arguments do not fit: {error}")))
}

fn store(error: StoreError) -> Fault {
    Fault::host(error.to_string()).code("store")
}

#[derive(Deserialize)]
struct Cuid {
    cuid: String,
}

/// What `user.put` is given.
#[derive(Serialize, Deserialize)]
pub struct NewUser {
    /// Name at this agent.
    pub cuid: String,
    /// Name for people; empty: the cuid.
    pub name: String,
    /// The public key, a JWK.
    pub public: Value,
    /// Who has the private key.
    pub custody: Custody,
}

/// What `peer.put` is given.
#[derive(Deserialize)]
struct NewPeer {
    agent: AgentId,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    compat: Option<String>,
}

/// A host without port, or a port without host, changes only that.
fn setting(known: &Known, host: Option<String>, port: Option<u16>, compat: Option<String>) -> Result<Setting, Fault> {
    let endpoint = if host.is_some() || port.is_some() {
        let before = known.endpoint();
        let host = host.or_else(|| before.map(|before| before.host.clone()));
        let host = host.filter(|host| is_host(host)).ok_or_else(|| {
            Fault::usage("host: a DNS name or an IP address is needed").fix("for example --host chips.example.org")
        })?;
        let port = port.or_else(|| before.map(|before| before.port)).unwrap_or(DEFAULT_PORT);
        Some(Some(Endpoint { host, port }))
    } else {
        None
    };
    let compat = match compat.as_deref() {
        None => None,
        Some("none") => Some(None),
        Some(word) => Some(Some(
            Compat::from_word(word)
                .ok_or_else(|| Fault::usage(format!("compat: {word} is neither mychips-js nor none")))?,
        )),
    };
    Ok(Setting { endpoint, compat })
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

#[derive(Deserialize)]
struct Seal {
    to: AgentId,
    prologue: String,
    text: String,
}

#[derive(Deserialize)]
struct Sealed {
    prologue: String,
    sealed: String,
}

/// Bytes of a text to be sealed: what one Noise message takes, less the seal, in round figures.
const SEALED_BYTES: usize = 60_000;

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    subject: Option<String>,
}

impl Host for SiteHost {
    fn agent(&self) -> &AgentId {
        self.keys.agent()
    }

    fn sign_agent(&self, text: &[u8]) -> Vec<u8> {
        self.keys.sign_agent(text)
    }

    fn sign_user(&self, user: &str, text: &[u8]) -> Result<Vec<u8>, Fault> {
        self.keys.sign_user(user, text).map_err(|error| match error {
            SignError::Elsewhere(_) => Fault::refused(error.to_string())
                .code("custody")
                .fix("sign where the key is, and hand the signature in with --signature"),
            other => Fault::failed(other.to_string()),
        })
    }

    fn holds(&self, user: Option<&str>, key: &CheckKey) -> bool {
        self.keys.holds(user, key)
    }

    fn has_room(&self) -> bool {
        !self.relations.is_full()
    }

    fn command(&self, call: &mut HostCall<'_, '_>, name: &str, argument: &[u8]) -> Result<Vec<u8>, Fault> {
        match name {
            host_command::SITE => {
                let Endpoint { host, port } = &self.endpoint;
                to_cbor(&json!({ "agent": self.agent(), "host": host, "port": port }))
            }
            host_command::USER => {
                let Cuid { cuid } = arguments(name, argument)?;
                let user = self.user(call, &cuid)?;
                let cert = user.certificate(self.agent(), &self.endpoint, call.now);
                let cert = cert.map_err(|error| Fault::failed(error.to_string()))?;
                to_cbor(&json!({ "cuid": user.cuid, "custody": user.custody, "cert": cert.value() }))
            }
            host_command::TICKET_ISSUE => self.issue(call, arguments(name, argument)?),
            host_command::TICKET_REVOKE => {
                let Token { token } = arguments(name, argument)?;
                let plugin = caller(call)?;
                match tickets::revoke(call.buffer, Some(&plugin), &token, call.now).map_err(store)? {
                    true => to_cbor(&json!({})),
                    false => Err(Fault::not_found(format!("no ticket {token}")).fix("see `tallyho ticket list`")),
                }
            }
            host_command::TICKET_LIST => {
                let Subject { subject } = arguments(name, argument)?;
                let plugin = caller(call)?;
                let listed = tickets::list(call.buffer, Some(&plugin), subject.as_deref()).map_err(store)?;
                to_cbor(&listed)
            }
            host_command::SEAL => {
                let Seal { to, prologue, text } = arguments(name, argument)?;
                if text.len() > SEALED_BYTES {
                    let bytes = text.len();
                    return Err(Fault::usage(format!("seal: a text of {bytes} bytes, at most {SEALED_BYTES}")));
                }
                let mut ephemeral = [0; 32];
                call.random.fill(&mut ephemeral);
                let sealed = seal::seal(&to, prologue.as_bytes(), text.as_bytes(), ephemeral);
                let sealed = sealed.map_err(|error| Fault::usage(format!("seal: {error}")))?;
                to_cbor(&json!({ "sealed": base64v::encode(sealed) }))
            }
            host_command::UNSEAL => {
                let Sealed { prologue, sealed } = arguments(name, argument)?;
                let text = base64v::decode(&sealed)
                    .and_then(|sealed| self.keys.unseal(prologue.as_bytes(), &sealed))
                    .and_then(|text| String::from_utf8(text).ok());
                to_cbor(&json!({ "text": text }))
            }
            "user.put" if call.caller.is_none() => {
                let NewUser { cuid, name: shown, public, custody } = arguments(name, argument)?;
                let public = PublicKey::from_jwk(&public).map_err(|error| Fault::usage(format!("public: {error}")))?;
                let added = users::add(call.buffer, &cuid, &shown, &public, custody, call.now);
                let user = added.map_err(|error| match error {
                    UserError::Store(error) => store(error),
                    other => Fault::usage(other.to_string()),
                })?;
                to_cbor(&super::views::shown(&user))
            }
            "peer.put" if call.caller.is_none() => {
                let NewPeer { agent, host, port, compat } = arguments(name, argument)?;
                let known = addresses::get(call.buffer, &agent).map_err(store)?.unwrap_or_default();
                let setting = setting(&known, host, port, compat)?;
                addresses::set(call.buffer, &agent, &setting).map_err(store)?;
                let known = addresses::get(call.buffer, &agent).map_err(store)?.unwrap_or_default();
                let endpoint = known.endpoint();
                let shown = json!({
                    "agent": agent,
                    "host": endpoint.map(|endpoint| &endpoint.host),
                    "port": endpoint.map(|endpoint| endpoint.port),
                    "compat": known.compat(),
                });
                call.released.places.push((agent, known));
                to_cbor(&shown)
            }
            _ => Err(Fault::not_found(format!("the host has no command {name}"))),
        }
    }
}

impl SiteHost {
    fn user(&self, call: &mut HostCall<'_, '_>, cuid: &str) -> Result<User, Fault> {
        let user = users::get(call.buffer, cuid).map_err(store)?;
        user.ok_or_else(|| {
            Fault::not_found(format!("no user {cuid} lives here"))
                .fix(format!("make one with `tallyho user add {cuid}`"))
        })
    }

    fn issue(&self, call: &mut HostCall<'_, '_>, order: TicketOrder) -> Result<Vec<u8>, Fault> {
        let plugin = caller(call)?;
        self.user(call, &order.user)?;
        let mut random = [0; TOKEN_BYTES];
        call.random.fill(&mut random);
        let issued = tickets::issue(call.buffer, &plugin, &order, random, call.now);
        let record = issued.map_err(|error| match error {
            OrderError::Store(error) => store(error),
            other => Fault::usage(other.to_string()),
        })?;
        let Endpoint { host, port } = &self.endpoint;
        let chad = Chad::user(record.user.as_str(), self.agent().clone()).at(host.as_str(), *port);
        let text = TicketText { token: record.token.clone(), chad, expires: record.expires };
        to_cbor(&json!({
            "token": record.token,
            "expires": record.expires,
            "link": text.to_link(),
            "uri": text.to_uri(),
            "invite": text.to_json(),
        }))
    }
}

fn caller(call: &HostCall<'_, '_>) -> Result<String, Fault> {
    call.caller.map(str::to_owned).ok_or_else(|| Fault::usage("only a plugin can do this"))
}
