//! The four trading variables of one side (PROTOCOL 5.7, 7.1).

use serde_json::{Number, Value};
use tallyho_plugin::record::integer;

/// Their names.
pub const NAMES: [&str; 4] = ["target", "bound", "reward", "clutch"];

/// What one holder on one tally asks of value that lifts bring or take away.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Variables {
    /// Balance wished for, milli-CHIPs, from 0.
    pub target: i64,
    /// Balance that no lift may exceed, milli-CHIPs, from 0; in effect never below `target`.
    pub bound: i64,
    /// Fee fraction between target and bound, -1 to 1.
    pub reward: f64,
    /// Fee fraction for value lifted away, -1 to 1.
    pub clutch: f64,
}

/// A variable that breaks its constraint.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Wrong {
    /// No whole number from 0.
    #[error("{0}: expected a whole number of milli-CHIPs from 0 to 9007199254740991")]
    Amount(&'static str),
    /// No fraction.
    #[error("{0}: expected a number from -1 to 1")]
    Fraction(&'static str),
    /// The two together.
    #[error("reward and clutch: their sum must not be below 0")]
    Sum,
}

impl Variables {
    /// Reads them out of one side's settings; absent ones are 0.
    ///
    /// # Errors
    /// The first that breaks a constraint.
    pub fn read(settings: &Value) -> Result<Self, Wrong> {
        let variables = Variables {
            target: amount(settings, "target")?,
            bound: amount(settings, "bound")?,
            reward: fraction(settings, "reward")?,
            clutch: fraction(settings, "clutch")?,
        };
        // Summed in units of what is published (PROTOCOL 7.3), so that -0.3 and 0.1 + 0.2 make 0.
        let sum = ((variables.reward + variables.clutch) * 1e6).round();
        if sum < 0.0 { Err(Wrong::Sum) } else { Ok(variables) }
    }

    /// The balance that lifts may bring the holder to at most.
    pub fn ceiling(&self) -> i64 {
        self.target.max(self.bound)
    }
}

/// A variable's value as settings keep it: numeric texts become numbers.
pub fn as_number(value: &Value) -> Value {
    match value {
        Value::String(text) => number(text).map_or_else(|| value.clone(), Value::Number),
        _ => value.clone(),
    }
}

/// `"5"`, `"-0.02"`: digits with at most one sign, point and exponent.
fn number(text: &str) -> Option<Number> {
    let text = text.trim();
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if !plain {
        return None;
    }
    match text.parse::<i64>() {
        Ok(whole) => Some(whole.into()),
        Err(_) => text.parse::<f64>().ok().and_then(Number::from_f64),
    }
}

fn amount(settings: &Value, name: &'static str) -> Result<i64, Wrong> {
    match settings.get(name).map(as_number) {
        None => Ok(0),
        Some(value) => integer(&value).filter(|amount| *amount >= 0).ok_or(Wrong::Amount(name)),
    }
}

fn fraction(settings: &Value, name: &'static str) -> Result<f64, Wrong> {
    match settings.get(name).map(as_number) {
        None => Ok(0.0),
        Some(value) => value.as_f64().filter(|fraction| (-1.0..=1.0).contains(fraction)).ok_or(Wrong::Fraction(name)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_and_numeric_texts_are_read_and_absent_ones_are_zero() {
        let read = Variables::read(&json!({ "target": "3", "bound": 7.0, "reward": "0.02", "clutch": -0.02 })).unwrap();
        assert_eq!(read, Variables { target: 3, bound: 7, reward: 0.02, clutch: -0.02 });
        assert_eq!(Variables::read(&json!({ "limit": 5 })).unwrap(), Variables::default());
        assert_eq!(Variables { target: 9, bound: 7, ..Variables::default() }.ceiling(), 9);
    }

    #[test]
    fn each_constraint_is_named() {
        for (settings, wrong) in [
            (json!({ "target": -1 }), Wrong::Amount("target")),
            (json!({ "target": 1.5 }), Wrong::Amount("target")),
            (json!({ "target": "many" }), Wrong::Amount("target")),
            (json!({ "target": "inf" }), Wrong::Amount("target")),
            (json!({ "target": null }), Wrong::Amount("target")),
            (json!({ "bound": 9007199254740992_i64 }), Wrong::Amount("bound")),
            (json!({ "bound": true }), Wrong::Amount("bound")),
            (json!({ "reward": 1.01 }), Wrong::Fraction("reward")),
            (json!({ "reward": "nan" }), Wrong::Fraction("reward")),
            (json!({ "clutch": [0] }), Wrong::Fraction("clutch")),
            (json!({ "clutch": "-1.5" }), Wrong::Fraction("clutch")),
            (json!({ "reward": -0.5, "clutch": 0.4 }), Wrong::Sum),
        ] {
            assert_eq!(Variables::read(&settings), Err(wrong), "{settings}");
        }
        assert!(Variables::read(&json!({ "reward": -1, "clutch": 1 })).is_ok());
        assert!(Variables::read(&json!({ "reward": -0.3, "clutch": 0.3 })).is_ok());
    }
}
