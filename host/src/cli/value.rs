//! How the text of an argument becomes the value that its command expects.

use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use tallyho_plugin::{Argument, ArgumentKind};

use super::limits::JSON_FILE_BYTES;

/// Reads an argument's text.
///
/// # Errors
/// What was expected, with an example, for a person.
pub fn read(argument: &Argument, text: &str) -> Result<Value, String> {
    let value = match &argument.kind {
        ArgumentKind::Text => Some(Value::from(text)),
        ArgumentKind::Integer => text.parse::<i64>().ok().map(Value::from),
        ArgumentKind::Duration => milliseconds(text).map(Value::from),
        ArgumentKind::Flag => text.parse::<bool>().ok().map(Value::from),
        ArgumentKind::Choice(words) => words.iter().any(|word| word == text).then(|| Value::from(text)),
        ArgumentKind::JsonOrText => Some(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))),
        ArgumentKind::Json => return json(text).map_err(|why| format!("{}{why}", expected(argument))),
        // A kind that a newer host knows: it says itself what does not fit.
        _ => Some(Value::from(text)),
    };
    value.ok_or_else(|| expected(argument))
}

/// What an argument expects, with an example: `expected a whole number, for example 65430`.
pub fn expected(argument: &Argument) -> String {
    let (what, example) = match &argument.kind {
        ArgumentKind::Text => ("text".to_owned(), ""),
        ArgumentKind::Integer => ("a whole number".to_owned(), "1000"),
        ArgumentKind::Duration => ("a duration: a whole number with ms, s, m, h or d".to_owned(), "48h"),
        ArgumentKind::Flag => ("true or false".to_owned(), "true"),
        ArgumentKind::Json => ("JSON, or a file that holds it".to_owned(), "{\"max\": 5}"),
        ArgumentKind::JsonOrText => ("JSON or text".to_owned(), ""),
        ArgumentKind::Choice(words) => (format!("one of {}", words.join(", ")), ""),
        _ => ("text".to_owned(), ""),
    };
    match if argument.example.is_empty() { example } else { &argument.example } {
        "" => format!("expected {what}"),
        example => format!("expected {what}, for example {example}"),
    }
}

/// A duration such as `48h`, in milliseconds.
pub fn milliseconds(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(factor)
}

/// JSON as it stands, or the content of the file so named.
fn json(text: &str) -> Result<Value, String> {
    let wrong = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if !Path::new(text).is_file() {
        return Err(format!(" ({wrong}; and there is no file of that name)"));
    }
    let mut content = String::new();
    File::open(text)
        .and_then(|file| file.take(JSON_FILE_BYTES + 1).read_to_string(&mut content))
        .map_err(|error| format!(" (the file cannot be read: {error})"))?;
    if content.len() as u64 > JSON_FILE_BYTES {
        return Err(format!(" (the file is longer than {JSON_FILE_BYTES} bytes)"));
    }
    serde_json::from_str(&content).map_err(|error| format!(" (the file holds none: {error})"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn of(kind: ArgumentKind) -> Argument {
        Argument::option("x", kind, "")
    }

    #[test]
    fn each_kind_of_argument_becomes_its_value() {
        let choice = ArgumentKind::Choice(vec!["stock".into(), "foil".into()]);
        for (kind, text, value) in [
            (ArgumentKind::Text, "12", json!("12")),
            (ArgumentKind::Integer, "-12", json!(-12)),
            (ArgumentKind::Duration, "48h", json!(172_800_000)),
            (ArgumentKind::Json, "[1]", json!([1])),
            (ArgumentKind::JsonOrText, "{\"a\":1}", json!({"a": 1})),
            (ArgumentKind::JsonOrText, "plain words", json!("plain words")),
            (choice, "foil", json!("foil")),
        ] {
            assert_eq!(read(&of(kind), text).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn a_text_that_does_not_fit_is_told_what_was_expected_and_an_example() {
        let choice = ArgumentKind::Choice(vec!["stock".into(), "foil".into()]);
        for (kind, text, words) in [
            (ArgumentKind::Integer, "1.5", ["whole number", "1000"]),
            (ArgumentKind::Duration, "48", ["duration", "48h"]),
            (ArgumentKind::Json, "{a", ["JSON", "{\"max\": 5}"]),
            (choice, "stick", ["stock", "foil"]),
        ] {
            let error = read(&of(kind), text).unwrap_err();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
        let own = of(ArgumentKind::Integer).example("65430");
        assert!(read(&own, "x").unwrap_err().ends_with("for example 65430"));
    }

    #[test]
    fn durations_are_exact_and_never_overflow() {
        for (text, expected) in [
            ("0s", Some(0)),
            ("10ms", Some(10)),
            ("30m", Some(1_800_000)),
            ("7d", Some(604_800_000)),
            ("", None),
            ("s", None),
            ("-5s", None),
            ("1h30m", None),
            ("5 s", None),
            ("9223372036854775807d", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
    }

    #[test]
    fn json_may_come_from_a_file_and_a_bad_file_is_named_as_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("terms.json");
        std::fs::write(&path, "{\"max\": 7}\n").unwrap();
        let text = path.to_str().unwrap();
        assert_eq!(read(&of(ArgumentKind::Json), text).unwrap(), json!({"max": 7}));
        std::fs::write(&path, "{").unwrap();
        assert!(read(&of(ArgumentKind::Json), text).unwrap_err().contains("file holds none"));
    }
}
