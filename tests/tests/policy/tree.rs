//! The project's own files.

use std::fs;
use std::path::{Path, PathBuf};

/// Names of what is not written by hand (`.git` is a file in a worktree).
const SKIPPED: [&str; 2] = [".git", "target"];

/// A file of the project.
pub struct Source {
    /// Path from the project's root, with `/` between its parts.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// The project's root folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests' crate is in a folder of the root").to_path_buf()
}

/// Every text file under `folder` (a path from the root, or empty), sorted by path.
pub fn text_files(folder: &str) -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    collect(&root, &root.join(folder), &mut found);
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// Every Rust file under `folder`.
pub fn rust_files(folder: &str) -> Vec<Source> {
    text_files(folder).into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{} cannot be listed: {error}", folder.display()));
    for entry in entries {
        let entry = entry.unwrap();
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if SKIPPED.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if kind.is_dir() {
            collect(root, &path, found);
        } else if kind.is_file()
            && let Ok(text) = String::from_utf8(fs::read(&path).unwrap())
        {
            let path = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            found.push(Source { path, text });
        }
    }
}
