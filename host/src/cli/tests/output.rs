//! What goes to standard output, and what does not.
#![allow(clippy::unwrap_used)]

use super::*;

use std::fs;
use std::io::{self, Write};

#[test]
fn with_json_standard_output_holds_exactly_one_value() {
    let program = Program::default();
    for line in [
        "init",
        "doctor",
        "plugin check good.so",
        "plugin check bad.so",
        "keys export f",
        "keys import f",
        "user list",
        "tally show u",
        "call tally hidden",
        "plugin list",
        "completions bash",
        "status",
    ] {
        let words: Vec<&str> = line.split(' ').chain(["--json"]).collect();
        let ran = running(&program, &words);
        let (first, rest) = ran.out.split_once('\n').unwrap();
        serde_json::from_str::<Value>(first).unwrap_or_else(|error| panic!("{line}: {error}: {ran:?}"));
        assert_eq!((rest, ran.err.as_str()), ("", ""), "{line}");
    }
}

#[test]
fn a_ticket_and_an_invoice_are_shown_as_qr_code_to_a_person_only() {
    let home = tempfile::tempdir().unwrap();
    for (kind, link, line) in [
        ("ticket.new", "https://mychips.org/invite?token=t", ["ticket", "new", "--user", "alice"]),
        ("invoice.new", "https://mychips.org/pay?chad=c", ["invoice", "new", "--user", "alice"]),
    ] {
        let program = with(Site::default().answers(kind, vec![Ok(json!({"link": link}))]));
        let shown = run_in(home.path(), &program, true, &line).out;
        assert_eq!(shown, format!("link: {link}\n\nQR<{link}>\n"));
        assert!(!run_in(home.path(), &program, false, &line).out.contains("QR"));
        let json = [&line[..], &["--json"]].concat();
        assert!(!run_in(home.path(), &program, true, &json).out.contains("QR"));
    }
    let program = with(Site::default().answers("show", vec![Ok(json!({"link": "https://l"}))]));
    assert!(!run_in(home.path(), &program, true, &["tally", "show", "u"]).out.contains("QR"));
}

#[test]
fn a_watch_prints_a_notice_a_line_until_the_site_ends_it() {
    let program = Program::default();
    *program.site.recent.lock().unwrap() = vec![json!({"user": "alice", "n": 1}), json!({"user": "bob", "n": 2})];
    let ran = running(&program, &["watch", "--recent", "2", "--json"]);
    assert_eq!(ran.out, "{\"n\":1,\"user\":\"alice\"}\n{\"n\":2,\"user\":\"bob\"}\n");
    assert_eq!(ran.code, 1, "not stopped by the person, so something is wrong: {}", ran.err);
    assert_eq!(running(&program, &["watch", "--recent", "2"]).out, "user=alice  n=1\nuser=bob  n=2\n");
}

/// An output that nobody reads, or that is full.
struct Shut(io::ErrorKind);

impl Write for Shut {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_nobody_reads_is_no_error_and_a_full_one_is() {
    let program = Program::default();
    *program.site.recent.lock().unwrap() = vec![json!({}); 3];
    let home = tempfile::tempdir().unwrap();
    let _server = Server::start(&home.path().join("control.sock"), "c0rN", program.site.clone()).unwrap();
    for line in [&["tally", "list"][..], &["--help"], &["watch", "--recent", "3"], &["init"], &["run"]] {
        let args: Vec<OsString> = std::iter::once("tallyho").chain(line.iter().copied()).map(OsString::from).collect();
        let run_to = |kind| {
            let (mut out, mut err) = (Shut(kind), Vec::new());
            let mut console = Console { out: &mut out, err: &mut err, terminal: false, home: Some(home.path().into()) };
            (run(&args, &mut console, &program), String::from_utf8(err).unwrap())
        };
        assert_eq!(run_to(io::ErrorKind::BrokenPipe), (0, String::new()), "{line:?}");
        let (code, err) = run_to(io::ErrorKind::StorageFull);
        if line != ["run"] {
            assert_eq!(code, 1, "{line:?}");
            assert!(err.contains("standard output"), "{line:?}: {err}");
        }
    }
}

#[test]
fn run_tells_in_one_line_that_it_is_ready() {
    let program = Program::default();
    let line = [
        "run",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--plugins",
        "p",
        "--plugin",
        "tally",
        "--plugin",
        "./own.so",
        "--watch",
    ];
    let ran = at_rest(&program, &line);
    assert_eq!(
        serde_json::from_str::<Value>(&ran.out).unwrap(),
        json!({"ready": true, "agent": "c0rN", "listen": "127.0.0.1:41234"})
    );
    let expected = RunOptions {
        listen: Some("127.0.0.1:0".into()),
        plugins: Some("p".into()),
        plugin: vec!["tally".into(), "./own.so".into()],
        watch: true,
    };
    assert_eq!(program.asked_to_run.lock().unwrap().take(), Some(expected));
    let ran = at_rest(&program, &["run"]);
    assert_eq!(ran.out, "site c0rN listens on 127.0.0.1:41234; Ctrl-C stops it\n");
    assert_eq!(program.asked_to_run.lock().unwrap().take(), Some(RunOptions::default()));
}

#[test]
fn the_exit_code_of_a_check_is_its_verdict() {
    let bad =
        json!({"ok": false, "checks": [{"name": "keys", "ok": false, "detail": "0755", "fix": "chmod 700 keys"}]});
    let program = Program { doctor: Some(bad.clone()), ..Program::default() };
    let ran = at_rest(&program, &["doctor", "--json"]);
    assert_eq!((ran.code, serde_json::from_str::<Value>(&ran.out).unwrap()), (1, bad));
    assert_eq!(at_rest(&program, &["doctor"]).out, "✗ keys  0755\n  fix: chmod 700 keys\n1 check failed\n");
    assert_eq!(at_rest(&Program::default(), &["doctor"]).code, 0);
    assert_eq!(at_rest(&program, &["plugin", "check", "good.so"]).code, 0);
    assert_eq!(at_rest(&program, &["plugin", "check", "bad.so"]).code, 1);
}

#[test]
fn a_passphrase_comes_from_a_descriptor_and_a_missing_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("passphrase");
    fs::write(&path, "correct horse\n").unwrap();
    let file = fs::File::open(&path).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&file).to_string();
    let program = Program::default();
    let ran = at_rest(&program, &["keys", "export", "out", "--passphrase-fd", &number, "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["passphrase"], "correct horse\n");
    for words in [["keys", "import"].as_slice(), &["backup"], &["restore"]] {
        let ran = at_rest(&program, &[words, &["out", "--passphrase-fd", "9999"]].concat());
        assert_eq!(ran.code, 2);
        assert!(ran.err.contains("--passphrase-fd 9999"), "{}", ran.err);
    }
    let ran = at_rest(&program, &["restore", "in", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["made"], "in");
}

#[test]
fn completions_know_the_declared_commands_when_a_site_can_be_asked() {
    let program = Program::default();
    assert!(running(&program, &["completions", "bash"]).out.contains("withdraw"));
    let without = at_rest(&Program { homeless: true, ..Program::default() }, &["completions", "bash"]);
    assert!(without.out.contains("doctor") && !without.out.contains("withdraw"));
}

#[test]
fn rules_that_were_broken_are_told_with_what_to_do_and_fail_the_command() {
    let ran = at_rest(&Program::default(), &["plugin", "test", "bad.so"]);
    assert_eq!(ran.code, 1);
    let expected = [
        "✓ loads",
        "✗ no-panic: never panics",
        "  command add: null: panic: \\u{1b}[2J",
        "  and 2 more",
        "  fix: mend it",
        "a call takes 1.2 µs (median), 30.0 µs (99 in a hundred)",
        "tally 1 breaks 1 rule",
    ];
    assert_eq!(ran.out.lines().collect::<Vec<_>>(), expected, "{ran:?}");
    let ran = at_rest(&Program::default(), &["plugin", "test", "good.so"]);
    assert_eq!((ran.code, ran.out.lines().last()), (0, Some("tally 1 keeps every rule, in 5 cases")));
}

#[test]
fn a_new_plugin_is_made_here_unless_told_otherwise() {
    let ran = at_rest(&Program::default(), &["plugin", "new", "notes", "--json"]);
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(answer, json!({"name": "notes", "kind": "Handler", "folder": "."}));
    let ran = at_rest(&Program::default(), &["plugin", "new", "notes", "--kind", "oracle"]);
    assert_eq!(ran.code, 2);
}
