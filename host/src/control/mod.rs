//! The control socket: how people and programs on this machine reach a running site.
//!
//! [`Operator`] is what a site offers; [`server`] puts it behind a Unix socket in the home folder,
//! [`client`] is the other end, itself an `Operator`, and [`protocol`] is what they say to each
//! other. [`host`] describes the host's own commands in the words plugins use for theirs.

pub mod client;
pub mod host;
pub mod limits;
pub mod protocol;
pub mod server;

mod answer;
mod feed;
mod lines;
mod session;
mod socket;
#[cfg(test)]
mod tests;
mod turns;

pub use answer::{Answer, Tell};
pub use client::Client;
pub use feed::{Feed, Feeder, feed};
pub use server::Server;

use serde_json::Value;
use std::io;
use std::path::PathBuf;
use tallyho_plugin::{Fault, Manifest};

/// What a site offers its operator, whether it runs behind a socket or in this very process.
pub trait Operator: Send + Sync {
    /// What can be called: the host itself (as plugin `host`) and every plugin that serves, with
    /// their commands' words, arguments and help.
    fn manifests(&self) -> Vec<Manifest>;

    /// Calls a command; returns when its effects are durable. Blocks the thread.
    ///
    /// # Errors
    /// The command's fault.
    fn call(&self, plugin: &str, command: &str, argument: &Value) -> Result<Value, Fault>;

    /// Begins a command, waiting only for room; `tell` is told its answer. Commands begun one after another are
    /// carried out in that order. Here it is carried out at once.
    fn begin(&self, plugin: &str, command: &str, argument: &Value, tell: Tell) {
        tell(Answer::Read(self.call(plugin, command, argument)));
    }

    /// Notices from now on, one JSON object each, and before them the last `recent` ones. A reader
    /// that falls [`limits::NOTICES_QUEUED`] behind loses the oldest and sees `{"lost": n}` instead.
    fn watch(&self, recent: usize) -> Feed;
}

/// Why a site cannot be reached, or cannot be made reachable, through its control socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Operator: no site runs on this home.
    #[error("no site runs: nothing answers at {socket}")]
    NotRunning {
        /// The control socket.
        socket: PathBuf,
    },
    /// Operator: another host serves this home.
    #[error("{socket} is served by process {pid} already")]
    Live {
        /// The control socket.
        socket: PathBuf,
        /// The process that serves it.
        pid: u32,
    },
    /// Operator: something else stands where the socket should be.
    #[error("{path} is not a socket")]
    NoSocket {
        /// What was found.
        path: PathBuf,
    },
    /// Operator: the two ends are of different versions of this program.
    #[error("the site at {socket} speaks version {found} of the control protocol, this program speaks {known}")]
    Version {
        /// The control socket.
        socket: PathBuf,
        /// What the site greeted with.
        found: u64,
        /// What this program speaks.
        known: u64,
    },
    /// The site serves as many clients as it can.
    #[error("{socket}: {text}")]
    Full {
        /// The control socket.
        socket: PathBuf,
        /// What the site said.
        text: String,
    },
    /// What serves the socket is no site, or has a bug.
    #[error("what answers at {socket} does not speak the control protocol: {what}")]
    Garbled {
        /// The control socket.
        socket: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The site did not answer in time; whether it did what was asked is not known.
    #[error("the site at {socket} did not answer within {seconds} s")]
    Silent {
        /// The control socket.
        socket: PathBuf,
        /// How long was waited.
        seconds: u64,
    },
    /// The site went away; whether it did what was asked is not known.
    #[error("the site at {socket} closed the connection")]
    Closed {
        /// The control socket.
        socket: PathBuf,
    },
    /// The system refused.
    #[error("{path}: cannot {what}: {why}")]
    System {
        /// File or folder.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        why: io::Error,
    },
}

impl ControlError {
    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            ControlError::NotRunning { .. } => "start it with `tallyho run`, or name another home with --home".into(),
            ControlError::Live { pid, .. } => format!("stop process {pid} first, or name another home with --home"),
            ControlError::NoSocket { path } => format!("move {} away", path.display()),
            ControlError::Version { .. } => "use the `tallyho` the site was started with, or restart the site".into(),
            ControlError::Full { .. } => "end some of the programs that watch or call the site".into(),
            ControlError::Garbled { .. } => "see which process holds the socket; if it is `tallyho`, restart it".into(),
            ControlError::Silent { .. } => "see the site's log; `tallyho status` shows whether it still answers".into(),
            ControlError::Closed { .. } => "see the site's log; start it again with `tallyho run`".into(),
            ControlError::System { .. } => "mend the folder or its permissions; `tallyho doctor` checks them".into(),
        }
    }

    /// A word for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            ControlError::NotRunning { .. } => "not-running",
            ControlError::Live { .. } => "running-already",
            ControlError::NoSocket { .. } => "no-socket",
            ControlError::Version { .. } => "control-version",
            ControlError::Full { .. } => "busy",
            ControlError::Garbled { .. } => "garbled",
            ControlError::Silent { .. } => "timeout",
            ControlError::Closed { .. } => "closed",
            ControlError::System { .. } => "system",
        }
    }
}

impl From<ControlError> for Fault {
    fn from(error: ControlError) -> Self {
        Fault::host(error.to_string()).code(error.code()).fix(error.fix())
    }
}
