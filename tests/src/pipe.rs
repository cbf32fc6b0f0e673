//! The control socket as a busy program uses it: many commands sent before the first is answered.

use crate::site::PATIENCE;
use serde_json::Value;
use std::io::{BufRead, BufReader, BufWriter, Error, ErrorKind, Result, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use tallyho::control::protocol::{Reply, Request, Wish};
use tallyho_plugin::Fault;

/// A connection whose answers come in the order of its commands.
#[derive(Debug)]
pub struct Pipe {
    writing: BufWriter<UnixStream>,
    reading: BufReader<UnixStream>,
    line: Vec<u8>,
    sent: u64,
    answered: u64,
}

impl Pipe {
    /// Connects.
    ///
    /// # Errors
    /// The system's, where no site runs there.
    pub fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let (writing, reading) = (BufWriter::new(stream.try_clone()?), BufReader::new(stream));
        let mut pipe = Pipe { writing, reading, line: Vec::new(), sent: 0, answered: 0 };
        pipe.read()?; // the greeting
        Ok(pipe)
    }

    /// Sends a command; it leaves at the next [`answer`](Self::answer), or when many are there.
    ///
    /// # Errors
    /// The system's, where the site has died.
    pub fn send(&mut self, plugin: &str, command: &str, argument: Value) -> Result<()> {
        let wish = Wish::Call { plugin: plugin.to_owned(), command: command.to_owned(), argument };
        let request = Request { id: Value::from(self.sent), wish };
        self.sent += 1;
        writeln!(self.writing, "{}", request.to_json())
    }

    /// How many commands have no answer yet.
    pub fn under_way(&self) -> u64 {
        self.sent - self.answered
    }

    /// The answer to the oldest command that has none.
    ///
    /// # Errors
    /// The system's, where the site has died: what came of the commands under way is not known.
    pub fn answer(&mut self) -> Result<std::result::Result<Value, Fault>> {
        self.writing.flush()?;
        self.read()?;
        let (id, reply) = Reply::read(&self.line).map_err(Error::other)?;
        assert_eq!(id, self.answered, "answers come in order");
        self.answered += 1;
        match reply {
            Reply::Ok(value) => Ok(Ok(value)),
            Reply::Error(fault) => Ok(Err(fault)),
            Reply::Notice(notice) => panic!("nobody watches here: {notice}"),
        }
    }

    fn read(&mut self) -> Result<()> {
        self.line.clear();
        self.reading.read_until(b'\n', &mut self.line)?;
        // A line without its end was torn by the site's death.
        if self.line.ends_with(b"\n") { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }
}
