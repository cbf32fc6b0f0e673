//! A site's first start, told apart from one whose store or key is lost.
//!
//! Key and store belong together. A store lost from beside its key must not be answered by an empty one:
//! the site would run as if it had never owed anybody anything. Nor may a key lost from beside its
//! store be answered by a new one: to its partners that is another site.

use super::NodeError;
use crate::ledger::journal::Journal;
use crate::site::backup;
use crate::site::home::Home;
use crate::site::keys::{KeyFolder, KeysError};
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreError};

/// The site's store, beside its agent key. Both are made where neither is there. `anew`: the operator
/// says that a store which is missing shall be an empty one.
pub(super) fn found(home: &Home, anew: bool) -> Result<SqliteStore, NodeError> {
    let (keys, path) = (KeyFolder::of(home), home.store());
    let known = match keys.agent() {
        Ok(_) => true,
        Err(KeysError::NoAgent { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    if backup::is_cut_short(home) {
        return Err(NodeError::RestoreCut { path: home.root().display().to_string() });
    }
    match (known, path.exists()) {
        (true, true) => Ok(SqliteStore::open_existing(&path)?),
        (true, false) if !anew => Err(NodeError::StoreLost { path: path.display().to_string() }),
        (true, false) => Ok(SqliteStore::open(&path)?),
        // The store comes first: a crash between the two leaves one that nobody has used.
        (false, _) => {
            let mut store = SqliteStore::open(&path)?;
            if is_used(&mut store)? {
                let (key, path) = (keys.agent_path().display().to_string(), path.display().to_string());
                return Err(NodeError::KeyLost { key, path });
            }
            keys.agent_or_new()?;
            Ok(store)
        }
    }
}

/// Whether anything has ever happened on it.
fn is_used(store: &mut SqliteStore) -> Result<bool, StoreError> {
    Journal::has_begun(&mut *store.begin()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::control::Operator;
    use crate::node::{Node, NodeOptions};
    use serde_json::json;
    use std::fs;

    fn run(home: &Home) -> Result<(), NodeError> {
        open(home).map(drop)
    }

    fn open(home: &Home) -> Result<std::sync::Arc<Node>, NodeError> {
        // Without plugins: the site itself is what is looked at.
        fs::write(home.config(), crate::node::loading::none_enabled()).unwrap();
        Node::open(home.clone(), &NodeOptions { offline: true, ..NodeOptions::default() })
    }

    #[test]
    fn a_lost_store_is_not_answered_by_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path()).unwrap();
        run(&home).unwrap();
        fs::rename(home.store(), folder.path().join("away")).unwrap();
        let error = run(&home).unwrap_err();
        assert!(matches!(error, NodeError::StoreLost { .. }), "{error}");
        assert!(error.to_string().contains("tallyho init"), "{error}");
        assert!(!home.store().exists());
        // The operator may say that it shall be so.
        found(&home, true).unwrap();
        run(&home).unwrap();
    }

    #[test]
    fn a_lost_key_is_not_answered_by_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path()).unwrap();
        let node = open(&home).unwrap();
        node.call("host", "user.add", &json!({ "cuid": "alice", "key": "ed25519" })).unwrap();
        drop(node);
        let key = KeyFolder::of(&home).agent_path();
        fs::remove_file(&key).unwrap();
        for anew in [false, true] {
            let error = found(&home, anew).unwrap_err();
            assert!(matches!(error, NodeError::KeyLost { .. }), "{error}");
            assert!(!key.exists());
        }
    }

    #[test]
    fn a_first_start_that_was_cut_short_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path()).unwrap();
        drop(SqliteStore::open(&home.store()).unwrap());
        run(&home).unwrap();
        assert!(KeyFolder::of(&home).agent_path().exists());
    }
}
