//! Commands that the site and its plugins declare in their manifests, as part of the command line.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser, ValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;
use tallyho_plugin::manifest::Wait;
use tallyho_plugin::{Argument, ArgumentKind, CommandSpec, Manifest};

use super::limits::{WAIT_PATIENCE, WORDS};
use super::value;

/// Options that every command has; arguments cannot be called so.
const RESERVED: [&str; 6] = ["home", "json", "help", "version", "wait", "timeout"];

/// What is behind the first word of several commands.
const GROUPS: [(&str, &str); 12] = [
    ("user", "Local accounts"),
    ("ticket", "Invite a partner, or accept an invitation"),
    ("tally", "Agreements with partners, from draft to close"),
    ("chit", "Pay, ask and settle on a tally"),
    ("invoice", "Ask to be paid by a link, and pay what another asks for"),
    ("route", "Ways to pay people without a tally between you"),
    ("lift", "Payments over several tallies, and clearing circles"),
    ("referee", "Who judges whether a lift came in time"),
    ("peer", "Other sites"),
    ("ban", "Addresses shut out after misbehaviour"),
    ("plugin", "Plugins that handle the site's messages"),
    ("quarantine", "Events that their plugin failed, set aside for you to decide"),
];

/// The commands of some manifests that can be reached by words.
#[derive(Debug, Default)]
pub struct Declared {
    entries: Vec<Entry>,
    left_out: Vec<String>,
}

#[derive(Debug)]
struct Entry {
    plugin: String,
    spec: CommandSpec,
}

/// A declared command that was asked for.
#[derive(Debug)]
pub struct Chosen<'a> {
    /// Whose command.
    pub plugin: &'a str,
    /// What was declared.
    pub spec: &'a CommandSpec,
    /// Its arguments, an object.
    pub argument: Value,
    /// Whether to wait for a state.
    pub wait: Option<Waiting>,
}

/// A state to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The state named by `--wait`; without it those that the command waits for by itself.
    pub state: Option<String>,
    /// How long.
    pub patience: Duration,
}

impl Declared {
    /// Takes the commands with words. One that does not fit a command line, or whose words an earlier
    /// one has, is left out; it can still be reached by `call`.
    pub fn new(manifests: &[Manifest]) -> Self {
        let mut declared = Declared::default();
        for manifest in manifests {
            for spec in manifest.commands.iter().filter(|spec| !spec.words.is_empty()) {
                match check(spec).and_then(|()| declared.check_words(&spec.words)) {
                    Ok(()) => declared.entries.push(Entry { plugin: manifest.name.clone(), spec: spec.clone() }),
                    Err(why) => declared.left_out.push(format!("{} {}: {why}", manifest.name, spec.name)),
                }
            }
        }
        declared
    }

    /// Commands left out, and why.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Puts the commands below `root`. Fixed commands of the same words stay as they are.
    pub fn attach(&self, root: Command) -> Command {
        let mut tree = Branch::default();
        for entry in &self.entries {
            tree.insert(&entry.spec.words, &entry.spec);
        }
        tree.attach(root)
    }

    /// The command that was asked for.
    pub fn chosen(&self, matches: &ArgMatches) -> Option<Chosen<'_>> {
        let (mut words, mut leaf) = (Vec::new(), matches);
        while let Some((word, below)) = leaf.subcommand() {
            words.push(word);
            leaf = below;
        }
        let entry = self.find(&words)?;
        Some(Chosen {
            plugin: &entry.plugin,
            spec: &entry.spec,
            argument: argument(&entry.spec, leaf),
            wait: waiting(&entry.spec, leaf),
        })
    }

    /// The command that begins with these words of a command line, options among them.
    pub fn begun(&self, line: &[String]) -> Option<&CommandSpec> {
        let words: Vec<&str> = line.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
        let starts = |entry: &&Entry| (0..words.len()).any(|at| words[at..].starts_with(&as_strs(&entry.spec.words)));
        self.entries.iter().find(starts).map(|entry| &entry.spec)
    }

    fn find(&self, words: &[&str]) -> Option<&Entry> {
        self.entries.iter().find(|entry| as_strs(&entry.spec.words) == words)
    }

    fn check_words(&self, words: &[String]) -> Result<(), String> {
        for other in &self.entries {
            let shorter = words.len().min(other.spec.words.len());
            if words[..shorter] == other.spec.words[..shorter] {
                return Err(format!("`{}` is taken by {} {}", words.join(" "), other.plugin, other.spec.name));
            }
        }
        Ok(())
    }
}

fn as_strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// How an argument is shown: `--max-steps <INTEGER>` or `<TALLY>`.
pub fn shown(argument: &Argument) -> String {
    match (argument.positional, &argument.kind) {
        (true, _) => format!("<{}>", value_name(argument)),
        (false, ArgumentKind::Flag) => format!("--{}", long(argument)),
        (false, _) => format!("--{} <{}>", long(argument), value_name(argument)),
    }
}

fn long(argument: &Argument) -> String {
    argument.name.replace('_', "-")
}

fn value_name(argument: &Argument) -> String {
    match argument.kind {
        ArgumentKind::Integer if !argument.positional => "NUMBER".into(),
        ArgumentKind::Duration if !argument.positional => "DURATION".into(),
        ArgumentKind::Json if !argument.positional => "JSON".into(),
        _ => long(argument).to_uppercase(),
    }
}

/// Whether a command fits a command line; `clap` takes what does not for a bug of the program.
fn check(spec: &CommandSpec) -> Result<(), String> {
    let word = |text: &str, also: &str| {
        text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.len() <= 64
            && text.chars().all(|other| other.is_ascii_lowercase() || other.is_ascii_digit() || also.contains(other))
    };
    if spec.words.len() > WORDS {
        return Err(format!("more than {WORDS} words"));
    }
    if let Some(bad) = spec.words.iter().find(|text| !word(text, "-") || *text == "help") {
        return Err(format!("`{bad}` cannot be a word"));
    }
    let mut names = HashSet::new();
    let mut optional: Option<String> = None;
    for argument in &spec.arguments {
        let name = long(argument);
        if !word(&argument.name, "-_") {
            return Err(format!("`{}` cannot be an argument's name", argument.name));
        }
        if RESERVED.contains(&name.as_str()) {
            return Err(format!("argument `{name}`: every command has that option"));
        }
        if argument.positional && argument.kind == ArgumentKind::Flag {
            return Err(format!("argument `{name}`: a flag has no position"));
        }
        if argument.positional {
            match &optional {
                Some(earlier) if argument.required => {
                    return Err(format!("`{name}` is required but comes after `{earlier}`, which is not"));
                }
                None if !argument.required => optional = Some(name.clone()),
                _ => {}
            }
        }
        if let Some(text) = &argument.default {
            value::read(argument, text).map_err(|why| format!("default of `{name}`: {why}"))?;
        }
        if !names.insert(name.clone()) {
            return Err(format!("argument `{name}` comes twice"));
        }
    }
    Ok(())
}

/// Commands by their words.
#[derive(Default)]
struct Branch<'a> {
    below: BTreeMap<&'a str, Branch<'a>>,
    spec: Option<&'a CommandSpec>,
}

impl<'a> Branch<'a> {
    fn insert(&mut self, words: &'a [String], spec: &'a CommandSpec) {
        match words.split_first() {
            Some((first, rest)) => self.below.entry(first).or_default().insert(rest, spec),
            None => self.spec = Some(spec),
        }
    }

    fn attach(&self, mut parent: Command) -> Command {
        for (word, branch) in &self.below {
            match parent.find_subcommand(word) {
                None => parent = parent.subcommand(branch.command(word)),
                // A fixed group such as `plugin` takes more; a fixed command stays what it is.
                Some(fixed) if fixed.has_subcommands() => {
                    parent = parent.mut_subcommand(word, |fixed| branch.attach(fixed));
                }
                Some(_) => {}
            }
        }
        parent
    }

    fn command(&self, word: &str) -> Command {
        match self.spec {
            Some(spec) => command(word, spec),
            None => {
                let about = GROUPS.iter().find(|(group, _)| *group == word).map(|(_, about)| *about);
                let group = Command::new(word.to_owned()).about(about.unwrap_or_default());
                self.attach(group.subcommand_required(true).arg_required_else_help(true))
            }
        }
    }
}

fn command(word: &str, spec: &CommandSpec) -> Command {
    let mut command = Command::new(word.to_owned()).about(spec.help.clone());
    for argument in &spec.arguments {
        command = command.arg(arg(argument));
    }
    let Some(wait) = &spec.wait else { return command };
    let by_itself = match wait.always.as_slice() {
        [] => String::new(),
        states => format!(", instead of: {}", states.join(", ")),
    };
    command
        .arg(
            Arg::new("wait")
                .long("wait")
                .value_name("STATE")
                .value_parser(state_of(wait))
                .help(format!("Return when this state is reached{by_itself}; exit code 1 when it is not in time")),
        )
        .arg(
            Arg::new("timeout")
                .long("timeout")
                .value_name("DURATION")
                .default_value(WAIT_PATIENCE)
                .value_parser(|text: &str| {
                    let wrong =
                        || "expected a duration: a whole number with ms, s, m, h or d, for example 30s".to_owned();
                    let milliseconds = value::milliseconds(text).ok_or_else(wrong)?;
                    u64::try_from(milliseconds).map(Duration::from_millis).map_err(|_| wrong())
                })
                .help("How long to wait"),
        )
}

/// A state that there is, where that is known: a word that is none is told before anything has been done.
fn state_of(wait: &Wait) -> ValueParser {
    if wait.states.is_empty() {
        return ValueParser::string();
    }
    let states = wait.states.iter().map(|state| PossibleValue::new(state.clone()).hide(state.contains('.')));
    PossibleValuesParser::new(states).into()
}

fn arg(argument: &Argument) -> Arg {
    let help = match argument.example.as_str() {
        "" => argument.help.clone(),
        example => format!("{}, for example {example}", argument.help),
    };
    let arg = Arg::new(id(argument)).help(sentence(&help));
    let arg = match (argument.positional, &argument.kind) {
        (_, ArgumentKind::Flag) => return arg.long(long(argument)).action(ArgAction::SetTrue),
        // Tokens, agent ids and signatures may begin with a hyphen.
        (true, _) => arg.allow_hyphen_values(true),
        (false, ArgumentKind::Text) => arg.long(long(argument)).allow_hyphen_values(true),
        (false, _) => arg.long(long(argument)).allow_negative_numbers(true),
    };
    let arg = arg.value_name(value_name(argument)).required(argument.required && argument.default.is_none());
    let arg = arg.value_parser(parser(argument));
    match &argument.default {
        Some(text) => arg.default_value(text.clone()),
        None => arg,
    }
}

fn parser(argument: &Argument) -> ValueParser {
    match &argument.kind {
        ArgumentKind::Choice(words) => PossibleValuesParser::new(words.clone()).map(Value::from).into(),
        _ => {
            let argument = argument.clone();
            let hyphens = argument.positional || argument.kind == ArgumentKind::Text;
            ValueParser::from(move |text: &str| match hyphens && looks_like_an_option(text) {
                true => {
                    Err(format!("no option `{text}` here, and {} is {}", shown(&argument), value::expected(&argument)))
                }
                false => value::read(&argument, text),
            })
        }
    }
}

/// `--usr` or `--usr=alice`: a mistyped option rather than a token or agent id, which have 22 characters
/// at least and hardly ever are all lower case.
pub fn looks_like_an_option(text: &str) -> bool {
    let Some(name) = text.strip_prefix("--") else { return false };
    let name = name.split('=').next().unwrap_or_default();
    !name.is_empty() && name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-')
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Names of a plugin's arguments cannot clash with the program's own.
fn id(argument: &Argument) -> String {
    format!("argument {}", argument.name)
}

fn argument(spec: &CommandSpec, matches: &ArgMatches) -> Value {
    let mut members = Map::new();
    for argument in &spec.arguments {
        let value = match argument.kind {
            ArgumentKind::Flag => Some(Value::from(matches.get_flag(&id(argument)))),
            _ => matches.get_one::<Value>(&id(argument)).cloned(),
        };
        if let Some(value) = value {
            members.insert(argument.name.clone(), value);
        }
    }
    Value::Object(members)
}

fn waiting(spec: &CommandSpec, matches: &ArgMatches) -> Option<Waiting> {
    let wait = spec.wait.as_ref()?;
    let state = matches.get_one::<String>("wait").cloned();
    if state.is_none() && wait.always.is_empty() {
        return None;
    }
    let patience = matches.get_one::<Duration>("timeout").copied().unwrap_or_default(); // it has a default
    Some(Waiting { state, patience })
}

#[cfg(test)]
mod tests;
