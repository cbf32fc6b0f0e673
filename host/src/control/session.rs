//! One client of the control socket.

use serde_json::Value;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Scope};
use tallyho_plugin::Fault;

use super::Operator;
use super::backlog::Backlog;
use super::limits::{NOTICES_RECENT, REQUEST_BYTES, WATCH_TICK, WRITE_PATIENCE};
use super::lines::{Line, Lines};
use super::protocol::{Greeting, Reply, Request, Wish};

/// Serves a client until it goes or is shut out. A client that vanishes while its command runs does
/// not stop the command; its answer is dropped.
pub(super) fn serve(stream: UnixStream, greeting: &Greeting, operator: &dyn Operator) {
    let Ok(writing) = stream.try_clone() else { return };
    let client = Client { stream: writing, writing: Mutex::new(()), gone: AtomicBool::new(false) };
    let backlog = Backlog::default();
    if stream.set_write_timeout(Some(WRITE_PATIENCE)).is_err() || !client.send_greeting(greeting) {
        return;
    }
    thread::scope(|scope| {
        answer(Lines::new(stream), &client, &backlog, operator, scope);
        client.leave();
        backlog.close();
    });
}

fn answer<'scope>(
    mut lines: Lines,
    client: &'scope Client,
    backlog: &'scope Backlog,
    operator: &dyn Operator,
    scope: &'scope Scope<'scope, '_>,
) {
    let mut watches = false;
    while let Ok(line) = lines.next(REQUEST_BYTES, None) {
        let line = match line {
            Line::Whole(line) => line,
            Line::TooLong => {
                let text = format!("request is longer than {REQUEST_BYTES} bytes");
                client.send(Reply::Error(Fault::usage(text).code("control-request")), &Value::Null);
                return; // where the next request would begin is not known
            }
            Line::End | Line::Late => return,
        };
        let (id, reply) = match Request::read(&line) {
            Err((id, fault)) => (id, Reply::Error(fault)),
            Ok(Request { id, wish: Wish::Manifests }) => (id, manifests(operator)),
            Ok(Request { id, wish: Wish::Call { plugin, command, argument } }) => {
                let result = operator.call(&plugin, &command, &argument);
                (id, result.map_or_else(Reply::Error, Reply::Ok))
            }
            Ok(Request { id, wish: Wish::Watch { .. } }) if watches => {
                let fault = Fault::usage("this connection watches already").fix("open another connection");
                (id, Reply::Error(fault.code("control-request")))
            }
            Ok(Request { id, wish: Wish::Watch { recent } }) => {
                watches = true;
                let notices = operator.watch(recent.min(NOTICES_RECENT));
                // Told before the first notice, and after the site has begun to collect them.
                if !client.send(Reply::Ok(Value::Null), &id) {
                    return;
                }
                scope.spawn(move || collect(&notices, client, backlog));
                scope.spawn(move || hand_on(backlog, client, &id));
                continue;
            }
        };
        if !client.send(reply, &id) {
            return;
        }
    }
}

fn manifests(operator: &dyn Operator) -> Reply {
    serde_json::to_value(operator.manifests())
        .map_or_else(|error| Reply::Error(Fault::host(format!("manifests cannot be written: {error}"))), Reply::Ok)
}

/// Takes notices from the site as fast as they come, whatever the client does.
fn collect(notices: &Receiver<Value>, client: &Client, backlog: &Backlog) {
    while !client.is_gone() {
        match notices.recv_timeout(WATCH_TICK) {
            Ok(notice) => backlog.push(notice),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    backlog.close();
}

/// Hands notices to the client as fast as it reads. When the site has no more, the connection ends.
fn hand_on(backlog: &Backlog, client: &Client, id: &Value) {
    while let Some(notice) = backlog.pop() {
        if !client.send(Reply::Notice(notice), id) {
            return;
        }
    }
    client.leave();
}

/// The writing half, shared by answers and notices.
struct Client {
    stream: UnixStream,
    writing: Mutex<()>,
    gone: AtomicBool,
}

impl Client {
    fn send(&self, reply: Reply, id: &Value) -> bool {
        self.write(&reply.into_json(id))
    }

    fn send_greeting(&self, greeting: &Greeting) -> bool {
        serde_json::to_value(greeting).is_ok_and(|greeting| self.write(&greeting))
    }

    fn write(&self, value: &Value) -> bool {
        let mut line = value.to_string().into_bytes();
        line.push(b'\n');
        let turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = !self.is_gone() && (&self.stream).write_all(&line).is_ok();
        drop(turn);
        if !sent {
            self.leave(); // half a line may be out: nothing that fits can follow it
        }
        sent
    }

    /// Ends the connection; a reader and a writer blocked on it return.
    fn leave(&self) {
        self.gone.store(true, Ordering::Release);
        // Fails only where the other side has left already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }
}
