//! What a step of the demo has at hand.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tallyho_plugin::fault::{Fault, FaultKind};

use super::super::declared::Declared;
use super::super::reach::{Reached, Site as Reach};
use super::super::wait::{Live, Pace, Pauses, Waited};
use super::super::{report, words};
use crate::control::Client;

/// Runs sites.
pub trait Launcher: Sync {
    /// Starts the site of this name and waits until it is ready.
    ///
    /// # Errors
    /// Why it does not run.
    fn start(&self, name: &str) -> Result<Started, Fault>;

    /// Stops it in the ordinary way.
    ///
    /// # Errors
    /// It did not stop, or not well.
    fn stop(&self, name: &str) -> Result<(), Fault>;

    /// Has it stand still, as if it were cut off: it neither reads nor answers.
    ///
    /// # Errors
    /// It does not run.
    fn freeze(&self, name: &str) -> Result<(), Fault>;

    /// Has it go on.
    ///
    /// # Errors
    /// It does not run.
    fn thaw(&self, name: &str) -> Result<(), Fault>;

    /// Whether the demo shall end.
    fn interrupted(&self) -> bool;

    /// The logs of the sites that were started and not stopped, by name.
    fn logs(&self) -> Vec<(String, String)>;
}

/// A site that has been started.
#[derive(Debug, Clone)]
pub struct Started {
    /// Its control socket.
    pub socket: PathBuf,
    /// Where its log goes.
    pub log: PathBuf,
    /// Its agent id.
    pub agent: String,
    /// Where it listens.
    pub listen: String,
}

/// The sites, and what steps leave for later ones.
pub struct World<'a> {
    launcher: &'a dyn Launcher,
    patience: Duration,
    sites: BTreeMap<&'static str, Site>,
    known: BTreeMap<&'static str, String>,
}

/// A running site, named after its user.
pub struct Site {
    name: &'static str,
    /// What it said when it started.
    pub started: Started,
    patience: Duration,
    reached: Reached,
}

impl<'a> World<'a> {
    /// No sites yet. A step waits at most `patience` for what another site has to do.
    pub fn new(launcher: &'a dyn Launcher, patience: Duration) -> Self {
        World { launcher, patience, sites: BTreeMap::new(), known: BTreeMap::new() }
    }

    /// Starts a site and connects to it.
    ///
    /// # Errors
    /// Why it does not run or answer.
    pub fn start(&mut self, name: &'static str) -> Result<&Site, Fault> {
        let started = self.launcher.start(name)?;
        let client = Client::connect(&started.socket)?;
        let declared = Declared::new(&client.ask_manifests()?);
        let site = Site {
            name,
            started,
            patience: self.patience,
            reached: Reached { site: Reach::Running(client), declared },
        };
        self.sites.insert(name, site);
        self.site(name)
    }

    /// Stops a site.
    ///
    /// # Errors
    /// It did not stop well.
    pub fn stop(&mut self, name: &'static str) -> Result<(), Fault> {
        self.sites.remove(name);
        self.launcher.stop(name)
    }

    /// Cuts a site off, see [`Launcher::freeze`].
    ///
    /// # Errors
    /// It does not run.
    pub fn freeze(&self, name: &str) -> Result<(), Fault> {
        self.launcher.freeze(name)
    }

    /// Has it go on.
    ///
    /// # Errors
    /// It does not run.
    pub fn thaw(&self, name: &str) -> Result<(), Fault> {
        self.launcher.thaw(name)
    }

    /// The sites that run, by name.
    pub fn running(&self) -> Vec<&'static str> {
        self.sites.keys().copied().collect()
    }

    /// A site that runs.
    ///
    /// # Errors
    /// It does not: an earlier step is missing.
    pub fn site(&self, name: &str) -> Result<&Site, Fault> {
        self.sites.get(name).ok_or_else(|| Fault::failed(format!("the demo has not started {name}'s site")))
    }

    /// Leaves something for later steps.
    pub fn keep(&mut self, name: &'static str, value: impl Into<String>) {
        self.known.insert(name, value.into());
    }

    /// What an earlier step has left.
    ///
    /// # Errors
    /// None has.
    pub fn known(&self, name: &str) -> Result<&str, Fault> {
        self.known
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| Fault::failed(format!("the demo does not know {name} yet")))
    }

    /// Whether the demo shall end.
    pub fn interrupted(&self) -> bool {
        self.launcher.interrupted()
    }

    /// The logs of the sites that were started and not stopped, by name.
    pub fn logs(&self) -> Vec<(String, String)> {
        self.launcher.logs()
    }
}

impl Site {
    /// Carries out a command line, without the program's name.
    ///
    /// # Errors
    /// Why it was not carried out, or waited in vain.
    pub fn perform(&self, line: &[&str]) -> Result<Value, Fault> {
        let waited = self.attempt(line)?;
        waited.failure.map_or(Ok(waited.answer), |fault| Err(self.about(line, fault)))
    }

    /// The same where a wait may end in vain.
    ///
    /// # Errors
    /// Why it was not carried out.
    pub fn attempt(&self, line: &[&str]) -> Result<Waited, Fault> {
        let declared = &self.reached.declared;
        let matches = declared
            .attach(words::fixed())
            .try_get_matches_from(std::iter::once("tallyho").chain(line.iter().copied()))
            .map_err(|error| self.about(line, report::usage(&error, None, &[])))?;
        let chosen = declared
            .chosen(&matches)
            .ok_or_else(|| self.about(line, Fault::failed("the site declares no such command")))?;
        self.reached.site.perform(&chosen).map_err(|fault| self.about(line, fault))
    }

    /// Repeats a command line until its answer is as wanted, after each notice and now and then.
    ///
    /// # Errors
    /// It was not carried out, or its answer not as wanted in time; `what` names that.
    pub fn until<T>(&self, line: &[&str], what: &str, good: impl Fn(&Value) -> Option<T>) -> Result<T, Fault> {
        self.repeat(line, what, good, Err)
    }

    /// The same of something that the site may not have heard of yet.
    ///
    /// # Errors
    /// As for [`Site::until`].
    pub fn until_known<T>(&self, line: &[&str], what: &str, good: impl Fn(&Value) -> Option<T>) -> Result<T, Fault> {
        self.repeat(line, what, good, |fault| match fault.kind {
            FaultKind::NotFound => Ok(Value::Null),
            _ => Err(fault),
        })
    }

    fn repeat<T>(
        &self,
        line: &[&str],
        what: &str,
        good: impl Fn(&Value) -> Option<T>,
        otherwise: impl Fn(Fault) -> Result<Value, Fault>,
    ) -> Result<T, Fault> {
        let Reach::Running(client) = &self.reached.site else {
            return Err(Fault::failed("the demo waits for a site that does not run"));
        };
        let mut pace = Live::new(client.notices(0)?);
        let mut pauses = Pauses::default();
        loop {
            let answer = self.perform(line).or_else(&otherwise)?;
            if let Some(found) = good(&answer) {
                return Ok(found);
            }
            let left = self.patience.saturating_sub(pace.now());
            if left.is_zero() {
                let text = format!("{what} was not so within {} s; the answer was {answer}", self.patience.as_secs());
                return Err(self.about(line, Fault::refused(text).code("demo-timeout")));
            }
            let (least, most) = pauses.next(left);
            pace.pause(least, most)?;
        }
    }

    /// Waits until the site's log has more than `before` lines with this text; gives their number.
    ///
    /// # Errors
    /// It has not in time.
    pub fn until_logged(&self, text: &str, before: usize) -> Result<usize, Fault> {
        let begun = std::time::Instant::now();
        loop {
            let count = self.logged(text);
            if count > before {
                return Ok(count);
            }
            if begun.elapsed() > self.patience {
                let fault = Fault::refused(format!("{}'s log shows no further `{text}`", self.name));
                return Err(fault.code("demo-timeout"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Lines of the site's log with this text.
    pub fn logged(&self, text: &str) -> usize {
        read_log(&self.started.log).lines().filter(|line| line.contains(text)).count()
    }

    fn about(&self, line: &[&str], mut fault: Fault) -> Fault {
        fault.text = format!("{}: `tallyho {}`: {}", self.name, line.join(" "), fault.text);
        fault
    }
}

/// A log as far as it is text; empty where there is none.
pub fn read_log(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
