//! One client of the control socket.

use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use serde_json::Value;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Scope};
use tallyho_plugin::Fault;

use super::Operator;
use super::answer::Answer;
use super::feed::Feed;
use super::limits::{NOTICES_RECENT, REQUEST_BYTES, WATCH_TICK, WRITE_PATIENCE};
use super::lines::{Line, Lines};
use super::protocol::{Greeting, Reply, Request, Wish};
use super::turns::{Next, Turns, What};

/// Serves a client until it goes or is shut out. A client that vanishes while its command runs does
/// not stop the command; its answer is dropped.
pub(super) fn serve(stream: UnixStream, greeting: &Greeting, operator: &dyn Operator) {
    let Ok(writing) = stream.try_clone() else { return };
    let client = Arc::new(Client { stream: writing, writing: Mutex::default(), turns: Turns::default() });
    if stream.set_write_timeout(Some(WRITE_PATIENCE)).is_err() || !client.send_greeting(greeting) {
        return;
    }
    let client = &client;
    thread::scope(|scope| {
        let answering = scope.spawn(move || {
            let _guard = LeaveOnPanic(client);
            answer(client, scope);
        });
        let _guard = LeaveOnPanic(client);
        take(Lines::new(stream), operator, client);
        client.turns.end();
        // What was read is answered before the connection ends. (Its panic has ended it already.)
        let _ = answering.join();
        client.leave();
    });
}

/// A command that panics ends its connection: its client must not wait for ever.
struct LeaveOnPanic<'c>(&'c Client);

impl Drop for LeaveOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.leave();
        }
    }
}

/// Reads requests and begins them, as long as there are any.
fn take(mut lines: Lines, operator: &dyn Operator, client: &Arc<Client>) {
    let mut watches = false;
    while let Ok(line) = lines.next(REQUEST_BYTES, None) {
        let (request, last) = match line {
            Line::Whole(line) => (Request::read(&line), false),
            Line::TooLong => {
                let text = format!("request is longer than {REQUEST_BYTES} bytes");
                // Where the next request would begin is not known.
                (Err((Value::Null, Fault::usage(text).code("control-request"))), true)
            }
            Line::End | Line::Late => return,
        };
        let (id, wish) = match request {
            Ok(Request { id, wish }) => (id, Ok(wish)),
            Err((id, fault)) => (id, Err(fault)),
        };
        let Some(number) = client.turns.enter(id) else { return };
        let place = Place { client: Some(Arc::clone(client)), number };
        match wish {
            Ok(wish) => begin(wish, operator, &mut watches, place),
            Err(fault) => place.fill(What::Answer(Answer::Read(Err(fault)))),
        }
        if last {
            return;
        }
    }
}

fn begin(wish: Wish, operator: &dyn Operator, watches: &mut bool, place: Place) {
    match wish {
        Wish::Manifests => place.fill(What::Answer(Answer::Read(manifests(operator)))),
        Wish::Call { plugin, command, argument } => {
            operator.begin(&plugin, &command, &argument, Box::new(move |answer| place.fill(What::Answer(answer))));
        }
        Wish::Watch { .. } if *watches => {
            let fault = Fault::usage("this connection watches already").fix("open another connection");
            place.fill(What::Answer(Answer::Read(Err(fault.code("control-request")))));
        }
        Wish::Watch { recent } => {
            *watches = true;
            place.fill(What::Watch(operator.watch(recent.min(NOTICES_RECENT))));
        }
    }
}

fn manifests(operator: &dyn Operator) -> Result<Value, Fault> {
    serde_json::to_value(operator.manifests())
        .map_err(|error| Fault::host(format!("manifests cannot be written: {error}")))
}

/// A request that waits for its answer; one that is dropped is told that there will be none, by a panic with the end
/// of the connection.
struct Place {
    client: Option<Arc<Client>>,
    number: u64,
}

impl Place {
    fn fill(mut self, what: What) {
        if let Some(client) = self.client.take() {
            client.told(self.number, what);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match self.client.take() {
            None => {}
            Some(client) if thread::panicking() => client.leave(),
            Some(client) => {
                let fault = Fault::host("the site is stopping, and the command was not done").code("stopping");
                client.told(self.number, What::Answer(Answer::Read(Err(fault))));
            }
        }
    }
}

/// Says what is to be said, in order.
fn answer<'scope>(client: &'scope Client, scope: &'scope Scope<'scope, '_>) {
    loop {
        let sent = match client.turns.next() {
            Next::End => return,
            Next::Rest => client.write(&[]),
            Next::Say(id, What::Answer(answer)) => client.send(reply(answer), &id),
            Next::Say(id, What::Watch(feed)) => {
                // Told before the first notice, and after the site has begun to collect them.
                let sent = client.send(Reply::Ok(Value::Null), &id);
                if sent {
                    scope.spawn(move || hand_on(&feed, client, &id));
                }
                sent
            }
        };
        if !sent {
            return;
        }
    }
}

fn reply(answer: Answer) -> Reply {
    answer.read().map_or_else(Reply::Error, Reply::Ok)
}

/// Hands notices to the client as fast as it reads. When the site has no more, the connection ends.
fn hand_on(feed: &Feed, client: &Client, id: &Value) {
    loop {
        let goes_on = match feed.next(WATCH_TICK) {
            Ok(notice) => client.send(Reply::Notice(notice), id),
            Err(RecvTimeoutError::Timeout) => !client.turns.is_gone(),
            Err(RecvTimeoutError::Disconnected) => false,
        };
        if !goes_on {
            return client.leave();
        }
    }
}

fn line(reply: &Value) -> Vec<u8> {
    let mut line = reply.to_string().into_bytes();
    line.push(b'\n');
    line
}

/// The writing half, shared by whoever knows an answer and by notices.
struct Client {
    stream: UnixStream,
    /// What the socket has not taken of a line that was not waited for.
    writing: Mutex<Vec<u8>>,
    turns: Turns,
}

impl Client {
    /// What is to be said to a request is known. Whoever brings it writes it, where it is small and nothing else is to
    /// be said: it would take longer to wake a thread for it.
    fn told(&self, number: u64, what: What) {
        let mut turns = self.turns.fill(number, what);
        if turns.is_lone()
            && let Ok(mut rest) = self.writing.try_lock()
            && rest.is_empty()
            && let Some((id, answer)) = turns.pop_small()
        {
            // Before anybody else: who is next waits for the lock on `rest`.
            drop(turns);
            // Whatever a handler's answer may do to its reader costs this client, and not the thread that all wait for.
            match catch_unwind(AssertUnwindSafe(|| line(&reply(answer).into_json(&id)))) {
                Ok(line) => self.write_at_once(&line, &mut rest),
                Err(_) => self.leave(),
            }
            return self.turns.brought(!rest.is_empty());
        }
        drop(turns);
        self.turns.call();
    }

    fn send(&self, reply: Reply, id: &Value) -> bool {
        self.write(&line(&reply.into_json(id)))
    }

    fn send_greeting(&self, greeting: &Greeting) -> bool {
        serde_json::to_value(greeting).is_ok_and(|greeting| self.write(&line(&greeting)))
    }

    /// Writes a line, after what is left of the one before; whether the client is there still.
    fn write(&self, line: &[u8]) -> bool {
        let mut rest = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stream = &self.stream;
        let sent = !self.turns.is_gone() && stream.write_all(&rest).and_then(|()| stream.write_all(line)).is_ok();
        rest.clear();
        drop(rest);
        if !sent {
            self.leave(); // half a line may be out: nothing that fits can follow it
        }
        sent
    }

    /// Writes as much of a line as the socket takes at once; keeps the rest.
    fn write_at_once(&self, line: &[u8], rest: &mut Vec<u8>) {
        match send(&self.stream, line, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(taken) => rest.extend_from_slice(&line[taken..]),
            Err(Errno::AGAIN | Errno::INTR) => rest.extend_from_slice(line),
            Err(_) => self.leave(),
        }
    }

    /// Ends the connection; a reader and a writer blocked on it return.
    fn leave(&self) {
        self.turns.leave();
        // Fails only where the other side has left already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
