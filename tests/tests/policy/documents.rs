//! That the documents are true where that can be seen: files, tests, dependencies, code and commands.

use crate::dependencies::{list, metadata, packages, text};
use crate::tree::{Source, root, rust_files, text_files};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use tallyho::site::config::Config;
use tallyho_tests::site::{Site, program};

/// Every document but the protocol's pages, which have tests of their own.
fn documents() -> Vec<Source> {
    let pages = text_files("").into_iter().filter(|file| file.path.ends_with(".md"));
    pages.filter(|file| !file.path.starts_with("docs/protocol/")).collect()
}

fn document(path: &str) -> Source {
    documents().into_iter().find(|file| file.path == path).unwrap_or_else(|| panic!("{path} is missing"))
}

#[test]
fn every_file_named_in_a_document_exists() {
    let top: BTreeSet<String> = std::fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let mut named = 0;
    let mut wrong = Vec::new();
    for file in documents() {
        for word in code_words(&file.text).into_iter().filter(|word| is_path(word, &top)) {
            named += 1;
            if !root().join(word).exists() {
                wrong.push(format!("{} names {word}", file.path));
            }
        }
    }
    assert!(named > 30, "only {named} paths were found: the search is broken");
    assert!(
        wrong.is_empty(),
        "no such file; correct the name (paths go from the project's root):\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_module_in_the_map_exists() {
    let page = document("ARCHITECTURE.md");
    let mut found = 0;
    let mut folder = None;
    for line in page.text.lines() {
        if line.starts_with('#') {
            folder = line.strip_prefix("### `").and_then(|rest| rest.strip_suffix('`'));
        }
        let Some((folder, cell)) = folder.zip(line.strip_prefix("| `").and_then(|rest| rest.split(" | ").next()))
        else {
            continue;
        };
        for name in cell.split('`').filter(|name| name.starts_with(char::is_alphabetic)) {
            let path = root().join(folder).join(name);
            let exists = path.exists() || path.with_extension("rs").exists();
            assert!(exists, "the map of ARCHITECTURE.md has {name} in {folder}, which is gone");
            found += 1;
        }
    }
    assert!(found > 40, "only {found} modules were found: the search is broken");
    for folder in ["host/src", "plugin-api/src"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().to_string_lossy().trim_end_matches(".rs").to_owned();
            let told = page.text.contains(&format!("`{name}")) || page.text.contains(&format!("`{name}.rs`"));
            assert!(told, "{folder}/{name} is not in the map of ARCHITECTURE.md; add a line");
        }
    }
}

#[test]
fn every_invariant_names_tests_that_exist() {
    let page = document("ARCHITECTURE.md");
    let sources: String = rust_files("").into_iter().map(|file| file.text).collect();
    let rows: Vec<&str> = page.text.lines().filter(|line| line.starts_with("| I-")).collect();
    assert!(rows.len() > 15, "the table of invariants was not found");
    for row in rows {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let tests = code_words(cell);
        assert!(!tests.is_empty(), "no test is named: {row}");
        for test in tests {
            assert!(sources.contains(&format!("fn {test}(")), "test {test} is gone; name another that holds: {row}");
        }
    }
}

#[test]
fn every_direct_dependency_has_its_reason() {
    let metadata = metadata();
    let own: BTreeSet<&str> = list(&metadata["workspace_members"]).iter().map(text).collect();
    let members: Vec<_> = packages(&metadata).filter(|package| own.contains(text(&package["id"]))).collect();
    let names: BTreeSet<&str> = members.iter().map(|package| text(&package["name"])).collect();
    let direct: BTreeSet<String> = members
        .iter()
        .flat_map(|package| list(&package["dependencies"]))
        .map(|dependency| text(&dependency["name"]).to_owned())
        .filter(|name| !names.contains(name.as_str()))
        .collect();
    let page = document("ARCHITECTURE.md");
    let section = page.text.split("\n## Dependencies\n").nth(1).expect("ARCHITECTURE.md has a section Dependencies");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let told: BTreeSet<String> = rows
        .filter(|(_, reason)| reason.trim_end_matches('|').trim().len() > 3)
        .map(|(name, _)| name.to_owned())
        .collect();
    let missing: Vec<_> = direct.difference(&told).collect();
    assert!(missing.is_empty(), "no reason in ARCHITECTURE.md, section Dependencies, for {missing:?}; add a line each");
    let gone: Vec<_> = told.difference(&direct).collect();
    assert!(gone.is_empty(), "ARCHITECTURE.md has reasons for {gone:?}, which nothing depends on directly any more");
}

#[test]
fn code_shown_with_a_files_name_is_what_the_file_says() {
    let mut shown = 0;
    for page in documents() {
        for (head, code) in blocks(&page.text) {
            let Some((_, path)) = head.split_once(' ') else { continue };
            shown += 1;
            let file = std::fs::read_to_string(root().join(path)).unwrap_or_default();
            assert_eq!(code, file, "{} shows {path} otherwise than it is; copy it again", page.path);
        }
    }
    assert!(shown >= 3, "only {shown} files are shown: the search is broken");
}

#[test]
fn every_command_shown_is_understood() {
    let mut lines = BTreeSet::new();
    for page in documents() {
        for (_, code) in blocks(&page.text) {
            lines.extend(code.lines().filter_map(|line| arguments(line.strip_prefix("$ ")?)));
        }
        // One with dots in it is a form, no command.
        lines.extend(code_words(&page.text).into_iter().filter(|word| !word.contains('…')).filter_map(arguments));
    }
    assert!(lines.len() > 25, "only {} commands were found: the search is broken", lines.len());
    // A site that runs tells its commands at once; without one each line would load the plugins again.
    let mut site = Site::new();
    site.start();
    std::fs::write(site.home().join("alice.jwk"), "{}").unwrap();
    for words in lines {
        // Help is given after all that stands before it has been understood; nothing is carried out.
        let output = Command::new(program())
            .args(&words)
            .arg("--help")
            .env("TALLYHO_HOME", site.home())
            .current_dir(site.home())
            .stdin(Stdio::null())
            .output()
            .expect("the program runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "a document shows `tallyho {}`:\n{errors}", words.join(" "));
    }
}

#[test]
fn the_example_configuration_is_a_good_one() {
    let config = Config::load(&root().join("examples/configs/tallyho.toml")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.advertise_host.as_deref(), Some("chips.example.org"));
}

#[test]
fn words_and_commands_are_found_in_a_page() {
    let page = "a `b/c.rs` d\n```sh x/y\n$ e `f`\n```\n`tallyho status` g";
    assert_eq!(code_words(page), ["b/c.rs", "tallyho status"]);
    assert_eq!(blocks(page), [("sh x/y", "$ e `f`\n".to_owned())]);
    assert_eq!(arguments("tallyho --home a user add b --name \"C D\" &").unwrap().join("|"), "user|add|b|--name|C D");
    assert_eq!(arguments("target/release/tallyho keys export x 3< y").unwrap().join("|"), "keys|export|x");
    assert_eq!(arguments("echo tallyho"), None);
    assert_eq!(arguments("tallyho"), None);
}

/// What stands between backquotes, outside of blocks.
fn code_words(page: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            inside = !inside;
        } else if !inside {
            words.extend(line.split('`').skip(1).step_by(2));
        }
    }
    words
}

/// Fenced blocks: what stands behind the fence, and the lines.
fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(head) = lines.by_ref().find_map(|line| line.strip_prefix("```")) {
        let inside = lines.by_ref().take_while(|line| *line != "```");
        blocks.push((head, inside.map(|line| format!("{line}\n")).collect()));
    }
    blocks
}

/// Whether this is a path of the project: it begins with something at its root.
fn is_path(word: &str, top: &BTreeSet<String>) -> bool {
    let plain = word.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-/".contains(letter));
    let (first, rest) = word.split_once('/').map_or((word, None), |(first, rest)| (first, Some(rest)));
    let in_folder = rest.is_some_and(|rest| !rest.is_empty());
    // `plugins/NAME` and the like are folders of a home.
    plain && first != "target" && top.contains(first) && (in_folder || word.contains('.'))
}

/// The arguments of a shell line that calls the program, without the home, up to what belongs to the shell.
fn arguments(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for letter in line.chars() {
        match quote {
            Some(end) if letter == end => quote = None,
            Some(_) => word.push(letter),
            None if letter == '\'' || letter == '"' => quote = Some(letter),
            None if letter == ' ' => words.push(std::mem::take(&mut word)),
            None => word.push(letter),
        }
    }
    words.push(word);
    let shell =
        |word: &String| matches!(word.as_str(), "&" | "&&" | "|" | ">") || word.ends_with('<') || word.is_empty();
    let end = words.iter().position(shell).unwrap_or(words.len());
    let (first, rest) = words[..end].split_first()?;
    let rest = match rest {
        [home, _, rest @ ..] if home == "--home" => rest,
        rest => rest,
    };
    (first.rsplit('/').next() == Some("tallyho") && !rest.is_empty()).then(|| rest.to_vec())
}
