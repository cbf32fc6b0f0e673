//! The members of an envelope, case by case.

use super::{address, alice, bob, unhex};
use crate::wire::envelope::{Encoding, Envelope, check_object, is_agent_id, is_cuid, text_member};
use crate::wire::error::{Malformed, WireError};
use crate::wire::limits::MAX_MESSAGE;
use serde_json::{Value, json};

pub(super) const AGENT: &str = "c0rNdSQWCuNySKumc-ht5ZRPKu5M7GqegBFu-jhzlrg";

pub(super) fn parse(text: &str) -> Result<Envelope, Malformed> {
    parse_bytes(text.as_bytes())
}

pub(super) fn parse_bytes(bytes: &[u8]) -> Result<Envelope, Malformed> {
    Envelope::parse(bytes).map_err(|error| match error {
        WireError::Malformed(why) => {
            assert!(!error.closes(), "a malformed message does not close the channel");
            why
        }
        other => panic!("{other}"),
    })
}

/// A message whose envelope fits, with more members behind.
pub(super) fn with(members: &str) -> String {
    format!(
        r#"{{"target":"chit","action":"good","to":{{"agent":"{AGENT}"}},"from":{{"agent":"{AGENT}","cuid":"bob"}}{members}}}"#
    )
}

/// The same with one member, in CBOR.
pub(super) fn with_cbor(name: &str, value: &str) -> Vec<u8> {
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

#[test]
fn a_text_member_of_an_object_is_found_wherever_it_is() {
    let object = json!({ "a": { "tally": "inner" }, "list": [1, { "tally": 2 }], "tally": "this", "z": null });
    let mut bytes = Vec::new();
    ciborium::into_writer(&object, &mut bytes).unwrap();
    assert_eq!(text_member(&bytes, "tally"), Some("this"));
    assert_eq!(text_member(&bytes, "z"), None);
    assert_eq!(text_member(&bytes, "other"), None);
    // A map of indefinite length.
    assert_eq!(text_member(b"\xbf\x61a\x01\x61b\x61c\xff", "b"), Some("c"));
    assert_eq!(text_member(b"\xbf\x61a\x01\xff", "b"), None);
    assert_eq!(text_member(b"", "b"), None);
    assert_eq!(text_member(b"\xa2\x61a\x01", "b"), None);
}
