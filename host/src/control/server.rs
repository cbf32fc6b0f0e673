//! The site's end of the control socket: a thread for each client.

use rustix::event::{PollFd, PollFlags, poll};
use serde_json::Value;
use std::collections::HashMap;
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;
use tallyho_plugin::Fault;

use super::limits::{ACCEPT_PAUSE, CLIENTS, STOP_PATIENCE, WRITE_PATIENCE};
use super::protocol::{Greeting, Reply};
use super::{ControlError, Operator, session, socket};

/// Serves an [`Operator`] at a socket until stopped or dropped.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    identity: socket::Identity,
    clients: Arc<Clients>,
    wake: UnixStream,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Makes the socket file (0600) and begins to serve. `agent` is the site's agent id.
    ///
    /// # Errors
    /// [`ControlError::Live`] where a host serves this socket already, `NoSocket` where something else
    /// has its name, `System`.
    pub fn start(path: &Path, agent: &str, operator: Arc<dyn Operator>) -> Result<Self, ControlError> {
        let system = |what| move |why| ControlError::System { path: path.to_owned(), what, why };
        let (listener, identity) = socket::bind(path)?;
        let (wake, woken) = UnixStream::pair().map_err(system("make a pair of sockets"))?;
        listener.set_nonblocking(true).map_err(system("set up the socket"))?;
        let clients = Arc::new(Clients::default());
        let accepting = {
            let clients = Arc::clone(&clients);
            let greeting = Greeting::of(agent);
            thread::Builder::new()
                .name("control".into())
                .spawn(move || accept(&listener, &woken, &greeting, &operator, &clients))
                .map_err(system("start a thread"))?
        };
        Ok(Server { path: path.to_owned(), identity, clients, wake, accepting: Some(accepting) })
    }

    /// Takes no more clients and no more requests, waits at most [`STOP_PATIENCE`] for commands under
    /// way, then closes every connection and removes the socket file.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        // The accepting thread ends when its end of the pair tells that ours has closed.
        let _ = self.wake.shutdown(Shutdown::Both);
        if accepting.join().is_err() {
            log::error!("control: the accepting thread had panicked");
        }
        socket::remove(&self.path, self.identity);
        self.clients.close();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn accept(
    listener: &UnixListener,
    woken: &UnixStream,
    greeting: &Greeting,
    operator: &Arc<dyn Operator>,
    clients: &Arc<Clients>,
) {
    loop {
        let mut ready = [PollFd::new(listener, PollFlags::IN), PollFd::new(woken, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                log::error!("control: cannot wait for clients: {error}");
                thread::sleep(ACCEPT_PAUSE);
            }
        }
        if !ready[1].revents().is_empty() {
            return;
        }
        match listener.accept() {
            Ok((stream, _)) => admit(stream, greeting, operator, clients),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => {
                log::warn!("control: cannot take a client: {error}");
                thread::sleep(ACCEPT_PAUSE);
            }
        }
    }
}

fn admit(stream: UnixStream, greeting: &Greeting, operator: &Arc<dyn Operator>, clients: &Arc<Clients>) {
    if stream.set_nonblocking(false).is_err() {
        return; // the client has gone
    }
    let Some(seat) = Clients::seat(clients, &stream) else { return turn_away(&stream, greeting) };
    let (greeting, operator) = (greeting.clone(), Arc::clone(operator));
    let started = thread::Builder::new().name("control-client".into()).spawn(move || {
        let _seat = seat; // given up when the session ends, by a panic too
        session::serve(stream, &greeting, operator.as_ref());
    });
    if let Err(error) = started {
        log::warn!("control: no thread for a client: {error}");
    }
}

fn turn_away(mut stream: &UnixStream, greeting: &Greeting) {
    let text = format!("this site serves {CLIENTS} programs already");
    let refusal = Reply::Error(Fault::host(text).code("busy")).into_json(&Value::Null);
    let Ok(greeting) = serde_json::to_string(greeting) else { return };
    // Two short lines into an empty buffer; where that fails the client has gone.
    let _ = stream.set_write_timeout(Some(WRITE_PATIENCE));
    let _ = stream.write_all(format!("{greeting}\n{refusal}\n").as_bytes());
}

/// The connections that are served now.
#[derive(Debug, Default)]
struct Clients {
    inner: Mutex<Connections>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct Connections {
    next: u64,
    open: HashMap<u64, UnixStream>,
}

/// A client's place, given up when dropped.
struct Seat {
    clients: Arc<Clients>,
    number: u64,
}

impl Clients {
    fn seat(this: &Arc<Self>, stream: &UnixStream) -> Option<Seat> {
        let mut inner = this.lock();
        if inner.open.len() == CLIENTS {
            return None;
        }
        let number = inner.next;
        inner.next += 1;
        inner.open.insert(number, stream.try_clone().ok()?);
        Some(Seat { clients: Arc::clone(this), number })
    }

    fn close(&self) {
        let deadline = Instant::now() + STOP_PATIENCE;
        let mut inner = self.lock();
        for stream in inner.open.values() {
            // A session ends when it has answered what it had read; fails where the client has gone.
            let _ = stream.shutdown(Shutdown::Read);
        }
        while !inner.open.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                log::warn!("control: {} commands still run; their clients get no answer", inner.open.len());
                break;
            }
            inner = self.left.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        for stream in inner.open.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        // Changed by single calls only, so a poisoned map is still sound.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.clients.lock().open.remove(&self.number);
        self.clients.left.notify_all();
    }
}
