//! Chits: signed ledger entries, and the links of their chain (PROTOCOL 5.1 to 5.3, 6.1, 9.6).

use super::limits::{MAX_CHIT, MAX_CHIT_CORE, MAX_INTEGER};
use super::shape::Members;
use super::verified::Verified;
use super::{AgentId, CanonError, LiftCore, Pledge, RecordError, Side, TallyRecord, Timestamp, canonical, hash_text};
use crate::context::jwk_text;
use crate::services::{Check, CheckKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The members that are signed and hashed, where they are there.
pub const CORE: [&str; 8] = ["tally", "by", "type", "uuid", "date", "units", "ref", "memo"];

/// The same in the order of the canonical string.
const ORDER: [&str; 8] = ["by", "date", "memo", "ref", "tally", "type", "units", "uuid"];

/// What a chit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChitType {
    /// A payment, signed by the paying user.
    Tran,
    /// Settings of the signing user's own half; no units.
    Set,
    /// One tally's part of a lift, signed by its referee.
    Lift,
}

/// A chit of the right shape. serde reads and writes the record itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct ChitRecord {
    value: Value,
    by: Side,
    kind: ChitType,
    /// The canonical string of the core, made once: every hash and signature begins with it.
    core: String,
    /// Where in `core` the members `date`, `memo` and `ref` end, or would: between them a link's own go.
    cuts: [usize; 3],
}

impl ChitRecord {
    /// Takes a chit, signed or not, of at most 60,000 canonical bytes. The core members must not be
    /// null; `hash`, where it is there, must be right; other members are kept and mean nothing.
    ///
    /// # Errors
    /// [`RecordError`] naming the member at fault.
    pub fn parse(value: Value) -> Result<Self, RecordError> {
        let record = Members::of(&value, "", "5.1")?;
        for name in CORE {
            if record.get(name).is_some_and(Value::is_null) {
                return Err(record.wrong(name, "a value; absent members are left out"));
            }
        }
        let by = side(&record)?;
        let kind = kind(&record)?;
        record.uuid("tally")?;
        record.uuid("uuid")?;
        record.date("date")?;
        match (kind, record.get("units")) {
            (ChitType::Set, None) => {}
            (ChitType::Set, Some(_)) => return Err(record.wrong("units", "none in a chit of settings")),
            (ChitType::Tran | ChitType::Lift, _) => {
                record.integer("units", 1, MAX_INTEGER, "a whole number of milli-CHIPs from 1")?;
            }
        }
        if record.get("memo").is_some() {
            record.text("memo")?;
        }
        if record.get("sign").is_some_and(|sign| !sign.is_null()) {
            record.text("sign")?;
        }
        let (core, cuts) = core_text(&value)?;
        let bytes = core.len() + length_beside_core(&value)?;
        if bytes > MAX_CHIT {
            return Err(RecordError::TooLarge { what: "the chit", bytes, most: MAX_CHIT, clause: "3.2" });
        }
        let stated = record.get("hash").filter(|hash| !hash.is_null());
        if stated.is_some_and(|hash| hash.as_str() != Some(&hash_text(&core))) {
            return Err(RecordError::Mismatch {
                member: "hash".to_owned(),
                with: "the hash of the core",
                clause: "5.1",
            });
        }
        Ok(ChitRecord { value, by, kind, core, cuts })
    }

    /// The chit of a completed lift on one of its tallies (PROTOCOL 9.6), yet without the ruling's
    /// signature. Both sites build the same, since it holds the lift's own texts.
    ///
    /// # Errors
    /// [`RecordError`] where the pledge names no tally.
    pub fn of_lift(core: &LiftCore, pledge: &Pledge) -> Result<Self, RecordError> {
        Self::parse(json!({
            "tally": pledge.tally,
            "by": pledge.by,
            "type": ChitType::Lift,
            "uuid": core.uuid(),
            "date": core.value()["date"],
            "units": core.value()["units"],
            "ref": { "lift": core.with_valid(true), "pledge": pledge.sign },
        }))
    }

    /// The record as it came.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The record to send: core, `hash` and, where there is one, `sign`.
    pub fn to_record(&self) -> Value {
        let mut record = core_of(&self.value);
        record.insert("hash".to_owned(), Value::from(self.hash()));
        if let Some(sign) = self.sign() {
            record.insert("sign".to_owned(), Value::from(sign));
        }
        Value::Object(record)
    }

    /// The tally's uuid.
    pub fn tally(&self) -> &str {
        self.text("tally").unwrap_or_default()
    }

    /// Who pledges, or whose settings these are.
    pub fn by(&self) -> Side {
        self.by
    }

    /// What it does.
    pub fn kind(&self) -> ChitType {
        self.kind
    }

    /// The chit's name, unique per tally; a lift chit's is the lift's.
    pub fn uuid(&self) -> &str {
        self.text("uuid").unwrap_or_default()
    }

    /// Effective date.
    pub fn date(&self) -> Timestamp {
        // Checked by `parse`.
        self.text("date").and_then(|text| Timestamp::parse_any(text).ok()).unwrap_or_default()
    }

    /// Milli-CHIPs from 1 to 2^53 - 1; 0 for settings.
    pub fn units(&self) -> i64 {
        super::integer(&self.value["units"]).unwrap_or_default()
    }

    /// Invoice data, the settings, or a lift's proof; `None` where there is none.
    pub fn reference(&self) -> Option<&Value> {
        self.value.get("ref")
    }

    /// What for; may be empty.
    pub fn memo(&self) -> &str {
        self.text("memo").unwrap_or_default()
    }

    /// The signature: by the `by` side's user, or, of a lift chit, by the referee.
    pub fn sign(&self) -> Option<&str> {
        self.text("sign")
    }

    /// The `chain` member of a message.
    pub fn chain(&self) -> Option<&Value> {
        self.value.get("chain").filter(|chain| chain.is_object())
    }

    /// What it adds to the balance of the half of this side, seen by its holder, in milli-CHIPs
    /// (PROTOCOL 5.2).
    pub fn contribution(&self, holder: Side) -> i64 {
        if self.by == holder { -self.units() } else { self.units() }
    }

    /// The canonical string of the core, which is signed.
    pub fn core_canonical(&self) -> &str {
        &self.core
    }

    /// SHA-256 of the canonical core in base64v.
    pub fn hash(&self) -> String {
        hash_text(&self.core)
    }

    /// The same chit with this signature.
    #[must_use]
    pub fn signed(mut self, signature: impl Into<String>) -> Self {
        self.value["sign"] = Value::from(signature.into());
        self
    }

    /// The canonical string of the link at `index` (from 1) after the link of hash `prior` in
    /// base64v: core, `index`, `prior` and, where there is one, `sign` (PROTOCOL 6.1).
    ///
    /// # Errors
    /// [`CanonError`] where `index` is beyond 2^53 - 1.
    pub fn link_canonical(&self, index: u64, prior: &str) -> Result<String, CanonError> {
        let [date, memo, reference] = self.cuts;
        let part = |from: usize, to: usize| self.core.get(from..to).unwrap_or_default();
        let mut link = String::with_capacity(self.core.len() + 320);
        link.push_str(part(0, date));
        link.push_str(",\"index\":");
        link.push_str(&canonical(&Value::from(index))?);
        link.push_str(part(date, memo));
        link.push_str(",\"prior\":");
        link.push_str(&canonical(&Value::from(prior))?);
        link.push_str(part(memo, reference));
        if let Some(sign) = self.sign() {
            link.push_str(",\"sign\":");
            link.push_str(&canonical(&Value::from(sign))?);
        }
        link.push_str(part(reference, self.core.len()));
        Ok(link)
    }

    /// The hash of that link in base64v.
    ///
    /// # Errors
    /// As for [`ChitRecord::link_canonical`].
    pub fn link_hash(&self, index: u64, prior: &str) -> Result<String, CanonError> {
        self.link_canonical(index, prior).map(|text| hash_text(&text))
    }

    /// What must be checked before this chit is valid on `tally` (PROTOCOL 5.3): one user signature,
    /// or a lift's ruling and pledge. Everything that needs no cryptography is checked here.
    ///
    /// # Errors
    /// [`RecordError`] naming what is missing or does not match.
    pub fn checks(&self, tally: &TallyRecord) -> Result<Vec<Check>, RecordError> {
        let key = match self.kind {
            ChitType::Tran | ChitType::Set => jwk_text(&tally.cert(self.by)["public"])
                .ok_or_else(|| mismatch("sign", "the certificate, which holds no key", "5.3"))?,
            ChitType::Lift => String::new(),
        };
        self.checks_on(tally.uuid(), &key, &tally.chad(self.by)?.agent)
    }

    /// The same for whoever does not have the tally's record at hand: its uuid, and the user's key (a
    /// JWK as text) and the agent that it names on the `by` side.
    ///
    /// # Errors
    /// As for [`ChitRecord::checks`].
    pub fn checks_on(&self, tally: &str, key: &str, agent: &AgentId) -> Result<Vec<Check>, RecordError> {
        if self.tally() != tally {
            return Err(mismatch("tally", "the tally it came over", "5.1"));
        }
        let sign = self.sign().ok_or_else(|| mismatch("sign", "any signature: it has none", "5.3"))?;
        match self.kind {
            ChitType::Tran | ChitType::Set => Ok(vec![Check {
                key: CheckKey::User(key.to_owned()),
                text: self.core.as_bytes().to_vec(),
                signature: sign.to_owned(),
            }]),
            ChitType::Lift => self.lift_checks(agent, sign),
        }
    }

    /// Proves the chit's signatures.
    ///
    /// # Errors
    /// As for [`ChitRecord::checks`], and [`RecordError::Mismatch`] where a signature falls.
    pub fn verify(
        self,
        tally: &TallyRecord,
        mut stands: impl FnMut(&Check) -> bool,
    ) -> Result<Verified<Self>, RecordError> {
        for (check, member) in self.checks(tally)?.iter().zip(["sign", "ref.pledge"]) {
            if !stands(check) {
                return Err(mismatch(member, "what it must sign, or the key it must be made with", "5.3"));
            }
        }
        Ok(Verified::new(self))
    }

    /// The lift core of a lift chit: `ref.lift` less `valid`, which must be true.
    ///
    /// # Errors
    /// [`RecordError`] naming the member at fault.
    pub fn lift(&self) -> Result<LiftCore, RecordError> {
        let lift = &self.value["ref"]["lift"];
        if lift["valid"] != Value::Bool(true) {
            return Err(mismatch("ref.lift.valid", "true", "9.6"));
        }
        LiftCore::from_object(lift, &["valid"])
    }

    /// PROTOCOL 9.6, the checks on a lift chit received.
    fn lift_checks(&self, agent: &AgentId, sign: &str) -> Result<Vec<Check>, RecordError> {
        let lift = self.lift()?;
        if self.uuid() != lift.uuid() {
            return Err(mismatch("uuid", "the lift's", "9.6"));
        }
        if self.date() != lift.date() {
            return Err(mismatch("date", "the lift's", "9.6"));
        }
        if self.units() != lift.units() {
            return Err(mismatch("units", "the lift's", "9.6"));
        }
        let pledge_sign = self.value["ref"]["pledge"].as_str();
        let pledge_sign = pledge_sign.ok_or_else(|| mismatch("ref.pledge", "any pledge: it has none", "9.6"))?;
        let mut pledge = Pledge::new(agent.clone(), self.by, &lift, self.tally());
        pledge.sign = pledge_sign.to_owned();
        Ok(vec![lift.ruling_check(true, sign)?, pledge.check()?])
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.value[name].as_str()
    }
}

impl TryFrom<Value> for ChitRecord {
    type Error = RecordError;

    fn try_from(value: Value) -> Result<Self, RecordError> {
        Self::parse(value)
    }
}

impl From<ChitRecord> for Value {
    fn from(record: ChitRecord) -> Value {
        record.value
    }
}

/// A chit to be written.
///
/// ```
/// use tallyho_plugin::record::{ChitDraft, ChitType, Side, Timestamp};
/// let chit = ChitDraft {
///     tally: "9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55".into(),
///     by: Side::Foil,
///     kind: ChitType::Tran,
///     uuid: "3f0f7c52-0c2e-4b6b-9d5e-7c8a1b2c3d4e".into(),
///     date: Timestamp::parse("2021-11-04T09:30:00.500Z").unwrap(),
///     units: Some(1_234_500),
///     reference: None,
///     memo: Some("Rye loaf".into()),
/// };
/// assert_eq!(chit.finish().unwrap().contribution(Side::Stock), 1_234_500);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ChitDraft {
    /// The tally's uuid.
    pub tally: String,
    /// Who pledges, or whose settings these are.
    pub by: Side,
    /// What it does.
    pub kind: ChitType,
    /// The chit's uuid.
    pub uuid: String,
    /// Effective date.
    pub date: Timestamp,
    /// Milli-CHIPs; `None` for settings.
    pub units: Option<i64>,
    /// Invoice data or settings.
    pub reference: Option<Value>,
    /// What for.
    pub memo: Option<String>,
}

impl ChitDraft {
    /// The chit, unsigned.
    ///
    /// # Errors
    /// [`RecordError`] naming the member at fault, or where signature, hash and chain would not fit
    /// into 60,000 bytes beside it.
    pub fn finish(&self) -> Result<ChitRecord, RecordError> {
        let mut record = json!({
            "tally": self.tally, "by": self.by, "type": self.kind, "uuid": self.uuid, "date": self.date.text(),
        });
        if let Some(units) = self.units {
            record["units"] = Value::from(units);
        }
        if let Some(reference) = &self.reference {
            record["ref"] = reference.clone();
        }
        if let Some(memo) = &self.memo {
            record["memo"] = Value::from(memo.as_str());
        }
        let chit = ChitRecord::parse(record)?;
        match chit.core.len() {
            bytes if bytes > MAX_CHIT_CORE => {
                Err(RecordError::TooLarge { what: "the chit", bytes, most: MAX_CHIT_CORE, clause: "3.2" })
            }
            _ => Ok(chit),
        }
    }
}

/// The canonical string of the core, and where its members `date`, `memo` and `ref` end.
fn core_text(value: &Value) -> Result<(String, [usize; 3]), CanonError> {
    let mut text = String::with_capacity(512);
    let mut ends = [0; ORDER.len()];
    for (name, end) in ORDER.iter().zip(&mut ends) {
        if let Some(member) = value.get(name) {
            text.push(if text.is_empty() { '{' } else { ',' });
            text.push_str(&format!("\"{name}\":"));
            // The whole says where in it the fault is.
            let member = canonical(member).or_else(|_| canonical(&Value::Object(core_of(value))))?;
            text.push_str(&member);
        }
        *end = text.len();
    }
    text.push('}');
    let [_, date, memo, reference, ..] = ends;
    Ok((text, [date, memo, reference]))
}

/// How many bytes the members that are not of the core add to its canonical string.
fn length_beside_core(value: &Value) -> Result<usize, CanonError> {
    let others = value.as_object().into_iter().flatten().filter(|(name, _)| !CORE.contains(&name.as_str()));
    let lengths = others.map(|(name, member)| {
        // `,"name":value`
        let name = canonical(&Value::from(name.as_str()))?.len();
        Ok(2 + name + canonical(member)?.len())
    });
    lengths.sum()
}

fn core_of(value: &Value) -> Map<String, Value> {
    CORE.iter().filter_map(|name| Some(((*name).to_owned(), value.get(name)?.clone()))).collect()
}

fn side(record: &Members<'_>) -> Result<Side, RecordError> {
    record.text("by")?.parse().map_err(|_| record.wrong("by", "\"stock\" or \"foil\""))
}

fn kind(record: &Members<'_>) -> Result<ChitType, RecordError> {
    match record.text("type")? {
        "tran" => Ok(ChitType::Tran),
        "set" => Ok(ChitType::Set),
        "lift" => Ok(ChitType::Lift),
        _ => Err(record.wrong("type", "\"tran\", \"set\" or \"lift\"")),
    }
}

fn mismatch(member: &str, with: &'static str, clause: &'static str) -> RecordError {
    RecordError::Mismatch { member: member.to_owned(), with, clause }
}
