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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_exactly_one_text() {
        assert_eq!(encode([0xfb, 0xff]), "-_8");
        assert_eq!(decode("-_8"), Some(vec![0xfb, 0xff]));
        for other in ["-_8=", "-_9", "+/8", "-_ 8", "-_8\n", "-_8A8"] {
            assert_eq!(decode(other), None, "{other:?}");
        }
    }

    #[test]
    fn an_array_takes_its_own_length_only() {
        let text = encode([7; 32]);
        assert_eq!(text.len(), 43);
        assert_eq!(decode_array::<32>(&text), Some([7; 32]));
        assert_eq!(decode_array::<31>(&text), None);
        assert_eq!(decode_array::<64>(&text), None);
        assert_eq!(decode_into(&text, &mut [0; 32]), Some(32));
        assert_eq!(decode_into(&text, &mut [0; 31]), None);
    }
}
