//! Records of the protocol, and the canonical form that hashes and signatures are taken over.

pub mod base64v;
pub mod canon;
pub mod chad;
pub mod date;
pub mod keys;
pub mod limits;
#[cfg(feature = "crypto")]
pub mod signing;
#[cfg(all(test, feature = "crypto"))]
mod signing_tests;
pub mod strict;
pub mod uri;
#[cfg(test)]
mod vectors;

pub use canon::{CanonError, canonical, hash, hash_bytes, hash_text, integer};
pub use chad::{AgentId, Chad};
pub use date::Timestamp;
