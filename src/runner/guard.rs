//! Who may start: overlap, locks, the cap, deadlines. Pure.
//!
//! Nothing of this is stored: it follows from the rows. A run holds its locks from *starting* to
//! *stopping*; one that waits keeps later ones from taking a lock that it needs too, so that
//! nobody starves.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::job::{Job, JobName, Overlap};
use crate::run::{RunId, RunRecord, SkipReason, Trigger};

/// A run that is under way.
#[derive(Debug, Clone)]
pub struct Busy<'a> {
    /// Its row.
    pub record: &'a RunRecord,
    /// The locks that it holds.
    pub locks: &'a [String],
}

/// What is to happen with each row that waits; those not due yet are in none of the lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// To start now, in this order.
    pub start: Vec<RunId>,
    /// To wait, and for what.
    pub wait: Vec<(RunId, String)>,
    /// Never to run.
    pub skip: Vec<(RunId, SkipReason)>,
    /// When to ask again although nothing has changed.
    pub again: Option<DateTime<Utc>>,
}

/// Decides about all planned rows at one instant. `cap` is how many runs may be under way.
pub fn decide(now: DateTime<Utc>, planned: &[&RunRecord], busy: &[Busy<'_>], jobs: &[Job], cap: usize) -> Decision {
    let mut planned = planned.to_vec();
    planned.sort_by(|a, b| order(a, b));
    let mut floor = Floor::new(busy, cap);
    let mut decision = Decision::default();
    for row in planned {
        let job = jobs.iter().find(|job| job.name == row.occurrence.job);
        match floor.judge(now, row, job) {
            Verdict::Start => decision.start.push(row.id.clone()),
            Verdict::Wait(why) => decision.wait.push((row.id.clone(), why)),
            Verdict::Skip(reason) => decision.skip.push((row.id.clone(), reason)),
            Verdict::NotYet => {}
        }
        let turns = if row.due > now { Some(row.due) } else { job.and_then(|job| expiry(row, job)) };
        if let Some(at) = turns.filter(|at| *at > now) {
            decision.again = Some(decision.again.map_or(at, |other| other.min(at)));
        }
    }
    decision
}

/// First come, first served; but what has begun is ended before anything new, which could
/// otherwise wait for it while it waits for that.
fn order(a: &RunRecord, b: &RunRecord) -> Ordering {
    let key = |r: &RunRecord| (!has_begun(r), r.due, r.occurrence.planned_for, r.occurrence.era);
    key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id))
}

/// Whether a row is a further attempt or a later action of a run.
const fn has_begun(row: &RunRecord) -> bool {
    row.occurrence.attempt > 1 || row.occurrence.part > 0
}

/// When a row is too late to start. What was decided to be caught up, asked for by a person, or
/// belongs to a run that began in time, is never too late.
fn expiry(row: &RunRecord, job: &Job) -> Option<DateTime<Utc>> {
    matches!(row.trigger, Trigger::Schedule | Trigger::Start)
        .then(|| TimeDelta::from_std(job.policy.deadline).ok().and_then(|late| row.due.checked_add_signed(late)))
        .flatten()
}

enum Verdict {
    Start,
    Wait(String),
    Skip(SkipReason),
    NotYet,
}

/// The state of things as the rows are looked at one after the other.
struct Floor<'a> {
    room: usize,
    cap: usize,
    /// Lock → who holds it or waits for it first.
    locks: BTreeMap<String, (&'a RunRecord, bool)>,
    /// Occurrences without an end, those looked at before included, under way first.
    open: BTreeMap<&'a JobName, Vec<&'a RunRecord>>,
    catching_up: Option<&'a RunRecord>,
}

impl<'a> Floor<'a> {
    fn new(busy: &[Busy<'a>], cap: usize) -> Self {
        let cap = cap.max(1);
        let mut floor = Self {
            room: cap.saturating_sub(busy.len()),
            cap,
            locks: BTreeMap::new(),
            open: BTreeMap::new(),
            catching_up: None,
        };
        for run in busy {
            floor.locks.extend(run.locks.iter().map(|lock| (lock.clone(), (run.record, true))));
            floor.note(run.record);
        }
        floor
    }

    fn note(&mut self, row: &'a RunRecord) {
        self.open.entry(&row.occurrence.job).or_default().push(row);
        if row.trigger == Trigger::Missed {
            self.catching_up = Some(row);
        }
    }

    fn judge(&mut self, now: DateTime<Utc>, row: &'a RunRecord, job: Option<&Job>) -> Verdict {
        let Some(job) = job else { return Verdict::Skip(SkipReason::Removed) };
        let by_itself = matches!(row.trigger, Trigger::Schedule | Trigger::Start | Trigger::Missed);
        if by_itself && !job.enabled {
            return Verdict::Skip(SkipReason::Suspended);
        }
        if row.due > now {
            if has_begun(row) {
                self.open.entry(&row.occurrence.job).or_default().push(row);
            }
            return Verdict::NotYet;
        }
        if expiry(row, job).is_some_and(|end| end < now) {
            return Verdict::Skip(SkipReason::Deadline);
        }
        let verdict = self.overlap(row, job).or_else(|| self.capacity(row, job)).unwrap_or(Verdict::Start);
        if matches!(verdict, Verdict::Skip(_)) {
            return verdict;
        }
        let starts = matches!(verdict, Verdict::Start);
        self.room = self.room.saturating_sub(usize::from(starts));
        for lock in &job.policy.locks {
            self.locks.entry(lock.clone()).or_insert((row, starts));
        }
        self.note(row);
        verdict
    }

    /// The job with itself.
    fn overlap(&self, row: &RunRecord, job: &Job) -> Option<Verdict> {
        if job.policy.overlap == Overlap::Allow {
            return None;
        }
        let same = |other: &&&RunRecord| {
            let (a, b) = (&other.occurrence, &row.occurrence);
            (a.planned_for, a.era) != (b.planned_for, b.era)
        };
        let open: Vec<&&RunRecord> = self.open.get(&job.name)?.iter().filter(same).collect();
        let first = open.first()?;
        let patient = match (row.trigger, job.policy.overlap) {
            (Trigger::Schedule | Trigger::Start, Overlap::Skip) => false,
            (Trigger::Schedule | Trigger::Start, _) => open.len() < 2,
            _ => true,
        };
        Some(if patient {
            Verdict::Wait(format!("the run of {}", first.occurrence.planned_for.format("%FT%TZ")))
        } else {
            Verdict::Skip(SkipReason::Overlap)
        })
    }

    /// Locks, catching up one at a time, the cap.
    fn capacity(&self, row: &RunRecord, job: &Job) -> Option<Verdict> {
        for lock in &job.policy.locks {
            if let Some((holder, held)) = self.locks.get(lock) {
                let how = if *held { "held by" } else { "which is first in line:" };
                return Some(Verdict::Wait(format!("the lock {lock}, {how} {}", holder.occurrence)));
            }
        }
        if row.trigger == Trigger::Missed
            && let Some(other) = self.catching_up
        {
            return Some(Verdict::Wait(format!("its turn to catch up, after {}", other.occurrence)));
        }
        (self.room == 0).then(|| Verdict::Wait(format!("a free place: {} of {} are taken", self.cap, self.cap)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::job::{Action, Builtin, Policy};
    use crate::run::{Occurrence, State};
    use crate::schedule::Schedule;
    use proptest::prelude::*;

    fn job(name: &str, overlap: Overlap, locks: &[&str]) -> Job {
        Job {
            name: JobName::new(name).unwrap(),
            comment: None,
            schedule: Schedule::parse("@manual", chrono_tz::UTC, name).unwrap(),
            enabled: true,
            run_on_start: false,
            origin: "test".to_owned(),
            action: Action::Builtin(Builtin::Logrotate),
            after_success: vec![],
            policy: Policy {
                overlap,
                locks: locks.iter().map(|l| (*l).to_owned()).collect(),
                deadline: Duration::from_secs(1000),
                ..Policy::default()
            },
            log_file: format!("{name}.log"),
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn row(name: &str, seconds: i64, trigger: Trigger) -> RunRecord {
        let mut row = RunRecord::planned(Occurrence::first(JobName::new(name).unwrap(), at(seconds), 0), trigger);
        row.id = RunId(format!("{name}{seconds}"));
        row
    }

    fn running(name: &str, seconds: i64) -> RunRecord {
        let mut row = row(name, seconds, Trigger::Schedule);
        row.state = State::Starting { container: "c".to_owned() };
        row
    }

    fn shown(now: i64, planned: &[RunRecord], busy: &[RunRecord], jobs: &[Job], cap: usize) -> Vec<String> {
        let locks_of =
            |r: &RunRecord| jobs.iter().find(|j| j.name == r.occurrence.job).unwrap().policy.locks.as_slice();
        let busy: Vec<Busy<'_>> = busy.iter().map(|record| Busy { record, locks: locks_of(record) }).collect();
        let decision = decide(at(now), &planned.iter().collect::<Vec<_>>(), &busy, jobs, cap);
        let start = decision.start.iter().map(|id| format!("start {id}"));
        let wait = decision.wait.iter().map(|(id, why)| format!("{id} waits for {why}"));
        let skip = decision.skip.iter().map(|(id, why)| format!("skip {id}: {why}"));
        start.chain(wait).chain(skip).collect()
    }

    use Trigger::{Manual, Missed, Retry, Schedule as Due};

    #[test]
    fn overlap_of_a_job_with_itself() {
        let busy = [running("a", 10)];
        for (overlap, trigger, expected) in [
            (Overlap::Skip, Due, vec!["skip a20: still running", "skip a30: still running"]),
            (Overlap::Queue, Due, vec!["a20 waits for the run of 1970-01-01T00:00:10Z", "skip a30: still running"]),
            (Overlap::Allow, Due, vec!["start a20", "start a30"]),
            (
                Overlap::Skip,
                Manual,
                vec!["a20 waits for the run of 1970-01-01T00:00:10Z", "a30 waits for the run of 1970-01-01T00:00:10Z"],
            ),
        ] {
            let planned = [row("a", 20, trigger), row("a", 30, trigger)];
            assert_eq!(shown(40, &planned, &busy, &[job("a", overlap, &[])], 9), expected, "{overlap:?} {trigger:?}");
        }
        let planned = [row("a", 20, Due), row("a", 30, Due)];
        let jobs = [job("a", Overlap::Skip, &[])];
        assert_eq!(shown(40, &planned, &[], &jobs, 9), ["start a20", "skip a30: still running"]);
    }

    #[test]
    fn an_attempt_to_come_keeps_the_job_busy() {
        let mut retry = row("a", 10, Retry);
        retry.occurrence.attempt = 2;
        retry.due = at(100);
        let jobs = [job("a", Overlap::Skip, &[])];
        assert_eq!(shown(40, &[retry.clone(), row("a", 20, Due)], &[], &jobs, 9), ["skip a20: still running"]);
        assert_eq!(shown(100, &[retry], &[], &jobs, 9), ["start a10"]);
    }

    #[test]
    fn locks_are_taken_in_order() {
        let jobs = [
            job("deploy", Overlap::Skip, &["stack"]),
            job("backup", Overlap::Skip, &["logs", "stack"]),
            job("rotate", Overlap::Skip, &["logs"]),
            job("free", Overlap::Skip, &[]),
        ];
        let planned = [row("backup", 20, Due), row("rotate", 30, Due), row("free", 40, Due)];
        assert_eq!(
            shown(50, &planned, &[running("deploy", 10)], &jobs, 9),
            [
                "start free40",
                "backup20 waits for the lock stack, held by deploy of 1970-01-01T00:00:10Z",
                "rotate30 waits for the lock logs, which is first in line: backup of 1970-01-01T00:00:20Z",
            ]
        );
    }

    #[test]
    fn the_cap_queues_and_drops_nothing() {
        let jobs = [job("a", Overlap::Allow, &[]), job("b", Overlap::Allow, &[])];
        let planned = [row("a", 30, Due), row("b", 20, Due)];
        let busy = [running("a", 10)];
        assert_eq!(shown(50, &planned, &busy, &jobs, 2), ["start b20", "a30 waits for a free place: 2 of 2 are taken"]);
        assert_eq!(shown(50, &planned, &[], &jobs, 0).len(), 2, "a cap of 0 means 1");
    }

    #[test]
    fn catching_up_takes_one_at_a_time() {
        let jobs = [job("a", Overlap::Skip, &[]), job("b", Overlap::Skip, &[])];
        let planned = [row("a", 10, Missed), row("a", 20, Missed), row("b", 15, Missed)];
        assert_eq!(
            shown(99, &planned, &[], &jobs, 9),
            [
                "start a10",
                "b15 waits for its turn to catch up, after a of 1970-01-01T00:00:10Z",
                "a20 waits for the run of 1970-01-01T00:00:10Z",
            ]
        );
    }

    #[test]
    fn rows_that_must_not_run_any_more() {
        let mut off = job("off", Overlap::Skip, &[]);
        off.enabled = false;
        let jobs = [job("a", Overlap::Skip, &[]), off];
        let planned = [row("gone", 2000, Due), row("a", 500, Due), row("off", 2000, Due), row("off", 2000, Manual)];
        assert_eq!(
            shown(2000, &planned, &[], &jobs, 9),
            ["start off2000", "skip a500: deadline", "skip gone2000: removed", "skip off2000: suspended"]
        );
    }

    #[test]
    fn the_next_look_is_when_something_turns() {
        let jobs = [job("a", Overlap::Skip, &["l"]), job("b", Overlap::Skip, &["l"])];
        let mut retry = row("a", 10, Retry);
        retry.due = at(5000);
        let waiting = row("b", 20, Due);
        let holder = running("a", 1);
        let busy = [Busy { record: &holder, locks: &["l".to_owned()] }];
        assert_eq!(decide(at(50), &[&retry, &waiting], &busy, &jobs, 9).again, Some(at(1020)));
        assert_eq!(decide(at(50), &[&retry], &busy, &jobs, 9).again, Some(at(5000)));
        assert_eq!(decide(at(50), &[], &busy, &jobs, 9).again, None);
    }

    fn rows() -> impl Strategy<Value = Vec<RunRecord>> {
        prop::collection::vec((0usize..4, 0i64..60, 0usize..4), 0..12).prop_map(|rows| {
            let mut rows: Vec<RunRecord> = rows
                .into_iter()
                .map(|(name, s, t)| {
                    let mut row = row(["a", "b", "c", "d"][name], s, [Due, Manual, Missed, Retry][t]);
                    row.occurrence.attempt += u32::from(t == 3);
                    row
                })
                .collect();
            rows.sort_by(|a, b| a.id.cmp(&b.id));
            rows.dedup_by(|a, b| a.id == b.id);
            rows
        })
    }

    proptest! {
        /// However often it is asked: locks are exclusive, the cap holds, a job that does not
        /// allow it never overlaps itself, and everything comes to its turn.
        #[test]
        fn nothing_collides_and_nothing_starves(mut planned in rows(), cap in 1usize..4) {
            let jobs = [
                job("a", Overlap::Skip, &["x"]), job("b", Overlap::Queue, &["x", "y"]),
                job("c", Overlap::Allow, &["y"]), job("d", Overlap::Allow, &[]),
            ];
            let mut busy: Vec<RunRecord> = Vec::new();
            for _ in 0..40 {
                let locks_of = |r: &RunRecord| jobs.iter().find(|j| j.name == r.occurrence.job).unwrap().policy.locks.as_slice();
                let held: Vec<Busy<'_>> = busy.iter().map(|record| Busy { record, locks: locks_of(record) }).collect();
                let decision = decide(at(60), &planned.iter().collect::<Vec<_>>(), &held, &jobs, cap);
                prop_assert_eq!(decision.start.len() + decision.wait.len() + decision.skip.len(), planned.len());
                prop_assert!(!busy.is_empty() || planned.is_empty() || decision.wait.len() < planned.len(), "stuck");
                let started: Vec<RunRecord> = planned.iter().filter(|r| decision.start.contains(&r.id)).cloned().collect();
                planned.retain(|r| decision.wait.iter().any(|(id, _)| *id == r.id));
                busy.extend(started);
                prop_assert!(busy.len() <= cap);
                for lock in ["x", "y"] {
                    let holders = busy.iter().filter(|r| locks_of(r).iter().any(|l| l == lock)).count();
                    prop_assert!(holders <= 1, "{} hold {}", holders, lock);
                }
                prop_assert!(busy.iter().filter(|r| r.occurrence.job.as_str() < "b").count() <= 1);
                if !busy.is_empty() {
                    busy.remove(0);
                }
            }
            prop_assert!(planned.is_empty() && busy.is_empty());
        }
    }
}
