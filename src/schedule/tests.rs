//! Every rule about instants, with the clock changes of real zones, and the laws of `next_after`.

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

fn schedule(text: &str, zone: &str) -> Schedule {
    Schedule::parse(text, zone.parse().unwrap(), "job").unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// The next instants in the zone's own time, as `month-day hour:minute:second offset`.
fn walk(text: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = schedule(text, zone);
    let mut at = at(after);
    let mut found = Vec::new();
    while found.len() < count {
        let Some(next) = schedule.next_after(at) else { break };
        found.push(next.with_timezone(&schedule.zone()).format("%m-%d %H:%M:%S %:z").to_string());
        at = next;
    }
    found
}

#[test]
fn gaps_and_repeats() {
    for (zone, text, after, expected) in [
        // New York 2026: 02:00 → 03:00 on March 8, 02:00 → 01:00 on November 1.
        (
            "America/New_York",
            "30 2 * * *",
            "2026-03-07T12:00:00-05:00",
            &["03-08 03:00:00 -04:00", "03-09 02:30:00 -04:00"][..],
        ),
        (
            "America/New_York",
            "0 3 * * *",
            "2026-03-07T12:00:00-05:00",
            &["03-08 03:00:00 -04:00", "03-09 03:00:00 -04:00"],
        ),
        (
            "America/New_York",
            "30 1,2 * * *",
            "2026-03-08T00:00:00-05:00",
            &["03-08 01:30:00 -05:00", "03-08 03:00:00 -04:00", "03-09 01:30:00 -04:00"],
        ),
        // All of the gap's times and the one at its end are one run.
        (
            "America/New_York",
            "0,20,40 2,3 * * *",
            "2026-03-08T00:00:00-05:00",
            &["03-08 03:00:00 -04:00", "03-08 03:20:00 -04:00", "03-08 03:40:00 -04:00"],
        ),
        (
            "America/New_York",
            "0 0-23 * * *",
            "2026-03-08T01:00:00-05:00",
            &["03-08 03:00:00 -04:00", "03-08 04:00:00 -04:00"],
        ),
        (
            "America/New_York",
            "*/30 * * * *",
            "2026-03-08T01:00:00-05:00",
            &["03-08 01:30:00 -05:00", "03-08 03:00:00 -04:00", "03-08 03:30:00 -04:00"],
        ),
        (
            "America/New_York",
            "30 * * * *",
            "2026-03-08T01:00:00-05:00",
            &["03-08 01:30:00 -05:00", "03-08 03:30:00 -04:00"],
        ),
        ("America/New_York", "*/30 2 * * *", "2026-03-08T00:00:00-05:00", &["03-09 02:00:00 -04:00"]),
        ("America/New_York", "0 */2 * * *", "2026-03-08T00:00:00-05:00", &["03-08 04:00:00 -04:00"]),
        (
            "America/New_York",
            "30 1 * * *",
            "2026-11-01T00:00:00-04:00",
            &["11-01 01:30:00 -04:00", "11-02 01:30:00 -05:00"],
        ),
        (
            "America/New_York",
            "0 1,2 * * *",
            "2026-11-01T00:00:00-04:00",
            &["11-01 01:00:00 -04:00", "11-01 02:00:00 -05:00", "11-02 01:00:00 -05:00"],
        ),
        (
            "America/New_York",
            "0 * * * *",
            "2026-11-01T00:00:00-04:00",
            &["11-01 01:00:00 -04:00", "11-01 01:00:00 -05:00", "11-01 02:00:00 -05:00"],
        ),
        (
            "America/New_York",
            "*/30 1 * * *",
            "2026-11-01T00:00:00-04:00",
            &[
                "11-01 01:00:00 -04:00",
                "11-01 01:30:00 -04:00",
                "11-01 01:00:00 -05:00",
                "11-01 01:30:00 -05:00",
                "11-02 01:00:00 -05:00",
            ],
        ),
        // Asked in the middle of the second pass.
        ("America/New_York", "45 1 * * *", "2026-11-01T01:15:00-05:00", &["11-02 01:45:00 -05:00"]),
        ("America/New_York", "45 * * * *", "2026-11-01T01:15:00-05:00", &["11-01 01:45:00 -05:00"]),
        // Berlin 2026: 02:00 → 03:00 on March 29, 03:00 → 02:00 on October 25.
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2026-03-28T12:00:00+01:00",
            &["03-29 03:00:00 +02:00", "03-30 02:30:00 +02:00"],
        ),
        (
            "Europe/Berlin",
            "*/15 30 2 * * *",
            "2026-03-29T00:00:00+01:00",
            &["03-29 03:00:00 +02:00", "03-30 02:30:00 +02:00", "03-30 02:30:15 +02:00"],
        ),
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2026-10-25T00:00:00+02:00",
            &["10-25 02:30:00 +02:00", "10-26 02:30:00 +01:00"],
        ),
        (
            "Europe/Berlin",
            "0 3 * * *",
            "2026-10-25T00:00:00+02:00",
            &["10-25 03:00:00 +01:00", "10-26 03:00:00 +01:00"],
        ),
        ("Europe/Berlin", "30 2 29 3 *", "2026-01-01T00:00:00Z", &["03-29 03:00:00 +02:00", "03-29 02:30:00 +02:00"]),
        // Lord Howe 2026: 02:00 → 02:30 on October 4, 02:00 → 01:30 on April 5.
        (
            "Australia/Lord_Howe",
            "15 2 * * *",
            "2026-10-03T12:00:00Z",
            &["10-04 02:30:00 +11:00", "10-05 02:15:00 +11:00"],
        ),
        (
            "Australia/Lord_Howe",
            "0,10,20,30 2 * * *",
            "2026-10-03T12:00:00Z",
            &["10-04 02:30:00 +11:00", "10-05 02:00:00 +11:00"],
        ),
        (
            "Australia/Lord_Howe",
            "*/15 * * * *",
            "2026-10-03T15:10:00Z",
            &["10-04 01:45:00 +10:30", "10-04 02:30:00 +11:00", "10-04 02:45:00 +11:00"],
        ),
        (
            "Australia/Lord_Howe",
            "45 1 * * *",
            "2026-04-04T12:00:00Z",
            &["04-05 01:45:00 +11:00", "04-06 01:45:00 +10:30"],
        ),
        (
            "Australia/Lord_Howe",
            "45 * * * *",
            "2026-04-04T14:30:00Z",
            &["04-05 01:45:00 +11:00", "04-05 01:45:00 +10:30", "04-05 02:45:00 +10:30"],
        ),
        // Sao Paulo 2018: midnight did not exist on November 4; 00:00 → 23:00 on February 18.
        (
            "America/Sao_Paulo",
            "0 0 * * *",
            "2018-11-03T12:00:00-03:00",
            &["11-04 01:00:00 -02:00", "11-05 00:00:00 -02:00"],
        ),
        (
            "America/Sao_Paulo",
            "@daily",
            "2018-11-03T12:00:00-03:00",
            &["11-04 01:00:00 -02:00", "11-05 00:00:00 -02:00"],
        ),
        ("America/Sao_Paulo", "30 0 4 11 *", "2018-11-03T12:00:00-03:00", &["11-04 01:00:00 -02:00"]),
        ("America/Sao_Paulo", "*/30 0 * * *", "2018-11-03T12:00:00-03:00", &["11-05 00:00:00 -02:00"]),
        (
            "America/Sao_Paulo",
            "30 23 * * *",
            "2018-02-17T12:00:00-02:00",
            &["02-17 23:30:00 -02:00", "02-18 23:30:00 -03:00"],
        ),
        (
            "America/Sao_Paulo",
            "0 0 * * *",
            "2018-02-17T12:00:00-02:00",
            &["02-18 00:00:00 -03:00", "02-19 00:00:00 -03:00"],
        ),
        // Amman 2022: 00:00 → 01:00 on February 25, and for ever.
        ("Asia/Amman", "0 0 * * *", "2022-02-24T12:00:00+02:00", &["02-25 01:00:00 +03:00", "02-26 00:00:00 +03:00"]),
        ("Asia/Amman", "30 0 * * *", "2021-10-28T12:00:00+03:00", &["10-29 00:30:00 +03:00", "10-30 00:30:00 +02:00"]),
        // Chatham 2026: 02:45 → 03:45 on September 27, 03:45 → 02:45 on April 5.
        ("Pacific/Chatham", "0 3 * * *", "2026-09-26T00:00:00Z", &["09-27 03:45:00 +13:45", "09-28 03:00:00 +13:45"]),
        ("Pacific/Chatham", "45 2 * * *", "2026-09-26T00:00:00Z", &["09-27 03:45:00 +13:45", "09-28 02:45:00 +13:45"]),
        ("Pacific/Chatham", "0 3 * * *", "2026-04-04T00:00:00Z", &["04-05 03:00:00 +13:45", "04-06 03:00:00 +12:45"]),
        ("Pacific/Chatham", "0 * * * *", "2026-04-04T13:00:00Z", &["04-05 03:00:00 +13:45", "04-05 03:00:00 +12:45"]),
        // Apia skipped a whole day.
        (
            "Pacific/Apia",
            "0 12 * * *",
            "2011-12-29T12:00:00-10:00",
            &["12-31 00:00:00 +14:00", "12-31 12:00:00 +14:00"],
        ),
        // A weekly job far from any change.
        ("Europe/Berlin", "0 */6 * * 1#1", "2026-03-02T18:00:00+01:00", &["04-06 00:00:00 +02:00"]),
    ] {
        assert_eq!(walk(text, zone, after, expected.len()), expected, "{zone} {text}");
    }
}

#[test]
fn ordinary_days() {
    for (zone, text, after, expected) in [
        ("UTC", "0 5 * * *", "2026-01-01T05:00:00Z", &["01-02 05:00:00 +00:00"][..]),
        ("UTC", "0 5 * * *", "2026-01-01T04:59:59.999Z", &["01-01 05:00:00 +00:00"]),
        ("UTC", "0 5 * * *", "2026-01-01T05:00:00.001Z", &["01-02 05:00:00 +00:00"]),
        ("UTC", "*/5 * * * *", "2026-01-01T10:00:10.817+00:00", &["01-01 10:05:00 +00:00"]),
        (
            "UTC",
            "*/20 * * * * *",
            "2026-01-01T00:00:00Z",
            &["01-01 00:00:20 +00:00", "01-01 00:00:40 +00:00", "01-01 00:01:00 +00:00"],
        ),
        ("UTC", "@yearly", "2026-05-01T00:00:00Z", &["01-01 00:00:00 +00:00"]),
        ("UTC", "@ANNUALLY", "2026-05-01T00:00:00Z", &["01-01 00:00:00 +00:00"]),
        ("UTC", "@monthly", "2026-05-01T00:00:00Z", &["06-01 00:00:00 +00:00"]),
        ("UTC", "@weekly", "2026-05-01T00:00:00Z", &["05-03 00:00:00 +00:00"]),
        ("UTC", "@midnight", "2026-05-01T00:00:00Z", &["05-02 00:00:00 +00:00"]),
        ("UTC", "@hourly", "2026-05-01T00:00:00Z", &["05-01 01:00:00 +00:00"]),
        ("UTC", "@every 5m", "2026-01-01T00:01:00Z", &["01-01 00:05:00 +00:00", "01-01 00:10:00 +00:00"]),
        ("UTC", "@every 90m", "2026-01-01T00:00:00Z", &["01-01 01:30:00 +00:00", "01-01 03:00:00 +00:00"]),
        ("UTC", "@every 45m", "2026-01-01T00:00:00Z", &["01-01 00:45:00 +00:00", "01-01 01:30:00 +00:00"]),
        ("Europe/Berlin", "@every 1d", "2026-03-28T00:00:00Z", &["03-29 01:00:00 +01:00", "03-30 02:00:00 +02:00"]),
        ("UTC", "@every 2h", "2026-01-01T00:30:00Z", &["01-01 02:00:00 +00:00", "01-01 04:00:00 +00:00"]),
        ("UTC", "@every 1w", "2026-01-01T00:00:00Z", &["01-08 00:00:00 +00:00"]),
        ("UTC", "@every 30m1h", "2026-01-01T00:00:00Z", &["01-01 01:30:00 +00:00"]),
        // The offset of the question is no part of it.
        ("UTC", "0 5 * * *", "2026-01-01T13:59:59.5+09:00", &["01-01 05:00:00 +00:00"]),
        // Months without such a day are left out.
        ("UTC", "0 0 31w * *", "2026-01-31T00:00:00Z", &["03-31 00:00:00 +00:00", "05-29 00:00:00 +00:00"]),
        ("UTC", "0 0 * * mon#5", "2026-01-01T00:00:00Z", &["03-30 00:00:00 +00:00", "06-29 00:00:00 +00:00"]),
        ("UTC", "0 0 lw * *", "2026-01-01T00:00:00Z", &["01-30 00:00:00 +00:00", "02-27 00:00:00 +00:00"]),
        ("UTC", "0 0 l-3 * *", "2026-01-30T00:00:00Z", &["02-25 00:00:00 +00:00"]),
        ("UTC", "0 0 * * fri-mon/2", "2026-01-01T00:00:00Z", &["01-02 00:00:00 +00:00", "01-04 00:00:00 +00:00"]),
        ("UTC", "0 0/15 0 * * *", "2026-01-01T00:00:00Z", &["01-01 00:15:00 +00:00"]),
        ("UTC", "CRON_TZ=Asia/Tokyo 0 9 * * *", "2026-01-01T00:00:00Z", &["01-02 09:00:00 +09:00"]),
        ("UTC", "TZ=\"Asia/Tokyo\"  0 9 * * *", "2026-01-01T00:00:00Z", &["01-02 09:00:00 +09:00"]),
        ("UTC", "TZ=Asia/Kolkata @daily", "2026-01-01T00:00:00Z", &["01-02 00:00:00 +05:30"]),
        ("UTC", "0 12 ? * mon", "2026-01-01T00:00:00Z", &["01-05 12:00:00 +00:00"]),
        ("UTC", "0 12 l jan ?", "2026-01-01T00:00:00Z", &["01-31 12:00:00 +00:00"]),
        (
            "UTC",
            "0 0 13 * 5",
            "2026-02-01T00:00:00Z",
            &["02-06 00:00:00 +00:00", "02-13 00:00:00 +00:00", "02-20 00:00:00 +00:00"],
        ),
        ("UTC", "0 0 13 * +fri", "2026-02-14T00:00:00Z", &["03-13 00:00:00 +00:00", "11-13 00:00:00 +00:00"]),
        ("UTC", "@reboot", "2026-01-01T00:00:00Z", &[]),
        ("UTC", "@manual", "2026-01-01T00:00:00Z", &[]),
        ("UTC", "0 0 30 2 *", "2026-01-01T00:00:00Z", &[]),
    ] {
        // An empty list stands for: never.
        let count = expected.len().max(1);
        assert_eq!(walk(text, zone, after, count), expected, "{text}");
    }
}

#[test]
fn kinds_and_classes() {
    for (text, kind, elapsed) in [
        ("*/5 * * * *", Kind::Cron, true),
        ("* 3 * * *", Kind::Cron, true),
        ("0 */2 * * *", Kind::Cron, true),
        ("0 *,3 * * *", Kind::Cron, true),
        ("@hourly", Kind::Cron, true),
        ("0 0-23 * * *", Kind::Cron, false),
        ("5-50/15 1,2 * * *", Kind::Cron, false),
        ("0/5 3 * * *", Kind::Cron, false),
        ("H H * * *", Kind::Cron, false),
        ("* 0 3 * * *", Kind::Cron, false),
        ("@daily", Kind::Cron, false),
        ("@every 1h", Kind::Every, true),
        ("@reboot", Kind::Reboot, false),
        ("@Manual", Kind::Manual, false),
    ] {
        let schedule = schedule(text, "UTC");
        assert_eq!((schedule.kind(), schedule.follows_elapsed_time()), (kind, elapsed), "{text}");
    }
}

#[test]
fn refusals_say_the_way_out() {
    for (text, hint) in [
        ("", "write five"),
        ("# 0 5 * * *", "is no"),
        ("@fortnightly", "@every <duration>"),
        ("@daily x", "nothing may follow"),
        ("@every", "1h30m"),
        ("CRON_TZ=Mars/Olympus 0 5 * * *", "Europe/Berlin"),
        ("TZ=Europe/Berlin", "write five"),
        ("60 * * * *", "0-59"),
        ("* * * * MONDAY", "SUN-SAT"),
        ("0 0 12 * * ? 2026", "no field for years"),
    ] {
        let error = Schedule::parse(text, Tz::UTC, "job").unwrap_err().to_string();
        assert!(error.contains(hint), "{text}: {error}");
        assert!(!error.starts_with(char::is_uppercase), "{error}");
    }
}

#[test]
fn one_line_of_english() {
    for (text, expected) in [
        ("TZ=Europe/Berlin 30 2 * * *", "At 02:30 every day (Europe/Berlin)"),
        ("@every 1h30m", "Every 1 hour 30 minutes, counted from 1970-01-01 00:00 UTC"),
        ("@every 5m", "Every 5 minutes, counted from 1970-01-01 00:00 UTC"),
        ("@every 1d", "Every day, counted from 1970-01-01 00:00 UTC"),
        ("@reboot", "Once at each start of the scheduler"),
        ("@manual", "Only on request"),
    ] {
        assert_eq!(schedule(text, "UTC").explain(), expected);
    }
}

#[test]
fn text_zone_and_equality() {
    let one = schedule(" CRON_TZ=Asia/Tokyo H 5 * * * ", "UTC");
    assert_eq!(
        (one.text(), one.zone(), one.to_string().as_str()),
        ("CRON_TZ=Asia/Tokyo H 5 * * *", Tz::Asia__Tokyo, one.text())
    );
    assert_eq!(one, Schedule::parse(one.text(), Tz::UTC, "job").unwrap());
    assert_ne!(one, Schedule::parse(one.text(), Tz::UTC, "another").unwrap());
}

#[test]
fn the_ends_of_time_are_no_trap() {
    for text in ["* * * * *", "0 5 * * *", "@every 1w", "0 0 29 2 *"] {
        for zone in ["UTC", "Pacific/Kiritimati", "America/New_York"] {
            let schedule = schedule(text, zone);
            assert!(schedule.next_after(DateTime::<Utc>::MIN_UTC).is_some());
            assert_eq!(schedule.next_after(DateTime::<Utc>::MAX_UTC), None);
            assert_eq!(schedule.next_after(line::LAST), None);
            assert!(schedule.count_between(at("9999-01-01T00:00:00Z"), DateTime::<Utc>::MAX_UTC) < 600_000);
        }
    }
}

const ZONES: [&str; 12] = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Asia/Amman",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Asia/Gaza",
    "Antarctica/Troll",
];

fn field(values: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(values)
}

prop_compose! {
    fn patterns()(
        seconds in field(&["", "", "0 ", "*/20 ", "15,45 "]),
        minute in field(&["*", "*/7", "0", "30", "0,30", "10-50/20", "59", "H/20", "45"]),
        hour in field(&["*", "*/2", "0", "1", "2", "3", "1,2", "0-23", "22-2", "23"]),
        day in field(&["*", "*", "*/2", "1", "L", "LW", "15W", "1-7", "29", "?", "L-3"]),
        month in field(&["*", "*", "3", "10,11", "2", "SEP-APR"]),
        weekday in field(&["*", "*", "0", "FRI-MON", "1#2", "5L", "+SUN", "?", "*/2"]),
    ) -> String {
        format!("{seconds}{minute} {hour} {day} {month} {weekday}")
    }
}

/// Instants from 2000 to 2040.
fn instants() -> impl Strategy<Value = DateTime<Utc>> {
    (946_684_800_i64..2_208_988_800, 0_u32..1_000_000_000).prop_map(|(s, n)| DateTime::from_timestamp(s, n).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn next_is_later_and_nothing_lies_between(text in patterns(), zone in prop::sample::select(&ZONES[..]), after in instants()) {
        let schedule = schedule(&text, zone);
        let Some(next) = schedule.next_after(after) else { return Ok(()) };
        prop_assert!(next > after);
        prop_assert_eq!(next.timestamp_subsec_nanos(), 0);
        prop_assert_eq!(schedule.next_after(next - TimeDelta::seconds(1)), Some(next));
        let between = after + (next - after) / 2;
        prop_assert_eq!(schedule.next_after(between), Some(next));
        prop_assert_eq!(schedule.count_between(after, next), 1);
        prop_assert_eq!(schedule.count_between(after, next - TimeDelta::seconds(1)), 0);
    }

    #[test]
    fn later_questions_have_no_earlier_answers(text in patterns(), zone in prop::sample::select(&ZONES[..]), after in instants(), gap in 0_i64..10_000_000) {
        let schedule = schedule(&text, zone);
        let later = after + TimeDelta::seconds(gap);
        if let (Some(one), Some(two)) = (schedule.next_after(after), schedule.next_after(later)) {
            prop_assert!(one <= two);
        }
    }

    #[test]
    fn counting_is_walking(text in patterns(), zone in prop::sample::select(&ZONES[..]), after in instants(), span in 0_i64..700_000) {
        let schedule = schedule(&text, zone);
        let until = after + TimeDelta::seconds(span);
        let mut walked = 0;
        let mut at = after;
        while let Some(next) = schedule.next_after(at).filter(|next| *next <= until) {
            walked += 1;
            at = next;
        }
        prop_assert_eq!(schedule.count_between(after, until), walked, "{} {}", text, zone);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[-*/,0-9A-Za-z?#+@=() ]{0,24}") {
        let _ = Schedule::parse(&text, Tz::UTC, "job").map(|s| (s.explain(), s.next_after(DateTime::UNIX_EPOCH)));
    }
}

/// The rules once more, straight from their words: walks minute by minute along the line
/// of time and remembers the highest wall time shown.
#[test]
fn the_rules_told_slowly_agree() {
    use chrono::Timelike;
    for (zone, start) in [
        ("America/New_York", "2026-03-07T00:00:00Z"),
        ("America/New_York", "2026-10-31T00:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-02T12:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-03T12:00:00Z"),
        ("America/Sao_Paulo", "2018-11-03T00:00:00Z"),
        ("America/Sao_Paulo", "2018-02-17T00:00:00Z"),
        ("Pacific/Chatham", "2026-09-25T12:00:00Z"),
        ("Pacific/Chatham", "2026-04-03T12:00:00Z"),
    ] {
        let tz: Tz = zone.parse().unwrap();
        for (minutes, set) in
            [("0", &[0_u32][..]), ("15", &[15]), ("45", &[45]), ("*/20", &[0, 20, 40]), ("0/20", &[0, 20, 40])]
        {
            for hours in [&[0_u32, 1][..], &[2], &[1, 2, 3], &[23]] {
                let text = hours.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
                let schedule = schedule(&format!("{minutes} {text} * * *"), zone);
                let matches =
                    |local: chrono::NaiveDateTime| set.contains(&local.minute()) && hours.contains(&local.hour());
                let mut expected = Vec::new();
                let mut shown = at(start).with_timezone(&tz).naive_local();
                for step in 1..3 * 24 * 60 {
                    let now = at(start) + TimeDelta::minutes(step);
                    let local = now.with_timezone(&tz).naive_local();
                    let mut due = schedule.follows_elapsed_time() && matches(local);
                    while !schedule.follows_elapsed_time() && shown < local {
                        shown += TimeDelta::minutes(1);
                        due |= matches(shown);
                    }
                    if due {
                        expected.push(now);
                    }
                }
                let mut found = Vec::new();
                let mut now = at(start);
                while let Some(next) = schedule.next_after(now).filter(|n| *n < at(start) + TimeDelta::days(3)) {
                    found.push(next);
                    now = next;
                }
                assert_eq!(found, expected, "{zone} {}", schedule.text());
            }
        }
    }
}
