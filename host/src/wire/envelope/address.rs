//! The forms of PROTOCOL 1.1.

use crate::wire::limits::{AGENT_ID, MAX_CUID, MAX_HOST};

/// Whether this is an agent id in form: 43 characters of base64url that stand for 32 bytes in the one
/// canonical way. Whether it is a key shows when it is used as one.
pub fn is_agent_id(text: &str) -> bool {
    // 43 characters are 258 bits: the last two must be zero, or one key had four ids.
    let Some(last) = text.as_bytes().last() else { return false };
    text.len() == AGENT_ID
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        && b"AEIMQUYcgkosw048".contains(last)
}

/// Whether this may name a user: 1 to 64 bytes, none of `: @ / ? #`, no whitespace or control characters.
pub fn is_cuid(text: &str) -> bool {
    (1..=MAX_CUID).contains(&text.len()) && is_bare(text, b":@/?#")
}

/// Whether this may name a host: 1 to 255 bytes that leave the text forms of PROTOCOL 1.2 readable.
pub(super) fn is_host(text: &str) -> bool {
    (1..=MAX_HOST).contains(&text.len()) && is_bare(text, b"@/?#")
}

/// Whether a text has neither whitespace nor control characters nor any of these.
fn is_bare(text: &str, none_of: &[u8]) -> bool {
    if text.bytes().any(|byte| none_of.contains(&byte)) {
        return false;
    }
    if text.is_ascii() {
        return text.bytes().all(|byte| byte.is_ascii_graphic());
    }
    !text.contains(|character: char| character.is_whitespace() || character.is_control())
}
