//! Which plugins a site starts with: those that the operator names, or what was swapped in for them.

use super::NodeError;
use super::NodeOptions;
use super::kept::Kept;
use super::open::STANDARD;
use super::plugins::Plugins;
use crate::ledger::PluginTable;
use crate::ledger::remembered::{self, Remembered};
use crate::plugin::{Loader, LoaderOptions, Plugin, Processes, find_plugin, search_folders};
use crate::site::config::{Config, Isolation};
use crate::site::home::Home;
use crate::store::Store;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Loads them, and finds what was swapped in where the operator's word has not changed since.
pub(super) fn load_plugins(
    home: &Home,
    config: &Config,
    options: &NodeOptions,
    store: &mut dyn Store,
) -> Result<(PluginTable, Plugins), NodeError> {
    let folders = search_folders(options.plugins.as_deref(), &home.plugins());
    let known: HashMap<String, Remembered> = remembered::all(&mut *store.begin()?)?.into_iter().collect();
    let mut loading = LoaderOptions::new(home.plugins().join("loaded"));
    loading.processes = processes(config);
    let rested = Arc::clone(&loading.processes.rested);
    let mut plugins = Plugins {
        loader: Loader::new(loading)?,
        rested,
        folders,
        kept: Kept(home.plugins().join("swapped")),
        configured: HashMap::new(),
        notes: HashMap::new(),
        shadows: Mutex::default(),
        gone: Mutex::default(),
        changing: Mutex::default(),
    };
    let mut table = PluginTable::default();
    for name in wanted(config, options) {
        let named = plugins.loader.seat(&find_plugin(&name, &plugins.folders)?)?.0;
        let known = known.get(&named.manifest().name);
        let plugin = remembered_instead(&mut plugins, named, known);
        table = table.with(plugin)?;
    }
    Ok((table, plugins))
}

/// Which plugins the operator wants to have processes of their own.
fn processes(config: &Config) -> Processes {
    let apart = config.plugins.iter().filter(|(_, plugin)| plugin.isolation == Isolation::Process);
    let memory = apart.map(|(name, plugin)| (name.clone(), plugin.memory_mb << 20)).collect();
    let deadline = Processes::deadline(Duration::from_secs(config.limits.handler_seconds));
    Processes { memory, deadline, ..Processes::default() }
}

/// A configuration of a site without plugins.
#[cfg(test)]
pub(super) fn none_enabled() -> String {
    STANDARD.iter().fold("[plugins]\n".to_owned(), |text, name| text + name + ".enabled = false\n")
}

/// Names or paths of the plugins that the operator wants.
fn wanted(config: &Config, options: &NodeOptions) -> Vec<String> {
    if !options.plugin.is_empty() {
        return options.plugin.clone();
    }
    let standard = STANDARD.iter().filter(|name| config.plugin(name).enabled);
    let more = config.plugins.iter().filter(|(name, plugin)| plugin.enabled && !STANDARD.contains(&name.as_str()));
    let path = |name: &str| config.plugin(name).path.map(|path| path.display().to_string());
    let names = standard.map(|name| (*name).to_owned()).chain(more.map(|(name, _)| name.clone()));
    names.map(|name| path(&name).unwrap_or(name)).collect()
}

/// The build swapped in for the one named, where there is one. The operator's later word counts: a file
/// that holds another build than it did at the swap is what is wanted now.
fn remembered_instead(plugins: &mut Plugins, named: Arc<dyn Plugin>, known: Option<&Remembered>) -> Arc<dyn Plugin> {
    let name = named.manifest().name.clone();
    let build = named.build().map(|build| build.to_string()).unwrap_or_default();
    plugins.configured.insert(name.clone(), build.clone());
    let Some(swapped) = known.and_then(|known| known.swapped.as_ref()) else { return named };
    let path = named.path().unwrap_or(Path::new("")).display();
    if swapped.instead_of != build {
        log::info!("plugin {name}: {path} has changed since another build was swapped in for it; it serves now");
        return named;
    }
    if swapped.file.build == build {
        return named;
    }
    match plugins.kept.stage(&plugins.loader, &swapped.file) {
        Ok((plugin, _)) => {
            let version = &plugin.manifest().version;
            log::info!("plugin {name}: version {version} serves, swapped in for {path}, which has not changed since");
            plugin
        }
        Err(why) => {
            let note = format!("{path} serves instead of what was swapped in: {why}");
            log::error!("plugin {name}: {note}");
            plugins.notes.insert(name, note);
            named
        }
    }
}
