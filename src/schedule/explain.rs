//! A cron pattern in plain English. Works on the sets, so that `H` shows what it stands for.

use super::cron::Cron;
use super::days::{MonthDays, WeekDays};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// As people count: Monday first.
const WEEK: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
/// Up to so many times of day are listed one by one.
const LISTED: u32 = 6;

/// One line, such as `at 02:30 on Monday to Friday`.
pub(super) fn cron(cron: &Cron) -> String {
    let (times, frequent) = times(cron);
    let mut text = times;
    let days = days(cron);
    let months = match shape(cron.months, 1, 12) {
        Shape::Full => String::new(),
        _ => format!(" in {}", join(&runs(cron.months, 1..=12, |n| MONTHS[n as usize - 1].to_owned()))),
    };
    match (days.is_empty(), months.is_empty(), frequent) {
        (true, true, true) => {}
        (true, false, true) => text.push_str(&months),
        (true, _, false) => text.push_str(&format!(" every day{months}")),
        (false, ..) => text.push_str(&format!(" {days}{months}")),
    }
    if !cron.possible {
        text.push_str(": there is no such day, so never");
    }
    text
}

/// The times of day, and whether they go on all day long.
fn times(cron: &Cron) -> (String, bool) {
    let count = cron.seconds.count_ones() * cron.minutes.count_ones() * cron.hours.count_ones();
    if count <= LISTED {
        let mut list = Vec::new();
        for hour in values(cron.hours) {
            for minute in values(cron.minutes) {
                for second in values(cron.seconds) {
                    let seconds = if second == 0 { String::new() } else { format!(":{second:02}") };
                    list.push(format!("{hour:02}:{minute:02}{seconds}"));
                }
            }
        }
        return (format!("at {}", join(&list)), false);
    }
    let mut text = String::new();
    let mut parts = vec![("minute", cron.minutes, 59), ("hour", cron.hours, 23)];
    if cron.seconds != 1 {
        parts.insert(0, ("second", cron.seconds, 59));
    }
    let mut open = true; // what is said so far includes "of every …"
    for (unit, set, max) in parts {
        let shape = shape(set, 0, max);
        let first = text.is_empty();
        let part = match shape {
            Shape::Full if first => format!("every {unit}"),
            Shape::Full if open => continue,
            Shape::Full => format!(" of every {unit}"),
            Shape::Step(n) if first && (max + 1) % n == 0 => format!("every {n} {unit}s"),
            // Not a true interval: it begins again with each hour.
            Shape::Step(n) if first => format!("every {} {unit}", ordinal(n)),
            Shape::Step(n) => format!(" of every {} {unit}", ordinal(n)),
            Shape::Other => {
                let list = runs(set, 0..=max, |n| n.to_string());
                let plural = if set.count_ones() == 1 { "" } else { "s" };
                format!("{} {unit}{plural} {}", if first { "at" } else { " of" }, join(&list))
            }
        };
        open = match shape {
            Shape::Full => true,
            Shape::Step(n) => (max + 1) % n == 0,
            Shape::Other => false,
        };
        text.push_str(&part);
    }
    (text, matches!(shape(cron.hours, 0, 23), Shape::Full | Shape::Step(_)))
}

/// The days, empty for all of them.
fn days(cron: &Cron) -> String {
    let (month, week) = (month_days(&cron.days.month), week_days(&cron.days.week));
    match (month, week) {
        (None, None) => String::new(),
        (Some(month), None) if !cron.days.either => format!("on {month} of the month"),
        (None, Some(week)) if !cron.days.either => format!("on {week}"),
        (Some(month), Some(week)) if cron.days.either => format!("on {month} of the month and on {week}"),
        (Some(month), Some(week)) => format!("on {month} of the month if it is {week}"),
        // Either is enough, and one of them is every day.
        _ => String::new(),
    }
}

fn month_days(days: &MonthDays) -> Option<String> {
    let mut parts = Vec::new();
    match shape(days.days.into(), 1, 31) {
        Shape::Full => return None,
        Shape::Step(n) if days.starred => parts.push(format!("every {} day", ordinal(n))),
        _ if days.days == 0 => {}
        _ => {
            let plural = if days.days.count_ones() == 1 { "" } else { "s" };
            parts.push(format!("day{plural} {}", join(&runs(days.days.into(), 1..=31, |n| n.to_string()))));
        }
    }
    parts.extend(values(days.nearest.into()).map(|n| format!("the weekday nearest to day {n}")));
    parts.extend(values(days.last.into()).map(|n| match n {
        0 => "the last day".to_owned(),
        1 => "the last day but one".to_owned(),
        n => format!("the last day minus {n}"),
    }));
    if days.last_weekday {
        parts.push("the last weekday".to_owned());
    }
    Some(join(&parts))
}

fn week_days(days: &WeekDays) -> Option<String> {
    // Sunday is bit 0, and named last.
    let monday_first = |set: u8| u64::from(set >> 1 | set << 6 & 0x40);
    let name = |n: u32| WEEK[n as usize].to_owned();
    if days.days == 0x7f {
        return None;
    }
    let mut parts = runs(monday_first(days.days), 0..=6, name);
    for (n, set) in (1..).zip(days.nth) {
        parts.extend(values(monday_first(set)).map(|day| format!("the {} {} of the month", place(n), name(day))));
    }
    parts.extend(values(monday_first(days.last)).map(|day| format!("the last {} of the month", name(day))));
    Some(join(&parts))
}

enum Shape {
    Full,
    /// Every n-th value, from the first one to the end.
    Step(u32),
    Other,
}

fn shape(set: u64, min: u32, max: u32) -> Shape {
    let steps = |n: u32| (min..=max).step_by(n as usize).fold(0, |set, value| set | 1_u64 << value);
    if set == steps(1) {
        return Shape::Full;
    }
    (2..=(max - min) / 2).find(|n| set == steps(*n)).map_or(Shape::Other, Shape::Step)
}

fn values(set: u64) -> impl Iterator<Item = u32> {
    (0..64).filter(move |n| set >> n & 1 == 1)
}

/// The values of a set, three or more neighbours as `a to b`.
fn runs(set: u64, all: std::ops::RangeInclusive<u32>, name: impl Fn(u32) -> String) -> Vec<String> {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for value in all.filter(|n| set >> n & 1 == 1) {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == value => *last = value,
            _ => parts.push((value, value)),
        }
    }
    let mut named = Vec::new();
    for (first, last) in parts {
        match last - first {
            0 => named.push(name(first)),
            1 => named.extend([name(first), name(last)]),
            _ => named.push(format!("{} to {}", name(first), name(last))),
        }
    }
    named
}

fn join(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

fn ordinal(n: u32) -> String {
    let suffix = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{suffix}")
}

fn place(n: u32) -> String {
    ["first", "second", "third", "fourth", "fifth"].get(n as usize - 1).map_or_else(|| ordinal(n), |s| (*s).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings() {
        for (pattern, expected) in [
            ("* * * * *", "every minute"),
            ("*/5 * * * *", "every 5 minutes"),
            ("*/7 * * * *", "every 7th minute of every hour"),
            ("*/90 * * * *", "at minute 0 of every hour"),
            ("0 * * * *", "at minute 0 of every hour"),
            ("0 */2 * * *", "at minute 0 of every 2nd hour"),
            ("5,35 * * * *", "at minutes 5 and 35 of every hour"),
            ("* * * * * *", "every second"),
            ("*/10 * * * * *", "every 10 seconds"),
            ("15 * * * * *", "at second 15 of every minute"),
            ("*/10 5 3 * * *", "at 03:05, 03:05:10, 03:05:20, 03:05:30, 03:05:40 and 03:05:50 every day"),
            ("* 5 3 * * *", "every second of minute 5 of hour 3 every day"),
            ("30 2 * * *", "at 02:30 every day"),
            ("30 1,2 * * *", "at 01:30 and 02:30 every day"),
            ("15 30 2 * * *", "at 02:30:15 every day"),
            ("*/5 9-17 * * MON-FRI", "every 5 minutes of hours 9 to 17 on Monday to Friday"),
            ("* 3 * * *", "every minute of hour 3 every day"),
            ("0 9 * * 0,6", "at 09:00 on Saturday and Sunday"),
            ("0 9 * * FRI-MON", "at 09:00 on Monday and Friday to Sunday"),
            ("0 0 1 * *", "at 00:00 on day 1 of the month"),
            ("0 0 1,15 6-8 *", "at 00:00 on days 1 and 15 of the month in June to August"),
            ("0 0 * 1 *", "at 00:00 every day in January"),
            ("*/5 * * 1 *", "every 5 minutes in January"),
            ("0 0 13 * 5", "at 00:00 on day 13 of the month and on Friday"),
            ("0 0 13 * +5", "at 00:00 on day 13 of the month if it is Friday"),
            ("0 0 */2 * MON", "at 00:00 on every 2nd day of the month if it is Monday"),
            ("0 0 1-31 * MON", "at 00:00 every day"),
            ("0 0 LW * *", "at 00:00 on the last weekday of the month"),
            ("0 0 L-3 * *", "at 00:00 on the last day minus 3 of the month"),
            ("0 0 15W * *", "at 00:00 on the weekday nearest to day 15 of the month"),
            ("0 0 * * 1#2", "at 00:00 on the second Monday of the month"),
            ("0 0 * * 5L", "at 00:00 on the last Friday of the month"),
            ("0 0 30 2 *", "at 00:00 on day 30 of the month in February: there is no such day, so never"),
        ] {
            assert_eq!(super::cron(&Cron::parse(pattern, "").unwrap()), expected, "{pattern}");
        }
    }
}
