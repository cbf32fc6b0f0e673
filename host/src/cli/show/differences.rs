//! What a candidate would have done otherwise than the build that serves.

use serde_json::Value;

use super::{any, clean, line};

/// An answer about two builds that were compared: what is known of them, then each difference with what either did,
/// one below the other.
pub(super) fn compared(answer: &Value) -> String {
    let (Some(differences), Some(members)) = (answer["differences"].as_array(), answer.as_object()) else {
        return any(answer);
    };
    let mut rest = members.clone();
    rest.remove("differences");
    rest.retain(|_, value| !value.is_null());
    let mut text = any(&Value::Object(rest));
    let mut last = None;
    for difference in differences {
        let member = |name: &str| line(name, &difference[name]);
        let event = difference["event"].as_u64();
        if event != last {
            text += &format!("\nevent {}, {}, {}\n", member("event"), member("what"), member("at"));
            if !difference["given"].is_null() {
                text += &format!("  given     {}\n", member("given"));
            }
            last = event;
        }
        let place = match (difference["table"].as_str(), difference["key"].as_str()) {
            (Some(table), Some(key)) => format!(" {} of {}", clean(key), clean(table)),
            _ => String::new(),
        };
        text += &format!("  {}{place}\n", member("effect"));
        text += &format!("    expected  {}\n    found     {}\n", member("expected"), member("found"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::compared;
    use serde_json::json;

    #[test]
    fn each_difference_has_what_was_expected_above_what_was_found() {
        let answer = json!({
            "name": "chit", "state": "refused", "events": 100, "phases": null,
            "differences": [
                { "event": 57, "what": "message chit/good", "at": "2026-11-26T09:17:29.640Z", "given": { "units": 5 },
                  "effect": "row", "table": "chit.sums", "key": "33117fa2", "expected": { "net": 5 }, "found": { "net": 6 } },
                { "event": 57, "what": "message chit/good", "at": "2026-11-26T09:17:29.640Z", "given": { "units": 5 },
                  "effect": "answer", "expected": null, "found": "\u{1b}[2J" },
            ],
        });
        let text = compared(&answer);
        assert_eq!(
            text,
            "\
name:   chit
state:  refused
events: 100

event 57, message chit/good, 2026-11-26 09:17:29 UTC
  given     {\"units\":5}
  row 33117fa2 of chit.sums
    expected  {\"net\":5}
    found     {\"net\":6}
  answer
    expected  -
    found     \\u{1b}[2J
"
        );
    }
}
