//! Records of the protocol, and the canonical form that hashes and signatures are taken over.

pub mod chad;
pub mod date;

pub use chad::{AgentId, Chad};
pub use date::Timestamp;
