//! Client and server over real sockets.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;
use tallyho_plugin::{Fault, Manifest};

use super::limits::{CLIENTS, NOTICES_QUEUED, REQUEST_BYTES};
use super::{Client, ControlError, Feed, Feeder, Operator, Server, feed, host};

/// A site that does what a test tells it.
#[derive(Default)]
struct Site {
    watchers: Mutex<Vec<Feeder>>,
    /// `meet` returns when so many calls of it run at once.
    meeting: Option<Barrier>,
    /// `hang` tells here that it runs, then waits for `go`.
    hanging: Mutex<Option<(Sender<()>, Receiver<()>)>>,
    done: Mutex<Vec<String>>,
}

impl Site {
    fn tell(&self, notice: &Value) {
        self.watchers.lock().unwrap().retain(|watcher| watcher.push(notice.clone()));
    }
}

impl Operator for Site {
    fn manifests(&self) -> Vec<Manifest> {
        vec![host::manifest()]
    }

    fn call(&self, plugin: &str, command: &str, argument: &Value) -> Result<Value, Fault> {
        match command {
            "echo" => Ok(json!([plugin, argument])),
            "meet" => Ok(json!(self.meeting.as_ref().unwrap().wait().is_leader())),
            "hang" => {
                let (running, go) = self.hanging.lock().unwrap().take().unwrap();
                running.send(()).unwrap();
                go.recv().unwrap();
                self.done.lock().unwrap().push("hang".into());
                Ok(json!("done"))
            }
            "panic" => panic!("asked to"),
            other => Err(Fault::not_found(format!("no command {other}")).code("no-such-command").fix("see --help")),
        }
    }

    fn watch(&self, recent: usize) -> Feed {
        let (feeder, feed) = feed();
        for number in 0..recent {
            feeder.push(json!({"recent": number}));
        }
        self.watchers.lock().unwrap().push(feeder);
        feed
    }
}

struct Stage {
    _folder: tempfile::TempDir,
    path: PathBuf,
    site: Arc<Site>,
    server: Option<Server>,
}

fn stage(site: Site) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let site = Arc::new(site);
    let server = Some(Server::start(&path, "agent-of-a", site.clone()).unwrap());
    Stage { _folder: folder, path, site, server }
}

/// A connection without the client's care: the greeting is taken, the rest is up to the test.
struct Raw {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

fn raw(path: &Path) -> Raw {
    let stream = UnixStream::connect(path).unwrap();
    let mut raw = Raw { lines: BufReader::new(stream.try_clone().unwrap()), stream };
    assert_eq!(raw.read()["tallyho"], 1);
    raw
}

impl Raw {
    fn send(&mut self, line: &str) {
        self.stream.write_all(line.as_bytes()).unwrap();
        self.stream.write_all(b"\n").unwrap();
    }

    fn read(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn at_end(&mut self) -> bool {
        matches!(self.lines.read_line(&mut String::new()), Ok(0) | Err(_))
    }
}

#[test]
fn a_site_greets_with_its_agent_version_and_process() {
    let stage = stage(Site::default());
    let client = Client::connect(&stage.path).unwrap();
    let greeting = client.greeting();
    assert_eq!((greeting.agent.as_str(), greeting.pid), ("agent-of-a", std::process::id()));
    assert_eq!(greeting.version, env!("CARGO_PKG_VERSION"));
}

#[test]
fn manifests_and_answers_and_faults_arrive_whole() {
    let stage = stage(Site::default());
    let client = Client::connect(&stage.path).unwrap();
    assert_eq!(client.ask_manifests().unwrap(), vec![host::manifest()]);
    let argument = json!({"text": "line\nbreak \u{1F600}", "n": -5});
    assert_eq!(client.call("tally", "echo", &argument).unwrap(), json!(["tally", argument]));
    let fault = client.call("tally", "dance", &json!({})).unwrap_err();
    assert_eq!(fault, Fault::not_found("no command dance").code("no-such-command").fix("see --help"));
}

#[test]
fn several_clients_are_served_at_once() {
    let stage = stage(Site { meeting: Some(Barrier::new(5)), ..Site::default() });
    // No call returns before all five run: served one after another they would never end.
    thread::scope(|scope| {
        let calls: Vec<_> = (0..5)
            .map(|_| scope.spawn(|| Client::connect(&stage.path).unwrap().call("host", "meet", &json!({})).unwrap()))
            .collect();
        let leaders = calls.into_iter().map(|call| call.join().unwrap()).filter(|leads| *leads == true);
        assert_eq!(leaders.count(), 1);
    });
}

#[test]
fn more_clients_than_there_are_places_are_told_so_and_a_place_given_up_is_free_again() {
    let stage = stage(Site::default());
    let mut all: Vec<_> = (0..CLIENTS).map(|_| Client::connect(&stage.path).unwrap()).collect();
    let fault = Client::connect(&stage.path).unwrap().call("host", "echo", &json!({})).unwrap_err();
    assert_eq!(fault.code, "busy", "{fault}");
    all.pop();
    // The place is free once the server has seen the end; until then the refusal is the same one.
    loop {
        match Client::connect(&stage.path).unwrap().call("host", "echo", &json!({})) {
            Ok(_) => break,
            Err(fault) => assert_eq!(fault.code, "busy"),
        }
    }
}

#[test]
fn garbage_is_answered_and_the_connection_goes_on() {
    let stage = stage(Site::default());
    let mut raw = raw(&stage.path);
    raw.send("\u{0}\u{1}{{{ no json");
    let answer = raw.read();
    assert_eq!((&answer["id"], answer["error"]["kind"].as_str()), (&Value::Null, Some("usage")));
    raw.stream.write_all(b"\xff\xfe\n").unwrap();
    assert!(raw.read()["error"]["text"].is_string());
    raw.send(r#"{"id":"x","do":"call","plugin":"p","command":"echo"}"#);
    assert_eq!(raw.read(), json!({"id": "x", "ok": ["p", {}]}));
}

#[test]
fn an_over_long_line_is_told_and_ends_the_connection_only() {
    let stage = stage(Site::default());
    let mut long = raw(&stage.path);
    long.stream.write_all(&vec![b' '; REQUEST_BYTES + 1]).unwrap();
    assert!(long.read()["error"]["text"].as_str().unwrap().contains("longer"), "told before the line ended");
    assert!(long.at_end());
    let client = Client::connect(&stage.path).unwrap();
    let fault = client.call("host", "echo", &json!("x".repeat(REQUEST_BYTES))).unwrap_err();
    assert_eq!(fault.kind, tallyho_plugin::FaultKind::Usage);
    client.call("host", "echo", &json!("x".repeat(REQUEST_BYTES / 2))).unwrap();
}

#[test]
fn a_command_goes_on_when_its_client_vanishes() {
    let (running, runs) = channel();
    let (go, gone) = channel();
    let stage = stage(Site { hanging: Mutex::new(Some((running, gone))), ..Site::default() });
    let mut raw = raw(&stage.path);
    raw.send(r#"{"id":1,"do":"call","plugin":"host","command":"hang"}"#);
    runs.recv().unwrap();
    drop(raw);
    go.send(()).unwrap();
    let client = Client::connect(&stage.path).unwrap();
    client.call("host", "echo", &json!({})).unwrap();
    stage.server.unwrap().stop(); // waits for what runs
    assert_eq!(*stage.site.done.lock().unwrap(), ["hang"]);
}

#[test]
fn a_panic_in_a_command_costs_its_own_connection_only() {
    let stage = stage(Site::default());
    let client = Client::connect(&stage.path).unwrap();
    assert_eq!(client.call("host", "panic", &json!({})).unwrap_err().code, "closed");
    client.call("host", "echo", &json!({})).expect("the client connects anew");
}

#[test]
fn a_command_under_way_is_answered_before_the_server_stops() {
    let (running, runs) = channel();
    let (go, gone) = channel();
    let mut stage = stage(Site { hanging: Mutex::new(Some((running, gone))), ..Site::default() });
    let client = Client::connect(&stage.path).unwrap();
    thread::scope(|scope| {
        let call = scope.spawn(|| client.call("host", "hang", &json!({})));
        runs.recv().unwrap();
        let server = stage.server.take().unwrap();
        let stopping = scope.spawn(|| server.stop());
        while stage.path.exists() {
            thread::yield_now(); // stopping has begun when the socket file has gone
        }
        go.send(()).unwrap();
        assert_eq!(call.join().unwrap().unwrap(), json!("done"));
        stopping.join().unwrap();
    });
    assert!(matches!(Client::connect(&stage.path), Err(ControlError::NotRunning { .. })));
}

#[test]
fn a_watch_has_the_recent_notices_first_and_then_the_new_ones() {
    let stage = stage(Site::default());
    let client = Client::connect(&stage.path).unwrap();
    let mut notices = client.notices(2).unwrap();
    stage.site.tell(&json!({"new": 1}));
    let mut next = || notices.next(None).unwrap().unwrap();
    assert_eq!([next(), next(), next()], [json!({"recent": 0}), json!({"recent": 1}), json!({"new": 1})]);
    assert_eq!(notices.next(Some(Duration::from_millis(1))).unwrap(), None);
    let through_operator = client.watch(1);
    assert_eq!(through_operator.next(Duration::MAX), Ok(json!({"recent": 0})));
}

#[test]
fn a_watch_ends_when_the_server_stops() {
    let mut stage = stage(Site::default());
    let mut notices = Client::connect(&stage.path).unwrap().notices(0).unwrap();
    stage.server.take().unwrap().stop();
    assert!(matches!(notices.next(None), Err(ControlError::Closed { .. })));
}

#[test]
fn a_watcher_that_does_not_read_holds_up_nobody_and_learns_how_much_it_lost() {
    let stage = stage(Site::default());
    let mut slow = raw(&stage.path);
    slow.send(r#"{"id":1,"do":"watch"}"#);
    assert_eq!(slow.read(), json!({"id": 1, "ok": null}));
    // Far more than the kernel's buffers (some 200 kB) and the queue hold together.
    let filler = "x".repeat(4096);
    let all = 10 * NOTICES_QUEUED as u64;
    for number in 0..all {
        stage.site.tell(&json!({"number": number, "filler": filler}));
    }
    stage.site.tell(&json!({"last": true}));
    Client::connect(&stage.path).unwrap().call("host", "echo", &json!({})).unwrap();
    // Every notice is either read or counted as lost, in order.
    let (mut next, mut lost) = (0, 0);
    loop {
        let notice = slow.read()["notice"].take();
        if notice["last"] == true {
            break;
        } else if let Some(count) = notice["lost"].as_u64() {
            lost += count;
            next += count;
        } else {
            assert_eq!(notice["number"], next);
            next += 1;
        }
    }
    assert_eq!(next, all);
    assert!(lost > 0, "the queue is bounded");
}

#[test]
fn a_second_watch_on_one_connection_is_refused() {
    let stage = stage(Site::default());
    let mut raw = raw(&stage.path);
    raw.send(r#"{"id":1,"do":"watch"}"#);
    raw.send(r#"{"id":2,"do":"watch"}"#);
    assert_eq!(raw.read()["id"], 1);
    assert_eq!(raw.read()["error"]["kind"], "usage");
}

#[test]
fn nobody_else_can_connect_and_nothing_else_is_left_in_the_folder() {
    let mut stage = stage(Site::default());
    assert_eq!(fs::symlink_metadata(&stage.path).unwrap().permissions().mode() & 0o7777, 0o600);
    let names = || -> HashSet<_> {
        fs::read_dir(stage.path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    assert_eq!(names(), HashSet::from(["control.sock".into()]));
    stage.server.take().unwrap().stop();
    assert_eq!(names(), HashSet::new());
}

#[test]
fn a_living_hosts_socket_is_not_taken_and_its_process_is_named() {
    let stage = stage(Site::default());
    let error = Server::start(&stage.path, "b", Arc::new(Site::default())).unwrap_err();
    assert!(matches!(error, ControlError::Live { pid, .. } if pid == std::process::id()), "{error}");
    Client::connect(&stage.path).unwrap().call("host", "echo", &json!({})).unwrap();
}

#[test]
fn a_killed_hosts_socket_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    // A socket file that nobody listens at, as a killed process leaves it.
    let mode = rustix::fs::Mode::from_bits_retain(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Socket, mode, 0).unwrap();
    assert!(matches!(Client::connect(&path), Err(ControlError::NotRunning { .. })));
    let _server = Server::start(&path, "b", Arc::new(Site::default())).unwrap();
    assert_eq!(Client::connect(&path).unwrap().greeting().agent, "b");
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    fs::write(&path, "mine").unwrap();
    let error = Server::start(&path, "b", Arc::new(Site::default())).unwrap_err();
    assert!(matches!(error, ControlError::NoSocket { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}

#[test]
fn a_stopping_host_leaves_its_successors_socket_alone() {
    let mut first = stage(Site::default());
    fs::remove_file(&first.path).unwrap();
    let _second = Server::start(&first.path, "second", Arc::new(Site::default())).unwrap();
    first.server.take().unwrap().stop();
    assert_eq!(Client::connect(&first.path).unwrap().greeting().agent, "second");
}

#[test]
fn a_home_with_a_path_longer_than_a_socket_address_works() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a".repeat(120)).join("b".repeat(120));
    fs::create_dir_all(&deep).unwrap();
    let path = deep.join("control.sock");
    let _server = Server::start(&path, "deep", Arc::new(Site::default())).unwrap();
    assert_eq!(Client::connect(&path).unwrap().greeting().agent, "deep");
}

#[test]
fn where_no_site_runs_the_error_names_the_socket_and_what_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let fault = Fault::from(Client::connect(&path).unwrap_err());
    assert!(fault.text.contains(path.to_str().unwrap()), "{fault}");
    assert!(fault.fix.unwrap().contains("tallyho run"));
}

/// Something that greets in its own way, once.
fn greets_with(greeting: &'static str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || listener.accept().unwrap().0.write_all(greeting.as_bytes()).unwrap());
    (folder, path)
}

#[test]
fn a_site_of_another_protocol_version_is_refused_and_both_versions_are_named() {
    let (_folder, path) = greets_with("{\"tallyho\":2,\"all\":\"else differs\"}\n");
    let error = Client::connect(&path).unwrap_err();
    assert!(matches!(error, ControlError::Version { found: 2, known: 1, .. }), "{error}");
}

#[test]
fn something_that_is_no_site_is_called_that() {
    for greeting in ["SSH-2.0-OpenSSH_9.6\n", "{\"hello\":1}\n", "{\"tallyho\":1}\n"] {
        let (_folder, path) = greets_with(greeting);
        let error = Client::connect(&path).unwrap_err();
        assert!(matches!(error, ControlError::Garbled { .. }), "{greeting}: {error}");
    }
}

#[test]
fn a_site_that_does_not_answer_in_time_is_given_up_and_the_next_call_is_not_confused() {
    let (running, runs) = channel();
    let (go, gone) = channel();
    let stage = stage(Site { hanging: Mutex::new(Some((running, gone))), ..Site::default() });
    let client = Client::connect(&stage.path).unwrap().patience(Duration::from_millis(20));
    let fault = client.call("host", "hang", &json!({})).unwrap_err();
    assert_eq!(fault.code, "timeout", "{fault}");
    runs.recv().unwrap();
    go.send(()).unwrap();
    let client = client.patience(Duration::from_secs(60));
    assert_eq!(client.call("p", "echo", &json!(1)).unwrap(), json!(["p", 1]));
}
