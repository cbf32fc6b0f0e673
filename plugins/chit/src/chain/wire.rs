//! The sub-commands as they travel (PROTOCOL 6.2).
//!
//! What does not fit has no effect. A chit that does not fit is another matter (G1): its list is read all
//! the same, as long as it has a uuid and an index.

use super::limits;
use serde_json::{Value, json};
use tallyho_plugin::record::limits::MAX_INTEGER;
use tallyho_plugin::record::{ChitRecord, integer, is_uuid};

/// A sub-command received.
#[derive(Debug, Clone, PartialEq)]
pub enum Sub {
    /// `new` and `upd`.
    Update(Update),
    /// `req`.
    Request {
        /// First link wanted, from 1.
        index: u64,
        /// How many; `None`: all.
        count: Option<u64>,
    },
    /// `ack`.
    Ack {
        /// Where.
        index: u64,
        /// What the partner has there.
        hash: String,
    },
    /// `nak`.
    Nak {
        /// Where.
        index: u64,
        /// What the partner has there.
        hash: Option<String>,
    },
}

/// `new` and `upd`: links of the partner's chain, and where to compare.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// Where to compare.
    pub index: u64,
    /// The partner's hash there.
    pub hash: String,
    /// The partner's `conf`.
    pub conf: Option<u64>,
    /// Links, by rising index; may have holes.
    pub chits: Vec<Suggested>,
    /// A part that is not the last.
    pub more: bool,
    /// The sender has further links, and goes on when this one is acknowledged.
    pub goes_on: bool,
}

impl Update {
    /// Whether more comes without our asking, if what is here fits.
    pub fn has_more(&self) -> bool {
        self.more || self.goes_on
    }
}

/// A chit at its place in the partner's chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggested {
    /// The chit's name.
    pub chit: String,
    /// The chit, or why it is none.
    pub record: Result<ChitRecord, String>,
    /// Its index in the partner's chain, from 1.
    pub index: u64,
    /// The hash there.
    pub hash: Option<String>,
}

/// Reads a `chain` message.
///
/// # Errors
/// What does not fit, for the log.
pub fn parse(object: &Value) -> Result<Sub, String> {
    let command = member(object, "cmd").or_else(|| member(object, "sub")).and_then(Value::as_str);
    match command {
        Some("upd") => update(object).map(Sub::Update),
        Some("req") => {
            let index = index(object)?.ok_or("a req without index")?.max(1);
            let count = natural(object, "count")?.filter(|count| *count > 0);
            Ok(Sub::Request { index, count })
        }
        Some("ack") => {
            let index = index(object)?.ok_or("an ack without index")?;
            Ok(Sub::Ack { index, hash: hash(object)?.ok_or("an ack without hash")? })
        }
        Some("nak") => Ok(Sub::Nak { index: index(object)?.ok_or("a nak without index")?, hash: hash(object)? }),
        Some(other) => Err(format!("no sub-command {:?}", other.chars().take(40).collect::<String>())),
        None => Err("no sub-command".to_owned()),
    }
}

/// Reads the member `chain` of a `good` message as an `upd` of that one chit.
///
/// # Errors
/// What does not fit, for the log.
pub fn parse_new(chit: &ChitRecord, chain: &Value) -> Result<Update, String> {
    let index = index(chain)?.filter(|index| *index > 0).ok_or("a new without index")?;
    let text = hash(chain)?.ok_or("a new without hash")?;
    let suggested =
        Suggested { chit: chit.uuid().to_owned(), record: Ok(chit.clone()), index, hash: Some(text.clone()) };
    Ok(Update { index, hash: text, conf: natural(chain, "conf")?, chits: vec![suggested], more: false, goes_on: false })
}

fn update(object: &Value) -> Result<Update, String> {
    let chits = match member(object, "chits") {
        None => Vec::new(),
        Some(Value::Array(entries)) if entries.len() <= limits::ENTRIES => {
            entries.iter().map(suggested).collect::<Result<Vec<_>, _>>()?
        }
        Some(Value::Array(entries)) => {
            return Err(format!("{} entries; a message holds {} at most", entries.len(), limits::ENTRIES));
        }
        Some(_) => return Err("chits is no list".to_owned()),
    };
    if !chits.is_sorted_by(|one, next| one.index < next.index) {
        return Err("entries are not in ascending order".to_owned());
    }
    let (index, hash) = (index(object)?, hash(object)?);
    let last = chits.last();
    // HEAD leaves out both (PROTOCOL 6.2); where they are there, they are those of the last entry.
    if let (Some(index), Some(last)) = (index, last)
        && index != last.index
    {
        return Err("index is not that of the last entry".to_owned());
    }
    let stated = last.and_then(|last| last.hash.clone());
    if let (Some(one), Some(other)) = (&hash, &stated)
        && one != other
    {
        return Err("hash is not that of the last entry".to_owned());
    }
    let index = index.or(last.map(|last| last.index)).ok_or("an upd without index")?;
    Ok(Update {
        index,
        goes_on: natural(object, "end")?.is_some_and(|end| end > index) && !chits.is_empty(),
        hash: hash.or(stated).ok_or("an upd without hash")?,
        conf: natural(object, "conf")?,
        more: member(object, "more").is_some_and(|more| *more == Value::Bool(true)) && !chits.is_empty(),
        chits,
    })
}

fn suggested(entry: &Value) -> Result<Suggested, String> {
    let chit = entry["uuid"].as_str().filter(|uuid| is_uuid(uuid)).ok_or("an entry without uuid")?.to_owned();
    let chain = &entry["chain"];
    let index = index(chain)?.filter(|index| *index > 0).ok_or("an entry without index")?;
    let hash = hash(chain)?;
    let mut record = entry.clone();
    if let Some(record) = record.as_object_mut() {
        record.remove("chain");
    }
    Ok(Suggested { chit, record: ChitRecord::parse(record).map_err(|error| error.to_string()), index, hash })
}

/// A member that is there and not null.
fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

fn index(object: &Value) -> Result<Option<u64>, String> {
    natural(object, "index")
}

fn natural(object: &Value, name: &str) -> Result<Option<u64>, String> {
    let Some(value) = member(object, name) else { return Ok(None) };
    let number = integer(value).filter(|number| (0..=MAX_INTEGER).contains(number));
    let number = number.and_then(|number| u64::try_from(number).ok());
    number.map(Some).ok_or_else(|| format!("{name} is no whole number from 0"))
}

fn hash(object: &Value) -> Result<Option<String>, String> {
    match member(object, "hash") {
        None => Ok(None),
        Some(Value::String(text)) if text.len() <= limits::HASH_BYTES => Ok(Some(text.clone())),
        Some(_) => Err("hash is no hash".to_owned()),
    }
}

/// `ack`.
pub fn ack(tally: &str, index: u64, hash: &str) -> Value {
    json!({ "cmd": "ack", "tally": tally, "index": index, "hash": hash })
}

/// `req` for everything from `index` on.
pub fn req(tally: &str, index: u64) -> Value {
    json!({ "cmd": "req", "tally": tally, "index": index })
}

/// `nak`.
pub fn nak(tally: &str, index: u64, hash: Option<&str>) -> Value {
    let mut object = json!({ "cmd": "nak", "tally": tally, "index": index });
    if let Some(hash) = hash {
        object["hash"] = Value::from(hash);
    }
    object
}

/// A place in the chain: of an entry, of a whole `upd`, or, with `cmd`, of a `new`.
pub fn place(cmd: Option<&str>, index: u64, hash: &str, conf: Option<u64>) -> Value {
    let mut object = json!({ "index": index, "hash": hash });
    if let Some(conf) = conf {
        object["conf"] = Value::from(conf);
    }
    if let Some(cmd) = cmd {
        object["cmd"] = Value::from(cmd);
    }
    object
}

/// What follows the links of an `upd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Nothing.
    Nothing,
    /// Further parts.
    Parts,
    /// Links up to this end, when these are acknowledged.
    Later(u64),
}

/// `upd`: links, or, without any, a comparison.
pub fn upd(tally: &str, (index, hash): (u64, &str), conf: Option<u64>, chits: Vec<Value>, rest: Rest) -> Value {
    let mut object = place(Some("upd"), index, hash, conf);
    object["tally"] = Value::from(tally);
    if !chits.is_empty() {
        object["chits"] = Value::Array(chits);
    }
    match rest {
        Rest::Nothing => {}
        Rest::Parts => object["more"] = Value::Bool(true),
        Rest::Later(end) => object["end"] = Value::from(end),
    }
    object
}
