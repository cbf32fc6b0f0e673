//! Libraries for tests to load, built when first asked for, and bad ones made from good.

use serde_json::Value;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds a package's library with the profile that this program was built with, and gives its path.
/// Does nothing where it is up to date; needs no network. Cargo makes those who ask at once wait.
///
/// # Panics
/// When it does not build.
pub fn build_library(package: &str) -> PathBuf {
    cargo(&["build"], package, &[]).unwrap_or_else(|errors| panic!("{package} does not build:\n{errors}"))
}

/// Builds a package's program likewise.
///
/// # Panics
/// When it does not build.
pub fn build_program(package: &str) -> PathBuf {
    let built = artifacts(&["build"], package, &[]);
    let messages = built.unwrap_or_else(|errors| panic!("{package} does not build:\n{errors}"));
    let program = messages.iter().find_map(|message| message["executable"].as_str().map(PathBuf::from));
    program.expect("a package with a binary gives a program")
}

/// [`build_library`] with more arguments for `rustc`, for that package alone.
///
/// # Errors
/// What the compiler said.
pub fn build_library_with(package: &str, rustc_arguments: &[&str]) -> Result<PathBuf, String> {
    cargo(&["rustc", "--lib"], package, rustc_arguments)
}

fn cargo(verb: &[&str], package: &str, rustc_arguments: &[&str]) -> Result<PathBuf, String> {
    artifacts(verb, package, rustc_arguments)?
        .iter()
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| file.extension().is_some_and(|extension| extension == env::consts::DLL_EXTENSION))
        .ok_or_else(|| format!("{package} gives no library; its crate-type has to name cdylib"))
}

/// What cargo says of the package's targets.
fn artifacts(verb: &[&str], package: &str, rustc_arguments: &[&str]) -> Result<Vec<Value>, String> {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    // What cargo tells a test about its own package is not for the packages built here: ring's build script
    // looks at it, so ring and all that needs it would be built again, and then again by the person's next build.
    let own = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    env::vars_os()
        .filter(|(name, _)| name.to_str().is_some_and(own))
        .for_each(|(name, _)| drop(command.env_remove(name)));
    let output = command
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .args(verb)
        .args(["--quiet", "--offline", "--message-format=json-render-diagnostics", "--package", package])
        .args((!cfg!(debug_assertions)).then_some("--release"))
        .args((!rustc_arguments.is_empty()).then_some("--"))
        .args(rustc_arguments)
        .output()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let name = package.replace('-', "_");
    let messages = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == name.as_str())
        .collect();
    Ok(messages)
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
