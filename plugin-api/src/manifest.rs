//! What a plugin says about itself before it runs.

use serde::{Deserialize, Serialize};

/// A plugin's description of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// 1 to 32 bytes `[a-z][a-z0-9-]*`; unique among the plugins of a site. `host` is taken.
    pub name: String,
    /// The plugin's own version, for people.
    pub version: String,
    /// One line for people.
    #[serde(default)]
    pub about: String,
    /// Version of the layout of its tables; see `Handler::migrate`.
    pub state_version: u32,
    /// Later state versions that this build can work on too, so that it can be rolled back to from a build
    /// that has them. The rows it writes are of its own version; a later build's `Handler::migrate` is
    /// then given both kinds.
    #[serde(default)]
    pub reads_state: Vec<u32>,
    /// Message targets it claims.
    #[serde(default)]
    pub targets: Vec<Target>,
    /// Tables it owns. Only this plugin writes them.
    #[serde(default)]
    pub tables: Vec<String>,
    /// Tables of other plugins that it reads, as `plugin.table`.
    #[serde(default)]
    pub reads: Vec<String>,
    /// Commands it answers.
    #[serde(default)]
    pub commands: Vec<CommandSpec>,
}

/// A message target a plugin claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Target {
    /// 1 to 64 bytes `[a-z0-9.-]`.
    pub name: String,
    /// The actions known; messages with others are dropped silently (PROTOCOL 3.1 item 2).
    pub actions: Vec<String>,
    /// Where a message names the relation (tally) it belongs to, for the check of PROTOCOL 3.1
    /// item 5. Without it, any related agent may send to this target.
    #[serde(default)]
    pub relation: Option<RelationMember>,
    /// Actions that may come where no such relation is known yet (a first offer).
    #[serde(default)]
    pub unrelated: Vec<String>,
    /// Actions served on channels that prove nothing about their sender (PROTOCOL 1.5, `R`).
    #[serde(default)]
    pub restricted: Vec<String>,
    /// Actions taken beside these as answers, on restricted channels that this site has opened
    /// (`Outgoing::by_restricted_channel`).
    #[serde(default)]
    pub answers: Vec<String>,
    /// Actions for which `Handler::prepare` names signature checks; it is not asked for others.
    #[serde(default)]
    pub prepared: Vec<String>,
    /// Gives way where another plugin claims the target too: that one then has it whole, and hands over
    /// what is for this one (`Context::invoke`).
    #[serde(default)]
    pub yields: bool,
}

/// The member of a message that names its relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RelationMember {
    /// The member of `object` with this name.
    Object(String),
    /// The envelope's own `tally`; messages without it belong to no relation.
    Envelope,
}

/// A command a plugin answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CommandSpec {
    /// Name, as in `call PLUGIN NAME`: 1 to 64 bytes `[a-z0-9.-]`.
    pub name: String,
    /// The words that reach it from the command line (`["ticket", "new"]`); empty: by `call` only.
    #[serde(default)]
    pub words: Vec<String>,
    /// One line of help.
    pub help: String,
    /// Arguments, the positional ones first.
    #[serde(default)]
    pub arguments: Vec<Argument>,
    /// Whether the answer may be asked for while waiting: the command that reports a state.
    #[serde(default)]
    pub wait: Option<Wait>,
    /// Callable by other plugins through `Context::invoke`.
    #[serde(default)]
    pub invocable: bool,
    /// Asked by the doctor, which tells what it finds under this word; see [`CommandSpec::doctor`].
    #[serde(default)]
    pub doctor: Option<String>,
}

/// How `--wait STATE` finds out: `command` is called with `argument` set to the member of the same
/// name in the first answer, until member `member` of its answer is the state waited for. Where the first
/// answer is a list, the argument is taken from its first row, and the member `list` of the last report, if there
/// is one, is what is shown in the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Wait {
    /// The command that reports.
    pub command: String,
    /// Its argument, taken from the first answer.
    pub argument: String,
    /// The member of its answer that holds the state.
    pub member: String,
    /// States waited for without being asked (any of them ends the wait); empty: none.
    #[serde(default)]
    pub always: Vec<String>,
    /// States among these that mean failure (exit code 1).
    #[serde(default)]
    pub failed: Vec<String>,
    /// States that can be waited for, so that a word that is none is refused before the command is carried out; empty:
    /// any word is taken. Those with a dot in them are not shown in help.
    #[serde(default)]
    pub states: Vec<String>,
}

impl Wait {
    /// Asks `command` with `argument`, for its answer's `member`.
    pub fn new(command: &str, argument: &str, member: &str) -> Self {
        let [command, argument, member] = [command, argument, member].map(str::to_owned);
        Wait { command, argument, member, always: Vec::new(), failed: Vec::new(), states: Vec::new() }
    }

    /// Waits for these states without being asked.
    #[must_use]
    pub fn always<'a>(mut self, states: impl IntoIterator<Item = &'a str>) -> Self {
        self.always = states.into_iter().map(str::to_owned).collect();
        self
    }

    /// These states mean failure.
    #[must_use]
    pub fn failed<'a>(mut self, states: impl IntoIterator<Item = &'a str>) -> Self {
        self.failed = states.into_iter().map(str::to_owned).collect();
        self
    }

    /// These are the states that there are, in the order in which help names them.
    #[must_use]
    pub fn states<'a>(mut self, states: impl IntoIterator<Item = &'a str>) -> Self {
        self.states = states.into_iter().map(str::to_owned).collect();
        self
    }
}

/// One argument of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Argument {
    /// Member name in the command's arguments; the command line shows it as `--name` or `NAME`.
    pub name: String,
    /// What it holds.
    pub kind: ArgumentKind,
    /// One line of help.
    pub help: String,
    /// An example, shown when a value does not fit.
    #[serde(default)]
    pub example: String,
    /// By position rather than `--name`.
    #[serde(default)]
    pub positional: bool,
    /// Must be given.
    #[serde(default)]
    pub required: bool,
    /// Value if not given, as text.
    #[serde(default)]
    pub default: Option<String>,
}

/// What an argument holds, and how its text is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ArgumentKind {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// A duration such as `48h`, `30m`, `10s`, `7d`; handed on as whole milliseconds.
    Duration,
    /// A flag: present or absent; handed on as a boolean.
    Flag,
    /// JSON.
    Json,
    /// JSON where it parses, otherwise text.
    JsonOrText,
    /// One of these words.
    Choice(Vec<String>),
}

impl Manifest {
    /// A manifest with nothing claimed and state version 1.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Manifest {
            name: name.into(),
            version: version.into(),
            about: String::new(),
            state_version: 1,
            reads_state: Vec::new(),
            targets: Vec::new(),
            tables: Vec::new(),
            reads: Vec::new(),
            commands: Vec::new(),
        }
    }

    /// The same with a line for people.
    #[must_use]
    pub fn about(mut self, about: impl Into<String>) -> Self {
        self.about = about.into();
        self
    }

    /// The same with another state version.
    #[must_use]
    pub fn state_version(mut self, version: u32) -> Self {
        self.state_version = version;
        self
    }

    /// The same, able to work on tables of these later state versions too.
    #[must_use]
    pub fn reads_state(mut self, versions: &[u32]) -> Self {
        self.reads_state.extend(versions);
        self
    }

    /// The same, claiming a target.
    #[must_use]
    pub fn target(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }

    /// The same, owning tables.
    #[must_use]
    pub fn tables(mut self, names: &[&str]) -> Self {
        self.tables.extend(names.iter().map(ToString::to_string));
        self
    }

    /// The same, reading tables of others (`plugin.table`).
    #[must_use]
    pub fn reads(mut self, names: &[&str]) -> Self {
        self.reads.extend(names.iter().map(ToString::to_string));
        self
    }

    /// The same with a command.
    #[must_use]
    pub fn command(mut self, command: CommandSpec) -> Self {
        self.commands.push(command);
        self
    }
}

impl Target {
    /// A target with the actions it knows.
    pub fn new(name: impl Into<String>, actions: &[&str]) -> Self {
        Target {
            name: name.into(),
            actions: actions.iter().map(ToString::to_string).collect(),
            relation: None,
            unrelated: Vec::new(),
            restricted: Vec::new(),
            answers: Vec::new(),
            prepared: Vec::new(),
            yields: false,
        }
    }

    /// The same, messages naming their relation in this member of `object`.
    #[must_use]
    pub fn relation_in_object(mut self, member: impl Into<String>) -> Self {
        self.relation = Some(RelationMember::Object(member.into()));
        self
    }

    /// The same, messages naming their relation in the envelope's `tally`.
    #[must_use]
    pub fn relation_in_envelope(mut self) -> Self {
        self.relation = Some(RelationMember::Envelope);
        self
    }

    /// The same, these actions needing no relation known yet.
    #[must_use]
    pub fn unrelated(mut self, actions: &[&str]) -> Self {
        self.unrelated.extend(actions.iter().map(ToString::to_string));
        self
    }

    /// The same, with signature checks to be made beforehand for these actions.
    #[must_use]
    pub fn prepared(mut self, actions: &[&str]) -> Self {
        self.prepared.extend(actions.iter().map(ToString::to_string));
        self
    }

    /// The same, these actions being served to strangers too.
    #[must_use]
    pub fn restricted(mut self, actions: &[&str]) -> Self {
        self.restricted.extend(actions.iter().map(ToString::to_string));
        self
    }

    /// The same, taking these actions as answers of strangers that this site has asked.
    #[must_use]
    pub fn answers(mut self, actions: &[&str]) -> Self {
        self.answers.extend(actions.iter().map(ToString::to_string));
        self
    }

    /// The same, giving way to another plugin that claims the target too.
    #[must_use]
    pub fn yielding(mut self) -> Self {
        self.yields = true;
        self
    }
}

impl CommandSpec {
    /// A command reached by `call` only.
    pub fn new(name: impl Into<String>, help: impl Into<String>) -> Self {
        CommandSpec {
            name: name.into(),
            words: Vec::new(),
            help: help.into(),
            arguments: Vec::new(),
            wait: None,
            invocable: false,
            doctor: None,
        }
    }

    /// The same, reached from the command line by these words.
    #[must_use]
    pub fn words(mut self, words: &[&str]) -> Self {
        self.words = words.iter().map(ToString::to_string).collect();
        self
    }

    /// The same with one more argument.
    #[must_use]
    pub fn argument(mut self, argument: Argument) -> Self {
        self.arguments.push(argument);
        self
    }

    /// The same, able to wait for a state.
    #[must_use]
    pub fn wait(mut self, wait: Wait) -> Self {
        self.wait = Some(wait);
        self
    }

    /// The same, callable by other plugins.
    #[must_use]
    pub fn invocable(mut self) -> Self {
        self.invocable = true;
        self
    }

    /// The same, asked by `tallyho doctor` whether what the plugin keeps is sound; `subject` is the word
    /// for that, such as `chits`.
    ///
    /// It is called with `{}`, then with `{"from": NEXT}` for as long as its answer has a member `next`,
    /// so that no call takes long. Each answer is `{"looked": N, "faults": ["...", ...], "fix"?, "next"?}`:
    /// how much was looked at, what is wrong in words for a person, and what to do about it.
    #[must_use]
    pub fn doctor(mut self, subject: impl Into<String>) -> Self {
        self.doctor = Some(subject.into());
        self
    }
}

impl Argument {
    /// An optional `--name`.
    pub fn option(name: impl Into<String>, kind: ArgumentKind, help: impl Into<String>) -> Self {
        Argument {
            name: name.into(),
            kind,
            help: help.into(),
            example: String::new(),
            positional: false,
            required: false,
            default: None,
        }
    }

    /// A required argument by position.
    pub fn positional(name: impl Into<String>, kind: ArgumentKind, help: impl Into<String>) -> Self {
        Argument { positional: true, required: true, ..Self::option(name, kind, help) }
    }

    /// The same, required.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The same with an example.
    #[must_use]
    pub fn example(mut self, example: impl Into<String>) -> Self {
        self.example = example.into();
        self
    }

    /// The same with a value for when it is not given.
    #[must_use]
    pub fn default(mut self, text: impl Into<String>) -> Self {
        self.default = Some(text.into());
        self
    }
}
