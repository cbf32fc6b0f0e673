//! Opening packets to open channels: each state is a type, consumed by its transition (PROTOCOL A.3).
//!
//! ```text
//! responder   Listening ─I─> TicketOffered ───────────────accept──> Open   (writes A)
//!             Listening ─N─> AwaitingK ─K─> KnownOffered ──accept──> Open   (writes A)
//!             Listening ─R─> PublicOffered ───────────────accept──> Open   (writes A)
//! initiator   dial_ticket (I), dial_known (N, K), dial_public (R) ──> AwaitingA ─A─> Open
//! ```
//!
//! An error in any transition ends the channel: close, without a byte to the peer, and count a strike
//! where [`WireError::is_peers_fault`](super::WireError::is_peers_fault). Refusing what is offered is dropping it.
//! Deadlines are the caller's: no state knows a clock.
//!
//! ```
//! use tallyho::wire::handshake::{Listening, Opening, dial_known};
//! use tallyho::wire::{FrameReader, Identity};
//!
//! let (alice, bob) = (Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32]));
//! let (mut sent, awaiting) = dial_known(&alice, bob.agent(), b"{}").unwrap();
//!
//! let mut reader = FrameReader::new();
//! let mut packets = reader.packets(&mut sent);
//! let n = packets.next().unwrap().unwrap();
//! let Opening::Claim(claim) = Listening::new().receive(&bob, n.kind, n.body).unwrap() else { panic!() };
//! assert_eq!(claim.claimed(), alice.agent());
//! let k = packets.next().unwrap().unwrap();
//! let offered = claim.receive(&bob, k.kind, k.body).unwrap();
//! assert_eq!((offered.agent(), offered.payload()), (alice.agent(), &b"{}"[..]));
//! let (mut answer, mut bobs) = offered.accept(b"").unwrap();
//!
//! let mut reader = FrameReader::new();
//! let mut packets = reader.packets(&mut answer);
//! let a = packets.next().unwrap().unwrap();
//! let (mut alices, payload) = awaiting.receive(a.kind, a.body).unwrap();
//! assert!(payload.is_empty());
//! # let mut t = Vec::new();
//! # alices.seal_into(&mut t, b"hello").unwrap();
//! # assert_eq!(bobs.open_in_place(&mut t[5..]).unwrap(), b"hello");
//! ```

mod initiator;
mod replay;
mod responder;

pub use initiator::{AwaitingA, dial_known, dial_public, dial_ticket};
pub use replay::{ReplayMemory, opening_ephemeral};
pub use responder::{AwaitingK, KnownOffered, Listening, Opening, PublicOffered, TicketOffered};

#[cfg(test)]
pub(super) use initiator::{dial_known_with, dial_with};

/// What a handshake message adds to its payload: `I` carries two keys and two tags.
const OVERHEAD_I: usize = 2 * super::limits::KEY + 2 * super::limits::TAG;

/// What a handshake message adds to its payload: `N`, `K`, `R` and `A` carry one key and one tag.
const OVERHEAD: usize = super::limits::KEY + super::limits::TAG;
