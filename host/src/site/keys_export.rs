//! Keys in one file under a passphrase, to carry to another machine or into a safe.
//!
//! The file is an *Encrypted JWK Set* as RFC 7517 section 7 defines it: a JWE (RFC 7516, flattened JSON
//! form) with algorithm `PBES2-HS512+A256KW` (RFC 7518 section 4.8) and content encryption `A256GCM`.
//! Every JOSE library opens it, without this program. Inside, `kid` tells whose key it is: `agent`, or
//! `user:` and the user's name.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use aws_lc_rs::{pbkdf2, rand};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::num::NonZeroU32;
use std::path::Path;
use tallyho_plugin::record::base64v;
use tallyho_plugin::record::signing::{AgentKey, UserKey};
use zeroize::Zeroizing;

use super::home::{HomeError, system, write_new};
use super::keys::{KeyFolder, KeysError, agent_from_jwk, agent_jwk};
use super::limits::{EXPORT_BYTES, EXPORT_ROUNDS, EXPORT_ROUNDS_MAX, EXPORT_ROUNDS_MIN};

/// Why keys cannot be exported or imported. The operator's to mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The text is no key export.
    #[error("this is no key export: {0}; expected a file made by `tallyho keys export`")]
    Format(String),
    /// It does not open.
    #[error("the passphrase is wrong, or the file was altered")]
    Closed,
    /// The keys here.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The cryptographic library failed.
    #[error("the cryptographic library failed: no randomness or no memory; is the machine healthy?")]
    Library,
}

/// What an import brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The agent.
    pub agent: tallyho_plugin::record::AgentId,
    /// Users whose keys are here now, in order of name.
    pub users: Vec<String>,
}

/// All keys of a folder as the text of an export file.
///
/// # Errors
/// [`ExportError`].
pub fn export(folder: &KeyFolder, passphrase: &str) -> Result<String, ExportError> {
    export_with(folder, passphrase, EXPORT_ROUNDS)
}

/// Writes the keys of an export file's text into a folder. Keys that are there already are left; if
/// another one of the same name is there, nothing is written.
///
/// # Errors
/// [`ExportError`].
pub fn import(folder: &KeyFolder, text: &str, passphrase: &str) -> Result<Imported, ExportError> {
    let plain = open(text, passphrase)?;
    let (agent, users) = read_set(&plain)?;
    // All is looked at before anything is written.
    match folder.agent() {
        Ok(present) if present.id() != agent.id() => {
            return Err(KeysError::Exists { path: folder.agent_path() }.into());
        }
        Ok(_) | Err(KeysError::NoAgent { .. }) => {}
        Err(other) => return Err(other.into()),
    }
    for (cuid, key) in &users {
        if folder.user(cuid)?.is_some_and(|present| present.public() != key.public()) {
            return Err(KeysError::Exists { path: folder.user_path(cuid) }.into());
        }
    }
    for (cuid, key) in &users {
        folder.put_user(cuid, key)?;
    }
    folder.put_agent(&agent)?; // last: with it the home counts as complete
    Ok(Imported { agent: agent.id().clone(), users: users.into_iter().map(|(cuid, _)| cuid).collect() })
}

/// Writes the text of an export into a new file that only its owner can read.
///
/// # Errors
/// [`HomeError`], also where there is such a file already.
pub fn write(path: &Path, text: &str) -> Result<(), HomeError> {
    write_new(path, text.as_bytes(), 0o600)
}

/// Reads the text of an export file.
///
/// # Errors
/// [`ExportError`].
pub fn read(path: &Path) -> Result<String, ExportError> {
    let failed = |why| ExportError::Keys(KeysError::Home(system(path, "read")(why)));
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(EXPORT_BYTES + 1).read_to_string(&mut text)).map_err(failed)?;
    if text.len() as u64 > EXPORT_BYTES {
        return Err(format_error(&format!("it is larger than {EXPORT_BYTES} bytes")));
    }
    Ok(text)
}

const ALGORITHM: &str = "PBES2-HS512+A256KW";
const ENCRYPTION: &str = "A256GCM";
const SALT_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
/// A wrapped key has 8 bytes more (RFC 3394).
const WRAPPED_BYTES: usize = KEY_BYTES + 8;
const TAG_BYTES: usize = 16;

/// Flattened JWE.
#[derive(Serialize, Deserialize)]
struct Jwe {
    protected: String,
    encrypted_key: String,
    iv: String,
    ciphertext: String,
    tag: String,
}

/// Its protected header.
#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    enc: String,
    p2s: String,
    p2c: u32,
    #[serde(default)]
    cty: String,
    /// Extensions that must be understood: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<serde_json::Value>,
    /// Compression: not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zip: Option<serde_json::Value>,
}

/// A private JWK read in place: no copy of the secret.
#[derive(Deserialize)]
struct Jwk<'a> {
    // A name may hold escapes, so it may need a copy; the rest is base64url.
    #[serde(borrow)]
    kid: std::borrow::Cow<'a, str>,
    kty: &'a str,
    crv: &'a str,
    x: &'a str,
    y: Option<&'a str>,
    d: &'a str,
}

#[derive(Deserialize)]
struct Set<'a> {
    #[serde(borrow)]
    keys: Vec<Jwk<'a>>,
}

fn export_with(folder: &KeyFolder, passphrase: &str, rounds: u32) -> Result<String, ExportError> {
    let mut members = vec![("agent".to_owned(), agent_jwk(&folder.agent()?))];
    for cuid in folder.users()? {
        if let Some(key) = folder.user(&cuid)? {
            members.push((format!("user:{cuid}"), key.to_private_jwk()));
        }
    }
    // Exactly as long as it gets, so that no copy is left behind by growing.
    let names = members.iter().map(|(kid, _)| serde_json::Value::from(kid.as_str()).to_string());
    let heads: Vec<String> = names.map(|name| format!("{{\"kid\":{name},")).collect();
    let length: usize = heads.iter().zip(&members).map(|(head, (_, jwk))| head.len() + jwk.len()).sum();
    let mut set = Zeroizing::new(String::with_capacity(length + 16));
    set.push_str("{\"keys\":[");
    for (number, (head, (_, jwk))) in heads.iter().zip(&members).enumerate() {
        set.push_str(if number == 0 { "" } else { "," });
        set.push_str(head);
        set.push_str(&jwk[1..]); // without its opening brace
    }
    set.push_str("]}");
    seal(&set, passphrase, rounds)
}

fn seal(plain: &str, passphrase: &str, rounds: u32) -> Result<String, ExportError> {
    let salt: [u8; SALT_BYTES] = random()?;
    let header = Header {
        alg: ALGORITHM.to_owned(),
        enc: ENCRYPTION.to_owned(),
        p2s: base64v::encode(salt),
        p2c: rounds,
        cty: "jwk-set+json".to_owned(),
        crit: None,
        zip: None,
    };
    let header = serde_json::to_string(&header).map_err(|_| ExportError::Library)?;
    let protected = base64v::encode(header);

    let content_key = Zeroizing::new(random::<KEY_BYTES>()?);
    let mut wrapped = [0; WRAPPED_BYTES];
    key_of(passphrase, &salt, rounds)?.wrap(&*content_key, &mut wrapped).map_err(|_| ExportError::Library)?;

    let iv: [u8; NONCE_LEN] = random()?;
    let mut sealed = Vec::with_capacity(plain.len() + TAG_BYTES);
    sealed.extend_from_slice(plain.as_bytes()); // encrypted in place below
    let tag = content(&*content_key)?
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(iv), Aad::from(protected.as_bytes()), &mut sealed)
        .map_err(|_| ExportError::Library)?;

    let jwe = Jwe {
        encrypted_key: base64v::encode(wrapped),
        iv: base64v::encode(iv),
        ciphertext: base64v::encode(sealed),
        tag: base64v::encode(tag.as_ref()),
        protected,
    };
    serde_json::to_string_pretty(&jwe).map(|text| text + "\n").map_err(|_| ExportError::Library)
}

fn open(text: &str, passphrase: &str) -> Result<Zeroizing<Vec<u8>>, ExportError> {
    let jwe: Jwe = serde_json::from_str(text).map_err(|error| format_error(&error))?;
    let header = base64v::decode(&jwe.protected).ok_or_else(|| format_error(&"its header is no base64url"))?;
    let header: Header = serde_json::from_slice(&header).map_err(|error| format_error(&error))?;
    if header.alg != ALGORITHM || header.enc != ENCRYPTION || header.crit.is_some() || header.zip.is_some() {
        let made = format!("it was made with {} and {}, not {ALGORITHM} and {ENCRYPTION}", header.alg, header.enc);
        return Err(format_error(&made));
    }
    if !(EXPORT_ROUNDS_MIN..=EXPORT_ROUNDS_MAX).contains(&header.p2c) {
        let range = format!("{EXPORT_ROUNDS_MIN} to {EXPORT_ROUNDS_MAX}");
        return Err(format_error(&format!("it asks for {} rounds, expected {range}", header.p2c)));
    }
    let member = |name: &str, text: &str| {
        base64v::decode(text).ok_or_else(|| format_error(&format!("its member {name} is no base64url")))
    };
    let salt = member("p2s", &header.p2s)?;
    let wrapped = member("encrypted_key", &jwe.encrypted_key)?;
    let iv = member("iv", &jwe.iv)?;
    let iv = Nonce::try_assume_unique_for_key(&iv).map_err(|_| format_error(&"its member iv has not 12 bytes"))?;
    // Only after it has opened does the buffer hold secrets; it is wiped in every case.
    let mut sealed = Zeroizing::new(member("ciphertext", &jwe.ciphertext)?);
    sealed.extend(member("tag", &jwe.tag)?);

    let mut content_key = Zeroizing::new([0; KEY_BYTES]);
    key_of(passphrase, &salt, header.p2c)?.unwrap(&wrapped, &mut *content_key).map_err(|_| ExportError::Closed)?;
    let length = content(&*content_key)?
        .open_in_place(iv, Aad::from(jwe.protected.as_bytes()), &mut sealed)
        .map_err(|_| ExportError::Closed)?
        .len();
    sealed.truncate(length);
    Ok(sealed)
}

/// The key that wraps the content key (RFC 7518 4.8.1.1): the salt is the algorithm's name, a zero
/// byte and the salt of the header.
fn key_of(passphrase: &str, salt: &[u8], rounds: u32) -> Result<AesKek, ExportError> {
    let rounds = NonZeroU32::new(rounds).ok_or(ExportError::Library)?;
    let salt = [ALGORITHM.as_bytes(), &[0], salt].concat();
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, rounds, &salt, passphrase.as_bytes(), &mut *key);
    AesKek::new(&AES_256, &*key).map_err(|_| ExportError::Library)
}

fn content(key: &[u8]) -> Result<LessSafeKey, ExportError> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| ExportError::Library)
}

fn read_set(plain: &[u8]) -> Result<(AgentKey, Vec<(String, UserKey)>), ExportError> {
    let set: Set<'_> = serde_json::from_slice(plain).map_err(|error| format_error(&format!("its content: {error}")))?;
    let (mut agent, mut users) = (None, Vec::new());
    for key in set.keys {
        let jwk = jwk_text(&key);
        let wrong = |error: &dyn std::fmt::Display| format_error(&format!("its key {:?}: {error}", key.kid));
        match key.kid.strip_prefix("user:") {
            Some(cuid) => {
                let key = UserKey::from_private_jwk(&jwk).map_err(|error| wrong(&error))?;
                users.push((cuid.to_owned(), key));
            }
            None if key.kid == "agent" => agent = Some(agent_from_jwk(&jwk).map_err(|error| wrong(&error))?),
            None => return Err(wrong(&"expected the name agent, or user: and a user's name")),
        }
    }
    users.sort_by(|one, other| one.0.cmp(&other.0));
    agent.map(|agent| (agent, users)).ok_or_else(|| format_error(&"it holds no agent key"))
}

fn jwk_text(key: &Jwk<'_>) -> Zeroizing<String> {
    let parts = [("kty", Some(key.kty)), ("crv", Some(key.crv)), ("x", Some(key.x)), ("y", key.y), ("d", Some(key.d))];
    let length: usize = parts.iter().map(|(name, value)| name.len() + value.map_or(0, str::len) + 8).sum();
    let mut text = Zeroizing::new(String::with_capacity(length));
    for (name, value) in parts {
        let Some(value) = value else { continue };
        for part in [if text.is_empty() { "{\"" } else { ",\"" }, name, "\":\"", value, "\""] {
            text.push_str(part);
        }
    }
    text.push('}');
    text
}

fn random<const N: usize>() -> Result<[u8; N], ExportError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| ExportError::Library)?;
    Ok(bytes)
}

fn format_error(why: &dyn std::fmt::Display) -> ExportError {
    ExportError::Format(why.to_string())
}

#[cfg(test)]
#[path = "keys_export_tests.rs"]
mod tests;
