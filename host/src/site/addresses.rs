//! Where known agents are dialled: table `host.addresses`.
//!
//! Host and port are hints, never identity (PROTOCOL 1.1), and they change. The site learns them from
//! authenticated messages, tickets and certificates; of two, the later one holds. What the operator
//! set holds against all of these until the operator takes it back: somebody who sets an address does
//! so because the one that the peer tells does not work from here, and the peer's next message would
//! undo it. How a peer speaks (`compat`) is kept beside it, by the same rule.

use serde::{Deserialize, Serialize};
use tallyho_plugin::record::{AgentId, Chad, Timestamp};

use super::config::Compat;
use super::endpoint::{Endpoint, is_host};
use super::rows::{self, Rows};
use crate::store::StoreError;

/// The table: a row for each agent, by its id.
pub const TABLE: &str = "host.addresses";

/// What is known about reaching an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Known {
    /// Where it was last said to be.
    pub learnt: Option<Learnt>,
    /// Where the operator says it is.
    pub set: Option<Endpoint>,
    /// How it was found to speak (PROTOCOL A.3).
    pub compat_found: Option<Compat>,
    /// How the operator says it speaks.
    pub compat_set: Option<Compat>,
}

/// An endpoint learnt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learnt {
    /// Where.
    pub endpoint: Endpoint,
    /// From what.
    pub from: Source,
    /// How old the news is: when the message came, or the certificate was made.
    pub at: Timestamp,
}

/// Where an address was learnt from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Source {
    /// The `from` of a message on a channel that its agent had proven.
    Message,
    /// A ticket.
    Ticket,
    /// A certificate.
    Certificate,
    /// A plugin's relation or message.
    Plugin,
}

/// What the operator changes; `None`: as it is, `Some(None)`: taken back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Setting {
    /// Where the agent is.
    pub endpoint: Option<Option<Endpoint>>,
    /// How it speaks.
    pub compat: Option<Option<Compat>>,
}

impl Known {
    /// Where to dial.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.set.as_ref().or(self.learnt.as_ref().map(|learnt| &learnt.endpoint))
    }

    /// How to speak.
    pub fn compat(&self) -> Option<Compat> {
        self.compat_set.or(self.compat_found)
    }
}

/// What is known about an agent.
///
/// # Errors
/// [`StoreError`].
pub fn get(rows: &mut dyn Rows, agent: &AgentId) -> Result<Option<Known>, StoreError> {
    rows::get(rows, TABLE, agent.0.as_bytes())
}

/// All agents known, in order of id.
///
/// # Errors
/// [`StoreError`].
pub fn list(rows: &mut dyn Rows) -> Result<Vec<(AgentId, Known)>, StoreError> {
    let mut known = Vec::new();
    rows::for_each(rows, TABLE, |key, one| known.push((AgentId(String::from_utf8_lossy(&key).into_owned()), one)))?;
    Ok(known)
}

/// Learns the host and port of an address, if it has both and they can be dialled and are later news
/// than those known. `at`: how old the news is; a time after `now` counts as now. Whether the row
/// changed: the same news again costs no write.
///
/// The caller vouches that the news is the agent's own: the sender proved its key, or the ticket or
/// certificate came from somebody we deal with.
///
/// # Errors
/// [`StoreError`].
pub fn learn(
    rows: &mut dyn Rows,
    chad: &Chad,
    from: Source,
    at: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (Some(host), Some(port)) = (&chad.host, chad.port) else { return Ok(false) };
    if !is_host(host) || port == 0 || chad.agent.to_bytes().is_err() {
        return Ok(false);
    }
    let mut known = get(rows, &chad.agent)?.unwrap_or_default();
    let news = Learnt { endpoint: Endpoint { host: host.clone(), port }, from, at: at.min(now) };
    let stale = known.learnt.as_ref().is_some_and(|old| news.at < old.at || old.endpoint == news.endpoint);
    if stale {
        return Ok(false);
    }
    known.learnt = Some(news);
    rows::put(rows, TABLE, chad.agent.0.as_bytes(), &known)?;
    Ok(true)
}

/// [`learn`]s news that is as old as now; what is known then, where that has changed.
///
/// # Errors
/// [`StoreError`].
pub fn news(
    rows: &mut dyn Rows,
    chad: &Chad,
    from: Source,
    now: Timestamp,
) -> Result<Option<(AgentId, Known)>, StoreError> {
    if !learn(rows, chad, from, now, now)? {
        return Ok(None);
    }
    Ok(get(rows, &chad.agent)?.map(|known| (chad.agent.clone(), known)))
}

/// Keeps how an agent was found to speak. Whether the row changed.
///
/// # Errors
/// [`StoreError`].
pub fn found(rows: &mut dyn Rows, agent: &AgentId, compat: Option<Compat>) -> Result<bool, StoreError> {
    change(rows, agent, |known| known.compat_found = compat)
}

/// Carries out what the operator says. Whether the row changed.
///
/// # Errors
/// [`StoreError`].
pub fn set(rows: &mut dyn Rows, agent: &AgentId, setting: &Setting) -> Result<bool, StoreError> {
    change(rows, agent, |known| {
        if let Some(endpoint) = &setting.endpoint {
            known.set.clone_from(endpoint);
        }
        if let Some(compat) = setting.compat {
            known.compat_set = compat;
        }
    })
}

fn change(rows: &mut dyn Rows, agent: &AgentId, change: impl FnOnce(&mut Known)) -> Result<bool, StoreError> {
    let before = get(rows, agent)?.unwrap_or_default();
    let mut after = before.clone();
    change(&mut after);
    if after == before {
        return Ok(false);
    }
    if after == Known::default() {
        rows.delete(TABLE, agent.0.as_bytes())?;
    } else {
        rows::put(rows, TABLE, agent.0.as_bytes(), &after)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::site::rows::memory::Tables;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn agent() -> AgentId {
        AgentId::from_bytes(&[7; 32])
    }

    fn at(host: &str, port: u16) -> Chad {
        Chad::user("bob", agent()).at(host, port)
    }

    fn learn_at(tables: &mut Tables, chad: &Chad, offset: i64) -> bool {
        learn(tables, chad, Source::Message, NOW.plus(offset), NOW).unwrap()
    }

    fn dialled(tables: &mut Tables) -> Option<String> {
        get(tables, &agent()).unwrap().and_then(|known| known.endpoint().map(ToString::to_string))
    }

    #[test]
    fn the_latest_news_holds() {
        let mut tables = Tables::default();
        assert!(learn_at(&mut tables, &at("one.example", 1), -10));
        assert!(learn_at(&mut tables, &at("two.example", 2), -5));
        assert!(!learn_at(&mut tables, &at("old.example", 3), -7), "a certificate made before");
        assert_eq!(dialled(&mut tables).as_deref(), Some("two.example:2"));
        assert_eq!(list(&mut tables).unwrap()[0].0, agent());
    }

    #[test]
    fn the_same_news_again_costs_no_write() {
        let mut tables = Tables::default();
        assert!(learn_at(&mut tables, &at("one.example", 1), -10));
        let before = tables.0.clone();
        assert!(!learn_at(&mut tables, &at("one.example", 1), -5));
        assert_eq!(tables.0, before);
    }

    #[test]
    fn news_from_the_future_does_not_keep_out_later_ones() {
        let mut tables = Tables::default();
        learn(&mut tables, &at("future.example", 1), Source::Certificate, NOW.plus(1_000_000), NOW).unwrap();
        assert!(learn(&mut tables, &at("two.example", 2), Source::Message, NOW.plus(1), NOW.plus(1)).unwrap());
        assert_eq!(dialled(&mut tables).as_deref(), Some("two.example:2"));
    }

    #[test]
    fn what_the_operator_set_holds_until_taken_back_and_then_the_latest_news() {
        let mut tables = Tables::default();
        learn_at(&mut tables, &at("one.example", 1), -10);
        let own = Setting { endpoint: Some(Endpoint::parse("[::1]:9")), ..Setting::default() };
        assert!(set(&mut tables, &agent(), &own).unwrap());
        assert!(learn_at(&mut tables, &at("two.example", 2), -5));
        assert_eq!(dialled(&mut tables).as_deref(), Some("[::1]:9"));
        assert!(set(&mut tables, &agent(), &Setting { endpoint: Some(None), ..Setting::default() }).unwrap());
        assert_eq!(dialled(&mut tables).as_deref(), Some("two.example:2"));
    }

    #[test]
    fn how_a_peer_speaks_is_kept_and_the_operators_word_goes_first() {
        let mut tables = Tables::default();
        let compat = |tables: &mut Tables| get(tables, &agent()).unwrap().and_then(|known| known.compat());
        assert!(found(&mut tables, &agent(), Some(Compat::MychipsJs)).unwrap());
        assert!(!found(&mut tables, &agent(), Some(Compat::MychipsJs)).unwrap());
        assert_eq!(compat(&mut tables), Some(Compat::MychipsJs));
        assert!(found(&mut tables, &agent(), None).unwrap());
        assert_eq!(compat(&mut tables), None);
        assert!(tables.0.is_empty(), "nothing known, no row");
        set(&mut tables, &agent(), &Setting { compat: Some(Some(Compat::MychipsJs)), ..Setting::default() }).unwrap();
        assert_eq!(compat(&mut tables), Some(Compat::MychipsJs));
        assert_eq!(dialled(&mut tables), None);
    }

    #[test]
    fn what_cannot_be_dialled_is_not_learnt() {
        let mut tables = Tables::default();
        let short = Chad { agent: AgentId("short".to_owned()), ..at("one.example", 1) };
        for chad in [at("one.example", 0), at("a b", 1), at("", 1), Chad::user("bob", agent()), short] {
            assert!(!learn_at(&mut tables, &chad, 0), "{chad:?}");
        }
        assert!(tables.0.is_empty());
    }
}
