//! The canonical string, which every hash and signature is taken over (PROTOCOL 3.3).

use super::base64v;
use super::limits::MAX_INTEGER;
use serde_json::{Number, Value};
use sha2::{Digest, Sha256};

/// A value that has no canonical string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonError {
    /// An integer that other implementations would read as another one.
    #[error(
        "{place}: the integer {number} is beyond \u{b1}(2^53-1), where readers differ; use a smaller one (PROTOCOL 3.3)"
    )]
    Integer {
        /// Where, as in `ref.amounts[2]`; `value` for the value itself.
        place: String,
        /// The number as it would be written.
        number: String,
    },
    /// The writer failed: a bug of this program.
    #[error("no canonical string, which is a bug of this program: {0}")]
    Writer(String),
}

/// The canonical string of a value: members in UTF-16 order, no blanks, escapes only where JSON
/// demands them, numbers as ECMAScript writes them.
///
/// ```
/// use serde_json::json;
/// use tallyho_plugin::record::canonical;
/// assert_eq!(canonical(&json!({"b": [1.0, null], "a": "é/\n"})).unwrap(), r#"{"a":"é/\n","b":[1,null]}"#);
/// ```
///
/// # Errors
/// [`CanonError::Integer`] where a number that is written in digits alone goes beyond
/// [`MAX_INTEGER`] either way.
pub fn canonical(value: &Value) -> Result<String, CanonError> {
    check_integers(value, &mut Vec::new())?;
    serde_json_canonicalizer::to_string(value).map_err(|error| CanonError::Writer(error.to_string()))
}

/// SHA-256 of the canonical string in base64v, 43 characters.
///
/// # Errors
/// As for [`canonical`].
pub fn hash(value: &Value) -> Result<String, CanonError> {
    canonical(value).map(|text| hash_text(&text))
}

/// SHA-256 of a text's UTF-8 bytes in base64v.
pub fn hash_text(text: &str) -> String {
    base64v::encode(hash_bytes(text.as_bytes()))
}

/// SHA-256 as bytes.
pub fn hash_bytes(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The integer that a JSON number stands for: `7`, and also `7.0` and `7e0`, whose canonical form
/// is `7` too. `None` beyond [`MAX_INTEGER`] and for everything else.
pub fn integer(value: &Value) -> Option<i64> {
    let Value::Number(number) = value else { return None };
    let exact = match number.as_i64() {
        Some(exact) => exact,
        // Cast exactly: the double is whole and its size is below 2^53.
        None => number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= MAX_INTEGER as f64)? as i64,
    };
    (exact.unsigned_abs() <= MAX_INTEGER as u64).then_some(exact)
}

/// One step of the way to a value, for error messages.
enum Step<'a> {
    Member(&'a str),
    Item(usize),
}

fn check_integers<'a>(value: &'a Value, way: &mut Vec<Step<'a>>) -> Result<(), CanonError> {
    match value {
        Value::Number(number) if is_beyond(number) => {
            Err(CanonError::Integer { place: place(way), number: number.to_string() })
        }
        Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| {
            way.push(Step::Item(index));
            check_integers(item, way)?;
            way.pop();
            Ok(())
        }),
        Value::Object(members) => members.iter().try_for_each(|(name, member)| {
            way.push(Step::Member(name));
            check_integers(member, way)?;
            way.pop();
            Ok(())
        }),
        _ => Ok(()),
    }
}

/// Whether the number would be written in digits alone and stands beyond [`MAX_INTEGER`]. From 1e21
/// on, ECMAScript writes an exponent, which comes back as the same double everywhere.
fn is_beyond(number: &Number) -> bool {
    const EXPONENT_FROM: f64 = 1e21;
    match (number.as_i64(), number.as_u64()) {
        (Some(signed), _) => signed.unsigned_abs() > MAX_INTEGER as u64,
        (None, Some(_)) => true,
        (None, None) => number.as_f64().is_some_and(|float| {
            // Doubles from 2^53 on are whole.
            float.abs() > MAX_INTEGER as f64 && float.abs() < EXPONENT_FROM
        }),
    }
}

fn place(way: &[Step<'_>]) -> String {
    let mut text = String::new();
    for step in way {
        match step {
            Step::Member(name) if text.is_empty() => text.push_str(name),
            Step::Member(name) => {
                text.push('.');
                text.push_str(name);
            }
            Step::Item(index) => text.push_str(&format!("[{index}]")),
        }
    }
    if text.is_empty() { "value".to_owned() } else { text }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn canon(text: &str) -> String {
        canonical(&serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn members_are_sorted_by_utf16_code_unit_at_every_depth() {
        // U+10000 is D800 DC00 in UTF-16 and so stands before U+E000, though not in UTF-8.
        assert_eq!(
            canon("{\"\u{e000}\":1,\"\u{10000}\":2,\"a\":{\"z\":1,\"B\":2,\"\":3},\"aa\":4,\"\u{ffff}\":5}"),
            "{\"a\":{\"\":3,\"B\":2,\"z\":1},\"aa\":4,\"\u{10000}\":2,\"\u{e000}\":1,\"\u{ffff}\":5}"
        );
    }

    #[test]
    fn member_names_are_sorted_by_what_they_say_and_not_by_their_escapes() {
        assert_eq!(canon(r#"{"\\":1,"]":2,"\n":3,"\"":4,"!":5}"#), r#"{"\n":3,"!":5,"\"":4,"\\":1,"]":2}"#);
    }

    #[test]
    fn strings_are_escaped_only_where_json_demands_it() {
        assert_eq!(
            canon(
                "\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001f\\u001F \\\" \\\\ \\/ \\u007f \\u2028 \\u00e9 \u{1f600}\""
            ),
            "\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001f\\u001f \\\" \\\\ / \u{7f} \u{2028} \u{e9} \u{1f600}\""
        );
    }

    #[test]
    fn numbers_are_written_as_ecmascript_writes_them() {
        for (given, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("1.0", "1"),
            ("-7e0", "-7"),
            ("0.05", "0.05"),
            ("-0.02", "-0.02"),
            ("1e21", "1e+21"),
            ("1.5e300", "1.5e+300"),
            ("0.000001", "0.000001"),
            ("1e-7", "1e-7"),
            ("1.25e-7", "1.25e-7"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("0.1", "0.1"),
            ("0.30000000000000004", "0.30000000000000004"),
            ("333333333.33333329", "333333333.3333333"),
            ("9007199254740991", "9007199254740991"),
            ("-9007199254740991", "-9007199254740991"),
            ("9007199254740991.0", "9007199254740991"),
            ("4503599627370495.5", "4503599627370495.5"),
        ] {
            assert_eq!(canon(given), expected, "{given}");
        }
    }

    #[test]
    fn arrays_keep_their_order_and_literals_stand() {
        assert_eq!(canon("[ 3, 1, null, true, false, [ ], { } ]"), "[3,1,null,true,false,[],{}]");
    }

    #[test]
    fn integers_that_readers_would_round_are_refused_with_their_place() {
        for text in
            ["9007199254740992", "-9007199254740992", "9007199254740992.0", "1e17", "1e20", "18446744073709551615"]
        {
            let value: Value = serde_json::from_str(&format!("{{\"ref\":{{\"n\":[0,{text}]}}}}")).unwrap();
            match canonical(&value).unwrap_err() {
                CanonError::Integer { place, .. } => assert_eq!(place, "ref.n[1]"),
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn a_whole_number_is_an_integer_however_it_is_written() {
        for text in ["7", "7.0", "70e-1"] {
            assert_eq!(integer(&serde_json::from_str(text).unwrap()), Some(7));
        }
        for text in ["7.5", "\"7\"", "true", "null", "9007199254740992", "1e300", "18446744073709551615"] {
            assert_eq!(integer(&serde_json::from_str(text).unwrap()), None, "{text}");
        }
    }

    #[test]
    fn a_hash_is_sha256_in_base64v() {
        assert_eq!(hash_text(""), "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
        assert_eq!(hash(&json!({})).unwrap(), hash_text("{}"));
    }

    #[test]
    fn the_canonical_strings_and_hashes_of_the_vectors_come_out() {
        use crate::record::vectors::{text, vectors};
        for name in ["tally", "chit", "lift", "lift_chit"] {
            let string = canonical(&vectors()[name]).unwrap();
            assert_eq!(string, text(&format!("{name}_canon")));
            assert_eq!(hash_text(&string), text(&format!("{name}_hash")));
        }
        assert_eq!(canonical(&vectors()["pledge"]).unwrap(), text("pledge_canon"));
        for name in ["link", "link2"] {
            let string = text(&format!("{name}_canon"));
            assert_eq!(hash_text(string), text(&format!("{name}_hash")));
            assert_eq!(canon(string), string);
        }
    }

    fn numbers() -> impl Strategy<Value = Value> {
        prop_oneof![
            (-MAX_INTEGER..=MAX_INTEGER).prop_map(Value::from),
            any::<f64>().prop_filter_map("written in digits alone and too large", |float| {
                Number::from_f64(float).filter(|number| !is_beyond(number)).map(Value::Number)
            }),
        ]
    }

    pub(crate) fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            numbers(),
            any::<String>().prop_map(Value::from)
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn reading_a_canonical_string_and_writing_it_changes_nothing(value in values()) {
            let text = canonical(&value).unwrap();
            let back: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(canonical(&back).unwrap(), text);
        }

        #[test]
        fn a_record_that_travelled_in_cbor_has_the_same_canonical_string(value in values()) {
            let mut bytes = Vec::new();
            ciborium::into_writer(&value, &mut bytes).unwrap();
            let back: Value = ciborium::from_reader(bytes.as_slice()).unwrap();
            prop_assert_eq!(canonical(&back).unwrap(), canonical(&value).unwrap());
        }
    }
}
