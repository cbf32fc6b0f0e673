//! Signatures that the host itself has made in an event: they stand, and to check them costs more than to make them.

use super::host::Host;
use super::limits::SIGNATURES_KNOWN;
use tallyho_plugin::record::base64v;
use tallyho_plugin::services::Check;

/// The first of an event.
#[derive(Default)]
pub struct Made(Vec<One>);

struct One {
    /// Who signed; `None`: the agent.
    user: Option<String>,
    text: Vec<u8>,
    /// In base64url, as checks have it.
    signature: String,
}

impl Made {
    /// Remembers a signature.
    pub fn note(&mut self, user: Option<&str>, text: &[u8], signature: &[u8]) {
        if self.0.len() < SIGNATURES_KNOWN {
            let (user, text) = (user.map(str::to_owned), text.to_vec());
            self.0.push(One { user, text, signature: base64v::encode(signature) });
        }
    }

    /// Whether it is a signature made here, over the same text and by the key that the check names. Where it is
    /// not, that says nothing.
    pub fn has(&self, check: &Check, host: &dyn Host) -> bool {
        let is_it = |one: &&One| one.signature == check.signature && one.text == check.text;
        self.0.iter().filter(is_it).any(|one| host.holds(one.user.as_deref(), &check.key))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ledger::host::HostCall;
    use tallyho_plugin::Fault;
    use tallyho_plugin::record::AgentId;
    use tallyho_plugin::services::CheckKey;

    /// Holds the key of `ann`, and its own.
    struct Keys(AgentId);

    impl Host for Keys {
        fn agent(&self) -> &AgentId {
            &self.0
        }
        fn sign_agent(&self, _: &[u8]) -> Vec<u8> {
            Vec::new()
        }
        fn sign_user(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, Fault> {
            Ok(Vec::new())
        }
        fn holds(&self, user: Option<&str>, key: &CheckKey) -> bool {
            match (user, key) {
                (None, CheckKey::Agent(agent)) => *agent == self.0,
                (Some(user), CheckKey::User(key)) => user == key,
                _ => false,
            }
        }
        fn command(&self, _: &mut HostCall<'_, '_>, _: &str, _: &[u8]) -> Result<Vec<u8>, Fault> {
            Err(Fault::usage("no commands"))
        }
    }

    #[test]
    fn only_the_same_signature_over_the_same_text_by_the_same_key_is_known() {
        let keys = Keys(AgentId("site".to_owned()));
        let mut made = Made::default();
        made.note(Some("ann"), b"text", &[1, 2, 3]);
        made.note(None, b"text", &[4, 5, 6]);
        let check = |key: CheckKey, text: &[u8], signature: &[u8]| {
            let check = Check { key, text: text.to_vec(), signature: base64v::encode(signature) };
            made.has(&check, &keys)
        };
        let (ann, bob) = (|| CheckKey::User("ann".to_owned()), || CheckKey::User("bob".to_owned()));
        let site = || CheckKey::Agent(AgentId("site".to_owned()));
        assert!(check(ann(), b"text", &[1, 2, 3]) && check(site(), b"text", &[4, 5, 6]));
        assert!(!check(bob(), b"text", &[1, 2, 3]), "another key");
        assert!(!check(site(), b"text", &[1, 2, 3]), "the agent did not make it");
        assert!(!check(ann(), b"other", &[1, 2, 3]), "another text");
        assert!(!check(ann(), b"text", &[1, 2, 4]), "another signature");
        assert!(!check(CheckKey::Agent(AgentId("other".to_owned())), b"text", &[4, 5, 6]), "another agent");
    }

    #[test]
    fn they_are_bounded() {
        let mut made = Made::default();
        (0..2 * SIGNATURES_KNOWN).for_each(|_| made.note(None, b"text", &[1]));
        assert_eq!(made.0.len(), SIGNATURES_KNOWN);
    }
}
