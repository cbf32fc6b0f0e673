//! The other end of the control socket, for the command line and for programs.

use serde_json::Value;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tallyho_plugin::{Fault, Manifest};

use super::limits::{ANSWER_BYTES, CALL_PATIENCE, GREETING_PATIENCE, REQUEST_BYTES};
use super::lines::{Line, Lines};
use super::protocol::{Greeting, PROTOCOL, Reply, Request, Wish};
use super::{ControlError, Feed, Operator, feed, socket};

/// A running site, reached through its control socket. Calls from several threads take turns; one
/// that went wrong on the way (late, closed) is followed by a new connection.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    greeting: Greeting,
    patience: Duration,
    connection: Mutex<Option<Connection>>,
}

impl Client {
    /// Connects and takes the greeting.
    ///
    /// # Errors
    /// [`ControlError::NotRunning`] where nobody listens; `Version`, `Full`, `Garbled`, `Silent`,
    /// `Closed`, `System`.
    pub fn connect(socket: &Path) -> Result<Self, ControlError> {
        let (connection, greeting) = Connection::open(socket)?;
        Ok(Client {
            socket: socket.to_owned(),
            greeting,
            patience: CALL_PATIENCE,
            connection: Mutex::new(Some(connection)),
        })
    }

    /// The same, waiting so long for each answer instead of [`CALL_PATIENCE`].
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// What the site said of itself.
    pub fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// What can be called there; see [`Operator::manifests`].
    ///
    /// # Errors
    /// As for [`connect`](Self::connect). A manifest that this program cannot read is left out and
    /// logged.
    pub fn ask_manifests(&self) -> Result<Vec<Manifest>, Fault> {
        let Value::Array(all) = self.ask(Wish::Manifests)? else {
            return Err(self.garbled("the manifests are not an array").into());
        };
        let read = |value| match serde_json::from_value(value) {
            Ok(manifest) => Some(manifest),
            Err(error) => {
                log::warn!("{}: a plugin's manifest is not understood here: {error}", self.socket.display());
                None
            }
        };
        Ok(all.into_iter().filter_map(read).collect())
    }

    /// Begins to collect notices, on a connection of its own. When this returns, no notice from then
    /// on is missed, except as [`Operator::watch`] says.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub fn notices(&self, recent: usize) -> Result<Notices, Fault> {
        let (mut connection, _) = Connection::open(&self.socket)?;
        connection.ask(Wish::Watch { recent }, self.patience).map_err(|error| error.into_fault())?;
        Ok(Notices { connection })
    }

    fn ask(&self, wish: Wish) -> Result<Value, Fault> {
        let mut place = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut connection = match place.take() {
            Some(connection) => connection,
            None => Connection::open(&self.socket)?.0,
        };
        let answer = connection.ask(wish, self.patience);
        if !matches!(answer, Err(Unanswered::Control(_))) {
            *place = Some(connection);
        }
        answer.map_err(Unanswered::into_fault)
    }

    fn garbled(&self, what: &str) -> ControlError {
        ControlError::Garbled { socket: self.socket.clone(), what: what.to_owned() }
    }
}

impl Operator for Client {
    /// Empty where the site cannot be asked; [`Client::ask_manifests`] says why.
    fn manifests(&self) -> Vec<Manifest> {
        self.ask_manifests().unwrap_or_else(|fault| {
            log::warn!("{fault}");
            Vec::new()
        })
    }

    fn call(&self, plugin: &str, command: &str, argument: &Value) -> Result<Value, Fault> {
        let (plugin, command) = (plugin.to_owned(), command.to_owned());
        self.ask(Wish::Call { plugin, command, argument: argument.clone() })
    }

    /// Ended at once where the site cannot be asked; [`Client::notices`] says why. The thread behind
    /// it ends with the site, or at the first notice after the feed was dropped.
    fn watch(&self, recent: usize) -> Feed {
        let (feeder, feed) = feed();
        match self.notices(recent) {
            Ok(mut notices) => drop(thread::spawn(move || {
                while let Ok(Some(notice)) = notices.next(None)
                    && feeder.push(notice)
                {}
            })),
            Err(fault) => log::warn!("{fault}"),
        }
        feed
    }
}

/// Notices of a running site, as they come.
#[derive(Debug)]
pub struct Notices {
    connection: Connection,
}

impl Notices {
    /// The next notice; waits so long for it, or for ever. `None` when none came in time.
    ///
    /// # Errors
    /// [`ControlError::Closed`] when the site has stopped; `Garbled`, `System`.
    pub fn next(&mut self, patience: Option<Duration>) -> Result<Option<Value>, ControlError> {
        let deadline = patience.map(|patience| Instant::now() + patience);
        loop {
            match self.connection.reply(deadline)? {
                Some((_, Reply::Notice(notice))) => return Ok(Some(notice)),
                Some(_) => {} // an answer to nothing we asked
                None => return Ok(None),
            }
        }
    }
}

/// Why there is no answer: the way there failed, or the site refused.
enum Unanswered {
    Control(ControlError),
    Site(Fault),
}

impl Unanswered {
    fn into_fault(self) -> Fault {
        match self {
            Unanswered::Control(error) => error.into(),
            Unanswered::Site(fault) => fault,
        }
    }
}

impl From<ControlError> for Unanswered {
    fn from(error: ControlError) -> Self {
        Unanswered::Control(error)
    }
}

#[derive(Debug)]
struct Connection {
    socket: PathBuf,
    stream: UnixStream,
    lines: Lines,
    next: u64,
}

impl Connection {
    fn open(socket: &Path) -> Result<(Self, Greeting), ControlError> {
        let stream = socket::connect(socket)?;
        let system = |what| move |why| ControlError::System { path: socket.to_owned(), what, why };
        let reading = stream.try_clone().map_err(system("connect"))?;
        stream.set_write_timeout(Some(CALL_PATIENCE)).map_err(system("connect"))?;
        let mut connection = Connection { socket: socket.to_owned(), stream, lines: Lines::new(reading), next: 1 };
        let line = connection
            .line(REQUEST_BYTES, Some(Instant::now() + GREETING_PATIENCE))?
            .ok_or(ControlError::Silent { socket: socket.to_owned(), seconds: GREETING_PATIENCE.as_secs() })?;
        let greeting = connection.read_greeting(&line)?;
        Ok((connection, greeting))
    }

    fn read_greeting(&self, line: &[u8]) -> Result<Greeting, ControlError> {
        let value: Value = serde_json::from_slice(line).map_err(|_| self.garbled("its greeting is not JSON".into()))?;
        // The version first: another one's other members may differ.
        match value.get("tallyho").and_then(Value::as_u64) {
            Some(PROTOCOL) => {}
            Some(found) => {
                return Err(ControlError::Version { socket: self.socket.clone(), found, known: PROTOCOL });
            }
            None => return Err(self.garbled("its greeting names no version".into())),
        }
        serde_json::from_value(value).map_err(|error| self.garbled(format!("its greeting does not fit: {error}")))
    }

    fn ask(&mut self, wish: Wish, patience: Duration) -> Result<Value, Unanswered> {
        let id = Value::from(self.next);
        self.next += 1;
        let mut line = Request { id: id.clone(), wish }.to_json().to_string();
        if line.len() > REQUEST_BYTES {
            let text = format!("argument makes a request of {} bytes, {REQUEST_BYTES} are the most", line.len());
            return Err(Unanswered::Site(Fault::usage(text)));
        }
        line.push('\n');
        // A site that closes may have said why before, so a failed write is found out by reading.
        let written = self.stream.write_all(line.as_bytes());
        let deadline = Instant::now() + patience;
        loop {
            let (answered, reply) = self
                .reply(Some(deadline))
                .map_err(|error| match (&written, error) {
                    (Err(_), _) => ControlError::Closed { socket: self.socket.clone() },
                    (Ok(()), error) => error,
                })?
                .ok_or(ControlError::Silent { socket: self.socket.clone(), seconds: patience.as_secs() })?;
            match reply {
                Reply::Ok(value) if answered == id => return Ok(value),
                Reply::Error(fault) if answered == id => return Err(Unanswered::Site(fault)),
                Reply::Error(fault) if answered.is_null() && fault.code == "busy" => {
                    return Err(ControlError::Full { socket: self.socket.clone(), text: fault.text }.into());
                }
                Reply::Error(fault) if answered.is_null() => return Err(Unanswered::Site(fault)),
                _ => {} // a notice, or an answer to an earlier request
            }
        }
    }

    /// The next reply; `None` when none came in time.
    fn reply(&mut self, deadline: Option<Instant>) -> Result<Option<(Value, Reply)>, ControlError> {
        let Some(line) = self.line(ANSWER_BYTES, deadline)? else { return Ok(None) };
        Reply::read(&line).map(Some).map_err(|what| self.garbled(what))
    }

    fn line(&mut self, limit: usize, deadline: Option<Instant>) -> Result<Option<Vec<u8>>, ControlError> {
        match self.lines.next(limit, deadline) {
            Ok(Line::Whole(line)) => Ok(Some(line)),
            Ok(Line::Late) => Ok(None),
            Ok(Line::End) => Err(ControlError::Closed { socket: self.socket.clone() }),
            Ok(Line::TooLong) => Err(self.garbled(format!("a line of more than {limit} bytes"))),
            Err(why) => Err(ControlError::System { path: self.socket.clone(), what: "read", why }),
        }
    }

    fn garbled(&self, what: String) -> ControlError {
        ControlError::Garbled { socket: self.socket.clone(), what }
    }
}
