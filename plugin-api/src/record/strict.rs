//! Reading JSON that people or other sites hand in, more strictly than JSON demands.

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// A text that is not one strict JSON value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no valid JSON at line {line}, column {column}: {what}")]
pub struct StrictError {
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1; 0 before the first.
    pub column: usize,
    /// What is wrong there; names the member where one is at fault.
    pub what: String,
}

/// Reads one JSON value, refusing what two readers may understand differently: a member name twice
/// in one object (at any depth), numbers beyond a double, unpaired surrogates, and text after
/// the value. Nesting ends at `max_depth` levels, at most 127; a value that is no array or object
/// has none, `{}` has one.
///
/// ```
/// use tallyho_plugin::record::strict::strict_json;
/// assert!(strict_json(r#"{"units": 5}"#, 32).is_ok());
/// let error = strict_json(r#"{"units": 5, "units": 50}"#, 32).unwrap_err();
/// assert!(error.to_string().contains("member \"units\" stands twice"));
/// ```
///
/// # Errors
/// [`StrictError`] naming the place.
pub fn strict_json(text: &str, max_depth: usize) -> Result<Value, StrictError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Level { name: Name::None, left: max_depth, max_depth }.deserialize(&mut reader).map_err(explain)?;
    reader.end().map_err(explain)?;
    Ok(value)
}

fn explain(error: serde_json::Error) -> StrictError {
    let what = error.to_string();
    // The place stands in its own members.
    let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what).to_owned();
    StrictError { line: error.line(), column: error.column(), what }
}

/// The name under which a value stands, for messages.
#[derive(Clone, Copy)]
enum Name<'a> {
    None,
    Member(&'a str),
    Item(usize),
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::None => f.write_str("the value"),
            Name::Member(name) => write!(f, "member {name:?}"),
            Name::Item(index) => write!(f, "item {index}"),
        }
    }
}

/// Reads a value that may hold `left` more levels.
struct Level<'a> {
    name: Name<'a>,
    left: usize,
    max_depth: usize,
}

impl<'a> Level<'a> {
    fn deeper<E: Error>(&self) -> Result<Level<'a>, E> {
        let left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| E::custom(format_args!("{} is nested deeper than {} levels", self.name, self.max_depth)))?;
        Ok(Level { name: Name::None, left, max_depth: self.max_depth })
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let level = self.deeper::<A::Error>()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Level { name: Name::Item(array.len()), ..level })? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let level = self.deeper::<A::Error>()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("member {name:?} stands twice in {}", self.name)));
            }
            let value = members.next_value_seed(Level { name: Name::Member(&name), ..level })?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn refusal(text: &str) -> StrictError {
        strict_json(text, 4).unwrap_err()
    }

    #[test]
    fn plain_json_is_read_as_serde_json_reads_it() {
        let text = r#" {"a":[1,-2,3.5,1e3,"x\u00e9\ud83d\ude00",true,null,{}],"b":{"a":{"a":0}}, "":""} "#;
        assert_eq!(strict_json(text, 4).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(strict_json("7", 0).unwrap(), Value::from(7));
    }

    #[test]
    fn a_member_name_twice_is_refused_at_any_depth() {
        for (text, what) in [
            (r#"{"a":1,"a":1}"#, r#"member "a" stands twice in the value"#),
            (r#"{"a":1,"\u0061":1}"#, r#"member "a" stands twice in the value"#),
            (r#"{"chad":{"port":1,"host":"","port":1}}"#, r#"member "port" stands twice in member "chad""#),
            (r#"[0,[{"x":{},"x":{}}]]"#, r#"member "x" stands twice in item 0"#),
        ] {
            assert_eq!(refusal(text).what, what, "{text}");
        }
        assert!(strict_json(r#"{"a":{"a":1},"b":{"a":1}}"#, 4).is_ok(), "the same name in different objects");
    }

    #[test]
    fn nesting_ends_where_it_was_told_to() {
        assert!(strict_json("[[[[1]]]]", 4).is_ok());
        assert_eq!(refusal("[[[[{}]]]]").what, "item 0 is nested deeper than 4 levels");
        assert_eq!(refusal(r#"{"a":{"b":{"c":{"d":[]}}}}"#).what, r#"member "d" is nested deeper than 4 levels"#);
        assert!(strict_json(&"[".repeat(100_000), 1000).is_err());
    }

    #[test]
    fn an_error_names_line_and_column() {
        let error = refusal("{\n  \"a\": 1,\n  \"b\": trux\n}");
        assert_eq!((error.line, error.what.as_str()), (3, "expected ident"));
        let error = refusal("{\n\"a\":1,\n\"a\":2}");
        assert_eq!((error.line, error.column), (3, 3));
    }

    #[test]
    fn what_readers_may_take_differently_is_refused() {
        for text in [
            "",
            "{} {}",
            "1 2",
            "{}x",
            "1e400",
            "-1e400",
            "01",
            "1.",
            "+1",
            "NaN",
            "'a'",
            "{a:1}",
            "[1,]",
            "{\"a\":1,}",
            "// c\n1",
            r#""\ud800""#,
            r#""\udc00x""#,
            r#"{"\ud800":1}"#,
            "\"\u{1}\"",
            "\u{feff}{}",
        ] {
            assert!(strict_json(text, 4).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_canonical_writes_is_read_back(value in super::super::canon::tests::values()) {
            let text = super::super::canonical(&value).unwrap();
            prop_assert_eq!(super::super::canonical(&strict_json(&text, 127).unwrap()).unwrap(), text);
        }

        #[test]
        fn no_text_stops_the_reader(text in "[\\[\\]{}\",:0-9ea.\\\\u-]{0,60}") {
            let own = strict_json(&text, 127).ok();
            if let Some(value) = own {
                prop_assert_eq!(value, serde_json::from_str::<Value>(&text).unwrap());
            }
        }
    }
}
