//! What can be told from the home folder alone about whether a site will run.
//!
//! Each [`Check`] says what was found and, where something is wrong, what to do. Checks of plugins, and
//! those that plugins make of what they keep, are in `node`.

use serde::Serialize;
use std::borrow::Cow;
use std::fs;
use std::net::{TcpListener, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, SystemTime};
use tallyho_plugin::record::Timestamp;

use super::backup;
use super::config::Config;
use super::endpoint::Endpoint;
use super::home::{Home, HomeError};
use super::keys::KeyFolder;
use super::limits::{CLOCK_SLACK, SOCKET_PATH_BYTES};

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// A word that scripts may compare.
    pub name: Cow<'static, str>,
    /// Whether all is well.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Check {
    /// All is well.
    pub fn good(name: impl Into<Cow<'static, str>>, detail: String) -> Self {
        Check { name: name.into(), ok: true, detail, fix: None }
    }

    /// Something is wrong, and this is to be done.
    pub fn bad(name: impl Into<Cow<'static, str>>, detail: String, fix: &str) -> Self {
        Check { name: name.into(), ok: false, detail, fix: Some(fix.to_owned()) }
    }
}

/// Looks at a home folder. `store`: looks whether the store file of this path is sound, and tells
/// what it found or, as `Err`, what is wrong; it is not asked while a host is running.
///
/// The first check that fails may leave out others that would fail for the same reason.
pub fn examine(root: &Path, now: SystemTime, store: &dyn Fn(&Path) -> Result<String, String>) -> Vec<Check> {
    let mut checks = Vec::new();
    let home = match Home::open(root) {
        Ok(home) => home,
        Err(error) => return vec![failed("home", &error)],
    };
    if backup::is_cut_short(&home) {
        // What else is missing is missing for that reason.
        let detail = format!("a backup was being put back into {} and has not got to its store", root.display());
        let fix = format!("make it again: `tallyho restore FILE --home {}`", root.display());
        return vec![bad("home", detail, &fix)];
    }
    checks.push(good("home", format!("{}", root.display())));
    checks.push(keys(&home));
    checks.push(socket(&home));
    checks.push(clock(&home, now));
    let running = home.running();
    checks.push(host(&home, &running));
    match Config::load(&home.config()) {
        Err(error) => checks.push(failed("config", &error)),
        Ok(config) => {
            checks.push(good("config", format!("{}", home.config().display())));
            checks.push(advertised(&config));
            checks.push(port(&config.listen, matches!(running, Ok(Some(_)))));
        }
    }
    if let Ok(None) = running {
        checks.push(sound_store(&home, store));
    }
    checks
}

fn keys(home: &Home) -> Check {
    match KeyFolder::of(home).load() {
        Err(error) => failed("keys", &error),
        Ok(ring) => {
            let users = KeyFolder::of(home).users().map_or(0, |users| users.len());
            good("keys", format!("agent {}, user keys: {users}", ring.agent_id()))
        }
    }
}

fn socket(home: &Home) -> Check {
    let bytes = home.socket().as_os_str().len();
    if bytes <= SOCKET_PATH_BYTES {
        return good("socket", format!("{}", home.socket().display()));
    }
    let detail = format!("{} has {bytes} bytes, a socket's path at most {SOCKET_PATH_BYTES}", home.socket().display());
    bad("socket", detail, "give a --home with a shorter path")
}

/// A clock that is behind the files it wrote, or far from the present, signs wrong dates.
fn clock(home: &Home, now: SystemTime) -> Check {
    const FIX: &str = "set the clock, for example with `timedatectl set-ntp true`";
    let shown = Timestamp::from(now);
    if now < SystemTime::UNIX_EPOCH + BUILT_AFTER {
        return bad("clock", format!("{shown} is before this program was written"), FIX);
    }
    let mut paths = vec![home.config(), home.store(), home.keys(), home.socket()];
    paths.push(home.store().with_extension("db-wal"));
    let changed = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
    for path in paths {
        if let Some(ahead) = changed(&path).and_then(|changed| changed.duration_since(now).ok())
            && ahead > CLOCK_SLACK
        {
            let detail = format!("{shown} is {} s before {} was last changed", ahead.as_secs(), path.display());
            return bad("clock", detail, FIX);
        }
    }
    good("clock", shown.text())
}

fn host(home: &Home, running: &Result<Option<Option<u32>>, HomeError>) -> Check {
    match running {
        Err(error) => failed("host", error),
        Ok(None) if home.socket().exists() => {
            good("host", "not running; its last one ended without cleaning up, which does no harm".to_owned())
        }
        Ok(None) => good("host", "not running".to_owned()),
        Ok(Some(Some(pid))) => good("host", format!("running as process {pid}")),
        Ok(Some(None)) => good("host", "just starting".to_owned()),
    }
}

fn advertised(config: &Config) -> Check {
    let endpoint = config.advertised(config.listen.port);
    if config.listen.is_everywhere() && config.advertise_host.is_none() {
        let detail = format!("others are told to dial {endpoint}, which leads to their own machine");
        return Check {
            ok: true,
            ..bad("advertise", detail, "set host under [advertise] in tallyho.toml to this machine's name")
        };
    }
    good("advertise", format!("others are told to dial {endpoint}"))
}

fn port(listen: &Endpoint, running: bool) -> Check {
    const FIX: &str = "stop the program that has it, or set another listen in tallyho.toml";
    if running {
        return good("port", format!("{listen} is the running host's"));
    }
    let bind = || -> std::io::Result<()> {
        let addresses: Vec<_> = (listen.host.as_str(), listen.port).to_socket_addrs()?.collect();
        TcpListener::bind(addresses.as_slice()).map(drop)
    };
    match bind() {
        Ok(()) => good("port", format!("{listen} is free")),
        Err(error) => bad("port", format!("{listen} cannot be listened on: {error}"), FIX),
    }
}

fn sound_store(home: &Home, store: &dyn Fn(&Path) -> Result<String, String>) -> Check {
    let path = home.store();
    if !path.exists() && KeyFolder::of(home).agent().is_ok() {
        let detail = format!("{} is missing, and this site has a key already", path.display());
        return bad(
            "store",
            detail,
            "put a backup back with `tallyho restore FILE`, or begin with an empty store by `tallyho init`",
        );
    }
    if !path.exists() {
        return good("store", "none yet; the first `tallyho run` makes it".to_owned());
    }
    match store(&path) {
        Ok(detail) => good("store", detail),
        Err(detail) => bad(
            "store",
            detail,
            "move site.db and its -wal and -shm away, and put a backup back with `tallyho restore FILE`",
        ),
    }
}

/// Seconds from 1970 to a day before which no build of this program existed: 2021-11-01.
const BUILT_AFTER: Duration = Duration::from_secs(1_635_724_800);

fn good(name: &'static str, detail: String) -> Check {
    Check::good(name, detail)
}

fn bad(name: &'static str, detail: String, fix: &str) -> Check {
    Check::bad(name, detail, fix)
}

/// Errors of this program say what happened, then what to do, parted by their last semicolon.
fn failed(name: &'static str, error: &dyn std::error::Error) -> Check {
    let text = error.to_string();
    match text.rsplit_once("; ").filter(|_| !text.contains('\n')) {
        Some((detail, fix)) => bad(name, detail.to_owned(), fix),
        None => bad(name, text, "mend it and run `tallyho doctor` again"),
    }
}

#[cfg(test)]
#[path = "doctor_tests.rs"]
mod tests;
