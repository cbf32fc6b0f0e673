//! Bytes and values that nobody honest sends.

use crate::context::to_cbor;
use serde_json::{Map, Value, json};

/// Levels of nesting: more than a reader of CBOR follows.
const DEEP: usize = 300;
/// Bytes of a long text: most of a message.
const LONG: usize = 60_000;
/// Members of a wide map, items of a long list.
const WIDE: usize = 5_000;

/// What is made of one honest body, with a name for each.
pub fn bodies(honest: &Value, members: &[&str]) -> Vec<(String, Vec<u8>)> {
    let mut found = bytes(honest);
    found.extend(values().into_iter().map(|(name, value)| (name.to_owned(), cbor(&value))));
    for member in members {
        for (name, value) in values() {
            found.push((format!("{member} is {name}"), cbor(&with(honest, member, Some(value)))));
        }
        found.push((format!("{member} is missing"), cbor(&with(honest, member, None))));
    }
    found
}

fn cbor(value: &Value) -> Vec<u8> {
    // JSON can always be expressed in CBOR.
    to_cbor(value).unwrap_or_default()
}

fn with(honest: &Value, member: &str, value: Option<Value>) -> Value {
    let mut members = honest.as_object().cloned().unwrap_or_default();
    match value {
        Some(value) => drop(members.insert(member.to_owned(), value)),
        None => drop(members.remove(member)),
    }
    Value::Object(members)
}

/// Values of every type, small, large and odd.
fn values() -> Vec<(&'static str, Value)> {
    let wide: Map<String, Value> = (0..WIDE).map(|n| (format!("m{n}"), json!(n))).collect();
    vec![
        ("null", Value::Null),
        ("true", json!(true)),
        ("nought", json!(0)),
        ("a negative number", json!(-1)),
        ("the least number", json!(i64::MIN)),
        ("the largest number", json!(u64::MAX)),
        ("a fraction", json!(1.5)),
        ("an empty text", json!("")),
        ("a word", json!("word")),
        ("control characters", json!("\0\u{1b}[2J\r\n\u{202e}\u{7f}")),
        ("a long text", json!("x".repeat(LONG))),
        ("an empty list", json!([])),
        ("a list of lists", json!([[], [[]], {}])),
        ("a long list", json!(vec![0; WIDE])),
        ("an empty map", json!({})),
        ("a map in a map", json!({ "": { "": {} } })),
        ("a wide map", Value::Object(wide)),
    ]
}

/// Bytes that are no CBOR, or none that JSON has.
fn bytes(honest: &Value) -> Vec<(String, Vec<u8>)> {
    let whole = cbor(honest);
    let mut deep = vec![0x81; DEEP];
    deep.push(0xf6);
    let mut twice = vec![0xa2];
    twice.extend([0x61, b'a', 0x01, 0x61, b'a', 0x02]);
    let mut found: Vec<(String, Vec<u8>)> = vec![
        ("no bytes".into(), Vec::new()),
        ("a list that ends early".into(), vec![0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("a text that ends early".into(), vec![0x7b, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, b'x']),
        ("a break".into(), vec![0xff]),
        ("a text that is no UTF-8".into(), vec![0x62, 0xff, 0xfe]),
        ("not a number".into(), vec![0xf9, 0x7e, 0x00]),
        ("infinity".into(), vec![0xfb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0]),
        ("a byte string".into(), vec![0x43, 1, 2, 3]),
        ("a tag".into(), vec![0xc2, 0x49, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("an endless list".into(), vec![0x9f, 0x01]),
        ("a map with a number for a key".into(), vec![0xa1, 0x01, 0x02]),
        ("a member twice".into(), twice),
        (format!("{DEEP} lists in each other"), deep),
        ("bytes behind the end".into(), [whole.as_slice(), &[0]].concat()),
    ];
    for cut in [whole.len() / 2, whole.len().saturating_sub(1)] {
        found.push((format!("cut off behind {cut} of {} bytes", whole.len()), whole[..cut].to_vec()));
    }
    found
}
