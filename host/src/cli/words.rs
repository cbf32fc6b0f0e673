//! The commands that every build has, whatever plugins there are.

use clap::{Arg, ArgAction, Command, value_parser};
use clap_complete::Shell;
use serde_json::Value;
use std::path::PathBuf;

/// Commands that need no manifests to be understood.
pub const LOCAL: [&str; 9] = ["init", "run", "demo", "doctor", "keys", "backup", "restore", "call", "watch"];

/// The commands about plugins among them.
pub const LOCAL_PLUGIN: [&str; 4] = ["check", "new", "replay", "test"];

/// Declared commands that make no sense while no site runs.
pub const RUNNING_ONLY: [&str; 1] = ["status"];

/// Above the options that every command has.
const EVERYWHERE: &str = "Options of every command";

/// The program's command line without what manifests declare.
pub fn fixed() -> Command {
    Command::new("tallyho")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A MyCHIPs site: private credit between people who trust each other")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .infer_subcommands(false)
        .arg(
            Arg::new("home")
                .long("home")
                .value_name("DIR")
                .global(true)
                .value_parser(value_parser!(PathBuf))
                .help_heading(EVERYWHERE)
                .help("Folder of the site [env: TALLYHO_HOME] [default: the user's data folder]"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .global(true)
                .action(ArgAction::SetTrue)
                .help_heading(EVERYWHERE)
                .help("Print one JSON value on standard output, and nothing else there"),
        )
        .subcommand(
            Command::new("init").about("Make the site's folder, keys and configuration; a second time changes nothing"),
        )
        .subcommand(run())
        .subcommand(demo())
        .subcommand(
            Command::new("doctor")
                .about("Check files, permissions, port, clock, store and plugins, and say what to do"),
        )
        .subcommand(plugin())
        .subcommand(call())
        .subcommand(keys())
        .subcommand(sealed(
            "backup",
            "Write all of the site to one encrypted file; it may be running",
            "The file to make",
        ))
        .subcommand(sealed("restore", "Put a backup in the place of a site that is not there", "The backup"))
        .subcommand(
            Command::new("watch").about("Print what happens until stopped; with --json one JSON object a line").arg(
                Arg::new("recent")
                    .long("recent")
                    .value_name("NUMBER")
                    .default_value("0")
                    .value_parser(value_parser!(u16))
                    .help("Begin with so many of what happened last"),
            ),
        )
        .subcommand(Command::new("completions").about("Print a script that completes commands in a shell").arg(
            Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell)).help("The shell"),
        ))
}

fn run() -> Command {
    Command::new("run")
        .about("Run the site until it is told to stop (TERM, or Ctrl-C)")
        .arg(
            Arg::new("listen")
                .long("listen")
                .value_name("HOST:PORT")
                .value_parser(listen)
                .help("Where to listen, instead of what the configuration says; port 0 takes any free one"),
        )
        .arg(
            Arg::new("plugins")
                .long("plugins")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Look for plugins in this folder first"),
        )
        .arg(
            Arg::new("plugin")
                .long("plugin")
                .value_name("NAME-or-PATH")
                .action(ArgAction::Append)
                .help("Load this plugin; may be given several times [default: all standard ones]"),
        )
        .arg(
            Arg::new("watch")
                .long("watch")
                .action(ArgAction::SetTrue)
                .help("Swap a plugin's library in as soon as it has been rebuilt"),
        )
        .arg(
            Arg::new("until-eof")
                .long("until-eof")
                .hide(true)
                .action(ArgAction::SetTrue)
                .help("Stop when standard input ends, for programs that run a site as their child"),
        )
}

fn demo() -> Command {
    Command::new("demo")
        .about("Show several sites at work on this machine, in a temporary folder")
        .arg(
            Arg::new("dir")
                .long("dir")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Make the sites' folders in here; it is made if missing"),
        )
        .arg(Arg::new("keep").long("keep").action(ArgAction::SetTrue).help("Leave the sites' folders there afterwards"))
}

fn plugin() -> Command {
    Command::new("plugin")
        .about("Plugins that handle the site's messages")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("check").about("Check all that a load would check; no site need run").arg(
                Arg::new("file")
                    .value_name("FILE")
                    .required(true)
                    .value_parser(value_parser!(PathBuf))
                    .help("The plugin's library, for example target/release/libmy_referee.so"),
            ),
        )
        .subcommand(
            Command::new("new")
                .about("Make a crate for a plugin: it builds, has a test, and an edit loop")
                .arg(
                    Arg::new("name")
                        .value_name("NAME")
                        .required(true)
                        .help("The plugin's name, for example my-notes; its crate is called tallyho-NAME"),
                )
                .arg(
                    Arg::new("kind")
                        .long("kind")
                        .value_name("KIND")
                        .default_value("handler")
                        .value_parser(["handler", "referee"])
                        .help("A handler of its own, or the standard referee with a policy of its own"),
                )
                .arg(
                    Arg::new("dir")
                        .long("dir")
                        .value_name("DIR")
                        .default_value(".")
                        .value_parser(value_parser!(PathBuf))
                        .help("Make the crate's folder in here; it is made if missing"),
                ),
        )
        .subcommand(
            Command::new("test")
                .about("Try a built plugin with what every plugin has to bear; no site need run")
                .arg(
                    Arg::new("file")
                        .value_name("FILE")
                        .required(true)
                        .value_parser(value_parser!(PathBuf))
                        .help("The plugin's library, for example target/debug/libtallyho_my_notes.so"),
                )
                .arg(
                    Arg::new("seconds")
                        .long("seconds")
                        .value_name("NUMBER")
                        .default_value("5")
                        .value_parser(value_parser!(u16).range(1..=600))
                        .help("How long one case may take before it counts as endless"),
                ),
        )
        .subcommand(replay())
}

fn replay() -> Command {
    let file = |id, name, help| Arg::new(id).long(id).value_name(name).required(true).help(help);
    Command::new("replay")
        .about(
            "Give a build the events that happened after a snapshot, and show what it does otherwise; no site need run",
        )
        .arg(
            file("store", "FILE", "The store as it was before: made by `tallyho plugin snapshot`")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            file(
                "journal",
                "FILE",
                "The journal of what happened then: a later snapshot, or the site's site.db itself",
            )
            .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            Arg::new("plugins")
                .long("plugins")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Look for the other plugins in this folder first"),
        )
        .arg(
            Arg::new("candidate")
                .value_name("CANDIDATE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The build's library, for example target/release/libtallyho_chit.so"),
        )
}

fn call() -> Command {
    Command::new("call")
        .about("Call any command that a plugin, or the host itself, declares")
        .arg(Arg::new("plugin").value_name("PLUGIN").required(true).help("Its name, for example tally, or host"))
        .arg(Arg::new("command").value_name("COMMAND").required(true).help("The command's name, for example show"))
        .arg(
            Arg::new("argument")
                .value_name("JSON")
                .default_value("{}")
                .value_parser(|text: &str| {
                    serde_json::from_str::<Value>(text)
                        .map_err(|error| format!("expected JSON, for example {{\"user\": \"alice\"}} ({error})"))
                })
                .help("Its arguments"),
        )
}

fn keys() -> Command {
    Command::new("keys")
        .about("The site's private keys")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(sealed("export", "Write the private keys to a file, encrypted", "The file to make"))
        .subcommand(sealed("import", "Take private keys from such a file", "The file"))
}

/// A command about a file under a passphrase.
fn sealed(name: &'static str, about: &'static str, file: &'static str) -> Command {
    Command::new(name)
        .about(about)
        .arg(Arg::new("file").value_name("FILE").required(true).value_parser(value_parser!(PathBuf)).help(file))
        .arg(
            Arg::new("passphrase-fd").long("passphrase-fd").value_name("NUMBER").value_parser(value_parser!(u16)).help(
                "Read the passphrase from this file descriptor (0 is standard input) instead of asking on the terminal",
            ),
        )
}

/// `HOST:PORT`, an IPv6 address in brackets. Whether the host exists shows when the site listens.
fn listen(text: &str) -> Result<String, String> {
    let wrong = "expected HOST:PORT, for example 127.0.0.1:65430 or [::1]:0";
    let (host, port) = text.rsplit_once(':').ok_or(wrong)?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.is_empty() || (host.contains(':') && !bracketed) || port.parse::<u16>().is_err() {
        return Err(wrong.to_owned());
    }
    Ok(text.to_owned())
}
