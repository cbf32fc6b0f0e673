//! `plugin snapshot` and `plugin replay`.

use super::Node;
use super::host::{Signer, SiteHost};
use crate::ledger::host::Host;
use crate::ledger::limits::JOURNAL_SLOTS;
use crate::ledger::replay::{self, Replayed, Site, replay};
use crate::ledger::signed::Signed;
use crate::ledger::table::PluginTable;
use crate::ledger::{input::Released, remembered};
use crate::plugin::{Loader, LoaderOptions, Plugin, find_plugin};
use crate::site::keys::SignError;
use crate::site::relations::RelationRegistry;
use crate::store::sqlite::{SqliteStore, backup};
use crate::store::{Store, StoreError};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tallyho_plugin::Fault;
use tallyho_plugin::record::AgentId;

fn fault(error: &dyn std::fmt::Display) -> Fault {
    Fault::host(error.to_string())
}

impl Node {
    /// `plugin snapshot`: a copy of the store, after which effects are recorded so that the events that follow
    /// can be replayed.
    pub(super) fn snapshot(&self, file: &Path) -> Result<Value, Fault> {
        let site = Site { agent: self.own.agent.clone(), endpoint: self.endpoint.clone() };
        let recording = move |core: &mut crate::ledger::Core, _| {
            core.record(&site).map_err(|error| fault(&error).code("store"))?;
            Ok(((), Released::default()))
        };
        self.ledger.alter(recording)?;
        let bytes = backup(&self.home.store(), file).map_err(|error| fault(&error).code("store"))?;
        Ok(json!({ "file": file, "bytes": bytes, "events": JOURNAL_SLOTS }))
    }
}

/// The keys of a site that is not here: what was signed then.
struct Then {
    agent: AgentId,
    signed: Mutex<Signed>,
}

impl Then {
    fn again(&self, user: Option<&str>, text: &[u8]) -> Vec<u8> {
        // What was not signed then is another text, and told as such.
        let unknown = || Ok::<_, ()>(vec![0; 64]);
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        signed.or_sign(user, text, unknown).unwrap_or_default()
    }
}

impl Signer for Then {
    fn agent(&self) -> &AgentId {
        &self.agent
    }
    fn sign_agent(&self, text: &[u8]) -> Vec<u8> {
        self.again(None, text)
    }
    fn sign_user(&self, cuid: &str, text: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(self.again(Some(cuid), text))
    }
    fn unseal(&self, _: &[u8], _: &[u8]) -> Option<Vec<u8>> {
        None // what was read then is given before anybody asks
    }
}

/// What a replay is asked for.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// A snapshot.
    pub store: &'a Path,
    /// A store of the same site of a later time, a snapshot too or the site's own.
    pub journal: &'a Path,
    /// The candidate's library.
    pub candidate: &'a Path,
    /// Where the other plugins are looked for.
    pub folders: &'a [PathBuf],
}

/// `plugin replay`: a journal from a snapshot through a candidate.
///
/// # Errors
/// What cannot be read or loaded; files that do not belong together.
pub fn run(order: &Order<'_>) -> Result<Value, Fault> {
    let folder = tempfile::tempdir().map_err(|error| fault(&error))?;
    let mut snapshot = copied(order.store, &folder.path().join("snapshot"))?;
    let mut journal = copied(order.journal, &folder.path().join("journal"))?;
    let store = |error: StoreError| fault(&error).code("store");
    let (mut then, mut later) = (snapshot.begin().map_err(store)?, journal.begin().map_err(store)?);
    let site = replay::noted(&mut *then).map_err(store)?.ok_or_else(|| {
        let text = format!("{} is no snapshot", order.store.display());
        Fault::refused(text).code("snapshot").fix("make one of the running site: `tallyho plugin snapshot FILE`")
    })?;
    if replay::noted(&mut *later).map_err(store)?.is_none_or(|other| other.agent != site.agent) {
        let text = format!("{} holds nothing of the site of {}", order.journal.display(), order.store.display());
        return Err(Fault::refused(text).code("other-site").fix("give the journal of the same site, of a later time"));
    }
    let entries = replay::events(&mut *then, &mut *later).map_err(store)??;
    let known = remembered::all(&mut *then).map_err(store)?;
    drop((then, later));
    let loader = Loader::new(LoaderOptions::new(folder.path().join("loaded"))).map_err(|error| load(&error))?;
    let candidate = loader.load(order.candidate).map_err(|error| load(&error))?;
    let (name, version) = (candidate.manifest().name.clone(), candidate.manifest().version.clone());
    let build = candidate.build().map(|build| build.to_string());
    let mut table = PluginTable::default().with(candidate).map_err(|clash| fault(&clash))?;
    let mut missing = Vec::new();
    for (other, _) in known.iter().filter(|(other, _)| *other != name) {
        match find_plugin(other, order.folders).and_then(|path| loader.load(&path)) {
            Ok(plugin) => table = table.with(plugin).map_err(|clash| fault(&clash))?,
            Err(_) => missing.push(other.clone()),
        }
    }
    let host = |signed: Signed| -> Arc<dyn Host> {
        let keys = Arc::new(Then { agent: site.agent.clone(), signed: Mutex::new(signed) });
        let (endpoint, relations) = (site.endpoint.clone(), Arc::new(RelationRegistry::new()));
        Arc::new(SiteHost { keys, endpoint, relations })
    };
    let (first, total) = (entries.first().map(|entry| entry.number), entries.len());
    let replayed = replay(Box::new(snapshot), entries, &Arc::new(table), &name, &host).map_err(store)??;
    let Replayed { events, progress, ended } = replayed;
    let why = progress.objection().or_else(|| ended.clone());
    Ok(json!({
        "ok": why.is_none(),
        "name": name,
        "version": version,
        "build": build,
        "first": first,
        "journal": total,
        "replayed": events,
        "events": progress.seen,
        "differing": progress.differing,
        "differences": progress.differences,
        "without": missing,
        "ended": ended,
        "why": why,
    }))
}

/// A store of its own, as the file is now; whoever uses it is not disturbed.
fn copied(file: &Path, to: &Path) -> Result<SqliteStore, Fault> {
    backup(file, to).and_then(|_| SqliteStore::open_existing(to)).map_err(|error| fault(&error).code("store"))
}

fn load(error: &crate::plugin::LoadError) -> Fault {
    Fault::refused(format!("{} {}", error.path.display(), error.refusal)).code("load").fix(error.refusal.fix())
}
