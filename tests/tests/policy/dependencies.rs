//! What the workspace depends on. The lists are those of `deny.toml`, at the root.

use crate::tree::root;
use serde_json::Value;
use spdx::{Expression, LicenseReq, Licensee, ParseMode};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What a plugin must not have to build or to know: sockets, Noise, async, SQL, the host's crypto.
const NOT_FOR_PLUGINS: [&str; 17] = [
    "aws-lc-rs",
    "aws-lc-sys",
    "blocking",
    "event-listener",
    "futures",
    "futures-channel",
    "futures-core",
    "futures-lite",
    "libsqlite3-sys",
    "mio",
    "polling",
    "ring",
    "rusqlite",
    "snow",
    "socket2",
    "tallyho",
    "tokio",
];

#[test]
fn every_licence_is_on_the_list() {
    let policy = policy();
    let allowed = licensees(&policy["licenses"]["allow"]);
    let mut used_exceptions = BTreeSet::new();
    let mut wrong = Vec::new();
    for package in packages(&metadata()) {
        let (name, version) = (text(&package["name"]), text(&package["version"]));
        let Some(licence) = package["license"].as_str() else {
            wrong.push(format!("{name} {version} names no licence: replace it, or ask its author for one"));
            continue;
        };
        let expression = Expression::parse_mode(licence, ParseMode::LAX)
            .unwrap_or_else(|error| panic!("{name} {version}: {licence:?} is no SPDX expression: {error}"));
        let exception = list(&policy["licenses"]["exceptions"]).iter().find(|entry| text(&entry["crate"]) == name);
        let own = exception.map(|entry| licensees(&entry["allow"])).unwrap_or_default();
        let missing = not_allowed(&expression, &allowed);
        if missing.is_empty() {
            continue;
        }
        if not_allowed(&expression, &[allowed.clone(), own].concat()).is_empty() {
            used_exceptions.insert(name.to_owned());
            continue;
        }
        let missing = missing.into_iter().map(|licence| format!("\"{licence}\"")).collect::<Vec<_>>().join(", ");
        wrong.push(format!(
            "{name} {version} is under \"{licence}\". If that is fine for every crate, add to `allow`:\n    {missing},\n\
             if for this one, add to `exceptions`, under a comment saying why:\n    \
             {{ crate = \"{name}\", allow = [{missing}] }},"
        ));
    }
    for entry in list(&policy["licenses"]["exceptions"]) {
        let name = text(&entry["crate"]);
        if !used_exceptions.contains(name) {
            wrong.push(format!("the exception for {name} is no longer needed: remove its line"));
        }
    }
    assert!(wrong.is_empty(), "[licenses] of deny.toml does not fit:\n{}", wrong.join("\n"));
}

#[test]
fn every_duplicate_crate_has_a_reason() {
    let metadata = metadata();
    let mut versions: BTreeMap<&str, BTreeSet<Version>> = BTreeMap::new();
    for package in packages(&metadata) {
        versions.entry(text(&package["name"])).or_default().insert(Version::parse(text(&package["version"])));
    }
    let mut present = BTreeMap::new();
    for (name, versions) in &versions {
        let older = versions.iter().rev().skip(1);
        present.extend(older.map(|version| (format!("{name}@{}", version.series()), format!("{name}@{}", version.1))));
    }

    let policy = policy();
    let mut listed = BTreeSet::new();
    let mut wrong = Vec::new();
    for entry in list(&policy["bans"]["skip"]) {
        let spec = text(&entry["crate"]);
        if entry["reason"].as_str().is_none_or(|reason| reason.trim().is_empty()) {
            wrong.push(format!("{spec} has no reason"));
        }
        if !listed.insert(spec.to_owned()) {
            wrong.push(format!("{spec} is listed twice"));
        }
    }
    for (spec, exact) in present.iter().filter(|(spec, _)| !listed.contains(*spec)) {
        wrong.push(format!(
            "{exact} has come in beside a newer version. `cargo tree --workspace --target all --all-features -i {exact}` \
             shows who wants it; update that if it can be, else add to `skip`:\n    \
             {{ crate = \"{spec}\", reason = \"…\" }},"
        ));
    }
    for spec in listed.iter().filter(|spec| !present.contains_key(*spec)) {
        wrong.push(format!("{spec} is no longer an older duplicate: remove its line"));
    }
    assert!(wrong.is_empty(), "`skip` under [bans] of deny.toml does not fit:\n{}", wrong.join("\n"));
}

#[test]
fn the_plugin_crate_brings_no_runtime_sockets_noise_or_sql() {
    let tree = dependency_names("tallyho-plugin");
    assert!(tree.contains("serde"), "the tree was not read: {tree:?}");
    let forbidden: Vec<_> =
        tree.iter().filter(|name| NOT_FOR_PLUGINS.contains(&name.as_str()) || name.starts_with("async-")).collect();
    assert!(
        forbidden.is_empty(),
        "tallyho-plugin with its default features depends on {forbidden:?}; every plugin would build them. Put them \
         behind a feature (as `crypto` is), or into the host"
    );
}

#[test]
fn no_plugin_depends_on_the_host() {
    let metadata = metadata();
    let plugins = plugins(&metadata);
    assert!(plugins.contains("tallyho-tally") && plugins.contains("tallyho-echo"), "found only {plugins:?}");
    for package in packages(&metadata).filter(|package| plugins.contains(text(&package["name"]))) {
        let name = text(&package["name"]);
        let declared = list(&package["dependencies"]).iter().any(|dependency| text(&dependency["name"]) == "tallyho");
        assert!(!declared, "{name} depends on the host crate tallyho; a plugin depends on tallyho-plugin alone");
        let tree = dependency_names(name);
        assert!(tree.contains("tallyho-plugin"), "{name} does not depend on tallyho-plugin: {tree:?}");
        assert!(!tree.contains("tallyho"), "{name} reaches the host crate tallyho through another dependency");
    }
}

#[test]
fn the_host_is_built_without_any_plugin() {
    let metadata = metadata();
    let plugins = plugins(&metadata);
    let tree = dependency_names("tallyho");
    assert!(tree.contains("tallyho-plugin"), "the tree was not read: {tree:?}");
    let linked: Vec<_> = tree.iter().filter(|name| plugins.contains(name.as_str())).collect();
    assert!(linked.is_empty(), "the host links {linked:?}; plugins are loaded, never linked (dev-dependencies may be)");
}

#[test]
fn only_what_a_licence_expression_needs_is_asked_for() {
    let missing = |licence: &str, allowed: &[&str]| {
        let licensees: Vec<_> = allowed.iter().map(|name| Licensee::parse(name).unwrap()).collect();
        not_allowed(&Expression::parse_mode(licence, ParseMode::LAX).unwrap(), &licensees)
            .into_iter()
            .collect::<Vec<_>>()
    };
    assert_eq!(missing("MIT/GPL-3.0", &["MIT"]), Vec::<String>::new());
    assert_eq!(missing("Apache-2.0 WITH LLVM-exception OR MIT", &["MIT"]), Vec::<String>::new());
    assert_eq!(missing("Apache-2.0 AND (ISC OR MIT)", &["MIT", "ISC"]), ["Apache-2.0"]);
    assert_eq!(missing("GPL-3.0-only", &["MIT"]), ["GPL-3.0-only"]);
    assert_eq!(missing("ISC AND (MIT-0 OR ISC)", &["MIT"]), ["ISC"]);
}

#[test]
fn versions_are_put_into_the_series_that_cargo_holds_compatible() {
    let series = |text: &str| Version::parse(text).series();
    assert_eq!(series("2.0.119"), "2");
    assert_eq!(series("0.7.4"), "0.7");
    assert_eq!(series("0.0.3"), "0.0.3");
    assert_eq!(series("0.9.12+spec-1.1.0"), "0.9");
    assert!(Version::parse("0.10.2") > Version::parse("0.9.1"));
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version(Vec<u64>, String);

impl Version {
    fn parse(text: &str) -> Self {
        let numbers = text.split(['-', '+']).next().unwrap_or(text);
        Version(numbers.split('.').map(|part| part.parse().unwrap()).collect(), text.to_owned())
    }

    /// The shortest prefix that stands for all compatible versions.
    fn series(&self) -> String {
        let significant = self.0.iter().position(|part| *part != 0).unwrap_or(2);
        self.0[..=significant].iter().map(u64::to_string).collect::<Vec<_>>().join(".")
    }
}

fn policy() -> Value {
    let file = root().join("deny.toml");
    toml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn licensees(names: &Value) -> Vec<Licensee> {
    list(names).iter().map(|name| Licensee::parse(text(name)).unwrap()).collect()
}

/// The licences that would have to be allowed beside these; none where the expression is satisfied.
/// Where either of two would do, the one named later.
fn not_allowed(expression: &Expression, licensees: &[Licensee]) -> BTreeSet<String> {
    let known = |wanted: &LicenseReq| licensees.iter().any(|licensee| licensee.satisfies(wanted));
    let failed = expression.evaluate_with_failures(known).err().unwrap_or_default();
    let mut needed: BTreeSet<String> = failed.iter().map(|wanted| wanted.req.to_string()).collect();
    for wanted in failed {
        let mut fewer = needed.clone();
        fewer.remove(&wanted.req.to_string());
        if expression.evaluate(|wanted| known(wanted) || fewer.contains(&wanted.to_string())) {
            needed = fewer;
        }
    }
    needed
}

/// The plugins of the workspace, by folder.
fn plugins(metadata: &Value) -> BTreeSet<String> {
    let folders = [root().join("plugins"), root().join("examples")];
    packages(metadata)
        .filter(|package| {
            folders.iter().any(|folder| std::path::Path::new(text(&package["manifest_path"])).starts_with(folder))
        })
        .map(|package| text(&package["name"]).to_owned())
        .collect()
}

pub fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    list(&metadata["packages"]).iter()
}

/// Every package that any platform or feature could bring in.
pub fn metadata() -> Value {
    serde_json::from_slice(&cargo(&["metadata", "--format-version", "1", "--all-features"])).unwrap()
}

/// What a package needs to be built for use, with its default features, on any platform.
fn dependency_names(package: &str) -> BTreeSet<String> {
    let lines =
        cargo(&["tree", "-p", package, "-e", "normal", "--target", "all", "--prefix", "none", "--format", "{p}"]);
    let lines = String::from_utf8(lines).unwrap();
    lines.lines().skip(1).filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn cargo(arguments: &[&str]) -> Vec<u8> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program)
        .args(arguments)
        .args(["--offline", "--locked"])
        .current_dir(root())
        .output()
        .expect("cargo runs: it built this test");
    assert!(
        output.status.success(),
        "cargo {} failed; `cargo fetch --locked` brings what every platform needs (tests/run does it):\n{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} should be text"))
}
