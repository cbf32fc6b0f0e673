//! Instants.

use serde::{Deserialize, Serialize};

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This many milliseconds later, at most the largest instant.
    #[must_use]
    pub fn plus(self, milliseconds: i64) -> Self {
        Timestamp(self.0.saturating_add(milliseconds))
    }
}
