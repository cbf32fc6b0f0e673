//! Telling what kind of text a person pasted (PROTOCOL 2.2, 9.9).

use super::limits::{MAX_DEPTH, MAX_TEXT};
use super::strict::{StrictError, strict_json};
use super::{Chad, ChadError, base64v, uri};
use serde_json::{Map, Value};
use std::fmt;

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TextKind {
    /// A ticket: token and address.
    Ticket,
    /// An invoice.
    Invoice,
    /// A user's own login ticket (`ticket`), which is no matter between sites.
    Login,
    /// A connection key (`conkey`).
    ConnectionKey,
    /// A signing key (`signkey`), or another JWK.
    SigningKey,
    /// A user record (`user`).
    User,
    /// A tally (`tally`).
    Tally,
    /// An address without a token.
    Address,
    /// A token without the address it belongs to.
    Token,
    /// A web link of another kind.
    Link,
    /// JSON of another kind.
    Json,
    /// Nothing at all.
    Empty,
    /// Something else.
    Unknown,
}

impl fmt::Display for TextKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TextKind::Ticket => "a ticket",
            TextKind::Invoice => "an invoice",
            TextKind::Login => "a user's login ticket",
            TextKind::ConnectionKey => "a connection key",
            TextKind::SigningKey => "a signing key (keep it to yourself)",
            TextKind::User => "a user record",
            TextKind::Tally => "a tally",
            TextKind::Address => "an address without a token",
            TextKind::Token => "a token without the address it belongs to",
            TextKind::Link => "a link of another kind",
            TextKind::Json => "JSON of another kind",
            TextKind::Empty => "an empty text",
            TextKind::Unknown => "a text of no known kind",
        })
    }
}

/// Why a pasted text cannot be used. The text itself is not repeated: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Something else was pasted.
    #[error("this is {found}; expected {expected}")]
    Kind {
        /// What it is.
        found: TextKind,
        /// What was expected, with an example.
        expected: &'static str,
    },
    /// A part is absent or malformed.
    #[error("{kind}: {part}: expected {expected}")]
    Part {
        /// What the text is.
        kind: TextKind,
        /// The part at fault.
        part: &'static str,
        /// What was expected, with an example.
        expected: &'static str,
    },
    /// The address in it is malformed.
    #[error("{kind}: {source}")]
    Chad {
        /// What the text is.
        kind: TextKind,
        /// What is wrong with the address.
        source: ChadError,
    },
    /// It begins like JSON and is none.
    #[error(transparent)]
    Json(#[from] StrictError),
    /// Longer than any of these texts.
    #[error("the text has {0} bytes, at most {MAX_TEXT} are read; was a whole file pasted?")]
    TooLong(usize),
}

/// A pasted text, taken apart.
pub(super) enum Pasted {
    /// The members, without their wrapping (`invite`, `pay`, ...).
    Members(TextKind, Map<String, Value>),
    /// An address, with its token where it has one.
    Address(Chad, Option<String>),
    /// The query of a link, decoded; a name twice counts once.
    Query(TextKind, Map<String, Value>),
    /// Anything else.
    Other(TextKind),
}

impl Pasted {
    /// Takes a text apart without judging its parts.
    pub fn read(text: &str) -> Result<Self, TextError> {
        let text = text.trim();
        if text.len() > MAX_TEXT {
            return Err(TextError::TooLong(text.len()));
        }
        if text.starts_with('{') {
            return Ok(unwrap_json(strict_json(text, MAX_DEPTH)?));
        }
        if text.starts_with("https://") || text.starts_with("http://") {
            return read_link(text);
        }
        match Chad::parse_with_token(text) {
            Ok((chad, token)) => Ok(Pasted::Address(chad, token)),
            Err(source) if text.starts_with("chip://") => Err(TextError::Chad { kind: TextKind::Address, source }),
            Err(_) if text.is_empty() => Ok(Pasted::Other(TextKind::Empty)),
            Err(_) if super::ticket::is_token(text) => Ok(Pasted::Other(TextKind::Token)),
            // Something with the marks of an address: say what is wrong with it.
            Err(source) if source.part != "address" && !text.contains(char::is_whitespace) => {
                Err(TextError::Chad { kind: TextKind::Address, source })
            }
            Err(_) => Ok(Pasted::Other(TextKind::Unknown)),
        }
    }

    /// What it is.
    pub fn kind(&self) -> TextKind {
        match self {
            Pasted::Members(kind, _) | Pasted::Query(kind, _) | Pasted::Other(kind) => *kind,
            Pasted::Address(_, Some(_)) => TextKind::Ticket,
            Pasted::Address(_, None) => TextKind::Address,
        }
    }
}

/// What kind of text this is; `None` where it is too long or malformed.
pub fn kind_of(text: &str) -> Option<TextKind> {
    Pasted::read(text).ok().map(|pasted| pasted.kind())
}

/// The names that wrap external forms, and what they hold.
const WRAPPINGS: [(&str, TextKind); 7] = [
    ("invite", TextKind::Ticket),
    ("pay", TextKind::Invoice),
    ("ticket", TextKind::Login),
    ("conkey", TextKind::ConnectionKey),
    ("signkey", TextKind::SigningKey),
    ("user", TextKind::User),
    ("tally", TextKind::Tally),
];

fn unwrap_json(value: Value) -> Pasted {
    let Value::Object(mut members) = value else { return Pasted::Other(TextKind::Json) };
    for (name, kind) in WRAPPINGS {
        if let Some(Value::Object(inner)) = members.get_mut(name) {
            return Pasted::Members(kind, std::mem::take(inner));
        }
    }
    let has = |name: &str| members.contains_key(name);
    let kind = match () {
        () if has("token") && has("chad") => TextKind::Ticket,
        () if has("kty") => TextKind::SigningKey,
        () if has("stock") && has("foil") => TextKind::Tally,
        () if has("agent") => TextKind::Address,
        () if has("chad") && has("public") => TextKind::User,
        () if has("chad") => TextKind::Invoice,
        () => TextKind::Json,
    };
    Pasted::Members(kind, members)
}

/// `https://host/kind?name=value&...`, or `https://host/kind?<base64url of the JSON>`.
fn read_link(text: &str) -> Result<Pasted, TextError> {
    let text = text.split_once('#').map_or(text, |(before, _)| before);
    let (place, query) = text.split_once('?').unwrap_or((text, ""));
    let last = place.trim_end_matches('/').rsplit_once('/').map_or("", |(_, last)| last);
    let kind = WRAPPINGS.iter().find(|(name, _)| *name == last).map_or(TextKind::Link, |(_, kind)| *kind);
    if !matches!(kind, TextKind::Ticket | TextKind::Invoice) {
        return Ok(Pasted::Other(kind));
    }
    let json = base64v::decode(query.trim_end_matches('=')).and_then(|bytes| String::from_utf8(bytes).ok());
    if let Some(json) = json.filter(|json| json.starts_with('{')) {
        return Ok(match unwrap_json(strict_json(&json, MAX_DEPTH)?) {
            // The link has said what it is.
            Pasted::Members(TextKind::Json, members) => Pasted::Members(kind, members),
            pasted => pasted,
        });
    }
    let mut members = Map::new();
    for (name, value) in uri::pairs(query) {
        let value = uri::decode(value).ok_or(TextError::Part {
            kind,
            part: "link",
            expected: "percent-encoded values, for example memo=Rye%20loaf; was the link cut off?",
        })?;
        members.insert(name.to_owned(), Value::from(value));
    }
    Ok(Pasted::Query(kind, members))
}

/// The address in unsigned members: an object, or its text form, or the object as text.
pub(super) fn external_chad(kind: TextKind, chad: Option<&Value>) -> Result<Chad, TextError> {
    const CHAD: &str = r#"the address, for example {"cuid":"bob","agent":"rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM","host":"localhost","port":65430}"#;
    let missing = || TextError::Part { kind, part: "chad", expected: CHAD };
    let chad = match chad {
        Some(Value::String(text)) if text.starts_with('{') => Chad::from_external(&strict_json(text, MAX_DEPTH)?),
        Some(Value::String(text)) => text.parse(),
        Some(value @ Value::Object(_)) => Chad::from_external(value),
        _ => return Err(missing()),
    };
    let chad = chad.map_err(|source| TextError::Chad { kind, source })?;
    match chad.cuid {
        Some(_) => Ok(chad),
        None => {
            Err(TextError::Part { kind, part: "chad.cuid", expected: "the user's name, for example \"cuid\":\"bob\"" })
        }
    }
}
