//! Which plugin serves what.

use super::limits::METRICS;
use crate::plugin::Plugin;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tallyho_plugin::{Manifest, Target};

/// A plugin that serves, with what has been counted of it since it began.
pub struct Serving {
    /// The plugin.
    pub plugin: Arc<dyn Plugin>,
    /// Events it has been given.
    pub calls: AtomicU64,
    /// Events it failed (its own fault, not its input's).
    pub faults: AtomicU64,
    /// Its own counters, by name.
    metrics: Mutex<BTreeMap<String, i64>>,
}

/// Two plugins claim the same thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plugins {first} and {second} both claim {what}; run the site with one of them (--plugin)")]
pub struct Clash {
    /// What both claim.
    pub what: String,
    /// Who has it.
    pub first: String,
    /// Who wants it too.
    pub second: String,
}

/// The plugins that serve a site. A new table replaces the old one between two events.
#[derive(Default, Clone)]
pub struct PluginTable {
    // A handful of short names, looked up several times an event: hashing them would cost more.
    by_name: BTreeMap<String, Arc<Serving>>,
    by_target: BTreeMap<String, Arc<Serving>>,
}

impl PluginTable {
    /// The table with one more plugin.
    ///
    /// # Errors
    /// [`Clash`] where its name or a target is taken.
    pub fn with(mut self, plugin: Arc<dyn Plugin>) -> Result<Self, Clash> {
        let manifest = plugin.manifest().clone();
        let serving = Arc::new(Serving {
            plugin,
            calls: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            metrics: Mutex::default(),
        });
        if self.by_name.contains_key(&manifest.name) {
            let name = manifest.name;
            return Err(Clash { what: format!("the name {name}"), first: name.clone(), second: name });
        }
        for target in &manifest.targets {
            if let Some(other) = self.by_target.insert(target.name.clone(), Arc::clone(&serving)) {
                let first = other.plugin.manifest().name.clone();
                return Err(Clash { what: format!("target {}", target.name), first, second: manifest.name });
            }
        }
        self.by_name.insert(manifest.name, serving);
        Ok(self)
    }

    /// The plugin of this name.
    pub fn named(&self, name: &str) -> Option<&Arc<Serving>> {
        self.by_name.get(name)
    }

    /// The plugin that claims this target, and what it says of it.
    pub fn claiming(&self, target: &str) -> Option<(&Arc<Serving>, &Target)> {
        let serving = self.by_target.get(target)?;
        let claimed = serving.plugin.manifest().targets.iter().find(|claimed| claimed.name == target)?;
        Some((serving, claimed))
    }

    /// All, by name.
    pub fn all(&self) -> Vec<&Arc<Serving>> {
        self.by_name.values().collect()
    }
}

impl Serving {
    /// What the plugin says of itself.
    pub fn manifest(&self) -> &Manifest {
        self.plugin.manifest()
    }

    /// Counts an event, and its fault where it was the plugin's own.
    pub fn count(&self, faulty: bool) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if faulty {
            self.faults.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds to one of the plugin's own counters. Only [`METRICS`] names are kept.
    pub fn measure(&self, name: &str, add: i64) {
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = metrics.get_mut(name) {
            *value = value.saturating_add(add);
        } else if metrics.len() < METRICS {
            metrics.insert(name.to_owned(), add);
        }
    }

    /// The plugin's own counters.
    pub fn metrics(&self) -> BTreeMap<String, i64> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
