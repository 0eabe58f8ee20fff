//! One field of a cron pattern, read into the set of its values.

use sha2::{Digest, Sha256};

use super::ScheduleError;

/// What a field may hold.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    min: u32,
    max: u32,
    /// After how many values it begins again (7 and 0 are one day of the week).
    size: u32,
    /// Range of a bare `H`; never the last days of a month.
    hash: (u32, u32),
    names: &'static [&'static str],
}

pub(super) const SECOND: Field = Field { name: "second", min: 0, max: 59, size: 60, hash: (0, 59), names: &[] };
pub(super) const MINUTE: Field = Field { name: "minute", ..SECOND };
pub(super) const HOUR: Field = Field { name: "hour", min: 0, max: 23, size: 24, hash: (0, 23), names: &[] };
pub(super) const DAY: Field = Field { name: "day of the month", min: 1, max: 31, size: 31, hash: (1, 28), names: &[] };
pub(super) const MONTH: Field = Field {
    name: "month",
    min: 1,
    max: 12,
    size: 12,
    hash: (1, 12),
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
pub(super) const WEEKDAY: Field = Field {
    name: "weekday",
    min: 0,
    max: 7,
    size: 7,
    hash: (0, 6),
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
};

impl Field {
    /// The set of values (bit n for value n) of one item of a list, in upper case: `*`, `5`, `1-5`,
    /// `22-2`, `H`, `H(0-29)`, each with or without `/step`.
    pub(super) fn item(&self, text: &str, seed: &str) -> Result<u64, ScheduleError> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(self.step(step)?)),
            None => (text, None),
        };
        let (first, last) = if range == "*" {
            (self.min, self.max)
        } else if let Some(bounds) = range.strip_prefix('H') {
            self.hashed(bounds, step, seed)?
        } else if let Some((first, last)) = range.split_once('-') {
            (self.value(first)?, self.value(last)?)
        } else {
            let value = self.value(range)?;
            (value, if step.is_some() { self.max } else { value })
        };
        // A range that wraps walks on over the end; steps are counted along the walk.
        let last = if first > last { last + self.size } else { last };
        let walk = (first..=last).step_by(step.unwrap_or(1));
        Ok(walk.fold(0, |set, value| set | 1 << ((value - self.min) % self.size + self.min)))
    }

    /// The set of a list of items.
    pub(super) fn list(&self, text: &str, seed: &str) -> Result<u64, ScheduleError> {
        text.split(',').try_fold(0, |set, item| Ok(set | self.item(item, seed)?))
    }

    /// One value, by number or name.
    pub(super) fn value(&self, text: &str) -> Result<u32, ScheduleError> {
        if let Some(index) = self.names.iter().position(|name| *name == text) {
            return Ok(u32::try_from(index).unwrap_or(0) + self.min);
        }
        number(text).filter(|value| (self.min..=self.max).contains(value)).ok_or_else(|| self.wrong(text))
    }

    fn step(&self, text: &str) -> Result<usize, ScheduleError> {
        number(text).filter(|step| *step > 0).and_then(|step| usize::try_from(step).ok()).ok_or_else(|| {
            ScheduleError(format!("`/{text}` is no step of the {}; write a whole number from 1", self.name))
        })
    }

    /// First and last value of `H`, `H(a-b)` and `H/n`: the same for the same seed, for ever.
    fn hashed(&self, bounds: &str, step: Option<usize>, seed: &str) -> Result<(u32, u32), ScheduleError> {
        let (low, high) = if bounds.is_empty() {
            self.hash
        } else {
            let inner = bounds.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
            let (low, high) = inner
                .and_then(|inner| inner.split_once('-'))
                .ok_or_else(|| ScheduleError(format!("`H{bounds}` is no {}; write H, H(a-b) or H/n", self.name)))?;
            (self.value(low)?, self.value(high)?)
        };
        if low > high {
            return Err(ScheduleError(format!("`H{bounds}`: the lower end of the {} comes first", self.name)));
        }
        let width = high - low + 1;
        let choices = step.and_then(|step| u32::try_from(step).ok()).map_or(width, |step| step.min(width));
        let first = low + pick(&format!("{seed}\0{}", self.name), choices);
        Ok((first, if step.is_some() { high } else { first }))
    }

    fn wrong(&self, text: &str) -> ScheduleError {
        let names = match self.names {
            [first, .., last] => format!(" or {first}-{last}"),
            _ => String::new(),
        };
        if text.is_empty() {
            return ScheduleError(format!(
                "a value of the {} is missing; write {}-{}{names}",
                self.name, self.min, self.max
            ));
        }
        let year = if looks_like_year(text) { "; there is no field for years" } else { "" };
        ScheduleError(format!("`{text}` is no {}; write {}-{}{names}{year}", self.name, self.min, self.max))
    }
}

/// Digits only: no sign.
pub(super) fn number(text: &str) -> Option<u32> {
    let digits = (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Whether a field begins with a year, as in patterns of other programs.
pub(super) fn looks_like_year(text: &str) -> bool {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.len() == 4 && number(&digits).is_some_and(|n| n >= 1900)
}

/// A number below `choices` that depends on nothing but the text.
fn pick(text: &str, choices: u32) -> u32 {
    let digest = Sha256::digest(text.as_bytes());
    let n = digest.iter().take(8).fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
    u32::try_from(n % u64::from(choices.max(1))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(field: &Field, text: &str) -> Vec<u32> {
        let set = field.list(text, "job").unwrap_or_else(|error| panic!("{text}: {error}"));
        (0..64).filter(|n| set >> n & 1 == 1).collect()
    }

    #[test]
    fn sets() {
        for (field, text, expected) in [
            (&MINUTE, "5", vec![5]),
            (&MINUTE, "05", vec![5]),
            (&MINUTE, "1,3,5-7", vec![1, 3, 5, 6, 7]),
            (&MINUTE, "*/20", vec![0, 20, 40]),
            (&MINUTE, "*/90", vec![0]),
            (&MINUTE, "0/15", vec![0, 15, 30, 45]),
            (&MINUTE, "5/25", vec![5, 30, 55]),
            (&MINUTE, "5-50/15", vec![5, 20, 35, 50]),
            (&MINUTE, "50-10/10", vec![0, 10, 50]),
            (&HOUR, "22-2", vec![0, 1, 2, 22, 23]),
            (&HOUR, "22-3/2", vec![0, 2, 22]),
            (&DAY, "30-2", vec![1, 2, 30, 31]),
            (&MONTH, "NOV-FEB", vec![1, 2, 11, 12]),
            (&MONTH, "JAN,6", vec![1, 6]),
            (&WEEKDAY, "7", vec![0]),
            (&WEEKDAY, "0", vec![0]),
            (&WEEKDAY, "5-7", vec![0, 5, 6]),
            (&WEEKDAY, "6-7", vec![0, 6]),
            (&WEEKDAY, "7-2", vec![0, 1, 2]),
            (&WEEKDAY, "7-2/2", vec![0, 2]),
            (&WEEKDAY, "7-0", vec![0]),
            (&WEEKDAY, "FRI-MON", vec![0, 1, 5, 6]),
            (&WEEKDAY, "FRI-MON/2", vec![0, 5]),
            (&WEEKDAY, "MON-FRI", vec![1, 2, 3, 4, 5]),
            (&WEEKDAY, "SUN-SAT", vec![0, 1, 2, 3, 4, 5, 6]),
            (&WEEKDAY, "0-7/2", vec![0, 2, 4, 6]),
            (&WEEKDAY, "1-7/2", vec![0, 1, 3, 5]),
            (&WEEKDAY, "1/2", vec![0, 1, 3, 5]),
            (&WEEKDAY, "*/2", vec![0, 2, 4, 6]),
        ] {
            assert_eq!(values(field, text), expected, "{} {text}", field.name);
        }
    }

    #[test]
    fn no_sets() {
        for (field, text) in [
            (&MINUTE, ""),
            (&MINUTE, "60"),
            (&MINUTE, "+5"),
            (&MINUTE, "-5"),
            (&MINUTE, "5-"),
            (&MINUTE, "1,,2"),
            (&MINUTE, "1-2-3"),
            (&MINUTE, "*/0"),
            (&MINUTE, "*/"),
            (&MINUTE, "*/*"),
            (&MINUTE, "*/5/5"),
            (&MINUTE, "*5"),
            (&MINUTE, "**"),
            (&MINUTE, "MON"),
            (&MINUTE, "?"),
            (&MINUTE, "H(5)"),
            (&MINUTE, "H(9-5)"),
            (&MINUTE, "H(0-60)"),
            (&MINUTE, "H5"),
            (&MINUTE, "1.5"),
            (&MINUTE, "٣"),
            (&HOUR, "24"),
            (&DAY, "0"),
            (&DAY, "32"),
            (&MONTH, "0"),
            (&MONTH, "13"),
            (&MONTH, "JANUARY"),
            (&WEEKDAY, "8"),
        ] {
            assert!(field.list(text, "job").is_err(), "{} {text}", field.name);
        }
    }

    #[test]
    fn hashes_stay_in_range_differ_by_job_and_field_and_never_change() {
        for seed in (0..200).map(|n| format!("job{n}")) {
            let minute = MINUTE.list("H(10-19)", &seed).unwrap().trailing_zeros();
            assert!((10..20).contains(&minute));
            let steps = MINUTE.list("H/15", &seed).unwrap();
            assert_eq!(steps.count_ones(), 4);
            assert!(steps.trailing_zeros() < 15);
            assert_eq!(steps & MINUTE.list("H/15", &seed).unwrap(), steps);
            assert!(DAY.list("H", &seed).unwrap().trailing_zeros() <= 28);
            assert_eq!(WEEKDAY.list("H", &seed).unwrap().count_ones(), 1);
            assert!(MINUTE.list("H(0-4)/10", &seed).unwrap().trailing_zeros() < 5);
        }
        let hours: std::collections::BTreeSet<u64> =
            (0..200).map(|n| HOUR.list("H", &format!("job{n}")).unwrap()).collect();
        assert_eq!(hours.len(), 24);
        // These values are a promise: a later release must not move anybody's jobs.
        assert_eq!((values(&MINUTE, "H"), values(&HOUR, "H"), values(&DAY, "H")), (vec![53], vec![0], vec![27]));
    }
}
