#![allow(clippy::unwrap_used)]
use super::super::answer::Tell;
use super::super::limits::{ANSWER_AT_ONCE, UNDER_WAY};
use super::*;
use serde_json::json;
use std::io::{BufRead, BufReader};
use tallyho_plugin::Manifest;

/// Its answers come once so many commands have been begun: the latest first, from another thread.
#[derive(Default)]
struct Slow {
    wanted: usize,
    begun: Mutex<Vec<(Value, Tell)>>,
    /// How many have been under way at once.
    most: Mutex<usize>,
}

impl Operator for Slow {
    fn manifests(&self) -> Vec<Manifest> {
        Vec::new()
    }
    fn call(&self, _: &str, _: &str, _: &Value) -> Result<Value, Fault> {
        Err(Fault::failed("called instead of begun"))
    }
    fn begin(&self, _: &str, command: &str, argument: &Value, tell: Tell) {
        if command == "forget" {
            return;
        }
        let mut begun = self.begun.lock().unwrap();
        begun.push((argument.clone(), tell));
        let mut most = self.most.lock().unwrap();
        *most = (*most).max(begun.len());
        if begun.len() == self.wanted {
            let all = std::mem::take(&mut *begun);
            thread::spawn(move || {
                for (argument, tell) in all.into_iter().rev() {
                    tell(Answer::Read(Ok(argument)));
                }
            });
        }
    }
    fn watch(&self, _: usize) -> Feed {
        super::super::feed().1
    }
}

/// Sends these commands at once, then reads the answers until the connection ends.
fn played(operator: &dyn Operator, commands: usize, name: &str) -> Vec<Value> {
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

fn echoed(commands: usize) -> Vec<Value> {
    (0..commands).map(|id| json!({"id": id, "ok": id})).collect()
}

#[test]
fn commands_sent_together_are_under_way_together_and_answered_in_order() {
    let operator = Slow { wanted: 20, ..Slow::default() };
    assert_eq!(played(&operator, 20, "echo"), echoed(20));
    let alone = Slow { wanted: 1, ..Slow::default() };
    assert_eq!(played(&alone, 200, "echo"), echoed(200));
}

#[test]
fn a_client_that_sends_without_end_has_so_many_under_way_and_no_more() {
    let operator = Slow { wanted: UNDER_WAY, ..Slow::default() };
    assert_eq!(played(&operator, 10 * UNDER_WAY, "echo"), echoed(10 * UNDER_WAY));
    assert_eq!(*operator.most.lock().unwrap(), UNDER_WAY);
    // Were one more let in, this would end, and say so.
    let operator = Slow { wanted: UNDER_WAY + 1, ..Slow::default() };
    let (site, client) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        let serving = scope.spawn(|| serve(site, &Greeting::of("a"), &operator));
        let mut writing = &client;
        let line = |id| format!("{}\n", json!({"id": id, "do": "call", "plugin": "p", "command": "echo"}));
        writing.write_all((0..UNDER_WAY + 1).map(line).collect::<String>().as_bytes()).unwrap();
        while operator.begun.lock().unwrap().len() < UNDER_WAY {
            thread::yield_now();
        }
        client.shutdown(Shutdown::Write).unwrap();
        // They are given up, as by a ledger that stops.
        drop(std::mem::take(&mut *operator.begun.lock().unwrap()));
        let refused = BufReader::new(&client).lines().skip(1).take(UNDER_WAY);
        assert!(refused.map(Result::unwrap).all(|line| line.contains("the site is stopping")));
        while operator.begun.lock().unwrap().is_empty() {
            thread::yield_now();
        }
        operator.begun.lock().unwrap().clear();
        serving.join().unwrap();
    });
    assert_eq!(*operator.most.lock().unwrap(), UNDER_WAY);
}

#[test]
fn a_command_that_is_forgotten_is_answered_all_the_same() {
    let told = played(&Slow::default(), 3, "forget");
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|answer| answer["error"]["code"] == "stopping"), "{told:?}");
}

/// Answers each command with so many bytes, on the thread that begins it.
struct Large(usize);

impl Operator for Large {
    fn manifests(&self) -> Vec<Manifest> {
        Vec::new()
    }
    fn call(&self, _: &str, _: &str, argument: &Value) -> Result<Value, Fault> {
        Ok(json!([argument, "x".repeat(self.0)]))
    }
    fn watch(&self, _: usize) -> Feed {
        super::super::feed().1
    }
}

#[test]
fn what_the_socket_does_not_take_at_once_comes_whole_and_in_order_when_it_is_read() {
    for size in [ANSWER_AT_ONCE, 100_000, 2_000_000] {
        let (site, client) = UnixStream::pair().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| serve(site, &Greeting::of("a"), &Large(size)));
            let (mut writing, mut reading) = (&client, BufReader::new(&client).lines().skip(1));
            for round in 0..3 {
                // One alone is written at once, as far as that goes; those after it wait for their turn.
                for id in 0..3 {
                    let argument = json!(3 * round + id);
                    let line =
                        json!({"id": argument, "do": "call", "plugin": "p", "command": "c", "argument": argument});
                    writing.write_all(format!("{line}\n").as_bytes()).unwrap();
                }
                for id in 0..3 {
                    let answer: Value = serde_json::from_str(&reading.next().unwrap().unwrap()).unwrap();
                    assert_eq!((&answer["id"], &answer["ok"][0]), (&json!(3 * round + id), &json!(3 * round + id)));
                    assert_eq!(answer["ok"][1].as_str().map(str::len), Some(size));
                }
            }
            client.shutdown(Shutdown::Both).unwrap();
        });
    }
}
