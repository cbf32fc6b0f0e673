//! What a referee is asked (PROTOCOL 9.2).

use crate::table::Kind;
use serde_json::Value;
use tallyho_plugin::record::{LiftCore, RecordError, base64v, is_uuid};

/// A request of the right shape, or not.
#[derive(Debug)]
pub struct Request {
    /// Which.
    pub kind: Kind,
    /// About what.
    pub subject: Subject,
}

/// What a request is about.
#[derive(Debug)]
// One request exists at a time, so the size of the largest costs nothing.
#[allow(clippy::large_enum_variant)]
pub enum Subject {
    /// A whole lift core, with its hash Lh; `signed` is the originator's signature of a commit, empty for
    /// a check.
    Lift {
        /// L.
        core: LiftCore,
        /// Lh.
        hash: String,
        /// Over L with `valid` true.
        signed: String,
    },
    /// Names alone.
    Names {
        /// The lift's uuid.
        lift: String,
        /// Lh.
        hash: String,
    },
    /// Nothing that makes sense, and why.
    Malformed(String),
}

impl Request {
    /// Reads the object of `lift/commit` or `lift/check`.
    pub fn read(action: &str, object: &Value) -> Self {
        let kind = match action {
            "commit" => Kind::Commit,
            _ if names_alone(object) => Kind::Recall,
            _ => Kind::Check,
        };
        let subject = match kind {
            Kind::Commit => commit(object),
            Kind::Check => lift(object, &["hash"], String::new()),
            Kind::Recall => names(object),
        };
        Request { kind, subject: subject.unwrap_or_else(Subject::Malformed) }
    }

    /// Lh, where the request has one.
    pub fn hash(&self) -> Option<&str> {
        match &self.subject {
            Subject::Lift { hash, .. } | Subject::Names { hash, .. } => Some(hash),
            Subject::Malformed(_) => None,
        }
    }

    /// The lift's uuid, where the request has one.
    pub fn lift(&self) -> Option<&str> {
        match &self.subject {
            Subject::Lift { core, .. } => Some(core.uuid()),
            Subject::Names { lift, .. } => Some(lift),
            Subject::Malformed(_) => None,
        }
    }
}

fn names_alone(object: &Value) -> bool {
    let members = object.as_object();
    members.is_some_and(|members| members.len() == 2 && members.contains_key("lift") && members.contains_key("hash"))
}

fn commit(object: &Value) -> Result<Subject, String> {
    if object["valid"] != Value::Bool(true) {
        return Err("valid: expected true".to_owned());
    }
    let signed = object["signed"].as_str().ok_or("signed: expected the originator's signature")?;
    lift(object, &["valid", "signed", "hash"], signed.to_owned())
}

fn lift(object: &Value, beside: &[&str], signed: String) -> Result<Subject, String> {
    let core = LiftCore::from_object(object, beside).map_err(|error: RecordError| error.to_string())?;
    let hash = core.hash();
    match object.get("hash") {
        Some(given) if *given != hash.as_str() => Err("hash: it is another lift's".to_owned()),
        _ => Ok(Subject::Lift { core, hash, signed }),
    }
}

fn names(object: &Value) -> Result<Subject, String> {
    let lift = object["lift"].as_str().filter(|text| is_uuid(text)).ok_or("lift: expected a uuid")?;
    let hash = object["hash"].as_str().filter(|text| base64v::decode_array::<32>(text).is_some());
    let hash = hash.ok_or("hash: expected 43 characters of base64url")?;
    Ok(Subject::Names { lift: lift.to_owned(), hash: hash.to_owned() })
}
