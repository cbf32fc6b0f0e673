//! Records of the protocol, and the canonical form that hashes and signatures are taken over.

pub mod base64v;
pub mod canon;
pub mod cert;
pub mod chad;
#[cfg(test)]
mod chad_tests;
pub mod chit;
#[cfg(test)]
mod chit_tests;
pub mod date;
pub mod draft;
pub mod error;
pub mod invoice;
pub mod keys;
pub mod lift;
#[cfg(test)]
mod lift_tests;
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
pub use chit::{ChitDraft, ChitRecord, ChitType};
pub use date::{DateError, Timestamp};
pub use draft::{DraftHalf, TallyDraft};
pub use error::RecordError;
pub use invoice::Invoice;
pub use keys::{KeyError, KeyKind, PublicKey};
pub use lift::{Arrival, LiftCore, Pledge, Release};
pub use pasted::{TextError, TextKind};
pub use shape::{is_uuid, refuse_nulls};
pub use tally::{Side, TallyRecord};
pub use ticket::TicketText;
pub use verified::Verified;
