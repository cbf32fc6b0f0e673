//! Proof that signatures were checked.

/// A record whose signatures stand. Only the checks of the records themselves make one, so that a
/// function that needs them checked can ask for it in its type.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub(super) fn new(record: T) -> Self {
        Verified(record)
    }

    /// The record, without the proof.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
