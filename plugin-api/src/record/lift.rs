//! Lifts: the core everybody signs about, and the signed statements (PROTOCOL 9.1).

use super::chad::check_cuid;
use super::limits::{MAX_INTEGER, MAX_LIFT_LIFE};
use super::shape::Members;
use super::{AgentId, CanonError, Chad, RecordError, Side, Timestamp, base64v, canonical, hash_text};
use crate::services::{Check, CheckKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The members of a lift core, and no other.
pub const MEMBERS: [&str; 7] = ["lift", "date", "life", "units", "find", "org", "ref"];

/// A lift core L of the right shape, kept as it came: every statement is about its hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct LiftCore {
    value: Value,
    canonical: String,
    find: Chad,
    org: Chad,
    referee: Chad,
}

impl LiftCore {
    /// Takes a lift core: exactly the seven members.
    ///
    /// # Errors
    /// [`RecordError`] naming the member at fault.
    pub fn parse(value: Value) -> Result<Self, RecordError> {
        let members = Members::of(&value, "", "9.1")?;
        members.only(&MEMBERS)?;
        members.uuid("lift")?;
        members.date("date")?;
        members.integer("life", 1, MAX_LIFT_LIFE, "whole seconds from 1 to 3600")?;
        members.integer("units", 1, MAX_INTEGER, "a whole number of milli-CHIPs from 1")?;
        let find = find(&members)?;
        let org = endpoint(&members, "org", &["agent", "host", "port", "plan"])?;
        let referee = endpoint(&members, "ref", &["agent", "host", "port"])?;
        match value["org"].get("plan") {
            None => {}
            Some(Value::String(plan)) if base64v::decode(plan).is_some() => {}
            Some(_) => {
                return Err(Members::of(&value["org"], "org", "9.1")?.wrong("plan", "a sealed text in base64url"));
            }
        }
        Ok(LiftCore { canonical: canonical(&value)?, value, find, org, referee })
    }

    /// Takes the core out of a message's object that carries it beside the members `extra`
    /// (`pledge`, `valid`, `signed`); any other member is refused.
    ///
    /// # Errors
    /// As for [`LiftCore::parse`].
    pub fn from_object(object: &Value, extra: &[&str]) -> Result<Self, RecordError> {
        Members::of(object, "", "9.1")?;
        let core = object.as_object().into_iter().flatten().filter(|(name, _)| !extra.contains(&name.as_str()));
        Self::parse(Value::Object(core.map(|(name, value)| (name.clone(), value.clone())).collect()))
    }

    /// The core as it came.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The canonical string of L.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Lh: SHA-256 of the canonical string in base64v.
    pub fn hash(&self) -> String {
        hash_text(&self.canonical)
    }

    /// The lift's name, a uuid; new for every attempt.
    pub fn uuid(&self) -> &str {
        self.value["lift"].as_str().unwrap_or_default()
    }

    /// When the originator made it.
    pub fn date(&self) -> Timestamp {
        // Checked by `parse`.
        self.value["date"].as_str().and_then(|text| Timestamp::parse_any(text).ok()).unwrap_or_default()
    }

    /// How long it may take, in milliseconds: `life` in seconds, 1 to 3600.
    pub fn life(&self) -> i64 {
        // Checked by `parse`.
        super::integer(&self.value["life"]).unwrap_or_default() * 1000
    }

    /// When it ends: date and life.
    pub fn expires(&self) -> Timestamp {
        self.date().plus(self.life())
    }

    /// How much, in milli-CHIPs, 1 to 2^53 - 1.
    pub fn units(&self) -> i64 {
        // Checked by `parse`.
        super::integer(&self.value["units"]).unwrap_or_default()
    }

    /// The destination: the payee, or the foreign partner at the bottom of the originator's segment.
    pub fn find(&self) -> &Chad {
        &self.find
    }

    /// The originator's agent and where to reach it.
    pub fn org(&self) -> &Chad {
        &self.org
    }

    /// The originator's plan, sealed for `find`'s agent; base64v.
    pub fn plan(&self) -> Option<&str> {
        self.value["org"]["plan"].as_str()
    }

    /// The referee's agent and where to reach it.
    pub fn referee(&self) -> &Chad {
        &self.referee
    }

    /// L with the member `valid`, as commit requests and rulings say it and lift chits carry it.
    pub fn with_valid(&self, valid: bool) -> Value {
        let mut value = self.value.clone();
        value["valid"] = Value::Bool(valid);
        value
    }

    /// The canonical string of L with `valid`: what a referee signs as its ruling and, with `true`,
    /// the originator as its commit request.
    ///
    /// # Errors
    /// Never for a core that [`LiftCore::parse`] took.
    pub fn valid_text(&self, valid: bool) -> Result<String, CanonError> {
        canonical(&self.with_valid(valid))
    }

    /// The check of a ruling.
    ///
    /// # Errors
    /// As for [`LiftCore::valid_text`].
    pub fn ruling_check(&self, valid: bool, signed: &str) -> Result<Check, CanonError> {
        Ok(agent_check(&self.referee.agent, self.valid_text(valid)?, signed))
    }

    /// The check of the originator's commit request.
    ///
    /// # Errors
    /// As for [`LiftCore::valid_text`].
    pub fn commit_check(&self, signed: &str) -> Result<Check, CanonError> {
        Ok(agent_check(&self.org.agent, self.valid_text(true)?, signed))
    }

    /// The canonical string that the payor's user signs as the order of a linear lift; what is
    /// absent is left out.
    ///
    /// # Errors
    /// [`CanonError`] where `reference` holds an integer out of range.
    pub fn order_text(&self, reference: Option<&Value>, memo: Option<&str>) -> Result<String, CanonError> {
        let mut order = Map::new();
        for name in ["lift", "date", "units", "find"] {
            order.insert(name.to_owned(), self.value[name].clone());
        }
        if let Some(reference) = reference {
            order.insert("ref".to_owned(), reference.clone());
        }
        if let Some(memo) = memo {
            order.insert("memo".to_owned(), Value::from(memo));
        }
        canonical(&Value::Object(order))
    }
}

impl TryFrom<Value> for LiftCore {
    type Error = RecordError;

    fn try_from(value: Value) -> Result<Self, RecordError> {
        Self::parse(value)
    }
}

impl From<LiftCore> for Value {
    fn from(core: LiftCore) -> Value {
        core.value
    }
}

/// The downstream site's promise: "on this tally, I owe `units` to the upstream party if the
/// referee rules the lift of this hash valid".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pledge {
    /// Who promises: the agent of the `by` side's holder.
    pub agent: AgentId,
    /// The promising side.
    pub by: Side,
    /// Lh.
    pub hash: String,
    /// The tally's uuid.
    pub tally: String,
    /// Milli-CHIPs.
    pub units: i64,
    /// The agent's signature over [`Pledge::text`].
    pub sign: String,
}

impl Pledge {
    /// The pledge of this lift on this tally, not yet signed.
    pub fn new(agent: AgentId, by: Side, core: &LiftCore, tally: impl Into<String>) -> Self {
        Pledge { agent, by, hash: core.hash(), tally: tally.into(), units: core.units(), sign: String::new() }
    }

    /// The canonical string signed.
    ///
    /// # Errors
    /// [`CanonError`] where `units` is out of range.
    pub fn text(&self) -> Result<String, CanonError> {
        let Pledge { agent, by, hash, tally, units, .. } = self;
        canonical(&json!({"act": "pledge", "agent": agent, "by": by, "hash": hash, "tally": tally, "units": units}))
    }

    /// The check of the signature.
    ///
    /// # Errors
    /// As for [`Pledge::text`].
    pub fn check(&self) -> Result<Check, CanonError> {
        Ok(agent_check(&self.agent, self.text()?, &self.sign))
    }
}

/// The upstream site's "I give back your pledge on this tally".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Who gives back.
    pub agent: AgentId,
    /// Lh.
    pub hash: String,
    /// The tally's uuid.
    pub tally: String,
    /// The agent's signature over [`Release::text`].
    pub sign: String,
}

impl Release {
    /// The canonical string signed.
    ///
    /// # Errors
    /// Never: it holds texts alone.
    pub fn text(&self) -> Result<String, CanonError> {
        let Release { agent, hash, tally, .. } = self;
        canonical(&json!({"act": "release", "agent": agent, "hash": hash, "tally": tally}))
    }

    /// The check of the signature.
    ///
    /// # Errors
    /// As for [`Release::text`].
    pub fn check(&self) -> Result<Check, CanonError> {
        Ok(agent_check(&self.agent, self.text()?, &self.sign))
    }
}

/// The destination's "this lift has reached me with all pledges".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// The lift's `find.agent`.
    pub agent: AgentId,
    /// When, as the text that was signed.
    pub at: String,
    /// Lh.
    pub hash: String,
    /// The agent's signature over [`Arrival::text`].
    pub sign: String,
}

impl Arrival {
    /// The canonical string signed.
    ///
    /// # Errors
    /// Never: it holds texts alone.
    pub fn text(&self) -> Result<String, CanonError> {
        let Arrival { agent, at, hash, .. } = self;
        canonical(&json!({"act": "term", "agent": agent, "at": at, "hash": hash}))
    }

    /// The check of the signature.
    ///
    /// # Errors
    /// As for [`Arrival::text`].
    pub fn check(&self) -> Result<Check, CanonError> {
        Ok(agent_check(&self.agent, self.text()?, &self.sign))
    }
}

fn agent_check(agent: &AgentId, text: String, signature: &str) -> Check {
    Check { key: CheckKey::Agent(agent.clone()), text: text.into_bytes(), signature: signature.to_owned() }
}

fn find(members: &Members<'_>) -> Result<Chad, RecordError> {
    let value = members.some("find", "{cuid, agent}")?;
    let find = Members::of(value, "find", "9.1")?;
    find.only(&["cuid", "agent"])?;
    check_cuid(find.text("cuid")?).map_err(|source| RecordError::Chad { member: "find".to_owned(), source })?;
    Chad::from_value(value).map_err(|source| RecordError::Chad { member: "find".to_owned(), source })
}

fn endpoint(members: &Members<'_>, name: &'static str, names: &[&str]) -> Result<Chad, RecordError> {
    let value = members.some(name, "{agent, host, port}")?;
    let endpoint = Members::of(value, name, "9.1")?;
    endpoint.only(names)?;
    endpoint.some("host", "where to reach the agent")?;
    endpoint.some("port", "where to reach the agent")?;
    Chad::from_value(value).map_err(|source| RecordError::Chad { member: name.to_owned(), source })
}
