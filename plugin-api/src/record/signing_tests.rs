//! Tests of `signing`, with the signatures of the vectors.
#![allow(clippy::unwrap_used)]

use super::keys::{KeyError, KeyKind, PublicKey};
use super::signing::*;
use super::vectors::{text, vectors};
use super::{AgentId, base64v};
use crate::services::{Check, CheckKey};
use serde_json::{Value, json};

fn user_check(jwk: &Value, text: &str, signature: &str) -> Check {
    Check { key: CheckKey::User(jwk.to_string()), text: text.into(), signature: signature.to_owned() }
}

fn agent_check(agent: &str, text: &str, signature: &str) -> Check {
    Check { key: CheckKey::Agent(AgentId(agent.to_owned())), text: text.into(), signature: signature.to_owned() }
}

fn jwk(user: &str) -> &'static Value {
    &vectors()["users"][user]["jwk"]
}

fn agent(name: &str) -> &'static str {
    vectors()["agents"][name]["id"].as_str().unwrap()
}

/// Every signature of the vectors with its key and text.
fn checks() -> Vec<Check> {
    let tally = |side: &str| vectors()["tally_sign"][side].as_str().unwrap();
    vec![
        user_check(jwk("alice"), text("tally_canon"), tally("stock")),
        user_check(jwk("bob"), text("tally_canon"), tally("foil")),
        user_check(jwk("bob"), text("chit_canon"), text("chit_sign")),
        agent_check(agent("R"), text("good_canon"), text("good_sign")),
        agent_check(agent("R"), text("void_canon"), text("void_sign")),
        agent_check(agent("A"), text("good_canon"), text("org_sign")),
        agent_check(agent("A"), text("pledge_canon"), text("pledge_sign")),
    ]
}

fn private_jwk(user: &str) -> String {
    let mut jwk = jwk(user).clone();
    jwk["d"] = vectors()["users"][user]["d"].clone();
    jwk.to_string()
}

#[test]
fn every_signature_of_the_vectors_stands() {
    for check in checks() {
        assert!(verify(&check), "{:?}", check.key);
    }
}

#[test]
fn a_signature_stands_over_its_own_text_and_by_its_own_key_only() {
    let all = checks();
    for (index, check) in all.iter().enumerate() {
        let mut longer = check.clone();
        longer.text.push(b' ');
        assert!(!verify(&longer));
        for (other, with) in all.iter().enumerate() {
            if with.signature != check.signature && (with.key != check.key || with.text != check.text) {
                assert!(
                    !verify(&Check { key: with.key.clone(), text: with.text.clone(), ..check.clone() }),
                    "{index} {other}"
                );
            }
        }
    }
}

#[test]
fn an_altered_signature_falls_at_every_byte() {
    for check in [&checks()[0], &checks()[3]] {
        let bytes = base64v::decode(&check.signature).unwrap();
        for index in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[index] ^= 0x10;
            assert!(!verify(&Check { signature: base64v::encode(altered), ..check.clone() }), "byte {index}");
        }
    }
}

#[test]
fn a_signature_of_another_length_or_encoding_falls() {
    for check in [&checks()[0], &checks()[3]] {
        let bytes = base64v::decode(&check.signature).unwrap();
        let half = bytes.len() / 2;
        let zero = vec![0; half];
        for other in [
            bytes[1..].to_vec(),
            bytes[..bytes.len() - 1].to_vec(),
            [bytes.as_slice(), &[0]].concat(),
            [&[0], bytes.as_slice()].concat(),
            [&zero, &bytes[half..]].concat(),
            [&bytes[..half], &zero].concat(),
            [zero.as_slice(), &zero].concat(),
            vec![0xff; bytes.len()],
            vec![],
        ] {
            assert!(!verify(&Check { signature: base64v::encode(other), ..check.clone() }));
        }
        for other in [format!("{}=", check.signature), check.signature.replace('-', "+"), String::new(), "!".to_owned()]
        {
            if other != check.signature {
                assert!(!verify(&Check { signature: other, ..check.clone() }));
            }
        }
    }
}

#[test]
fn a_der_signature_falls() {
    // The same r and s as alice's good signature, as a DER sequence of two integers.
    let check = &checks()[0];
    let bytes = base64v::decode(&check.signature).unwrap();
    let integer = |part: &[u8]| {
        let part = &part[part.iter().take_while(|byte| **byte == 0).count()..];
        let part = if part[0] >= 0x80 { [&[0], part].concat() } else { part.to_vec() };
        [&[0x02, part.len() as u8], part.as_slice()].concat()
    };
    let both = [integer(&bytes[..66]), integer(&bytes[66..])].concat();
    let der = [&[0x30, 0x81, both.len() as u8], both.as_slice()].concat();
    assert!(!verify(&Check { signature: base64v::encode(der), ..check.clone() }));
}

#[test]
fn a_key_that_cannot_be_used_verifies_nothing() {
    let good = &checks()[0];
    let mut off_curve = jwk("alice").clone();
    off_curve["y"] = jwk("bob")["y"].clone();
    for key in [off_curve.to_string(), json!({"kty":"RSA"}).to_string(), "no json".to_owned(), "{}".to_owned()] {
        assert!(!verify(&Check { key: CheckKey::User(key), ..good.clone() }));
    }
    let ruling = &checks()[3];
    for id in ["", "short", &"_".repeat(43), &base64v::encode([0; 32])] {
        assert!(!verify(&Check { key: CheckKey::Agent(AgentId(id.to_owned())), ..ruling.clone() }), "{id}");
    }
}

#[test]
fn a_text_holding_the_jwk_is_as_good_as_the_jwk() {
    let good = &checks()[0];
    let CheckKey::User(jwk) = &good.key else { panic!("a user's check") };
    let quoted = Value::from(jwk.as_str()).to_string();
    assert!(verify(&Check { key: CheckKey::User(quoted), ..good.clone() }));
}

#[test]
fn the_agents_of_the_vectors_come_from_their_seeds_and_sign_the_same() {
    for name in ["A", "B", "R"] {
        let seed = vectors()["agents"][name]["seed"].as_str().unwrap();
        let key = AgentKey::from_seed(&base64v::decode_array(seed).unwrap()).unwrap();
        assert_eq!(key.id().as_str(), agent(name));
        assert_eq!(base64v::encode(key.seed()), seed);
        assert_eq!(seed, super::hash_text(&format!("spec {} {name}", if name == "R" { "referee" } else { "agent" })));
        // Ed25519 signatures are the same each time.
        if name == "R" {
            assert_eq!(base64v::encode(key.sign(text("good_canon").as_bytes())), text("good_sign"));
            assert_eq!(base64v::encode(key.sign(text("void_canon").as_bytes())), text("void_sign"));
        }
        if name == "A" {
            assert_eq!(base64v::encode(key.sign(text("good_canon").as_bytes())), text("org_sign"));
            assert_eq!(base64v::encode(key.sign(text("pledge_canon").as_bytes())), text("pledge_sign"));
        }
    }
}

#[test]
fn the_users_of_the_vectors_are_read_sign_and_come_back() {
    for user in ["alice", "bob"] {
        let key = UserKey::from_private_jwk(&private_jwk(user)).unwrap();
        assert_eq!(key.public(), &PublicKey::from_jwk(jwk(user)).unwrap());
        let signature = base64v::encode(key.sign(b"text").unwrap());
        assert_eq!(signature.len(), 176);
        assert!(verify(&user_check(jwk(user), "text", &signature)));
        let written: Value = serde_json::from_str(&key.to_private_jwk()).unwrap();
        assert_eq!(written["d"], vectors()["users"][user]["d"]);
    }
}

#[test]
fn a_generated_key_signs_what_its_public_part_verifies() {
    for (kind, length) in [(KeyKind::P521, 176), (KeyKind::Ed25519, 86)] {
        let key = UserKey::generate(kind).unwrap();
        let again = UserKey::from_private_jwk(&key.to_private_jwk()).unwrap();
        for key in [&key, &again] {
            let signature = base64v::encode(key.sign("Br\u{f6}tchen".as_bytes()).unwrap());
            assert_eq!(signature.len(), length);
            assert!(verify(&user_check(&again.public_jwk(), "Br\u{f6}tchen", &signature)));
            assert!(!verify(&user_check(&again.public_jwk(), "Brotchen", &signature)));
        }
        assert_eq!(key.kind(), kind);
        assert_ne!(UserKey::generate(kind).unwrap().public(), key.public());
    }
    let agent = AgentKey::generate().unwrap();
    let signature = base64v::encode(agent.sign(b"x"));
    assert!(verify(&agent_check(agent.id().as_str(), "x", &signature)));
    assert_ne!(AgentKey::generate().unwrap().id(), agent.id());
}

#[test]
fn a_private_key_whose_parts_do_not_belong_together_is_refused() {
    let mut mixed: Value = serde_json::from_str(&private_jwk("alice")).unwrap();
    mixed["d"] = vectors()["users"]["bob"]["d"].clone();
    assert_eq!(UserKey::from_private_jwk(&mixed.to_string()).unwrap_err(), KeyError::Inconsistent);
    let mut ed25519: Value =
        serde_json::from_str(&UserKey::generate(KeyKind::Ed25519).unwrap().to_private_jwk()).unwrap();
    ed25519["d"] = Value::from(base64v::encode([1; 32]));
    assert_eq!(UserKey::from_private_jwk(&ed25519.to_string()).unwrap_err(), KeyError::Inconsistent);
    let zero =
        private_jwk("alice").replace(vectors()["users"]["alice"]["d"].as_str().unwrap(), &base64v::encode([0; 66]));
    assert!(UserKey::from_private_jwk(&zero).is_err());
    assert!(UserKey::from_private_jwk(&jwk("alice").to_string()).unwrap_err().to_string().contains("member d"));
    assert!(UserKey::from_private_jwk("{}").is_err());
}

#[test]
fn no_secret_is_shown() {
    let key = UserKey::from_private_jwk(&private_jwk("alice")).unwrap();
    let agent = AgentKey::from_seed(&[7; 32]).unwrap();
    let shown = format!("{key:?} {agent:?}");
    assert!(!shown.contains("scalar") && !shown.contains("seed") && !shown.contains("7, 7, 7"), "{shown}");
}
