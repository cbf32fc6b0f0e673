//! Records of the protocol, and the canonical form that hashes and signatures are taken over.

pub mod base64v;
pub mod canon;
pub mod chad;
pub mod date;
pub mod limits;
pub mod strict;
pub mod uri;

pub use canon::{CanonError, canonical, hash, hash_bytes, hash_text, integer};
pub use chad::{AgentId, Chad};
pub use date::Timestamp;
