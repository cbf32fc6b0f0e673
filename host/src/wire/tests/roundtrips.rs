//! Whatever is written is read back the same, in either encoding.

use crate::wire::envelope::{Encoding, Envelope, check_object};
use crate::wire::error::WireError;
use proptest::prelude::*;
use serde_json::{Map, Number, Value};
use tallyho_plugin::record::{AgentId, Chad};

const LARGEST: i64 = (1 << 53) - 1;

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-LARGEST..=LARGEST).prop_map(Value::from),
        (-300i64..300).prop_map(Value::from),
        any::<f64>()
            .prop_filter("a number of JSON", |number| number.abs() <= LARGEST as f64)
            .prop_map(|number| Value::Number(Number::from_f64(number).unwrap())),
        (-1000i32..1000).prop_map(|hundredths| Value::from(f64::from(hundredths) / 100.0)),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,8}", any::<String>(), Just("\u{0}\"\\/\u{7f}\u{2028}😀".to_owned()), "x{250,270}"]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), number(), text().prop_map(Value::from),];
    leaf.prop_recursive(5, 60, 30, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..30).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..30)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(text(), value(), 0..10).prop_map(|members| Value::Object(members.into_iter().collect()))
}

fn chad() -> impl Strategy<Value = Chad> {
    let agent = prop::array::uniform32(any::<u8>()).prop_map(|key| {
        use base64::Engine;
        AgentId(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key))
    });
    let cuid = prop::option::of("[A-Za-zé0-9._-]{1,30}");
    let host = prop::option::of("[a-z0-9.-]{1,60}");
    (cuid, agent, host, prop::option::of(1u16..)).prop_map(|(cuid, agent, host, port)| Chad { cuid, agent, host, port })
}

prop_compose! {
    fn envelope()(
        target in "[a-z0-9.-]{1,64}",
        action in "\\PC{1,16}",
        (to, from) in (chad(), chad()),
        object in prop::option::of(object().prop_map(plain_cbor)),
        tally in prop::option::of(text()),
        ticket in prop::option::of(object().prop_map(canonical)),
        attempt in prop::option::of(1u64..1000),
        last in prop::option::of(text()),
        ext in prop::collection::vec(text(), 0..4),
        mid in prop::option::of(0..=LARGEST as u64),
    ) -> Envelope {
        Envelope { target, action, to, from, object, tally, ticket, attempt, last, ext, mid }
    }
}

/// Integral numbers as integers: the form in which canonical strings agree (PROTOCOL 3.3 rule 4).
fn canonical(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 => Value::from(float as i64),
            _ => Value::Number(number),
        },
        Value::Array(items) => Value::Array(items.into_iter().map(canonical).collect()),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (name, canonical(value))).collect())
        }
        other => other,
    }
}

/// How a writer of CBOR uses its freedom, as bytes say: longer heads, indefinite lengths, floats for integers.
struct Wild<'b>(std::slice::Iter<'b, u8>);

impl Wild<'_> {
    fn choose(&mut self, choices: u8) -> u8 {
        self.0.next().map_or(0, |byte| byte % choices)
    }
}

/// The form that ciborium writes, and we: the shortest of everything.
fn plain_cbor(value: Value) -> Vec<u8> {
    let mut out = Vec::new();
    ciborium::into_writer(&canonical(value), &mut out).unwrap();
    out
}

fn cbor(value: &Value, freedom: &mut Wild<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    put(value, freedom, &mut out);
    out
}

fn head(major: u8, argument: u64, freedom: &mut Wild<'_>, out: &mut Vec<u8>) {
    let shortest = match argument {
        0..24 => 0,
        24..0x100 => 1,
        0x100..0x1_0000 => 2,
        0x1_0000..0x1_0000_0000 => 3,
        _ => 4,
    };
    let bytes = argument.to_be_bytes();
    match (shortest + freedom.choose(3)).min(4) {
        0 => out.push(major << 5 | bytes[7]),
        1 => out.extend([major << 5 | 24, bytes[7]]),
        2 => out.extend([&[major << 5 | 25], &bytes[6..]].concat()),
        3 => out.extend([&[major << 5 | 26], &bytes[4..]].concat()),
        _ => out.extend([&[major << 5 | 27], &bytes[..]].concat()),
    }
}

fn put_text(text: &str, freedom: &mut Wild<'_>, out: &mut Vec<u8>) {
    head(3, text.len() as u64, freedom, out);
    out.extend_from_slice(text.as_bytes());
}

fn put(value: &Value, freedom: &mut Wild<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0xf6),
        Value::Bool(value) => out.push(if *value { 0xf5 } else { 0xf4 }),
        Value::String(text) => put_text(text, freedom, out),
        Value::Number(number) => {
            let float = number.as_f64().unwrap();
            if float.fract() != 0.0 || freedom.choose(4) == 1 {
                out.push(0xfb);
                out.extend(float.to_bits().to_be_bytes());
            } else {
                let integer = float as i64;
                match u64::try_from(integer) {
                    Ok(integer) => head(0, integer, freedom, out),
                    Err(_) => head(1, integer.unsigned_abs() - 1, freedom, out),
                }
            }
        }
        Value::Array(items) => {
            let indefinite = freedom.choose(2) == 1;
            if indefinite {
                out.push(0x9f)
            } else {
                head(4, items.len() as u64, freedom, out)
            }
            items.iter().for_each(|item| put(item, freedom, out));
            out.extend(indefinite.then_some(0xff));
        }
        Value::Object(members) => {
            let indefinite = freedom.choose(2) == 1;
            if indefinite {
                out.push(0xbf)
            } else {
                head(5, members.len() as u64, freedom, out)
            }
            for (name, value) in members {
                put_text(name, freedom, out);
                put(value, freedom, out);
            }
            out.extend(indefinite.then_some(0xff));
        }
    }
}

/// A message of bare members around an object given in JSON.
fn message(object: &Value) -> Vec<u8> {
    let agent = "A".repeat(43);
    format!(r#"{{"target":"chit","action":"good","to":{{"agent":"{agent}"}},"from":{{"agent":"{agent}"}},"object":{object}}}"#)
        .into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_is_parsed_the_same(envelope in envelope()) {
        for encoding in [Encoding::Json, Encoding::Cbor] {
            let mut bytes = Vec::new();
            match envelope.encode(encoding, &mut bytes) {
                Ok(()) => {
                    prop_assert_eq!(Encoding::of(&bytes), encoding);
                    prop_assert_eq!(&Envelope::parse(&bytes).unwrap(), &envelope);
                }
                Err(error) => prop_assert!(matches!(error, WireError::TooLong { .. }), "{error}"),
            }
        }
    }

    #[test]
    fn numbers_and_text_survive_json_to_cbor_to_json(object in object()) {
        let bytes = message(&object);
        prop_assume!(bytes.len() < 60_000);
        let envelope = Envelope::parse(&bytes).unwrap();
        let mut json = Vec::new();
        envelope.encode_json(&mut json).unwrap();
        let json: Value = serde_json::from_slice(&json).unwrap();
        prop_assert_eq!(&json["object"], &canonical(object.clone()));
        // What a handler reads with ciborium is the same again.
        let read: Value = ciborium::from_reader(envelope.object.as_deref().unwrap()).unwrap();
        prop_assert_eq!(read, canonical(object));
    }

    #[test]
    fn cbor_of_any_form_is_handed_on_readable(object in object(), freedom in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = cbor(&object, &mut Wild(freedom.iter()));
        prop_assert_eq!(check_object(&bytes), Ok(()));
        let read: Value = ciborium::from_reader(&*bytes).unwrap();
        prop_assert_eq!(canonical(read), canonical(object.clone()));
        let mut envelope = Envelope::parse(&message(&Value::Object(Map::new()))).unwrap();
        envelope.object = Some(bytes.clone());
        let mut whole = Vec::new();
        if envelope.encode_cbor(&mut whole).is_ok() {
            let parsed = Envelope::parse(&whole).unwrap();
            prop_assert_eq!(parsed.object, Some(bytes), "handed on as it came");
        }
        let mut json = Vec::new();
        if envelope.encode_json(&mut json).is_ok() {
            let json: Value = serde_json::from_slice(&json).unwrap();
            prop_assert_eq!(&json["object"], &canonical(object));
        }
    }

    #[test]
    fn parsing_arbitrary_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Envelope::parse(&bytes);
        let _ = check_object(&bytes);
        let mut map = vec![0xbf];
        map.extend_from_slice(&bytes);
        let _ = Envelope::parse(&map);
        let mut json = b"{\"object\":".to_vec();
        json.extend_from_slice(&bytes);
        let _ = Envelope::parse(&json);
    }

    #[test]
    fn parsing_arbitrary_text_never_panics(text in "[\\[\\]{}\",:0-9eE.+\\-tfn\\\\u ]{0,60}") {
        let _ = Envelope::parse(text.as_bytes());
        let _ = Envelope::parse(format!("{{{text}}}").as_bytes());
    }
}
