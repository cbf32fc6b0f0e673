//! The writing half of an open channel: seals what waits, and gives it to the socket.
//!
//! Mostly the channel's task does so. After a commit that lets out little, the ledger's thread does it by itself: to
//! wake the task would take longer than the writing, and the peer waits meanwhile.

use super::Net;
use super::channel::{Channel, Out};
use super::limits::WRITE_AHEAD;
use crate::crash::crash_point;
use crate::wire::transport::Sealer;
use async_std::io::Write;
use async_std::net::TcpStream;
use rustix::net::{SendFlags, send};
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

/// See the module.
pub struct Writing {
    stream: TcpStream,
    sealer: Sealer,
    /// Sealed frames, and how much of them the socket has taken.
    sealed: Vec<u8>,
    written: usize,
    /// Where in `sealed` each outbox row ends.
    ends: VecDeque<(usize, u64)>,
}

impl fmt::Debug for Writing {
    /// Without the keys.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Writing").field("left", &(self.sealed.len() - self.written)).finish_non_exhaustive()
    }
}

impl Writing {
    /// To this socket, `first` before all else (the `A` packet).
    pub fn new(stream: TcpStream, sealer: Sealer, first: Vec<u8>) -> Self {
        Writing { stream, sealer, sealed: first, written: 0, ends: VecDeque::new() }
    }

    /// Writes what there is to write, and has the task woken when the socket takes more; ready only with a reason to
    /// close.
    pub fn poll(&mut self, net: &Net, channel: &Channel, context: &mut Context<'_>) -> Poll<&'static str> {
        while self.fill(net, channel) {
            match Pin::new(&mut self.stream).poll_write(context, &self.sealed[self.written..]) {
                Poll::Pending => {
                    channel.stalled(Some(net.now()));
                    return Poll::Pending;
                }
                Poll::Ready(Ok(0)) => return Poll::Ready("it takes nothing more"),
                Poll::Ready(Ok(taken)) => self.taken(net, channel, taken),
                Poll::Ready(Err(_)) => return Poll::Ready("it broke off"),
            }
        }
        Poll::Pending
    }

    /// Writes what there is to write as far as the socket takes it at once; whether that was all. What is left, and
    /// whatever is wrong with the socket, is the task's business.
    pub fn at_once(&mut self, net: &Net, channel: &Channel) -> bool {
        while self.fill(net, channel) {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match send(&self.stream, &self.sealed[self.written..], flags) {
                Ok(0) | Err(_) => return false,
                Ok(taken) => self.taken(net, channel, taken),
            }
        }
        true
    }

    /// Seals what waits, as far ahead of the socket as it may; whether there is anything to be written.
    fn fill(&mut self, net: &Net, channel: &Channel) -> bool {
        while self.sealed.len() - self.written < WRITE_AHEAD
            && let Some(out) = channel.next()
        {
            self.seal(net, channel, &out);
        }
        let any = self.written < self.sealed.len();
        if !any {
            // Thousands of idle channels hold no buffers.
            (self.sealed, self.written, self.ends) = (Vec::new(), 0, VecDeque::new());
        }
        any
    }

    /// The socket has taken this many more bytes.
    fn taken(&mut self, net: &Net, channel: &Channel, taken: usize) {
        channel.stalled(None);
        self.written += taken;
        while let Some((_, mid)) = self.ends.front().copied().filter(|(end, _)| *end <= self.written) {
            self.ends.pop_front();
            crash_point("frame-written");
            net.handed(channel, mid);
        }
        // Keep the tail short without moving bytes for every write.
        if self.written >= WRITE_AHEAD {
            self.sealed.drain(..self.written);
            self.ends.iter_mut().for_each(|(end, _)| *end -= self.written);
            self.written = 0;
        }
    }

    fn seal(&mut self, net: &Net, channel: &Channel, out: &Out) {
        let mid = if let Out::Row { mid, .. } = out { Some(*mid) } else { None };
        let sealed = net.encode(channel, out).and_then(|message| self.sealer.seal_into(&mut self.sealed, &message));
        match sealed {
            Ok(()) => {
                channel.frames.1.fetch_add(1, Ordering::Relaxed);
                self.ends.extend(mid.map(|mid| (self.sealed.len(), mid)));
            }
            // Too long for a packet: it can never be sent, to anybody.
            Err(error) => {
                log::error!("a message cannot be sent: {error}");
                if let Some(mid) = mid {
                    net.handed(channel, mid);
                }
            }
        }
    }
}
