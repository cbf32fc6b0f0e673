//! What is wrong with a record, and by which clause.

use super::chad::ChadError;
use super::keys::KeyError;
use super::{CanonError, DateError};

/// A record that does not fit the protocol. Whoever wrote it is at fault: a peer, or the person
/// who handed it in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A member is absent or of the wrong kind.
    #[error("{member}: expected {expected}, found {found} (PROTOCOL {clause})")]
    Member {
        /// The way to the member, as in `stock.cert.chad`.
        member: String,
        /// What was expected.
        expected: &'static str,
        /// What stood there, shortened; `nothing` where it is absent.
        found: String,
        /// The clause broken.
        clause: &'static str,
    },
    /// A member that must not be there.
    #[error("{member}: not a member of this record, which could not be kept under its signature (PROTOCOL {clause})")]
    Unknown {
        /// The way to the member.
        member: String,
        /// The clause broken.
        clause: &'static str,
    },
    /// An address is malformed.
    #[error("{member}: {source} (PROTOCOL 1.1)")]
    Chad {
        /// The way to the address.
        member: String,
        /// What is wrong with it.
        source: ChadError,
    },
    /// An instant is malformed.
    #[error("{member}: {source}")]
    Date {
        /// The way to the instant.
        member: String,
        /// What is wrong with it.
        source: DateError,
    },
    /// A key cannot be used.
    #[error("{member}: {source}")]
    Key {
        /// The way to the key.
        member: String,
        /// What is wrong with it.
        source: KeyError,
    },
    /// Too many bytes in canonical form.
    #[error("{what} has {bytes} bytes in canonical form, at most {most} are allowed (PROTOCOL {clause})")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its canonical size.
        bytes: usize,
        /// The bound.
        most: usize,
        /// The clause broken.
        clause: &'static str,
    },
    /// A hash, a signature or an identity does not match what it stands for.
    #[error("{member}: does not match {with} (PROTOCOL {clause})")]
    Mismatch {
        /// The way to the member.
        member: String,
        /// What it was held against.
        with: &'static str,
        /// The clause broken.
        clause: &'static str,
    },
    /// No canonical string.
    #[error(transparent)]
    Canon(#[from] CanonError),
}
