//! Resident memory of an idle connection: a site in a process of its own, its callers in another, each
//! caller another agent. The difference before and after, divided by the connections.

use crate::client::dial;
use crate::figures::{Effort, Wanted, line};
use crate::noop::NoStore;
use crate::responder::{peer, responder};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;
use tallyho::wire::Extensions;
use tallyho_plugin::record::Chad;

const SITE: &str = "--as-idle-site";
const CALLERS: &str = "--as-idle-callers";

/// Files of a process beside its connections.
const FILES: u64 = 64;

pub fn measure(effort: Effort) {
    let connections: u64 = effort.choose(50, 10_000);
    let runs = effort.choose(1, 3);
    let mut bytes = Vec::new();
    for _ in 0..runs {
        bytes.push(once(connections));
    }
    let bytes = crate::figures::median(bytes);
    let figure = format!("{bytes:.0} B");
    line(
        effort,
        "memory, idle connection",
        &figure,
        &format!("{connections} connections"),
        bytes,
        Wanted::AtMost(8_192.0),
    );
}

fn once(connections: u64) -> f64 {
    let mut site = role(&[SITE, &connections.to_string()]);
    let mut output = BufReader::new(site.stdout.take().expect("its output is piped"));
    let mut line = String::new();
    output.read_line(&mut line).expect("the site tells");
    let bytes = line.trim().parse().unwrap_or_else(|_| panic!("the site tells no number: {line}"));
    assert!(site.wait().expect("the site ends").success());
    bytes
}

/// Plays one of the two parts, if it is one; whether it was.
pub fn play(role: &str, rest: &[&str]) -> bool {
    match (role, rest) {
        (SITE, [connections]) => idle_site(connections.parse().expect("a number")),
        (CALLERS, [connections, port]) => {
            callers(connections.parse().expect("a number"), port.parse().expect("a number"));
        }
        _ => return false,
    }
    true
}

fn role(words: &[&str]) -> Child {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("this program runs")
}

/// The site: prints the bytes that each connection took.
fn idle_site(connections: u64) {
    more_files(connections);
    let number = u32::try_from(connections).expect("not so many");
    let site = responder(Box::new(NoStore), (0..=number).map(|number| peer(number).agent().clone()));
    // The first connection starts threads and fills caches that are not its own.
    let first = dial(&peer(number), &site.own, Extensions::ALL);
    let before = settled();
    let port = site.own.port.expect("it listens").to_string();
    let mut callers = role(&[CALLERS, &connections.to_string(), &port]);
    let mut output = BufReader::new(callers.stdout.take().expect("its output is piped"));
    output.read_line(&mut String::new()).expect("the callers tell when all are connected");
    let open = site.net.channels().all().len() as u64;
    assert_eq!(open, connections + 1, "all are connected");
    let after = settled();
    println!("{:.0}", (after - before) / connections as f64);
    drop((callers.stdin.take(), first));
    assert!(callers.wait().expect("the callers end").success());
}

/// The callers: connect, say so, and hold on until standard input ends.
fn callers(connections: u64, port: u16) {
    more_files(connections);
    let to = Chad::agent(crate::responder::identity().agent().clone()).at("127.0.0.1", port);
    let number = u32::try_from(connections).expect("not so many");
    let held: Vec<_> = (0..number).map(|number| dial(&peer(number), &to, Extensions::ALL)).collect();
    println!("connected");
    std::io::stdout().flush().expect("the site reads");
    let _ = std::io::stdin().read_line(&mut String::new());
    drop(held);
}

/// Resident bytes of this process, once they no longer change.
fn settled() -> f64 {
    let mut last = resident();
    let mut same = 0;
    while same < 8 {
        thread::sleep(Duration::from_millis(250));
        let now = resident();
        same = if (now - last).abs() < 65_536.0 { same + 1 } else { 0 };
        last = now;
    }
    last
}

fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the system is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it tells resident memory");
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse().expect("in KiB");
    kib * 1_024.0
}

fn more_files(connections: u64) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = connections + FILES;
    if limit.current.is_some_and(|current| current < wanted) {
        let limit = Rlimit { current: Some(wanted), ..limit };
        setrlimit(Resource::Nofile, limit)
            .unwrap_or_else(|error| panic!("{wanted} open files are needed (ulimit -Hn): {error}"));
    }
}
