//! What the ledger asks of the site it works for: its keys, and the commands of the pseudo-plugin `host`.

use super::buffer::Buffer;
use super::input::Released;
use super::seeds::Random;
use tallyho_plugin::Fault;
use tallyho_plugin::record::{AgentId, Timestamp};
use tallyho_plugin::services::CheckKey;

/// The keys of the site, and what else an event may ask of the host itself.
pub trait Host: Send + Sync {
    /// This site's agent.
    fn agent(&self) -> &AgentId;
    /// Signs with the agent's key.
    fn sign_agent(&self, text: &[u8]) -> Vec<u8>;
    /// Signs with a user's key.
    ///
    /// # Errors
    /// A refusal where there is no such user or the key is kept elsewhere.
    fn sign_user(&self, user: &str, text: &[u8]) -> Result<Vec<u8>, Fault>;
    /// Whether this is the key of the user, or of the agent where none is named, and is here to sign with.
    fn holds(&self, _user: Option<&str>, _key: &CheckKey) -> bool {
        false
    }
    /// Whether there is room for more relations.
    fn has_room(&self) -> bool {
        true
    }
    /// A command of the pseudo-plugin `host`; argument and answer are CBOR.
    ///
    /// # Errors
    /// The command's fault.
    fn command(&self, call: &mut HostCall<'_, '_>, name: &str, argument: &[u8]) -> Result<Vec<u8>, Fault>;
}

/// A command of the pseudo-plugin `host` as it is called.
pub struct HostCall<'c, 'e> {
    /// The host's rows, with this event's writes.
    pub buffer: &'c mut Buffer<'e>,
    /// The plugin that calls; `None` for the operator.
    pub caller: Option<&'c str>,
    /// The event's time.
    pub now: Timestamp,
    /// The event's random bytes.
    pub random: &'c mut Random,
    /// What the commit will let out.
    pub released: &'c mut Released,
}
