//! When a log is rotated, how, and what is kept: the one type that every way of writing rules
//! ends in.

use chrono::{DateTime, Datelike, TimeDelta, Utc, Weekday};
use chrono_tz::Tz;

/// What one rule says about the logs that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What makes a log due.
    pub trigger: Trigger,
    /// A log with more bytes than this is due whatever the trigger says.
    pub max_size: Option<u64>,
    /// Whether empty logs are rotated too; `false` holds even against force.
    pub empty: bool,
    /// How the log is emptied.
    pub method: Method,
    /// What the archives are made of.
    pub compression: Compression,
    /// How the archives are called.
    pub naming: Naming,
    /// How many archives stay.
    pub keep: Keep,
    /// Whether it is fine that the folder does not exist.
    pub missing_ok: bool,
}

/// What makes a log due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// A period is over, and the log has at least so many bytes.
    Period {
        /// Counted in calendar days, not in hours.
        every: Period,
        /// Bytes.
        min_size: u64,
    },
    /// The log has at least so many bytes; when it was rotated last does not matter.
    Size(u64),
}

/// A period of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// Another day than the last time.
    Daily,
    /// This day of the week, or seven days after the last time.
    Weekly(Weekday),
}

/// How a log is emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Its content goes to the archive, then the file is cut in place: writers keep it open.
    CopyTruncate,
}

/// What archives are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Ordinary gzip of this level (1-9).
    Gzip(u32),
}

/// How archives are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// `<log>-YYYYMMDD`, and `-N` behind it from the second archive of a day on.
    Dated,
}

/// How many archives stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The newest ones, as told by the dates in their names.
    Newest(usize),
}

/// What is known of a log when it is judged.
#[derive(Debug, Clone, Copy)]
pub struct Sight {
    /// Bytes.
    pub size: u64,
    /// When it was rotated last, or seen first; `None`: never seen.
    pub last: Option<DateTime<Utc>>,
}

/// What is to be done with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is rotated now.
    Rotate,
    /// It is remembered, its period begins now.
    Remember,
    /// Nothing.
    Wait,
}

impl Policy {
    /// The rule for `<LOG_DIR>/*.log`: what the stacks have always used (weekly and at least 500 kB,
    /// six gzipped archives with dates), and 50 MB as a bound, so that one noisy week does not fill
    /// the disk.
    pub const fn default_for_logs() -> Self {
        Self {
            trigger: Trigger::Period { every: Period::Weekly(Weekday::Sun), min_size: 500 * 1024 },
            max_size: Some(50 * 1024 * 1024),
            empty: false,
            method: Method::CopyTruncate,
            compression: Compression::Gzip(6),
            naming: Naming::Dated,
            keep: Keep::Newest(6),
            missing_ok: true,
        }
    }

    /// Judges a log. The order is logrotate's: emptiness, force, the bound, then the trigger.
    pub fn judge(&self, sight: Sight, now: DateTime<Utc>, zone: Tz, force: bool) -> Verdict {
        let over = self.max_size.is_some_and(|max| sight.size > max);
        let due = match (&self.trigger, sight.last) {
            (Trigger::Size(size), _) => sight.size >= *size,
            (Trigger::Period { every, min_size }, Some(last)) => {
                sight.size >= *min_size && every.is_over(last, now, zone)
            }
            (Trigger::Period { .. }, None) => false,
        };
        if (self.empty || sight.size > 0) && (force || over || due) {
            Verdict::Rotate
        } else if sight.last.is_none() {
            Verdict::Remember
        } else {
            Verdict::Wait
        }
    }
}

impl Period {
    /// Whether it is over: dates of the calendar in `zone` are compared, so that a rotation at 3:00
    /// is followed by the next one at 2:59. A last time that lies more than 25 h ahead is the trace
    /// of a wrong clock, and counts as over.
    pub fn is_over(self, last: DateTime<Utc>, now: DateTime<Utc>, zone: Tz) -> bool {
        if last - now > TimeDelta::hours(25) {
            return true;
        }
        let today = now.with_timezone(&zone).date_naive();
        let days = (today - last.with_timezone(&zone).date_naive()).num_days();
        match self {
            Self::Daily => days >= 1,
            Self::Weekly(day) => days >= 7 || days >= 1 && today.weekday() == day,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KB: u64 = 1024;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn the_default_is_due_weekly_with_500_kb_or_over_50_mb() {
        let policy = Policy::default_for_logs();
        let last = Some(at("2026-03-22T01:00:00Z")); // a Sunday
        for (size, last, now, force, wanted) in [
            (600 * KB, None, "2026-03-24T01:00:00Z", false, Verdict::Remember),
            (0, None, "2026-03-24T01:00:00Z", true, Verdict::Remember),
            (50 * KB * KB, None, "2026-03-24T01:00:00Z", false, Verdict::Remember),
            (50 * KB * KB + 1, None, "2026-03-24T01:00:00Z", false, Verdict::Rotate),
            (600 * KB, last, "2026-03-22T23:00:00Z", false, Verdict::Wait),
            (600 * KB, last, "2026-03-28T23:00:00Z", false, Verdict::Wait),
            (600 * KB, last, "2026-03-29T00:10:00Z", false, Verdict::Rotate),
            (500 * KB, last, "2026-03-29T00:10:00Z", false, Verdict::Rotate),
            (500 * KB - 1, last, "2026-03-29T00:10:00Z", false, Verdict::Wait),
            (500 * KB - 1, last, "2026-04-29T00:10:00Z", false, Verdict::Wait),
            (1, last, "2026-03-22T01:00:01Z", true, Verdict::Rotate),
            (0, last, "2026-04-22T01:00:00Z", true, Verdict::Wait),
            (51 * KB * KB, last, "2026-03-22T01:10:00Z", false, Verdict::Rotate),
        ] {
            let verdict = policy.judge(Sight { size, last }, at(now), Tz::UTC, force);
            assert_eq!(verdict, wanted, "{size} bytes, last {last:?}, now {now}, force {force}");
        }
    }

    #[test]
    fn sizes_need_no_memory() {
        let policy = Policy { trigger: Trigger::Size(20), max_size: None, ..Policy::default_for_logs() };
        let now = at("2026-03-24T01:00:00Z");
        assert_eq!(policy.judge(Sight { size: 20, last: None }, now, Tz::UTC, false), Verdict::Rotate);
        assert_eq!(policy.judge(Sight { size: 19, last: None }, now, Tz::UTC, false), Verdict::Remember);
        assert_eq!(policy.judge(Sight { size: 19, last: Some(now) }, now, Tz::UTC, false), Verdict::Wait);
    }

    #[test]
    fn periods_follow_the_calendar_of_the_zone_and_survive_wrong_clocks() {
        let weekly = Period::Weekly(Weekday::Sun);
        let paris = chrono_tz::Europe::Paris;
        for (period, last, now, zone, wanted) in [
            (Period::Daily, "2026-03-24T23:50:00Z", "2026-03-25T00:10:00Z", Tz::UTC, true),
            (Period::Daily, "2026-03-24T23:50:00Z", "2026-03-25T00:10:00Z", paris, false),
            (Period::Daily, "2026-03-24T22:50:00Z", "2026-03-24T23:10:00Z", paris, true),
            // The day on which the hour from 2 to 3 does not exist.
            (Period::Daily, "2026-03-28T00:10:00Z", "2026-03-29T00:05:00Z", paris, true),
            (weekly, "2026-03-28T12:00:00Z", "2026-03-29T00:05:00Z", paris, true),
            // On Wednesdays: the next Sunday, or after seven days when Sunday was slept through.
            (weekly, "2026-03-25T12:00:00Z", "2026-03-28T12:00:00Z", Tz::UTC, false),
            (weekly, "2026-03-25T12:00:00Z", "2026-03-30T12:00:00Z", Tz::UTC, false),
            (weekly, "2026-03-25T12:00:00Z", "2026-04-01T01:00:00Z", Tz::UTC, true),
            // A clock that went back.
            (weekly, "2026-03-26T12:00:00Z", "2026-03-25T12:00:00Z", Tz::UTC, false),
            (weekly, "2026-03-27T12:00:00Z", "2026-03-25T12:00:00Z", Tz::UTC, true),
        ] {
            assert_eq!(period.is_over(at(last), at(now), zone), wanted, "{period:?} {last} {now} {zone}");
        }
    }

    #[test]
    fn eight_weeks_of_days_rotate_on_eight_sundays() {
        let policy = Policy::default_for_logs();
        let start = at("2026-03-01T00:00:00Z"); // a Sunday
        let (mut last, mut days) = (Some(start), Vec::new());
        for hour in 1..=(8 * 7 * 24) {
            let now = start + TimeDelta::hours(hour);
            if policy.judge(Sight { size: 600 * KB, last }, now, Tz::UTC, false) == Verdict::Rotate {
                last = Some(now);
                days.push(now.format("%a %d %b %H").to_string());
            }
        }
        assert_eq!(days.len(), 8, "{days:?}");
        assert!(days.iter().all(|d| d.starts_with("Sun") && d.ends_with("00")), "{days:?}");
    }
}
