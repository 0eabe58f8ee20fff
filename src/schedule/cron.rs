//! A cron pattern on the wall clock: no zone, no clock changes.

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};

use super::ScheduleError;
use super::days::Days;
use super::field::{HOUR, MINUTE, MONTH, SECOND, looks_like_year};

/// A pattern: sets of values (bit n for value n), and days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cron {
    pub(super) seconds: u64,
    pub(super) minutes: u64,
    pub(super) hours: u64,
    pub(super) months: u64,
    pub(super) days: Days,
    /// Minute or hour begins with `*`: it follows elapsed time when the clock changes.
    pub(super) wildcard: bool,
    /// Whether there is any such day; found out once, as a search for a day that never comes is long.
    pub(super) possible: bool,
}

/// The calendar repeats after 400 years: what does not match within them never does.
const MONTHS_TO_SEARCH: u32 = 400 * 12 + 1;

impl Cron {
    /// Reads five fields, or six with seconds first.
    pub(super) fn parse(text: &str, seed: &str) -> Result<Self, ScheduleError> {
        let upper = text.to_ascii_uppercase();
        let fields: Vec<&str> = upper.split_whitespace().collect();
        let (second, minute, hour, day, month, weekday) = match fields[..] {
            [minute, hour, day, month, weekday] => ("0", minute, hour, day, month, weekday),
            [.., last] if fields.len() == 6 && looks_like_year(last) => {
                return Err(ScheduleError(format!(
                    "`{last}` looks like a year, which has no field; six fields are second, minute, hour, day, month, \
                     weekday: drop the last one"
                )));
            }
            [second, minute, hour, day, month, weekday] => (second, minute, hour, day, month, weekday),
            _ => return Err(wrong_number(fields.len())),
        };
        let (seconds, minutes, hours) =
            (SECOND.list(second, seed)?, MINUTE.list(minute, seed)?, HOUR.list(hour, seed)?);
        let (days, months) = (Days::parse(day, weekday, seed)?, MONTH.list(month, seed)?);
        let possible = possible(&days, months);
        let wildcard = minute.starts_with('*') || hour.starts_with('*');
        Ok(Self { seconds, minutes, hours, months, days, wildcard, possible })
    }

    /// The first match at or after `from`.
    pub(super) fn next(&self, from: NaiveDateTime) -> Option<NaiveDateTime> {
        if !self.possible {
            return None;
        }
        let date = from.date();
        if self.day_matches(date)
            && let Some(time) = self.time_from(from.hour(), from.minute(), from.second())
        {
            return at(date, time);
        }
        let first = (first_of(self.hours)?, first_of(self.minutes)?, first_of(self.seconds)?);
        let date = date.succ_opt()?;
        let mut past = below(date.day());
        for month in MonthsFrom(date.year(), date.month()).take(MONTHS_TO_SEARCH as usize) {
            if let Some(day) = first_of(self.days_in(month)? & !past) {
                return at(NaiveDate::from_ymd_opt(month.0, month.1, day)?, first);
            }
            past = 0;
        }
        None
    }

    /// How many matches lie after `after` and until `until`.
    pub(super) fn count(&self, after: NaiveDateTime, until: NaiveDateTime) -> u64 {
        if until <= after || !self.possible {
            return 0;
        }
        let per_day = self.times_until(NaiveDateTime::MAX);
        let (start, end) = (after.date(), until.date());
        let mut days = 0;
        for month in MonthsFrom(start.year(), start.month()) {
            let mut set = self.days_in(month).unwrap_or(0);
            if month == (start.year(), start.month()) {
                set &= !below(start.day());
            }
            if month == (end.year(), end.month()) {
                days += u64::from((set & below(end.day())).count_ones());
                break;
            }
            days += u64::from(set.count_ones());
        }
        let begun = |at: NaiveDateTime| if self.day_matches(at.date()) { self.times_until(at) } else { 0 };
        days * per_day + begun(until) - begun(after)
    }

    /// How many times of a day match until the one given, inclusive.
    fn times_until(&self, at: NaiveDateTime) -> u64 {
        let (hour, minute, second) = (at.hour(), at.minute(), at.second());
        let ones = |set: u64| u64::from(set.count_ones());
        let seconds = ones(self.seconds);
        let mut times = ones(self.hours & below(hour)) * ones(self.minutes) * seconds;
        if self.hours >> hour & 1 == 1 {
            times += ones(self.minutes & below(minute)) * seconds;
            if self.minutes >> minute & 1 == 1 {
                times += ones(self.seconds & below(second + 1));
            }
        }
        times
    }

    /// The first matching time of day at or after this one.
    fn time_from(&self, hour: u32, minute: u32, second: u32) -> Option<(u32, u32, u32)> {
        let (first_minute, first_second) = (first_of(self.minutes)?, first_of(self.seconds)?);
        if self.hours >> hour & 1 == 1 {
            if self.minutes >> minute & 1 == 1
                && let Some(second) = first_of(self.seconds & !below(second))
            {
                return Some((hour, minute, second));
            }
            if let Some(minute) = first_of(self.minutes & !below(minute + 1)) {
                return Some((hour, minute, first_second));
            }
        }
        first_of(self.hours & !below(hour + 1)).map(|hour| (hour, first_minute, first_second))
    }

    fn day_matches(&self, date: NaiveDate) -> bool {
        self.days_in((date.year(), date.month())).is_some_and(|days| days >> date.day() & 1 == 1)
    }

    /// The matching days of a month, bit n for day n; `None` outside of the calendar.
    fn days_in(&self, (year, month): (i32, u32)) -> Option<u64> {
        if self.months >> month & 1 == 0 {
            return Some(0);
        }
        let first = NaiveDate::from_ymd_opt(year, month, 1)?;
        let set = self.days.matching(first.weekday().num_days_from_sunday(), u32::from(first.num_days_in_month()));
        Some(u64::from(set))
    }
}

/// Whether any month has a matching day. In 400 years a month of each length begins on each weekday.
fn possible(days: &Days, months: u64) -> bool {
    let lengths = |month: u32| match month {
        2 => 28..=29,
        4 | 6 | 9 | 11 => 30..=30,
        _ => 31..=31,
    };
    let some_day = |length: u32| (0..7).any(|first| days.matching(first, length) != 0);
    (1..=12).filter(|month| months >> month & 1 == 1).any(|month| lengths(month).any(some_day))
}

/// Years and months from this one on.
struct MonthsFrom(i32, u32);

impl Iterator for MonthsFrom {
    type Item = (i32, u32);
    fn next(&mut self) -> Option<(i32, u32)> {
        let month = (self.0, self.1);
        (self.0, self.1) = if self.1 == 12 { (self.0 + 1, 1) } else { (self.0, self.1 + 1) };
        Some(month)
    }
}

fn at(date: NaiveDate, (hour, minute, second): (u32, u32, u32)) -> Option<NaiveDateTime> {
    date.and_hms_opt(hour, minute, second)
}

/// The bits below n.
const fn below(n: u32) -> u64 {
    (1 << n) - 1
}

const fn first_of(set: u64) -> Option<u32> {
    if set == 0 { None } else { Some(set.trailing_zeros()) }
}

fn wrong_number(found: usize) -> ScheduleError {
    let found = match found {
        0 => "an empty text is no schedule".to_owned(),
        1 => "one field is no schedule".to_owned(),
        7 => "seven fields are no schedule, there is no field for years".to_owned(),
        n => format!("{n} fields are no schedule"),
    };
    ScheduleError(format!(
        "{found}; write five (minute, hour, day, month, weekday), six with seconds first, or a word such as @daily"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[test]
    fn nexts() {
        for (pattern, from, expected) in [
            ("0 5 * * *", "2026-03-01T05:00:00", "2026-03-01T05:00:00"),
            ("0 5 * * *", "2026-03-01T05:00:01", "2026-03-02T05:00:00"),
            ("59 23 31 12 *", "2026-01-01T00:00:00", "2026-12-31T23:59:00"),
            ("0 0 29 2 *", "2096-03-01T00:00:00", "2104-02-29T00:00:00"), // 2100 is no leap year
            ("0 0 29 2 +1#5", "2026-01-01T00:00:00", "2044-02-29T00:00:00"),
            ("30 15 10 * * *", "2026-03-01T10:15:30", "2026-03-01T10:15:30"),
            ("*/20 15 10 * * *", "2026-03-01T10:15:41", "2026-03-02T10:15:00"),
            ("0 0 31 * *", "2026-02-01T00:00:00", "2026-03-31T00:00:00"),
            ("0 0 * 4,6 *", "2026-06-30T00:00:01", "2027-04-01T00:00:00"),
        ] {
            assert_eq!(Cron::parse(pattern, "").unwrap().next(day(from)), Some(day(expected)), "{pattern}");
        }
    }

    #[test]
    fn impossible_patterns_have_no_next() {
        for pattern in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 L-30 2 *", "0 0 1 * +1#2"] {
            let cron = Cron::parse(pattern, "").unwrap();
            assert_eq!((cron.possible, cron.next(day("2026-01-01T00:00:00"))), (false, None), "{pattern}");
            assert_eq!(cron.count(day("2000-01-01T00:00:00"), day("2400-01-01T00:00:00")), 0, "{pattern}");
        }
    }

    #[test]
    fn rare_patterns_are_possible() {
        for pattern in ["0 0 29 2 +6", "0 0 29 2 +1#5", "0 0 L-28 2 +1#1", "0 0 31 2 1", "0 0 LW * +5#5"] {
            let cron = Cron::parse(pattern, "").unwrap();
            assert!(cron.possible && cron.next(day("2026-01-01T00:00:00")).is_some(), "{pattern}");
        }
    }

    /// What `possible` rests on.
    #[test]
    fn months_of_each_length_begin_on_each_weekday() {
        for month in 1..=12 {
            let first = |year| NaiveDate::from_ymd_opt(year, month, 1).unwrap();
            let seen: std::collections::BTreeSet<(u8, u32)> = (2000..2400)
                .map(|y| (first(y).num_days_in_month(), first(y).weekday().num_days_from_sunday()))
                .collect();
            assert_eq!(seen.len(), if month == 2 { 14 } else { 7 });
        }
    }

    #[test]
    fn numbers_of_fields() {
        for (text, hint) in [
            ("", "empty"),
            ("5", "one field"),
            ("* * * *", "4 fields"),
            ("0 12 * * ? 2026", "looks like a year"),
            ("0 12 * * ? 2026-2030", "looks like a year"),
            ("0 0 12 * * ? *", "years"),
            ("0 0 1 1 2026", "no field for years"),
        ] {
            let error = Cron::parse(text, "").unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn counting_is_walking(
            pattern in prop::sample::select(vec!["*/7 * * * *", "5,50 */5 * * *", "0 0 13 * 5", "*/20 3 4 L * *", "0 6 * 2,5 1#2", "0 0 30 2 *"]),
            from in 0i64..2_000_000_000, span in 0i64..4_000_000,
        ) {
            let cron = Cron::parse(pattern, "").unwrap();
            let time = |s| chrono::DateTime::from_timestamp(s, 0).unwrap().naive_utc();
            let (after, until) = (time(from), time(from + span));
            let mut walked = 0;
            let mut at = after;
            while let Some(next) = cron.next(at + chrono::TimeDelta::seconds(1)) {
                if next > until { break }
                walked += 1;
                at = next;
            }
            prop_assert_eq!(cron.count(after, until), walked);
        }
    }
}
