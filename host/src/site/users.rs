//! The users of this site: local accounts, in table `host.users`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tallyho_plugin::record::cert::{Certificate, NewCertificate};
use tallyho_plugin::record::chad::{ChadError, check_cuid};
use tallyho_plugin::record::keys::{KeyError, PublicKey};
use tallyho_plugin::record::{AgentId, Chad, RecordError, Timestamp};

use super::endpoint::Endpoint;
use super::limits::NAME_BYTES;
use super::rows::{self, Rows};
use crate::store::StoreError;

/// The table: a row for each user, by name.
pub const TABLE: &str = "host.users";

/// A local account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Name at this agent (PROTOCOL 1.1).
    pub cuid: String,
    /// Name for people, as certificates disclose it.
    pub name: String,
    /// What the certificate's `type` says: `p` person, `o` organisation (PROTOCOL 1.3).
    pub kind: String,
    /// Public signing key, a JWK.
    pub public: Value,
    /// Who holds the private key.
    pub custody: Custody,
    /// When the account was made.
    pub created: Timestamp,
}

/// Who holds a user's private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Custody {
    /// This site: it signs.
    Site,
    /// Someone else: signatures are handed in.
    Elsewhere,
}

/// Why an account cannot be made. The operator's to mend, but for the store's own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UserError {
    /// A name at this agent that is none.
    #[error(transparent)]
    Cuid(#[from] ChadError),
    /// A name for people that is none.
    #[error(
        "the name has {0} bytes or a line break in it: expected one line of 1 to {NAME_BYTES} bytes, such as \"Alice Vendor\""
    )]
    Name(usize),
    /// There is such a user.
    #[error("there is a user {0} already; choose another name at this site")]
    Exists(String),
    /// The store's fault.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a file given as public key cannot be used. The operator's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublicFileError {
    /// Not JSON.
    #[error("the file holds no JSON: {0}; expected a public JWK")]
    Json(String),
    /// A JWK with its private part, which nobody but its owner should have.
    #[error("the file holds a private key; take the member \"d\" out and give the public part alone")]
    Private,
    /// No key of ours.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Makes an account. `name`: for people; empty: the cuid.
///
/// # Errors
/// [`UserError`].
pub fn add(
    rows: &mut dyn Rows,
    cuid: &str,
    name: &str,
    public: &PublicKey,
    custody: Custody,
    now: Timestamp,
) -> Result<User, UserError> {
    check_cuid(cuid)?;
    let name = if name.is_empty() { cuid } else { name };
    if name.len() > NAME_BYTES || name.chars().any(char::is_control) {
        return Err(UserError::Name(name.len()));
    }
    if get(rows, cuid)?.is_some() {
        return Err(UserError::Exists(cuid.to_owned()));
    }
    let user = User {
        cuid: cuid.to_owned(),
        name: name.to_owned(),
        kind: "p".to_owned(),
        public: public.to_jwk(),
        custody,
        created: now,
    };
    rows::put(rows, TABLE, cuid.as_bytes(), &user)?;
    Ok(user)
}

/// A user of this name.
///
/// # Errors
/// [`StoreError`].
pub fn get(rows: &mut dyn Rows, cuid: &str) -> Result<Option<User>, StoreError> {
    // A peer may ask for any text as a user; keys of the store are bounded.
    if check_cuid(cuid).is_err() { Ok(None) } else { rows::get(rows, TABLE, cuid.as_bytes()) }
}

/// All users, in order of name.
///
/// # Errors
/// [`StoreError`].
pub fn list(rows: &mut dyn Rows) -> Result<Vec<User>, StoreError> {
    let mut users = Vec::new();
    rows::for_each(rows, TABLE, |_, user| users.push(user))?;
    Ok(users)
}

/// Reads what `user add --public FILE` is given.
///
/// # Errors
/// [`PublicFileError`].
pub fn read_public(text: &str) -> Result<PublicKey, PublicFileError> {
    let jwk: Value = serde_json::from_str(text).map_err(|error| PublicFileError::Json(error.to_string()))?;
    if jwk.get("d").is_some() {
        return Err(PublicFileError::Private);
    }
    Ok(PublicKey::from_jwk(&jwk)?)
}

impl User {
    /// The certificate to disclose, dated `now` (PROTOCOL 1.3). `endpoint`: where others dial.
    ///
    /// # Errors
    /// [`RecordError`] where the account's row was altered.
    pub fn certificate(
        &self,
        agent: &AgentId,
        endpoint: &Endpoint,
        now: Timestamp,
    ) -> Result<Certificate, RecordError> {
        let name =
            if self.kind == "p" { serde_json::json!({ "prefer": self.name }) } else { Value::from(self.name.as_str()) };
        NewCertificate {
            chad: self.chad(agent, endpoint),
            date: now,
            kind: self.kind.clone(),
            name,
            public: self.public.clone(),
            more: serde_json::Map::new(),
        }
        .build()
    }

    /// The user's address.
    pub fn chad(&self, agent: &AgentId, endpoint: &Endpoint) -> Chad {
        Chad::user(self.cuid.as_str(), agent.clone()).at(endpoint.host.as_str(), endpoint.port)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::site::rows::memory::Tables;
    use tallyho_plugin::record::keys::KeyKind;
    use tallyho_plugin::record::signing::UserKey;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn add_to(tables: &mut Tables, cuid: &str, name: &str) -> Result<User, UserError> {
        add(tables, cuid, name, &PublicKey::Ed25519([3; 32]), Custody::Site, NOW)
    }

    #[test]
    fn a_user_is_kept_as_given_and_listed_by_name() {
        let mut tables = Tables::default();
        let public = UserKey::generate(KeyKind::P521).unwrap().public().clone();
        let bob = add(&mut tables, "bob", "Bob Client", &public, Custody::Elsewhere, NOW).unwrap();
        let alice = add_to(&mut tables, "alice", "").unwrap();
        assert_eq!(get(&mut tables, "bob").unwrap().as_ref(), Some(&bob));
        assert_eq!((bob.name.as_str(), bob.custody, bob.created), ("Bob Client", Custody::Elsewhere, NOW));
        assert_eq!(PublicKey::from_jwk(&bob.public).unwrap(), public);
        assert_eq!(alice.name, "alice", "without a name, the cuid");
        assert_eq!(list(&mut tables).unwrap(), [alice, bob]);
        assert_eq!(serde_json::to_value(Custody::Elsewhere).unwrap(), "elsewhere");
    }

    #[test]
    fn names_that_are_none_are_refused_saying_what_was_expected() {
        let mut tables = Tables::default();
        for cuid in ["", "a b", "a:b", "a@b", "a/b", "a?b", "a#b", "a\n", &"x".repeat(65)] {
            let message = add_to(&mut tables, cuid, "").unwrap_err().to_string();
            assert!(message.contains("cuid") && message.contains("for example bob"), "{message}");
            assert_eq!(get(&mut tables, cuid).unwrap(), None);
        }
        for name in ["a\nb", &"x".repeat(NAME_BYTES + 1)] {
            assert!(matches!(add_to(&mut tables, "bob", name), Err(UserError::Name(_))));
        }
        assert!(tables.0.is_empty());
    }

    #[test]
    fn a_name_is_given_once() {
        let mut tables = Tables::default();
        let first = add_to(&mut tables, "bob", "First").unwrap();
        assert!(matches!(add_to(&mut tables, "bob", "Second"), Err(UserError::Exists(cuid)) if cuid == "bob"));
        assert_eq!(get(&mut tables, "bob").unwrap(), Some(first));
        add_to(&mut tables, "Bob", "").unwrap(); // case counts (PROTOCOL 1.1)
    }

    #[test]
    fn a_users_certificate_is_accepted_by_partners() {
        let mut tables = Tables::default();
        let agent = AgentId::from_bytes(&[7; 32]);
        let endpoint = Endpoint::parse("[2001:db8::7]:65430").unwrap();
        let person = add_to(&mut tables, "bob", "Bob").unwrap();
        let organisation = User { kind: "o".to_owned(), ..person.clone() };
        for (user, name) in [(person, serde_json::json!({ "prefer": "Bob" })), (organisation, "Bob".into())] {
            let cert = user.certificate(&agent, &endpoint, NOW).unwrap();
            let checked = Certificate::check(cert.value(), Some(&agent)).unwrap();
            assert_eq!(*checked.chad(), Chad::user("bob", agent.clone()).at("2001:db8::7", 65430));
            assert_eq!((&cert.value()["name"], &cert.value()["type"]), (&name, &user.kind.as_str().into()));
            assert_eq!(cert.value()["date"], NOW.text());
        }
    }

    #[test]
    fn a_public_key_file_is_read_and_a_private_one_refused() {
        let key = UserKey::generate(KeyKind::P521).unwrap();
        assert_eq!(read_public(&key.public_jwk().to_string()).unwrap(), *key.public());
        assert_eq!(read_public(&key.to_private_jwk()), Err(PublicFileError::Private));
        assert!(matches!(read_public("-----BEGIN PUBLIC KEY-----"), Err(PublicFileError::Json(_))));
        assert!(matches!(read_public("{\"kty\":\"RSA\"}"), Err(PublicFileError::Key(_))));
    }
}
