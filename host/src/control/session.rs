//! One client of the control socket.

use serde_json::Value;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Scope};
use tallyho_plugin::Fault;

use super::backlog::Backlog;
use super::limits::{NOTICES_RECENT, REQUEST_BYTES, UNDER_WAY, WATCH_TICK, WRITE_PATIENCE};
use super::lines::{Line, Lines};
use super::protocol::{Greeting, Reply, Request, Wish};
use super::{Answer, Operator};

/// Serves a client until it goes or is shut out. A client that vanishes while its command runs does
/// not stop the command; its answer is dropped.
pub(super) fn serve(stream: UnixStream, greeting: &Greeting, operator: &dyn Operator) {
    let Ok(writing) = stream.try_clone() else { return };
    let client = Client { stream: writing, writing: Mutex::new(()), gone: AtomicBool::new(false) };
    let (client, backlog) = (&client, &Backlog::default());
    if stream.set_write_timeout(Some(WRITE_PATIENCE)).is_err() || !client.send_greeting(greeting) {
        return;
    }
    thread::scope(|scope| {
        let (begun, under_way) = sync_channel(UNDER_WAY);
        let answering = scope.spawn(move || {
            let _guard = LeaveOnPanic(client);
            answer(&under_way, client, backlog, scope);
        });
        let _guard = LeaveOnPanic(client);
        take(Lines::new(stream), operator, begun);
        // What was read is answered before the connection ends. (Its panic has ended it already.)
        let _ = answering.join();
        client.leave();
        backlog.close();
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

/// A request that was read, with its id.
struct Begun {
    id: Value,
    what: What,
}

enum What {
    /// Answered already.
    Answered(Reply),
    /// A command whose answer will come.
    Called(Answer),
    /// A watch that has begun to collect.
    Watched(Receiver<Value>),
}

/// Reads requests and begins them, as long as there are any.
fn take(mut lines: Lines, operator: &dyn Operator, begun: SyncSender<Begun>) {
    let mut watches = false;
    while let Ok(line) = lines.next(REQUEST_BYTES, None) {
        let line = match line {
            Line::Whole(line) => line,
            Line::TooLong => {
                let text = format!("request is longer than {REQUEST_BYTES} bytes");
                let reply = Reply::Error(Fault::usage(text).code("control-request"));
                let _ = begun.send(Begun { id: Value::Null, what: What::Answered(reply) });
                return; // where the next request would begin is not known
            }
            Line::End | Line::Late => return,
        };
        let (id, what) = match Request::read(&line) {
            Err((id, fault)) => (id, What::Answered(Reply::Error(fault))),
            Ok(Request { id, wish }) => (id, begin(wish, operator, &mut watches)),
        };
        if begun.send(Begun { id, what }).is_err() {
            return; // the client takes no answers any more
        }
    }
}

fn begin(wish: Wish, operator: &dyn Operator, watches: &mut bool) -> What {
    match wish {
        Wish::Manifests => What::Answered(manifests(operator)),
        Wish::Call { plugin, command, argument } => What::Called(operator.begin(&plugin, &command, &argument)),
        Wish::Watch { .. } if *watches => {
            let fault = Fault::usage("this connection watches already").fix("open another connection");
            What::Answered(Reply::Error(fault.code("control-request")))
        }
        Wish::Watch { recent } => {
            *watches = true;
            What::Watched(operator.watch(recent.min(NOTICES_RECENT)))
        }
    }
}

/// Answers what was begun, in order.
fn answer<'scope>(
    under_way: &Receiver<Begun>,
    client: &'scope Client,
    backlog: &'scope Backlog,
    scope: &'scope Scope<'scope, '_>,
) {
    while let Ok(Begun { id, what }) = under_way.recv() {
        let reply = match what {
            What::Answered(reply) => reply,
            What::Called(answer) => answer().map_or_else(Reply::Error, Reply::Ok),
            What::Watched(notices) => {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;
    use std::io::{BufRead, BufReader};
    use std::sync::atomic::AtomicUsize;
    use std::sync::{Arc, Condvar};
    use tallyho_plugin::Manifest;

    /// Its answers come once so many commands have been begun.
    #[derive(Default)]
    struct Slow {
        wanted: usize,
        begun: Arc<(Mutex<usize>, Condvar)>,
        answered: Arc<AtomicUsize>,
        most: AtomicUsize,
    }

    impl Operator for Slow {
        fn manifests(&self) -> Vec<Manifest> {
            Vec::new()
        }
        fn call(&self, _: &str, _: &str, _: &Value) -> Result<Value, Fault> {
            Err(Fault::failed("called instead of begun"))
        }
        fn begin(&self, _: &str, command: &str, argument: &Value) -> Answer {
            let (begun, changed) = &*self.begun;
            let mut begun = begun.lock().unwrap();
            *begun += 1;
            self.most.fetch_max(*begun - self.answered.load(Ordering::SeqCst), Ordering::SeqCst);
            changed.notify_all();
            let (argument, wanted, panics) = (argument.clone(), self.wanted, command == "panic");
            let (all, answered) = (Arc::clone(&self.begun), Arc::clone(&self.answered));
            Box::new(move || {
                assert!(!panics, "asked to");
                let (begun, changed) = &*all;
                drop(changed.wait_while(begun.lock().unwrap(), |begun| *begun < wanted).unwrap());
                answered.fetch_add(1, Ordering::SeqCst);
                Ok(argument)
            })
        }
        fn watch(&self, _: usize) -> Receiver<Value> {
            sync_channel(1).1
        }
    }

    /// Sends so many commands at once, then reads the answers until the connection ends.
    fn played(operator: &Slow, commands: usize, name: &str) -> Vec<Value> {
        let (site, client) = UnixStream::pair().unwrap();
        let mut writing = client.try_clone().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| serve(site, &Greeting::of("a"), operator));
            scope.spawn(move || {
                for id in 0..commands {
                    let line = json!({"id": id, "do": "call", "plugin": "p", "command": name, "argument": id});
                    if writing.write_all(format!("{line}\n").as_bytes()).is_err() {
                        return; // it has ended
                    }
                }
                let _ = writing.shutdown(Shutdown::Write);
            });
            let lines = BufReader::new(client).lines().map_while(Result::ok).skip(1);
            lines.map(|line| serde_json::from_str(&line).unwrap()).collect()
        })
    }

    #[test]
    fn commands_sent_together_are_under_way_together_and_answered_in_order() {
        let operator = Slow { wanted: 20, ..Slow::default() };
        let expected: Vec<Value> = (0..20).map(|id| json!({"id": id, "ok": id})).collect();
        assert_eq!(played(&operator, 20, "echo"), expected);
    }

    #[test]
    fn a_client_that_sends_without_end_has_so_many_under_way_and_no_more() {
        let operator = Slow { wanted: UNDER_WAY, ..Slow::default() };
        assert_eq!(played(&operator, 10 * UNDER_WAY, "echo").len(), 10 * UNDER_WAY);
        let most = operator.most.load(Ordering::SeqCst);
        // One is being answered, and one waits for its place.
        assert!((UNDER_WAY..=UNDER_WAY + 2).contains(&most), "{most} were under way");
    }

    #[test]
    fn an_answer_that_panics_ends_the_connection() {
        assert_eq!(played(&Slow::default(), 3, "panic"), Vec::<Value>::new());
    }
}
