//! The fixture that counts, in builds of many kinds, and a site that runs it.

use crate::plugins::{build_library, find, patch_text};
use crate::site::Site;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use tempfile::TempDir;

const MARK: &str = "TALLYHO-FIXTURE-COUNTER:";
/// What the fixture has for words.
const ROOM: usize = 256 - MARK.len();

/// A library of the fixture, and where its settings are.
struct Library {
    bytes: Vec<u8>,
    place: usize,
}

impl Library {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).expect("a library just built can be read");
        let place = find(&bytes, MARK.as_bytes()) + MARK.len();
        Library { bytes, place }
    }
}

/// The one of this program's profile.
static LIBRARY: LazyLock<Arc<Library>> =
    LazyLock::new(|| Arc::new(Library::read(&build_library("tallyho-fixture-counter"))));

/// Builds of the fixture in a folder of their own.
pub struct Builds {
    folder: TempDir,
    library: Arc<Library>,
}

impl Builds {
    /// No build yet.
    ///
    /// # Panics
    /// When no folder can be made.
    pub fn new() -> Self {
        Builds { folder: folder(), library: Arc::clone(&LIBRARY) }
    }

    /// Builds made from this one.
    ///
    /// # Panics
    /// When it is no build of the fixture, or no folder can be made.
    pub fn of(library: &Path) -> Self {
        Builds { folder: folder(), library: Arc::new(Library::read(library)) }
    }

    /// A build with these settings (see the fixture), in a file of this name.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn make(&self, name: &str, settings: &str) -> PathBuf {
        let mut bytes = self.library.bytes.clone();
        patch_text(&mut bytes[self.library.place..], ROOM, settings);
        // Under another name first: a site may be reading.
        let (path, fresh) = (self.folder().join(name), self.folder().join(format!("{name}.new")));
        std::fs::write(&fresh, bytes).expect("the build can be written");
        std::fs::rename(&fresh, &path).expect("and named");
        path
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

impl Default for Builds {
    fn default() -> Self {
        Builds::new()
    }
}

/// A path as a command line or an argument has it.
///
/// # Panics
/// Where it is no text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary folder's name is text")
}

impl Site {
    /// Has the counter count a number; the version that did.
    ///
    /// # Panics
    /// When the command fails.
    pub fn count(&self, number: u64) -> String {
        let answer = self.call("counter", "add", &json!({ "number": number }));
        let answer = answer.unwrap_or_else(|fault| panic!("{number}: {fault}\n{}", self.log()));
        answer["version"].as_str().expect("it names its version").to_owned()
    }

    /// The numbers the counter has, each with how often it came.
    ///
    /// # Panics
    /// When the command fails.
    pub fn counted(&self) -> Vec<(u64, u64)> {
        let answer = self.call("counter", "report", &json!({})).unwrap_or_else(|fault| panic!("{fault}"));
        let rows = answer["numbers"].as_array().expect("numbers");
        rows.iter().map(|row| (row[0].as_u64().expect("a number"), row[1].as_u64().expect("a count"))).collect()
    }

    /// What `plugin list` says of the counter.
    ///
    /// # Panics
    /// When it is not there.
    pub fn counter(&self) -> Value {
        let list = self.call("host", "plugin.list", &json!({})).unwrap_or_else(|fault| panic!("{fault}"));
        let found = list.as_array().into_iter().flatten().find(|plugin| plugin["name"] == "counter");
        found.cloned().unwrap_or_else(|| panic!("no counter: {list}"))
    }

    /// Swaps a build in.
    ///
    /// # Panics
    /// When it is refused.
    pub fn swap(&self, file: &Path) -> Value {
        let swapped = self.call("host", "plugin.swap", &json!({ "name": "counter", "file": text(file) }));
        swapped.unwrap_or_else(|fault| panic!("{fault}\n{}", self.log()))
    }
}
