//! Keys in one file under a passphrase, to carry to another machine or into a safe.
//!
//! The file is an *Encrypted JWK Set* as RFC 7517 section 7 defines it: a [JWE](super::jwe). Inside, `kid` tells whose
//! key it is: `agent`, or `user:` and the user's name.

use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use tallyho_plugin::record::signing::{AgentKey, UserKey};
use zeroize::Zeroizing;

use super::home::{HomeError, system, write_new};
use super::jwe::{self, JweError};
use super::keys::{KeyFolder, KeysError, agent_from_jwk, agent_jwk};
use super::limits::{EXPORT_BYTES, EXPORT_ROUNDS, KEY_SET_BYTES};

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
    /// They could not be read again.
    #[error("the keys of {users} users take more than {KEY_SET_BYTES} bytes; copy the folder keys/ instead")]
    Large {
        /// How many.
        users: usize,
    },
    /// The cryptographic library failed.
    #[error("the cryptographic library failed: no randomness or no memory; is the machine healthy?")]
    Library,
}

impl From<JweError> for ExportError {
    fn from(error: JweError) -> Self {
        match error {
            JweError::Format(why) => ExportError::Format(why),
            JweError::Closed => ExportError::Closed,
            JweError::Library => ExportError::Library,
        }
    }
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
    KeySet::read(&jwe::open(text, passphrase)?)?.put(folder)
}

/// All keys of a site.
pub(super) struct KeySet {
    agent: AgentKey,
    /// In order of name.
    users: Vec<(String, UserKey)>,
}

impl KeySet {
    /// Those of a JWK set.
    pub(super) fn read(set: &[u8]) -> Result<Self, ExportError> {
        let (agent, users) = read_set(set)?;
        Ok(KeySet { agent, users })
    }

    /// Refuses a folder with keys that are another site's, or another one of the same name.
    pub(super) fn fits(&self, folder: &KeyFolder) -> Result<(), ExportError> {
        let is_there = match folder.agent() {
            Ok(present) if present.id() != self.agent.id() => {
                return Err(KeysError::Exists { path: folder.agent_path() }.into());
            }
            Ok(_) => true,
            Err(KeysError::NoAgent { .. }) => false,
            Err(other) => return Err(other.into()),
        };
        for cuid in folder.users()? {
            let present = folder.user(&cuid)?;
            let ours = self.users.binary_search_by(|(name, _)| name.cmp(&cuid)).ok();
            let ours = ours.map(|at| self.users[at].1.public());
            // Beside the agent's key there may be users of later on.
            let fits = ours.map_or(is_there, |ours| present.is_none_or(|present| present.public() == ours));
            if !fits {
                return Err(KeysError::Exists { path: folder.user_path(&cuid) }.into());
            }
        }
        Ok(())
    }

    /// Writes them into a folder that they fit.
    pub(super) fn put(self, folder: &KeyFolder) -> Result<Imported, ExportError> {
        // All is looked at before anything is written.
        self.fits(folder)?;
        for (cuid, key) in &self.users {
            folder.put_user(cuid, key)?;
        }
        folder.put_agent(&self.agent)?; // last: with it the home counts as complete
        let users = self.users.into_iter().map(|(cuid, _)| cuid).collect();
        Ok(Imported { agent: self.agent.id().clone(), users })
    }
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

/// What is inside, in the header's words (RFC 7517 section 7).
const CONTENT: &str = "jwk-set+json";

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
    let jwe = jwe::seal(set(folder)?.as_bytes(), CONTENT, passphrase, rounds)?;
    serde_json::to_string_pretty(&jwe).map(|text| text + "\n").map_err(|_| ExportError::Library)
}

/// All keys of a folder as a JWK set.
pub(super) fn set(folder: &KeyFolder) -> Result<Zeroizing<String>, ExportError> {
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
    if set.len() as u64 > KEY_SET_BYTES {
        return Err(ExportError::Large { users: members.len() - 1 });
    }
    Ok(set)
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

fn format_error(why: &dyn std::fmt::Display) -> ExportError {
    ExportError::Format(why.to_string())
}

#[cfg(test)]
#[path = "keys_export_tests.rs"]
mod tests;
