//! One job with occurrences: how far they are dealt with, and what becomes of those that are due.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use crate::job::{Job, JobName, Missed};
use crate::run::{Occurrence, RunRecord, SkipReason, Trigger};
use crate::schedule::Schedule;
use crate::scheduler::missed::{self, Choice, FRESH, PROMPT, Skipped};
use crate::scheduler::plan::{Plan, Skip};

/// One job with occurrences.
#[derive(Debug)]
pub(super) struct Entry {
    job: JobName,
    schedule: Schedule,
    pub(super) rules: Rules,
    /// All occurrences up to this instant are dealt with.
    mark: DateTime<Utc>,
    /// Whether the store knows the mark.
    pub(super) stored: bool,
    /// The first occurrence after the mark.
    next: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    missed: Missed,
    deadline: TimeDelta,
    /// This host's share of the jitter.
    pub(super) delay: TimeDelta,
}

impl Entry {
    pub(super) fn new(job: &Job, host: &str, mark: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        let rules = Rules {
            missed: job.policy.missed,
            deadline: span(job.policy.deadline),
            delay: span(share(&job.name, host, job.policy.jitter)),
        };
        let (stored, mark) = (mark.is_some(), mark.unwrap_or_else(|| whole_second(now)));
        let next = job.schedule.next_after(mark);
        Self { job: job.name.clone(), schedule: job.schedule.clone(), rules, mark, stored, next }
    }

    pub(super) const fn job(&self) -> &JobName {
        &self.job
    }

    pub(super) const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// All occurrences up to this instant are dealt with.
    pub(super) const fn mark(&self) -> DateTime<Utc> {
        self.mark
    }

    /// When it falls due next, jitter included.
    pub(super) fn due(&self) -> Option<DateTime<Utc>> {
        self.next.map(|next| next + self.rules.delay)
    }

    /// Deals with all occurrences that are due at `now`. `moment` replaces that at which the clock
    /// was set: what was planned until `now` is due then, as the old clock's jitter cannot be waited
    /// for on the new clock.
    pub(super) fn settle(&mut self, now: DateTime<Utc>, moment: Option<DateTime<Utc>>, era: u32, plan: &mut Plan) {
        let until = if moment.is_some() { now } else { now - self.rules.delay };
        let Some(first) = self.next.filter(|next| *next <= until) else { return };
        let second = self.schedule.next_after(first);
        let on_time = until - first <= PROMPT && second.is_none_or(|second| second > until);
        // As nearly always: needs no choice.
        let choice = if on_time {
            Choice { run: vec![first], skipped: vec![] }
        } else {
            missed::choose(&self.schedule, self.mark, until, self.rules.missed, self.rules.deadline)
        };
        for planned in &choice.run {
            let trigger = if until - *planned > FRESH { Trigger::Missed } else { Trigger::Schedule };
            plan.rows.push(self.row(*planned, moment.unwrap_or(*planned + self.rules.delay), trigger, era));
        }
        let last = choice.run.last().copied().into_iter().chain(choice.skipped.iter().map(|s| s.to)).max();
        plan.skips.extend(choice.skipped.into_iter().map(|s| self.skip(s)));
        match last {
            Some(last) if last == first => (self.mark, self.next, self.stored) = (last, second, false),
            last => self.advance(last.unwrap_or(until)),
        }
    }

    /// The clock jumped to `to`: however often the job was due in between, it runs once.
    pub(super) fn run_once(&mut self, to: DateTime<Utc>, era: u32, plan: &mut Plan) {
        let Some(newest) = missed::newest(&self.schedule, self.mark, to, 1).pop() else { return };
        plan.rows.push(self.row(newest, to, Trigger::Missed, era));
        let before = newest - TimeDelta::seconds(1);
        let rest = missed::skipped(&self.schedule, self.mark, before, SkipReason::Missed);
        plan.skips.extend(rest.map(|s| self.skip(s)));
        self.advance(newest);
    }

    fn row(&self, planned: DateTime<Utc>, due: DateTime<Utc>, trigger: Trigger, era: u32) -> RunRecord {
        RunRecord { due, ..RunRecord::planned(Occurrence::first(self.job.clone(), planned, era), trigger) }
    }

    fn skip(&self, Skipped { from, to, count, reason }: Skipped) -> Skip {
        Skip { job: self.job.clone(), from, to, count, reason }
    }

    pub(super) fn go_on_from(&mut self, now: DateTime<Utc>) {
        self.advance(whole_second(now));
    }

    fn advance(&mut self, mark: DateTime<Utc>) {
        self.mark = mark;
        self.next = self.schedule.next_after(mark);
        self.stored = false;
    }
}

/// A stable share of the jitter: the same for the same job on the same host, below the bound.
fn share(job: &JobName, host: &str, bound: Duration) -> Duration {
    let bound = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
    if bound == 0 {
        return Duration::ZERO;
    }
    let digest = Sha256::digest(format!("{job}\0{host}").as_bytes());
    let n = digest.iter().take(8).fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
    Duration::from_millis(n % bound)
}

/// A duration for calculating with instants; a century stands for more.
fn span(duration: Duration) -> TimeDelta {
    const CENTURY: TimeDelta = TimeDelta::days(36_525);
    TimeDelta::from_std(duration).unwrap_or(CENTURY).min(CENTURY)
}

pub(super) fn whole_second(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp(at.timestamp(), 0).unwrap_or(at)
}
