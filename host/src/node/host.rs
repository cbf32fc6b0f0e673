//! What the site itself does inside an event: signing, and the commands of the pseudo-plugin `host`
//! that change its tables. The commands that only look are in [`super::views`].

use crate::ledger::services::{Host, HostCall};
use crate::site::books::{AddressBook, UserBook};
use crate::site::keys::{KeyRing, SignError};
use crate::site::users::{self, User};
use crate::site::{addresses, tickets};
use crate::store::StoreError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::record::ticket::TicketText;
use tallyho_plugin::record::{AgentId, Chad};
use tallyho_plugin::services::{TicketOrder, host_command};
use tallyho_plugin::Fault;

/// Keys, books and address of the site.
pub struct SiteHost {
    /// All keys.
    pub keys: Arc<KeyRing>,
    /// The site's own address, as it is told to others.
    pub own: Chad,
    /// Who lives here.
    pub users: Arc<UserBook>,
    /// Where agents can be reached.
    pub addresses: Arc<AddressBook>,
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

#[derive(Deserialize)]
struct Token {
    token: String,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    subject: Option<String>,
}

impl Host for SiteHost {
    fn agent(&self) -> &AgentId {
        self.keys.agent_id()
    }

    fn sign_agent(&self, text: &[u8]) -> Vec<u8> {
        self.keys.sign_agent(text).to_vec()
    }

    fn sign_user(&self, user: &str, text: &[u8]) -> Result<Vec<u8>, Fault> {
        self.keys.sign_user(user, text).map_err(|error| match error {
            SignError::NoKey { .. } => Fault::refused(error.to_string())
                .code("custody")
                .fix("sign where the key is, and hand the signature in with --signature"),
            other => Fault::failed(other.to_string()),
        })
    }

    fn command(&self, call: &mut HostCall<'_, '_>, name: &str, argument: &[u8]) -> Result<Vec<u8>, Fault> {
        match name {
            host_command::SITE => to_cbor(&json!({ "agent": self.own.agent, "host": self.own.host, "port": self.own.port })),
            host_command::USER => {
                let Cuid { cuid } = arguments(name, argument)?;
                let user = self.user(call, &cuid)?;
                let cert = user.certificate(&self.own, call.now).map_err(|error| Fault::failed(error.to_string()))?;
                to_cbor(&json!({ "cuid": user.cuid, "custody": user.custody, "cert": cert }))
            }
            host_command::TICKET_ISSUE => self.issue(call, arguments(name, argument)?),
            host_command::TICKET_REVOKE => {
                let Token { token } = arguments(name, argument)?;
                let plugin = caller(call)?;
                match tickets::revoke(call.buffer, &plugin, &token).map_err(store)? {
                    true => to_cbor(&json!({})),
                    false => Err(Fault::not_found(format!("no ticket {token}")).fix("see `tallyho ticket list`")),
                }
            }
            host_command::TICKET_LIST => {
                let Subject { subject } = arguments(name, argument)?;
                let plugin = caller(call)?;
                let listed = tickets::list(call.buffer, &plugin, subject.as_deref()).map_err(store)?;
                to_cbor(&listed)
            }
            "user.put" if call.caller.is_none() => {
                let user: User = arguments(name, argument)?;
                users::put(call.buffer, &user).map_err(store)?;
                self.users.add(user.cuid.clone());
                to_cbor(&user.shown())
            }
            "peer.put" if call.caller.is_none() => {
                let peer: addresses::Address = arguments(name, argument)?;
                addresses::set(call.buffer, &peer, call.now).map_err(store)?;
                to_cbor(&peer)
            }
            _ => Err(Fault::not_found(format!("the host has no command {name}"))),
        }
    }
}

impl SiteHost {
    fn user(&self, call: &mut HostCall<'_, '_>, cuid: &str) -> Result<User, Fault> {
        let user = users::get(call.buffer, cuid).map_err(store)?;
        user.ok_or_else(|| {
            Fault::not_found(format!("no user {cuid} lives here")).fix(format!("make one with `tallyho user add {cuid}`"))
        })
    }

    fn issue(&self, call: &mut HostCall<'_, '_>, order: TicketOrder) -> Result<Vec<u8>, Fault> {
        let plugin = caller(call)?;
        self.user(call, &order.user)?;
        let mut random = [0; 32];
        call.random.fill(&mut random);
        let issued = tickets::issue(call.buffer, &plugin, &order, &random, call.now).map_err(store)?;
        let record = issued.map_err(|error| Fault::usage(error.to_string()))?;
        let chad = Chad { cuid: Some(record.user.clone()), ..self.own.clone() };
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

/// A value as the answer of a command, from CBOR.
pub fn answer(bytes: &[u8]) -> Result<Value, Fault> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    ciborium::from_reader(bytes).map_err(|error| Fault::failed(format!("an answer cannot be read: {error}")))
}
