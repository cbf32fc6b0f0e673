#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use tallyho_plugin::record::canonical;
use tallyho_plugin::record::signing::verify_bytes;

fn folder() -> (tempfile::TempDir, KeyFolder) {
    let place = tempfile::tempdir().unwrap();
    let home = Home::create(place.path()).unwrap();
    (place, KeyFolder::of(&home))
}

#[test]
fn the_agent_key_is_made_once_and_kept() {
    let (_place, keys) = folder();
    assert!(matches!(keys.agent(), Err(KeysError::NoAgent { .. })));
    let (made, new) = keys.agent_or_new().unwrap();
    let (again, new_again) = keys.agent_or_new().unwrap();
    assert_eq!((new, new_again), (true, false));
    assert_eq!(made.id(), again.id());
    assert_eq!(keys.agent().unwrap().id(), made.id());
}

#[test]
fn key_files_are_for_their_owner_alone_and_are_private_jwks() {
    let (_place, keys) = folder();
    let agent = keys.agent_or_new().unwrap().0;
    let user = keys.user_or_new("alice", KeyKind::P521).unwrap().0;
    for path in [keys.agent_path(), keys.user_path("alice")] {
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600, "{path:?}");
    }
    let read = |path| serde_json::from_str::<serde_json::Value>(&fs::read_to_string(path).unwrap()).unwrap();
    let jwk = read(keys.agent_path());
    assert_eq!((&jwk["kty"], &jwk["crv"], &jwk["x"]), (&"OKP".into(), &"Ed25519".into(), &agent.id().as_str().into()));
    assert_eq!(PublicKey::from_jwk(&read(keys.user_path("alice"))).unwrap(), *user.public());
}

#[test]
fn a_key_of_each_kind_is_read_back_and_signs() {
    let (_place, keys) = folder();
    keys.agent_or_new().unwrap();
    let p521 = keys.user_or_new("alice", KeyKind::P521).unwrap().0;
    let ed25519 = keys.user_or_new("bob", KeyKind::Ed25519).unwrap().0;
    let ring = keys.load().unwrap();
    for (cuid, key, bytes) in [("alice", &p521, 132), ("bob", &ed25519, 64)] {
        let signature = ring.sign_user(cuid, b"text").unwrap();
        assert_eq!(signature.len(), bytes);
        assert!(verify_bytes(key.public(), b"text", &signature));
        assert!(!verify_bytes(key.public(), b"other", &signature));
    }
    let agent = PublicKey::Ed25519(ring.agent_id().to_bytes().unwrap());
    assert!(verify_bytes(&agent, b"text", &ring.sign_agent(b"text")));
}

#[test]
fn who_keeps_the_key_elsewhere_is_told_to_sign_there() {
    let (_place, keys) = folder();
    keys.agent_or_new().unwrap();
    let ring = keys.load().unwrap();
    assert_eq!(ring.sign_user("carol", b"text"), Err(SignError::Elsewhere("carol".to_owned())));
}

#[test]
fn a_key_added_to_the_ring_signs_at_once() {
    let ring = KeyRing::new(AgentKey::generate().unwrap());
    ring.add("dan", UserKey::generate(KeyKind::Ed25519).unwrap());
    assert!(ring.sign_user("dan", b"text").is_ok());
    assert_eq!(format!("{ring:?}"), format!("KeyRing {{ agent: {:?}, .. }}", ring.agent_id()));
}

#[test]
fn the_ring_knows_its_own_keys_from_others() {
    let ring = KeyRing::new(AgentKey::generate().unwrap());
    for (user, kind) in [("ann", KeyKind::P521), ("bob", KeyKind::Ed25519)] {
        let key = UserKey::generate(kind).unwrap();
        let jwk = |key: &UserKey| CheckKey::User(canonical(&key.public_jwk()).unwrap());
        let (own, other) = (jwk(&key), jwk(&UserKey::generate(kind).unwrap()));
        ring.add(user, key);
        assert!(ring.holds(Some(user), &own) && !ring.holds(Some(user), &other), "{user}");
        assert!(!ring.holds(None, &own) && !ring.holds(Some("carol"), &own), "{user}");
    }
    let agent = |id: &AgentId| CheckKey::Agent(id.clone());
    assert!(ring.holds(None, &agent(ring.agent_id())) && !ring.holds(Some("ann"), &agent(ring.agent_id())));
    assert!(!ring.holds(None, &agent(AgentKey::generate().unwrap().id())));
    assert!(!ring.holds(Some("ann"), &CheckKey::User("no key".to_owned())));
}

#[test]
fn a_key_is_never_overwritten() {
    let (_place, keys) = folder();
    let agent = keys.agent_or_new().unwrap().0;
    let user = keys.user_or_new("alice", KeyKind::Ed25519).unwrap().0;
    assert!(matches!(keys.put_agent(&AgentKey::generate().unwrap()), Err(KeysError::Exists { .. })));
    let other = UserKey::generate(KeyKind::Ed25519).unwrap();
    assert!(matches!(keys.put_user("alice", &other), Err(KeysError::Exists { .. })));
    keys.put_agent(&agent).unwrap();
    keys.put_user("alice", &user).unwrap();
    assert_eq!(keys.user_or_new("alice", KeyKind::P521).unwrap().0.public(), user.public());
}

#[test]
fn a_key_file_that_others_can_read_is_refused_when_it_is_read() {
    let (_place, keys) = folder();
    keys.agent_or_new().unwrap();
    fs::set_permissions(keys.agent_path(), fs::Permissions::from_mode(0o644)).unwrap();
    let message = keys.agent().unwrap_err().to_string();
    assert!(message.contains("mode 0644") && message.contains("chmod 600"), "{message}");
    let message = keys.agent_or_new().unwrap_err().to_string();
    assert!(message.contains("mode 0644"), "it must not be taken for missing: {message}");
}

#[test]
fn a_damaged_key_file_is_refused_by_name_and_not_replaced() {
    let (_place, keys) = folder();
    let good = agent_jwk(&keys.agent_or_new().unwrap().0);
    let other = agent_jwk(&AgentKey::generate().unwrap());
    let mixed = format!("{}{}", &good[..66], &other[66..]);
    let p521 = UserKey::generate(KeyKind::P521).unwrap().to_private_jwk();
    let large = " ".repeat(KEY_FILE_BYTES as usize) + &good;
    for bad in ["", "{}", &good[..100], &mixed, &p521, &large] {
        fs::write(keys.agent_path(), bad).unwrap();
        let error = keys.agent_or_new().unwrap_err();
        assert!(matches!(error, KeysError::Malformed { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("agent.json") && message.contains("keys import"), "{message}");
        assert_eq!(fs::read_to_string(keys.agent_path()).unwrap(), bad);
    }
    fs::write(keys.agent_path(), [0xff, 0xfe]).unwrap();
    assert!(matches!(keys.agent(), Err(KeysError::Malformed { .. })));
}

#[test]
fn other_files_in_the_folder_are_no_keys() {
    let (place, keys) = folder();
    keys.agent_or_new().unwrap();
    keys.user_or_new("böb Ü".replace(' ', "").as_str(), KeyKind::Ed25519).unwrap();
    for name in [".new-x7", "user-.json", "user-a%2.json", "user-a%2Fb.json", "user-ALICE.json", "agent.json.old"] {
        let path = place.path().join("keys").join(name);
        fs::write(&path, "no key").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    assert_eq!(keys.users().unwrap(), ["böbÜ"]);
    keys.load().unwrap();
}

#[test]
fn the_agent_of_the_vectors_is_read() {
    let text = include_str!("../../../tests/vectors/records.json");
    let vectors: serde_json::Value = serde_json::from_str(text).unwrap();
    let (id, seed) = (vectors["agents"]["A"]["id"].as_str().unwrap(), vectors["agents"]["A"]["seed"].as_str().unwrap());
    let key = agent_from_jwk(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{id}","d":"{seed}"}}"#)).unwrap();
    assert_eq!(key.id().as_str(), id);
    assert_eq!(agent_from_jwk(&agent_jwk(&key)).unwrap().seed(), key.seed());
}

proptest! {
    #[test]
    fn every_user_has_a_file_name_of_its_own_whatever_the_case(one in "[^:@/?#\\s\\p{C}]{1,16}", other in "[aAbB%.4]{1,3}") {
        for cuid in [&one, &other] {
            prop_assert_eq!(user_of_file(&file_of_user(cuid)), Some(cuid.clone()));
        }
        let same = file_of_user(&one).eq_ignore_ascii_case(&file_of_user(&other));
        prop_assert_eq!(same, one == other);
        prop_assert!(!file_of_user(&one).contains('/') && file_of_user(&one).len() <= 202);
    }
}
