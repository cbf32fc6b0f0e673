//! Reads TOML key by key, so that every complaint can name line, key, value, what was expected and
//! an example; and so that the keys asked for are the keys known.

use std::fmt;
use toml::de::{DeTable, DeValue};

/// What is wrong with one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong there, for a person.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}: {}", self.line, self.text)
    }
}

/// One document being read, with the problems found so far.
pub(super) struct Document<'i> {
    text: &'i str,
    problems: Vec<Problem>,
}

/// One table of it; keys are taken out as they are read.
pub(super) struct Section<'i> {
    /// Where it is: empty, or ending in a dot.
    prefix: String,
    table: DeTable<'i>,
    known: Vec<&'static str>,
}

/// What a key's value should be, for the complaint about one that is not.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub expected: &'a str,
    /// As it would stand in the file.
    pub example: &'a str,
}

impl<'i> Document<'i> {
    /// The document and its top table. A text that is no TOML gives an empty one and a problem.
    pub fn parse(text: &'i str) -> (Self, Section<'i>) {
        let mut document = Document { text, problems: Vec::new() };
        let table = match DeTable::parse(text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                document.complain(at, format!("this is no TOML: {}", error.message().replace('\n', ", ")));
                DeTable::new()
            }
        };
        (document, Section { prefix: String::new(), table, known: Vec::new() })
    }

    /// What was found wrong, in the order of lines.
    pub fn problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.line);
        self.problems
    }

    fn complain(&mut self, at: usize, text: String) {
        let line = 1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        self.problems.push(Problem { line, text });
    }

    fn value_text(&self, span: std::ops::Range<usize>) -> String {
        let text = self.text.get(span).unwrap_or_default().lines().next().unwrap_or_default();
        text.chars().take(80).collect() // enough to recognise it
    }
}

impl<'i> Section<'i> {
    /// The value of a key, if it is there and `read` makes something of it.
    pub fn take<T>(
        &mut self,
        document: &mut Document<'i>,
        key: &'static str,
        wanted: Wanted<'_>,
        read: impl FnOnce(&DeValue<'i>) -> Option<T>,
    ) -> Option<T> {
        self.known.push(key);
        let value = self.table.remove(key)?;
        let found = read(value.get_ref());
        if found.is_none() {
            let Wanted { expected, example } = wanted;
            let shown = document.value_text(value.span());
            let text = format!("{}{key} = {shown}: expected {expected}, such as {key} = {example}", self.prefix);
            document.complain(value.span().start, text);
        }
        found
    }

    /// The table of this key, if there.
    pub fn section(&mut self, document: &mut Document<'i>, key: &'static str) -> Option<Section<'i>> {
        self.known.push(key);
        let value = self.table.remove(key)?;
        let span = value.span();
        self.subsection(document, key, span.start, value.into_inner())
    }

    /// All that is left, as (name, place, value): for tables whose keys are names the operator gives.
    pub fn entries(self) -> Vec<(String, usize, DeValue<'i>)> {
        let entry = |(key, value): (toml::Spanned<_>, toml::Spanned<_>)| {
            let at = key.span().start;
            let name: std::borrow::Cow<'_, str> = key.into_inner();
            (name.into_owned(), at, value.into_inner())
        };
        self.table.into_iter().map(entry).collect()
    }

    /// An entry of this section as a section.
    pub fn subsection(
        &self,
        document: &mut Document<'i>,
        key: &str,
        at: usize,
        value: DeValue<'i>,
    ) -> Option<Section<'i>> {
        let prefix = format!("{}{key}.", self.prefix);
        match value {
            DeValue::Table(table) => Some(Section { prefix, table, known: Vec::new() }),
            other => {
                let full = format!("{}{key}", self.prefix);
                let text = format!(
                    "{full} is a {}: expected a table, such as [{full}] on a line of its own",
                    other.type_str()
                );
                document.complain(at, text);
                None
            }
        }
    }

    /// A complaint about a name the operator gave.
    pub fn complain(&self, document: &mut Document<'i>, at: usize, text: impl fmt::Display) {
        let name = self.prefix.trim_end_matches('.');
        document.complain(at, if name.is_empty() { text.to_string() } else { format!("[{name}]: {text}") });
    }

    /// This section without its entries, to name places in it after they were taken out.
    pub fn place(&self) -> Section<'i> {
        Section { prefix: self.prefix.clone(), table: DeTable::new(), known: Vec::new() }
    }

    /// Complains about every key that was not asked for.
    pub fn finish(self, document: &mut Document<'i>) {
        let place = if self.prefix.is_empty() { "" } else { &format!(" in [{}]", self.prefix.trim_end_matches('.')) };
        let known = self.known.join(", ");
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            document.complain(key.span().start, format!("unknown key {name}{place}; known are {known}"));
        }
    }
}

/// A text.
pub(super) fn text(value: &DeValue<'_>) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A whole number in this range.
pub(super) fn whole(value: &DeValue<'_>, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|number| range.contains(number))
}
