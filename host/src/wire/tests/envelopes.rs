//! Check 1 of PROTOCOL 3.1 and the members of an envelope, case by case.

use super::{address, alice, bob, unhex};
use crate::wire::envelope::{Encoding, Envelope, check_object, is_agent_id, is_cuid};
use crate::wire::error::{Malformed, WireError};
use crate::wire::limits::{MAX_MESSAGE, MAX_NESTING};
use serde_json::{Value, json};

const AGENT: &str = "c0rNdSQWCuNySKumc-ht5ZRPKu5M7GqegBFu-jhzlrg";

fn parse(text: &str) -> Result<Envelope, Malformed> {
    parse_bytes(text.as_bytes())
}

fn parse_bytes(bytes: &[u8]) -> Result<Envelope, Malformed> {
    Envelope::parse(bytes).map_err(|error| match error {
        WireError::Malformed(why) => {
            assert!(!error.closes(), "a malformed message does not close the channel");
            why
        }
        other => panic!("{other}"),
    })
}

/// A message whose envelope fits, with more members behind.
fn with(members: &str) -> String {
    format!(
        r#"{{"target":"chit","action":"good","to":{{"agent":"{AGENT}"}},"from":{{"agent":"{AGENT}","cuid":"bob"}}{members}}}"#
    )
}

/// The same with one member, in CBOR.
fn with_cbor(name: &str, value: &str) -> Vec<u8> {
    let mut message = Vec::new();
    parse(&with("")).unwrap().encode(Encoding::Cbor, &mut message).unwrap();
    assert_eq!(message[0], 0xa4);
    message[0] = 0xa5;
    message.push(0x60 | u8::try_from(name.len()).unwrap());
    message.extend_from_slice(name.as_bytes());
    message.extend(unhex(value));
    message
}

#[test]
fn all_members_are_read() {
    let text = format!(
        r#"{{"target":"tally","action":"ticket","to":{{"agent":"{AGENT}"}},
        "from":{{"cuid":"josé","agent":"{AGENT}","host":"localhost","port":65434,"addr":["x"],"more":1}},
        "object":{{"b":1,"a":[true,null,"x"]}},"tally":"9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55",
        "ticket":{{"token":"t","cert":{{}}}},"try":3,"last":"2021-11-04T09:30:00.500Z",
        "ext":["cbor","zip"],"mid":9007199254740991,"unknown":{{"deep":[1]}}}}"#
    );
    let envelope = parse(&text).unwrap();
    assert_eq!((envelope.target.as_str(), envelope.action.as_str()), ("tally", "ticket"));
    assert_eq!((envelope.to.agent.0.as_str(), envelope.to.cuid), (AGENT, None));
    assert_eq!(envelope.from.cuid.as_deref(), Some("josé"));
    assert_eq!((envelope.from.host.as_deref(), envelope.from.port), (Some("localhost"), Some(65434)));
    let object: Value = ciborium::from_reader(&*envelope.object.unwrap()).unwrap();
    assert_eq!(object, json!({"b": 1, "a": [true, null, "x"]}));
    assert_eq!(envelope.tally.as_deref(), Some("9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55"));
    assert_eq!(envelope.ticket, Some(json!({"token": "t", "cert": {}})));
    assert_eq!((envelope.attempt, envelope.last.as_deref()), (Some(3), Some("2021-11-04T09:30:00.500Z")));
    assert_eq!((envelope.ext, envelope.mid), (vec!["cbor".to_owned(), "zip".to_owned()], Some((1 << 53) - 1)));
}

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

#[test]
fn the_envelope_may_itself_be_of_indefinite_length() {
    let mut message = with_cbor("mid", "05");
    message[0] = 0xbf;
    message.push(0xff);
    assert_eq!(parse_bytes(&message).unwrap().mid, Some(5));
}

#[test]
fn required_members_are_required_and_of_their_type() {
    let whole: Value = serde_json::from_str(&with("")).unwrap();
    for name in ["target", "action", "to", "from"] {
        let mut without = whole.clone();
        without.as_object_mut().unwrap().remove(name);
        assert_eq!(parse(&without.to_string()), Err(Malformed::Missing(name)));
        let mut null = whole.clone();
        null[name] = Value::Null;
        assert_eq!(parse(&null.to_string()), Err(Malformed::Missing(name)), "null is absent");
        let mut number = whole.clone();
        number[name] = json!(1);
        assert_eq!(parse(&number.to_string()), Err(Malformed::Member(name)));
    }
    for name in ["object", "ticket"] {
        for wrong in ["[]", "1", "\"{}\"", "true"] {
            assert_eq!(parse(&with(&format!(",\"{name}\":{wrong}"))), Err(Malformed::Member(name)), "{wrong}");
        }
    }
    assert_eq!(parse(&with(",\"tally\":1")), Err(Malformed::Member("tally")));
}

#[test]
fn members_that_are_null_are_absent() {
    let nulls = r#","object":null,"tally":null,"ticket":null,"try":null,"last":null,"ext":null,"mid":null"#;
    assert_eq!(parse(&with(nulls)), parse(&with("")));
    let chad = format!(r#"{{"cuid":null,"agent":"{AGENT}","host":null,"port":null,"addr":null}}"#);
    let envelope = parse(&format!(r#"{{"target":"chit","action":"x","to":{chad},"from":{chad}}}"#)).unwrap();
    assert_eq!((envelope.to.cuid, envelope.to.host, envelope.to.port), (None, None, None));
    // Inside an object a null is content, and stays.
    let envelope = parse(&with(r#","object":{"memo":null}"#)).unwrap();
    assert_eq!(envelope.object.unwrap(), b"\xa1\x64memo\xf6");
}

#[test]
fn members_that_only_inform_count_as_absent_where_they_do_not_fit() {
    for (name, values) in [
        ("try", &["0", "-1", "1.5", "\"1\"", "{}"][..]),
        ("last", &["1", "[]", "{\"a\":[1]}"]),
        ("ext", &["\"cbor\"", "{}", "1", "[1,{},[\"cbor\"]]"]),
        ("mid", &["-1", "\"1\"", "0.5", "[1]"]),
    ] {
        for value in values {
            assert_eq!(parse(&with(&format!(",\"{name}\":{value}"))), parse(&with("")), "{name} {value}");
        }
    }
    // They have to pass check 1 all the same.
    assert_eq!(parse(&with(r#","last":{"a":1,"a":1}"#)), Err(Malformed::Duplicate));
    assert_eq!(parse(&with(r#","mid":9007199254740992"#)), Err(Malformed::Number));
    let many = format!(",\"ext\":[{}\"zip\"]", "\"zip\",".repeat(40));
    assert_eq!(parse(&with(&many)).unwrap().ext.len(), 32);
}

#[test]
fn targets_and_actions_are_words() {
    let message = |target: &str, action: &str| {
        parse(&with("").replace("\"chit\"", &json!(target).to_string()).replace("\"good\"", &json!(action).to_string()))
            .map(drop)
    };
    let longest = "a".repeat(64);
    for good in ["tally", "x", "my.own-target2", &longest] {
        assert_eq!(message(good, "x"), Ok(()), "{good}");
    }
    for bad in ["", "Tally", "a b", "a_b", "ä", "a/b", &"a".repeat(65)] {
        assert_eq!(message(bad, "x"), Err(Malformed::Member("target")), "{bad}");
    }
    assert_eq!(message("chit", &longest), Ok(()));
    assert_eq!(message("chit", ""), Err(Malformed::Member("action")));
    assert_eq!(message("chit", &"a".repeat(65)), Err(Malformed::Member("action")));
}

#[test]
fn addresses_keep_the_rules_of_the_protocol() {
    let message = |chad: Value| {
        let to = json!({"target": "chit", "action": "x", "to": chad, "from": {"agent": AGENT}});
        let from = json!({"target": "chit", "action": "x", "from": chad, "to": {"agent": AGENT}});
        let (to, from) = (parse(&to.to_string()), parse(&from.to_string()));
        assert_eq!(to.is_ok(), from.is_ok());
        match to {
            Ok(envelope) => Ok(envelope.to),
            Err(why) => {
                assert_eq!(why, Malformed::Member("to"));
                assert_eq!(from, Err(Malformed::Member("from")));
                Err(())
            }
        }
    };
    for cuid in ["a", "Alice", "josé", "a.b-c_d", &"x".repeat(64)] {
        assert!(message(json!({"agent": AGENT, "cuid": cuid})).is_ok(), "{cuid}");
    }
    let long = "é".repeat(33);
    for cuid in [
        "",
        "a:b",
        "a@b",
        "a/b",
        "a?b",
        "a#b",
        "a b",
        " a",
        "a\n",
        "a\u{0}",
        "a\u{7f}",
        "a\u{a0}b",
        "a\u{85}",
        "a\u{2028}",
        &long,
    ] {
        assert!(message(json!({"agent": AGENT, "cuid": cuid})).is_err(), "{cuid:?}");
    }
    for agent in [
        "",
        &AGENT[1..],
        &format!("{AGENT}A"),
        &AGENT.replace('-', "+"),
        &AGENT.replace("rg", "rh"),
        &format!("{AGENT}="),
    ] {
        assert!(message(json!({"agent": agent})).is_err(), "{agent}");
    }
    assert!(message(json!({"cuid": "alice"})).is_err(), "an address has an agent");
    assert!(message(json!({"agent": null})).is_err());
    for port in [json!(1), json!(65535), json!(65430.0)] {
        assert!(message(json!({"agent": AGENT, "port": port})).is_ok(), "{port}");
    }
    for port in [json!(0), json!(65536), json!(-1), json!(1.5), json!("65430"), json!([])] {
        assert!(message(json!({"agent": AGENT, "port": port})).is_err(), "{port}");
    }
    for host in ["localhost", "127.0.0.1", "::1", "[::1]", "münchen.example", &"h".repeat(255)] {
        assert!(message(json!({"agent": AGENT, "host": host})).is_ok(), "{host}");
    }
    for host in ["a b", "a/b", "a@b", "a\n", &"h".repeat(256)] {
        assert!(message(json!({"agent": AGENT, "host": host})).is_err(), "{host:?}");
    }
    assert_eq!(message(json!({"agent": AGENT, "host": ""})).unwrap().host, None, "an empty host is no hint");
}

#[test]
fn the_forms_of_names_can_be_asked_for() {
    assert!(is_agent_id(AGENT) && !is_agent_id("x") && !is_agent_id(""));
    assert!(is_cuid("alice") && !is_cuid("alice@home"));
}

#[test]
fn a_message_may_be_as_long_as_a_packet_and_no_longer() {
    let fill = |length: usize| with(&format!(",\"x\":\"{}\"", "y".repeat(length - with(",\"x\":\"\"").len())));
    assert_eq!(fill(MAX_MESSAGE).len(), MAX_MESSAGE);
    assert!(parse(&fill(MAX_MESSAGE)).is_ok());
    assert_eq!(parse(&fill(MAX_MESSAGE + 1)), Err(Malformed::TooLong));
}

#[test]
fn a_message_too_long_to_be_sent_is_refused_and_leaves_nothing() {
    let mut envelope = Envelope::new("chit", "good", address("bob", bob().agent()), address("alice", alice().agent()));
    // 0.1 takes 9 bytes in CBOR and 4 in JSON; a quote takes 1 and 2.
    let object = |value: &Value| {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).unwrap();
        Some(bytes)
    };
    envelope.object = object(&json!({"a": vec![0.1; 10_000]}));
    let mut out = b"before".to_vec();
    assert_eq!(envelope.encode(Encoding::Json, &mut out), Ok(()));
    out.truncate(6);
    assert!(matches!(envelope.encode(Encoding::Cbor, &mut out), Err(WireError::TooLong { limit: 65_519, .. })));
    assert_eq!(out, b"before");
    envelope.object = object(&json!({"a": "\"".repeat(40_000)}));
    assert!(matches!(envelope.encode(Encoding::Json, &mut out), Err(WireError::TooLong { limit: 65_519, .. })));
    assert_eq!(out, b"before");
    assert_eq!(envelope.encode(Encoding::Cbor, &mut out), Ok(()));
}

#[test]
fn an_object_that_no_peer_would_take_is_not_sent_as_json() {
    let mut envelope = Envelope::new("chit", "good", address("bob", bob().agent()), address("alice", alice().agent()));
    for (object, why) in [
        ("", Malformed::Syntax),
        ("01", Malformed::Member("object")),
        ("a0a0", Malformed::Syntax),
        ("a161614101", Malformed::Foreign),
        ("a161611b0020000000000000", Malformed::Number),
        ("a2616100616100", Malformed::Duplicate),
    ] {
        envelope.object = Some(unhex(object));
        let mut out = Vec::new();
        assert_eq!(envelope.encode(Encoding::Json, &mut out), Err(WireError::Malformed(why)), "{object}");
        assert!(out.is_empty());
        assert_eq!(check_object(&unhex(object)), Err(WireError::Malformed(why)), "{object}");
    }
    assert_eq!(check_object(b"\xa0"), Ok(()));
}

/// Messages as the JavaScript reference writes them.
#[test]
fn the_references_messages_are_read() {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/wire.json"));
    let vectors: Value = serde_json::from_str(text).unwrap();
    for pattern in ["IK", "KK"] {
        let payload = vectors["vectors"][pattern]["messages"][0]["payload_utf8"].as_str().unwrap();
        let envelope = parse(payload).unwrap();
        let mut again = Vec::new();
        envelope.encode(Encoding::Json, &mut again).unwrap();
        let (again, payload): (Value, Value) =
            (serde_json::from_slice(&again).unwrap(), serde_json::from_str(payload).unwrap());
        for member in ["target", "action", "to", "from", "object", "ticket"] {
            assert_eq!(again.get(member), payload.get(member), "{pattern} {member}");
        }
    }
}
