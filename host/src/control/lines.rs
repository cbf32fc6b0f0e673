//! Lines of bounded length from a Unix socket, with a deadline.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line without its end mark.
    Whole(Vec<u8>),
    /// More than the limit without an end mark.
    TooLong,
    /// The other side closed; what it had begun is dropped.
    End,
    /// The deadline passed. What has come so far is kept for the next call.
    Late,
}

/// Reads a socket line by line.
#[derive(Debug)]
pub(super) struct Lines {
    stream: UnixStream,
    pending: Vec<u8>,
    /// So many bytes of `pending` hold no end mark.
    scanned: usize,
}

/// Bytes asked of the system at once.
const CHUNK: usize = 16 << 10;

impl Lines {
    pub(super) fn new(stream: UnixStream) -> Self {
        Lines { stream, pending: Vec::new(), scanned: 0 }
    }

    /// The next line of at most `limit` bytes; waits until `deadline`, or for ever without one.
    pub(super) fn next(&mut self, limit: usize, deadline: Option<Instant>) -> io::Result<Line> {
        loop {
            if let Some(at) = self.pending[self.scanned..].iter().position(|byte| *byte == b'\n') {
                let end = self.scanned + at;
                if end > limit {
                    return Ok(Line::TooLong);
                }
                let rest = self.pending.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.pending, rest);
                line.truncate(end);
                self.scanned = 0;
                return Ok(Line::Whole(line));
            }
            self.scanned = self.pending.len();
            if self.pending.len() > limit {
                return Ok(Line::TooLong);
            }
            match self.fill(deadline) {
                Ok(0) => return Ok(Line::End),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return Ok(Line::Late),
                    // The other side closed without reading what we sent.
                    io::ErrorKind::ConnectionReset => return Ok(Line::End),
                    _ => return Err(error),
                },
            }
        }
    }

    fn fill(&mut self, deadline: Option<Instant>) -> io::Result<usize> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(left)?;
        let mut chunk = [0; CHUNK];
        let count = self.stream.read(&mut chunk)?;
        self.pending.extend_from_slice(&chunk[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    #[test]
    fn lines_come_whole_however_they_were_torn() {
        let (mut writer, reader) = UnixStream::pair().unwrap();
        let mut lines = Lines::new(reader);
        writer.write_all(b"one\ntwo\nthr").unwrap();
        assert_eq!(lines.next(10, None).unwrap(), Line::Whole(b"one".to_vec()));
        assert_eq!(lines.next(10, None).unwrap(), Line::Whole(b"two".to_vec()));
        assert_eq!(lines.next(10, Some(Instant::now())).unwrap(), Line::Late);
        writer.write_all(b"ee\n\nfour").unwrap();
        assert_eq!(lines.next(10, None).unwrap(), Line::Whole(b"three".to_vec()));
        assert_eq!(lines.next(10, None).unwrap(), Line::Whole(Vec::new()));
        drop(writer);
        assert_eq!(lines.next(10, None).unwrap(), Line::End, "an unfinished line is no line");
    }

    #[test]
    fn a_line_over_the_limit_is_told_before_its_end_comes() {
        for tail in ["", "\n"] {
            let (mut writer, reader) = UnixStream::pair().unwrap();
            writer.write_all(format!("12345{tail}").as_bytes()).unwrap();
            assert_eq!(Lines::new(reader).next(4, None).unwrap(), Line::TooLong);
        }
        let (mut writer, reader) = UnixStream::pair().unwrap();
        writer.write_all(b"1234\n").unwrap();
        assert_eq!(Lines::new(reader).next(4, None).unwrap(), Line::Whole(b"1234".to_vec()));
    }
}
