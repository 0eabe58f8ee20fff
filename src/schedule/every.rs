//! `@every`: a true interval, aligned to the Unix epoch so that a restart never shifts it.

use std::fmt;

use chrono::{DateTime, Utc};

use super::{ScheduleError, line};

/// An interval in whole seconds, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Every {
    seconds: i64,
}

const UNITS: [(char, i64, &str); 5] =
    [('w', 604_800, "week"), ('d', 86_400, "day"), ('h', 3_600, "hour"), ('m', 60, "minute"), ('s', 1, "second")];

impl Every {
    /// Reads parts such as `1h30m`; they add up, in any order.
    pub(super) fn parse(text: &str) -> Result<Self, ScheduleError> {
        let wrong = |why: &str| {
            ScheduleError(format!("`@every {text}`: {why}; write whole numbers with w, d, h, m or s, such as 1h30m"))
        };
        let mut seconds = 0_i64;
        let mut number = String::new();
        for c in text.chars() {
            if c.is_ascii_digit() {
                number.push(c);
                continue;
            }
            if c.is_whitespace() && number.is_empty() {
                continue;
            }
            let Some((_, unit, _)) = UNITS.iter().find(|(letter, ..)| *letter == c) else {
                return Err(wrong(&format!("`{c}` is no unit")));
            };
            if number.is_empty() {
                return Err(wrong(&format!("a number is missing before `{c}`")));
            }
            let part = number.parse::<i64>().ok().and_then(|n| n.checked_mul(*unit));
            seconds =
                part.and_then(|part| seconds.checked_add(part)).ok_or_else(|| wrong("longer than any calendar"))?;
            number.clear();
        }
        match seconds {
            _ if !number.is_empty() => Err(wrong(&format!("a unit is missing after `{number}`"))),
            0 if text.is_empty() => Err(wrong("a duration is missing")),
            0 => Err(wrong("zero is no interval")),
            _ if seconds > line::LAST.timestamp() => Err(wrong("longer than any calendar")),
            _ => Ok(Self { seconds }),
        }
    }

    /// The first multiple after `after`.
    pub(super) fn next(self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let index = after.timestamp().div_euclid(self.seconds).checked_add(1)?;
        DateTime::from_timestamp(index.checked_mul(self.seconds)?, 0)
    }

    /// How many multiples lie after `after` and until `until`.
    pub(super) fn count(self, after: DateTime<Utc>, until: DateTime<Utc>) -> u64 {
        let index = |at: DateTime<Utc>| at.timestamp().div_euclid(self.seconds);
        u64::try_from(index(until) - index(after)).unwrap_or(0)
    }
}

impl fmt::Display for Every {
    /// `1 hour 30 minutes`, or just `hour` for a single one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((_, _, name)) = UNITS.iter().find(|(_, unit, _)| *unit == self.seconds) {
            return f.write_str(name);
        }
        let mut left = self.seconds;
        let mut parts = Vec::new();
        for (_, unit, name) in UNITS {
            let n = left / unit;
            left %= unit;
            if n > 0 {
                parts.push(format!("{n} {name}{}", if n == 1 { "" } else { "s" }));
            }
        }
        f.write_str(&parts.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("5m", 300),
            ("90m", 5_400),
            ("1h30m", 5_400),
            ("30m1h", 5_400),
            ("1h 30m", 5_400),
            ("1m1m", 120),
            ("1w", 604_800),
            ("2d", 172_800),
            ("1w1d1h1m1s", 604_800 + 86_400 + 3_600 + 61),
            ("007s", 7),
            ("1000w", 604_800_000),
        ] {
            assert_eq!(Every::parse(text), Ok(Every { seconds }), "{text}");
        }
    }

    #[test]
    fn no_durations() {
        for (text, why) in [
            ("", "missing"),
            ("0s", "zero"),
            ("0h0m", "zero"),
            ("5", "unit is missing"),
            ("m", "number is missing"),
            ("1h30", "unit is missing"),
            ("5 m", "no unit"),
            ("1.5h", "no unit"),
            ("500ms", "number is missing"),
            ("-5m", "no unit"),
            ("+5m", "no unit"),
            ("5M", "no unit"),
            ("1y", "no unit"),
            ("99999999999w", "calendar"),
            ("99999999999999999999s", "calendar"),
        ] {
            let error = Every::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
