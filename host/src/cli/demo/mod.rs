//! Several sites on loopback, driven through their control sockets with the calls that people use.
//!
//! [`steps`], [`chits`] and [`lifts`] say what happens, [`debts`] what must be true then, [`world`] what a step has at hand, [`process`] runs the sites.

mod chits;
mod debts;
mod lifts;
mod process;
mod steps;
#[cfg(test)]
mod tests;
mod world;

use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;
use tallyho_plugin::Fault;

use super::console::Console;
use super::limits::{DEMO_LOG_LINES, DEMO_STEP};
use super::report;
use process::Processes;
use steps::{LAST, STEPS, Step};
use world::World;

/// How the demo was asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where to make the sites' folder, instead of the system's place for temporary ones.
    pub folder: Option<PathBuf>,
    /// Leave it there.
    pub keep: bool,
    /// Report as JSON only.
    pub json: bool,
}

/// Runs the demo; the exit code is 0 only if every step succeeded. Processes are ended and the folder is
/// removed whatever happens, on Ctrl-C too.
///
/// # Errors
/// No folder could be made, or the output not be written.
pub fn demo(options: &Options, console: &mut Console<'_>) -> Result<u8, Fault> {
    let program = std::env::current_exe()
        .map_err(|error| Fault::host(format!("demo: cannot find this program's own file: {error}")))?;
    demo_of(vec![program.into(), "run".into()], options, console)
}

/// The same with sites run by `command`.
fn demo_of(command: Vec<OsString>, options: &Options, console: &mut Console<'_>) -> Result<u8, Fault> {
    let system = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| {
            Fault::host(format!("demo: cannot {what}: {error}")).fix("name a folder with --dir")
        }
    };
    let parent = options.folder.clone().unwrap_or_else(std::env::temp_dir);
    fs::create_dir_all(&parent).map_err(system(&format!("make {}", parent.display())))?;
    let mut folder = tempfile::Builder::new()
        .prefix("tallyho-demo-")
        .tempdir_in(&parent)
        .map_err(system(&format!("make a folder in {}", parent.display())))?;
    folder.disable_cleanup(options.keep);
    let processes = Processes::new(command, folder.path());
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(system("catch Ctrl-C"))?;
    let signalled = signals.handle();
    let code = thread::scope(|scope| {
        scope.spawn(|| signals.forever().for_each(|_| processes.interrupt()));
        let steps = STEPS.iter().chain(lifts::STEPS).chain(LAST);
        let code = play(steps, &mut World::new(&processes, DEMO_STEP), options, folder.path(), console);
        // Ended here, before the folder goes, and while Ctrl-C still finds somebody.
        processes.end();
        signalled.close();
        code
    })?;
    if options.keep && !options.json {
        console.print(&format!("kept in {}\n", folder.path().display()))?;
    }
    Ok(code)
}

/// Runs steps until one fails, telling of each.
fn play<'s>(
    steps: impl IntoIterator<Item = &'s Step>,
    world: &mut World<'_>,
    options: &Options,
    folder: &Path,
    console: &mut Console<'_>,
) -> Result<u8, Fault> {
    let mut told: Vec<Value> = Vec::new();
    let mut failure = None;
    for step in steps {
        let begun = Instant::now();
        let result = (step.run)(world);
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        told.push(json!({"name": step.name, "ok": result.is_ok(), "ms": ms}));
        let (mark, words) = match &result {
            Ok(words) => ('✓', words.as_str()),
            Err(_) => ('✗', step.name),
        };
        if !options.json {
            // What follows the sentence stands below it.
            let words = words.replace('\n', &format!("\n{:13}", ""));
            console.print(&format!("{mark} {ms:>6} ms  {words}\n"))?;
        }
        if let Err(fault) = result {
            failure = Some(if world.interrupted() { Fault::refused("interrupted").code("interrupted") } else { fault });
            break;
        }
    }
    if options.json {
        let mut answer = json!({"steps": told, "ok": failure.is_none()});
        if options.keep {
            answer["dir"] = folder.display().to_string().into();
        }
        console.print(&format!("{answer}\n"))?;
    }
    let Some(fault) = failure else { return Ok(0) };
    if !options.json {
        console.remark(&last_words(world));
    }
    console.remark(&report::written(&fault, options.json));
    Ok(1)
}

/// The end of each site's log.
fn last_words(world: &World<'_>) -> String {
    let mut text = String::new();
    for (name, log) in world.logs() {
        let lines: Vec<&str> = log.lines().collect();
        if !lines.is_empty() {
            text += &format!("the end of {name}'s log:\n");
        }
        for line in &lines[lines.len().saturating_sub(DEMO_LOG_LINES)..] {
            text += &format!("  {line}\n");
        }
    }
    text
}
