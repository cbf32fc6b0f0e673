//! base64v: base64url without padding, the one way bytes are written in records (PROTOCOL 3.3).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Writes bytes; 32 bytes become 43 characters, 64 become 86, 132 become 176.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads strictly: no padding, no blanks, and unused trailing bits zero, so that bytes have exactly
/// one text. `None` where the text is something else.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Reads exactly `N` bytes, strictly.
pub fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}

/// Reads strictly into a buffer of the caller's, for secrets; the number of bytes, or `None` where
/// the text is something else or the buffer too small.
pub fn decode_into(text: &str, buffer: &mut [u8]) -> Option<usize> {
    URL_SAFE_NO_PAD.decode_slice(text, buffer).ok()
}
