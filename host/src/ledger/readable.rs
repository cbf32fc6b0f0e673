//! Rows and answers as people can read them.

use super::limits::READABLE_BYTES;
use serde_json::{Value, json};
use std::fmt::Write;

/// Bytes as a value: CBOR decoded, where they are one whole item of it, also inside of byte strings; text
/// where they are that; else hexadecimal digits. More than [`READABLE_BYTES`] are cut off.
pub fn value(bytes: &[u8]) -> Value {
    if bytes.len() <= READABLE_BYTES
        && let Some(item) = item(bytes)
    {
        return readable(&item);
    }
    plain(bytes)
}

/// A row's key: text with its numbers, as most keys are; else hexadecimal digits.
pub fn key(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && !text.chars().any(char::is_control) => text.to_owned(),
        _ => hex(bytes),
    }
}

/// The one item that these bytes are.
fn item(bytes: &[u8]) -> Option<ciborium::Value> {
    let mut rest = bytes;
    let item = ciborium::from_reader(&mut rest).ok()?;
    rest.is_empty().then_some(item)
}

fn plain(bytes: &[u8]) -> Value {
    let (shown, more) = bytes.split_at(bytes.len().min(READABLE_BYTES));
    let more = match more.len() {
        0 => String::new(),
        more => format!("... and {more} bytes more"),
    };
    json!(format!("{}{more}", key(shown)))
}

fn readable(item: &ciborium::Value) -> Value {
    use ciborium::Value::{Array, Bool, Bytes, Float, Integer, Map, Tag, Text};
    match item {
        Integer(number) => {
            let number = i128::from(*number);
            let small = i64::try_from(number).map(Value::from);
            small.or_else(|_| u64::try_from(number).map(Value::from)).unwrap_or_else(|_| json!(number.to_string()))
        }
        // A record within a record; a short string of bytes that happens to be an item is none.
        Bytes(bytes) => match self::item(bytes) {
            Some(inner @ (Map(_) | Array(_))) => readable(&inner),
            _ => json!(hex(bytes)),
        },
        Float(number) => json!(number),
        Text(text) => json!(text),
        Bool(is) => json!(is),
        Tag(_, inner) => readable(inner),
        Array(items) => items.iter().map(readable).collect(),
        Map(members) => {
            let name = |key: &ciborium::Value| match readable(key) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            Value::Object(members.iter().map(|(key, value)| (name(key), readable(value))).collect())
        }
        _ => Value::Null,
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tallyho_plugin::context::to_cbor;

    #[test]
    fn a_record_is_shown_as_it_is_also_within_another() {
        let inner = to_cbor(&json!({ "units": 5 })).unwrap();
        let outer = ciborium::Value::Map(vec![
            (ciborium::Value::Text("object".into()), ciborium::Value::Bytes(inner)),
            (ciborium::Value::Integer(7.into()), ciborium::Value::Bytes(vec![0xff, 1])),
        ]);
        let mut bytes = Vec::new();
        ciborium::into_writer(&outer, &mut bytes).unwrap();
        assert_eq!(value(&bytes), json!({ "object": { "units": 5 }, "7": "ff01" }));
    }

    #[test]
    fn what_is_no_record_is_text_or_digits_and_not_without_end() {
        assert_eq!(value(b"\xff\x00"), json!("ff00"));
        assert_eq!(value(&to_cbor(&3).unwrap()), json!(3));
        assert_eq!((key(b"t1/0004").as_str(), key(&[0, 7]).as_str(), key(b"").as_str()), ("t1/0004", "0007", ""));
        let long = value(&vec![0xff; READABLE_BYTES + 3]);
        assert!(long.as_str().unwrap().ends_with("ff... and 3 bytes more"));
    }
}
