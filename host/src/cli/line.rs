//! A first look at the command line, before it is known which commands there are.

use std::ffi::OsString;
use std::path::PathBuf;

use super::words::{LOCAL, LOCAL_PLUGIN, RUNNING_ONLY};

/// What has to be known early.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// `--home`.
    pub home: Option<PathBuf>,
    /// `--json`.
    pub json: bool,
    /// `--help`, `-h`, `--version`, `-V` or `help`.
    pub help: bool,
    /// All the rest, options and their values too.
    pub words: Vec<String>,
}

impl Line {
    /// Looks at the arguments, the program's name first.
    pub fn scan(args: &[OsString]) -> Self {
        let mut line = Line::default();
        let mut rest = args.iter().skip(1);
        while let Some(arg) = rest.next() {
            match arg.to_string_lossy().as_ref() {
                "--" => {
                    line.words.extend(rest.map(|arg| arg.to_string_lossy().into_owned()));
                    break;
                }
                "--home" => line.home = rest.next().map(PathBuf::from),
                text if text.starts_with("--home=") => line.home = Some(PathBuf::from(&text["--home=".len()..])),
                "--json" => line.json = true,
                "--help" | "-h" | "--version" | "-V" => line.help = true,
                "help" if line.words.is_empty() => line.help = true,
                text => line.words.push(text.to_owned()),
            }
        }
        line
    }

    /// Whether the command can be understood without manifests.
    pub fn is_local(&self) -> bool {
        let word = |at: usize| self.words.get(at).map(String::as_str);
        let fixed = word(0).is_some_and(|first| LOCAL.contains(&first));
        fixed || (word(0) == Some("plugin") && word(1).is_some_and(|second| LOCAL_PLUGIN.contains(&second)))
    }

    /// Whether no site has to be opened for it.
    pub fn only_looks(&self) -> bool {
        let first = self.words.first().map(String::as_str);
        self.help || first.is_none_or(|first| first == "completions" || RUNNING_ONLY.contains(&first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str) -> Line {
        Line::scan(&std::iter::once("tallyho").chain(text.split_whitespace()).map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn home_and_json_are_found_wherever_they_stand() {
        for text in ["--home /h --json tally list", "tally --home=/h list --json", "tally list --json --home /h"] {
            let line = scan(text);
            assert_eq!((line.home, line.json), (Some("/h".into()), true), "{text}");
            assert_eq!(line.words, ["tally", "list"], "{text}");
        }
        assert!(!scan("call p c -- --json").json, "what follows -- is no option");
    }

    #[test]
    fn only_what_needs_a_site_opens_one() {
        for text in ["", "--help", "help tally", "tally offer --help", "completions bash", "status"] {
            assert!(scan(text).only_looks(), "{text}");
        }
        for text in ["tally list", "user add help"] {
            assert!(!scan(text).only_looks(), "{text}");
        }
        for text in ["init", "run --help", "plugin check x.so", "plugin new x", "plugin test x.so", "call a b", "watch"]
        {
            assert!(scan(text).is_local(), "{text}");
        }
        for text in ["plugin list", "completions zsh", "status", "ticket new"] {
            assert!(!scan(text).is_local(), "{text}");
        }
    }
}
