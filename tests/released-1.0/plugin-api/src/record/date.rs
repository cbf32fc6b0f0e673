//! Instants and their text (PROTOCOL 3.3).

use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};
use time::{Date, Month, OffsetDateTime, Time};

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
///
/// In stores, over the plugin ABI and in commands it is that integer; in records of the network it
/// is a text of exactly three fractional digits, which [`Timestamp::text`] writes:
///
/// ```
/// use tallyho_plugin::record::Timestamp;
/// let instant = Timestamp(1_701_708_634_707);
/// assert_eq!(instant.text(), "2023-12-04T16:50:34.707Z");
/// assert_eq!(Timestamp::parse("2023-12-04T16:50:34.707Z"), Ok(instant));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A text that is no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no instant; expected one like 2023-12-04T16:50:34.707Z (PROTOCOL 3.3)")]
pub struct DateError {
    /// The text, its first 40 characters.
    pub given: String,
}

impl Timestamp {
    /// The first instant that has a text: `0000-01-01T00:00:00.000Z`.
    pub const FIRST: Timestamp = Timestamp(-62_167_219_200_000);
    /// The last instant that has a text: `9999-12-31T23:59:59.999Z`.
    pub const LAST: Timestamp = Timestamp(253_402_300_799_999);

    /// This many milliseconds later, at most the largest instant.
    #[must_use]
    pub fn plus(self, milliseconds: i64) -> Self {
        Timestamp(self.0.saturating_add(milliseconds))
    }

    /// The text that records carry: UTC with exactly three fractional digits, 24 characters. An
    /// instant outside of years 0 to 9999 is written as the nearest inside.
    pub fn text(self) -> String {
        self.to_string()
    }

    /// Reads exactly the form that [`Timestamp::text`] writes.
    ///
    /// # Errors
    /// [`DateError`] for every other form, even of the same instant.
    pub fn parse(text: &str) -> Result<Self, DateError> {
        let error = || date_error(text);
        let instant = Self::parse_any(text)?;
        if instant.text() == text { Ok(instant) } else { Err(error()) }
    }

    /// Reads any RFC 3339 form: other offsets, more or fewer fractional digits (cut off after the
    /// third), a blank or small letters between. Readers of records compare instants, so they take
    /// all of these and hash the text as it came.
    ///
    /// # Errors
    /// [`DateError`] where the text is none, or lies outside of years 0 to 9999 in UTC.
    pub fn parse_any(text: &str) -> Result<Self, DateError> {
        read(text.as_bytes())
            .filter(|instant| (Self::FIRST..=Self::LAST).contains(instant))
            .ok_or_else(|| date_error(text))
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let milliseconds = (*self).clamp(Self::FIRST, Self::LAST).0;
        let at = OffsetDateTime::from_unix_timestamp(milliseconds.div_euclid(1000)).map_err(|_| std::fmt::Error)?;
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            milliseconds.rem_euclid(1000)
        )
    }
}

impl std::str::FromStr for Timestamp {
    type Err = DateError;

    /// As [`Timestamp::parse_any`].
    fn from_str(text: &str) -> Result<Self, DateError> {
        Self::parse_any(text)
    }
}

impl From<SystemTime> for Timestamp {
    /// Truncates to the millisecond before.
    fn from(at: SystemTime) -> Self {
        let milliseconds = match at.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()),
            Err(before) => {
                let before = before.duration();
                let whole = i64::try_from(before.as_millis());
                whole.map(|whole| -whole - i64::from(before.subsec_nanos() % 1_000_000 != 0))
            }
        };
        Timestamp(milliseconds.unwrap_or(i64::MAX))
    }
}

/// An instant as the text of records, for `#[serde(with = "...::date::text")]`.
pub mod text {
    use super::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes [`Timestamp::text`].
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(instant: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(instant)
    }

    /// Reads as [`Timestamp::parse_any`].
    ///
    /// # Errors
    /// The deserializer's, and its own where the text is no instant.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::parse_any(&text).map_err(D::Error::custom)
    }
}

fn date_error(text: &str) -> DateError {
    DateError { given: text.chars().take(40).collect() }
}

/// RFC 3339: `date T time [. digits] (Z | +hh:mm | -hh:mm)`.
fn read(text: &[u8]) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(10)?;
    let (separator, rest) = rest.split_first()?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let (b'T' | b't' | b' ') = separator else { return None };
    let ([_, _, _, _, b'-', _, _, b'-', _, _], [_, _, b':', _, _, b':', _, _]) = (date, clock) else { return None };

    let month = Month::try_from(small(&date[5..7])?).ok()?;
    let day = Date::from_calendar_date(digits(&date[..4])? as i32, month, small(&date[8..])?).ok()?;
    // A leap second is the first of the next minute.
    let second = small(&clock[6..])?;
    let time = Time::from_hms(small(&clock[..2])?, small(&clock[3..5])?, second.min(59)).ok()?;
    let leap = match second {
        0..=59 => 0,
        60 => 1,
        _ => return None,
    };

    let (fraction, offset) = match rest.split_first() {
        Some((b'.', after)) => {
            let length = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
            (Some(&after[..length]), &after[length..])
        }
        _ => (None, rest),
    };
    let milliseconds = match fraction {
        Some([]) => return None,
        Some(fraction) => {
            (0..3).fold(0, |sum, place| sum * 10 + fraction.get(place).map_or(0, |digit| i64::from(digit - b'0')))
        }
        None => 0,
    };

    let seconds = day.with_time(time).assume_utc().unix_timestamp() + leap - offset_seconds(offset)?;
    Some(Timestamp(seconds * 1000 + milliseconds))
}

fn offset_seconds(text: &[u8]) -> Option<i64> {
    match text {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), hours @ .., b':', m1, m2] if hours.len() == 2 => {
            let (hours, minutes) = (digits(hours)?, digits(&[*m1, *m2])?);
            let seconds = i64::from(hours) * 3600 + i64::from(minutes) * 60;
            (hours < 24 && minutes < 60).then_some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

/// A number of at most four digits, digits alone.
fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
}

fn small(text: &[u8]) -> Option<u8> {
    digits(text).and_then(|number| u8::try_from(number).ok())
}
