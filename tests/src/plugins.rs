//! Libraries for tests to load, and bad ones made from good.

use serde_json::Value;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// A package's library as `cargo build --workspace` leaves it beside this program, with this program's
/// profile; built now where it is missing or older than its sources. Needs no network.
///
/// A build of the package alone (`--package`) would choose other features of its dependencies than the
/// workspace's build does, compile them all again, and put its file in the place of the other's under
/// tests that run.
///
/// # Panics
/// When it does not build.
pub fn build_library(package: &str) -> PathBuf {
    let name = package.replace('-', "_");
    built(&format!("{}{name}{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX))
}

/// A package's program likewise.
///
/// # Panics
/// When it does not build.
pub fn build_program(package: &str) -> PathBuf {
    built(&format!("{package}{}", env::consts::EXE_SUFFIX))
}

fn built(file: &str) -> PathBuf {
    let mut folder = env::current_exe().expect("a program knows its file");
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let path = folder.join(file);
    if !is_current(&path) {
        let profile = (!cfg!(debug_assertions)).then_some("--release");
        let output = cargo_command(&["build", "--workspace"]).args(profile).output().expect("cargo can be run");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`cargo build --workspace` fails, see tests/run:\n{errors}");
        assert!(path.exists(), "`cargo build --workspace` leaves no {}; run the tests by tests/run", path.display());
    }
    path
}

/// Whether a built file is younger than all its sources, which cargo lists in a file beside it.
fn is_current(path: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let Ok(list) = fs::read_to_string(path.with_extension("d")) else { return false };
    let built = time(path);
    let mut sources = list.lines().filter_map(|line| line.split_once(": ")).flat_map(|(_, sources)| {
        // Blanks inside of names are escaped.
        let sources = sources.replace("\\ ", "\0");
        sources.split(' ').map(|source| source.replace('\0', " ")).collect::<Vec<_>>()
    });
    path.exists() && sources.all(|source| time(Path::new(&source)) <= built)
}

/// [`build_library`] with more arguments for `rustc`, for that package alone.
///
/// # Errors
/// What the compiler said.
pub fn build_library_with(package: &str, rustc_arguments: &[&str]) -> Result<PathBuf, String> {
    cargo(&["rustc", "--lib"], package, rustc_arguments)
}

fn cargo(verb: &[&str], package: &str, rustc_arguments: &[&str]) -> Result<PathBuf, String> {
    let output = cargo_command(verb)
        .args(["--message-format=json-render-diagnostics", "--package", package])
        .args((!cfg!(debug_assertions)).then_some("--release"))
        .args((!rustc_arguments.is_empty()).then_some("--"))
        .args(rustc_arguments)
        .output()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let name = package.replace('-', "_");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == name.as_str())
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| file.extension().is_some_and(|extension| extension == env::consts::DLL_EXTENSION))
        .ok_or_else(|| format!("{package} gives no library; its crate-type has to name cdylib"))
}

fn cargo_command(verb: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    command.args(verb).args(["--quiet", "--offline"]);
    command
}

/// A folder for crates that tests make, the same each time: cargo then finds again what it has built of them.
///
/// # Panics
/// When it cannot be made.
pub fn workshop(name: &str) -> PathBuf {
    let folder = workspace_target().join("tmp").join(name);
    fs::create_dir_all(&folder).expect("a folder can be made in the target folder");
    folder
}

/// The workspace's target folder. Crates that are no members may share it, and what is compiled there, where none
/// of their dependencies is a `cdylib`: such a library has one name in it, whoever builds it, and the workspace's own
/// would be replaced by one that fits nothing here.
///
/// # Panics
/// When there is none.
pub fn workspace_target() -> PathBuf {
    let program = env::current_exe().expect("a program knows its file");
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    target.expect("a target folder").to_owned()
}

/// Runs cargo on a crate that is no member of the workspace, without network and with this program's profile.
///
/// # Errors
/// What cargo said.
pub fn cargo_elsewhere(folder: &Path, target: &Path, words: &[&str]) -> Result<(), String> {
    let output = cargo_command(words)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .args((!cfg!(debug_assertions)).then_some("--release"))
        .output()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()),
    }
}

/// The same library as another build, which does the same: its entry point differs, which no library has.
///
/// # Panics
/// When it is no library at all.
pub fn another_build(library: &[u8], number: u64) -> Vec<u8> {
    /// Where the header of a 64-bit ELF file has it.
    const ENTRY: std::ops::Range<usize> = 24..32;
    let mut bytes = library.to_vec();
    bytes[ENTRY].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// A package's library as `cargo build` leaves it for whoever works on it: not optimised. Built in a target folder of
/// its own, where it takes no other build's place.
///
/// # Panics
/// When it does not build.
pub fn development_build(package: &str) -> PathBuf {
    let target = workshop("development");
    let output = cargo_command(&["build", "--package", package]).env("CARGO_TARGET_DIR", &target).output();
    let output = output.expect("cargo can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let name = package.replace('-', "_");
    target.join(format!("debug/{}{name}{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX))
}

/// Replaces the text that `place` begins with, padded with spaces to `room`.
///
/// # Panics
/// When the text has no room.
pub fn patch_text(place: &mut [u8], room: usize, text: &str) {
    assert!(text.len() <= room, "{text:?} has no room");
    place[..room].fill(b' ');
    place[..text.len()].copy_from_slice(text.as_bytes());
}

/// Where these bytes are.
///
/// # Panics
/// When they are not there.
pub fn find(library: &[u8], bytes: &[u8]) -> usize {
    let found = library.windows(bytes.len()).position(|window| window == bytes);
    found.unwrap_or_else(|| panic!("{} is not in the library", String::from_utf8_lossy(bytes)))
}
