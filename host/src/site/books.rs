//! What the network asks of the site's tables for every message, kept in memory.
//!
//! The tables are authoritative: a book is filled from them at start and follows each commit.

use super::addresses::Known;
use super::config::Compat;
use super::endpoint::Endpoint;
use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};
use tallyho_plugin::record::{AgentId, Chad};

/// The users who live here.
#[derive(Debug, Default)]
pub struct UserBook {
    users: RwLock<HashSet<String>>,
}

impl UserBook {
    /// Whether this user lives here.
    pub fn knows(&self, cuid: &str) -> bool {
        self.users.read().unwrap_or_else(PoisonError::into_inner).contains(cuid)
    }

    /// This user lives here from now on.
    pub fn add(&self, cuid: impl Into<String>) {
        self.users.write().unwrap_or_else(PoisonError::into_inner).insert(cuid.into());
    }
}

/// Where agents can be reached, and how they have to be spoken to.
#[derive(Debug, Default)]
pub struct AddressBook {
    known: RwLock<HashMap<AgentId, Known>>,
}

impl AddressBook {
    fn ask<T>(&self, agent: &AgentId, ask: impl FnOnce(&Known) -> Option<T>) -> Option<T> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(agent).and_then(ask)
    }

    /// What is known of an agent from now on.
    pub fn put(&self, agent: AgentId, known: Known) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(agent, known);
    }

    /// Whether this is what was last learnt of the agent.
    pub fn has_learnt(&self, agent: &AgentId, host: &str, port: u16) -> bool {
        let same = |known: &Known| {
            let endpoint = &known.learnt.as_ref()?.endpoint;
            Some(endpoint.host == host && endpoint.port == port)
        };
        self.ask(agent, same).unwrap_or(false)
    }

    /// Where to dial: what is known, otherwise what the address itself hints at.
    pub fn find(&self, to: &Chad) -> Option<Endpoint> {
        let hint = || Some(Endpoint { host: to.host.clone()?, port: to.port.unwrap_or(DEFAULT_PORT) });
        self.ask(&to.agent, |known| known.endpoint().cloned()).or_else(hint)
    }

    /// Whether the operator has said where this agent is.
    pub fn is_named(&self, agent: &AgentId) -> bool {
        self.ask(agent, |known| known.set.as_ref().map(drop)).is_some()
    }

    /// Whether the agent speaks as the JavaScript reference does (PROTOCOL A.3).
    pub fn is_reference(&self, agent: &AgentId) -> bool {
        self.ask(agent, Known::compat) == Some(Compat::MychipsJs)
    }
}

/// The port of a site that names none (PROTOCOL 1.1).
pub const DEFAULT_PORT: u16 = 65_430;
