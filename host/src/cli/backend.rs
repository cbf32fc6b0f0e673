//! What the command line needs of the rest of the program.

use serde_json::Value;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tallyho_plugin::{Fault, Manifest};

use crate::control::{Operator, host};
use crate::kit::Order;

/// How `run` was asked to run the site.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunOptions {
    /// Where to listen instead of what the configuration says; `HOST:PORT`, port 0 for any free one.
    pub listen: Option<String>,
    /// A folder to look for plugins in before all others.
    pub plugins: Option<PathBuf>,
    /// Plugins to load, by name or path, instead of all standard ones.
    pub plugin: Vec<String>,
    /// Whether libraries that are rebuilt are swapped in.
    pub watch: bool,
}

/// What a site says once it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Its agent id.
    pub agent: String,
    /// Where it listens, `HOST:PORT` with the port it really has.
    pub listen: String,
}

/// The rest of the program, as far as the command line calls it. Every answer is that of the command
/// line's table; every fault is printed as it is.
pub trait Backend: Sync {
    /// Where the home folder is: `given` (`--home`), else `variable` (`TALLYHO_HOME`), else the
    /// platform's.
    ///
    /// # Errors
    /// Where none of them tells.
    fn locate(&self, given: Option<&Path>, variable: Option<OsString>) -> Result<PathBuf, Fault>;

    /// The control socket of a home.
    fn socket(&self, home: &Path) -> PathBuf {
        home.join("control.sock")
    }

    /// Makes home, keys and configuration as far as they are missing: `{home, agent}`.
    ///
    /// # Errors
    /// What the operator has to mend.
    fn init(&self, home: &Path) -> Result<Value, Fault>;

    /// A site in this process, without network and without control socket, for commands while no site
    /// runs. Given up when dropped.
    ///
    /// # Errors
    /// No home here, a site runs on it after all, damage.
    fn open(&self, home: &Path) -> Result<Arc<dyn Operator>, Fault>;

    /// Runs the site (`init` first where needed) until TERM or INT; calls `ready` once it serves.
    ///
    /// # Errors
    /// What kept it from running, or ended it.
    fn run(&self, home: &Path, options: &RunOptions, ready: &mut dyn FnMut(&Ready)) -> Result<(), Fault>;

    /// What could be called if a site ran on this home, for help and completions; nothing is opened or
    /// locked, and the home may not exist.
    fn manifests(&self, home: &Path) -> Vec<Manifest> {
        let _ = home;
        vec![host::manifest()]
    }

    /// Checks everything about a home: `{checks:[{name,ok,detail,fix?}],ok}`.
    ///
    /// # Errors
    /// Where not even checking was possible.
    fn doctor(&self, home: &Path) -> Result<Value, Fault>;

    /// Everything a load would check of a plugin's file: `{ok, name, version, reason?, fix?}`.
    ///
    /// # Errors
    /// Where not even checking was possible.
    fn check_plugin(&self, file: &Path) -> Result<Value, Fault>;

    /// A journal from a snapshot through a candidate: `{ok, name, version, events, differing, differences, why?}`.
    /// `plugins`: a folder to look for the other plugins in, before the home's.
    ///
    /// # Errors
    /// Files that cannot be read, or do not belong together.
    fn replay(
        &self,
        home: &Path,
        store: &Path,
        journal: &Path,
        plugins: Option<&Path>,
        candidate: &Path,
    ) -> Result<Value, Fault>;

    /// Makes a crate for a plugin: `{name, kind, plugin, crate, folder, files, api, next}`.
    ///
    /// # Errors
    /// A name that cannot be had, a folder that is there already, or the system's.
    fn new_plugin(&self, order: &Order) -> Result<Value, Fault>;

    /// Tries a built plugin: `{ok, name, version, cases, rules, cost}`. `deadline`: for one case.
    ///
    /// # Errors
    /// Where it could not be tried.
    fn test_plugin(&self, file: &Path, deadline: Duration) -> Result<Value, Fault>;

    /// Writes the home's private keys to a file, encrypted: `{file, keys}`. The passphrase is read from
    /// `passphrase`, or asked for on the terminal.
    ///
    /// # Errors
    /// What the operator has to mend.
    fn export_keys(&self, home: &Path, file: &Path, passphrase: Option<&mut dyn Read>) -> Result<Value, Fault>;

    /// Takes private keys from such a file: `{file, keys}`. The passphrase as for `export_keys`.
    ///
    /// # Errors
    /// A wrong passphrase, no such file, keys that are there already.
    fn import_keys(&self, home: &Path, file: &Path, passphrase: Option<&mut dyn Read>) -> Result<Value, Fault>;

    /// Writes all of the site in the home to a new file, encrypted: `{file, agent, bytes}`. The passphrase as for
    /// `export_keys`.
    ///
    /// # Errors
    /// What the operator has to mend.
    fn backup(&self, home: &Path, file: &Path, passphrase: Option<&mut dyn Read>) -> Result<Value, Fault>;

    /// Makes the folder a site's home as such a file has it: `{home, agent, made, config}`.
    ///
    /// # Errors
    /// A wrong passphrase, a file that is no whole backup, a store that is there already.
    fn restore(&self, home: &Path, file: &Path, passphrase: Option<&mut dyn Read>) -> Result<Value, Fault>;

    /// A link as a QR code for the terminal, where it fits.
    fn qr(&self, link: &str) -> Option<String>;
}
