//! What the network asks of the site's tables for every message, kept in memory.
//!
//! The tables are authoritative: a book is filled from them at start and follows each commit.

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

/// Where an agent can be reached, and how it has to be spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// DNS name or IP literal.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Where agents can be reached.
#[derive(Debug, Default)]
pub struct AddressBook {
    places: RwLock<HashMap<AgentId, Place>>,
    reference: RwLock<HashSet<AgentId>>,
}

impl AddressBook {
    /// Whether the agent is known to be there.
    pub fn is_at(&self, agent: &AgentId, host: &str, port: u16) -> bool {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        places.get(agent).is_some_and(|place| place.host == host && place.port == port)
    }

    /// The agent is there from now on.
    pub fn set(&self, agent: &AgentId, host: &str, port: u16) {
        let place = Place { host: host.to_owned(), port };
        self.places.write().unwrap_or_else(PoisonError::into_inner).insert(agent.clone(), place);
    }

    /// Where to dial: the place last learnt, otherwise what the address itself hints at.
    pub fn find(&self, to: &Chad) -> Option<Place> {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        let hint = || Some(Place { host: to.host.clone()?, port: to.port.unwrap_or(DEFAULT_PORT) });
        places.get(&to.agent).cloned().or_else(hint)
    }

    /// Whether the agent is marked as the JavaScript reference (PROTOCOL A.3).
    pub fn is_reference(&self, agent: &AgentId) -> bool {
        self.reference.read().unwrap_or_else(PoisonError::into_inner).contains(agent)
    }

    /// Marks the agent as the JavaScript reference, or unmarks it.
    pub fn mark_reference(&self, agent: &AgentId, reference: bool) {
        let mut marked = self.reference.write().unwrap_or_else(PoisonError::into_inner);
        match reference {
            true => marked.insert(agent.clone()),
            false => marked.remove(agent),
        };
    }
}

/// The port of a site that names none (PROTOCOL 1.1).
pub const DEFAULT_PORT: u16 = 65_430;
