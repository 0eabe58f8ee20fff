//! Alarm and planner together, as the daemon's loop drives them, on a host whose clocks are ours.
//! tokio's time is paused, so that hours pass at once and nothing is late but by our doing.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::{Instant, advance, timeout_at};

use super::clock::Reading;
use super::{Alarm, Planner, Ring, StepKind};
use crate::job::{Action, Builtin, Job, JobName, Missed, Policy};
use crate::run::{RunRecord, Trigger};
use crate::schedule::Schedule;

fn at(text: &str) -> DateTime<Utc> {
    format!("2026-01-02T{text}Z").parse().unwrap()
}

fn job(name: &str, schedule: &str, missed: Missed) -> Job {
    let policy = Policy { missed, ..Policy::default() };
    let schedule = Schedule::parse(schedule, chrono_tz::UTC, name).unwrap();
    Job::new(JobName::new(name).unwrap(), schedule, Action::Builtin(Builtin::Logrotate), policy)
}

/// The clocks of a host.
struct Clocks {
    begun: Instant,
    wall: Cell<DateTime<Utc>>,
    asleep: Cell<TimeDelta>,
}

impl Clocks {
    fn read(&self) -> Reading {
        let elapsed = TimeDelta::from_std(self.begun.elapsed()).unwrap() + self.asleep.get();
        Reading { wall: self.wall.get() + elapsed, elapsed }
    }

    fn set(&self, by: TimeDelta) {
        self.wall.set(self.wall.get() + by);
    }

    /// tokio's time stands still meanwhile.
    fn sleep(&self, span: TimeDelta) {
        self.asleep.set(self.asleep.get() + span);
    }
}

struct Together {
    clocks: Rc<Clocks>,
    alarm: Alarm,
    planner: Planner,
    /// Rows, and what the clock showed when they were handed out.
    handed: Vec<(RunRecord, DateTime<Utc>)>,
    skipped: u64,
    steps: Vec<StepKind>,
    lost_ticks: usize,
    /// The most rows of one plan.
    most: usize,
}

impl Together {
    async fn new(jobs: &[Job], now: &str) -> Self {
        let clocks =
            Rc::new(Clocks { begun: Instant::now(), wall: Cell::new(at(now)), asleep: Cell::new(TimeDelta::zero()) });
        let reading = clocks.clone();
        let alarm = Alarm::reading(Box::new(move || reading.read())).await.unwrap();
        let planner = Planner::new(jobs, &HashMap::new(), 0, "host", at(now));
        Self { clocks, alarm, planner, handed: vec![], skipped: 0, steps: vec![], lost_ticks: 0, most: 0 }
    }

    fn now(&self) -> DateTime<Utc> {
        self.clocks.read().wall
    }

    async fn go_on(&mut self, span: Duration) {
        let end = Instant::now() + span;
        while let Ok(ring) = timeout_at(end, self.alarm.next(self.planner.next())).await {
            match ring {
                Ring::Due => {}
                Ring::Stepped(step) => self.steps.push(self.planner.clock_stepped(step.from, step.to).kind),
                Ring::TickLost => self.lost_ticks += 1,
            }
            let now = self.now();
            let plan = self.planner.due(now);
            self.most = self.most.max(plan.rows.len());
            self.skipped += plan.skips.iter().map(|skip| skip.count).sum::<u64>();
            self.handed.extend(plan.rows.into_iter().map(|row| (row, now)));
        }
    }

    /// What was handed out since this was asked last: job, planned time, era.
    fn taken(&mut self) -> Vec<String> {
        let mut taken = Vec::new();
        for (row, now) in self.handed.drain(..) {
            assert!(row.due <= now, "early: {row:?} at {now}");
            let occurrence = row.occurrence;
            taken.push(format!("{} {} {}", occurrence.job, occurrence.planned_for.format("%H:%M:%S"), occurrence.era));
        }
        taken
    }

    fn latest(&self) -> TimeDelta {
        self.handed.iter().map(|(row, now)| *now - row.due).max().unwrap()
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn hours_go_by_on_time_though_the_tick_is_lost_all_the_while() {
    let jobs = [job("often", "*/5 * * * *", Missed::Skip), job("nightly", "30 2 * * *", Missed::Once)];
    let mut host = Together::new(&jobs, "00:00:00.250").await;
    host.go_on(6 * 60 * MINUTE).await;
    // The crate's tick goes by the real clock, which stands still here.
    assert!(host.lost_ticks > 1_000, "{}", host.lost_ticks);
    assert!(host.latest() <= TimeDelta::milliseconds(3), "{}", host.latest());
    let taken = host.taken();
    assert_eq!((taken.len(), host.skipped, host.steps.len()), (12 * 6 + 1, 0, 0));
    assert_eq!(taken.iter().collect::<std::collections::BTreeSet<_>>().len(), taken.len());
}

#[tokio::test(start_paused = true)]
async fn the_clock_is_set_forward_and_back() {
    let jobs = [
        job("fixed", "30 2 * * *", Missed::Skip),
        job("wild", "*/30 * * * *", Missed::Skip),
        job("every", "@every 30m", Missed::Skip),
    ];
    let mut host = Together::new(&jobs, "02:10:00.500").await;
    host.go_on(MINUTE).await;
    host.clocks.set(TimeDelta::hours(1));
    host.go_on(30 * MINUTE).await; // 03:41
    assert_eq!(host.taken(), ["fixed 02:30:00 0", "wild 03:30:00 0", "every 03:30:00 0"]);
    host.clocks.set(-TimeDelta::minutes(80));
    host.go_on(70 * MINUTE).await; // 02:21 to 03:31
    let expected = ["02:30", "03:00", "03:30"].map(|at| [format!("wild {at}:00 1"), format!("every {at}:00 1")]);
    assert_eq!(host.taken(), expected.concat(), "nothing is repeated that has a time of its own");
    // A second back and forth, as a bad time server does it, is an era each and repeats nothing.
    host.clocks.set(-TimeDelta::milliseconds(1_500));
    host.go_on(MINUTE).await;
    host.clocks.set(-TimeDelta::hours(4));
    host.go_on(4 * 60 * MINUTE).await; // 23:32 of yesterday to 03:32
    assert_eq!(host.steps, [StepKind::Forward, StepKind::Back, StepKind::Back, StepKind::Correction]);
    assert_eq!(host.planner.era(), 3);
    let taken = host.taken();
    assert_eq!(taken.iter().filter(|row| row.starts_with("fixed")).count(), 1, "{taken:?}");
    assert!(taken.contains(&"fixed 02:30:00 3".to_owned()), "all jobs go by the new time: {taken:?}");
    assert_eq!(host.skipped, 0);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_sleeps_has_missed_what_it_slept_through_and_no_clock_was_set() {
    let jobs = [job("nightly", "30 2 * * *", Missed::Once), job("often", "*/10 * * * *", Missed::Skip)];
    let mut host = Together::new(&jobs, "01:55:00.200").await;
    host.go_on(MINUTE).await;
    host.clocks.sleep(TimeDelta::hours(5)); // until 06:56
    host.go_on(5 * MINUTE).await;
    assert_eq!(
        host.handed.iter().map(|(row, _)| row.trigger).collect::<Vec<_>>(),
        [Trigger::Missed, Trigger::Schedule]
    );
    let woken = host.handed[0].1;
    assert!(woken - at("06:56:00.200") < TimeDelta::seconds(2), "noticed with the next look: {woken}");
    assert_eq!(host.taken(), ["nightly 02:30:00 0", "often 07:00:00 0"]);
    assert_eq!((host.steps.len(), host.skipped, host.planner.era()), (0, 30, 0));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_jobs_in_one_second_are_one_plan() {
    let jobs: Vec<Job> = (0..1_000).map(|n| job(&format!("job{n}"), "* * * * * *", Missed::Skip)).collect();
    let mut host = Together::new(&jobs, "00:00:00.900").await;
    host.go_on(Duration::from_millis(9_500)).await;
    assert_eq!(host.most, 1_000);
    assert!(host.latest() <= TimeDelta::milliseconds(3));
    let taken = host.taken();
    let mut each: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &taken {
        *each.entry(row.split(' ').nth(1).unwrap()).or_default() += 1;
    }
    assert_eq!(each.values().copied().collect::<Vec<_>>(), [1_000; 10], "{each:?}");
}

#[tokio::test(start_paused = true)]
async fn jobs_come_and_go_while_it_rings() {
    let (stays, goes, comes) = ("*/10 * * * * *", "*/5 * * * * *", "*/5 * * * * *");
    let (stays, goes, comes) =
        (job("stays", stays, Missed::Once), job("goes", goes, Missed::Once), job("comes", comes, Missed::Once));
    let mut host = Together::new(&[stays.clone(), goes], "00:00:00.100").await;
    host.go_on(Duration::from_secs(7)).await; // until :07.1
    // The loop is busy with the reload while both fall due; the ring comes after it.
    advance(Duration::from_secs(3)).await;
    host.planner.reload(&[stays, comes], host.now());
    host.go_on(Duration::from_secs(10)).await;
    assert_eq!(
        host.taken(),
        [
            "goes 00:00:05 0",
            "stays 00:00:10 0",
            "goes 00:00:10 0",
            "comes 00:00:15 0",
            "stays 00:00:20 0",
            "comes 00:00:20 0"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_stalls_makes_late_and_loses_nothing_from_sight() {
    let jobs = [job("each", "* * * * * *", Missed::Skip), job("all", "* * * * * *", Missed::All(100))];
    let mut host = Together::new(&jobs, "00:00:00.100").await;
    host.go_on(Duration::from_secs(5)).await;
    advance(Duration::from_secs(20)).await;
    host.go_on(Duration::from_secs(5)).await; // until :30.1
    assert!(host.steps.is_empty());
    let taken = host.taken();
    let of = |name: &str| taken.iter().filter(|row| row.starts_with(name)).count() as u64;
    assert_eq!((of("all"), of("each") + host.skipped), (30, 30), "{taken:?}");
    assert!(host.skipped >= 15, "a job that is due each second is not repeated in a heap");
}
