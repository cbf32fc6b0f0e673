//! Bytes to authenticated messages and back, without I/O (PROTOCOL 3, appendix A).
//!
//! Nothing here knows sockets, tasks or clocks: the caller brings bytes, and gets packets, states
//! and messages.
//!
//! | module | turns |
//! |---|---|
//! | [`frame`] | a byte stream into packets, and packets into bytes (A.1) |
//! | [`keys`] | an agent's key into its Noise key (1.4) |
//! | [`handshake`] | opening packets into an open channel; every state is a type (A.3) |
//! | [`transport`] | `T` packets into messages, in either order of the keys (A.2, A.3) |
//! | [`envelope`] | messages, JSON or CBOR, into checked envelopes and back (3.1) |
//! | [`ext`] | what two hosts of ours agree on beyond the protocol (A.4) |
//! | [`seal`] | a text into one that a certain agent alone can read, and back (9.1) |
//!
//! A message travels `FrameReader` → `Open::open_in_place` → `Envelope::parse` →
//! [`envelope::authenticate`], and only the last makes an [`Authenticated`] envelope.

#![forbid(unsafe_code)]

pub mod envelope;
pub mod error;
pub mod ext;
pub mod frame;
pub mod handshake;
pub mod keys;
pub mod limits;
mod noise;
pub mod seal;
pub mod transport;

#[cfg(test)]
mod tests;

pub use envelope::{Authenticated, Encoding, Envelope, Unproven};
pub use error::{Malformed, WireError};
pub use ext::{Extensions, Receipt};
pub use frame::{FrameReader, Kind, Packet};
pub use handshake::{AwaitingA, AwaitingK, Listening, Opening, ReplayMemory};
pub use keys::Identity;
pub use transport::{KeyOrder, Open};
