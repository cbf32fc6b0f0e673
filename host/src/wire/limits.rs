//! Bounds of the wire, each with its reason.

/// Bytes of the length in front of every packet (PROTOCOL A.1).
pub const FRAME_HEADER: usize = 4;

/// Longest packet: the kind byte and the longest Noise message (PROTOCOL A.1).
pub const MAX_PACKET: usize = 1 + MAX_NOISE;

/// Longest Noise message (Noise specification, section 3).
pub const MAX_NOISE: usize = 65_535;

/// Bytes of the authentication tag behind every ciphertext.
pub const TAG: usize = 16;

/// Bytes of a key of either curve.
pub const KEY: usize = 32;

/// Longest message in a `T` packet: what one Noise message can carry (PROTOCOL 3.2).
pub const MAX_MESSAGE: usize = MAX_NOISE - TAG;

/// Longest message in an opening packet: what IK's first message leaves beside two keys and two
/// tags, and the same for the others (PROTOCOL 3.2).
pub const MAX_OPENING_MESSAGE: usize = MAX_NOISE - 2 * KEY - 2 * TAG;

/// Longest payload of an `A` packet: one Noise message less a key and a tag.
pub const MAX_ANSWER: usize = MAX_NOISE - KEY - TAG;

/// Deepest nesting of a message, the message itself being level 1 (PROTOCOL 3.1 check 1).
pub const MAX_NESTING: usize = 32;

/// Largest absolute value of an integer: what an IEEE double holds exactly (PROTOCOL 3.3 rule 4).
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Characters of an agent id (PROTOCOL 1.1).
pub const AGENT_ID: usize = 43;

/// Longest user name, bytes (PROTOCOL 1.1).
pub const MAX_CUID: usize = 64;

/// Longest host, bytes: the longest DNS name is 253, the longest IP literal shorter.
pub const MAX_HOST: usize = 255;

/// Longest target, bytes (PROTOCOL 3.1).
pub const MAX_TARGET: usize = 64;

/// Longest action, bytes. The protocol names none; handlers' verbs are words, and a longer one is
/// nobody's.
pub const MAX_ACTION: usize = 64;

/// Extension names read from an opening message or an answer; what comes behind them is not looked at.
/// This version knows two.
pub const MAX_EXTENSIONS: usize = 32;

/// Numbers named one by one in a receipt. More gaps than this are acknowledged by later receipts.
pub const MAX_RECEIPT_GAPS: usize = 1024;

/// Opening packets remembered against replay: at a hundred new channels a second the last two and a
/// half minutes, in about 2 MB.
pub const REPLAY_MEMORY: usize = 16_384;
