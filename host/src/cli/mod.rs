//! The command line: fixed commands, and those that the site and its plugins declare.
//!
//! [`words`] holds the fixed ones, [`declared`] makes the others from manifests, [`reach`] finds the
//! site they are for, [`wait`] waits for what they lead to, [`show`] and [`report`] print. What the rest
//! of the program has to offer is behind [`Backend`].

mod backend;
mod console;
mod declared;
mod demo;
mod limits;
mod line;
mod plugins;
mod reach;
mod report;
mod show;
#[cfg(test)]
mod tests;
mod value;
mod wait;
mod words;

pub use backend::{Backend, Ready, RunOptions};
pub use console::{Console, Printed};

use clap::{ArgMatches, Command};
use clap_complete::Shell;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tallyho_plugin::Fault;

use crate::control::Client;
use crate::kit::{Kind, Order};
use line::Line;
use reach::{Reached, Site, reach};

/// The whole program: reads the command line of this process and carries it out.
pub fn main(backend: &dyn Backend) -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if Line::scan(&args).words.first().is_none_or(|word| word != "run") {
        // A site that runs logs as its configuration says; others have little to tell.
        let quiet = env_logger::Env::default().default_filter_or("warn");
        env_logger::Builder::from_env(quiet).format_timestamp(None).init();
    }
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let terminal = out.is_terminal();
    let home = std::env::var_os("TALLYHO_HOME");
    ExitCode::from(run(&args, &mut Console { out: &mut out, err: &mut err, terminal, home }, backend))
}

/// Carries a command line out (the program's name first) and gives the exit code: 0 done, 1 could not
/// be done, 2 wrong use.
pub fn run(args: &[OsString], console: &mut Console<'_>, backend: &dyn Backend) -> u8 {
    let line = Line::scan(args);
    match attempt(args, &line, console, backend) {
        Ok(code) => code,
        Err(fault) => {
            console.remark(&report::written(&fault, line.json));
            report::exit_code(&fault)
        }
    }
}

fn attempt(args: &[OsString], line: &Line, console: &mut Console<'_>, backend: &dyn Backend) -> Result<u8, Fault> {
    let home = backend.locate(line.home.as_deref(), console.home.clone());
    let reached = if line.is_local() {
        let unused = Fault::failed("a fixed command does not ask the site");
        Reached { site: Site::Absent(unused), declared: declared::Declared::default() }
    } else {
        reach(&home, line.only_looks(), backend)
    };
    let mut command = reached.declared.attach(words::fixed()).after_help(explanation(&reached.site));
    let matches = match command.try_get_matches_from_mut(args) {
        Ok(matches) => matches,
        Err(error) if report::is_help(&error) => {
            return console.print(&error.render().to_string()).map(|_| 0);
        }
        Err(error) if report::is_question(&error) && !line.json => {
            console.remark(&error.render().to_string());
            return Ok(2);
        }
        Err(error) => return Err(misused(&error, line, &reached)),
    };
    let task = Task { line, home, backend };
    match matches.subcommand() {
        Some(("init", _)) => task.answer(console, &["init"], &backend.init(&task.home()?)?),
        Some(("run", options)) => task.run(console, options),
        Some(("demo", options)) => task.demo(console, options),
        Some(("doctor", _)) => task.verdict(console, &["doctor"], &backend.doctor(&task.home()?)?),
        Some(("plugin", below)) if is_local(below) => task.plugin(console, below),
        Some(("keys", below)) => {
            let (word, arguments) = below.subcommand().unwrap_or(("", below));
            task.sealed(console, &["keys", word], arguments)
        }
        Some(("backup", arguments)) => task.sealed(console, &["backup"], arguments),
        Some(("restore", arguments)) => task.sealed(console, &["restore"], arguments),
        Some(("call", arguments)) => task.call(console, arguments),
        Some(("watch", arguments)) => task.watch(console, arguments),
        Some(("completions", arguments)) => task.completions(console, arguments, &mut command),
        _ => task.declared(console, &matches, &reached),
    }
}

/// A command line that was understood.
struct Task<'a> {
    line: &'a Line,
    home: Result<PathBuf, Fault>,
    backend: &'a dyn Backend,
}

impl Task<'_> {
    fn home(&self) -> Result<PathBuf, Fault> {
        self.home.clone()
    }

    /// Prints an answer.
    fn answer(&self, console: &mut Console<'_>, words: &[&str], answer: &Value) -> Result<u8, Fault> {
        let text = match self.line.json {
            true => format!("{answer}\n"),
            false => show::show(words, answer),
        };
        console.print(&text).map(|_| 0)
    }

    /// Prints an answer that says whether all is well.
    fn verdict(&self, console: &mut Console<'_>, words: &[&str], answer: &Value) -> Result<u8, Fault> {
        self.answer(console, words, answer)?;
        Ok(if answer["ok"] == true { 0 } else { 1 })
    }

    fn run(&self, console: &mut Console<'_>, options: &ArgMatches) -> Result<u8, Fault> {
        let asked = RunOptions {
            listen: options.get_one("listen").cloned(),
            plugins: options.get_one("plugins").cloned(),
            plugin: options.get_many("plugin").unwrap_or_default().cloned().collect(),
            watch: options.get_flag("watch"),
        };
        if options.get_flag("until-eof") {
            std::thread::spawn(stop_at_end_of_input);
        }
        let home = self.home()?;
        let mut ready = |ready: &Ready| {
            let text = match self.line.json {
                true => format!("{}\n", json!({"ready": true, "agent": ready.agent, "listen": ready.listen})),
                false => format!("site {} listens on {}; Ctrl-C stops it\n", ready.agent, ready.listen),
            };
            // A site serves on whether or not anybody hears that it does.
            if let Err(fault) = console.print(&text) {
                log::warn!("{fault}");
            }
        };
        self.backend.run(&home, &asked, &mut ready).map(|()| 0)
    }

    fn demo(&self, console: &mut Console<'_>, options: &ArgMatches) -> Result<u8, Fault> {
        let asked = demo::Options {
            folder: options.get_one::<PathBuf>("dir").cloned(),
            keep: options.get_flag("keep"),
            json: self.line.json,
        };
        demo::demo(&asked, console)
    }

    fn plugin(&self, console: &mut Console<'_>, below: &ArgMatches) -> Result<u8, Fault> {
        let (word, arguments) = below.subcommand().unwrap_or(("", below));
        let file = || required::<PathBuf>(Some(arguments), "file");
        match word {
            "check" => self.verdict(console, &["plugin", word], &self.backend.check_plugin(file()?)?),
            "replay" => self.replay(console, below),
            "test" => {
                let seconds: &u16 = required(Some(arguments), "seconds")?;
                let deadline = Duration::from_secs((*seconds).into());
                self.verdict(console, &["plugin", word], &self.backend.test_plugin(file()?, deadline)?)
            }
            _ => {
                let kind: &String = required(Some(arguments), "kind")?;
                let kind = if kind == "referee" { Kind::Referee } else { Kind::Handler };
                let (name, folder): (&String, &PathBuf) =
                    (required(Some(arguments), "name")?, required(Some(arguments), "dir")?);
                let order = Order { name: name.clone(), kind, folder: folder.clone() };
                self.answer(console, &["plugin", "new"], &self.backend.new_plugin(&order)?)
            }
        }
    }

    fn replay(&self, console: &mut Console<'_>, below: &ArgMatches) -> Result<u8, Fault> {
        let arguments = below.subcommand_matches("replay");
        let (store, journal): (&PathBuf, &PathBuf) = (required(arguments, "store")?, required(arguments, "journal")?);
        let folder: Option<&PathBuf> = arguments.and_then(|arguments| arguments.get_one("plugins"));
        let candidate: &PathBuf = required(arguments, "candidate")?;
        // Its plugins are looked for there too, where it is known.
        let home = self.home().unwrap_or_default();
        let answer = self.backend.replay(&home, store, journal, folder.map(PathBuf::as_path), candidate)?;
        self.verdict(console, &["plugin", "replay"], &answer)
    }

    /// What is done with a file under a passphrase.
    fn sealed(&self, console: &mut Console<'_>, words: &[&str], arguments: &ArgMatches) -> Result<u8, Fault> {
        let file: &PathBuf = required(Some(arguments), "file")?;
        let home = self.home()?;
        let mut source = arguments.get_one("passphrase-fd").copied().map(descriptor).transpose()?;
        let passphrase = source.as_mut().map(|source| source as &mut dyn Read);
        let answer = match words {
            ["backup"] => self.backend.backup(&home, file, passphrase)?,
            ["restore"] => self.backend.restore(&home, file, passphrase)?,
            [_, "export"] => self.backend.export_keys(&home, file, passphrase)?,
            _ => self.backend.import_keys(&home, file, passphrase)?,
        };
        self.answer(console, words, &answer)
    }

    fn call(&self, console: &mut Console<'_>, arguments: &ArgMatches) -> Result<u8, Fault> {
        let plugin: &String = required(Some(arguments), "plugin")?;
        let command: &String = required(Some(arguments), "command")?;
        let argument: &Value = required(Some(arguments), "argument")?;
        let reached = reach(&self.home, false, self.backend);
        let answer = reached.site.operator()?.call(plugin, command, argument)?;
        self.answer(console, &["call"], &answer)
    }

    fn watch(&self, console: &mut Console<'_>, arguments: &ArgMatches) -> Result<u8, Fault> {
        let recent: &u16 = required(Some(arguments), "recent")?;
        let client = Client::connect(&self.backend.socket(&self.home()?))?;
        let mut notices = client.notices((*recent).into())?;
        loop {
            let Some(notice) = notices.next(None)? else { continue };
            let text = if self.line.json { format!("{notice}\n") } else { show::notice(&notice) };
            if console.print(&text)? == Printed::Unread {
                return Ok(0);
            }
        }
    }

    fn completions(
        &self,
        console: &mut Console<'_>,
        arguments: &ArgMatches,
        command: &mut Command,
    ) -> Result<u8, Fault> {
        let shell: &Shell = required(Some(arguments), "shell")?;
        let mut script = Vec::new();
        clap_complete::generate(*shell, command, "tallyho", &mut script);
        let script = String::from_utf8_lossy(&script).into_owned();
        console.print(&if self.line.json { format!("{}\n", Value::from(script)) } else { script }).map(|_| 0)
    }

    fn declared(&self, console: &mut Console<'_>, matches: &ArgMatches, reached: &Reached) -> Result<u8, Fault> {
        let mut chosen =
            reached.declared.chosen(matches).ok_or_else(|| Fault::failed("a command without a meaning"))?;
        plugins::prepare(&mut chosen);
        let words: Vec<&str> = chosen.spec.words.iter().map(String::as_str).collect();
        let waited = reached.site.perform(&chosen)?;
        self.answer(console, &words, &waited.answer)?;
        let link = waited.answer["link"].as_str().filter(|_| show::HANDED_OUT.contains(&words.as_slice()));
        let for_a_person = console.terminal && !self.line.json;
        if let Some(code) = link.filter(|_| for_a_person).and_then(|link| self.backend.qr(link)) {
            console.print(&format!("\n{code}\n"))?;
        }
        match waited.failure {
            None => Ok(0),
            Some(fault) => Err(fault),
        }
    }
}

/// A command about plugins that no site is asked for.
fn is_local(below: &ArgMatches) -> bool {
    below.subcommand_name().is_some_and(|word| words::LOCAL_PLUGIN.contains(&word))
}

/// An argument without which `clap` would not have taken the command line.
fn required<'a, T: Clone + Send + Sync + 'static>(matches: Option<&'a ArgMatches>, id: &str) -> Result<&'a T, Fault> {
    matches.and_then(|matches| matches.get_one(id)).ok_or_else(|| Fault::failed(format!("argument {id} is missing")))
}

/// What a descriptor that this process was started with holds.
fn descriptor(number: u16) -> Result<File, Fault> {
    let path = format!("/dev/fd/{number}");
    File::open(&path).map_err(|error| {
        Fault::usage(format!("--passphrase-fd {number}: cannot read {path}: {error}"))
            .fix(format!("open it for the command, for example `--passphrase-fd {number} {number}< FILE`"))
    })
}

/// Tells this process to stop in the ordinary way when standard input ends.
fn stop_at_end_of_input() {
    let mut rest = [0; 512];
    let mut input = std::io::stdin().lock();
    while input.read(&mut rest).is_ok_and(|count| count > 0) {}
    if let Err(error) = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM) {
        log::error!("cannot stop at the end of standard input: {error}");
    }
}

/// What the help says about commands that are not there.
fn explanation(site: &Site) -> String {
    match site {
        Site::Running(_) | Site::Here(_) => String::new(),
        Site::Absent(_) => "Commands such as `ticket` and `tally` come from plugins. No site was asked, so these are\n\
                            what this program knows by itself; where a site runs (`tallyho run`), all it has is shown."
            .to_owned(),
    }
}

/// Wrong use; where the commands of plugins could not be known, that too.
fn misused(error: &clap::Error, line: &Line, reached: &Reached) -> Fault {
    let fault = report::usage(error, reached.declared.begun(&line.words), &line.words);
    match &reached.site {
        Site::Absent(why) if error.kind() == clap::error::ErrorKind::InvalidSubcommand && !line.is_local() => {
            let fix = fault.fix.clone().unwrap_or_default();
            let also = why.fix.as_ref().map(|fix| format!(": {fix}")).unwrap_or_default();
            fault.fix(format!("{fix}\ncommands of plugins are not known, because {}{also}", why.text))
        }
        _ => fault,
    }
}
