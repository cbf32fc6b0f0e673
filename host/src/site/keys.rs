//! The site's private keys: the agent's, and those of users who let the site sign for them.
//!
//! On disk each is a private JWK (RFC 7517) in a file of its own in `keys/`: `agent.json`, and
//! `user-NAME.json`. [`KeyFolder`] reads and writes them; [`KeyRing`] holds them in memory and signs.
//! Texts that hold a secret are wiped from memory.

use serde::Deserialize;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tallyho_plugin::record::AgentId;
use tallyho_plugin::record::base64v;
use tallyho_plugin::record::chad::{ChadError, check_cuid};
use tallyho_plugin::record::keys::{KeyError, KeyKind, PublicKey};
use tallyho_plugin::record::signing::{AgentKey, UserKey};
use tallyho_plugin::services::CheckKey;
use zeroize::Zeroizing;

use super::home::{Home, HomeError, Secret, check_private, system, write_new};
use super::limits::KEY_FILE_BYTES;

/// Why a key cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The folder or a file cannot be used. The operator's to mend.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// There is no agent key.
    #[error(
        "{path} is missing: this site has no agent key; run `tallyho init`, or restore it with `tallyho keys import FILE`"
    )]
    NoAgent {
        /// Where it should be.
        path: PathBuf,
    },
    /// A file is no key.
    #[error("{path} holds no usable key: {why}; restore it with `tallyho keys import FILE`")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A user's name that is none.
    #[error(transparent)]
    Cuid(#[from] ChadError),
    /// Another key is there already. Keys are never overwritten: what they signed would be lost.
    #[error("{path} already holds another key; import into a new home, or move that file away")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// No key could be made.
    #[error("no key can be made: {0}")]
    Generate(#[from] KeyError),
}

/// The folder of private keys.
#[derive(Debug, Clone)]
pub struct KeyFolder {
    folder: PathBuf,
}

impl KeyFolder {
    /// That of a home. Taking a [`Home`] ensures that others cannot reach it.
    pub fn of(home: &Home) -> Self {
        KeyFolder { folder: home.keys() }
    }

    /// That of a folder which is to become a home, where it has one; refused where others can reach it.
    pub(super) fn below(root: &Path) -> Result<Option<Self>, KeysError> {
        let folder = root.join("keys");
        match folder.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            _ => check_private(&folder, Secret::Folder).map(|()| Some(KeyFolder { folder })).map_err(KeysError::from),
        }
    }

    /// The agent's key.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn agent(&self) -> Result<AgentKey, KeysError> {
        self.read_agent()?.ok_or_else(|| KeysError::NoAgent { path: self.agent_path() })
    }

    /// The agent's key, made anew where there is none; whether it was.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn agent_or_new(&self) -> Result<(AgentKey, bool), KeysError> {
        if let Some(key) = self.read_agent()? {
            return Ok((key, false));
        }
        let key = AgentKey::generate()?;
        self.put_agent(&key)?;
        Ok((key, true))
    }

    /// The key of a user, if the site holds it.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn user(&self, cuid: &str) -> Result<Option<UserKey>, KeysError> {
        check_cuid(cuid)?;
        let path = self.user_path(cuid);
        let Some(text) = read_secret(&path)? else { return Ok(None) };
        UserKey::from_private_jwk(&text).map(Some).map_err(|error| malformed(&path, error))
    }

    /// The key of a user, made anew where there is none; whether it was. One that is there already
    /// is kept whatever its kind: it was made by an earlier try to add the user.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn user_or_new(&self, cuid: &str, kind: KeyKind) -> Result<(UserKey, bool), KeysError> {
        if let Some(key) = self.user(cuid)? {
            return Ok((key, false));
        }
        let key = UserKey::generate(kind)?;
        self.put_user(cuid, &key)?;
        Ok((key, true))
    }

    /// Writes the agent's key; nothing where it is there already.
    ///
    /// # Errors
    /// [`KeysError::Exists`] where another is there.
    pub fn put_agent(&self, key: &AgentKey) -> Result<(), KeysError> {
        match self.read_agent()? {
            Some(present) if present.id() == key.id() => Ok(()),
            Some(_) => Err(KeysError::Exists { path: self.agent_path() }),
            None => Ok(write_new(&self.agent_path(), agent_jwk(key).as_bytes(), 0o600)?),
        }
    }

    /// Writes a user's key; nothing where it is there already.
    ///
    /// # Errors
    /// [`KeysError::Exists`] where another is there.
    pub fn put_user(&self, cuid: &str, key: &UserKey) -> Result<(), KeysError> {
        match self.user(cuid)? {
            Some(present) if present.public() == key.public() => Ok(()),
            Some(_) => Err(KeysError::Exists { path: self.user_path(cuid) }),
            None => Ok(write_new(&self.user_path(cuid), key.to_private_jwk().as_bytes(), 0o600)?),
        }
    }

    /// The users whose keys are here, in order of name.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn users(&self) -> Result<Vec<String>, KeysError> {
        let mut users = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(system(&self.folder, "list"))? {
            let name = entry.map_err(system(&self.folder, "list"))?.file_name();
            users.extend(name.to_str().and_then(user_of_file));
        }
        users.sort();
        Ok(users)
    }

    /// All keys, to sign with.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn load(&self) -> Result<KeyRing, KeysError> {
        let ring = KeyRing::new(self.agent()?);
        for cuid in self.users()? {
            if let Some(key) = self.user(&cuid)? {
                ring.add(&cuid, key);
            }
        }
        Ok(ring)
    }

    /// Where a user's key is, or would be.
    pub fn user_path(&self, cuid: &str) -> PathBuf {
        self.folder.join(file_of_user(cuid))
    }

    /// Where the agent's key is, or would be.
    pub fn agent_path(&self) -> PathBuf {
        self.folder.join("agent.json")
    }

    fn read_agent(&self) -> Result<Option<AgentKey>, KeysError> {
        let path = self.agent_path();
        let Some(text) = read_secret(&path)? else { return Ok(None) };
        agent_from_jwk(&text).map(Some).map_err(|error| malformed(&path, error))
    }
}

/// Keys in memory, shared by threads.
pub struct KeyRing {
    agent: AgentKey,
    users: RwLock<HashMap<String, Arc<UserKey>>>,
}

/// Why a user's signature cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The site does not hold this user's key. What there is to sign must be handed to whoever does.
    #[error("the key of {0} is kept elsewhere: sign there and hand the signature in")]
    Elsewhere(String),
    /// The library could not sign.
    #[error(transparent)]
    Library(#[from] KeyError),
}

impl KeyRing {
    /// The agent's key alone.
    pub fn new(agent: AgentKey) -> Self {
        KeyRing { agent, users: RwLock::default() }
    }

    /// Adds a user's key.
    pub fn add(&self, cuid: &str, key: UserKey) {
        self.users.write().unwrap_or_else(PoisonError::into_inner).insert(cuid.to_owned(), Arc::new(key));
    }

    /// The agent's key.
    pub fn agent(&self) -> &AgentKey {
        &self.agent
    }

    /// The agent's id.
    pub fn agent_id(&self) -> &AgentId {
        self.agent.id()
    }

    /// Signs as the agent.
    pub fn sign_agent(&self, text: &[u8]) -> [u8; 64] {
        self.agent.sign(text)
    }

    /// Signs as a user: 132 bytes (P-521) or 64 (Ed25519).
    ///
    /// # Errors
    /// [`SignError`].
    pub fn sign_user(&self, cuid: &str, text: &[u8]) -> Result<Vec<u8>, SignError> {
        let key = self.users.read().unwrap_or_else(PoisonError::into_inner).get(cuid).cloned();
        Ok(key.ok_or_else(|| SignError::Elsewhere(cuid.to_owned()))?.sign(text)?)
    }

    /// Whether this is the key of the user, or of the agent where none is named, and is here to sign with.
    pub fn holds(&self, cuid: Option<&str>, key: &CheckKey) -> bool {
        match (cuid, key) {
            (None, CheckKey::Agent(agent)) => agent == self.agent.id(),
            (Some(cuid), CheckKey::User(jwk)) => {
                let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
                let public = || PublicKey::from_jwk(&serde_json::from_str(jwk).ok()?).ok();
                users.get(cuid).is_some_and(|own| public().as_ref() == Some(own.public()))
            }
            _ => false,
        }
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("KeyRing").field("agent", self.agent.id()).finish_non_exhaustive()
    }
}

/// The agent's key as a private JWK.
pub(super) fn agent_jwk(key: &AgentKey) -> Zeroizing<String> {
    let secret = Zeroizing::new(base64v::encode(key.seed()));
    let mut text = Zeroizing::new(String::with_capacity(160)); // its length is 121: no reallocation leaves a copy
    for part in [r#"{"crv":"Ed25519","d":""#, &secret, r#"","kty":"OKP","x":""#, key.id().as_str(), r#""}"#] {
        text.push_str(part);
    }
    text
}

/// Reads the agent's key from a private JWK.
pub(super) fn agent_from_jwk(text: &str) -> Result<AgentKey, KeyError> {
    #[derive(Deserialize)]
    struct Secret<'a> {
        d: &'a str,
    }
    // Shape, and that both halves belong together, are checked where user keys are read.
    if UserKey::from_private_jwk(text)?.kind() != KeyKind::Ed25519 {
        return Err(KeyError::Algorithm { kind: "EC P-521 (for an agent)".to_owned() });
    }
    let malformed = KeyError::Member { member: "d", expected: "32 bytes in base64url, 43 characters" };
    let secret: Secret<'_> = serde_json::from_str(text).map_err(|_| malformed.clone())?;
    let seed = Zeroizing::new(base64v::decode_array::<32>(secret.d).ok_or(malformed)?);
    AgentKey::from_seed(&seed)
}

/// The whole of a file that nobody else can read; `None` if there is none.
fn read_secret(path: &Path) -> Result<Option<Zeroizing<String>>, KeysError> {
    match check_private(path, Secret::File) {
        Err(HomeError::System { why, .. }) if why.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    }
    // Room for the largest from the start: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES as usize + 1));
    let file = File::open(path).map_err(system(path, "open"))?;
    file.take(KEY_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(system(path, "read"))?;
    if bytes.len() as u64 > KEY_FILE_BYTES {
        return Err(malformed(path, format!("it is larger than {KEY_FILE_BYTES} bytes")));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed(path, "it is no text"))?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}

fn malformed(path: &Path, why: impl ToString) -> KeysError {
    KeysError::Malformed { path: path.to_owned(), why: why.to_string() }
}

/// The file name of a user's key. Small letters, digits, `-`, `_` and `.` stand for themselves; every
/// other byte is `%` and two hexadecimal digits, capital letters too, so that names which differ in
/// case alone do not meet where file names ignore it. At most 202 bytes.
fn file_of_user(cuid: &str) -> String {
    let mut name = "user-".to_owned();
    for byte in cuid.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    name + ".json"
}

/// The user whose key has this file name; `None` for every other name.
fn user_of_file(name: &str) -> Option<String> {
    let encoded = name.strip_prefix("user-")?.strip_suffix(".json")?;
    let cuid = tallyho_plugin::record::uri::decode(encoded)?;
    (check_cuid(&cuid).is_ok() && file_of_user(&cuid) == name).then_some(cuid)
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
