//! The two day fields: which days of a month match.

use super::ScheduleError;
use super::field::{DAY, WEEKDAY, number};

/// Day of the month and day of the week, and how they go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Days {
    pub(super) month: MonthDays,
    pub(super) week: WeekDays,
    /// Either field is enough; else both must match.
    pub(super) either: bool,
}

/// What the day-of-month field names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct MonthDays {
    /// Begins with `*`, or is `?`.
    pub(super) starred: bool,
    /// Bit n for day n.
    pub(super) days: u32,
    /// Bit n for the last day minus n.
    pub(super) last: u32,
    /// Bit n for the weekday nearest to day n.
    pub(super) nearest: u32,
    /// The last weekday.
    pub(super) last_weekday: bool,
}

/// What the weekday field names; bit 0 is Sunday.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct WeekDays {
    /// Begins with `*`, or is `?`.
    pub(super) starred: bool,
    /// Every one of these.
    pub(super) days: u8,
    /// The last one of these in the month.
    pub(super) last: u8,
    /// The first, second … fifth one of these in the month.
    pub(super) nth: [u8; 5],
}

impl Days {
    /// Reads both fields, in upper case.
    pub(super) fn parse(month: &str, week: &str, seed: &str) -> Result<Self, ScheduleError> {
        // A leading + means that both must match.
        let (both, week) = week.strip_prefix('+').map_or((false, week), |rest| (true, rest));
        let month = MonthDays::parse(month, seed)?;
        let week = WeekDays::parse(week, seed)?;
        let either = !both && !month.starred && !week.starred;
        Ok(Self { month, week, either })
    }

    /// The days of a month that match, bit n for day n. `first` is the weekday of day 1 (0 is
    /// Sunday), `length` the number of days.
    pub(super) const fn matching(&self, first: u32, length: u32) -> u32 {
        let (month, week) = (self.month.matching(first, length), self.week.matching(first, length));
        if self.either { month | week } else { month & week }
    }
}

impl MonthDays {
    fn parse(text: &str, seed: &str) -> Result<Self, ScheduleError> {
        if text == "?" {
            return Ok(Self { starred: true, ..Self::parse("*", seed)? });
        }
        let mut days = Self { starred: text.starts_with('*'), ..Self::default() };
        for item in text.split(',') {
            if item == "LW" {
                days.last_weekday = true;
            } else if let Some(rest) = item.strip_prefix('L') {
                let before = if rest.is_empty() { Some(0) } else { rest.strip_prefix('-').and_then(number) };
                let before = before
                    .filter(|n| *n <= 30)
                    .ok_or_else(|| ScheduleError(format!("`{item}` is no {}; write L, LW or L-3", DAY.name)))?;
                days.last |= 1 << before;
            } else if let Some(day) = item.strip_suffix('W') {
                days.nearest |= 1 << DAY.value(day)?;
            } else {
                days.days |= u32::try_from(DAY.item(item, seed)?).unwrap_or(0);
            }
        }
        Ok(days)
    }

    const fn matching(&self, first: u32, length: u32) -> u32 {
        // Day n from the end is bit `length - n`.
        let mut set = self.days | (self.last.reverse_bits() >> (31 - length));
        let mut near = self.nearest & all_days(length);
        while near != 0 {
            set |= 1 << nearest_weekday(near.trailing_zeros(), first, length);
            near &= near - 1;
        }
        if self.last_weekday {
            set |= 1 << nearest_weekday(length, first, length);
        }
        set & all_days(length)
    }
}

impl WeekDays {
    fn parse(text: &str, seed: &str) -> Result<Self, ScheduleError> {
        if text == "?" {
            return Ok(Self { starred: true, ..Self::parse("*", seed)? });
        }
        let mut days = Self { starred: text.starts_with('*'), ..Self::default() };
        for item in text.split(',') {
            if let Some((day, n)) = item.split_once('#') {
                let day = WEEKDAY.value(day)? % 7;
                let place = number(n).and_then(|n| usize::try_from(n).ok()).and_then(|n| n.checked_sub(1));
                let place = place.and_then(|n| days.nth.get_mut(n)).ok_or_else(|| {
                    ScheduleError(format!("`{item}`: a month has at most five of a {}; write #1 to #5", WEEKDAY.name))
                })?;
                *place |= 1 << day;
            } else if item == "L" {
                return Err(ScheduleError(
                    "`L` alone is no weekday; write 5L for the last Friday of a month".to_owned(),
                ));
            } else if let Some(day) = item.strip_suffix('L') {
                days.last |= 1 << (WEEKDAY.value(day)? % 7);
            } else {
                days.days |= u8::try_from(WEEKDAY.item(item, seed)?).unwrap_or(0);
            }
        }
        Ok(days)
    }

    const fn matching(&self, first: u32, length: u32) -> u32 {
        /// Bits 1, 8, 15, 22 and 29: the same weekday over and over.
        const WEEKLY: u64 = 0x2040_8102;
        let weeks = from_weekday(self.days, first) * WEEKLY;
        let last = (from_weekday(self.last, first) * WEEKLY) & !(all_days(length - 7) as u64);
        let mut set = weeks | last;
        let mut n = 0;
        while n < self.nth.len() {
            set |= from_weekday(self.nth[n], first) << (7 * n + 1);
            n += 1;
        }
        // The months' days are the lowest 32 bits.
        set as u32 & all_days(length)
    }
}

/// The set of weekdays, counted from this one.
const fn from_weekday(days: u8, first: u32) -> u64 {
    let days = days as u64;
    (days >> first | days << (7 - first)) & 0x7f
}

/// The Monday to Friday nearest to a day, within its month.
const fn nearest_weekday(day: u32, first: u32, length: u32) -> u32 {
    match (first + day - 1) % 7 {
        6 if day > 1 => day - 1,
        6 => day + 2,
        0 if day < length => day + 1,
        0 => day - 2,
        _ => day,
    }
}

const fn all_days(length: u32) -> u32 {
    (u32::MAX >> (31 - length)) & !1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Matching days of a month of that length which begins on that weekday.
    fn days(month: &str, week: &str, first: u32, length: u32) -> Vec<u32> {
        let set = Days::parse(month, week, "job").unwrap_or_else(|e| panic!("{month} {week}: {e}"));
        let set = set.matching(first, length);
        (0..32).filter(|n| set >> n & 1 == 1).collect()
    }

    const SUN: u32 = 0;
    const MON: u32 = 1;
    const SAT: u32 = 6;

    #[test]
    fn days_of_the_month() {
        for (text, first, length, expected) in [
            ("L", MON, 28, vec![28]),
            ("L", MON, 31, vec![31]),
            ("L-3", MON, 30, vec![27]),
            ("L-0", MON, 30, vec![30]),
            ("L-29", MON, 29, vec![]),
            ("1,L", MON, 30, vec![1, 30]),
            ("31", MON, 30, vec![]),
            ("LW", MON, 31, vec![31]),  // a Wednesday
            ("LW", MON, 28, vec![26]),  // 28 is a Sunday
            ("LW", MON, 27, vec![26]),  // 27 would be a Saturday
            ("15W", MON, 31, vec![15]), // a Monday
            ("13W", MON, 31, vec![12]), // Saturday → Friday
            ("14W", MON, 31, vec![15]), // Sunday → Monday
            ("1W", SAT, 31, vec![3]),   // stays in its month
            ("1W", SUN, 31, vec![2]),
            ("31W", SAT, 31, vec![31]), // a Monday
            ("30W", SAT, 30, vec![28]), // Sunday, stays in its month
            ("31W", MON, 30, vec![]),
            ("*/10", MON, 31, vec![1, 11, 21, 31]),
        ] {
            assert_eq!(days(text, "*", first, length), expected, "{text}");
        }
        assert_eq!(days("?", "*", MON, 30).len(), 30);
    }

    #[test]
    fn days_of_the_week() {
        for (text, first, length, expected) in [
            ("1", MON, 31, vec![1, 8, 15, 22, 29]),
            ("1#1", MON, 31, vec![1]),
            ("MON#2", SUN, 31, vec![9]),
            ("1#5", MON, 31, vec![29]),
            ("1#5", MON, 28, vec![]),
            ("5L", MON, 31, vec![26]),
            ("FRIL", MON, 31, vec![26]),
            ("7L", MON, 28, vec![28]),
            ("7#1", MON, 28, vec![7]),
            ("1#1,1#3", MON, 31, vec![1, 15]),
        ] {
            assert_eq!(days("*", text, first, length), expected, "{text}");
            assert_eq!(days("?", text, first, length), expected, "{text}");
        }
    }

    #[test]
    fn together() {
        for (month, week, expected) in [
            ("13", "5", vec![5, 12, 13, 19, 26]), // either
            ("12", "+5", vec![12]),               // both
            ("13", "+5", vec![]),
            ("13", "0-6", (1..=31).collect()), // restricted, though full
            ("1-31", "5", (1..=31).collect()),
            ("*/2", "1", vec![1, 15, 29]), // starred: both
            ("13", "*", vec![13]),
            ("13", "*/2", vec![13]), // a Saturday
            ("12", "*/2", vec![]),
            ("13", "?", vec![13]),
            ("?", "?", (1..=31).collect()),
        ] {
            assert_eq!(days(month, week, MON, 31), expected, "{month} {week}");
        }
    }

    #[test]
    fn no_days() {
        for (month, week) in [
            ("L-31", "*"),
            ("L3", "*"),
            ("L-", "*"),
            ("WL", "*"),
            ("W", "*"),
            ("32W", "*"),
            ("1-5W", "*"),
            ("1,?", "*"),
            ("?/2", "*"),
            ("1#2", "*"),
            ("*", "L"),
            ("*", "1#0"),
            ("*", "1#6"),
            ("*", "1#"),
            ("*", "#1"),
            ("*", "8L"),
            ("*", "1W"),
            ("*", "++5"),
            ("*", "+"),
            ("+5", "*"),
            ("*", "1,?"),
        ] {
            assert!(Days::parse(month, week, "job").is_err(), "{month} {week}");
        }
    }
}
