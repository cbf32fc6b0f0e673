//! `tallyho plugin new`: a crate that builds, with a test, a README and an edit loop.

use super::api::Api;
use crate::plugin::find::file_name;
use crate::plugin::limits::MAX_NAME;
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tallyho_plugin::Fault;

/// What kind of plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A handler of its own.
    Handler,
    /// The standard referee with a policy of its own.
    Referee,
}

/// What is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The plugin's name; its crate is called `tallyho-NAME`.
    pub name: String,
    /// What kind.
    pub kind: Kind,
    /// The folder in which the crate's own is made.
    pub folder: PathBuf,
}

/// Names that are taken: the host's own, the API's, and those of the standard plugins.
const TAKEN: [&str; 7] = ["host", "plugin", "tally", "chit", "route", "lift", "referee"];

/// Makes the crate: all of it or nothing. `{name, kind, plugin, crate, folder, files, api, next}`.
///
/// # Errors
/// A name that cannot be had, a folder that is there already, or what the system says.
pub fn make(order: &Order, api: &Api) -> Result<Value, Fault> {
    check_name(&order.name)?;
    let folder = std::path::absolute(&order.folder).map_err(|error| system(&order.folder, &error))?;
    let crate_ = format!("tallyho-{}", order.name);
    let place = folder.join(&crate_);
    if fs::symlink_metadata(&place).is_ok() {
        return Err(Fault::refused(format!("{} is there already, and nothing is overwritten", place.display()))
            .code("exists")
            .fix("choose another name, or another folder with --dir DIR"));
    }
    fs::create_dir_all(&folder).map_err(|error| system(&folder, &error))?;
    // Beside its place first, so that nothing is left half made.
    let draft = tempfile::Builder::new().prefix(".tallyho-new-").tempdir_in(&folder);
    let draft = draft.map_err(|error| system(&folder, &error))?;
    let files = files(order, api, &place);
    for (name, text) in &files {
        write(draft.path(), name, text).map_err(|error| system(&draft.path().join(name), &error))?;
    }
    let mut names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    if let Api::Checkout(root) = api {
        names.push("Cargo.lock");
        let lock = root.join("Cargo.lock");
        fs::copy(&lock, draft.path().join("Cargo.lock")).map_err(|error| system(&lock, &error))?;
    }
    fs::set_permissions(draft.path(), fs::Permissions::from_mode(0o755)).map_err(|error| system(&place, &error))?;
    fs::rename(draft.path(), &place).map_err(|error| system(&place, &error))?;
    Ok(json!({
        "name": order.name,
        "kind": kind(order.kind),
        "plugin": plugin(order),
        "crate": crate_,
        "folder": place,
        "files": names,
        "api": api.in_words(),
        "offline": matches!(api, Api::Checkout(_)),
        "next": format!("cd {} && ./loop", place.display()),
    }))
}

fn check_name(name: &str) -> Result<(), Fault> {
    let usage = |text: String, fix: &str| Err(Fault::usage(text).code("name").fix(fix));
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins = name.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    if !begins || name.len() > MAX_NAME || !name.bytes().all(fits) || name.ends_with('-') {
        let text = format!("NAME is {name:?}, expected 1 to {MAX_NAME} bytes [a-z][a-z0-9-]*, the last one no hyphen");
        return usage(text, "for example my-notes");
    }
    if name.starts_with("tallyho-") {
        return usage(format!("NAME is {name:?}"), "leave `tallyho-` away: the crate is called so by itself");
    }
    if TAKEN.contains(&name) {
        let text = format!("NAME is {name:?}, which is the host's own or a standard plugin's");
        return usage(text, "choose another name; `--kind referee` makes a referee of any name");
    }
    Ok(())
}

fn system(path: &Path, error: &io::Error) -> Fault {
    Fault::host(format!("{}: {error}", path.display())).code("system").fix("choose another folder with --dir DIR")
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Handler => "handler",
        Kind::Referee => "referee",
    }
}

/// What the plugin calls itself: a referee takes the standard one's place.
fn plugin(order: &Order) -> &str {
    match order.kind {
        Kind::Handler => &order.name,
        Kind::Referee => "referee",
    }
}

fn write(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let path = folder.join(name);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&path, text)?;
    let mode = if name == "loop" { 0o755 } else { 0o644 };
    fs::set_permissions(&path, fs::Permissions::from_mode(mode))
}

fn files(order: &Order, api: &Api, place: &Path) -> Vec<(&'static str, String)> {
    let (source, tests, what, command, others) = match order.kind {
        Kind::Handler => (
            include_str!("templates/handler.rs.in"),
            include_str!("templates/handler_tests.rs.in"),
            "the handler",
            "count",
            "--plugin tally --plugin chit ",
        ),
        Kind::Referee => (
            include_str!("templates/referee.rs.in"),
            include_str!("templates/referee_tests.rs.in"),
            "the policy",
            "list",
            "--plugin tally --plugin chit --plugin route --plugin lift ",
        ),
    };
    let mut dependencies = format!("tallyho-plugin = {}", api.dependency("plugin-api", &[]));
    if order.kind == Kind::Referee {
        dependencies += &format!("\ntallyho-referee = {}", api.dependency("plugins/referee", &[]));
    }
    let crate_ = format!("tallyho-{}", order.name);
    let offline = if matches!(api, Api::Checkout(_)) { "--offline" } else { "" };
    let values = [
        ("name", order.name.clone()),
        ("plugin", plugin(order).to_owned()),
        ("crate_", crate_.replace('-', "_")),
        ("crate", crate_),
        ("rust", env!("CARGO_PKG_RUST_VERSION").to_owned()),
        ("library", file_name(&order.name)),
        ("dependencies", dependencies),
        ("dev_dependencies", format!("tallyho-plugin = {}", api.dependency("plugin-api", &["testkit"]))),
        ("api", format!("Built against {}.", api.in_words())),
        ("offline", offline.to_owned()),
        ("what", what.to_owned()),
        ("command", command.to_owned()),
        ("place", place.display().to_string()),
        ("others", others.to_owned()),
    ];
    let fill = |template: &str| {
        values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
    };
    vec![
        ("Cargo.toml", fill(include_str!("templates/Cargo.toml.in"))),
        ("src/lib.rs", fill(source)),
        ("tests/promises.rs", fill(tests)),
        ("README.md", fill(include_str!("templates/README.md.in"))),
        ("loop", fill(include_str!("templates/loop.in"))),
        (".gitignore", "/target\n".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn order(name: &str, folder: &Path) -> Order {
        Order { name: name.to_owned(), kind: Kind::Handler, folder: folder.to_owned() }
    }

    #[test]
    fn everything_is_filled_in() {
        for kind in [Kind::Handler, Kind::Referee] {
            for api in [Api::Registry, Api::Checkout("/a \"b\"/c".into())] {
                let order = Order { kind, ..order("my-notes", Path::new(".")) };
                for (name, text) in files(&order, &api, Path::new("/my/place")) {
                    assert!(!text.contains("{{") && !text.contains("}}"), "{name}: {text}");
                }
                let manifest: toml::Table = files(&order, &api, Path::new("/my/place"))[0].1.parse().unwrap();
                assert_eq!(manifest["package"]["name"].as_str(), Some("tallyho-my-notes"));
            }
        }
    }

    #[test]
    fn names_that_cannot_be_had_are_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let long = "x".repeat(MAX_NAME + 1);
        for name in
            ["", "Notes", "9lives", "../x", "a/b", "my notes", "notes-", "tallyho-notes", "tally", "plugin", &long]
        {
            let fault = make(&order(name, folder.path()), &Api::Registry).unwrap_err();
            assert_eq!((fault.kind, fault.code.as_str()), (tallyho_plugin::FaultKind::Usage, "name"), "{name}");
            assert!(fault.fix.is_some());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_is_left_half_made() {
        let folder = tempfile::tempdir().unwrap();
        let made = make(&order("notes", folder.path()), &Api::Registry).unwrap();
        assert_eq!(made["offline"], false);
        let place = folder.path().join("tallyho-notes");
        fs::write(place.join("src/lib.rs"), "mine").unwrap();
        let fault = make(&order("notes", folder.path()), &Api::Registry).unwrap_err();
        assert_eq!(fault.code, "exists");
        assert_eq!(fs::read_to_string(place.join("src/lib.rs")).unwrap(), "mine");
        let nowhere = Api::Checkout(folder.path().join("nowhere"));
        assert_eq!(make(&order("other", folder.path()), &nowhere).unwrap_err().code, "system");
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["tallyho-notes"]);
    }
}
