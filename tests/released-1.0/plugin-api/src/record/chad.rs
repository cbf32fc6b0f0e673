//! CHIP addresses (PROTOCOL 1.1, 1.2).

use super::limits::{DEFAULT_PORT, MAX_CUID, MAX_HOST};
use super::{base64v, integer, uri};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use std::str::FromStr;

/// An agent's id: its 32-byte Ed25519 public key in base64url without padding, 43 characters.
///
/// Reading one with serde does not check it; [`AgentId::parse`] does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentId(pub String);

/// A CHIP address. Two are the same party iff `cuid` and `agent` are equal.
///
/// ```
/// use tallyho_plugin::record::Chad;
/// let bob: Chad = "bob:rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM@localhost:65435".parse().unwrap();
/// let moved: Chad = "chip://bob:rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM@[::1]:65430".parse().unwrap();
/// assert!(bob.same_party(&moved));
/// assert_eq!(moved.host.as_deref(), Some("::1"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chad {
    /// The user's name at its agent; absent in an address of the agent itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cuid: Option<String>,
    /// The agent.
    pub agent: AgentId,
    /// DNS name or IP literal; a hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// 1 to 65535; a hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// What is wrong with an address, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part} {given:?}: expected {expected}")]
pub struct ChadError {
    /// The part at fault: `agent`, `cuid`, `host`, `port` or `address`.
    pub part: &'static str,
    /// What stood there, its first 60 characters.
    pub given: String,
    /// What was expected, with an example.
    pub expected: &'static str,
}

const AN_AGENT: &str =
    "43 characters of base64url, an Ed25519 public key, for example rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM";
const A_CUID: &str = "a user name of 1 to 64 bytes without blanks and without any of : @ / ? #, for example bob";
const A_HOST: &str = "a DNS name or IP address, for example chips.example.org, 192.0.2.7 or [2001:db8::7]";
const A_PORT: &str = "a number from 1 to 65535, for example 65430";
const AN_ADDRESS: &str = "cuid:agent@host:port or a chip:// URI, for example bob:rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM@localhost:65430";
const AN_OBJECT: &str = r#"a JSON object such as {"cuid":"bob","agent":"rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM","host":"localhost","port":65430}"#;

impl AgentId {
    /// Takes a well-formed id.
    ///
    /// # Errors
    /// [`ChadError`] where it is not 43 characters of base64url whose unused trailing bits are zero,
    /// so that one key has one id.
    pub fn parse(text: &str) -> Result<Self, ChadError> {
        match base64v::decode_array::<32>(text) {
            Some(_) => Ok(AgentId(text.to_owned())),
            None => Err(wrong("agent", text, AN_AGENT)),
        }
    }

    /// The id of this Ed25519 public key.
    pub fn from_bytes(key: &[u8; 32]) -> Self {
        AgentId(base64v::encode(key))
    }

    /// The Ed25519 public key.
    ///
    /// # Errors
    /// As for [`AgentId::parse`].
    pub fn to_bytes(&self) -> Result<[u8; 32], ChadError> {
        base64v::decode_array(&self.0).ok_or_else(|| wrong("agent", &self.0, AN_AGENT))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AgentId {
    type Err = ChadError;

    fn from_str(text: &str) -> Result<Self, ChadError> {
        Self::parse(text)
    }
}

/// Checks a user name (PROTOCOL 1.1).
///
/// # Errors
/// [`ChadError`] where it is empty, longer than 64 bytes, or holds a blank, a control character or
/// one of `: @ / ? #`.
pub fn check_cuid(cuid: &str) -> Result<(), ChadError> {
    let fits = (1..=MAX_CUID).contains(&cuid.len())
        && !cuid.contains(|c: char| c.is_whitespace() || c.is_control() || ":@/?#".contains(c));
    if fits { Ok(()) } else { Err(wrong("cuid", cuid, A_CUID)) }
}

impl Chad {
    /// The address of a user at an agent, without saying where the agent is.
    pub fn user(cuid: impl Into<String>, agent: AgentId) -> Self {
        Chad { cuid: Some(cuid.into()), agent, host: None, port: None }
    }

    /// The address of an agent itself.
    pub fn agent(agent: AgentId) -> Self {
        Chad { cuid: None, agent, host: None, port: None }
    }

    /// The same address, to be found at `host:port`.
    #[must_use]
    pub fn at(mut self, host: impl Into<String>, port: u16) -> Self {
        self.host = Some(host.into());
        self.port = Some(port);
        self
    }

    /// The same party: `cuid` and `agent` alone, as limits of tickets and `find` of lifts carry it.
    #[must_use]
    pub fn party(&self) -> Self {
        Chad { host: None, port: None, ..self.clone() }
    }

    /// Whether both name the same user of the same agent; host and port do not matter.
    pub fn same_party(&self, other: &Chad) -> bool {
        self.cuid == other.cuid && self.agent == other.agent
    }

    /// Checks every part that is there.
    ///
    /// # Errors
    /// [`ChadError`] naming the first part that breaks PROTOCOL 1.1.
    pub fn check(&self) -> Result<(), ChadError> {
        self.cuid.as_deref().map_or(Ok(()), check_cuid)?;
        self.agent.to_bytes()?;
        self.host.as_deref().map_or(Ok(()), check_host)?;
        if self.port == Some(0) { Err(wrong("port", "0", A_PORT)) } else { Ok(()) }
    }

    /// Reads the JSON form of a record: all parts checked; `addr` and unknown members ignored, and
    /// nulls taken as absent.
    ///
    /// # Errors
    /// [`ChadError`] naming the first part that breaks PROTOCOL 1.1.
    pub fn from_value(value: &Value) -> Result<Self, ChadError> {
        Self::from_members(members_of(value)?, &["cuid"])
    }

    /// Reads the JSON form of unsigned data from outside (tickets, links, invoices), where older
    /// writers say `cid` for `cuid` (PROTOCOL 1.1). Never for anything signed.
    ///
    /// # Errors
    /// As for [`Chad::from_value`].
    pub fn from_external(value: &Value) -> Result<Self, ChadError> {
        Self::from_members(members_of(value)?, &["cuid", "cid"])
    }

    fn from_members(members: &Map<String, Value>, cuid_names: &[&str]) -> Result<Self, ChadError> {
        let cuid = cuid_names.iter().find_map(|name| present(members, name));
        let chad = Chad {
            cuid: cuid.map(|value| text_of("cuid", value, A_CUID)).transpose()?,
            agent: match present(members, "agent") {
                Some(value) => AgentId(text_of("agent", value, AN_AGENT)?),
                None => return Err(wrong("agent", "", AN_AGENT)),
            },
            host: present(members, "host").map(|value| text_of("host", value, A_HOST)).transpose()?,
            port: present(members, "port").map(port_of).transpose()?,
        };
        chad.check()?;
        Ok(chad)
    }

    /// The JSON form; absent members are left out.
    pub fn to_value(&self) -> Value {
        let mut members = Map::new();
        if let Some(cuid) = &self.cuid {
            members.insert("cuid".to_owned(), Value::from(cuid.as_str()));
        }
        members.insert("agent".to_owned(), Value::from(self.agent.as_str()));
        if let Some(host) = &self.host {
            members.insert("host".to_owned(), Value::from(host.as_str()));
        }
        if let Some(port) = self.port {
            members.insert("port".to_owned(), Value::from(port));
        }
        Value::Object(members)
    }

    /// The URI form, `chip://` and the text form; with `token`, the ticket form of PROTOCOL 2.2.
    pub fn to_uri(&self, token: Option<&str>) -> String {
        match token {
            Some(token) => format!("chip://{self}?token={}", uri::encode(token)),
            None => format!("chip://{self}"),
        }
    }

    /// Reads the text or URI form, and the query's `token` where it has one (PROTOCOL 1.2). Other
    /// query names are ignored.
    ///
    /// # Errors
    /// [`ChadError`] naming the part at fault.
    pub fn parse_with_token(text: &str) -> Result<(Self, Option<String>), ChadError> {
        let rest = text.strip_prefix("chip://").unwrap_or(text);
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (party, endpoint) = match rest.rsplit_once('@') {
            Some((party, endpoint)) => (party, Some(endpoint)),
            None => (rest, None),
        };
        let (cuid, agent) = match party.rsplit_once(':') {
            Some((cuid, agent)) => (Some(cuid.to_owned()), agent),
            None => (None, party),
        };
        let (host, port) = endpoint.map(parse_endpoint).transpose()?.unwrap_or((None, None));
        let chad = Chad { cuid, agent: AgentId(agent.to_owned()), host, port };
        // A text without any mark of an address is more likely no address than a wrong agent.
        match chad.check() {
            Err(error) if error.part == "agent" && !rest.contains([':', '@']) => {
                return Err(wrong("address", text, AN_ADDRESS));
            }
            checked => checked?,
        }
        let token = uri::pairs(query).find(|(name, _)| *name == "token").map(|(_, value)| {
            uri::decode(value).ok_or_else(|| wrong("address", text, "a percent-encoded token after ?token="))
        });
        Ok((chad, token.transpose()?))
    }
}

impl fmt::Display for Chad {
    /// The text form. Where a host stands without a port, the default port is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(cuid) = &self.cuid {
            write!(f, "{cuid}:")?;
        }
        f.write_str(&self.agent.0)?;
        match &self.host {
            Some(host) if host.contains(':') => write!(f, "@[{host}]:{}", self.port.unwrap_or(DEFAULT_PORT)),
            Some(host) => write!(f, "@{host}:{}", self.port.unwrap_or(DEFAULT_PORT)),
            None => Ok(()),
        }
    }
}

impl FromStr for Chad {
    type Err = ChadError;

    /// Reads the text or URI form; a query is ignored.
    fn from_str(text: &str) -> Result<Self, ChadError> {
        Self::parse_with_token(text).map(|(chad, _)| chad)
    }
}

/// `host:port`, `host`, `[v6]:port`, `[v6]`.
fn parse_endpoint(text: &str) -> Result<(Option<String>, Option<u16>), ChadError> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, after)) => (host, Some(after.strip_prefix(':').ok_or_else(|| wrong("host", text, A_HOST))?)),
        None => match text.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return Err(wrong("host", text, "an IPv6 address in square brackets, for example [2001:db8::7]:65430"));
            }
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    // A number in digits alone: no sign, no blank.
    let port = port
        .map(|text| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|port| digits && *port != 0).ok_or_else(|| wrong("port", text, A_PORT))
        })
        .transpose()?;
    Ok((Some(host.to_owned()), port))
}

fn check_host(host: &str) -> Result<(), ChadError> {
    let fits = (1..=MAX_HOST).contains(&host.len())
        && !host.contains(|c: char| c.is_whitespace() || c.is_control() || "@/?#[]\"\\".contains(c))
        && (!host.contains(':') || host.split('%').next().is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok()));
    if fits { Ok(()) } else { Err(wrong("host", host, A_HOST)) }
}

fn members_of(value: &Value) -> Result<&Map<String, Value>, ChadError> {
    value.as_object().ok_or_else(|| wrong("address", &value.to_string(), AN_OBJECT))
}

fn present<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.get(name).filter(|value| !value.is_null())
}

fn text_of(part: &'static str, value: &Value, expected: &'static str) -> Result<String, ChadError> {
    value.as_str().map(str::to_owned).ok_or_else(|| wrong(part, &value.to_string(), expected))
}

fn port_of(value: &Value) -> Result<u16, ChadError> {
    integer(value).and_then(|port| u16::try_from(port).ok()).ok_or_else(|| wrong("port", &value.to_string(), A_PORT))
}

fn wrong(part: &'static str, given: &str, expected: &'static str) -> ChadError {
    ChadError { part, given: given.chars().take(60).collect(), expected }
}
