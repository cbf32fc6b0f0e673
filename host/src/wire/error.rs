//! What a peer, or a caller, did wrong on the wire.

use super::frame::Kind;

/// Why bytes were not taken, or could not be made. All but the last group are the peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Peer: a frame announces more than the longest packet (PROTOCOL A.1).
    #[error("frame of {0} bytes, at most 65,536 are allowed")]
    FrameTooLong(u32),
    /// Peer: a packet that its state does not take (PROTOCOL A.3).
    #[error("packet {got} while waiting for {wanted}")]
    WrongKind {
        /// What came.
        got: Kind,
        /// What the state takes.
        wanted: &'static str,
    },
    /// Peer: a handshake packet that does not open: forged, damaged, unencrypted, or meant for another key.
    #[error("handshake packet {0} does not open")]
    Handshake(Kind),
    /// Peer: the message in an opening packet exceeds 65,439 bytes (PROTOCOL 3.2).
    #[error("opening message of {0} bytes, at most 65,439 are allowed")]
    OpeningTooLong(usize),
    /// Peer: `N` does not carry an agent id, or one that is no key (PROTOCOL A.1).
    #[error("packet N names no agent")]
    Claim,
    /// Peer: a `T` that does not open (PROTOCOL A.2).
    #[error("message does not open with the channel's keys")]
    Transport,
    /// Nobody: a channel has used up its message numbers (2^64 - 1); dial again.
    #[error("the channel has used up its message numbers")]
    Exhausted,
    /// Peer: a message that fails check 1 of PROTOCOL 3.1, or whose envelope does not fit.
    #[error("malformed message: {0}")]
    Malformed(#[from] Malformed),
    /// Peer: `from.agent` is not the agent that the channel proved (PROTOCOL 3.1 check 3).
    #[error("from.agent is not the agent of this channel")]
    ForgedFrom,
    /// Peer: `to.agent` is not this site (PROTOCOL 3.1 check 4).
    #[error("to.agent is not this site")]
    NotForUs,
    /// An agent id that is no usable Ed25519 public key.
    #[error("the agent id is no usable key: 43 characters of base64url, a point of large order")]
    AgentId,
    /// Caller: a message to be sent exceeds what its packet can carry (PROTOCOL 3.2).
    #[error("message of {length} bytes to be sent, at most {limit} are allowed")]
    TooLong {
        /// Bytes of the message.
        length: usize,
        /// Bytes its packet can carry.
        limit: usize,
    },
    /// Bug or system: the handshake could not be carried out (no random bytes, a wrong call).
    #[error("the handshake could not be carried out: {0}")]
    Internal(&'static str),
}

/// What is wrong with a message (PROTOCOL 3.1 check 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Longer than 65,519 bytes.
    #[error("too long")]
    TooLong,
    /// Neither one JSON object nor one CBOR map.
    #[error("not one JSON object or CBOR map")]
    Syntax,
    /// Text that is not UTF-8, or an unpaired surrogate escape.
    #[error("text is not UTF-8")]
    Text,
    /// Two members of one name.
    #[error("duplicate member")]
    Duplicate,
    /// Nested more than 32 levels.
    #[error("nested too deeply")]
    Depth,
    /// A number that is not finite, or an integer beyond 2^53 - 1.
    #[error("number out of range")]
    Number,
    /// A CBOR item with no counterpart in JSON: tag, byte string, undefined, segmented text, a key
    /// that is no text.
    #[error("CBOR item without counterpart in JSON")]
    Foreign,
    /// A required member is absent.
    #[error("member {0} is missing")]
    Missing(&'static str),
    /// A member is of another type or breaks its rule.
    #[error("member {0} does not fit")]
    Member(&'static str),
}

impl WireError {
    /// Whether the channel must be closed. The others concern one message, which is dropped, and the
    /// channel stays (PROTOCOL 3.1).
    pub fn closes(&self) -> bool {
        !matches!(
            self,
            WireError::Malformed(_) | WireError::ForgedFrom | WireError::NotForUs | WireError::TooLong { .. }
        )
    }

    /// Whether the peer is to blame, so that it may cost the address a strike (PROTOCOL 2.5).
    pub fn is_peers_fault(&self) -> bool {
        !matches!(self, WireError::Exhausted | WireError::TooLong { .. } | WireError::Internal(_) | WireError::AgentId)
    }

    /// A short word for logs and counters.
    pub fn name(&self) -> &'static str {
        match self {
            WireError::FrameTooLong(_) => "frame-too-long",
            WireError::WrongKind { .. } => "wrong-kind",
            WireError::Handshake(_) => "handshake",
            WireError::OpeningTooLong(_) => "opening-too-long",
            WireError::Claim => "claim",
            WireError::Transport => "transport",
            WireError::Exhausted => "exhausted",
            WireError::Malformed(why) => why.name(),
            WireError::ForgedFrom => "forged-from",
            WireError::NotForUs => "not-for-us",
            WireError::AgentId => "agent-id",
            WireError::TooLong { .. } => "too-long-to-send",
            WireError::Internal(_) => "internal",
        }
    }
}

impl Malformed {
    /// A short word for logs and counters.
    pub fn name(&self) -> &'static str {
        match self {
            Malformed::TooLong => "too-long",
            Malformed::Syntax => "syntax",
            Malformed::Text => "text",
            Malformed::Duplicate => "duplicate",
            Malformed::Depth => "depth",
            Malformed::Number => "number",
            Malformed::Foreign => "foreign",
            Malformed::Missing(_) => "missing",
            Malformed::Member(_) => "member",
        }
    }
}
