//! Errors as people and scripts read them, on standard error.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use serde_json::json;
use tallyho_plugin::{Argument, CommandSpec, Fault, FaultKind};

use super::declared::{looks_like_an_option, shown};
use super::value;

/// Wrong use is 2, everything else that could not be done 1.
pub fn exit_code(fault: &Fault) -> u8 {
    match fault.kind {
        FaultKind::Usage => 2,
        _ => 1,
    }
}

/// A fault as text with end marks: one JSON object, or `error:` and `fix:` lines.
pub fn written(fault: &Fault, json: bool) -> String {
    if json {
        return format!("{}\n", json!({ "error": fault }));
    }
    let mut text = format!("error: {}\n", fault.text.trim_end());
    for line in fault.fix.iter().flat_map(|fix| fix.lines()) {
        text += &format!("fix: {line}\n");
    }
    text
}

/// What `clap` found wrong with the command line, as a fault. `spec` is the declared command that was
/// meant, if any: its arguments have examples. `line` is what was typed, without the program's name.
pub fn usage(error: &clap::Error, spec: Option<&CommandSpec>, line: &[String]) -> Fault {
    if is_question(error) {
        return Fault::usage("a command is missing").code("usage").fix("see `tallyho --help`");
    }
    if let Some((spec, option)) = spec.and_then(|spec| Some((spec, mistyped(spec, line)?))) {
        let options: Vec<String> = spec.arguments.iter().filter(|argument| !argument.positional).map(shown).collect();
        return Fault::usage(format!("`{}` has no option `{option}`", spec.words.join(" ")))
            .code("usage")
            .fix(format!("its options are: {}", options.join(", ")));
    }
    let rendered = error.render().to_string();
    let mut paragraphs = rendered.split("\n\n").map(str::trim);
    let first = paragraphs.next().unwrap_or_default();
    let text = first.strip_prefix("error: ").unwrap_or(first);
    let text = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let text = text.replace("provided: ", "given: ");
    let mut fixes: Vec<String> = Vec::new();
    for paragraph in paragraphs {
        if let Some(usage) = paragraph.strip_prefix("Usage: ") {
            fixes.push(format!("use `{}`", usage.lines().map(str::trim).collect::<Vec<_>>().join(" ")));
        } else if !paragraph.starts_with("For more information") {
            fixes.extend(paragraph.lines().map(|line| line.trim().trim_start_matches("tip: ").to_owned()));
        }
    }
    for argument in spec.iter().flat_map(|spec| &spec.arguments).filter(|argument| is_at_fault(error, argument)) {
        fixes.push(format!("{} is {}: {}", shown(argument), argument.help, value::expected(argument)));
    }
    if error.kind() == ErrorKind::InvalidSubcommand {
        // `use tallyho [OPTIONS] <COMMAND>` says nothing; which commands there are does.
        fixes.retain(|fix| !fix.contains("<COMMAND>"));
        let known: &[String] = if line.len() > 1 { &line[..1] } else { &[] };
        let group = known.iter().filter(|word| !text.contains(&format!("'{word}'"))).map(|word| format!("{word} "));
        fixes.push(format!("see `tallyho {}--help` for the commands there are", group.collect::<String>()));
    }
    if fixes.is_empty() {
        let words = match spec {
            Some(spec) => format!("{} ", spec.words.join(" ")),
            None => line.first().map(|word| format!("{word} ")).unwrap_or_default(),
        };
        fixes.push(format!("see `tallyho {words}--help`"));
    }
    Fault::usage(text).code("usage").fix(fixes.join("\n"))
}

/// Whether this is not an error but what was asked for.
pub fn is_help(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

/// An option that the command does not have. `clap` takes it for a value where one may begin with a
/// hyphen, and finds fault with what follows.
fn mistyped<'a>(spec: &CommandSpec, line: &'a [String]) -> Option<&'a str> {
    let name = |typed: &'a String| looks_like_an_option(typed).then(|| typed.split('=').next().unwrap_or(typed));
    let known = |option: &str| {
        let waits = spec.wait.is_some() && matches!(option, "--wait" | "--timeout");
        waits || spec.arguments.iter().any(|argument| shown(argument).split(' ').next() == Some(option))
    };
    line.iter().filter_map(name).find(|option| !known(option))
}

/// Whether only the beginning of a command was typed, to see how it goes on.
pub fn is_question(error: &clap::Error) -> bool {
    error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

fn is_at_fault(error: &clap::Error, argument: &Argument) -> bool {
    let named = |text: &String| *text == shown(argument);
    matches!(error.kind(), ErrorKind::MissingRequiredArgument | ErrorKind::InvalidValue)
        && match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::Strings(all)) => all.iter().any(named),
            Some(ContextValue::String(one)) => named(one),
            _ => false,
        }
}
