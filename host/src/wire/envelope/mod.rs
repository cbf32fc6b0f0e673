//! The message envelope (PROTOCOL 3.1), in JSON or CBOR (A.4).
//!
//! Inside this program objects travel as CBOR: of a CBOR message the object's bytes are validated
//! where they lie and handed on unparsed; a JSON message is transcoded first, and then read
//! in the same way, so that there is one reader of envelopes.
//!
//! ```
//! use tallyho::wire::{Encoding, Envelope};
//!
//! let to = "c0rNdSQWCuNySKumc-ht5ZRPKu5M7GqegBFu-jhzlrg";
//! let from = "rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM";
//! let json = format!(
//!     r#"{{"target":"chit","action":"good","to":{{"cuid":"alice","agent":"{to}"}},"from":{{"cuid":"bob","agent":"{from}"}},"object":{{"units":5}}}}"#
//! );
//! let envelope = Envelope::parse(json.as_bytes()).unwrap();
//! assert_eq!(envelope.object.as_deref(), Some(&b"\xa1\x65units\x05"[..]));
//!
//! let mut cbor = Vec::new();
//! envelope.encode(Encoding::Cbor, &mut cbor).unwrap();
//! assert_eq!(Envelope::parse(&cbor).unwrap(), envelope);
//! ```

mod address;
mod cbor;
mod json;
mod members;
mod proof;
mod write;

pub use address::{is_agent_id, is_cuid};
pub use cbor::{check_object, text_member};
pub use proof::{Authenticated, Unproven, authenticate, unproven};

use super::error::{Malformed, WireError};
use super::limits::MAX_MESSAGE;
use serde_json::Value;
use tallyho_plugin::record::Chad;

/// A message that has passed check 1 of PROTOCOL 3.1 and whose envelope fits. Who sent it is another
/// question: see [`authenticate`].
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// Subsystem: 1 to 64 bytes `[a-z0-9.-]`.
    pub target: String,
    /// Verb inside the subsystem: 1 to 64 bytes.
    pub action: String,
    /// Recipient, well-formed.
    pub to: Chad,
    /// Sender, well-formed; says nothing before [`authenticate`].
    pub from: Chad,
    /// The record: one CBOR map, validated ([`check_object`]), unparsed.
    pub object: Option<Vec<u8>>,
    /// Which tally a lift message runs over; any text.
    pub tally: Option<String>,
    /// The presented ticket, an object.
    pub ticket: Option<Value>,
    /// Member `try`: how often this was sent, says the sender. Diagnostic only.
    pub attempt: Option<u64>,
    /// When this copy was produced, says the sender. Diagnostic only.
    pub last: Option<String>,
    /// Extensions offered, in an opening message (PROTOCOL A.4).
    pub ext: Vec<String>,
    /// The number that receipts count (PROTOCOL A.4).
    pub mid: Option<u64>,
}

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// The protocol's own.
    Json,
    /// Where the extension `cbor` is in force.
    Cbor,
}

impl Encoding {
    /// What a message is written in. A CBOR map never begins with a byte that a JSON text can begin with.
    pub fn of(message: &[u8]) -> Self {
        match message.first() {
            Some(0xa0..=0xbf) => Encoding::Cbor,
            _ => Encoding::Json,
        }
    }
}

impl Envelope {
    /// An envelope with the required members alone.
    pub fn new(target: impl Into<String>, action: impl Into<String>, to: Chad, from: Chad) -> Self {
        Envelope {
            target: target.into(),
            action: action.into(),
            to,
            from,
            object: None,
            tally: None,
            ticket: None,
            attempt: None,
            last: None,
            ext: Vec::new(),
            mid: None,
        }
    }

    /// Reads a message: check 1 of PROTOCOL 3.1, and the members of the envelope. Unknown members are
    /// ignored, once they have passed check 1; a member that is null is absent.
    ///
    /// The members that only inform or concern extensions (`try`, `last`, `ext`, `mid`) count as absent where
    /// they are of another type.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(message: &[u8]) -> Result<Self, WireError> {
        if message.len() > MAX_MESSAGE {
            return Err(Malformed::TooLong.into());
        }
        Ok(match Encoding::of(message) {
            Encoding::Cbor => members::read(message)?,
            Encoding::Json => members::read(&json::to_cbor(message)?)?,
        })
    }

    /// Appends the message in the given encoding.
    ///
    /// # Errors
    /// `TooLong` above 65,519 bytes (above 65,439 the message does not fit an opening packet);
    /// `Malformed` where the object is no CBOR map of the permitted kind. Nothing is appended then.
    pub fn encode(&self, encoding: Encoding, out: &mut Vec<u8>) -> Result<(), WireError> {
        match encoding {
            Encoding::Json => self.encode_json(out),
            Encoding::Cbor => self.encode_cbor(out),
        }
    }

    /// Appends the message as JSON, the object transcoded.
    ///
    /// # Errors
    /// See [`encode`](Self::encode).
    pub fn encode_json(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        bounded(out, |out| write::json(self, out))
    }

    /// Appends the message as CBOR, the object's bytes as they are. They are not looked at: use
    /// [`check_object`] on what a handler made.
    ///
    /// # Errors
    /// See [`encode`](Self::encode).
    pub fn encode_cbor(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        bounded(out, |out| write::cbor(self, out))
    }
}

fn bounded(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<(), Malformed>) -> Result<(), WireError> {
    let start = out.len();
    let outcome = match write(out) {
        Err(why) => Err(why.into()),
        Ok(()) if out.len() - start > MAX_MESSAGE => {
            Err(WireError::TooLong { length: out.len() - start, limit: MAX_MESSAGE })
        }
        Ok(()) => Ok(()),
    };
    if outcome.is_err() {
        out.truncate(start);
    }
    outcome
}
