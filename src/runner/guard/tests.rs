use std::time::Duration;

use super::*;
use crate::job::Policy;
use crate::run::{RunId, State};
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
    planned.iter().map(|record| Waiting { record, job: job(record), locked_since: None, noted: None }).collect()
}

fn shown(now: i64, planned: &[RunRecord], busy: &[RunRecord], jobs: &[Job], cap: usize) -> Vec<String> {
    let locks_of = |r: &RunRecord| jobs.iter().find(|j| j.name == r.occurrence.job).unwrap().policy.locks.as_slice();
    let busy: Vec<Busy<'_>> = busy.iter().map(|record| Busy { record, locks: locks_of(record) }).collect();
    let decision = decide(at(now), &waiting(planned, jobs), &busy, cap);
    let start = decision.start.iter().map(|row| format!("start {}", row.id));
    let wait = decision.wait.iter().map(|(row, why)| format!("{} waits for {why}", row.record.id));
    let skip = decision.skip.iter().map(|(row, why)| format!("skip {}: {why}", row.id));
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
            vec!["a20 waits for the run of 1970-01-01T00:00:10Z", "a30 waits for the run of 1970-01-01T00:00:20Z"],
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
            "rotate30 waits for the lock logs, after backup of 1970-01-01T00:00:20Z",
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
fn catching_up_goes_by_kind() {
    let mut deploy = job("autodeploy", Overlap::Skip, &[]);
    deploy.action = Action::Builtin(Builtin::Autodeploy);
    let run = Action::Run(Box::default());
    let [mut backup, mut rest] = ["backup", "rest"].map(|name| job(name, Overlap::Skip, &[]));
    (backup.action, rest.action) = (run.clone(), run);
    let jobs = [rest, deploy, backup, job("logrotate", Overlap::Skip, &[])];
    let planned: Vec<_> = jobs.iter().zip(1..).map(|(job, n)| row(job.name.as_str(), n, Missed)).collect();
    assert_eq!(
        shown(99, &planned, &[], &jobs, 9),
        [
            "start logrotate4",
            "backup3 waits for its turn to catch up, after logrotate of 1970-01-01T00:00:04Z",
            "autodeploy2 waits for its turn to catch up, after backup of 1970-01-01T00:00:03Z",
            "rest1 waits for its turn to catch up, after autodeploy of 1970-01-01T00:00:02Z",
        ]
    );
}

#[test]
fn a_lock_is_waited_for_no_longer_than_the_run_may_take() {
    let mut late = job("late", Overlap::Skip, &["stack"]);
    late.policy.timeout = Some(Duration::from_secs(60));
    let mut legacy = job("legacy", Overlap::Skip, &["stack"]);
    legacy.policy.timeout = None;
    let holder = running("holder", 1);
    let busy = [Busy { record: &holder, locks: &["stack".to_owned()] }];
    let rows = [row("late", 10, Due), row("legacy", 11, Due)];
    let at_instant = |now: i64, since: Option<i64>| {
        let jobs = [&late, &legacy];
        let rows = rows.iter().zip(jobs);
        let rows: Vec<_> = rows
            .map(|(record, job)| Waiting { record, job: Some(job), locked_since: since.map(at), noted: None })
            .collect();
        let decision = decide(at(now), &rows, &busy, 9);
        let waits: Vec<_> = decision.wait.iter().map(|(row, _)| row.record.id.to_string()).collect();
        let given_up: Vec<_> = decision.give_up.iter().map(|(row, why)| format!("{}: {why}", row.id)).collect();
        (waits, given_up, decision.again)
    };
    let both = vec!["late10".to_owned(), "legacy11".to_owned()];
    assert_eq!(at_instant(20, None), (both.clone(), vec![], Some(at(80))), "from when it is first seen to wait");
    assert_eq!(at_instant(79, Some(20)), (both, vec![], Some(at(80))));
    let why = "late10: it waited 60 s for the lock stack, held by holder of 1970-01-01T00:00:01Z";
    let (waits, given_up, _) = at_instant(80, Some(20));
    assert_eq!((waits, given_up), (vec!["legacy11".to_owned()], vec![why.to_owned()]));
}

/// Whatever the line, a reason changes for those alone whose turn it is: it is written once.
#[test]
fn reasons_stay_as_they_are_while_others_get_their_turn() {
    let jobs = [job("a", Overlap::Allow, &["l"]), job("b", Overlap::Skip, &[])];
    let mut planned: Vec<_> = (10..60).map(|n| row(if n % 2 == 0 { "a" } else { "b" }, n, Manual)).collect();
    let mut busy = vec![running("a", 1), running("b", 2)];
    let mut before = shown(99, &planned, &busy, &jobs, 9);
    for _ in 0..10 {
        busy = planned.drain(..2).collect();
        for row in &mut busy {
            row.state = State::Starting { container: "c".to_owned() };
        }
        let after = shown(99, &planned, &busy, &jobs, 9);
        let changed = after.iter().filter(|line| !before.contains(line)).count();
        assert!(changed <= 2, "{changed} of {}: {after:?}", after.len());
        before = after;
    }
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
            let started: Vec<RunRecord> = decision.start.iter().map(|r| (*r).clone()).collect();
            let waits: Vec<RunId> = decision.wait.iter().map(|(r, _)| r.record.id.clone()).collect();
            planned.retain(|r| waits.contains(&r.id));
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
