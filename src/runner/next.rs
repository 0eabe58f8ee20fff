//! What follows from an outcome: the next attempt, the next action. Pure.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::job::{Ended, Job, OnInterrupt, Retries};
use crate::run::{Occurrence, Outcome, RunRecord, Trigger};

/// The rows that follow from a finished run at `now`.
pub fn rows(record: &RunRecord, job: &Job, now: DateTime<Utc>) -> Vec<RunRecord> {
    let Some(outcome) = record.outcome() else { return vec![] };
    let occurrence = &record.occurrence;
    if let Some(pause) = pause(outcome, occurrence.attempt, job) {
        let occurrence = Occurrence { attempt: occurrence.attempt + 1, ..occurrence.clone() };
        let due = TimeDelta::from_std(pause).ok().and_then(|pause| now.checked_add_signed(pause));
        return vec![follower(record, occurrence, Trigger::Retry, due.unwrap_or(now))];
    }
    ended(outcome).and_then(|ended| follow_up(record, job, ended, now)).into_iter().collect()
}

/// The row that follows when an attempt that was to come is not made: what belongs after a failure.
pub fn given_up(attempt: &RunRecord, job: &Job, now: DateTime<Utc>) -> Option<RunRecord> {
    follow_up(attempt, job, Ended::Badly, now)
}

fn follow_up(record: &RunRecord, job: &Job, ended: Ended, now: DateTime<Utc>) -> Option<RunRecord> {
    let part = job.follow_ups.after(record.occurrence.part, ended)?;
    let occurrence = Occurrence { part, attempt: 1, ..record.occurrence.clone() };
    Some(follower(record, occurrence, Trigger::FollowUp, now))
}

/// What an outcome means for the actions that follow; `None` where nothing ran that they belong to.
const fn ended(outcome: &Outcome) -> Option<Ended> {
    match outcome {
        Outcome::Succeeded => Some(Ended::Well),
        Outcome::Cancelled => Some(Ended::Cancelled),
        Outcome::Skipped(_) => None,
        Outcome::Failed { .. }
        | Outcome::TimedOut
        | Outcome::CouldNotStart(_)
        | Outcome::Interrupted { .. }
        | Outcome::Lost => Some(Ended::Badly),
    }
}

fn follower(record: &RunRecord, occurrence: Occurrence, trigger: Trigger, due: DateTime<Utc>) -> RunRecord {
    let mut next = RunRecord::planned(occurrence, trigger);
    next.due = due;
    next.log_file.clone_from(&record.log_file);
    next.extra_env.clone_from(&record.extra_env);
    next
}

/// How long after this outcome the next attempt is due; `None` when there is none.
fn pause(outcome: &Outcome, attempt: u32, job: &Job) -> Option<Duration> {
    let retries = &job.policy.retries;
    let left = attempt <= retries.max;
    match outcome {
        Outcome::Failed { code, .. } if retries.on.is_empty() || retries.on.contains(code) => {
            left.then(|| backoff(retries, attempt))
        }
        Outcome::TimedOut | Outcome::CouldNotStart(_) if retries.on.is_empty() => {
            left.then(|| backoff(retries, attempt))
        }
        // Once beyond the attempts that failures may take.
        Outcome::Interrupted { .. } if job.policy.on_interrupt == OnInterrupt::Retry => {
            (attempt <= retries.max + 1).then_some(Duration::ZERO)
        }
        _ => None,
    }
}

/// `backoff × factor^(attempt-1)`, at most `max_backoff`.
fn backoff(retries: &Retries, attempt: u32) -> Duration {
    let power = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
    let seconds = retries.backoff.as_secs_f64() * retries.factor.max(1.0).powi(power);
    Duration::try_from_secs_f64(seconds).unwrap_or(retries.max_backoff).min(retries.max_backoff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Action, Builtin, FollowUps, JobName, Policy};
    use crate::run::{SkipReason, State};
    use crate::schedule::Schedule;

    fn job(max: u32, on: &[i64], on_interrupt: OnInterrupt, follow_ups: FollowUps) -> Job {
        let retries = Retries { max, on: on.to_vec(), ..Retries::default() };
        let policy = Policy { retries, on_interrupt, ..Policy::default() };
        let schedule = Schedule::parse("@manual", chrono_tz::UTC, "a").unwrap();
        let name = JobName::new("a").unwrap();
        Job { follow_ups, ..Job::new(name, schedule, Action::Builtin(Builtin::Logrotate), policy) }
    }

    fn record(outcome: Outcome, attempt: u32, part: u32) -> RunRecord {
        let at = DateTime::from_timestamp(0, 0).unwrap();
        let occurrence = Occurrence { attempt, part, ..Occurrence::first(JobName::new("a").unwrap(), at, 0) };
        let mut record = RunRecord::planned(occurrence, Trigger::Schedule);
        record.state = State::Finished(outcome);
        record
    }

    #[test]
    fn attempts() {
        use OnInterrupt::{Fail, Retry};
        let failed = |code| Outcome::Failed { code, oom: false };
        let (none, interrupted) = (None, Outcome::Interrupted { code: 137 });
        for (outcome, attempt, max, on, on_interrupt, expected) in [
            (failed(1), 1, 0, vec![], Fail, none),
            (failed(1), 1, 3, vec![], Fail, Some(10)),
            (failed(1), 2, 3, vec![], Fail, Some(20)),
            (failed(1), 3, 3, vec![], Fail, Some(40)),
            (failed(1), 4, 3, vec![], Fail, none),
            (failed(1), 9, 99, vec![], Fail, Some(600)),
            (failed(1), 1, 3, vec![75], Fail, none),
            (failed(75), 1, 3, vec![75], Fail, Some(10)),
            (Outcome::TimedOut, 1, 1, vec![], Fail, Some(10)),
            (Outcome::CouldNotStart("x".to_owned()), 1, 1, vec![], Fail, Some(10)),
            (Outcome::Lost, 1, 9, vec![], Retry, none),
            (Outcome::Cancelled, 1, 9, vec![], Retry, none),
            (Outcome::Skipped(SkipReason::Overlap), 1, 9, vec![], Retry, none),
            (interrupted.clone(), 1, 3, vec![], Fail, none),
            (interrupted.clone(), 1, 0, vec![], Retry, Some(0)),
            (interrupted, 2, 0, vec![], Retry, none),
        ] {
            let job = job(max, &on, on_interrupt, FollowUps::default());
            let next = rows(&record(outcome.clone(), attempt, 0), &job, DateTime::from_timestamp(0, 0).unwrap());
            assert_eq!(next.first().map(|r| r.due.timestamp()), expected, "{outcome} attempt {attempt} of {max}");
            assert!(next.iter().all(|r| r.occurrence.attempt == attempt + 1 && r.trigger == Trigger::Retry));
        }
    }

    #[test]
    fn actions_follow_the_last_attempt() {
        let actions = |n| vec![Action::Builtin(Builtin::Logrotate); n];
        let follow_ups = FollowUps { on_success: actions(2), on_failure: actions(1), always: actions(1) };
        let job = job(1, &[], OnInterrupt::Fail, follow_ups);
        let now = DateTime::from_timestamp(5, 0).unwrap();
        let failed = Outcome::Failed { code: 1, oom: false };
        for (outcome, attempt, part, expected) in [
            (Outcome::Succeeded, 3, 0, Some((1, 1))),
            (Outcome::Succeeded, 1, 1, Some((2, 1))),
            (Outcome::Succeeded, 1, 2, Some((201, 1))),
            (failed.clone(), 2, 0, Some((101, 1))),
            (failed, 2, 1, Some((101, 1))),
            (Outcome::Lost, 1, 0, Some((101, 1))),
            (Outcome::Interrupted { code: 137 }, 1, 0, Some((101, 1))),
            (Outcome::Cancelled, 1, 0, Some((201, 1))),
            (Outcome::Succeeded, 1, 201, None),
            (Outcome::Skipped(SkipReason::Removed), 1, 0, None),
        ] {
            let next = rows(&record(outcome.clone(), attempt, part), &job, now);
            let found = next.first().map(|r| (r.occurrence.part, r.occurrence.attempt));
            assert_eq!(found, expected, "{outcome} of part {part}");
            assert!(next.len() < 2 && next.iter().all(|r| r.trigger == Trigger::FollowUp && r.due == now));
        }
        let next = rows(&record(Outcome::TimedOut, 1, 0), &job, now);
        assert_eq!((next[0].occurrence.part, next[0].occurrence.attempt), (0, 2), "an attempt is left");
    }
}
