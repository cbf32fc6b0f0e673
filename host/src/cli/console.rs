//! Where a command's output goes.

use std::ffi::OsString;
use std::io::{self, Write};
use tallyho_plugin::Fault;

/// Standard output and error of a command, and what it knows of its surroundings.
pub struct Console<'a> {
    /// Answers.
    pub out: &'a mut dyn Write,
    /// Errors and remarks.
    pub err: &'a mut dyn Write,
    /// Whether a person looks at `out`.
    pub terminal: bool,
    /// `TALLYHO_HOME`.
    pub home: Option<OsString>,
}

/// What became of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Printed {
    /// It was taken.
    Taken,
    /// Nobody reads any more, as after `| head -1`; which is no error.
    Unread,
}

impl Console<'_> {
    /// Prints to standard output, at once.
    ///
    /// # Errors
    /// The output cannot be written, a full disk for instance.
    pub fn print(&mut self, text: &str) -> Result<Printed, Fault> {
        match self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()) {
            Ok(()) => Ok(Printed::Taken),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Printed::Unread),
            Err(error) => Err(Fault::host(format!("cannot write standard output: {error}"))
                .code("output")
                .fix("what was asked for is done; only its answer is lost")),
        }
    }

    /// Prints to standard error. Where that cannot be written, nobody can be told.
    pub fn remark(&mut self, text: &str) {
        let _ = self.err.write_all(text.as_bytes()).and_then(|()| self.err.flush());
    }
}
