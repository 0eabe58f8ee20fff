use std::time::Duration;

use chrono::TimeDelta;
use chrono_tz::Tz;
use proptest::prelude::*;

use super::*;
use crate::job::{Action, Builtin, Missed, Policy};
use crate::run::SkipReason;
use crate::schedule::Schedule;
use crate::scheduler::Skip;

fn at(text: &str) -> DateTime<Utc> {
    let text = if text.len() > 12 { format!("2026-{text}Z") } else { format!("2026-01-02T{text}Z") };
    text.parse().unwrap()
}

fn job(name: &str, schedule: &str) -> Job {
    let policy = Policy { missed: Missed::Once, ..Policy::default() };
    let schedule = Schedule::parse(schedule, Tz::UTC, name).unwrap();
    Job::new(JobName::new(name).unwrap(), schedule, Action::Builtin(Builtin::Logrotate), policy)
}

fn marks(plan: &Plan) -> HashMap<JobName, Watermark> {
    plan.watermarks.iter().cloned().collect()
}

/// A planner that has seen all of these jobs at `now`.
fn planner(jobs: &[Job], now: &str) -> Planner {
    let mut planner = Planner::new(jobs, &HashMap::new(), 0, "host", at(now));
    let _ = planner.catch_up(at(now));
    planner
}

/// Job and planned time of each row.
fn rows(plan: &Plan) -> Vec<String> {
    let show = |row: &RunRecord| format!("{} {}", row.occurrence.job, row.occurrence.planned_for.format("%H:%M:%S"));
    plan.rows.iter().map(show).collect()
}

#[test]
fn what_is_due_comes_once_in_order() {
    let mut planner =
        planner(&[job("slow", "0 * * * *"), job("fast", "*/30 * * * *"), job("hand", "@manual")], "00:10:00");
    assert_eq!(planner.next(), Some(at("00:30:00")));
    assert!(planner.due(at("00:29:59.999")).is_empty());
    let plan = planner.due(at("00:30:00"));
    assert_eq!(rows(&plan), ["fast 00:30:00"]);
    assert_eq!(plan.watermarks, [(JobName::new("fast").unwrap(), Watermark { planned: at("00:30:00"), era: 0 })]);
    assert!(planner.due(at("00:30:00.500")).is_empty());
    assert_eq!(rows(&planner.due(at("01:00:00.003"))), ["slow 01:00:00", "fast 01:00:00"]);
    assert_eq!(planner.next(), Some(at("01:30:00")));
    assert_eq!(planner.next_of(&JobName::new("slow").unwrap()), Some(at("02:00:00")));
}

#[test]
fn rows_say_what_they_are() {
    let mut planner = planner(&[job("daily", "@daily")], "01-02T12:00:00");
    let plan = planner.due(at("01-03T00:00:00.002"));
    assert_eq!((plan.rows[0].trigger, plan.rows[0].due), (Trigger::Schedule, at("01-03T00:00:00")));
    let plan = planner.due(at("01-04T07:00:00"));
    assert_eq!((plan.rows[0].trigger, plan.rows[0].due), (Trigger::Missed, at("01-04T00:00:00")));
}

#[test]
fn a_new_job_starts_now_and_that_is_stored() {
    let jobs = [job("monthly", "@monthly")];
    let mut planner = Planner::new(&jobs, &HashMap::new(), 0, "host", at("01-02T10:00:00.700"));
    assert!(planner.next().unwrap() <= at("01-02T10:00:00.700"));
    let plan = planner.due(at("01-02T10:00:00.700"));
    assert_eq!(marks(&plan).values().next(), Some(&Watermark { planned: at("01-02T10:00:00"), era: 0 }));
    assert_eq!(planner.next(), Some(at("02-01T00:00:00")));
    // Down over the first of the month.
    let mut planner = Planner::new(&jobs, &marks(&plan), 0, "host", at("02-01T05:00:00"));
    assert_eq!(rows(&planner.catch_up(at("02-01T05:00:00"))), ["monthly 00:00:00"]);
}

#[test]
fn impossible_and_disabled_jobs_are_never_due() {
    let off = Job { enabled: false, ..job("off", "* * * * *") };
    let off_at_start = Job { enabled: false, ..job("off at start", "@reboot") };
    let mut planner = planner(&[off, off_at_start, job("never", "0 0 30 2 *"), job("start", "@reboot")], "00:00:00");
    assert_eq!(planner.next(), None);
    assert!(planner.due(at("12-31T00:00:00")).is_empty());
    let rows = planner.reboot(at("00:00:00.400"));
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].occurrence.job.as_str(), rows[0].trigger, rows[0].due),
        ("start", Trigger::Start, at("00:00:00"))
    );
}

#[test]
fn catching_up_by_policy() {
    let policy =
        |missed, hours: u64| Policy { missed, deadline: Duration::from_secs(hours * 3600), ..Policy::default() };
    let jobs = [
        Job { policy: policy(Missed::Skip, 24), ..job("skip", "*/10 * * * *") },
        Job { policy: policy(Missed::Once, 24), ..job("once", "0 * * * *") },
        Job { policy: policy(Missed::All(2), 24), ..job("all", "0 */2 * * *") },
        Job { policy: policy(Missed::Once, 1), ..job("late", "0 3 * * *") },
    ];
    let known = marks(&Planner::new(&jobs, &HashMap::new(), 0, "host", at("00:00:00")).due(at("00:00:00")));
    let mut planner = Planner::new(&jobs, &known, 0, "host", at("07:05:00"));
    let plan = planner.catch_up(at("07:05:00"));
    assert_eq!(rows(&plan), ["all 04:00:00", "all 06:00:00", "once 07:00:00"]);
    assert!(plan.rows.iter().all(|row| row.trigger == Trigger::Missed));
    let skips: Vec<_> = plan.skips.iter().map(|s| (s.job.as_str(), s.count, s.from, s.to, s.reason)).collect();
    assert_eq!(
        skips,
        [
            ("skip", 42, at("00:10:00"), at("07:00:00"), SkipReason::Missed),
            ("once", 6, at("01:00:00"), at("06:00:00"), SkipReason::Missed),
            ("all", 1, at("02:00:00"), at("02:00:00"), SkipReason::Missed),
            ("late", 1, at("03:00:00"), at("03:00:00"), SkipReason::Deadline),
        ]
    );
    assert!(planner.catch_up(at("07:05:00")).is_empty());
    assert_eq!(rows(&planner.due(at("07:10:00"))), ["skip 07:10:00"]);
}

#[test]
fn jitter_delays_and_keeps_the_planned_instant() {
    let policy = Policy { jitter: Duration::from_secs(30), missed: Missed::Once, ..Policy::default() };
    let jobs = [Job { policy, ..job("job", "0 * * * *") }];
    let due_on = |host: &str| {
        let mut planner = Planner::new(&jobs, &HashMap::new(), 0, host, at("00:10:00"));
        let _ = planner.due(at("00:10:00"));
        let due = planner.next().unwrap();
        assert!((at("01:00:00")..at("01:00:30")).contains(&due));
        assert!(planner.due(due - TimeDelta::milliseconds(1)).is_empty());
        let plan = planner.due(due);
        assert_eq!((plan.rows[0].occurrence.planned_for, plan.rows[0].due), (at("01:00:00"), due));
        due
    };
    assert_eq!(due_on("one"), due_on("one"));
    let spread: std::collections::BTreeSet<_> = (0..20).map(|n| due_on(&format!("host{n}"))).collect();
    assert!(spread.len() > 10);
}

fn three(now: &str) -> Planner {
    planner(&[job("fixed", "30 2 * * *"), job("wild", "*/30 * * * *"), job("every", "@every 30m")], now)
}

#[test]
fn a_forward_step_runs_fixed_time_jobs_once() {
    let mut planner = three("02:00:00");
    let notice = planner.clock_stepped(at("02:10:00"), at("03:50:00"));
    assert_eq!(notice.kind, StepKind::Forward);
    let plan = planner.due(at("03:50:00.100"));
    assert_eq!(rows(&plan), ["fixed 02:30:00"]);
    assert_eq!((plan.rows[0].trigger, plan.rows[0].due, plan.era), (Trigger::Missed, at("03:50:00"), None));
    assert_eq!(rows(&planner.due(at("04:00:00"))), ["wild 04:00:00", "every 04:00:00"]);
}

#[test]
fn a_forward_step_catches_up_one_of_many_whatever_the_policy() {
    let policy = Policy { missed: Missed::Skip, ..Policy::default() };
    let mut planner = planner(&[Job { policy, ..job("fixed", "0-50/10 2 * * *") }], "01:00:00");
    let _ = planner.clock_stepped(at("02:05:00"), at("03:00:00"));
    let plan = planner.due(at("03:00:00"));
    // The one at 02:00 was missed before the step.
    assert_eq!(rows(&plan), ["fixed 02:50:00"]);
    let skips: Vec<_> = plan.skips.iter().map(|s| (s.count, s.from, s.to)).collect();
    assert_eq!(skips, [(1, at("02:00:00"), at("02:00:00")), (4, at("02:10:00"), at("02:40:00"))]);
}

#[test]
fn a_backward_step_repeats_no_fixed_time_job() {
    let mut planner = three("02:00:00");
    assert_eq!(rows(&planner.due(at("02:30:00"))), ["fixed 02:30:00", "wild 02:30:00", "every 02:30:00"]);
    let notice = planner.clock_stepped(at("02:40:00"), at("01:40:00"));
    assert_eq!((notice.kind, planner.era()), (StepKind::Back, 1));
    assert_eq!(planner.next(), Some(at("01:40:00")), "the new era is to be stored");
    let plan = planner.due(at("01:40:00"));
    assert_eq!((plan.era, marks(&plan).len(), plan.rows.len()), (Some(1), 2, 0));
    assert_eq!(rows(&planner.due(at("02:00:00"))), ["wild 02:00:00", "every 02:00:00"]);
    let plan = planner.due(at("02:30:00"));
    assert_eq!(rows(&plan), ["wild 02:30:00", "every 02:30:00"]);
    assert!(plan.rows.iter().all(|row| row.occurrence.era == 1), "another occurrence than in era 0");
    assert_eq!(planner.next_of(&JobName::new("fixed").unwrap()), Some(at("01-03T02:30:00")));
}

#[test]
fn larger_steps_are_corrections() {
    let mut planner = three("02:00:00");
    assert_eq!(planner.clock_stepped(at("02:10:00"), at("06:10:00")).kind, StepKind::Correction);
    assert_eq!((planner.due(at("06:10:00")).rows.len(), planner.era()), (0, 0));
    let _ = planner.due(at("06:30:00"));
    assert_eq!(planner.clock_stepped(at("06:40:00"), at("02:20:00")).kind, StepKind::Correction);
    let plan = planner.due(at("02:20:00"));
    assert_eq!((plan.era, plan.rows.len()), (Some(1), 0));
    assert_eq!(rows(&planner.due(at("02:30:00"))), ["fixed 02:30:00", "wild 02:30:00", "every 02:30:00"]);
}

#[test]
fn steps_drop_nothing_that_was_due_before() {
    let policy = Policy { jitter: Duration::from_secs(600), missed: Missed::Skip, ..Policy::default() };
    for (to, era) in [("05:00:00", 0), ("01:59:00", 1), ("23:00:00", 0)] {
        let mut planner = planner(&[Job { policy: policy.clone(), ..job("wild", "0 * * * *") }], "01:00:30");
        assert!(planner.next().unwrap() > at("02:00:02"), "the jitter of this job on this host");
        let _ = planner.clock_stepped(at("02:00:01"), at(to));
        let plan = planner.due(at(to));
        assert_eq!(rows(&plan), ["wild 02:00:00"]);
        assert_eq!((plan.rows[0].due, plan.rows[0].occurrence.era, planner.era()), (at(to), 0, era));
    }
}

#[test]
fn watermarks_ahead_of_the_clock() {
    let jobs = [job("fixed", "30 2 * * *"), job("wild", "*/30 * * * *")];
    let known =
        |planned: &str| jobs.iter().map(|j| (j.name.clone(), Watermark { planned: at(planned), era: 4 })).collect();
    // Set back by an hour while nobody looked.
    let mut planner = Planner::new(&jobs, &known("02:30:00"), 4, "host", at("01:40:00"));
    let plan = planner.catch_up(at("01:40:00"));
    assert_eq!((plan.era, plan.rows.len(), plan.corrected.len()), (Some(5), 0, 1));
    assert_eq!(rows(&planner.due(at("02:00:00"))), ["wild 02:00:00"]);
    assert_eq!(rows(&planner.due(at("02:30:00"))), ["wild 02:30:00"]);
    // More than three hours: a correction for all.
    let mut planner = Planner::new(&jobs, &known("06:30:00"), 4, "host", at("02:20:00"));
    let plan = planner.catch_up(at("02:20:00"));
    assert_eq!((plan.era, plan.rows.len(), plan.corrected.len(), marks(&plan).len()), (Some(5), 0, 2, 2));
    assert_eq!(rows(&planner.due(at("02:30:00"))), ["fixed 02:30:00", "wild 02:30:00"]);
    // A moment: waited for.
    let mut planner = Planner::new(&jobs, &known("02:30:00"), 4, "host", at("02:29:59"));
    assert!(planner.catch_up(at("02:29:59")).is_empty());
    assert_eq!(planner.next(), Some(at("03:00:00")));
}

#[test]
fn notices_read_alone() {
    let mut planner = three("02:00:00");
    assert_eq!(
        planner.clock_stepped(at("02:10:00"), at("01:10:00")).to_string(),
        "the clock stepped back by 3600.0 s to 2026-01-02T01:10:00Z: fixed-time jobs are not repeated"
    );
}

#[derive(Debug, Clone)]
enum Event {
    Wait(i64),
    Restart,
    Reload,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => (1_i64..2_000).prop_map(Event::Wait),
        2 => (1_i64..400_000).prop_map(Event::Wait),
        1 => Just(Event::Restart),
        1 => Just(Event::Reload),
    ];
    prop::collection::vec(event, 1..60)
}

proptest! {
    /// Every occurrence is handed out once or skipped once, whatever happens when (a restart knows
    /// what was stored, and nothing else).
    #[test]
    fn nothing_is_lost_and_nothing_doubled(
        events in events(),
        text in prop::sample::select(vec!["* * * * *", "*/15 * * * * *", "7 */2 * * *", "30 1,2 * * *", "@every 90s", "CRON_TZ=Europe/Berlin 30 2 * * *"]),
        missed in prop_oneof![Just(Missed::Skip), Just(Missed::Once), (1_u32..6).prop_map(Missed::All), Just(Missed::All(u32::MAX))],
        jitter in 0_u64..90_000,
    ) {
        let start = at("03-28T20:00:00");
        let policy = Policy { missed, jitter: Duration::from_millis(jitter), ..Policy::default() };
        let jobs = [Job { policy, ..job("job", text) }];
        let mut planner = Planner::new(&jobs, &HashMap::new(), 0, "host", start);
        let mut stored: HashMap<JobName, Watermark> = HashMap::new();
        let mut run: Vec<DateTime<Utc>> = Vec::new();
        let mut skips: Vec<Skip> = Vec::new();
        let mut now = start;
        let mut store = |plan: Plan, stored: &mut HashMap<JobName, Watermark>| {
            run.extend(plan.rows.iter().map(|row| row.occurrence.planned_for));
            skips.extend(plan.skips);
            stored.extend(plan.watermarks);
        };
        store(planner.catch_up(now), &mut stored);
        for event in events {
            match event {
                Event::Wait(seconds) => {
                    now += TimeDelta::milliseconds(seconds * 997);
                    store(planner.due(now), &mut stored);
                }
                Event::Restart => {
                    planner = Planner::new(&jobs, &stored, 0, "host", now);
                    store(planner.catch_up(now), &mut stored);
                }
                Event::Reload => planner.reload(&jobs, now),
            }
        }
        store(planner.due(now), &mut stored);
        let delay = planner.entries[0].rules.delay;
        let schedule = &jobs[0].schedule;
        let total = schedule.count_between(start, now - delay);
        prop_assert!(run.windows(2).all(|pair| pair[0] < pair[1]), "doubled: {run:?}");
        let skipped: u64 = skips.iter().map(|s| s.count).sum();
        prop_assert_eq!(run.len() as u64 + skipped, total);
        for skip in &skips {
            prop_assert_eq!(schedule.count_between(skip.from - TimeDelta::seconds(1), skip.to), skip.count);
            prop_assert!(!run.iter().any(|at| (skip.from..=skip.to).contains(at)), "run and skipped");
        }
        if missed == Missed::All(u32::MAX) && now - start < TimeDelta::days(1) {
            prop_assert_eq!(skipped, 0);
        }
    }

    /// The planner rings when it has something, and has something when it rings.
    #[test]
    fn the_next_instant_is_the_one(text in prop::sample::select(vec!["* * * * *", "7 */2 * * *", "@every 7m"]), jitter in 0_u64..9_000, steps in 1..40) {
        let policy = Policy { jitter: Duration::from_millis(jitter), ..Policy::default() };
        let jobs = [Job { policy, ..job("job", text) }];
        let mut planner = Planner::new(&jobs, &HashMap::new(), 0, "host", at("00:00:00"));
        let _ = planner.due(at("00:00:00"));
        for _ in 0..steps {
            let next = planner.next().unwrap();
            prop_assert!(planner.due(next - TimeDelta::milliseconds(1)).is_empty());
            prop_assert_eq!(planner.due(next).rows.len(), 1);
        }
    }
}

mod reload;
mod restart;
