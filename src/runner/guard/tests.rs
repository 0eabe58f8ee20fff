use std::time::Duration;

use super::*;
use crate::job::{Action, Builtin, Policy};
use crate::run::{Occurrence, State};
use crate::schedule::Schedule;
use proptest::prelude::*;

fn job(name: &str, overlap: Overlap, locks: &[&str]) -> Job {
    let schedule = Schedule::parse("@manual", chrono_tz::UTC, name).unwrap();
    let policy = Policy {
        overlap,
        locks: locks.iter().map(|l| (*l).to_owned()).collect(),
        deadline: Duration::from_secs(1000),
        ..Policy::default()
    };
    Job::new(JobName::new(name).unwrap(), schedule, Action::Builtin(Builtin::Logrotate), policy)
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

fn waiting<'a>(planned: &'a [RunRecord], jobs: &'a [Job]) -> Vec<Waiting<'a>> {
    let job = |record: &RunRecord| jobs.iter().find(|job| job.name == record.occurrence.job);
    planned.iter().map(|record| Waiting { record, job: job(record) }).collect()
}

fn shown(now: i64, planned: &[RunRecord], busy: &[RunRecord], jobs: &[Job], cap: usize) -> Vec<String> {
    let locks_of = |r: &RunRecord| jobs.iter().find(|j| j.name == r.occurrence.job).unwrap().policy.locks.as_slice();
    let busy: Vec<Busy<'_>> = busy.iter().map(|record| Busy { record, locks: locks_of(record) }).collect();
    let decision = decide(at(now), &waiting(planned, jobs), &busy, cap);
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
fn an_action_that_the_definition_has_lost_is_not_run() {
    let mut part = row("a", 10, Trigger::FollowUp);
    part.occurrence.part = 2;
    let mut a = job("a", Overlap::Skip, &[]);
    a.follow_ups.on_success = vec![a.action.clone(); 2];
    assert_eq!(shown(20, std::slice::from_ref(&part), &[], &[a.clone()], 9), ["start a10"]);
    a.follow_ups.on_success.pop();
    assert_eq!(shown(20, &[part], &[], &[a], 9), ["skip a10: removed"]);
}

#[test]
fn the_next_look_is_when_something_turns() {
    let jobs = [job("a", Overlap::Skip, &["l"]), job("b", Overlap::Skip, &["l"])];
    let mut retry = row("a", 10, Retry);
    retry.due = at(5000);
    let late = row("b", 20, Due);
    let holder = running("a", 1);
    let busy = [Busy { record: &holder, locks: &["l".to_owned()] }];
    let rows = [retry, late];
    let rows = waiting(&rows, &jobs);
    assert_eq!(decide(at(50), &rows, &busy, 9).again, Some(at(1020)));
    assert_eq!(decide(at(50), &rows[..1], &busy, 9).again, Some(at(5000)));
    assert_eq!(decide(at(50), &[], &busy, 9).again, None);
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
            let decision = decide(at(60), &waiting(&planned, &jobs), &held, cap);
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
