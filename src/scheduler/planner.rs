//! What is due, what was missed, what a step of the clock means. Pure: the clock is an argument,
//! and what is to be stored is a value.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use super::missed::{self, FRESH, PROMPT, Skipped};
use super::plan::{CORRECTION, Correction, Plan, Skip, StepKind, StepNotice, Watermark};
use crate::job::{Job, JobName, Missed};
use crate::run::{Occurrence, RunRecord, SkipReason, Trigger};
use crate::schedule::{Kind, Schedule};

/// Knows of each job how far its occurrences are dealt with.
#[derive(Debug)]
pub struct Planner {
    entries: Vec<Entry>,
    /// Jobs that run at each start: `@reboot`, legacy `onstart`.
    at_start: Vec<JobName>,
    host: String,
    era: u32,
    /// What a reload or a step decided; goes out with the next plan.
    pending: Plan,
    /// Since when something waits to be stored.
    unsettled: Option<DateTime<Utc>>,
}

/// One job with occurrences.
#[derive(Debug)]
struct Entry {
    job: JobName,
    schedule: Schedule,
    rules: Rules,
    /// All occurrences up to this instant are dealt with.
    mark: DateTime<Utc>,
    stored: bool,
    /// The first occurrence after the mark.
    next: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy)]
struct Rules {
    missed: Missed,
    deadline: TimeDelta,
    /// This host's share of the jitter.
    delay: TimeDelta,
}

impl Planner {
    /// `jobs`: the jobs of the configuration, of which the enabled ones are planned. `watermarks`
    /// and `era` come from the store; a job without a watermark starts at `now`. `host` identifies
    /// this host among those that share a configuration: it decides the jitter.
    pub fn new(
        jobs: &[Job],
        watermarks: &HashMap<JobName, Watermark>,
        era: u32,
        host: &str,
        now: DateTime<Utc>,
    ) -> Self {
        let mut planner = Self {
            entries: Vec::new(),
            at_start: Vec::new(),
            host: host.to_owned(),
            era,
            pending: Plan::default(),
            unsettled: None,
        };
        planner.load(jobs, now, |job| watermarks.get(&job.name).map(|mark| mark.planned));
        planner.unsettled = planner.waits_to_be_stored().then_some(now);
        planner
    }

    /// Takes a new configuration. Jobs whose schedule (its zone included) did not change go on
    /// where they are, whatever else changed about them; all others start at `now`: new ones, those
    /// that have another name or schedule, and those that were gone or disabled for a while. What
    /// had fallen due before comes with the next plan.
    pub fn reload(&mut self, jobs: &[Job], now: DateTime<Utc>) {
        self.correct(now);
        for entry in &mut self.entries {
            entry.settle(now - entry.rules.delay, None, self.era, &mut self.pending);
        }
        let old: HashMap<JobName, Entry> = self.entries.drain(..).map(|entry| (entry.job.clone(), entry)).collect();
        let same = |job: &Job| old.get(&job.name).filter(|entry| entry.schedule == job.schedule);
        self.load(jobs, now, |job| same(job).map(|entry| entry.mark));
        for entry in &mut self.entries {
            entry.stored &= old.get(&entry.job).is_some_and(|old| old.stored);
        }
        self.unsettled = self.waits_to_be_stored().then_some(now);
    }

    fn waits_to_be_stored(&self) -> bool {
        !self.pending.is_empty() || self.entries.iter().any(|entry| !entry.stored)
    }

    fn load(&mut self, jobs: &[Job], now: DateTime<Utc>, mark: impl Fn(&Job) -> Option<DateTime<Utc>>) {
        let enabled = || jobs.iter().filter(|job| job.enabled);
        self.at_start = enabled()
            .filter(|job| job.run_on_start || job.schedule.kind() == Kind::Reboot)
            .map(|job| job.name.clone())
            .collect();
        self.entries = enabled()
            .filter(|job| matches!(job.schedule.kind(), Kind::Cron | Kind::Every))
            .map(|job| Entry::new(job, &self.host, mark(job), now))
            .collect();
    }

    /// At the start of the scheduler: what fell due while nobody looked, by each job's policy. The
    /// same as [`Planner::due`], which finds late occurrences by itself (the host slept).
    pub fn catch_up(&mut self, now: DateTime<Utc>) -> Plan {
        self.due(now)
    }

    /// Everything that is due at `now`, for one transaction of the store. Nothing is handed out
    /// twice; a plan that could not be stored is the caller's to store later.
    pub fn due(&mut self, now: DateTime<Utc>) -> Plan {
        self.correct(now);
        let mut plan = std::mem::take(&mut self.pending);
        for entry in &mut self.entries {
            entry.settle(now - entry.rules.delay, None, self.era, &mut plan);
            if !std::mem::replace(&mut entry.stored, true) {
                plan.watermarks.push((entry.job.clone(), Watermark { planned: entry.mark, era: self.era }));
            }
        }
        plan.rows.sort_by_key(|row| (row.due, row.occurrence.planned_for));
        self.unsettled = None;
        plan
    }

    /// The earliest instant at which [`Planner::due`] has something to hand out.
    pub fn next(&self) -> Option<DateTime<Utc>> {
        self.entries.iter().filter_map(Entry::due).chain(self.unsettled).min()
    }

    /// When a job falls due next, jitter included.
    pub fn next_of(&self, job: &JobName) -> Option<DateTime<Utc>> {
        self.entries.iter().find(|entry| entry.job == *job).and_then(Entry::due)
    }

    /// The jobs that have occurrences to come, or may have.
    pub fn armed(&self) -> impl Iterator<Item = &JobName> {
        self.entries.iter().map(|entry| &entry.job)
    }

    /// The era of the clock: counts its backward steps.
    pub const fn era(&self) -> u32 {
        self.era
    }

    /// Rows for the `@reboot` jobs. Whether this start counts as one is the caller's to know.
    pub fn reboot(&self, now: DateTime<Utc>) -> Vec<RunRecord> {
        let now = whole_second(now);
        let row = |job: &JobName| RunRecord::planned(Occurrence::first(job.clone(), now, self.era), Trigger::Start);
        self.at_start.iter().map(row).collect()
    }

    /// The clock showed `from` and then, at the same moment, `to`. What had fallen due before, and
    /// what a forward step jumped over, comes with the next plan.
    ///
    /// Jobs that follow elapsed time go by the new time from here on. Fixed-time jobs run once for
    /// a forward step of up to 3 h that jumps over them, and are not repeated by a backward step
    /// of up to 3 h. Larger steps are corrections: all jobs go by the new time.
    pub fn clock_stepped(&mut self, from: DateTime<Utc>, to: DateTime<Utc>) -> StepNotice {
        for entry in &mut self.entries {
            // The old clock's jitter cannot be waited for on the new clock.
            entry.settle(from, Some(to), self.era, &mut self.pending);
        }
        let kind = StepKind::of(from, to);
        if to < from {
            self.begin_era();
        }
        for entry in &mut self.entries {
            match kind {
                StepKind::Correction => entry.go_on_from(to),
                _ if entry.schedule.follows_elapsed_time() => entry.go_on_from(to),
                StepKind::Forward => entry.run_once(to, self.era, &mut self.pending),
                StepKind::Back => {}
            }
        }
        self.correct(to);
        self.unsettled = Some(to);
        StepNotice { from, to, kind }
    }

    /// Watermarks ahead of the clock: it was set back while nobody looked. The same rules as for a
    /// step.
    fn correct(&mut self, now: DateTime<Utc>) {
        let mut corrected = Vec::new();
        for entry in &mut self.entries {
            let lead = entry.mark - now;
            if lead > CORRECTION || (lead > PROMPT && entry.schedule.follows_elapsed_time()) {
                corrected.push(Correction { job: entry.job.clone(), was: entry.mark });
                entry.go_on_from(now);
            }
        }
        if !corrected.is_empty() {
            self.begin_era();
            self.pending.corrected.append(&mut corrected);
            self.unsettled = Some(now);
        }
    }

    /// Occurrences of the new era are other ones, even at the same instants.
    fn begin_era(&mut self) {
        self.era += 1;
        self.pending.era = Some(self.era);
    }
}

impl Entry {
    fn new(job: &Job, host: &str, mark: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        let rules = Rules {
            missed: job.policy.missed,
            deadline: span(job.policy.deadline),
            delay: span(share(&job.name, host, job.policy.jitter)),
        };
        let (stored, mark) = (mark.is_some(), mark.unwrap_or_else(|| whole_second(now)));
        let next = job.schedule.next_after(mark);
        Self { job: job.name.clone(), schedule: job.schedule.clone(), rules, mark, stored, next }
    }

    fn due(&self) -> Option<DateTime<Utc>> {
        self.next.map(|next| next + self.rules.delay)
    }

    /// Deals with all occurrences planned until `until`. `due` replaces the instant from which
    /// their lateness counts.
    fn settle(&mut self, until: DateTime<Utc>, due: Option<DateTime<Utc>>, era: u32, plan: &mut Plan) {
        if self.next.is_none_or(|next| next > until) {
            return;
        }
        let choice = missed::choose(&self.schedule, self.mark, until, self.rules.missed, self.rules.deadline);
        for planned in &choice.run {
            let trigger = if until - *planned > FRESH { Trigger::Missed } else { Trigger::Schedule };
            plan.rows.push(self.row(*planned, due.unwrap_or(*planned + self.rules.delay), trigger, era));
        }
        let last = choice.run.last().copied().into_iter().chain(choice.skipped.iter().map(|s| s.to)).max();
        plan.skips.extend(choice.skipped.into_iter().map(|s| self.skip(s)));
        self.advance(last.unwrap_or(until));
    }

    /// The clock jumped to `to`: however often the job was due in between, it runs once.
    fn run_once(&mut self, to: DateTime<Utc>, era: u32, plan: &mut Plan) {
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

    fn go_on_from(&mut self, now: DateTime<Utc>) {
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

fn whole_second(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp(at.timestamp(), 0).unwrap_or(at)
}

#[cfg(test)]
mod tests;
