//! Whether what a plugin says about itself holds together.

use crate::plugin::error::Refusal;
use crate::plugin::limits::{MAX_ENTRIES, MAX_LINE, MAX_NAME, MAX_WORD};
use std::collections::HashSet;
use tallyho_plugin::Manifest;
use tallyho_plugin::manifest::{ArgumentKind, CommandSpec, RelationMember, Target};

/// The name that stands for the host itself in `Context::invoke` and in message targets.
pub const HOST_NAME: &str = "host";

/// Checks a manifest.
///
/// # Errors
/// [`Refusal::Manifest`], naming the entry at fault and what it should look like.
pub fn check_manifest(manifest: &Manifest) -> Result<(), Refusal> {
    name("the plugin's name", &manifest.name, NAME)?;
    if manifest.name == HOST_NAME {
        return refuse("the plugin's name is `host`, which stands for the host itself", "choose another name");
    }
    line("version", &manifest.version)?;
    if manifest.version.is_empty() {
        return refuse("version is empty", "give a version, such as env!(\"CARGO_PKG_VERSION\")");
    }
    line("about", &manifest.about)?;
    if manifest.reads_state.len() > MAX_ENTRIES
        || manifest.reads_state.iter().any(|read| *read <= manifest.state_version)
    {
        let (read, own) = (&manifest.reads_state, manifest.state_version);
        return refuse(
            format!("reads_state is {read:?}, expected at most {MAX_ENTRIES} versions above its own, {own}"),
            "name later versions only: Handler::migrate sees to earlier ones",
        );
    }
    distinct("targets", manifest.targets.iter().map(|target| target.name.as_str()))?;
    manifest.targets.iter().try_for_each(check_target)?;
    distinct("tables", manifest.tables.iter().map(String::as_str))?;
    manifest.tables.iter().try_for_each(|table| name("table", table, TABLE))?;
    distinct("reads", manifest.reads.iter().map(String::as_str))?;
    manifest.reads.iter().try_for_each(|read| check_read(read))?;
    distinct("commands", manifest.commands.iter().map(|command| command.name.as_str()))?;
    manifest.commands.iter().try_for_each(|command| check_command(command, manifest))?;
    check_words_unique(&manifest.commands)
}

/// What a name is made of.
struct Pattern {
    begins_with_letter: bool,
    others: &'static [u8],
    most: usize,
    in_words: &'static str,
    example: &'static str,
}

const NAME: Pattern = Pattern {
    begins_with_letter: true,
    others: b"-",
    most: MAX_NAME,
    in_words: "1 to 32 bytes [a-z][a-z0-9-]*",
    example: "my-referee",
};
const TABLE: Pattern = Pattern {
    begins_with_letter: true,
    others: b"-_",
    most: MAX_NAME,
    in_words: "1 to 32 bytes [a-z][a-z0-9_-]*",
    example: "rulings",
};
const WORD: Pattern = Pattern {
    begins_with_letter: false,
    others: b".-",
    most: MAX_WORD,
    in_words: "1 to 64 bytes [a-z0-9.-]",
    example: "ticket.new",
};
const ARGUMENT: Pattern = Pattern {
    begins_with_letter: true,
    others: b"-_",
    most: MAX_NAME,
    in_words: "1 to 32 bytes [a-z][a-z0-9_-]*",
    example: "units",
};

fn check_target(target: &Target) -> Result<(), Refusal> {
    name("target", &target.name, WORD)?;
    if target.name == HOST_NAME {
        return refuse("target `host` belongs to the host itself", "choose another target");
    }
    distinct(&format!("actions of target {}", target.name), target.actions.iter().map(String::as_str))?;
    target.actions.iter().try_for_each(|action| name(&format!("action of target {}", target.name), action, WORD))?;
    let lists = [("unrelated", &target.unrelated), ("restricted", &target.restricted), ("answers", &target.answers)];
    for (list, actions) in lists {
        if let Some(stray) = actions.iter().find(|action| !target.actions.contains(action)) {
            return refuse(
                format!("target {} has {stray:?} under {list}, but not among its actions", target.name),
                "name it among the actions too",
            );
        }
    }
    match &target.relation {
        Some(RelationMember::Object(member)) if member.is_empty() || member.len() > MAX_WORD => refuse(
            format!("target {} names its relation in member {member:?}", target.name),
            "name a member of `object`",
        ),
        _ => Ok(()),
    }
}

fn check_read(read: &str) -> Result<(), Refusal> {
    let Some((plugin, table)) = read.split_once('.') else {
        return refuse(
            format!("reads has {read:?}, expected plugin.table"),
            "name the owner too, as in \"tally.tallies\"",
        );
    };
    name("the plugin in reads", plugin, NAME)?;
    name("the table in reads", table, TABLE)
}

fn check_command(command: &CommandSpec, manifest: &Manifest) -> Result<(), Refusal> {
    let of = |what: &str| format!("{what} of command {}", command.name);
    name("command", &command.name, WORD)?;
    line(&of("help"), &command.help)?;
    if let Some(subject) = &command.doctor {
        name(&of("the doctor's word"), subject, NAME)?;
    }
    if command.words.len() > 3 {
        return refuse(format!("command {} is reached by more than 3 words", command.name), "use fewer words");
    }
    command.words.iter().try_for_each(|word| name(&of("word"), word, NAME))?;
    distinct(&of("arguments"), command.arguments.iter().map(|argument| argument.name.as_str()))?;
    let mut optional_before = None;
    for (at, argument) in command.arguments.iter().enumerate() {
        name(&of("argument"), &argument.name, ARGUMENT)?;
        line(&of("argument help"), &argument.help)?;
        line(&of("argument example"), &argument.example)?;
        if let Some(default) = &argument.default {
            line(&of("argument default"), default)?;
        }
        if let ArgumentKind::Choice(choices) = &argument.kind {
            distinct(&of(&format!("choices for {}", argument.name)), choices.iter().map(String::as_str))?;
            if choices.is_empty() {
                return refuse(format!("{} has no choices", of(&argument.name)), "name at least one");
            }
        }
        if argument.positional && at > 0 && !command.arguments[at - 1].positional {
            return refuse(
                format!("positional argument {} comes after an option", of(&argument.name)),
                "put the positional arguments first",
            );
        }
        if argument.positional && argument.required && optional_before.is_some() {
            return refuse(
                format!("required argument {} comes after an optional one", of(&argument.name)),
                "put the required arguments first",
            );
        }
        optional_before = optional_before.or((argument.positional && !argument.required).then_some(at));
    }
    if let Some(wait) = &command.wait
        && !manifest.commands.iter().any(|other| other.name == wait.command)
    {
        return refuse(
            format!("command {} waits by asking {:?}, which is no command here", command.name, wait.command),
            "name a command of the same manifest",
        );
    }
    let unknown = command
        .wait
        .as_ref()
        .filter(|wait| !wait.states.is_empty())
        .and_then(|wait| wait.always.iter().chain(&wait.failed).find(|state| !wait.states.contains(state)));
    if let Some(state) = unknown {
        return refuse(
            format!("command {} waits for `{state}`, which is none of its states", command.name),
            "name it among the states, or leave these out",
        );
    }
    Ok(())
}

fn check_words_unique(commands: &[CommandSpec]) -> Result<(), Refusal> {
    let mut seen = HashSet::new();
    match commands.iter().find(|command| !command.words.is_empty() && !seen.insert(&command.words)) {
        Some(command) => refuse(
            format!("two commands are reached by the words `{}`", command.words.join(" ")),
            "give each its own words",
        ),
        None => Ok(()),
    }
}

fn name(what: &str, text: &str, pattern: Pattern) -> Result<(), Refusal> {
    let fits = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || pattern.others.contains(byte);
    let begins_well = !pattern.begins_with_letter || text.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    if text.is_empty() || text.len() > pattern.most || !text.as_bytes().iter().all(fits) || !begins_well {
        return refuse(
            format!("{what} is {}, expected {}", quoted(text), pattern.in_words),
            format!("name it like {:?}", pattern.example),
        );
    }
    Ok(())
}

fn line(what: &str, text: &str) -> Result<(), Refusal> {
    if text.len() > MAX_LINE || text.chars().any(char::is_control) {
        return refuse(
            format!("{what} is {}, expected one line of at most {MAX_LINE} bytes", quoted(text)),
            "shorten it to one line",
        );
    }
    Ok(())
}

fn distinct<'t>(what: &str, texts: impl ExactSizeIterator<Item = &'t str>) -> Result<(), Refusal> {
    if texts.len() > MAX_ENTRIES {
        return refuse(
            format!("{what} has {} entries, expected at most {MAX_ENTRIES}", texts.len()),
            "split the plugin, or take arguments instead of names",
        );
    }
    let mut seen = HashSet::new();
    for text in texts {
        if !seen.insert(text) {
            return refuse(format!("{what} has {} twice", quoted(text)), "name each once");
        }
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(MAX_WORD).collect();
    if shown.len() < text.len() { format!("{shown:?}… ({} bytes)", text.len()) } else { format!("{shown:?}") }
}

fn refuse(what: impl Into<String>, fix: impl Into<String>) -> Result<(), Refusal> {
    Err(Refusal::Manifest { what: what.into(), fix: fix.into() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tallyho_plugin::manifest::{Argument, Wait};

    fn good() -> Manifest {
        let wait = Wait::new("show", "uuid", "state").states(["open", "void"]).failed(["void"]);
        Manifest::new("tally", "0.1.0")
            .about("keeps tallies")
            .target(Target::new("tally", &["offer", "ticket"]).relation_in_object("uuid").unrelated(&["ticket"]))
            .tables(&["tallies"])
            .reads(&["chit.chits"])
            .command(CommandSpec::new("show", "shows").words(&["tally", "show"]))
            .command(
                CommandSpec::new("offer", "offers")
                    .argument(Argument::positional("uuid", ArgumentKind::Text, "which"))
                    .argument(Argument::option("memo", ArgumentKind::Text, "note"))
                    .wait(wait),
            )
    }

    #[test]
    fn a_manifest_that_keeps_the_rules_is_taken() {
        check_manifest(&good()).unwrap();
        check_manifest(&Manifest::new("a", "1")).unwrap();
    }

    #[test]
    fn each_broken_rule_is_named_with_its_fix() {
        let long = "x".repeat(MAX_LINE + 1);
        let with = |change: fn(&mut Manifest)| {
            let mut manifest = good();
            change(&mut manifest);
            manifest
        };
        let with_command = |command: CommandSpec| good().command(command);
        let cases: Vec<(Manifest, &str)> = vec![
            (with(|manifest| manifest.name = "".into()), "the plugin's name is \"\""),
            (with(|manifest| manifest.name = "Tally".into()), "expected 1 to 32 bytes [a-z][a-z0-9-]*"),
            (with(|manifest| manifest.name = "9lives".into()), "the plugin's name"),
            (with(|manifest| manifest.name = "x".repeat(33)), "the plugin's name"),
            (with(|manifest| manifest.name = "../x".into()), "the plugin's name"),
            (with(|manifest| manifest.name = "host".into()), "stands for the host itself"),
            (with(|manifest| manifest.version = "".into()), "version is empty"),
            (with(|manifest| manifest.version = "1\n2".into()), "expected one line"),
            (good().about(long), "about is"),
            (good().tables(&["a.b"]), "table is \"a.b\""),
            (good().tables(&["tallies"]), "tables has \"tallies\" twice"),
            (with(|manifest| manifest.tables = (0..=MAX_ENTRIES).map(|n| format!("t{n}")).collect()), "at most 128"),
            (good().reads(&["chits"]), "expected plugin.table"),
            (good().reads(&["Chit.chits"]), "the plugin in reads"),
            (good().target(Target::new("host", &[])), "target `host`"),
            (good().target(Target::new("tally", &[])), "targets has \"tally\" twice"),
            (good().target(Target::new("no target", &[])), "target is \"no target\""),
            (good().target(Target::new("t", &["a", "a"])), "actions of target t has \"a\" twice"),
            (good().target(Target::new("t", &["a"]).restricted(&["b"])), "under restricted"),
            (good().target(Target::new("t", &["a"]).answers(&["b"])), "under answers"),
            (good().target(Target::new("t", &["a"]).relation_in_object("")), "names its relation"),
            (with_command(CommandSpec::new("Show", "")), "command is \"Show\""),
            (with_command(CommandSpec::new("x", "").words(&["tally", "show"])), "reached by the words `tally show`"),
            (with_command(CommandSpec::new("x", "").words(&["a", "b", "c", "d"])), "more than 3 words"),
            (with_command(CommandSpec::new("x", "").doctor("All chits")), "the doctor's word of command x"),
            (
                with_command(
                    CommandSpec::new("x", "")
                        .argument(Argument::option("a", ArgumentKind::Flag, ""))
                        .argument(Argument::positional("b", ArgumentKind::Text, "")),
                ),
                "comes after an option",
            ),
            (
                with_command(CommandSpec::new("x", "").argument(Argument::option(
                    "a",
                    ArgumentKind::Choice(vec![]),
                    "",
                ))),
                "has no choices",
            ),
            (with_command(CommandSpec::new("x", "").wait(Wait::new("nowhere", "a", "b"))), "which is no command here"),
            (
                with_command(CommandSpec::new("x", "").wait(Wait::new("x", "a", "b").states(["c"]).always(["d"]))),
                "waits for `d`, which is none of its states",
            ),
        ];
        for (manifest, expected) in cases {
            let Err(Refusal::Manifest { what, fix }) = check_manifest(&manifest) else {
                panic!("taken although {expected}");
            };
            assert!(what.contains(expected), "{what:?} does not say {expected:?}");
            assert!(!fix.is_empty() && !what.contains('\n'));
        }
    }
}
