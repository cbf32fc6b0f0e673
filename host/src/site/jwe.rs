//! A secret under a passphrase, as a JWE (RFC 7516, flattened JSON form) with algorithm `PBES2-HS512+A256KW`
//! (RFC 7518 section 4.8) and content encryption `A256GCM`. Every JOSE library opens it, without this program.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use aws_lc_rs::{pbkdf2, rand};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use tallyho_plugin::record::base64v;
use zeroize::Zeroizing;

use super::limits::{EXPORT_ROUNDS_MAX, EXPORT_ROUNDS_MIN};

/// Why nothing can be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum JweError {
    /// The text is no JWE of this kind.
    #[error("{0}")]
    Format(String),
    /// It does not open.
    #[error("the passphrase is wrong, or the file was altered")]
    Closed,
    /// The cryptographic library failed.
    #[error("the cryptographic library failed")]
    Library,
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
pub struct Jwe {
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

/// Seals a secret, of the content type told in the header. `rounds` of PBKDF2 stand between it and who guesses the
/// passphrase.
///
/// # Errors
/// [`JweError::Library`].
pub fn seal(plain: &[u8], content_type: &str, passphrase: &str, rounds: u32) -> Result<Jwe, JweError> {
    let salt: [u8; SALT_BYTES] = random()?;
    let header = Header {
        alg: ALGORITHM.to_owned(),
        enc: ENCRYPTION.to_owned(),
        p2s: base64v::encode(salt),
        p2c: rounds,
        cty: content_type.to_owned(),
        crit: None,
        zip: None,
    };
    let header = serde_json::to_string(&header).map_err(|_| JweError::Library)?;
    let protected = base64v::encode(header);

    let content_key = Zeroizing::new(random::<KEY_BYTES>()?);
    let mut wrapped = [0; WRAPPED_BYTES];
    key_of(passphrase, &salt, rounds)?.wrap(&*content_key, &mut wrapped).map_err(|_| JweError::Library)?;

    let iv: [u8; NONCE_LEN] = random()?;
    let mut sealed = Vec::with_capacity(plain.len() + TAG_BYTES);
    sealed.extend_from_slice(plain); // encrypted in place below
    let tag = content(&*content_key)?
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(iv), Aad::from(protected.as_bytes()), &mut sealed)
        .map_err(|_| JweError::Library)?;

    Ok(Jwe {
        encrypted_key: base64v::encode(wrapped),
        iv: base64v::encode(iv),
        ciphertext: base64v::encode(sealed),
        tag: base64v::encode(tag.as_ref()),
        protected,
    })
}

/// What was sealed.
///
/// # Errors
/// [`JweError`].
pub fn open(text: &str, passphrase: &str) -> Result<Zeroizing<Vec<u8>>, JweError> {
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
    key_of(passphrase, &salt, header.p2c)?.unwrap(&wrapped, &mut *content_key).map_err(|_| JweError::Closed)?;
    let length = content(&*content_key)?
        .open_in_place(iv, Aad::from(jwe.protected.as_bytes()), &mut sealed)
        .map_err(|_| JweError::Closed)?
        .len();
    sealed.truncate(length);
    Ok(sealed)
}

/// The key that wraps the content key (RFC 7518 4.8.1.1): the salt is the algorithm's name, a zero
/// byte and the salt of the header.
fn key_of(passphrase: &str, salt: &[u8], rounds: u32) -> Result<AesKek, JweError> {
    let rounds = NonZeroU32::new(rounds).ok_or(JweError::Library)?;
    let salt = [ALGORITHM.as_bytes(), &[0], salt].concat();
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, rounds, &salt, passphrase.as_bytes(), &mut *key);
    AesKek::new(&AES_256, &*key).map_err(|_| JweError::Library)
}

fn content(key: &[u8]) -> Result<LessSafeKey, JweError> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| JweError::Library)
}

/// Random bytes.
///
/// # Errors
/// [`JweError::Library`].
pub fn random<const N: usize>() -> Result<[u8; N], JweError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| JweError::Library)?;
    Ok(bytes)
}

fn format_error(why: &dyn std::fmt::Display) -> JweError {
    JweError::Format(why.to_string())
}
