//! Which of the occurrences that fell due are run: all that are on time, and of the late ones what
//! the job's policy asks for.

use chrono::{DateTime, TimeDelta, Utc};

use crate::job::Missed;
use crate::run::SkipReason;
use crate::schedule::Schedule;

/// So late is on time: the tick is not exact, and a machine can be busy.
pub(super) const PROMPT: TimeDelta = TimeDelta::seconds(2);
/// So late is not missed: a restart or hand-over takes its time. Covers the newest occurrence only.
pub(super) const FRESH: TimeDelta = TimeDelta::seconds(30);
/// The whole second before an exclusive bound.
const SECOND: TimeDelta = TimeDelta::seconds(1);

/// What becomes of the occurrences in a span.
#[derive(Debug, PartialEq)]
pub(super) struct Choice {
    /// These run, in order.
    pub(super) run: Vec<DateTime<Utc>>,
    /// These do not.
    pub(super) skipped: Vec<Skipped>,
}

/// Consecutive occurrences that are not run.
#[derive(Debug, PartialEq)]
pub(super) struct Skipped {
    pub(super) from: DateTime<Utc>,
    pub(super) to: DateTime<Utc>,
    pub(super) count: u64,
    pub(super) reason: SkipReason,
}

/// Decides about the occurrences after `after` (exclusive) and until `until` (inclusive), which is
/// *now* less the job's jitter. Takes no longer for a million than for the few that are run.
pub(super) fn choose(
    schedule: &Schedule,
    after: DateTime<Utc>,
    until: DateTime<Utc>,
    missed: Missed,
    deadline: TimeDelta,
) -> Choice {
    let (keep, window) = match missed {
        Missed::Skip => (1, FRESH),
        Missed::Once => (1, deadline),
        Missed::All(n) => (u64::from(n), deadline),
    };
    // Exclusive bounds, so that exactly so late is still inside.
    let within = |window: TimeDelta| after.max(until - window - TimeDelta::milliseconds(1));
    let prompt = schedule.count_between(within(PROMPT), until);
    let oldest = within(window.max(PROMPT));
    let run = newest(schedule, oldest, until, prompt.max(keep));
    let end = run.first().map_or(until, |first| *first - SECOND);
    let expired = if missed == Missed::Skip { SkipReason::Missed } else { SkipReason::Deadline };
    let spans = match missed {
        Missed::Skip => vec![(after, end, SkipReason::Missed)],
        Missed::Once | Missed::All(_) => {
            vec![(after, oldest.min(end), expired), (oldest.min(end), end, SkipReason::Missed)]
        }
    };
    let skipped = spans.into_iter().filter_map(|(after, until, reason)| skipped(schedule, after, until, reason));
    Choice { skipped: skipped.collect(), run }
}

/// All occurrences of a span as one.
pub(super) fn skipped(
    schedule: &Schedule,
    after: DateTime<Utc>,
    until: DateTime<Utc>,
    reason: SkipReason,
) -> Option<Skipped> {
    let to = newest(schedule, after, until, 1).pop()?;
    Some(Skipped { from: schedule.next_after(after)?, to, count: schedule.count_between(after, until), reason })
}

/// The newest `n` occurrences of a span, in order.
pub(super) fn newest(schedule: &Schedule, after: DateTime<Utc>, until: DateTime<Utc>, n: u64) -> Vec<DateTime<Utc>> {
    // Look back further and further, to walk through about as many as are asked for.
    let mut span = SECOND;
    while until - span > after && schedule.count_between(until - span, until) < n {
        span = span * 2;
    }
    let mut at = after.max(until - span);
    let mut found = Vec::new();
    while let Some(next) = schedule.next_after(at).filter(|next| *next <= until) {
        found.push(next);
        at = next;
    }
    let surplus = found.len().saturating_sub(usize::try_from(n).unwrap_or(usize::MAX));
    found.split_off(surplus)
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-01-{text}Z").parse().unwrap()
    }

    /// Runs as day-hour:minute, skips as count and reason.
    fn chosen(
        text: &str,
        after: &str,
        until: &str,
        missed: Missed,
        deadline: i64,
    ) -> (Vec<String>, Vec<(u64, SkipReason)>) {
        let schedule = Schedule::parse(text, Tz::UTC, "job").unwrap();
        let choice = choose(&schedule, at(after), at(until), missed, TimeDelta::hours(deadline));
        let run = choice.run.iter().map(|at| at.format("%d %H:%M").to_string()).collect();
        (run, choice.skipped.iter().map(|s| (s.count, s.reason)).collect())
    }

    #[test]
    fn policies() {
        use SkipReason::{Deadline, Missed as Late};
        let day = 24;
        for (text, after, until, missed, deadline, run, skips) in [
            // On time.
            ("@daily", "01T00:00:00", "02T00:00:00.004", Missed::Skip, day, &["02 00:00"][..], &[][..]),
            ("* * * * *", "01T00:00:00", "01T00:01:01.9", Missed::Once, day, &["01 00:01"], &[]),
            // Late by a restart.
            ("* * * * *", "01T00:00:00", "01T00:02:20", Missed::Skip, day, &["01 00:02"], &[(1, Late)]),
            ("* * * * *", "01T00:00:00", "01T00:02:30", Missed::Skip, day, &["01 00:02"], &[(1, Late)]),
            ("* * * * *", "01T00:00:00", "01T00:02:31", Missed::Skip, day, &[], &[(2, Late)]),
            // Nobody looked.
            ("@daily", "01T00:00:00", "04T05:00:00", Missed::Skip, day, &[], &[(3, Late)]),
            ("@daily", "01T00:00:00", "04T05:00:00", Missed::Once, day, &["04 00:00"], &[(2, Deadline)]),
            ("0 */6 * * *", "01T00:00:00", "02T05:00:00", Missed::Once, day, &["02 00:00"], &[(3, Late)]),
            (
                "0 */6 * * *",
                "01T00:00:00",
                "02T05:00:00",
                Missed::All(3),
                day,
                &["01 12:00", "01 18:00", "02 00:00"],
                &[(1, Late)],
            ),
            (
                "0 */6 * * *",
                "01T00:00:00",
                "02T05:00:00",
                Missed::All(9),
                12,
                &["01 18:00", "02 00:00"],
                &[(2, Deadline)],
            ),
            (
                "0 */6 * * *",
                "01T00:00:00",
                "02T05:00:00",
                Missed::All(1),
                12,
                &["02 00:00"],
                &[(2, Deadline), (1, Late)],
            ),
            ("@daily", "01T00:00:00", "02T05:00:00", Missed::Once, 5, &["02 00:00"], &[]),
            ("@daily", "01T00:00:00", "02T05:00:01", Missed::Once, 5, &[], &[(1, Deadline)]),
            // One on time is also the one that is caught up.
            ("@daily", "01T00:00:00", "04T00:00:01", Missed::Once, 99, &["04 00:00"], &[(2, Late)]),
            ("@daily", "01T00:00:00", "04T00:00:01", Missed::All(2), 99, &["03 00:00", "04 00:00"], &[(1, Late)]),
            ("@daily", "01T00:00:00", "01T05:00:00", Missed::All(2), 99, &[], &[]),
        ] {
            let expected = (run.iter().map(|r| (*r).to_owned()).collect(), skips.to_vec());
            assert_eq!(chosen(text, after, until, missed, deadline), expected, "{text} {after} {until} {missed:?}");
        }
    }

    #[test]
    fn decades_of_seconds_take_no_time() {
        let schedule = Schedule::parse("* * * * * *", Tz::Europe__Berlin, "job").unwrap();
        let began = std::time::Instant::now();
        let choice = choose(&schedule, DateTime::UNIX_EPOCH, at("01T00:00:00"), Missed::All(5), TimeDelta::weeks(5000));
        assert_eq!((choice.run.len(), choice.skipped[0].count), (5, 1_767_225_600 - 5));
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }

    #[test]
    fn ranges_name_first_and_last() {
        let schedule = Schedule::parse("0 */6 * * *", Tz::UTC, "job").unwrap();
        let range = skipped(&schedule, at("01T00:00:00"), at("02T05:00:00"), SkipReason::Missed).unwrap();
        assert_eq!((range.from, range.to, range.count), (at("01T06:00:00"), at("02T00:00:00"), 4));
        assert_eq!(skipped(&schedule, at("01T00:00:00"), at("01T05:00:00"), SkipReason::Missed), None);
    }
}
