//! What is understood, what is refused, and how it is told.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn every_fixed_word_of_the_command_line_is_understood_and_reaches_its_command() {
    let program = Program::default();
    let cases: &[(&str, &str, &str, Value)] = &[
        ("status", "host", "status", json!({})),
        (
            "user add alice --name Alice --key ed25519 --public {\"kty\":\"OKP\"}",
            "host",
            "user.add",
            json!({"cuid": "alice", "name": "Alice", "key": "ed25519", "public": {"kty": "OKP"}}),
        ),
        ("user add bob", "host", "user.add", json!({"cuid": "bob", "key": "p521"})),
        ("user list", "host", "user.list", json!({})),
        (
            "ticket new --user alice --side foil --expires 1h --reuse --limit bob:x --terms {\"a\":1} --memo m --agree t",
            "tally",
            "ticket.new",
            json!({"user": "alice", "side": "foil", "expires": 3_600_000, "reuse": true, "limit": "bob:x",
            "terms": {"a": 1}, "memo": "m", "agree": "t"}),
        ),
        ("ticket list", "tally", "ticket.list", json!({})),
        ("ticket revoke tok", "tally", "ticket.revoke", json!({"token": "tok"})),
        ("tally list --user alice", "tally", "list", json!({"user": "alice"})),
        ("tally show u", "tally", "show", json!({"uuid": "u"})),
        ("tally edit u", "tally", "edit", json!({"uuid": "u"})),
        ("tally offer u", "tally", "offer", json!({"uuid": "u"})),
        ("tally accept u", "tally", "accept", json!({"uuid": "u"})),
        ("tally revise u", "tally", "revise", json!({"uuid": "u"})),
        ("tally refuse u", "tally", "refuse", json!({"uuid": "u"})),
        ("tally withdraw u", "tally", "withdraw", json!({"uuid": "u"})),
        ("tally close u", "tally", "close", json!({"uuid": "u"})),
        ("tally resend u", "tally", "resend", json!({"uuid": "u"})),
        ("peer list", "host", "peer.list", json!({})),
        (
            "peer set agent --host h.example --port 65430 --compat mychips-js",
            "host",
            "peer.set",
            json!({"agent": "agent", "host": "h.example", "port": 65430, "compat": "mychips-js"}),
        ),
        ("ban list", "host", "ban.list", json!({})),
        ("ban clear 192.0.2.7", "host", "ban.clear", json!({"addr": "192.0.2.7"})),
        ("plugin list", "host", "plugin.list", json!({})),
        ("call tally hidden {\"a\":[1]}", "tally", "hidden", json!({"a": [1]})),
        ("call host status", "host", "status", json!({})),
    ];
    for (line, plugin, command, argument) in cases {
        let words: Vec<&str> = line.split(' ').collect();
        let ran = running(&program, &words);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        let asked = program.site.asked().pop().unwrap();
        assert_eq!(asked, (plugin.to_string(), command.to_string(), argument.clone()), "{line}");
    }
    let accepted = Program { site: Arc::new(waiting_site(json!({"uuid": "u"}), &["accepted"])), ..Program::default() };
    assert_eq!(running(&accepted, &["ticket", "use", "chip://x", "--user", "bob"]).code, 0);
    for line in [
        "init",
        "run",
        "run --listen [::1]:0 --plugins dir --plugin tally --plugin ./x.so",
        "doctor",
        "plugin check good.so",
        "plugin new notes",
        "plugin new notes --kind referee --dir d",
        "plugin test good.so --seconds 9",
        "keys export f",
        "keys import f",
        "completions bash",
        "completions zsh",
        "completions fish",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(at_rest(&program, &words).code, 0, "{line}");
    }
}

#[test]
fn while_no_site_runs_a_command_is_carried_out_in_this_process() {
    let program = Program::default();
    let ran = at_rest(&program, &["tally", "list", "--json"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "{\"did\":\"list\"}\n"));
    assert_eq!(at_rest(&program, &["call", "tally", "hidden"]).code, 0);
}

#[test]
fn an_error_leaves_standard_output_empty_and_is_an_object_on_standard_error_with_json() {
    let fault = Fault::refused("no such state").code("ISR").fix("look\nagain");
    let program = with(Site::default().answers("offer", vec![Err(fault)]));
    let ran = running(&program, &["tally", "offer", "u", "--json"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    let told: Value = serde_json::from_str(&ran.err).unwrap();
    let expected = json!({"error": {"kind": "refused", "code": "ISR", "text": "no such state", "fix": "look\nagain"}});
    assert_eq!(told, expected);
    let ran = running(&program, &["tally", "offer", "u"]);
    assert_eq!(ran.err, "error: no such state\nfix: look\nfix: again\n");
    let ran = running(&program, &["--json", "tally", "offer"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert_eq!(serde_json::from_str::<Value>(&ran.err).unwrap()["error"]["kind"], "usage");
    let ran = running(&program, &["--json"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert_eq!(serde_json::from_str::<Value>(&ran.err).unwrap()["error"]["code"], "usage");
}

#[test]
fn exit_codes_tell_wrong_use_from_what_could_not_be_done() {
    let of = |kind| with(Site::default().answers("list", vec![Err(Fault::new(kind, "x"))]));
    for (kind, code) in [
        (FaultKind::Usage, 2),
        (FaultKind::Refused, 1),
        (FaultKind::NotFound, 1),
        (FaultKind::Failed, 1),
        (FaultKind::Host, 1),
    ] {
        assert_eq!(running(&of(kind), &["tally", "list"]).code, code, "{kind:?}");
    }
    let program = Program::default();
    for line in [
        "",
        "dance",
        "tally",
        "tally dance",
        "tally show",
        "tally show a b",
        "ticket new",
        "ticket new --user",
        "run --look",
        "ticket new --user a --expires soon",
        "call tally x {",
        "completions tcsh2",
        "watch --recent x",
        "run --listen here",
        "user add a --key rsa",
        "tally list --wait open",
    ] {
        let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let ran = running(&program, &words);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{line}: {ran:?}");
        assert!(!ran.err.is_empty(), "{line}");
    }
}

#[test]
fn a_value_that_does_not_fit_is_named_with_what_was_expected_and_an_example() {
    let program = Program::default();
    for (line, words) in [
        ("ticket new --user a --expires soon", &["--expires", "soon", "duration", "48h"][..]),
        ("ticket new --user a --side left", &["--side", "left", "stock", "foil"]),
        ("ticket new --user a --terms {x", &["--terms", "JSON"]),
        ("ticket new", &["--user", "alice"]),
        ("tally show", &["<UUID>", "9b8f6c1e"]),
        ("peer set a --port many", &["--port", "many", "whole number", "65430"]),
        ("ticket new --usr a", &["--usr", "--user"]),
        ("tally lsit", &["lsit", "list"]),
        ("call tally show {x", &["JSON", "alice"]),
        ("run --listen 65430", &["--listen", "127.0.0.1:65430"]),
    ] {
        let typed: Vec<&str> = line.split(' ').collect();
        let ran = running(&program, &typed);
        assert_eq!(ran.code, 2, "{line}");
        assert!(words.iter().all(|word| ran.err.contains(word)), "{line}: {}", ran.err);
        assert!(ran.err.starts_with("error: ") && ran.err.contains("\nfix: "), "{line}: {}", ran.err);
    }
}

#[test]
fn help_explains_with_and_without_a_site() {
    let program = Program::default();
    let ran = running(&program, &["--help"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for word in [
        "init",
        "run",
        "demo",
        "status",
        "doctor",
        "user",
        "ticket",
        "tally",
        "peer",
        "ban",
        "plugin",
        "call",
        "keys",
        "backup",
        "restore",
        "completions",
        "watch",
    ] {
        assert!(ran.out.lines().any(|line| line.trim_start().starts_with(&format!("{word} "))), "{word}: {}", ran.out);
    }
    let ran = running(&program, &["ticket", "new", "--help"]);
    for word in
        ["Do ticket.new", "--user <USER>", "for example alice", "--expires <DURATION>", "[default: 48h]", "stock, foil"]
    {
        assert!(ran.out.contains(word), "{word}: {}", ran.out);
    }
    assert_eq!(running(&program, &["help", "ticket", "new"]).out, ran.out);
    for group in ["ticket", "plugin"] {
        let ran = running(&program, &[group, "--help"]);
        let commands = ran.out.lines().skip_while(|line| *line != "Commands:").skip(1);
        let bare: Vec<&str> =
            commands.take_while(|line| !line.is_empty()).filter(|line| line.split_whitespace().count() < 2).collect();
        assert!(bare.is_empty(), "without a word on what they do: {bare:?}");
    }
    assert!(running(&program, &["tally", "offer", "--help"]).out.contains("--wait <STATE>"));
    let homeless = Program { homeless: true, ..Program::default() };
    let ran = at_rest(&homeless, &["--help"]);
    assert!(ran.code == 0 && ran.out.contains("user") && ran.out.contains("come from plugins"), "{}", ran.out);
    let ran = at_rest(&homeless, &["tally", "offer", "u"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("`tally`") || ran.err.contains("'tally'"), "{}", ran.err);
    assert!(ran.err.contains("commands of plugins are not known") && ran.err.contains("tallyho init"), "{}", ran.err);
    assert_eq!(at_rest(&program, &["--version"]).out, format!("tallyho {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn looking_for_help_opens_no_site() {
    let program = Program::default();
    for line in [&["--help"][..], &["user", "add", "--help"], &["help", "user"], &["completions", "bash"]] {
        assert_eq!(at_rest(&program, line).code, 0, "{line:?}");
    }
    assert_eq!(*program.opened.lock().unwrap(), 0);
    at_rest(&program, &["user", "list"]);
    assert_eq!(*program.opened.lock().unwrap(), 1);
}

#[test]
fn the_home_named_on_the_command_line_goes_before_the_environments() {
    let (named, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let text = named.path().to_str().unwrap();
    let ran = run_in(other.path(), &Program::default(), false, &["init", "--home", text, "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["home"], text);
    let ran = run_in(other.path(), &Program::default(), false, &["init", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["home"], other.path().to_str().unwrap());
}
