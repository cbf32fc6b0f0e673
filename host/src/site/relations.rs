//! Which foreign agents may talk with which of our users, and about what (PROTOCOL 1.5, 3.1 item 5).
//!
//! Plugins grant and revoke relations; each is a row of table `host.relations`, written in the
//! event's own transaction. [`RelationRegistry`] mirrors the table in memory, because it is asked at
//! every channel opened and at every message. It is told of changes after their commit: it never
//! lets in by a relation that could still be rolled back.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tallyho_plugin::record::chad::{ChadError, check_cuid};
use tallyho_plugin::record::{AgentId, Timestamp};
use tallyho_plugin::services::Relation;

use super::limits::{RELATIONS, SUBJECT_BYTES, SWEEP_ROWS};
use super::rows::{self, Rows};
use crate::store::StoreError;

/// The table.
pub const TABLE: &str = "host.relations";

/// Whether a message's parties are those of the relation it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They are.
    Joined,
    /// Our user has a relation about this subject, but with somebody else.
    OtherParties,
    /// Our user has no relation about this subject.
    Unknown,
}

/// A change to the relations, to be told to the registry once it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelationChange {
    /// Granted, or renewed.
    Granted(Granted),
    /// Revoked, or run out.
    Ended(Granted),
}

/// A relation and the plugin that granted it, which alone can revoke it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The plugin's name.
    pub plugin: String,
    /// The relation.
    pub relation: Relation,
}

/// Why a relation cannot be granted. The plugin's fault, but for the store's own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelationError {
    /// Not a word a relation can be about.
    #[error("a relation's subject has {0} bytes: expected 1 to {SUBJECT_BYTES}")]
    Subject(usize),
    /// A member is none.
    #[error("a relation's {member}: {why}")]
    Member {
        /// Which.
        member: &'static str,
        /// What is wrong with it.
        why: ChadError,
    },
    /// The store's fault.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes a relation into its table; a second grant of the same user, subject and agent renews it.
///
/// # Errors
/// [`RelationError`].
pub fn relate(rows: &mut dyn Rows, plugin: &str, relation: &Relation) -> Result<RelationChange, RelationError> {
    check(relation)?;
    let granted = Granted { plugin: plugin.to_owned(), relation: relation.clone() };
    rows::put(rows, TABLE, &key(&granted), &granted)?;
    Ok(RelationChange::Granted(granted))
}

/// Whether this plugin has granted this relation before, so that it would only be renewed.
///
/// # Errors
/// [`StoreError`].
pub fn is_granted(rows: &mut dyn Rows, plugin: &str, relation: &Relation) -> Result<bool, StoreError> {
    Ok(rows.get(TABLE, &key_of(plugin, &relation.user, &relation.subject, &relation.agent))?.is_some())
}

/// Deletes a relation that this plugin granted, if there.
///
/// # Errors
/// [`StoreError`].
pub fn unrelate(
    rows: &mut dyn Rows,
    plugin: &str,
    user: &str,
    subject: &str,
    agent: &AgentId,
) -> Result<Option<RelationChange>, StoreError> {
    let key = key_of(plugin, user, subject, agent);
    let Some(granted) = rows::get::<Granted>(rows, TABLE, &key)? else { return Ok(None) };
    rows.delete(TABLE, &key)?;
    Ok(Some(RelationChange::Ended(granted)))
}

/// Deletes relations that have run out among the next few rows of the table from `cursor` on. Returns
/// what ended and where to go on; `None`: the end was reached, begin anew another time.
///
/// # Errors
/// [`StoreError`].
pub fn sweep(
    rows: &mut dyn Rows,
    cursor: &[u8],
    now: Timestamp,
) -> Result<(Vec<RelationChange>, Option<Vec<u8>>), StoreError> {
    let page = rows::scan::<Granted>(rows, TABLE, cursor, SWEEP_ROWS)?;
    let next = rows::after(&page, SWEEP_ROWS);
    let mut ended = Vec::new();
    for (key, granted) in page {
        if !granted.holds(now) {
            rows.delete(TABLE, &key)?;
            ended.push(RelationChange::Ended(granted));
        }
    }
    Ok((ended, next))
}

/// The relations in force, in memory, shared by threads.
#[derive(Debug, Default)]
pub struct RelationRegistry {
    relations: RwLock<Relations>,
    /// How often they have changed.
    version: AtomicU64,
}

impl RelationRegistry {
    /// One that knows no relation.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that knows what the table says.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn load(rows: &mut dyn Rows) -> Result<Self, StoreError> {
        let mut relations = Relations::default();
        rows::for_each(rows, TABLE, |_, granted| relations.grant(granted))?;
        Ok(RelationRegistry { relations: RwLock::new(relations), version: AtomicU64::default() })
    }

    /// Takes over changes that are durable now, all at once.
    pub fn apply(&self, changes: impl IntoIterator<Item = RelationChange>) {
        let mut changes = changes.into_iter().peekable();
        if changes.peek().is_none() {
            return;
        }
        let mut relations = self.write();
        // Before anybody can see the change, so that what is found by it is never older than its version.
        self.version.fetch_add(1, Ordering::Release);
        for change in changes {
            match change {
                RelationChange::Granted(granted) => relations.grant(granted),
                RelationChange::Ended(granted) => relations.end(&granted),
            }
        }
    }

    /// A number that is another one after every change.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Whether this agent may open a channel: it has a relation with one of our users (PROTOCOL 1.5).
    pub fn admits(&self, agent: &AgentId, now: Timestamp) -> bool {
        let relations = self.read();
        relations.by_agent.get(agent).is_some_and(|granted| granted.values().any(|one| one.holds(now)))
    }

    /// Whether a message about `subject` to our `user`, from the foreign user `partner` of `agent`,
    /// is between the parties of that relation (PROTOCOL 3.1 item 5).
    pub fn joins(&self, user: &str, subject: &str, partner: &str, agent: &AgentId, now: Timestamp) -> Verdict {
        let relations = self.read();
        let Some(about) = relations.by_subject.get(user).and_then(|subjects| subjects.get(subject)) else {
            return Verdict::Unknown;
        };
        let is_partner = |one: &Parties| one.holds(now) && (one.partner.is_empty() || one.partner == partner);
        if about.get(agent).is_some_and(|parties| parties.iter().any(is_partner)) {
            Verdict::Joined
        } else if about.values().flatten().any(|one| one.holds(now)) {
            Verdict::OtherParties
        } else {
            Verdict::Unknown
        }
    }

    /// The relations with an agent.
    pub fn of(&self, agent: &AgentId, now: Timestamp) -> Vec<Granted> {
        let relations = self.read();
        let granted = relations.by_agent.get(agent).into_iter().flat_map(HashMap::values);
        granted.filter(|one| one.holds(now)).cloned().collect()
    }

    /// The agents with a relation, in no order.
    pub fn agents(&self, now: Timestamp) -> Vec<AgentId> {
        let relations = self.read();
        let related = relations.by_agent.iter().filter(|(_, granted)| granted.values().any(|one| one.holds(now)));
        related.map(|(agent, _)| agent.clone()).collect()
    }

    /// How many relations are held, those not yet swept included.
    pub fn len(&self) -> usize {
        self.read().count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no more should be granted: the bound on memory is reached.
    pub fn is_full(&self) -> bool {
        self.len() >= RELATIONS
    }

    // A thread that panicked while it held the lock has left whole entries behind (each change is one
    // call that does not panic half way), so the mirror is still good.
    fn read(&self) -> RwLockReadGuard<'_, Relations> {
        self.relations.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Relations> {
        self.relations.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mirror, by both questions asked of it. A grant or an end costs the same however many others
/// there are.
#[derive(Debug, Default)]
struct Relations {
    /// By agent, then row key.
    by_agent: HashMap<AgentId, HashMap<Vec<u8>, Granted>>,
    /// By user, then subject, then agent: one entry for each plugin that granted it.
    by_subject: HashMap<String, HashMap<String, HashMap<AgentId, Vec<Parties>>>>,
    count: usize,
}

/// What [`RelationRegistry::joins`] compares.
#[derive(Debug)]
struct Parties {
    plugin: String,
    partner: String,
    until: Option<Timestamp>,
}

impl Relations {
    fn grant(&mut self, granted: Granted) {
        self.end(&granted); // a renewal replaces
        let Relation { user, subject, partner, agent, until, .. } = &granted.relation;
        let parties = Parties { plugin: granted.plugin.clone(), partner: partner.clone(), until: *until };
        let about = self.by_subject.entry(user.clone()).or_default().entry(subject.clone()).or_default();
        about.entry(agent.clone()).or_default().push(parties);
        self.by_agent.entry(agent.clone()).or_default().insert(key(&granted), granted);
        self.count += 1;
    }

    fn end(&mut self, ended: &Granted) {
        let Relation { user, subject, agent, .. } = &ended.relation;
        let Some(of_agent) = self.by_agent.get_mut(agent) else { return };
        if of_agent.remove(&key(ended)).is_none() {
            return;
        }
        self.count -= 1;
        if of_agent.is_empty() {
            self.by_agent.remove(agent);
        }
        let Some(subjects) = self.by_subject.get_mut(user) else { return };
        let Some(about) = subjects.get_mut(subject) else { return };
        if let Some(parties) = about.get_mut(agent) {
            parties.retain(|one| one.plugin != ended.plugin);
            if parties.is_empty() {
                about.remove(agent);
            }
        }
        if about.is_empty() {
            subjects.remove(subject);
        }
        if subjects.is_empty() {
            self.by_subject.remove(user);
        }
    }
}

impl Granted {
    fn holds(&self, now: Timestamp) -> bool {
        holds(self.relation.until, now)
    }
}

impl Parties {
    fn holds(&self, now: Timestamp) -> bool {
        holds(self.until, now)
    }
}

fn holds(until: Option<Timestamp>, now: Timestamp) -> bool {
    until.is_none_or(|until| now < until)
}

fn check(relation: &Relation) -> Result<(), RelationError> {
    if !(1..=SUBJECT_BYTES).contains(&relation.subject.len()) {
        return Err(RelationError::Subject(relation.subject.len()));
    }
    let wrong = |member| move |why| RelationError::Member { member, why };
    check_cuid(&relation.user).map_err(wrong("user"))?;
    if !relation.partner.is_empty() {
        check_cuid(&relation.partner).map_err(wrong("partner"))?;
    }
    AgentId::parse(&relation.agent.0).map_err(wrong("agent"))?;
    Ok(())
}

fn key(granted: &Granted) -> Vec<u8> {
    let Relation { user, subject, agent, .. } = &granted.relation;
    key_of(&granted.plugin, user, subject, agent)
}

/// Plugin, user, agent and subject, parted by NUL: none of the first three can hold one, and the
/// subject comes last, where it may.
fn key_of(plugin: &str, user: &str, subject: &str, agent: &AgentId) -> Vec<u8> {
    [plugin, user, &agent.0, subject].join("\0").into_bytes()
}

#[cfg(test)]
#[path = "relations_tests.rs"]
mod tests;
