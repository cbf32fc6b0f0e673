//! Declared commands as `clap` takes them.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::cli::words::fixed;
use crate::control::host;
use serde_json::json;
use tallyho_plugin::manifest::Wait;

fn wait() -> Wait {
    Wait::new("state", "half", "wait")
}

/// A command with arguments of every kind.
fn every_kind() -> CommandSpec {
    let choice = ArgumentKind::Choice(vec!["stock".into(), "foil".into()]);
    CommandSpec::new("new", "Make one")
        .words(&["ticket", "new"])
        .argument(Argument::positional("token", ArgumentKind::Text, "a token"))
        .argument(Argument::option("user", ArgumentKind::Text, "who").required().example("alice"))
        .argument(Argument::option("side", choice, "which").default("stock"))
        .argument(Argument::option("expires", ArgumentKind::Duration, "when").default("48h"))
        .argument(Argument::option("max_steps", ArgumentKind::Integer, "how many"))
        .argument(Argument::option("reuse", ArgumentKind::Flag, "often"))
        .argument(Argument::option("terms", ArgumentKind::Json, "what"))
        .argument(Argument::option("agree", ArgumentKind::JsonOrText, "which"))
}

fn manifest(commands: Vec<CommandSpec>) -> Manifest {
    commands.into_iter().fold(Manifest::new("tally", "1"), Manifest::command)
}

fn parse(manifest: &Manifest, line: &[&str]) -> Result<(Value, Option<Waiting>), clap::Error> {
    let declared = Declared::new(std::slice::from_ref(manifest));
    let matches =
        declared.attach(fixed()).try_get_matches_from(std::iter::once("tallyho").chain(line.iter().copied()))?;
    let chosen = declared.chosen(&matches).unwrap();
    Ok((chosen.argument, chosen.wait))
}

#[test]
fn arguments_of_every_kind_arrive_as_their_values() {
    let manifest = manifest(vec![every_kind()]);
    let line = [
        "ticket",
        "new",
        "tok",
        "--user",
        "alice",
        "--side",
        "foil",
        "--expires",
        "10s",
        "--max-steps",
        "-3",
        "--reuse",
        "--terms",
        "{\"a\":1}",
        "--agree",
        "plain",
    ];
    let (argument, wait) = parse(&manifest, &line).unwrap();
    assert_eq!(
        argument,
        json!({
            "token": "tok", "user": "alice", "side": "foil", "expires": 10_000, "max_steps": -3, "reuse": true,
            "terms": {"a": 1}, "agree": "plain",
        })
    );
    assert_eq!(wait, None);
}

#[test]
fn what_is_not_given_is_left_out_or_has_its_default() {
    let (argument, _) = parse(&manifest(vec![every_kind()]), &["ticket", "new", "t", "--user", "a"]).unwrap();
    assert_eq!(argument, json!({"token": "t", "user": "a", "side": "stock", "expires": 172_800_000, "reuse": false}));
}

#[test]
fn tokens_that_begin_with_a_hyphen_are_taken_and_mistyped_options_are_not() {
    let manifest = manifest(vec![every_kind()]);
    let (argument, _) = parse(&manifest, &["ticket", "new", "-Up_tUvuWsRQzGTuAjdTNVpi", "--user", "a"]).unwrap();
    assert_eq!(argument["token"], "-Up_tUvuWsRQzGTuAjdTNVpi");
    let (argument, _) = parse(&manifest, &["ticket", "new", "--user", "a", "--UptUvuWsRQzGTuAjdTNVpi"]).unwrap();
    assert_eq!(argument["token"], "--UptUvuWsRQzGTuAjdTNVpi");
    for typo in [&["ticket", "new", "--usr", "alice"][..], &["ticket", "new", "--usr=alice", "--user", "a"]] {
        let error = parse(&manifest, typo).unwrap_err();
        let typed: Vec<String> = typo.iter().map(ToString::to_string).collect();
        let fault = crate::cli::report::usage(&error, Some(&every_kind()), &typed);
        assert!(fault.text.contains("`--usr`"), "{fault}");
        assert!(fault.fix.unwrap().contains("--user"), "the options there are");
    }
}

#[test]
fn a_signature_that_begins_with_a_hyphen_is_taken_and_a_forgotten_value_is_not() {
    let signature = Argument::option("signature", ArgumentKind::Text, "made elsewhere");
    let user = Argument::option("user", ArgumentKind::Text, "who");
    let manifest =
        manifest(vec![CommandSpec::new("a", "").words(&["chit", "accept"]).argument(signature).argument(user)]);
    let (argument, _) = parse(&manifest, &["chit", "accept", "--signature", "-UptUvuWsRQzGTuAjdTNVpi"]).unwrap();
    assert_eq!(argument, json!({"signature": "-UptUvuWsRQzGTuAjdTNVpi"}));
    assert!(parse(&manifest, &["chit", "accept", "--signature", "--user", "bob"]).is_err());
    assert!(parse(&manifest, &["chit", "accept", "--signature"]).is_err());
}

#[test]
fn a_wait_is_offered_where_the_command_can_be_waited_for_and_nowhere_else() {
    let act = |name: &str| CommandSpec::new(name, "act").words(&["tally", name]);
    let always = wait().always(["accepted"]);
    let manifest = manifest(vec![act("show"), act("offer").wait(wait()), act("use").wait(always)]);
    assert!(parse(&manifest, &["tally", "show", "--wait", "open"]).is_err());
    let waiting = |state: Option<&str>, seconds| {
        Some(Waiting { state: state.map(str::to_owned), patience: Duration::from_secs(seconds) })
    };
    assert_eq!(parse(&manifest, &["tally", "offer"]).unwrap().1, None);
    assert_eq!(parse(&manifest, &["tally", "offer", "--wait", "open"]).unwrap().1, waiting(Some("open"), 30));
    let line = ["tally", "offer", "--wait", "open", "--timeout", "2m"];
    assert_eq!(parse(&manifest, &line).unwrap().1, waiting(Some("open"), 120));
    assert_eq!(parse(&manifest, &["tally", "use"]).unwrap().1, waiting(None, 30));
    let states = wait().states(["offer", "confirmed", "P.offer"]);
    let manifest = self::manifest(vec![act("offer").wait(states)]);
    for state in ["confirmed", "P.offer"] {
        assert_eq!(parse(&manifest, &["tally", "offer", "--wait", state]).unwrap().1, waiting(Some(state), 30));
    }
    let error = parse(&manifest, &["tally", "offer", "--wait", "confimed"]).unwrap_err().to_string();
    assert!(error.contains("'confimed'") && error.contains("offer, confirmed]"), "{error}");
    let manifest = self::manifest(vec![act("use").wait(wait())]);
    let error = parse(&manifest, &["tally", "use", "--timeout", "soon"]).unwrap_err().to_string();
    assert!(error.contains("--timeout") && error.contains("30s"), "{error}");
}

#[test]
fn a_declared_command_joins_a_fixed_group_and_never_replaces_a_fixed_command() {
    let manifest = manifest(vec![
        CommandSpec::new("x", "").words(&["plugin", "swap"]),
        CommandSpec::new("y", "not this").words(&["plugin", "check"]),
        CommandSpec::new("z", "nor this").words(&["init"]),
        CommandSpec::new("w", "nor this").words(&["run", "away"]),
    ]);
    let root = Declared::new(&[host::manifest(), manifest]).attach(fixed());
    let plugin = root.find_subcommand("plugin").unwrap();
    for word in ["swap", "check", "list"] {
        assert!(plugin.find_subcommand(word).is_some(), "{word}");
    }
    let about = |command: &Command| command.get_about().unwrap().to_string();
    assert!(!about(plugin.find_subcommand("check").unwrap()).contains("this"));
    assert!(!about(root.find_subcommand("init").unwrap()).contains("this"));
    assert!(root.find_subcommand("run").unwrap().find_subcommand("away").is_none());
    root.debug_assert();
}

#[test]
fn the_first_of_two_commands_with_the_same_words_wins() {
    let spec = |name: &str, words: &[&str]| CommandSpec::new(name, "").words(words);
    let manifest = manifest(vec![
        spec("a", &["tally", "show"]),
        spec("b", &["tally", "show"]),
        spec("c", &["tally"]),
        spec("d", &["tally", "show", "all"]),
    ]);
    let declared = Declared::new(&[manifest]);
    assert_eq!(declared.entries.len(), 1);
    assert_eq!(declared.left_out().len(), 3);
    declared.attach(fixed()).debug_assert();
}

#[test]
fn a_command_that_does_not_fit_is_left_out_instead_of_ending_the_program() {
    let with = |argument: Argument| CommandSpec::new("c", "").words(&["tally", "c"]).argument(argument);
    let option = |name: &str| Argument::option(name, ArgumentKind::Text, "");
    let optional = |name: &str| {
        let mut argument = Argument::positional(name, ArgumentKind::Text, "");
        argument.required = false;
        argument
    };
    let bad = [
        CommandSpec::new("c", "").words(&["Tally"]),
        CommandSpec::new("c", "").words(&["tally", ""]),
        CommandSpec::new("c", "").words(&["tally", "help"]),
        CommandSpec::new("c", "").words(&["-x"]),
        CommandSpec::new("c", "").words(&["a", "b", "c", "d", "e"]),
        with(option("home")),
        with(option("json")),
        with(option("wait")),
        with(option("")),
        with(option("ü")),
        with(option("a")).argument(option("a")),
        with(option("a-b")).argument(option("a_b")),
        with(Argument::positional("f", ArgumentKind::Flag, "")),
        with(optional("a")).argument(Argument::positional("b", ArgumentKind::Text, "")),
        with(Argument::option("n", ArgumentKind::Integer, "").default("many")),
    ];
    for spec in bad {
        let declared = Declared::new(&[manifest(vec![spec.clone()])]);
        assert_eq!((declared.entries.len(), declared.left_out().len()), (0, 1), "{spec:?}");
    }
    let good = [with(option("a")).argument(option("b")), with(optional("a")).argument(optional("b")), every_kind()];
    for spec in good {
        let declared = Declared::new(&[manifest(vec![spec.clone()])]);
        assert_eq!(declared.left_out(), [""; 0], "{spec:?}");
        declared.attach(fixed()).debug_assert();
    }
}

#[test]
fn an_argument_called_like_something_of_clap_does_no_harm() {
    // `id` and `verbose` are ordinary; `command`, `plugin`, `argument` are ids of fixed commands.
    let names = ["id", "verbose", "command", "plugin", "argument", "file"];
    let spec = names.iter().fold(CommandSpec::new("c", "").words(&["tally", "c"]), |spec, name| {
        spec.argument(Argument::option(*name, ArgumentKind::Text, ""))
    });
    let (argument, _) = parse(&manifest(vec![spec]), &["tally", "c", "--command", "x", "--file", "y"]).unwrap();
    assert_eq!(argument, json!({"command": "x", "file": "y"}));
}
