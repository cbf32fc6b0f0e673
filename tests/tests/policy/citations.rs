//! The protocol page and the code that cites it.

use crate::tree::{root, rust_files, text_files};
use std::collections::{BTreeMap, BTreeSet};

/// Words that may stand inside a citation without ending it.
const LINKING: [&str; 17] = [
    "and", "or", "to", "check", "checks", "item", "items", "step", "steps", "rule", "rules", "note", "notes", "table",
    "row", "rows", "appendix",
];

/// The families of rules: letter, first and last number, and the ones with a letter behind.
const RULES: [(&str, u32, u32, &[&str]); 8] = [
    ("T", 1, 36, &[]),
    ("C", 1, 20, &["C3b"]),
    ("S", 1, 4, &[]),
    ("G", 1, 3, &[]),
    ("R", 1, 14, &[]),
    ("L", 1, 38, &["L6b", "L20b", "L25b"]),
    ("I", 1, 6, &[]),
    ("F", 0, 10, &[]),
];

/// How many decisions there are: O-1 to this.
const DECISIONS: u32 = 64;

/// What the protocol page defines.
struct Page {
    sections: BTreeSet<String>,
    rules: BTreeMap<String, usize>,
}

#[test]
fn every_cited_clause_is_in_the_protocol_page() {
    let page = page();
    let mut cited = 0;
    let mut wrong = Vec::new();
    for file in rust_files("") {
        if file.path.starts_with("tests/tests/policy/") {
            continue;
        }
        for (number, line) in file.text.lines().enumerate() {
            for clause in clauses(line) {
                cited += 1;
                if !page.sections.contains(&clause) && !page.rules.contains_key(&clause) {
                    wrong.push(format!("{}:{} cites {clause}", file.path, number + 1));
                }
            }
        }
    }
    assert!(cited > 0, "no citation found: the search is broken");
    assert!(wrong.is_empty(), "clauses that docs/protocol does not have; correct the citation:\n{}", wrong.join("\n"));
}

#[test]
fn every_rule_and_decision_is_stated_once() {
    let page = page();
    let mut expected = BTreeSet::new();
    for (letter, first, last, more) in RULES {
        expected.extend((first..=last).map(|number| format!("{letter}{number}")));
        expected.extend(more.iter().map(ToString::to_string));
    }
    expected.extend((1..=DECISIONS).map(|number| format!("O-{number}")));
    let wrong: Vec<_> = expected
        .iter()
        .map(|rule| (rule, page.rules.get(rule).copied().unwrap_or(0)))
        .filter(|(_, times)| *times != 1)
        .map(|(rule, times)| format!("{rule} is stated {times} times"))
        .collect();
    assert!(wrong.is_empty(), "docs/protocol:\n{}", wrong.join("\n"));
    let unknown: Vec<_> = page.rules.keys().filter(|rule| !expected.contains(*rule)).collect();
    assert!(unknown.is_empty(), "rules with new numbers; add them to RULES of this test: {unknown:?}");
}

#[test]
fn the_protocol_page_refers_only_to_decisions_it_has() {
    let page = page();
    for file in protocol_files() {
        for word in file.text.split(|character: char| !character.is_ascii_alphanumeric() && character != '-') {
            if word.strip_prefix("O-").is_some_and(|number| number.parse::<u32>().is_ok()) {
                assert!(page.rules.contains_key(word), "{} refers to {word}", file.path);
            }
        }
    }
}

#[test]
fn every_test_vector_is_named_in_appendix_c_and_exists() {
    let page =
        protocol_files().into_iter().find(|file| file.path.contains("c-test-vectors")).expect("appendix C is a page");
    let vectors = text_files("tests/vectors");
    assert!(!vectors.is_empty());
    for file in &vectors {
        assert!(
            page.text.contains(&file.path),
            "appendix C does not say what {} is and which test asserts it",
            file.path
        );
    }
    for word in page.text.split(['`', ' ', '\n']).filter(|word| word.starts_with("tests/vectors/")) {
        assert!(vectors.iter().any(|file| file.path == word), "appendix C names {word}, which does not exist");
    }
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut wrong = Vec::new();
    for file in text_files("").iter().filter(|file| file.path.ends_with(".md")) {
        let folder = root().join(&file.path).parent().expect("a file is in a folder").to_path_buf();
        for link in links(&file.text) {
            if !folder.join(link).exists() {
                wrong.push(format!("{} links to {link}", file.path));
            }
        }
    }
    assert!(wrong.is_empty(), "no such file:\n{}", wrong.join("\n"));
    assert_eq!(links("[a](b.md#c) [d](https://e) [f](#g) `h](i)"), ["b.md"]);
}

#[test]
fn citations_are_read_to_their_end() {
    assert_eq!(clauses("// PROTOCOL 4.5 T12 and T13, O-20: a re-sent offer is 4.2 old"), ["4.5", "T12", "T13", "O-20"]);
    assert_eq!(clauses("/// (PROTOCOL 3.1 check 5)"), ["3.1"]);
    assert_eq!(clauses("//! messages (PROTOCOL 3, appendix A)."), ["3", "A"]);
    assert_eq!(clauses("PROTOCOL 2.4 steps 1 to 4; PROTOCOL A.4"), ["2.4", "A.4"]);
    assert_eq!(clauses("const PROTOCOL: &str = \"A.9\";"), Vec::<String>::new());
}

/// The sections, rules and decisions that a line cites.
fn clauses(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("PROTOCOL ") {
        let rest = &line[at + "PROTOCOL ".len()..];
        for (position, word) in rest.split_whitespace().enumerate() {
            let bare = word.trim_matches(|character: char| !character.is_ascii_alphanumeric());
            if is_section(bare) && (position == 0 || bare.contains('.') || bare.chars().all(char::is_alphabetic))
                || is_rule(bare)
            {
                found.push(bare.to_owned());
            } else if !LINKING.contains(&bare) && bare.parse::<u32>().is_err() {
                break;
            }
            if word.ends_with([')', ':', ';']) || (word.ends_with('.') && !bare.is_empty()) {
                break;
            }
        }
    }
    found
}

/// `4`, `4.5`, `A`, `A.4`.
fn is_section(word: &str) -> bool {
    let mut parts = word.split('.');
    let head = parts.next().unwrap_or_default();
    let number = |part: &str| !part.is_empty() && part.chars().all(|digit| digit.is_ascii_digit());
    let letter = matches!(head, "A" | "B" | "C" | "D");
    (number(head) || letter) && parts.next().is_none_or(number) && parts.next().is_none()
}

/// `T12`, `L25b`, `O-20`.
fn is_rule(word: &str) -> bool {
    if let Some(number) = word.strip_prefix("O-") {
        return number.parse::<u32>().is_ok();
    }
    let Some(letter) = word.get(..1) else { return false };
    RULES.iter().any(|(family, ..)| *family == letter)
        && word[1..].strip_suffix('b').unwrap_or(&word[1..]).parse::<u32>().is_ok()
}

fn page() -> Page {
    let mut page = Page { sections: BTreeSet::new(), rules: BTreeMap::new() };
    for file in protocol_files() {
        for line in file.text.lines() {
            if line.starts_with('#') {
                let title = line.trim_start_matches('#').trim().trim_start_matches("Appendix ");
                let number = title.split_whitespace().next().unwrap_or_default().trim_end_matches('.');
                if is_section(number) {
                    page.sections.insert(number.to_owned());
                }
            }
            if let Some(rule) = stated_rule(line) {
                *page.rules.entry(rule.to_owned()).or_default() += 1;
            }
        }
    }
    page
}

/// The rule that a table row or list item states: `| T12 | …`, `- **S1.** …`.
fn stated_rule(line: &str) -> Option<&str> {
    let start = line.strip_prefix("| ").or_else(|| line.strip_prefix("- **"))?;
    let end = start.find(|character: char| !character.is_ascii_alphanumeric() && character != '-')?;
    let (rule, rest) = start.split_at(end);
    (is_rule(rule) && (rest.starts_with(" |") || rest.starts_with(".**"))).then_some(rule)
}

/// The files of the project that a page links to.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").zip(text.split("](").skip(1));
    targets
        .filter(|(before, _)| before.rsplit('\n').next().is_some_and(|line| line.matches('`').count() % 2 == 0))
        .filter_map(|(_, after)| after.split([')', '#', ' ']).next())
        .filter(|target| !target.is_empty() && !target.contains(':'))
        .collect()
}

fn protocol_files() -> Vec<crate::tree::Source> {
    let pages: Vec<_> = text_files("docs").into_iter().filter(|file| file.path.starts_with("docs/protocol")).collect();
    assert!(!pages.is_empty(), "docs/protocol is missing");
    pages
}
