//! Those records of the released crate that the border carries.

pub mod base64v;
pub mod canon;
pub mod chad;
pub mod date;
pub mod limits;
pub mod uri;

pub use canon::{CanonError, canonical, hash, hash_bytes, hash_text, integer};
pub use chad::{AgentId, Chad, ChadError};
pub use date::{DateError, Timestamp};
