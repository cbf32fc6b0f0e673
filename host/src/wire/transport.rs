//! `T` packets: the transport keys of an open channel and their order (PROTOCOL A.2, A.3, O-63).
//!
//! The keys are held as bytes and expanded for each message (some 20 ns): an idle channel takes
//! about 150 bytes instead of ring's 1,100, and the bytes are wiped on drop.
//!
//! **Order of the keys.** By the Noise specification the initiator sends with the first split key. The
//! JavaScript reference exchanges the two. Who dials must know it (`peer set --compat mychips-js`); who is
//! called may learn it, from the first `T` it receives. Until then it should not send: its first own
//! message settles the Noise order, because a key must never serve both sides at once.

use super::error::WireError;
use super::frame::{Kind, Packet, begin_frame};
use super::limits::{FRAME_HEADER, KEY, MAX_MESSAGE, TAG};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use snow::HandshakeState;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Which side sends with the first split key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOrder {
    /// The initiator, as the Noise specification has it.
    Noise,
    /// The responder, as the JavaScript reference has it.
    Exchanged,
}

/// An open channel: seals and opens messages. It proves nothing by itself about who is behind it;
/// that is what the state it came from proved.
#[derive(Debug)]
pub struct Open {
    sealer: Sealer,
    opener: Opener,
}

/// The sending half of a channel.
pub struct Sealer {
    keys: Arc<Keys>,
    initiator: bool,
    sent: u64,
}

/// The receiving half of a channel.
pub struct Opener {
    keys: Arc<Keys>,
    initiator: bool,
    received: u64,
}

impl Open {
    pub(super) fn initiator(noise: &mut HandshakeState) -> Self {
        Self::new(noise, true)
    }

    pub(super) fn responder(noise: &mut HandshakeState) -> Self {
        Self::new(noise, false)
    }

    fn new(noise: &mut HandshakeState, initiator: bool) -> Self {
        let (first, second) = noise.dangerously_get_raw_split();
        let keys = Arc::new(Keys { first, second, order: AtomicU8::new(UNSETTLED) });
        Open {
            sealer: Sealer { keys: Arc::clone(&keys), initiator, sent: 0 },
            opener: Opener { keys, initiator, received: 0 },
        }
    }

    /// Fixes the order of the keys for a peer that is known to need it, before any `T`. Without effect
    /// once it is settled by a message.
    pub fn settle(&mut self, order: KeyOrder) {
        if self.sealer.sent == 0 && self.opener.received == 0 {
            self.sealer.keys.settle(order, true);
        }
    }

    /// The order of the keys; `None` on the called side until a message settles it.
    pub fn order(&self) -> Option<KeyOrder> {
        self.opener.order()
    }

    /// Appends a whole `T` frame with `message`.
    ///
    /// # Errors
    /// See [`Sealer::seal_into`].
    pub fn seal_into(&mut self, out: &mut Vec<u8>, message: &[u8]) -> Result<(), WireError> {
        self.sealer.seal_into(out, message)
    }

    /// Opens the body of a `T` packet where it lies.
    ///
    /// # Errors
    /// See [`Opener::open_in_place`].
    pub fn open_in_place<'b>(&mut self, body: &'b mut [u8]) -> Result<&'b mut [u8], WireError> {
        self.opener.open_in_place(body)
    }

    /// Takes any packet: the message of a `T`; `None` for other kinds, which an open channel ignores
    /// (PROTOCOL A.3).
    ///
    /// # Errors
    /// See [`Opener::open_in_place`].
    pub fn receive<'b>(&mut self, packet: Packet<'b>) -> Result<Option<&'b mut [u8]>, WireError> {
        match packet.kind {
            Kind::T => self.open_in_place(packet.body).map(Some),
            _ => Ok(None),
        }
    }

    /// Parts the channel, for two tasks.
    pub fn split(self) -> (Sealer, Opener) {
        (self.sealer, self.opener)
    }
}

impl Sealer {
    /// Appends a whole `T` frame with `message`. Where the order of keys is not settled, this
    /// settles the Noise order.
    ///
    /// # Errors
    /// `TooLong` above 65,519 bytes, nothing appended and no number used; `Exhausted` after
    /// 2^64 - 1 messages.
    pub fn seal_into(&mut self, out: &mut Vec<u8>, message: &[u8]) -> Result<(), WireError> {
        if message.len() > MAX_MESSAGE {
            return Err(WireError::TooLong { length: message.len(), limit: MAX_MESSAGE });
        }
        let nonce = nonce(self.sent)?;
        let order = self.keys.settle(KeyOrder::Noise, false);
        let key = cipher(self.keys.sent_by(self.initiator, order));
        let start = out.len();
        begin_frame(out, Kind::T, message.len() + TAG)?;
        out.extend_from_slice(message);
        let plain = &mut out[start + FRAME_HEADER + 1..];
        match key.seal_in_place_separate_tag(nonce, Aad::empty(), plain) {
            Ok(tag) => out.extend_from_slice(tag.as_ref()),
            Err(_) => {
                out[start..].zeroize();
                out.truncate(start);
                return Err(WireError::Internal("the cipher refused a message"));
            }
        }
        self.sent += 1;
        Ok(())
    }

    /// The order of the keys, once settled.
    pub fn order(&self) -> Option<KeyOrder> {
        self.keys.order()
    }
}

impl Opener {
    /// Opens the body of a `T` packet where it lies. On the called side the first one settles the order
    /// of the keys, if nothing has before.
    ///
    /// # Errors
    /// `Transport` where it does not open: close, the counters can never meet again; `Exhausted`.
    pub fn open_in_place<'b>(&mut self, body: &'b mut [u8]) -> Result<&'b mut [u8], WireError> {
        let order = self.keys.order();
        if body.len() < TAG {
            return Err(WireError::Transport);
        }
        if let Some(order) = order {
            return self.open_with(order, body);
        }
        // The cipher destroys what it cannot open, so the second try needs a copy.
        let mut copy = body.to_vec();
        let order = match self.try_open(KeyOrder::Noise, &mut copy) {
            Ok(_) => KeyOrder::Noise,
            Err(_) => KeyOrder::Exchanged,
        };
        copy.zeroize();
        self.open_with(order, body)
    }

    /// The order of the keys, once settled.
    pub fn order(&self) -> Option<KeyOrder> {
        self.keys.order()
    }

    /// The other order of the keys, where the first `T` of the channel, which did not open with the order
    /// in force, opens with that. `body` is the packet's as it came. The channel is beyond repair all
    /// the same, but the next one need not be.
    pub fn other_order(&self, body: &[u8]) -> Option<KeyOrder> {
        let other = match self.keys.order()? {
            KeyOrder::Noise => KeyOrder::Exchanged,
            KeyOrder::Exchanged => KeyOrder::Noise,
        };
        let mut copy = Zeroizing::new(body.to_vec());
        let opens = self.received == 0 && copy.len() >= TAG && self.try_open(other, &mut copy).is_ok();
        opens.then_some(other)
    }

    fn open_with<'b>(&mut self, order: KeyOrder, body: &'b mut [u8]) -> Result<&'b mut [u8], WireError> {
        let message = self.try_open(order, body)?;
        // A message of our own may have settled the other order meanwhile: the peer used a key of ours.
        if self.keys.settle(order, false) != order {
            return Err(WireError::Transport);
        }
        self.received += 1;
        Ok(message)
    }

    fn try_open<'b>(&self, order: KeyOrder, body: &'b mut [u8]) -> Result<&'b mut [u8], WireError> {
        let key = cipher(self.keys.sent_by(!self.initiator, order));
        key.open_in_place(nonce(self.received)?, Aad::empty(), body).map_err(|_| WireError::Transport)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("sent", &self.sent).field("order", &self.order()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("received", &self.received).field("order", &self.order()).finish_non_exhaustive()
    }
}

const UNSETTLED: u8 = 0;
const NOISE: u8 = 1;
const EXCHANGED: u8 = 2;

/// The two split keys, and which side uses which.
struct Keys {
    first: [u8; KEY],
    second: [u8; KEY],
    order: AtomicU8,
}

impl Keys {
    fn order(&self) -> Option<KeyOrder> {
        match self.order.load(Ordering::Acquire) {
            NOISE => Some(KeyOrder::Noise),
            EXCHANGED => Some(KeyOrder::Exchanged),
            _ => None,
        }
    }

    /// Fixes the order unless it is fixed already (or `anyway`); the order in force.
    fn settle(&self, order: KeyOrder, anyway: bool) -> KeyOrder {
        let value = match order {
            KeyOrder::Noise => NOISE,
            KeyOrder::Exchanged => EXCHANGED,
        };
        if anyway {
            self.order.store(value, Ordering::Release);
            return order;
        }
        match self.order.compare_exchange(UNSETTLED, value, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => order,
            Err(NOISE) => KeyOrder::Noise,
            Err(_) => KeyOrder::Exchanged,
        }
    }

    /// The key that a side sends with.
    fn sent_by(&self, initiator: bool, order: KeyOrder) -> &[u8; KEY] {
        if initiator == (order == KeyOrder::Noise) { &self.first } else { &self.second }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.first.zeroize();
        self.second.zeroize();
    }
}

impl ZeroizeOnDrop for Keys {}

fn cipher(key: &[u8; KEY]) -> LessSafeKey {
    match UnboundKey::new(&CHACHA20_POLY1305, key) {
        Ok(key) => LessSafeKey::new(key),
        Err(_) => unreachable!("ChaCha20-Poly1305 takes any 32 bytes as a key"),
    }
}

/// 4 zero bytes, then the counter, little-endian (PROTOCOL A.2). The last value is reserved by Noise.
fn nonce(counter: u64) -> Result<Nonce, WireError> {
    if counter == u64::MAX {
        return Err(WireError::Exhausted);
    }
    let mut bytes = [0; NONCE_LEN];
    bytes[NONCE_LEN - 8..].copy_from_slice(&counter.to_le_bytes());
    Ok(Nonce::assume_unique_for_key(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pair() -> (Open, Open) {
        let open = |initiator| {
            let keys = Arc::new(Keys { first: [1; KEY], second: [2; KEY], order: AtomicU8::new(NOISE) });
            let sealer = Sealer { keys: Arc::clone(&keys), initiator, sent: 0 };
            Open { sealer, opener: Opener { keys, initiator, received: 0 } }
        };
        (open(true), open(false))
    }

    #[test]
    fn the_last_number_is_never_used() {
        let (mut caller, mut called) = pair();
        caller.sealer.sent = u64::MAX - 1;
        called.opener.received = u64::MAX - 1;
        let mut frame = Vec::new();
        caller.seal_into(&mut frame, b"last").unwrap();
        assert_eq!(called.open_in_place(&mut frame[5..]).unwrap(), b"last");
        let length = frame.len();
        assert_eq!(caller.seal_into(&mut frame, b"one too many"), Err(WireError::Exhausted));
        assert_eq!(frame.len(), length);
        assert_eq!(called.open_in_place(&mut [0; 40]), Err(WireError::Exhausted));
    }

    #[test]
    fn a_body_shorter_than_its_tag_does_not_open() {
        let (_, mut called) = pair();
        for length in 0..=TAG {
            assert_eq!(called.open_in_place(&mut vec![0; length]), Err(WireError::Transport));
        }
    }

    #[test]
    fn both_sides_of_an_idle_channel_are_small() {
        assert!(size_of::<Open>() <= 48, "{}", size_of::<Open>());
        assert!(size_of::<Keys>() <= 72, "{}", size_of::<Keys>());
        assert!(size_of::<LessSafeKey>() > 500, "otherwise keys could as well be held expanded");
    }
}
