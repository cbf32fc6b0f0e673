//! The Noise patterns of PROTOCOL A.2, carried out by snow.
//!
//! The cipher and the random bytes come from ring and BLAKE2b from snow. The Diffie-Hellman function
//! is our own few lines over the same curve25519-dalek, because snow's accepts points of low
//! order, keeps private keys in memory after use, and computes a static public key anew for every
//! handshake.

use super::error::WireError;
use super::frame::Kind;
use super::keys::Identity;
use super::limits::{KEY, MAX_NOISE};
use curve25519_dalek::montgomery::MontgomeryPoint;
use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver, RingResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use std::sync::LazyLock;
use zeroize::{Zeroize, Zeroizing};

/// A handshake pattern.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pattern {
    /// Ticket: the responder is known, the initiator shows its static key.
    IK,
    /// Tally: both are known.
    KK,
    /// One way: the responder is known.
    N,
    /// Public: the responder is known, the initiator has no static key.
    NK,
}

/// Where the ephemeral key of a handshake comes from.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Ephemeral {
    /// The system's random bytes.
    #[default]
    Fresh,
    /// These bytes: drawn by an event that may be replayed, or fixed by test vectors.
    Given([u8; KEY]),
}

/// Begins a handshake towards the holder of a static key. The wire has no prologue (PROTOCOL A.2).
pub(super) fn initiate(
    pattern: Pattern,
    identity: Option<&Identity>,
    remote: &[u8; KEY],
    ephemeral: Ephemeral,
) -> Result<Box<HandshakeState>, WireError> {
    begin(pattern, identity, Some(remote), b"", ephemeral)
}

/// The same with a prologue.
pub(super) fn begin(
    pattern: Pattern,
    identity: Option<&Identity>,
    remote: Option<&[u8; KEY]>,
    prologue: &[u8],
    ephemeral: Ephemeral,
) -> Result<Box<HandshakeState>, WireError> {
    prepared(pattern, identity, remote, prologue, ephemeral)
        .and_then(Builder::build_initiator)
        .map(Box::new)
        .map_err(internal)
}

/// Begins a handshake as the one who was called; `remote` for KK.
pub(super) fn respond(
    pattern: Pattern,
    identity: &Identity,
    remote: Option<&[u8; KEY]>,
    ephemeral: Ephemeral,
) -> Result<Box<HandshakeState>, WireError> {
    answer(pattern, identity, remote, b"", ephemeral)
}

/// The same with a prologue.
pub(super) fn answer(
    pattern: Pattern,
    identity: &Identity,
    remote: Option<&[u8; KEY]>,
    prologue: &[u8],
    ephemeral: Ephemeral,
) -> Result<Box<HandshakeState>, WireError> {
    prepared(pattern, Some(identity), remote, prologue, ephemeral)
        .and_then(Builder::build_responder)
        .map(Box::new)
        .map_err(internal)
}

fn prepared<'b>(
    pattern: Pattern,
    identity: Option<&'b Identity>,
    remote: Option<&'b [u8; KEY]>,
    prologue: &'b [u8],
    ephemeral: Ephemeral,
) -> Result<Builder<'b>, snow::Error> {
    let mut builder = builder(pattern, ephemeral).prologue(prologue);
    if let Some(identity) = identity {
        builder = builder.and_then(|builder| builder.local_private_key(identity.pair()));
    }
    if let Some(remote) = remote {
        builder = builder.and_then(|builder| builder.remote_public_key(remote));
    }
    builder
}

/// Appends one handshake message as a frame; `overhead` is what it adds to the payload.
pub(super) fn write(
    noise: &mut HandshakeState,
    kind: Kind,
    payload: &[u8],
    overhead: usize,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    let length = payload.len() + overhead;
    super::frame::begin_frame(out, kind, length)?;
    let body = out.len();
    out.resize(body + length, 0);
    let written = noise.write_message(payload, &mut out[body..]).map_err(internal)?;
    debug_assert_eq!(written, length, "the overhead of a {kind} packet is {overhead}");
    Ok(())
}

/// Opens one handshake message.
pub(super) fn read(noise: &mut HandshakeState, kind: Kind, body: &[u8]) -> Result<Vec<u8>, WireError> {
    if body.len() > MAX_NOISE {
        return Err(WireError::Handshake(kind));
    }
    // As long as the body, so that ring need not copy it once more.
    let mut payload = vec![0; body.len()];
    let length = noise.read_message(body, &mut payload).map_err(|_| WireError::Handshake(kind))?;
    payload.truncate(length);
    Ok(payload)
}

fn builder<'b>(pattern: Pattern, ephemeral: Ephemeral) -> Builder<'b> {
    static PARAMS: LazyLock<[NoiseParams; 4]> = LazyLock::new(|| {
        ["IK", "KK", "N", "NK"].map(|pattern| {
            let name = format!("Noise_{pattern}_25519_ChaChaPoly_BLAKE2b");
            name.parse().unwrap_or_else(|error| unreachable!("snow knows {name}: {error}"))
        })
    });
    Builder::with_resolver(PARAMS[pattern as usize].clone(), Box::new(Resolver(ephemeral)))
}

pub(super) fn internal(error: snow::Error) -> WireError {
    match error {
        snow::Error::Rng => WireError::Internal("no random bytes"),
        snow::Error::Dh => WireError::Internal("the peer's key is of low order"),
        snow::Error::Input => WireError::Internal("message too long"),
        _ => WireError::Internal("wrong call of the Noise library"),
    }
}

/// Ring where it has the primitive, snow's own for BLAKE2b, ours for X25519.
struct Resolver(Ephemeral);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        match self.0 {
            Ephemeral::Fresh => RingResolver.resolve_rng(),
            Ephemeral::Given(key) => Some(Box::new(GivenRandom(Zeroizing::new(key)))),
        }
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        match choice {
            DHChoice::Curve25519 => Some(Box::<X25519>::default()),
            _ => None,
        }
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        RingResolver.resolve_cipher(choice)
    }
}

/// Random bytes that the caller has drawn: enough for one ephemeral key.
struct GivenRandom(Zeroizing<[u8; KEY]>);

impl Random for GivenRandom {
    fn try_fill_bytes(&mut self, destination: &mut [u8]) -> Result<(), snow::Error> {
        let key: &[u8] = &*self.0;
        match destination.len() {
            KEY => destination.copy_from_slice(key),
            _ => return Err(snow::Error::Rng),
        }
        Ok(())
    }
}

/// A key pair on curve 25519, wiped on drop.
#[derive(Default)]
struct X25519 {
    private: Zeroizing<[u8; KEY]>,
    public: [u8; KEY],
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        KEY
    }

    fn priv_len(&self) -> usize {
        KEY
    }

    /// Takes a private key, or a private key followed by its public key ([`Identity::pair`]), which
    /// spares computing the latter.
    fn set(&mut self, key: &[u8]) {
        let (private, public) = key.split_at(KEY);
        self.private.copy_from_slice(private);
        match public.try_into() {
            Ok(public) => self.public = public,
            Err(_) => self.public = MontgomeryPoint::mul_base_clamped(*self.private).to_bytes(),
        }
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), snow::Error> {
        random.try_fill_bytes(&mut *self.private)?;
        self.public = MontgomeryPoint::mul_base_clamped(*self.private).to_bytes();
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &*self.private
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let public = *public.first_chunk::<KEY>().ok_or(snow::Error::Dh)?;
        let mut shared = MontgomeryPoint(public).mul_clamped(*self.private).to_bytes();
        // A point of low order gives zero whatever the private key: it would prove nothing.
        let all = shared.iter().fold(0, |all, byte| all | byte);
        out[..KEY].copy_from_slice(&shared);
        shared.zeroize();
        if all == 0 { Err(snow::Error::Dh) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_point_of_low_order_proves_nothing_and_is_refused() {
        let order_8 = *b"\xe0\xeb\x7a\x7c\x3b\x41\xb8\xae\x16\x56\xe3\xfa\xf1\x9f\xc4\x6a\
            \xda\x09\x8d\xeb\x9c\x32\xb1\xfd\x86\x62\x05\x16\x5f\x49\xb8\x00";
        let mut one = [0; KEY];
        one[0] = 1;
        let mut own = X25519::default();
        own.set(&[7; KEY]);
        for point in [[0; KEY], one, order_8] {
            assert!(matches!(own.dh(&point, &mut [0; KEY]), Err(snow::Error::Dh)));
        }
        assert!(own.dh(&own.public, &mut [0; KEY]).is_ok());
    }

    #[test]
    fn a_handshake_with_a_low_order_ephemeral_is_refused_even_where_it_could_be_sealed() {
        // With a zero ephemeral all of N's keys are known to everybody: only the check stands.
        let bob = Identity::from_seed(&[2; KEY]);
        let mut noise = respond(Pattern::N, &bob, None, Ephemeral::Fresh).unwrap();
        let error = noise.read_message(&[0; KEY + 16], &mut [0; 64]).unwrap_err();
        assert_eq!(error, snow::Error::Dh);
    }

    #[test]
    fn a_pair_and_its_private_key_alone_set_the_same_key() {
        let identity = Identity::from_seed(&[1; KEY]);
        let (mut whole, mut half) = (X25519::default(), X25519::default());
        whole.set(identity.pair());
        half.set(&identity.pair()[..KEY]);
        assert_eq!(whole.public, half.public);
        assert_eq!(*whole.private, *half.private);
    }
}
