//! One chit as a half keeps it, and its place in the chain.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tallyho_plugin::Fault;
use tallyho_plugin::record::{ChitRecord, ChitType, Side, Timestamp, hash_text};

/// What a chit has come to (PROTOCOL 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Written, not sent.
    Draft,
    /// An invoice, or a lift's reservation.
    Pend,
    /// Signed: it binds.
    Good,
    /// Refused, or a lift that came to nothing.
    Void,
}

/// What its user or the site is about to make of it (PROTOCOL 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// Send the invoice.
    Pend,
    /// Send (again) the pledge.
    Good,
    /// Send the refusal.
    Void,
}

/// The durable row of one chit of one half.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The canonical core, which is what is signed.
    pub core: String,
    /// The signature, where there is one.
    pub sign: Option<String>,
    /// Who pledges, or whose settings these are.
    pub by: Side,
    /// What it does.
    pub kind: ChitType,
    /// Milli-CHIPs; 0 for settings.
    pub units: i64,
    /// See [`Status`].
    pub status: Status,
    /// See [`Request`].
    pub request: Option<Request>,
    /// Place in the chain, from 1; `None`, or beyond the chain's end: not linked ([`Half::place`]).
    ///
    /// [`Half::place`]: crate::half::Half::place
    pub index: Option<u64>,
    /// Where among the loose chits it waits for a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loose: Option<String>,
    /// When it last changed its state.
    pub since: Timestamp,
    /// Why what was asked for does not get out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled: Option<String>,
}

/// A link of the chain (PROTOCOL 6.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The chit.
    pub chit: String,
    /// base64v hash of the link.
    pub hash: String,
}

impl Entry {
    /// The row of a chit in this state.
    pub fn new(chit: &ChitRecord, status: Status, request: Option<Request>, now: Timestamp) -> Self {
        Entry {
            core: chit.core_canonical().to_owned(),
            sign: chit.sign().map(str::to_owned),
            by: chit.by(),
            kind: chit.kind(),
            units: chit.units(),
            status,
            request,
            index: None,
            loose: None,
            since: now,
            stalled: None,
        }
    }

    /// The chit itself.
    ///
    /// # Errors
    /// `Failed` where the row is damaged.
    pub fn record(&self) -> Result<ChitRecord, Fault> {
        let damaged = |why: String| Fault::failed(format!("a chit in the store is damaged: {why}"));
        let mut core: Value = serde_json::from_str(&self.core).map_err(|error| damaged(error.to_string()))?;
        if let Some(sign) = &self.sign {
            core["sign"] = Value::from(sign.as_str());
        }
        ChitRecord::parse(core).map_err(|error| damaged(error.to_string()))
    }

    /// base64v SHA-256 of the core.
    pub fn hash(&self) -> String {
        hash_text(&self.core)
    }

    /// What it adds to the balance of this side's half, seen by its holder (PROTOCOL 5.2).
    pub fn contribution(&self, holder: Side) -> i64 {
        if self.by == holder { -self.units } else { self.units }
    }

    /// The state code of the half of this side (PROTOCOL 5.4): `L.pend.good`, `A.good`.
    pub fn code(&self, holder: Side) -> String {
        let side = if self.by == holder { "L" } else { "A" };
        let status = match self.status {
            Status::Draft => "draft",
            Status::Pend => "pend",
            Status::Good => "good",
            Status::Void => "void",
        };
        match self.request {
            None => format!("{side}.{status}"),
            Some(Request::Pend) => format!("{side}.{status}.pend"),
            Some(Request::Good) => format!("{side}.{status}.good"),
            Some(Request::Void) => format!("{side}.{status}.void"),
        }
    }
}
