//! What may stand where in the sources.

use crate::tree::{root, rust_files, text_files};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Where `unsafe` may stand (paths from the root; a folder ends with `/`), each with its reason.
const UNSAFE_ALLOWED: [(&str, &str); 5] = [
    ("plugin-api/src/abi", "the plugin border: abi*.rs and abi/"),
    ("plugin-api/src/export.rs", "the attribute that names the symbols a plugin exports"),
    ("host/src/plugin/", "loading and calling native libraries"),
    ("tests/released-1.0/plugin-api/src/", "the border as it was released"),
    ("tests/fixtures/", "libraries that misbehave, to see the host survive them"),
];

/// What a plugin reaches through its context alone, by module of `std`.
const NOT_IN_PLUGINS: [&str; 5] = ["fs", "net", "process", "thread", "os"];

/// Places that a machine of ours has. Written in two parts, so that this file passes.
const MACHINE_PATHS: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("../sha", "red")];

#[test]
fn unsafe_stands_at_the_plugin_border_only() {
    let mut wrong = Vec::new();
    for file in rust_files("") {
        if UNSAFE_ALLOWED.iter().any(|(allowed, _)| file.path.starts_with(allowed)) {
            continue;
        }
        let words = words(&file.path, &file.text);
        wrong.extend(
            words.iter().filter(|word| word.text == "unsafe").map(|word| format!("{}:{}", file.path, word.line)),
        );
    }
    assert!(
        wrong.is_empty(),
        "`unsafe` outside the plugin border. Find a safe way (rustix for system calls), or argue for a line in \
         UNSAFE_ALLOWED of tests/tests/policy/sources.rs:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn wire_touches_no_socket_no_clock_and_no_runtime() {
    let mut wrong = Vec::new();
    let files = rust_files("host/src/wire");
    assert!(!files.is_empty());
    for file in files {
        let words = words(&file.path, &file.text);
        let runtime = words.iter().filter(|word| matches!(word.text.as_str(), "async_std" | "tokio" | "SystemTime"));
        wrong.extend(runtime.map(|word| format!("{}:{} {}", file.path, word.line, word.text)));
        let sockets =
            std_modules(&words).into_iter().filter(|word| matches!(word.text.as_str(), "net" | "thread" | "fs"));
        wrong.extend(sockets.map(|word| format!("{}:{} std::{}", file.path, word.line, word.text)));
    }
    assert!(
        wrong.is_empty(),
        "host/src/wire takes bytes and the time, and gives bytes and events; sockets, tasks and clocks belong to \
         host/src/net:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn plugins_reach_the_world_through_their_context_alone() {
    let mut wrong = Vec::new();
    let plugins = rust_files("plugins");
    assert!(!plugins.is_empty());
    for file in plugins.iter().filter(|file| file.path.contains("/src/")) {
        let words = words(&file.path, &file.text);
        let clocks = words.iter().filter(|word| matches!(word.text.as_str(), "SystemTime" | "Instant"));
        wrong.extend(clocks.map(|word| format!("{}:{} {}", file.path, word.line, word.text)));
        let modules = std_modules(&words).into_iter().filter(|word| NOT_IN_PLUGINS.contains(&word.text.as_str()));
        wrong.extend(modules.map(|word| format!("{}:{} std::{}", file.path, word.line, word.text)));
    }
    assert!(
        wrong.is_empty(),
        "a handler that looks round the world itself cannot be replayed; ask the Context:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn no_file_mentions_a_place_on_one_machine() {
    let mut places: Vec<_> = MACHINE_PATHS.iter().map(ToString::to_string).collect();
    places.push(root().display().to_string());
    places.extend(std::env::var("HOME").ok().filter(|home| home.len() > 1).map(|home| format!("{home}/")));
    let mut wrong = Vec::new();
    for file in text_files("") {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(found) = places.iter().find(|place| mentions(line, place)) {
                wrong.push(format!("{}:{} {found}", file.path, number + 1));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "paths of one machine; write them from the project's root, or with ~:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_allowed_places_exist() {
    assert!(root().join("plugin-api/src").is_dir() && root().join("host/src/plugin").is_dir());
}

#[test]
fn comments_and_texts_do_not_count_as_code() {
    let found = |text: &str| {
        words("example", text).iter().filter(|word| word.text == "unsafe").map(|word| word.line).collect::<Vec<_>>()
    };
    assert_eq!(
        found("// unsafe\n/// unsafe\nconst TEXT: &str = \"unsafe\";\n#![forbid(unsafe_code)]"),
        Vec::<usize>::new()
    );
    assert_eq!(found("\nfn one() {\n  unsafe { two() }\n}\n#[unsafe(no_mangle)]\nfn two() {}"), vec![3, 5]);
}

#[test]
fn modules_of_std_are_found_in_paths_and_in_groups() {
    let found = |text: &str| std_modules(&words("example", text)).into_iter().map(|word| word.text).collect::<Vec<_>>();
    assert_eq!(found("let a = std::net::IpAddr::V4;"), ["net"]);
    assert_eq!(found("use std::{fmt, net::{self, IpAddr}, io};"), ["fmt", "net", "io"]);
    assert_eq!(found("use crate::net; // std::net"), Vec::<String>::new());
}

#[test]
fn a_path_counts_at_its_beginning_only() {
    let place = MACHINE_PATHS[0];
    assert!(mentions(&format!("see {place}x"), place));
    assert!(!mentions(&format!("https://host{place}x"), place));
}

/// A word or a mark of a source file.
#[derive(Debug, Clone)]
struct Word {
    text: String,
    line: usize,
}

/// The words and marks of a source, without its comments and texts.
fn words(path: &str, source: &str) -> Vec<Word> {
    let tokens: TokenStream = source.parse().unwrap_or_else(|error| panic!("{path} is no Rust: {error}"));
    let mut words = Vec::new();
    flatten(tokens, &mut words);
    words
}

fn flatten(tokens: TokenStream, words: &mut Vec<Word>) {
    for token in tokens {
        let line = token.span().start().line;
        match token {
            TokenTree::Ident(name) => words.push(Word { text: name.to_string(), line }),
            TokenTree::Punct(mark) => words.push(Word { text: mark.as_char().to_string(), line }),
            TokenTree::Literal(_) => {}
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::None => ("", ""),
                };
                words.push(Word { text: open.to_owned(), line });
                flatten(group.stream(), words);
                words.push(Word { text: close.to_owned(), line: group.span_close().start().line });
            }
        }
    }
}

/// The modules named after `std::`, whether one or a group of them.
fn std_modules(words: &[Word]) -> Vec<Word> {
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let path = words.get(at + 1..at + 3).is_some_and(|marks| marks.iter().all(|mark| mark.text == ":"));
        if word.text != "std" || !path {
            continue;
        }
        match words.get(at + 3) {
            Some(open) if open.text == "{" => found.extend(group_heads(&words[at + 4..])),
            Some(module) => found.push(module.clone()),
            None => {}
        }
    }
    found
}

/// The first words between the commas of a group, up to its end.
fn group_heads(words: &[Word]) -> Vec<Word> {
    let (mut heads, mut depth, mut at_head) = (Vec::new(), 0, true);
    for word in words {
        match word.text.as_str() {
            "{" => depth += 1,
            "}" if depth == 0 => break,
            "}" => depth -= 1,
            "," if depth == 0 => at_head = true,
            _ if at_head => {
                heads.push(word.clone());
                at_head = false;
            }
            _ => {}
        }
    }
    heads
}

/// Whether the line holds this path, not as the later part of another.
fn mentions(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|character| character.is_alphanumeric() || matches!(character, '.' | '_' | '-' | '}' | '/'))
    })
}
