//! Frames: `u32` big-endian length, then a packet: kind byte and body (PROTOCOL A.1).
//!
//! A reader works on the bytes where the caller received them: many connections can share one
//! receive buffer, and a connection owns memory only while a frame of its is torn.
//!
//! ```
//! use tallyho::wire::frame::{FrameReader, Kind, write_frame};
//!
//! let mut sent = Vec::new();
//! write_frame(&mut sent, Kind::T, b"ciphertext").unwrap();
//! let (first, second) = sent.split_at_mut(7);
//!
//! let mut reader = FrameReader::new();
//! assert!(reader.packets(first).next().unwrap().is_none());
//! assert_eq!(reader.held(), 7);
//! let mut packets = reader.packets(second);
//! let packet = packets.next().unwrap().unwrap();
//! assert_eq!((packet.kind, &*packet.body), (Kind::T, &b"ciphertext"[..]));
//! ```

use super::error::WireError;
use super::limits::{FRAME_HEADER, MAX_NOISE, MAX_PACKET};
use std::fmt;

/// The kind byte of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Opening by ticket: IK, first message.
    I,
    /// Announcement of the initiator's agent: one-way N.
    N,
    /// Opening by tally: KK, first message.
    K,
    /// Opening by anybody: NK, first message.
    R,
    /// The responder's answer: second handshake message.
    A,
    /// A transport message.
    T,
    /// None of the above: ignored in an open channel, closes otherwise (PROTOCOL A.3).
    Other(u8),
}

impl Kind {
    /// The kind that this byte means.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            b'I' => Kind::I,
            b'N' => Kind::N,
            b'K' => Kind::K,
            b'R' => Kind::R,
            b'A' => Kind::A,
            b'T' => Kind::T,
            other => Kind::Other(other),
        }
    }

    /// The byte on the wire.
    pub fn byte(self) -> u8 {
        match self {
            Kind::I => b'I',
            Kind::N => b'N',
            Kind::K => b'K',
            Kind::R => b'R',
            Kind::A => b'A',
            Kind::T => b'T',
            Kind::Other(other) => other,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.byte().escape_ascii())
    }
}

/// A packet, where it was received. The body may be decrypted in place.
#[derive(Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it is.
    pub kind: Kind,
    /// What follows the kind byte.
    pub body: &'a mut [u8],
}

/// Appends one frame.
///
/// # Errors
/// `TooLong` where the body exceeds a Noise message.
pub fn write_frame(out: &mut Vec<u8>, kind: Kind, body: &[u8]) -> Result<(), WireError> {
    begin_frame(out, kind, body.len())?;
    out.extend_from_slice(body);
    Ok(())
}

/// Appends a frame's length and kind byte; the caller appends `body` bytes next.
pub(super) fn begin_frame(out: &mut Vec<u8>, kind: Kind, body: usize) -> Result<(), WireError> {
    if body > MAX_NOISE {
        return Err(WireError::TooLong { length: body, limit: MAX_NOISE });
    }
    out.reserve(FRAME_HEADER + 1 + body);
    // At most MAX_PACKET, so it fits a u32.
    out.extend_from_slice(&(1 + body as u32).to_be_bytes());
    out.push(kind.byte());
    Ok(())
}

/// Takes a byte stream apart into packets, holding only what is not yet whole.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// Bytes received but not yet handed out. Without heap memory while empty.
    held: Vec<u8>,
}

impl FrameReader {
    /// A reader at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// The packets in `received`, which follows all bytes given before.
    ///
    /// What [`Packets::next`] has not handed out is kept when the [`Packets`] is dropped. So a caller
    /// may stop early, and go on later with `packets(&mut [])`; it then should not receive more
    /// before, as whole frames are held too.
    pub fn packets<'a>(&'a mut self, received: &'a mut [u8]) -> Packets<'a> {
        Packets { held: &mut self.held, held_at: 0, received, received_at: 0 }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.held.capacity()
    }

    /// Bytes held: 0 between frames, and then the reader owns no memory.
    pub fn held(&self) -> usize {
        self.held.len()
    }
}

/// Packets of one read; see [`FrameReader::packets`].
#[derive(Debug)]
pub struct Packets<'a> {
    held: &'a mut Vec<u8>,
    held_at: usize,
    received: &'a mut [u8],
    received_at: usize,
}

impl Packets<'_> {
    /// The next packet, or `None` when the bytes at hand end before it does. Empty frames are skipped.
    ///
    /// # Errors
    /// `FrameTooLong` as soon as such a length is seen; the stream is then beyond repair, and
    /// nothing of it is kept.
    // Not an iterator: a packet borrows the buffer only until the next one is asked for.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Packet<'_>>, WireError> {
        let body = loop {
            let found = if self.held_at < self.held.len() { self.next_held() } else { self.next_received() };
            match found {
                Ok(Some(packet)) if packet.is_empty() => {}
                Ok(Some(packet)) => break packet,
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.forget();
                    return Err(error);
                }
            }
        };
        let buffer = match body {
            Found::Held { from, to } => &mut self.held[from..to],
            Found::Received { from, to } => &mut self.received[from..to],
        };
        Ok(buffer.split_first_mut().map(|(kind, body)| Packet { kind: Kind::from_byte(*kind), body }))
    }

    /// Bytes not yet handed out, whole frames included.
    pub fn remaining(&self) -> usize {
        self.held.len() - self.held_at + self.received.len() - self.received_at
    }

    /// A packet that begins in held bytes: completes it from what was received.
    fn next_held(&mut self) -> Result<Option<Found>, WireError> {
        if !self.fill(FRAME_HEADER) {
            return Ok(None);
        }
        let from = self.held_at + FRAME_HEADER;
        let length = packet_length(&self.held[self.held_at..])?.unwrap_or_default();
        if !self.fill(FRAME_HEADER + length) {
            return Ok(None);
        }
        self.held_at = from + length;
        Ok(Some(Found::Held { from, to: from + length }))
    }

    /// A packet that begins in received bytes: handed out where it is, if whole.
    fn next_received(&mut self) -> Result<Option<Found>, WireError> {
        let rest = &self.received[self.received_at..];
        let Some(length) = packet_length(rest)? else { return Ok(None) };
        if rest.len() < FRAME_HEADER + length {
            return Ok(None);
        }
        let from = self.received_at + FRAME_HEADER;
        self.received_at = from + length;
        Ok(Some(Found::Received { from, to: from + length }))
    }

    /// Moves received bytes to the held ones until these are `wanted`; whether they are.
    fn fill(&mut self, wanted: usize) -> bool {
        let missing = wanted.saturating_sub(self.held.len() - self.held_at);
        let moved = missing.min(self.received.len() - self.received_at);
        self.held.extend_from_slice(&self.received[self.received_at..self.received_at + moved]);
        self.received_at += moved;
        moved == missing
    }

    fn forget(&mut self) {
        *self.held = Vec::new();
        self.held_at = 0;
        self.received_at = self.received.len();
    }
}

impl Drop for Packets<'_> {
    fn drop(&mut self) {
        if self.remaining() == 0 {
            // Gives the memory back: an idle connection holds none.
            *self.held = Vec::new();
            return;
        }
        self.held.drain(..self.held_at);
        self.held.extend_from_slice(&self.received[self.received_at..]);
    }
}

/// Where a packet lies.
enum Found {
    Held { from: usize, to: usize },
    Received { from: usize, to: usize },
}

impl Found {
    fn is_empty(&self) -> bool {
        let (Found::Held { from, to } | Found::Received { from, to }) = self;
        from == to
    }
}

/// The packet length at the beginning of `bytes`; `None` while there are too few.
fn packet_length(bytes: &[u8]) -> Result<Option<usize>, WireError> {
    let Some(header) = bytes.first_chunk::<FRAME_HEADER>() else { return Ok(None) };
    let length = u32::from_be_bytes(*header);
    match usize::try_from(length) {
        Ok(packet) if packet <= MAX_PACKET => Ok(Some(packet)),
        _ => Err(WireError::FrameTooLong(length)),
    }
}
