//! Lines of the outbox: messages of one line leave in their order, over channels of that line alone.

use std::fmt;
use tallyho_plugin::record::AgentId;
use tallyho_plugin::record::limits::DEFAULT_PORT;
use tallyho_plugin::services::Outgoing;

/// Begins the name of a stranger's line; no agent's id does.
const STRANGER: char = '@';

/// A line of the outbox: that of an agent with a relation, or of a stranger at one address.
///
/// A stranger's is apart from the agent's own line, since it goes by restricted channels (PROTOCOL 1.5, `R`),
/// and each address has its own: who names a wrong one for an agent must not hold up what others ask of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Line(String);

impl Line {
    /// The line that a message waits in.
    pub fn of(message: &Outgoing) -> Self {
        match (message.restricted, &message.to.host) {
            (true, Some(host)) => {
                let (agent, port) = (&message.to.agent.0, message.to.port.unwrap_or(DEFAULT_PORT));
                Line(format!("{STRANGER}{agent}{STRANGER}{host}:{port}"))
            }
            _ => Line::from(&message.to.agent),
        }
    }

    /// The line of this name.
    pub fn named(name: impl Into<String>) -> Self {
        Line(name.into())
    }

    /// Its name: an agent's id, or `@AGENT@HOST:PORT`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Who is at its other end.
    pub fn agent(&self) -> AgentId {
        match self.0.strip_prefix(STRANGER).and_then(|rest| rest.split_once(STRANGER)) {
            Some((agent, _)) => AgentId(agent.to_owned()),
            None => AgentId(self.0.clone()),
        }
    }

    /// Whether it is a stranger's.
    pub fn is_strangers(&self) -> bool {
        self.0.starts_with(STRANGER)
    }

    /// The name under which ids and room of this line are counted: an agent's own, or one for all strangers.
    pub fn counted(&self) -> Line {
        if self.is_strangers() { Line(STRANGER.to_string()) } else { self.clone() }
    }

    /// Whether it only counts for all strangers.
    pub fn is_count(&self) -> bool {
        self.0.len() == STRANGER.len_utf8() && self.is_strangers()
    }
}

impl From<&AgentId> for Line {
    fn from(agent: &AgentId) -> Self {
        Line(agent.0.clone())
    }
}

impl From<AgentId> for Line {
    fn from(agent: AgentId) -> Self {
        Line(agent.0)
    }
}

impl From<&Line> for Line {
    fn from(line: &Line) -> Self {
        line.clone()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0.trim_start_matches(STRANGER))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tallyho_plugin::record::Chad;

    #[test]
    fn a_stranger_has_a_line_for_each_address_and_none_of_them_is_the_agents_own() {
        let agent = AgentId::from_bytes(&[7; 32]);
        let to = |port| Outgoing::new(Chad::agent(agent.clone()).at("::1", port), "", "t", "a", &()).unwrap();
        let asked = Line::of(&to(1).by_restricted_channel());
        assert_eq!(Line::of(&to(1)), Line::from(&agent));
        assert_ne!(asked, Line::of(&to(2).by_restricted_channel()));
        assert!(asked.is_strangers() && !Line::from(&agent).is_strangers());
        assert_eq!((asked.agent(), Line::from(&agent).agent()), (agent.clone(), agent.clone()));
        assert!(asked.counted().is_count() && !asked.is_count());
        assert_eq!(asked.to_string(), format!("{}@::1:1", agent.0));
    }
}
