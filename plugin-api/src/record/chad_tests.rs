//! Tests of `chad`.
#![allow(clippy::unwrap_used)]

use super::chad::*;
use proptest::prelude::*;
use serde_json::json;

const A: &str = "c0rNdSQWCuNySKumc-ht5ZRPKu5M7GqegBFu-jhzlrg";

fn read(text: &str) -> Chad {
    text.parse().unwrap()
}

fn part(text: &str) -> &'static str {
    text.parse::<Chad>().unwrap_err().part
}

#[test]
fn every_text_form_of_the_table_is_read_and_written() {
    let agent = AgentId::parse(A).unwrap();
    for (text, chad) in [
        (A.to_owned(), Chad::agent(agent.clone())),
        (format!("{A}@chips.example:7"), Chad::agent(agent.clone()).at("chips.example", 7)),
        (format!("bob:{A}"), Chad::user("bob", agent.clone())),
        (format!("bob:{A}@192.0.2.7:65430"), Chad::user("bob", agent.clone()).at("192.0.2.7", 65430)),
        (format!("b\u{f6}b+%.x:{A}@[2001:db8::7]:80"), Chad::user("b\u{f6}b+%.x", agent).at("2001:db8::7", 80)),
    ] {
        assert_eq!(read(&text), chad, "{text}");
        assert_eq!(chad.to_string(), text);
        assert_eq!(read(&chad.to_uri(None)), chad);
        assert_eq!(Chad::from_value(&chad.to_value()).unwrap(), chad);
    }
}

#[test]
fn a_uri_carries_a_token() {
    let chad = read(&format!("bob:{A}@localhost:65435"));
    let text = chad.to_uri(Some("a-_b"));
    assert_eq!(text, format!("chip://bob:{A}@localhost:65435?token=a-_b"));
    assert_eq!(Chad::parse_with_token(&text).unwrap(), (chad.clone(), Some("a-_b".to_owned())));
    let other = format!("chip://bob:{A}@localhost:65435?x=1&token=%61%2Fb");
    assert_eq!(Chad::parse_with_token(&other).unwrap(), (chad.clone(), Some("a/b".to_owned())));
    assert_eq!(Chad::parse_with_token(&chad.to_uri(None)).unwrap(), (chad, None));
}

#[test]
fn a_host_without_a_port_is_read_and_written_with_the_default_port() {
    let chad = read(&format!("bob:{A}@localhost"));
    assert_eq!((chad.host.as_deref(), chad.port), (Some("localhost"), None));
    assert_eq!(chad.to_string(), format!("bob:{A}@localhost:65430"));
    assert_eq!(read(&format!("{A}@[::1]")).host.as_deref(), Some("::1"));
}

#[test]
fn a_wrong_part_is_named_with_an_example() {
    for (text, expected) in [
        (format!("bob:{A}x"), "agent"),
        (format!("bob:{}", &A[1..]), "agent"),
        ("bob@site.example:80".to_owned(), "agent"),
        (format!("bob:{}h", &A[..42]), "agent"), // trailing bits not zero
        (format!(":{A}"), "cuid"),
        (format!("a b:{A}"), "cuid"),
        (format!("a/b:{A}"), "cuid"),
        (format!("a:b:{A}"), "cuid"),
        (format!("a@b:{A}@h:1"), "cuid"),
        (format!("{}:{A}", "x".repeat(65)), "cuid"),
        (format!("bob:{A}@:80"), "host"),
        (format!("bob:{A}@h h:80"), "host"),
        (format!("bob:{A}@::1:80"), "host"),
        (format!("bob:{A}@[x:1]:80"), "host"),
        (format!("bob:{A}@[::1]80"), "host"),
        (format!("bob:{A}@h:0"), "port"),
        (format!("bob:{A}@h:65536"), "port"),
        (format!("bob:{A}@h:+80"), "port"),
        (format!("bob:{A}@h:"), "port"),
        ("hello".to_owned(), "address"),
        (String::new(), "address"),
    ] {
        assert_eq!(part(&text), expected, "{text}");
    }
    let message = "bob:x".parse::<Chad>().unwrap_err().to_string();
    assert!(message.starts_with("agent \"x\": expected 43 characters"), "{message}");
    assert!(message.contains("for example rfqhPl-"), "{message}");
}

#[test]
fn the_cuid_may_have_64_bytes_of_any_other_text() {
    for cuid in ["x", "a.b+c-d_e~f%g", "\u{1f600}", "Bj\u{f6}rn", &"y".repeat(64)] {
        assert!(check_cuid(cuid).is_ok(), "{cuid}");
    }
    for cuid in ["", "a\u{a0}b", "a\tb", "a\u{7f}", "a#", "a?", &"\u{e9}".repeat(33)] {
        assert!(check_cuid(cuid).is_err(), "{cuid:?}");
    }
}

#[test]
fn the_same_party_may_have_moved() {
    let here = read(&format!("bob:{A}@h:1"));
    assert!(here.same_party(&read(&format!("bob:{A}@other:2"))));
    assert!(!here.same_party(&read(&format!("Bob:{A}@h:1"))));
    assert!(!here.same_party(&read(&format!("{A}@h:1"))));
    assert!(!here.same_party(&read("bob:rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM@h:1")));
    assert!(here.party().same_party(&here) && here.party().host.is_none());
}

#[test]
fn the_json_form_has_no_nulls_and_ignores_what_it_does_not_know() {
    let chad = Chad::user("bob", AgentId(A.to_owned()));
    assert_eq!(chad.to_value(), json!({"cuid":"bob","agent":A}));
    assert_eq!(serde_json::to_value(&chad).unwrap(), chad.to_value());
    let read = Chad::from_value(&json!({"cuid":"bob","agent":A,"host":null,"addr":"/ip4/1","x":1})).unwrap();
    assert_eq!(read, chad);
    for (value, part) in [
        (json!({"cuid":"bob"}), "agent"),
        (json!({"cuid":7,"agent":A}), "cuid"),
        (json!({"agent":A,"port":"80"}), "port"),
        (json!({"agent":A,"port":0}), "port"),
        (json!({"agent":A,"port":65536}), "port"),
        (json!({"agent":A,"host":""}), "host"),
        (json!("bob"), "address"),
    ] {
        assert_eq!(Chad::from_value(&value).unwrap_err().part, part, "{value}");
    }
}

#[test]
fn cid_is_read_in_unsigned_data_only() {
    let value = json!({"cid":"bob","agent":A});
    assert_eq!(Chad::from_external(&value).unwrap().cuid.as_deref(), Some("bob"));
    assert_eq!(Chad::from_value(&value).unwrap().cuid, None);
}

#[test]
fn one_key_has_one_id() {
    let agent = AgentId::parse(A).unwrap();
    assert_eq!(AgentId::from_bytes(&agent.to_bytes().unwrap()), agent);
    assert!(AgentId("short".to_owned()).to_bytes().is_err());
}

proptest! {
    #[test]
    fn every_address_comes_back_from_its_text(
        cuid in prop::option::of("[^:@/?#\\s\\p{C}]{1,16}"),
        key in any::<[u8; 32]>(),
        endpoint in prop::option::of((prop_oneof!["[a-z][a-z0-9.-]{0,20}", any::<std::net::Ipv6Addr>().prop_map(|ip| ip.to_string())], 1..=u16::MAX)),
    ) {
        let mut chad = Chad { cuid, agent: AgentId::from_bytes(&key), host: None, port: None };
        if let Some((host, port)) = endpoint {
            chad = chad.at(host, port);
        }
        prop_assume!(chad.check().is_ok());
        prop_assert_eq!(&read(&chad.to_string()), &chad);
        prop_assert_eq!(&read(&chad.to_uri(Some("t"))), &chad);
    }

    #[test]
    fn no_text_stops_the_reader(text in any::<String>()) {
        let _ = Chad::parse_with_token(&text);
    }
}
