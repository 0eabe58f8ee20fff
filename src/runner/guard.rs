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

/// A row that is to run.
#[derive(Debug, Clone, Copy)]
pub struct Waiting<'a> {
    /// The row.
    pub record: &'a RunRecord,
    /// The definition that it would start with; `None` when there is none any more.
    pub job: Option<&'a Job>,
}

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
pub fn decide(now: DateTime<Utc>, planned: &[Waiting<'_>], busy: &[Busy<'_>], cap: usize) -> Decision {
    let mut planned = planned.to_vec();
    planned.sort_by(|a, b| order(a.record, b.record));
    let mut floor = Floor::new(busy, cap);
    let mut decision = Decision::default();
    for Waiting { record: row, job } in planned {
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
        // A definition that has lost the action that is next is as good as none.
        let Some(job) = job.filter(|job| job.part(row.occurrence.part).is_some()) else {
            return Verdict::Skip(SkipReason::Removed);
        };
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
mod tests;
