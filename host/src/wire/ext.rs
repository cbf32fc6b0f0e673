//! What two hosts of ours agree on beyond the protocol (PROTOCOL A.4).
//!
//! The initiator lists what it can do in the member `ext` of its opening message; the responder answers
//! in the payload of `A` with the subset that is in force from then on.

use super::envelope::{Encoding, Envelope};
use super::error::Malformed;
use super::limits::{MAX_INTEGER, MAX_RECEIPT_GAPS};
use serde::{Deserialize, Serialize};
use tallyho_plugin::record::Chad;

/// A set of the extensions that this version knows. None by default: the protocol as others speak it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extensions {
    /// Messages may be CBOR.
    pub cbor: bool,
    /// Messages carry numbers and are acknowledged.
    pub receipt: bool,
}

impl Extensions {
    /// All that this version knows.
    pub const ALL: Extensions = Extensions { cbor: true, receipt: true };

    /// No extension.
    pub const NONE: Extensions = Extensions { cbor: false, receipt: false };

    /// What an opening message offers; unknown names are ignored.
    pub fn offered(opening: &Envelope) -> Self {
        Self::named(&opening.ext)
    }

    /// The extensions in both sets.
    #[must_use]
    pub fn and(self, other: Extensions) -> Self {
        Extensions { cbor: self.cbor && other.cbor, receipt: self.receipt && other.receipt }
    }

    /// Their names, for [`Envelope::ext`] of an opening message.
    pub fn names(self) -> Vec<String> {
        self.words().map(str::to_owned).collect()
    }

    /// The payload of `A` which puts these in force: `{"ext":[...],"v":1}`; empty for none, as every
    /// peer expects.
    pub fn answer(self) -> Vec<u8> {
        if self == Self::NONE {
            return Vec::new();
        }
        let words: Vec<String> = self.words().map(|word| format!("\"{word}\"")).collect();
        format!("{{\"ext\":[{}],\"v\":{ANSWER_VERSION}}}", words.join(",")).into_bytes()
    }

    /// What is in force after an answer, for the one who has offered `self`. An answer that is not
    /// understood puts nothing in force.
    #[must_use]
    pub fn in_force(self, answer: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Answer {
            ext: Vec<String>,
            v: u64,
        }
        match serde_json::from_slice::<Answer>(answer) {
            Ok(answer) if answer.v == ANSWER_VERSION => Self::named(&answer.ext).and(self),
            _ => Self::NONE,
        }
    }

    /// How messages are written.
    pub fn encoding(self) -> Encoding {
        if self.cbor { Encoding::Cbor } else { Encoding::Json }
    }

    fn named(names: &[String]) -> Self {
        let has = |word| names.iter().any(|name| name == word);
        Extensions { cbor: has(CBOR), receipt: has(RECEIPT) }
    }

    fn words(self) -> impl Iterator<Item = &'static str> {
        [(self.cbor, CBOR), (self.receipt, RECEIPT)].into_iter().filter(|(has, _)| *has).map(|(_, word)| word)
    }
}

const CBOR: &str = "cbor";
const RECEIPT: &str = "receipt";

/// Member `v` of an answer.
const ANSWER_VERSION: u64 = 1;

/// Target of messages between hosts.
pub const HOST: &str = "host";

/// Which messages have been committed by their receiver.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Receipt {
    /// All up to and including this number; 0 for none.
    pub upto: u64,
    /// And these, each above `upto`; at most 1,024.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<u64>,
}

impl Receipt {
    /// Whether it acknowledges this number.
    pub fn covers(&self, mid: u64) -> bool {
        mid <= self.upto || self.also.contains(&mid)
    }

    /// The message that carries it. Gaps beyond 1,024 are left to a later receipt.
    pub fn message(&self, to: Chad, from: Chad) -> Envelope {
        let also = self.also.iter().copied().take(MAX_RECEIPT_GAPS).collect();
        let mut object = Vec::new();
        let written = ciborium::into_writer(&Receipt { upto: self.upto, also }, &mut object);
        debug_assert!(written.is_ok(), "two members of integers can always be written");
        let mut envelope = Envelope::new(HOST, RECEIPT, to, from);
        envelope.object = Some(object);
        envelope
    }

    /// Whether a message is meant as a receipt.
    pub fn is_one(envelope: &Envelope) -> bool {
        envelope.target == HOST && envelope.action == RECEIPT
    }

    /// The receipt that a message carries.
    ///
    /// # Errors
    /// [`Malformed`] where the object is of another shape.
    pub fn read(envelope: &Envelope) -> Result<Self, Malformed> {
        let object = envelope.object.as_deref().ok_or(Malformed::Missing("object"))?;
        let receipt: Receipt = ciborium::from_reader(object).map_err(|_| Malformed::Member("object"))?;
        let fits = receipt.upto <= MAX_INTEGER
            && receipt.also.len() <= MAX_RECEIPT_GAPS
            && receipt.also.iter().all(|mid| (receipt.upto + 1..=MAX_INTEGER).contains(mid));
        if fits { Ok(receipt) } else { Err(Malformed::Member("object")) }
    }
}
