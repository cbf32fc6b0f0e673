//! Which `tallyho-plugin` a new crate is built against: the checkout that this program was built from, where it
//! is still there and of this version, or else the published crate.

use std::path::{Path, PathBuf};

/// This program's version; the API's is the same.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where the API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Api {
    /// In a checkout, whose root this is. Nothing need be fetched: its `Cargo.lock` names what is here already.
    Checkout(PathBuf),
    /// In the registry, in this version.
    Registry,
}

impl Api {
    /// Finds it.
    pub fn find() -> Self {
        Api::among(&places())
    }

    /// The first of these places that is a checkout of this version.
    pub fn among(places: &[PathBuf]) -> Self {
        let found = places.iter().find(|place| is_checkout(place));
        found.map_or(Api::Registry, |place| Api::Checkout(place.clone()))
    }

    /// What stands behind `name = ` in a `Cargo.toml`.
    pub fn dependency(&self, folder: &str, features: &[&str]) -> String {
        let place = match self {
            Api::Checkout(root) => {
                format!("path = {}", toml::Value::from(root.join(folder).to_string_lossy().into_owned()))
            }
            Api::Registry => format!("version = \"{VERSION}\""),
        };
        match features {
            [] => format!("{{ {place} }}"),
            _ => format!("{{ {place}, features = {features:?} }}"),
        }
    }

    /// In words.
    pub fn in_words(&self) -> String {
        match self {
            Api::Checkout(root) => format!(
                "tallyho-plugin {VERSION} of the checkout in {}, with the versions of its Cargo.lock, so that cargo \
                 needs no network",
                root.display()
            ),
            Api::Registry => format!(
                "tallyho-plugin {VERSION} of the registry, since the checkout that this program was built from is \
                 not here; cargo fetches it"
            ),
        }
    }
}

/// Folders above this program's file, as in `target/release` of a checkout that was moved; then where it was built.
fn places() -> Vec<PathBuf> {
    let program = std::env::current_exe().unwrap_or_default();
    let above = program.ancestors().skip(1).map(Path::to_owned);
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned);
    above.chain(built).collect()
}

fn is_checkout(place: &Path) -> bool {
    let read = |file: &str| -> Option<toml::Table> { std::fs::read_to_string(place.join(file)).ok()?.parse().ok() };
    let (Some(root), Some(api)) = (read("Cargo.toml"), read("plugin-api/Cargo.toml")) else { return false };
    let version = root.get("workspace").and_then(|workspace| workspace.get("package")?.get("version")?.as_str());
    let name = api.get("package").and_then(|package| package.get("name")?.as_str());
    // A path that is no text cannot stand in a Cargo.toml.
    version == Some(VERSION) && name == Some("tallyho-plugin") && place.to_str().is_some()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    fn checkout(folder: &Path, version: &str) -> PathBuf {
        let place = folder.join(version);
        fs::create_dir_all(place.join("plugin-api")).unwrap();
        fs::write(place.join("Cargo.toml"), format!("[workspace.package]\nversion = \"{version}\"\n")).unwrap();
        fs::write(place.join("plugin-api/Cargo.toml"), "[package]\nname = \"tallyho-plugin\"\n").unwrap();
        place
    }

    #[test]
    fn a_checkout_of_this_version_goes_before_the_registry_and_another_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let (other, own) = (checkout(folder.path(), "0.0.9"), checkout(folder.path(), VERSION));
        assert_eq!(Api::among(&[folder.path().to_owned(), other.clone()]), Api::Registry);
        assert_eq!(Api::among(&[other, own.clone()]), Api::Checkout(own.clone()));
        let line = Api::Checkout(own.clone()).dependency("plugin-api", &["testkit"]);
        let read: toml::Table = format!("x = {line}").parse().unwrap();
        assert_eq!(read["x"]["path"].as_str(), own.join("plugin-api").to_str());
        assert_eq!(read["x"]["features"][0].as_str(), Some("testkit"));
        assert_eq!(Api::Registry.dependency("plugin-api", &[]), format!("{{ version = \"{VERSION}\" }}"));
    }

    #[test]
    fn this_program_finds_its_own_checkout() {
        let Api::Checkout(root) = Api::find() else { panic!("no checkout") };
        assert!(root.join("plugin-api/src/lib.rs").exists());
    }
}
