//! Frames between the host and the process of a plugin: four bytes of length, then as many bytes.
//!
//! The two take turns, so at most one frame is ever under way. Neither trusts a length before the bytes are there, and
//! both wait awake for a moment before they sleep ([`CALL_AWAKE`]).

use crate::plugin::limits::{CALL_AWAKE, FRAME_ROOM, MAX_FRAME};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of the length.
const HEAD: usize = 4;

/// Why a channel can be used no more.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The other end has gone.
    #[error("the other end has gone")]
    Closed,
    /// The other end was not done in time.
    #[error("the other end was not done in time")]
    Late,
    /// The other end does not keep to the rules.
    #[error("what came over the channel breaks its rules: {0}")]
    Bad(String),
    /// The system's fault.
    #[error("the channel fails: {0}")]
    System(#[from] io::Error),
}

/// One end of a channel.
pub struct Channel {
    socket: UnixStream,
    outbox: Vec<u8>,
    inbox: Vec<u8>,
    received: usize,
}

impl Channel {
    /// A channel over this socket.
    ///
    /// # Errors
    /// The system's.
    pub fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Channel { socket, outbox: Vec::new(), inbox: vec![0; FRAME_ROOM], received: 0 })
    }

    /// Another handle on the socket, to look at it from elsewhere.
    ///
    /// # Errors
    /// The system's.
    pub fn socket(&self) -> io::Result<UnixStream> {
        self.socket.try_clone()
    }

    /// Sends what `write` puts into the frame.
    ///
    /// # Errors
    /// [`Broken`]; `Bad` where the frame would be larger than [`MAX_FRAME`], and nothing is sent then.
    pub fn send(&mut self, until: Option<Instant>, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Broken> {
        self.outbox.clear();
        self.outbox.extend_from_slice(&[0; HEAD]);
        write(&mut self.outbox);
        let length = self.outbox.len() - HEAD;
        if length > MAX_FRAME {
            self.outbox = Vec::new();
            return Err(too_long(length));
        }
        // It fits: MAX_FRAME does.
        self.outbox[..HEAD].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        let mut sent = 0;
        while sent < self.outbox.len() {
            match (&self.socket).write(&self.outbox[sent..]) {
                Ok(written) => sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => wait(&self.socket, PollFlags::OUT, until)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(gone(error)),
            }
        }
        if self.outbox.capacity() > FRAME_ROOM {
            self.outbox = Vec::new();
        }
        Ok(())
    }

    /// Waits for the next frame. It is found at [`frame`](Self::frame) until the next one is waited for.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn receive(&mut self, until: Option<Instant>) -> Result<(), Broken> {
        if self.inbox.len() > FRAME_ROOM {
            self.inbox = vec![0; FRAME_ROOM];
        }
        self.received = 0;
        let mut begun = None;
        loop {
            if self.received == self.inbox.len() {
                // What has come already is the measure, not what a length promises.
                self.inbox.resize((self.inbox.len() * 2).min(MAX_FRAME + HEAD), 0);
            }
            match (&self.socket).read(&mut self.inbox[self.received..]) {
                Ok(0) => return Err(Broken::Closed),
                Ok(read) => {
                    self.received += read;
                    if self.is_whole()? {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if begun.get_or_insert_with(Instant::now).elapsed() < CALL_AWAKE {
                        thread::yield_now();
                    } else {
                        wait(&self.socket, PollFlags::IN, until)?;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(gone(error)),
            }
        }
    }

    /// Whether the other end is still there and has nothing to say, as it should be between two calls.
    pub fn is_open(&self) -> bool {
        let mut socket = [PollFd::new(&self.socket, PollFlags::IN)];
        poll(&mut socket, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready == 0)
    }

    /// The frame received last, without its length.
    pub fn frame(&self) -> &[u8] {
        self.inbox.get(HEAD..self.received).unwrap_or_default()
    }

    /// Whether all of one frame is here.
    fn is_whole(&self) -> Result<bool, Broken> {
        let Some(head) = self.inbox[..self.received].first_chunk::<HEAD>() else { return Ok(false) };
        let length = u32::from_le_bytes(*head) as usize;
        if length > MAX_FRAME {
            return Err(too_long(length));
        }
        match self.received.cmp(&(HEAD + length)) {
            std::cmp::Ordering::Less => Ok(false),
            std::cmp::Ordering::Equal => Ok(true),
            std::cmp::Ordering::Greater => Err(Broken::Bad("more came than the frame that was due".to_owned())),
        }
    }
}

fn too_long(length: usize) -> Broken {
    Broken::Bad(format!("a frame of {length} bytes, expected at most {MAX_FRAME}"))
}

fn gone(error: io::Error) -> Broken {
    match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof => Broken::Closed,
        _ => Broken::System(error),
    }
}

/// Sleeps until the socket is as wanted.
fn wait(socket: &UnixStream, wanted: PollFlags, until: Option<Instant>) -> Result<(), Broken> {
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    if left.is_some_and(|left| left == Duration::ZERO) {
        return Err(Broken::Late);
    }
    let timeout = left.map(|left| Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: left.subsec_nanos().into(),
    });
    match poll(&mut [PollFd::new(socket, wanted)], timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(Broken::System(error.into())),
    }
}

#[cfg(test)]
#[path = "channel_tests.rs"]
mod tests;
