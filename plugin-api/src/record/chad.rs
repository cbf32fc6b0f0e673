//! CHIP addresses (PROTOCOL 1.1, 1.2).

use serde::{Deserialize, Serialize};

/// An agent's id: its 32-byte Ed25519 public key in base64url without padding, 43 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentId(pub String);

/// A CHIP address. Two are the same party iff `cuid` and `agent` are equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chad {
    /// The user's name at its agent; absent in an address of the agent itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cuid: Option<String>,
    /// The agent.
    pub agent: AgentId,
    /// DNS name or IP literal; a hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// 1 to 65535; a hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}
