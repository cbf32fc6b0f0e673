//! The rules, with what they are for and what to do about a handler that breaks them.

/// A rule that every handler has to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// A word for scripts.
    pub name: &'static str,
    /// What it says, and why.
    pub about: &'static str,
    /// What to do where it is broken.
    pub fix: &'static str,
}

/// Passes every check of a load.
pub const LOADS: &str = "loads";
/// Takes up its work on empty tables, and again.
pub const STARTS: &str = "starts";
/// Never panics.
pub const NO_PANIC: &str = "no-panic";
/// Does not take the blame for what others sent.
pub const BLAME: &str = "blame";
/// The same event over the same tables wants the same.
pub const DETERMINISTIC: &str = "deterministic";
/// Another generation of the same build wants the same.
pub const SWAP: &str = "swap";
/// Answers are CBOR, and commands alone have any.
pub const ANSWERS: &str = "answers";
/// An event's effects are bounded.
pub const BOUNDED: &str = "bounded";
/// Tables are brought to its state version.
pub const STATE_VERSION: &str = "state-version";
/// Each call ends in time.
pub const IN_TIME: &str = "in-time";
/// No call ends the process.
pub const SURVIVES: &str = "survives";
/// A kind of event that it does not know is answered by a fault.
pub const FUTURE_EVENTS: &str = "future-events";

/// All rules. The first and the last three can be tried on a built library alone, in a process of its own.
pub const RULES: [Rule; 12] = [
    Rule {
        name: LOADS,
        about: "it passes every check of a load: the file, the ABI, a try in a child process, the manifest",
        fix: "see `tallyho plugin check FILE`",
    },
    Rule {
        name: STARTS,
        about: "Life::Started succeeds on empty tables and again on its own: a site could not be started otherwise",
        fix: "let Handler::life make do with tables that are empty, and with being called again",
    },
    Rule {
        name: NO_PANIC,
        about: "no event makes it panic: the host survives a panic, but the event has no effect and counts against you",
        fix: "return a Fault; read with Message::object, Command::arguments and checked arithmetic instead of unwrap",
    },
    Rule {
        name: BLAME,
        about: "what others send or type wrongly is their fault (Refused, Usage, NotFound), never Failed: that would \
                set their message aside and count against you",
        fix: "pass the fault of Message::object and Command::arguments on, and return Fault::refused or Fault::usage \
              for what does not fit; Fault::failed is for your own records",
    },
    Rule {
        name: DETERMINISTIC,
        about: "the same event over the same tables wants the same: the host runs events again after a conflict, and \
                compares builds by it",
        fix: "take time and random bytes from the context, keep nothing in `self` or statics, and iterate over \
              BTreeMap instead of HashMap",
    },
    Rule {
        name: SWAP,
        about: "another generation of the same build, made afresh, wants the same of each event: a swap or a restart \
                may come between any two",
        fix: "keep state in tables: what `self` and statics remember is gone after a swap",
    },
    Rule {
        name: ANSWERS,
        about: "a command's answer is one value in CBOR, other events have none (null)",
        fix: "build with export_plugin!, which sees to it; whoever answers by hand encodes one CBOR value",
    },
    Rule {
        name: BOUNDED,
        about: "an event has at most 10,000 effects and its rows fit (key 512 bytes, value 1 MiB): the host fails it \
                otherwise",
        fix: "do less in one event and set a timer for the rest; do not make keys of texts that others chose",
    },
    Rule {
        name: STATE_VERSION,
        about: "Handler::migrate brings tables from the state version before to its own, also empty ones and ones that \
                it has brought over already, and comes to an end",
        fix: "let Handler::migrate bear rows of both versions, and call migrate_again only while something is left",
    },
    Rule {
        name: IN_TIME,
        about: "each call ends within the deadline: the host suspends a plugin that is not done with an event in time",
        fix: "bound every loop; do the rest at a timer",
    },
    Rule {
        name: SURVIVES,
        about: "no call ends the process (abort, segfault, exit): that cannot be contained",
        fix: "look at `unsafe` code and at libraries in C; never call exit or abort",
    },
    Rule {
        name: FUTURE_EVENTS,
        about: "an event of a kind that the build does not know is answered by a fault of code unknown-event, as the \
                ABI promises newer hosts",
        fix: "build with export_plugin!, which sees to it",
    },
];

/// The rule of this name.
pub fn rule(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == name)
}
