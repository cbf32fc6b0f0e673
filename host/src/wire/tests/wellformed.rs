//! Check 1 of PROTOCOL 3.1, case by case.

use super::envelopes::{AGENT, parse, parse_bytes, with, with_cbor};
use super::unhex;
use crate::wire::envelope::check_object;
use crate::wire::error::{Malformed, WireError};
use crate::wire::limits::MAX_NESTING;
use serde_json::Value;

#[test]
fn what_is_no_json_object_is_refused() {
    let cases: [(&[u8], Malformed); 14] = [
        (b"", Malformed::Syntax),
        (b"{", Malformed::Syntax),
        (b"[]", Malformed::Syntax),
        (b"\"x\"", Malformed::Syntax),
        (b"null", Malformed::Syntax),
        (b"{} {}", Malformed::Syntax),
        (b"{\"a\":1,}", Malformed::Syntax),
        (b"{\"a\":01}", Malformed::Syntax),
        (b"{\"a\":NaN}", Malformed::Syntax),
        (b"{'a':1}", Malformed::Syntax),
        (b"\xef\xbb\xbf{}", Malformed::Syntax),
        (b"{\"a\":\"\x01\"}", Malformed::Syntax),
        (b"{\"a\":\"\xff\"}", Malformed::Text),
        (b"{}", Malformed::Missing("target")),
    ];
    for (bytes, why) in cases {
        assert_eq!(parse_bytes(bytes), Err(why), "{}", bytes.escape_ascii());
    }
}

#[test]
fn members_named_twice_are_refused_at_any_depth() {
    for twice in [
        r#","target":"chit""#,
        r#","x":1,"x":1"#,
        r#","x":1,"\u0078":2"#,
        r#","object":{"a":1,"a":1}"#,
        r#","object":{"a":[{"b":{},"b":{}}]}"#,
        r#","unknown":{"a":1,"a":2}"#,
        r#","object":{"":1,"":1}"#,
    ] {
        assert_eq!(parse(&with(twice)), Err(Malformed::Duplicate), "{twice}");
    }
    let bob = format!(r#"{{"agent":"{AGENT}","agent":"{AGENT}"}}"#);
    let text = format!(r#"{{"target":"chit","action":"good","to":{bob},"from":{bob}}}"#);
    assert_eq!(parse(&text), Err(Malformed::Duplicate));
    // The same name in different objects is no duplicate.
    assert!(parse(&with(r#","object":{"a":{"a":1},"b":[{"a":1},{"a":1}]}"#)).is_ok());
    // Names that differ only in case, or in Unicode form, are different names.
    assert!(parse(&with(",\"x\":1,\"X\":1,\"\u{e9}\":1,\"e\u{301}\":1")).is_ok());
}

#[test]
fn a_duplicate_is_found_among_few_and_many_names() {
    for count in [2usize, 11, 12, 13, 24, 300, 2000] {
        let mut members: Vec<String> = (0..count).map(|n| format!("\"n{n}\":{n}")).collect();
        assert!(parse(&with(&format!(",\"object\":{{{}}}", members.join(",")))).is_ok(), "{count}");
        members.push(format!("\"n{}\":0", count / 2));
        assert_eq!(parse(&with(&format!(",\"object\":{{{}}}", members.join(",")))), Err(Malformed::Duplicate));
        // And in CBOR, which has its own count.
        let mut object = vec![0xbf];
        for n in (0..count).chain([count / 2]) {
            let name = format!("n{n}");
            object.push(0x60 | u8::try_from(name.len()).unwrap());
            object.extend_from_slice(name.as_bytes());
            object.push(0xf5);
        }
        object.push(0xff);
        assert_eq!(check_object(&object), Err(WireError::Malformed(Malformed::Duplicate)), "{count}");
    }
}

#[test]
fn unpaired_surrogates_are_refused_and_pairs_are_not() {
    for text in [r"\ud800", r"\udc00", r"\ud800x", r"\ud800\ud800", r"\udc00\ud800", r"x\udfff"] {
        assert_eq!(parse(&with(&format!(r#","memo":"{text}""#))), Err(Malformed::Text), "{text}");
        assert_eq!(parse(&with(&format!(r#","object":{{"{text}":1}}"#))), Err(Malformed::Text), "{text}");
    }
    let envelope = parse(&with(r#","tally":"\ud83d\ude00\u0000""#)).unwrap();
    assert_eq!(envelope.tally.as_deref(), Some("\u{1f600}\u{0}"));
}

/// `levels` nested containers, the message among them.
fn nested(levels: usize, open: &str, close: &str, inner: &str) -> String {
    with(&format!(r#","x":{}{inner}{}"#, open.repeat(levels - 1), close.repeat(levels - 1)))
}

#[test]
fn nesting_ends_at_level_32() {
    for (open, close, inner) in [("[", "]", ""), ("[", "]", "1"), (r#"{"a":"#, "}", "1"), ("[", "]", "\"x\"")] {
        assert!(parse(&nested(MAX_NESTING, open, close, inner)).is_ok(), "{open}");
        assert_eq!(parse(&nested(MAX_NESTING + 1, open, close, inner)), Err(Malformed::Depth), "{open}");
    }
    assert_eq!(parse(&nested(10_000, "[", "]", "")), Err(Malformed::Depth));
    // CBOR: 0x81 is an array of one.
    let deep = |levels: usize| parse_bytes(&with_cbor("x", &format!("{}80", "81".repeat(levels - 2)))).map(drop);
    assert_eq!(deep(MAX_NESTING), Ok(()));
    assert_eq!(deep(MAX_NESTING + 1), Err(Malformed::Depth));
    assert_eq!(deep(20_000), Err(Malformed::Depth));
    // An object counts from level 2.
    let object = |levels: usize| check_object(&unhex(&format!("{}a0", "a16161".repeat(levels - 1))));
    assert_eq!(object(MAX_NESTING - 1), Ok(()));
    assert_eq!(object(MAX_NESTING), Err(WireError::Malformed(Malformed::Depth)));
}

#[test]
fn numbers_that_a_double_does_not_hold_exactly_are_refused() {
    let object = |number: &str| parse(&with(&format!(r#","object":{{"n":{number}}}"#))).map(|e| e.object.unwrap());
    for good in ["9007199254740991", "-9007199254740991", "9007199254740991.0", "0.1", "-0.02", "5e-324", "1e15"] {
        assert!(object(good).is_ok(), "{good}");
    }
    for bad in [
        "9007199254740992",
        "-9007199254740992",
        "9007199254740992.0",
        "18446744073709551616",
        "1e16",
        "1e300",
        "1e999",
        "-1e999",
    ] {
        assert_eq!(object(bad), Err(Malformed::Number), "{bad}");
    }
    // CBOR: integers, then floats of 2, 4 and 8 bytes.
    let cbor = |value: &str| parse_bytes(&with_cbor("object", &format!("a1616e{value}"))).map(drop);
    for good in
        ["1b001fffffffffffff", "3b001ffffffffffffe", "f93c00", "fb433fffffffffffff", "f90001", "fb8000000000000000"]
    {
        assert_eq!(cbor(good), Ok(()), "{good}");
    }
    for bad in [
        "1b0020000000000000",
        "3b001fffffffffffff",
        "3bffffffffffffffff",
        "1bffffffffffffffff",
        "f97c00",
        "f97e00",
        "f9fc00",
        "fa7f800000",
        "fb7ff8000000000000",
        "fb4340000000000000",
        "fb7e37e43c8800759c",
    ] {
        assert_eq!(cbor(bad), Err(Malformed::Number), "{bad}");
    }
}

#[test]
fn integral_numbers_become_integers_however_written() {
    for (text, cbor) in
        [("1.0", "01"), ("1e2", "1864"), ("-0", "00"), ("-0.0", "00"), ("-1.0", "20"), ("25E-1", "f94100")]
    {
        let envelope = parse(&with(&format!(r#","object":{{"n":{text}}}"#))).unwrap();
        assert_eq!(envelope.object.unwrap(), unhex(&format!("a1616e{cbor}")), "{text}");
    }
}

/// The reading of decimal fractions must be exact, or signatures over them would break.
#[test]
fn decimal_fractions_are_read_to_the_nearest_double() {
    for number in [0.1_f64, 0.05, 1.0 / 3.0, 0.30000000000000004, 2.2250738585072014e-308, 123456.78901234567] {
        let envelope = parse(&with(&format!(r#","object":{{"n":{number:?}}}"#))).unwrap();
        let object: Value = ciborium::from_reader(&*envelope.object.unwrap()).unwrap();
        assert_eq!(object["n"].as_f64().map(f64::to_bits), Some(number.to_bits()));
    }
}

#[test]
fn cbor_without_counterpart_in_json_is_refused() {
    let value = |hex: &str| parse_bytes(&with_cbor("x", hex)).map(drop);
    for good in
        ["00", "f4", "f5", "f6", "60", "80", "a0", "9fff", "bfff", "9f01ff", "bf616101ff", "190001", "7803616263"]
    {
        assert_eq!(value(good), Ok(()), "{good}");
    }
    for (bad, why) in [
        ("c000", Malformed::Foreign),                   // tag
        ("c249010000000000000000", Malformed::Foreign), // big integer
        ("4161", Malformed::Foreign),                   // bytes
        ("5f4161ff", Malformed::Foreign),               // bytes in segments
        ("f7", Malformed::Foreign),                     // undefined
        ("e0", Malformed::Foreign),                     // unassigned simple value
        ("f820", Malformed::Foreign),                   // the same in two bytes
        ("7f6161ff", Malformed::Foreign),               // text in segments
        ("a10102", Malformed::Foreign),                 // a number for a name
        ("a1416102", Malformed::Foreign),               // bytes for a name
        ("bf7f6161ff01ff", Malformed::Foreign),         // a name in segments
        ("ff", Malformed::Syntax),                      // break without beginning
        ("a1ff", Malformed::Syntax),                    // break in a map of known length
        ("81ff", Malformed::Syntax),
        ("bf6161ffff", Malformed::Syntax),         // break for a value
        ("1c", Malformed::Syntax),                 // reserved
        ("9f01", Malformed::Syntax),               // no end
        ("6361", Malformed::Syntax),               // text longer than the message
        ("9bffffffffffffffff", Malformed::Syntax), // a length nobody has
        ("7bffffffffffffffff", Malformed::Syntax),
        ("bbffffffffffffffff", Malformed::Syntax),
        ("61ff", Malformed::Text),
        ("63eda080", Malformed::Text), // a surrogate in UTF-8
        ("62c0af", Malformed::Text),   // an overlong form
        ("a2616101616102", Malformed::Duplicate),
        ("a261610178016102", Malformed::Duplicate), // the same name with a longer head
    ] {
        assert_eq!(value(bad), Err(why), "{bad}");
    }
    let mut trailing = with_cbor("x", "00");
    trailing.push(0);
    assert_eq!(parse_bytes(&trailing), Err(Malformed::Syntax));
    for bytes in [&b"\xa0"[..], b"\xbf\xff"] {
        assert_eq!(parse_bytes(bytes), Err(Malformed::Missing("target")));
    }
}
