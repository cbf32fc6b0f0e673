//! Records of the protocol, and the canonical form that hashes and signatures are taken over.

pub mod base64v;
pub mod canon;
pub mod cert;
pub mod chad;
pub mod date;
pub mod error;
pub mod invoice;
pub mod keys;
pub mod limits;
pub mod pasted;
mod shape;
#[cfg(feature = "crypto")]
pub mod signing;
#[cfg(all(test, feature = "crypto"))]
mod signing_tests;
pub mod strict;
pub mod tally;
#[cfg(test)]
mod tally_tests;
pub mod ticket;
pub mod uri;
#[cfg(test)]
mod vectors;
pub mod verified;

pub use canon::{CanonError, canonical, hash, hash_bytes, hash_text, integer};
pub use cert::Certificate;
pub use chad::{AgentId, Chad, ChadError};
pub use date::{DateError, Timestamp};
pub use error::RecordError;
pub use invoice::Invoice;
pub use keys::{KeyError, KeyKind, PublicKey};
pub use pasted::{TextError, TextKind};
pub use shape::{is_uuid, refuse_nulls};
pub use tally::{Side, TallyDraft, TallyRecord};
pub use ticket::TicketText;
pub use verified::Verified;
