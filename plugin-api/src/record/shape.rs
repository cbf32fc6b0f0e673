//! Reading members of records, with errors that name member and clause.

use super::{RecordError, Timestamp, integer};
use serde_json::{Map, Value};

/// The members of one object and the way to it.
#[derive(Clone, Copy)]
pub(super) struct Members<'a> {
    members: &'a Map<String, Value>,
    way: &'a str,
    clause: &'static str,
}

impl<'a> Members<'a> {
    /// `way`: empty for the record itself.
    pub fn of(value: &'a Value, way: &'a str, clause: &'static str) -> Result<Self, RecordError> {
        let what = if way.is_empty() { "record" } else { way };
        let members = value.as_object().ok_or_else(|| wrong(what, "an object", Some(value), clause))?;
        Ok(Members { members, way, clause })
    }

    /// Refuses members not named here.
    pub fn only(&self, names: &[&str]) -> Result<(), RecordError> {
        match self.members.keys().find(|name| !names.contains(&name.as_str())) {
            Some(name) => Err(RecordError::Unknown { member: self.path(name), clause: self.clause }),
            None => Ok(()),
        }
    }

    /// The member, null included.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name)
    }

    /// A member that must be there and not null.
    pub fn some(&self, name: &str, expected: &'static str) -> Result<&'a Value, RecordError> {
        self.get(name).filter(|value| !value.is_null()).ok_or_else(|| self.wrong(name, expected))
    }

    pub fn text(&self, name: &str) -> Result<&'a str, RecordError> {
        self.get(name).and_then(Value::as_str).ok_or_else(|| self.wrong(name, "a text"))
    }

    pub fn uuid(&self, name: &str) -> Result<&'a str, RecordError> {
        self.get(name)
            .and_then(Value::as_str)
            .filter(|text| is_uuid(text))
            .ok_or_else(|| self.wrong(name, "a uuid in lower case, like 9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55"))
    }

    /// An instant in any RFC 3339 form: readers compare instants (PROTOCOL 3.3).
    pub fn date(&self, name: &str) -> Result<Timestamp, RecordError> {
        Timestamp::parse_any(self.text(name)?).map_err(|source| RecordError::Date { member: self.path(name), source })
    }

    /// An integer within `low..=high`.
    pub fn integer(&self, name: &str, low: i64, high: i64, expected: &'static str) -> Result<i64, RecordError> {
        self.get(name)
            .and_then(integer)
            .filter(|number| (low..=high).contains(number))
            .ok_or_else(|| self.wrong(name, expected))
    }

    /// The error for a member that is not what was expected.
    pub fn wrong(&self, name: &str, expected: &'static str) -> RecordError {
        wrong(&self.path(name), expected, self.get(name), self.clause)
    }

    /// The way to a member.
    pub fn path(&self, name: &str) -> String {
        if self.way.is_empty() { name.to_owned() } else { format!("{}.{name}", self.way) }
    }
}

/// Whether the text is a uuid as records carry it: lower case, with hyphens.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok() && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Refuses nulls at any depth, for what this site's users write: authors put none into what they
/// create. What partners wrote keeps its nulls (PROTOCOL 3.3). `way`: the value's name for messages.
///
/// # Errors
/// [`RecordError::Member`] naming the null.
pub fn refuse_nulls(value: &Value, way: &str) -> Result<(), RecordError> {
    match value {
        Value::Null => Err(RecordError::Member {
            member: way.to_owned(),
            expected: "a value; leave the member out where there is none",
            found: "null".to_owned(),
            clause: "3.3",
        }),
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(i, item)| refuse_nulls(item, &format!("{way}[{i}]")))
        }
        Value::Object(members) => {
            members.iter().try_for_each(|(name, member)| refuse_nulls(member, &format!("{way}.{name}")))
        }
        _ => Ok(()),
    }
}

fn wrong(member: &str, expected: &'static str, found: Option<&Value>, clause: &'static str) -> RecordError {
    /// Enough to recognise a value by in a log line.
    const SHOWN: usize = 40;
    let found = found.map_or("nothing".to_owned(), |value| {
        let text = value.to_string();
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text,
        }
    });
    RecordError::Member { member: member.to_owned(), expected, found, clause }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_names_the_way_what_was_expected_what_stood_there_and_the_clause() {
        let value = json!({"port": "x".repeat(60)});
        let error = Members::of(&value, "stock.cert.chad", "1.1").unwrap().integer("port", 1, 2, "a port").unwrap_err();
        let expected = format!("stock.cert.chad.port: expected a port, found \"{}... (PROTOCOL 1.1)", "x".repeat(39));
        assert_eq!(error.to_string(), expected);
        let error = Members::of(&Value::Null, "", "4.1").map(drop).unwrap_err();
        assert_eq!(error.to_string(), "record: expected an object, found null (PROTOCOL 4.1)");
    }

    #[test]
    fn a_uuid_has_one_text() {
        assert!(is_uuid("9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55"));
        for text in [
            "9B8F6C1E-5D0A-4F1E-8C27-2F3D1A7B6C55",
            "9b8f6c1e5d0a4f1e8c272f3d1a7b6c55",
            "{9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c5",
            "9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c5g",
            "",
        ] {
            assert!(!is_uuid(text), "{text}");
        }
    }
}
