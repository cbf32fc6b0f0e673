//! Why an event had no effect, and whose fault that was.

use serde::{Deserialize, Serialize};

/// Whose fault it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FaultKind {
    /// The input does not fit the rules or the state: a peer's message is dropped, an operator is
    /// told. Never counted against the plugin.
    Refused,
    /// The operator used a command wrongly (missing or malformed argument).
    Usage,
    /// The thing asked about does not exist.
    NotFound,
    /// The plugin could not do its work: a bug, or a record it cannot read. Counted against it.
    Failed,
    /// The host could not serve the handler (store unwritable, a bound reached). Not counted.
    Host,
}

/// The code of a refusal that costs the sender's address a strike: not a late copy or a crossing, which
/// are normal, but what no honest sender sends, such as a signature that does not stand.
pub const STRIKE: &str = "strike";

/// An event that had no effect: what was wrong and, where it helps, what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}{}", fix.as_deref().map(|fix| format!("; {fix}")).unwrap_or_default())]
pub struct Fault {
    /// Whose fault it was.
    pub kind: FaultKind,
    /// A word that scripts may compare, such as `ISR` or `no-such-tally`. May be empty.
    #[serde(default)]
    pub code: String,
    /// What happened, for a person; names the argument or member at fault.
    pub text: String,
    /// What to do about it, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Fault {
    /// A fault of the given kind.
    pub fn new(kind: FaultKind, text: impl Into<String>) -> Self {
        Fault { kind, code: String::new(), text: text.into(), fix: None }
    }

    /// The input does not fit the rules or the state.
    pub fn refused(text: impl Into<String>) -> Self {
        Self::new(FaultKind::Refused, text)
    }

    /// A command was used wrongly.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::new(FaultKind::Usage, text)
    }

    /// The thing asked about does not exist.
    pub fn not_found(text: impl Into<String>) -> Self {
        Self::new(FaultKind::NotFound, text)
    }

    /// The plugin could not do its work.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::new(FaultKind::Failed, text)
    }

    /// The host could not serve the handler.
    pub fn host(text: impl Into<String>) -> Self {
        Self::new(FaultKind::Host, text)
    }

    /// The same fault with a word for scripts.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = code.into();
        self
    }

    /// The same fault with what to do about it.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}
