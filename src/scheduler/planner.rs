//! What is due, what was missed, what a step of the clock means. Pure: the clock is an argument,
//! and what is to be stored is a value.

mod entry;

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use self::entry::{Entry, whole_second};
use super::missed::PROMPT;
use super::plan::{CORRECTION, Correction, Plan, StepKind, StepNotice, Watermark};
use crate::job::{Job, JobName};
use crate::run::{Occurrence, RunRecord, Trigger};
use crate::schedule::Kind;

/// Knows of each job how far its occurrences are dealt with.
#[derive(Debug)]
pub struct Planner {
    entries: Vec<Entry>,
    /// When which of them falls due, so that most need not be looked at.
    queue: BTreeSet<(DateTime<Utc>, usize)>,
    /// No entry's mark is later than this.
    highest: DateTime<Utc>,
    /// Jobs that run at each start: `@reboot`, legacy `onstart`.
    at_start: Vec<JobName>,
    host: String,
    era: u32,
    /// What a reload or a step decided; goes out with the next plan.
    pending: Plan,
    /// Since when something waits to be stored.
    unsettled: Option<DateTime<Utc>>,
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
            queue: BTreeSet::new(),
            highest: now,
            at_start: Vec::new(),
            host: host.to_owned(),
            // An era is told by its watermarks, too.
            era: watermarks.values().map(|mark| mark.era).fold(era, u32::max),
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
            entry.settle(now, None, self.era, &mut self.pending);
        }
        let old: HashMap<JobName, Entry> = self.entries.drain(..).map(|entry| (entry.job().clone(), entry)).collect();
        let same = |job: &Job| old.get(&job.name).filter(|entry| *entry.schedule() == job.schedule);
        self.load(jobs, now, |job| same(job).map(Entry::mark));
        for entry in &mut self.entries {
            entry.stored &= old.get(entry.job()).is_some_and(|old| old.stored);
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
        self.arm();
    }

    /// After something happened to all entries.
    fn arm(&mut self) {
        self.queue = (0..).zip(&self.entries).filter_map(|(index, entry)| Some((entry.due()?, index))).collect();
        self.highest = self.entries.iter().map(Entry::mark).max().unwrap_or_default();
    }

    /// At the start of the scheduler: what fell due while nobody looked, by each job's policy. The
    /// same as [`Planner::due`], which finds late occurrences by itself (the host slept).
    pub fn catch_up(&mut self, now: DateTime<Utc>) -> Plan {
        self.due(now)
    }

    /// Everything that is due at `now`, for one transaction of the store. Nothing is handed out
    /// twice; a plan that could not be stored is the caller's to store later, before any other.
    pub fn due(&mut self, now: DateTime<Utc>) -> Plan {
        self.correct(now);
        let mut plan = std::mem::take(&mut self.pending);
        let mut changed = Vec::new();
        while let Some((_, index)) = self.queue.first().copied().filter(|(due, _)| *due <= now) {
            self.queue.pop_first();
            changed.push(index);
        }
        // In the order of the configuration, whoever waited longest.
        changed.sort_unstable();
        for index in &changed {
            if let Some(entry) = self.entries.get_mut(*index) {
                entry.settle(now, None, self.era, &mut plan);
                self.highest = self.highest.max(entry.mark());
                self.queue.extend(entry.due().map(|due| (due, *index)));
            }
        }
        if self.unsettled.take().is_some() {
            changed = (0..self.entries.len()).collect();
        }
        for index in changed {
            if let Some(entry) = self.entries.get_mut(index)
                && !std::mem::replace(&mut entry.stored, true)
            {
                plan.watermarks.push((entry.job().clone(), Watermark { planned: entry.mark(), era: self.era }));
            }
        }
        plan.rows.sort_by_key(|row| (row.due, row.occurrence.planned_for));
        plan
    }

    /// The earliest instant at which [`Planner::due`] has something to hand out.
    pub fn next(&self) -> Option<DateTime<Utc>> {
        self.queue.first().map(|(due, _)| *due).into_iter().chain(self.unsettled).min()
    }

    /// When a job falls due next, jitter included.
    pub fn next_of(&self, job: &JobName) -> Option<DateTime<Utc>> {
        self.entries.iter().find(|entry| entry.job() == job).and_then(Entry::due)
    }

    /// The jobs that have occurrences to come, or may have.
    pub fn armed(&self) -> impl Iterator<Item = &JobName> {
        self.entries.iter().map(Entry::job)
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
                _ if entry.schedule().follows_elapsed_time() => entry.go_on_from(to),
                StepKind::Forward => entry.run_once(to, self.era, &mut self.pending),
                StepKind::Back => {}
            }
        }
        self.arm();
        self.correct(to);
        self.unsettled = Some(to);
        StepNotice { from, to, kind }
    }

    /// Watermarks ahead of the clock: it was set back while nobody looked. The same rules as for a
    /// step.
    fn correct(&mut self, now: DateTime<Utc>) {
        if self.highest - now <= PROMPT {
            return;
        }
        let mut corrected = Vec::new();
        for entry in &mut self.entries {
            let lead = entry.mark() - now;
            if lead > CORRECTION || (lead > PROMPT && entry.schedule().follows_elapsed_time()) {
                corrected.push(Correction { job: entry.job().clone(), was: entry.mark() });
                entry.go_on_from(now);
            }
        }
        if !corrected.is_empty() {
            self.arm();
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

#[cfg(test)]
mod tests;
