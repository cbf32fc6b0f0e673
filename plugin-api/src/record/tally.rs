//! Tallies: contract and ledger between two users (PROTOCOL 4.1, 4.4 item 1).

use super::cert::{Certificate, chad_of};
use super::draft::{DraftHalf, TallyDraft};
use super::limits::MAX_INTEGER;
use super::shape::Members;
use super::verified::Verified;
use super::{AgentId, Chad, RecordError, Timestamp, canonical, hash_bytes, hash_text};
use crate::context::user_check;
use crate::services::Check;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The record format written and read.
pub const VERSION: i64 = 1;

/// The halves of a tally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The vendor's half, normally the creditor's.
    Stock,
    /// The client's half, normally the debtor's.
    Foil,
}

impl Side {
    /// Both, in the order of the alphabet.
    pub const BOTH: [Side; 2] = [Side::Foil, Side::Stock];

    /// The other half.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Side::Stock => Side::Foil,
            Side::Foil => Side::Stock,
        }
    }

    /// `stock` or `foil`.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Stock => "stock",
            Side::Foil => "foil",
        }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Neither `stock` nor `foil`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("side {0:?}: expected stock (you sell or lend) or foil (you buy or borrow), for example stock")]
pub struct SideError(String);

impl std::str::FromStr for Side {
    type Err = SideError;

    fn from_str(text: &str) -> Result<Self, SideError> {
        Side::BOTH
            .into_iter()
            .find(|side| side.as_str() == text)
            .ok_or_else(|| SideError(text.chars().take(40).collect()))
    }
}

/// A complete tally of the right shape, kept as it came: hashes and signatures cover every member,
/// unknown ones of certificates, terms and `agree`, and nulls, included.
///
/// serde reads and writes the record itself, and checks its shape when reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct TallyRecord {
    value: Value,
    /// The canonical string of the core; the value's members besides `sign` never change.
    core: String,
}

impl TallyRecord {
    /// Takes a record of the right shape (PROTOCOL 4.4 item 1): version 1, no unknown top-level
    /// member, `agree` non-null, both halves with certificate and terms. Certificates and signatures
    /// are not looked into: see [`TallyRecord::certificate`] and [`TallyRecord::verify`].
    ///
    /// A null `memo` is taken, since the running system signs such (PROTOCOL 3.3), and so are null
    /// members of `sign`.
    ///
    /// # Errors
    /// [`RecordError`] naming the member at fault.
    pub fn parse(value: Value) -> Result<Self, RecordError> {
        check_shape(&value)?;
        let core = canonical(&without_sign(&value))?;
        Ok(TallyRecord { value, core })
    }

    /// The record as it came.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The record as it came.
    pub fn into_value(self) -> Value {
        self.value
    }

    /// The tally's name, a uuid.
    pub fn uuid(&self) -> &str {
        self.text("uuid")
    }

    /// From 1; higher with each redrafting.
    pub fn revision(&self) -> i64 {
        // Checked by `parse`.
        super::integer(&self.value["revision"]).unwrap_or(1)
    }

    /// The date of the agreement draft.
    pub fn date(&self) -> Timestamp {
        // Checked by `parse`.
        Timestamp::parse_any(self.text("date")).unwrap_or_default()
    }

    /// What it is about; may be empty.
    pub fn memo(&self) -> &str {
        self.text("memo")
    }

    /// The contract: its resource id (a text) or an object.
    pub fn agree(&self) -> &Value {
        &self.value["agree"]
    }

    /// The certificate of a side, as it came.
    pub fn cert(&self, side: Side) -> &Value {
        &self.value[side.as_str()]["cert"]
    }

    /// The certificate of a side, checked; `expected`: the agent that it must name.
    ///
    /// # Errors
    /// As for [`Certificate::check`].
    pub fn certificate(&self, side: Side, expected: Option<&AgentId>) -> Result<Certificate, RecordError> {
        Certificate::check(self.cert(side), expected)
    }

    /// The address in the certificate of a side.
    ///
    /// # Errors
    /// [`RecordError`] where it has no well-formed one.
    pub fn chad(&self, side: Side) -> Result<Chad, RecordError> {
        chad_of(self.cert(side))
    }

    /// The credit terms that the holder of this side grants to the other.
    pub fn terms(&self, side: Side) -> &Value {
        &self.value[side.as_str()]["terms"]
    }

    /// The side that this party holds: its (cuid, agent) stands in exactly one certificate.
    pub fn side_of(&self, party: &Chad) -> Option<Side> {
        let holds = |side| self.chad(side).is_ok_and(|chad| chad.same_party(party));
        match (holds(Side::Stock), holds(Side::Foil)) {
            (true, false) => Some(Side::Stock),
            (false, true) => Some(Side::Foil),
            _ => None,
        }
    }

    /// The core: everything but `sign`.
    pub fn core(&self) -> Value {
        without_sign(&self.value)
    }

    /// The canonical string of the core, which both users sign.
    pub fn core_canonical(&self) -> &str {
        &self.core
    }

    /// SHA-256 of the canonical core in base64v: link 0 of the chit chain, and `sign.hash`.
    pub fn hash(&self) -> String {
        hash_text(&self.core)
    }

    /// The same hash as bytes.
    pub fn hash_bytes(&self) -> [u8; 32] {
        hash_bytes(self.core.as_bytes())
    }

    /// The signature of a side, where there is one.
    pub fn sign(&self, side: Side) -> Option<&str> {
        self.value["sign"][side.as_str()].as_str()
    }

    /// Whether both users have signed.
    pub fn is_signed_by_both(&self) -> bool {
        Side::BOTH.iter().all(|side| self.sign(*side).is_some())
    }

    /// `sign.hash`, where it is there.
    pub fn sign_hash(&self) -> Option<&str> {
        self.value["sign"]["hash"].as_str()
    }

    /// Checks `sign.hash` where it is there: it must be [`TallyRecord::hash`].
    ///
    /// # Errors
    /// [`RecordError::Mismatch`].
    pub fn check_sign_hash(&self) -> Result<(), RecordError> {
        match self.sign_hash() {
            Some(hash) if hash != self.hash() => Err(RecordError::Mismatch {
                member: "sign.hash".to_owned(),
                with: "the hash of the core",
                clause: "4.1",
            }),
            _ => Ok(()),
        }
    }

    /// The check of a side's signature against the certificate on that side; `None` without
    /// signature, or where the certificate holds no key.
    pub fn check(&self, side: Side) -> Option<Check> {
        user_check(&self.cert(side)["public"], self.core.as_bytes(), self.sign(side)?)
    }

    /// The checks of all signatures present, for `Handler::prepare`.
    pub fn checks(&self) -> Vec<Check> {
        Side::BOTH.iter().filter_map(|side| self.check(*side)).collect()
    }

    /// Proves every signature present (PROTOCOL 4.4 item 4) and `sign.hash`. Which ones must be
    /// there is the caller's to ask.
    ///
    /// # Errors
    /// [`RecordError::Mismatch`] naming the signature that falls.
    pub fn verify(self, mut stands: impl FnMut(&Check) -> bool) -> Result<Verified<Self>, RecordError> {
        self.check_sign_hash()?;
        for side in Side::BOTH {
            if self.sign(side).is_some() && !self.check(side).is_some_and(|check| stands(&check)) {
                return Err(RecordError::Mismatch {
                    member: format!("sign.{side}"),
                    with: "the core and the key of that side's certificate",
                    clause: "4.4",
                });
            }
        }
        Ok(Verified::new(self))
    }

    /// Puts a side's signature in its place.
    pub fn set_sign(&mut self, side: Side, signature: impl Into<String>) {
        let signature = Value::from(signature.into());
        self.edit_sign(|sign| drop(sign.insert(side.as_str().to_owned(), signature)));
    }

    /// Takes a side's signature away, and `sign.hash` with it.
    pub fn clear_sign(&mut self, side: Side) {
        self.edit_sign(|sign| sign.retain(|name, _| name != "hash" && name != side.as_str()));
    }

    /// Takes `sign` away.
    pub fn clear_signs(&mut self) {
        self.edit_sign(Map::clear);
    }

    /// Writes `sign.hash`, once the tally is open.
    pub fn set_hash(&mut self) {
        let hash = Value::from(self.hash());
        self.edit_sign(|sign| drop(sign.insert("hash".to_owned(), hash)));
    }

    /// The draft to change and offer again: same content, unsigned, same revision.
    pub fn to_draft(&self) -> TallyDraft {
        let half = |side| DraftHalf { cert: Some(self.cert(side).clone()), terms: self.terms(side).clone() };
        TallyDraft {
            uuid: self.uuid().to_owned(),
            revision: self.revision(),
            date: self.date(),
            memo: self.memo().to_owned(),
            agree: Some(self.agree().clone()),
            stock: half(Side::Stock),
            foil: half(Side::Foil),
        }
    }

    /// The draft of the next revision, for the party that takes this one back to redraft it.
    pub fn redraft(&self) -> TallyDraft {
        let mut draft = self.to_draft();
        draft.revision += 1;
        draft
    }

    fn text(&self, name: &str) -> &str {
        self.value[name].as_str().unwrap_or_default()
    }

    /// Changes `sign`; nulls in it are not sent on, and without members it is left out.
    fn edit_sign(&mut self, edit: impl FnOnce(&mut Map<String, Value>)) {
        // `parse` lets objects pass only.
        let Value::Object(record) = &mut self.value else { return };
        let mut sign = match record.remove("sign") {
            Some(Value::Object(sign)) => sign,
            _ => Map::new(),
        };
        sign.retain(|_, value| !value.is_null());
        edit(&mut sign);
        if !sign.is_empty() {
            record.insert("sign".to_owned(), Value::Object(sign));
        }
    }
}

impl TryFrom<Value> for TallyRecord {
    type Error = RecordError;

    fn try_from(value: Value) -> Result<Self, RecordError> {
        Self::parse(value)
    }
}

impl From<TallyRecord> for Value {
    fn from(record: TallyRecord) -> Value {
        record.value
    }
}

fn without_sign(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members.iter().filter(|(name, _)| *name != "sign").map(|(n, v)| (n.clone(), v.clone())).collect(),
        ),
        other => other.clone(),
    }
}

/// PROTOCOL 4.1, 4.4 item 1.
fn check_shape(value: &Value) -> Result<(), RecordError> {
    let record = Members::of(value, "", "4.1")?;
    record.only(&["version", "revision", "uuid", "date", "memo", "agree", "stock", "foil", "sign"])?;
    record.integer("version", VERSION, VERSION, "1, the only version of this format")?;
    record.integer("revision", 1, MAX_INTEGER, "an integer from 1")?;
    record.uuid("uuid")?;
    record.date("date")?;
    match record.get("memo") {
        Some(Value::String(_) | Value::Null) => {}
        _ => return Err(record.wrong("memo", "a text, which may be empty")),
    }
    match record.get("agree") {
        Some(Value::String(_) | Value::Object(_)) => {}
        _ => return Err(record.wrong("agree", "a resource id or an object")),
    }
    for side in Side::BOTH {
        let half = Members::of(record.some(side.as_str(), "{cert, terms}")?, side.as_str(), "4.1")?;
        half.only(&["cert", "terms"])?;
        if !half.some("cert", "a certificate")?.is_object() {
            return Err(half.wrong("cert", "a certificate"));
        }
        match half.get("terms") {
            Some(Value::Object(_) | Value::Null) => {}
            _ => return Err(half.wrong("terms", "an object")),
        }
    }
    if let Some(sign) = record.get("sign").filter(|sign| !sign.is_null()) {
        let sign = Members::of(sign, "sign", "4.1")?;
        for name in ["hash", "stock", "foil"] {
            if !matches!(sign.get(name), None | Some(Value::String(_) | Value::Null)) {
                return Err(sign.wrong(name, "a text in base64url"));
            }
        }
    }
    Ok(())
}
