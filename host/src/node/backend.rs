//! The rest of the program, as the command line calls it.

use super::checkup::checkup;
use super::founding::found;
use super::open::STANDARD;
use super::{Node, NodeOptions, SystemClock, replay};
use crate::cli::{Backend, Ready, RunOptions};
use crate::control::{Client, Operator, host};
use crate::kit::{self, Order};
use crate::ledger::thread::Clock;
use crate::plugin::{self, Loader, LoaderOptions, Plugin, find_plugin, search_folders};
use crate::site::backup::{Making, Restored, Restoring};
use crate::site::config::Config;
use crate::site::endpoint::Endpoint;
use crate::site::home::{self, Home, HomeError};
use crate::site::keys::{KeyFolder, KeysError};
use crate::site::{doctor, keys_export, passphrase, qr};
use crate::store::sqlite::SqliteStore;
use rustix::process::Signal;
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tallyho_plugin::{Fault, Manifest};
use zeroize::Zeroizing;

/// The real one.
pub struct RealBackend;

fn fault(error: &dyn std::fmt::Display) -> Fault {
    Fault::host(error.to_string())
}

fn opened(home: &Path) -> Result<Home, Fault> {
    Home::open(home).map_err(|error| fault(&error))
}

impl Backend for RealBackend {
    fn locate(&self, given: Option<&Path>, variable: Option<OsString>) -> Result<PathBuf, Fault> {
        home::locate(given, variable).map_err(|error| fault(&error))
    }

    fn init(&self, home: &Path) -> Result<Value, Fault> {
        let home = Home::create(home).map_err(|error| fault(&error))?;
        Config::load(&home.config()).map_err(|error| fault(&error))?;
        match home.lock() {
            Ok(_lock) => drop(found(&home, true).map_err(|error| fault(&error))?),
            // It runs, so it has all it needs.
            Err(HomeError::InUse { .. }) => {}
            Err(error) => return Err(fault(&error)),
        }
        let agent = KeyFolder::of(&home).agent().map_err(|error| fault(&error))?;
        Ok(json!({ "home": home.root(), "agent": agent.id() }))
    }

    fn open(&self, home: &Path) -> Result<Arc<dyn Operator>, Fault> {
        let options = NodeOptions { offline: true, ..NodeOptions::default() };
        let node = Node::open(opened(home)?, &options).map_err(|error| fault(&error))?;
        Ok(node)
    }

    fn run(&self, home: &Path, options: &RunOptions, ready: &mut dyn FnMut(&Ready)) -> Result<(), Fault> {
        // Before anything else, so that a signal that comes early is not lost.
        let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(|error| fault(&error))?;
        survive_file_limits()?;
        let home = Home::create(home).map_err(|error| fault(&error))?;
        let listen = options.listen.as_deref().map(endpoint).transpose()?;
        let watch = options.watch;
        let options =
            NodeOptions { listen, plugins: options.plugins.clone(), plugin: options.plugin.clone(), offline: false };
        start_log(&home);
        let node = Node::open(home, &options).map_err(|error| fault(&error))?;
        node.serve_control().map_err(|error| fault(&error))?;
        log::info!("agent {} serves on {}", node.agent(), node.listens().unwrap_or_default());
        if watch {
            node.watch_plugins().map_err(|error| fault(&error))?;
        }
        ready(&Ready { agent: node.agent().to_owned(), listen: node.listens().unwrap_or_default().to_owned() });
        if let Some(signal) = signals.forever().next() {
            log::info!("signal {signal}: finishing what has begun");
        }
        node.stop();
        Ok(())
    }

    fn manifests(&self, home: &Path) -> Vec<Manifest> {
        let folders = search_folders(None, &home.join("plugins"));
        let loaded = tempfile::tempdir().ok().and_then(|folder| {
            let loader = Loader::new(LoaderOptions::new(folder.path())).ok()?;
            let load = |name: &str| loader.load(&find_plugin(name, &folders).ok()?).ok();
            Some(STANDARD.iter().filter_map(|name| load(name)).map(|plugin| plugin.manifest().clone()).collect())
        });
        let plugins: Vec<Manifest> = loaded.unwrap_or_default();
        std::iter::once(host::manifest()).chain(plugins).collect()
    }

    fn doctor(&self, home: &Path) -> Result<Value, Fault> {
        let mut checks = doctor::examine(home, SystemTime::now(), &check_store);
        let folders = search_folders(None, &home.join("plugins"));
        for name in STANDARD {
            checks.push(check_standard(name, &folders));
        }
        checks.extend(check_running(home));
        // A home that never had a site has nothing that could be looked at.
        let sound = home.join("site.db").exists() && checks.iter().all(|check| check.ok);
        checks.extend(checkup(Client::connect(&self.socket(home)), sound, || self.open(home)));
        let ok = checks.iter().all(|check| check.ok);
        Ok(json!({ "checks": checks, "ok": ok }))
    }

    fn check_plugin(&self, file: &Path) -> Result<Value, Fault> {
        serde_json::to_value(plugin::check(file)).map_err(|error| fault(&error))
    }

    fn replay(
        &self,
        home: &Path,
        store: &Path,
        journal: &Path,
        plugins: Option<&Path>,
        candidate: &Path,
    ) -> Result<Value, Fault> {
        let folders = search_folders(plugins, &home.join("plugins"));
        replay::run(&replay::Order { store, journal, candidate, folders: &folders })
    }

    fn new_plugin(&self, order: &Order) -> Result<Value, Fault> {
        kit::scaffold::make(order, &kit::api::Api::find())
    }

    fn test_plugin(&self, file: &Path, deadline: Duration) -> Result<Value, Fault> {
        kit::test(file, &kit::conformance::Trials { deadline, ..Default::default() })
    }

    fn export_keys(&self, home: &Path, file: &Path, passphrase: Option<&mut dyn Read>) -> Result<Value, Fault> {
        let folder = KeyFolder::of(&opened(home)?);
        let keys = folder.users().map_err(|error| fault(&error))?.len() + 1;
        let passphrase = new_passphrase(passphrase)?;
        let text = keys_export::export(&folder, &passphrase).map_err(|error| fault(&error))?;
        keys_export::write(file, &text).map_err(|error| fault(&error))?;
        Ok(json!({ "file": file, "keys": keys }))
    }

    fn import_keys(&self, home: &Path, file: &Path, passphrase: Option<&mut dyn Read>) -> Result<Value, Fault> {
        let home = Home::create(home).map_err(|error| fault(&error))?;
        // A running site has read its keys already and would not notice.
        let _lock = home.lock().map_err(|error| fault(&error))?;
        let text = keys_export::read(file).map_err(|error| fault(&error))?;
        let passphrase = known_passphrase(passphrase)?;
        let keys = KeyFolder::of(&home);
        let fresh = matches!(keys.agent(), Err(KeysError::NoAgent { .. }));
        let imported = keys_export::import(&keys, &text, &passphrase).map_err(|error| fault(&error))?;
        if fresh && !home.store().exists() {
            // A home that has just come to be: nothing is lost here.
            found(&home, true).map_err(|error| fault(&error))?;
        }
        Ok(json!({ "file": file, "keys": imported.users.len() + 1, "agent": imported.agent }))
    }

    fn backup(&self, home: &Path, file: &Path, passphrase: Option<&mut dyn Read>) -> Result<Value, Fault> {
        survive_file_limits()?;
        let home = opened(home)?;
        let making = Making::new(&home, file).map_err(|error| fault(&error))?;
        let passphrase = new_passphrase(passphrase)?;
        let made = making.make(&passphrase, SystemClock.now()).map_err(|error| fault(&error))?;
        Ok(json!({ "file": file, "agent": made.agent, "bytes": made.bytes }))
    }

    fn restore(&self, home: &Path, file: &Path, passphrase: Option<&mut dyn Read>) -> Result<Value, Fault> {
        survive_file_limits()?;
        let restoring = Restoring::new(home, file).map_err(|error| fault(&error))?;
        let passphrase = known_passphrase(passphrase)?;
        let restored = restoring.restore(&passphrase).map_err(|error| fault(&error))?;
        let Restored { agent, made, config } = restored;
        Ok(json!({ "home": home, "agent": agent, "made": made, "config": config }))
    }

    fn qr(&self, link: &str) -> Option<String> {
        qr::draw(link, qr::Background::Dark).ok()
    }
}

/// A file size limit is then an error where a file is written, as a full disk is, and not the end.
fn survive_file_limits() -> Result<(), Fault> {
    let passed = signal_hook::flag::register(Signal::XFSZ.as_raw(), Arc::default());
    passed.map(drop).map_err(|error| fault(&error))
}

/// One to write something under: asked for twice.
fn new_passphrase(source: Option<&mut dyn Read>) -> Result<Zeroizing<String>, Fault> {
    let passphrase = match source {
        Some(source) => passphrase::read(source),
        None => passphrase::terminal().and_then(|terminal| passphrase::ask_new(&terminal)),
    };
    let passphrase = passphrase.map_err(|error| fault(&error))?;
    passphrase::check_new(&passphrase).map_err(|error| fault(&error))?;
    Ok(passphrase)
}

/// One that something was written under.
fn known_passphrase(source: Option<&mut dyn Read>) -> Result<Zeroizing<String>, Fault> {
    let passphrase = match source {
        Some(source) => passphrase::read(source),
        None => passphrase::terminal().and_then(|terminal| passphrase::ask(&terminal, "Passphrase")),
    };
    passphrase.map_err(|error| fault(&error))
}

fn endpoint(text: &str) -> Result<Endpoint, Fault> {
    Endpoint::parse(text).ok_or_else(|| {
        Fault::usage(format!("--listen: {text} is no HOST:PORT")).fix("for example --listen 127.0.0.1:65430")
    })
}

/// `RUST_LOG` goes before the configuration.
fn start_log(home: &Home) {
    let level = Config::load(&home.config()).map_or(log::LevelFilter::Info, |config| config.log);
    let mut builder = env_logger::Builder::new();
    builder.filter_level(level).parse_default_env();
    // A second start in one process keeps the first one's log.
    let _ = builder.try_init();
}

fn check_store(path: &Path) -> Result<String, String> {
    let store = SqliteStore::open_existing(path).map_err(|error| error.to_string())?;
    let faults = store.integrity_check().map_err(|error| error.to_string())?;
    match faults.first() {
        None => Ok("whole".to_owned()),
        Some(first) => Err(format!("{first} ({} faults); restore a backup", faults.len())),
    }
}

/// The plugins of the site that runs on this home, where they are not well or have processes of their own.
fn check_running(home: &Path) -> Vec<doctor::Check> {
    let asked = Client::connect(&home.join("control.sock")).ok();
    let listed = asked.and_then(|client| client.call(host::HOST, "plugin.list", &json!({})).ok());
    let told = |plugin: &Value| {
        let name = plugin["name"].as_str()?;
        let (detail, fix) = match (plugin["why"].as_str(), plugin["note"].as_str()) {
            (Some(why), _) => {
                let state = plugin["state"].as_str().unwrap_or("held");
                let fix = match state {
                    "restarting" => format!("tallyho plugin swap {name} FILE, with a build that is mended"),
                    _ => format!("tallyho plugin start {name}, or tallyho plugin swap {name} FILE"),
                };
                (format!("{name} is {state}: {why}"), Some(fix))
            }
            (None, Some(note)) => (format!("{name}: {note}"), None),
            (None, None) => {
                let detail = in_process(plugin)?;
                return Some(doctor::Check { name: "plugin".into(), ok: true, detail, fix: None });
            }
        };
        Some(doctor::Check { name: "plugin".into(), ok: false, detail, fix })
    };
    listed.iter().flat_map(|listed| listed.as_array().into_iter().flatten()).filter_map(told).collect()
}

/// How a plugin fares in a process of its own, where it has one.
fn in_process(plugin: &Value) -> Option<String> {
    let (name, id) = (plugin["name"].as_str()?, plugin["pid"].as_u64()?);
    Some(match (plugin["restarts"].as_u64(), plugin["ended"].as_str()) {
        (Some(restarts @ 1..), Some(last)) => {
            format!("{name} is in process {id}, after {restarts} that ended, the last one by {last}")
        }
        _ => format!("{name} is in process {id}"),
    })
}

fn check_standard(name: &str, folders: &[PathBuf]) -> doctor::Check {
    let report = match find_plugin(name, folders) {
        Ok(path) => plugin::check(&path),
        Err(error) => Err(error).into(),
    };
    let detail = report.reason.or(report.version).unwrap_or_default();
    doctor::Check { name: "plugin".into(), ok: report.ok, detail: format!("{name}: {detail}"), fix: report.fix }
}
