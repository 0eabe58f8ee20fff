//! Who may start: overlap, locks, the cap, deadlines. Pure.
//!
//! Nothing of this is stored: it follows from the rows. A run holds its locks from *starting* to
//! *stopping*; one that waits keeps later ones from taking a lock that it needs too, so that
//! nobody starves.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::line::{Line, Why};
use crate::job::{Action, Builtin, Job, JobName, Overlap};
use crate::run::{Occurrence, RunRecord, SkipReason, Trigger};

/// A row that is to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Waiting<'a> {
    /// The row.
    pub record: &'a RunRecord,
    /// The definition that it would start with; `None` when there is none any more.
    pub job: Option<&'a Job>,
    /// Since when it has waited for a lock.
    pub locked_since: Option<DateTime<Utc>>,
    /// The digest of what it was last seen to wait for.
    pub noted: Option<u64>,
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
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decision<'a> {
    /// To start now, in this order.
    pub start: Vec<&'a RunRecord>,
    /// To wait, and for what.
    pub wait: Vec<(Waiting<'a>, Why<'a>)>,
    /// Never to run.
    pub skip: Vec<(&'a RunRecord, SkipReason)>,
    /// To end as one that could not start, with the reason.
    pub give_up: Vec<(&'a RunRecord, String)>,
    /// When to ask again although nothing has changed.
    pub again: Option<DateTime<Utc>>,
}

/// Decides about all planned rows at one instant. `cap` is how many runs may be under way. Its cost
/// grows with the number of rows and no faster; least where they come in their order.
pub fn decide<'a>(now: DateTime<Utc>, planned: &[Waiting<'a>], busy: &[Busy<'a>], cap: usize) -> Decision<'a> {
    let mut planned = planned.to_vec();
    planned.sort_by(|a, b| order(a).cmp(&order(b)));
    let mut floor = Floor::new(busy, cap);
    let mut decision = Decision::default();
    for waiting in planned {
        let Waiting { record: row, job, .. } = waiting;
        let mut turns = if row.due > now { Some(row.due) } else { job.and_then(|job| expiry(row, job)) };
        match floor.judge(now, waiting) {
            Verdict::Start => decision.start.push(row),
            Verdict::Wait(why) => {
                if let (Why::Lock { .. }, Some(end)) = (why, patience(waiting, now)) {
                    turns = Some(turns.map_or(end, |other| other.min(end)));
                }
                decision.wait.push((waiting, why));
            }
            Verdict::Skip(reason) => decision.skip.push((row, reason)),
            Verdict::GiveUp(why) => decision.give_up.push((row, why)),
            Verdict::NotYet => {}
        }
        if let Some(at) = turns.filter(|at| *at > now) {
            decision.again = Some(decision.again.map_or(at, |other| other.min(at)));
        }
    }
    decision
}

/// First come, first served; but what has begun is ended before anything new, which could
/// otherwise wait for it while it waits for that. What is caught up goes by its kind.
fn order<'a>(a: &Waiting<'a>) -> (bool, u8, DateTime<Utc>, DateTime<Utc>, u32, &'a str) {
    let r = a.record;
    (!has_begun(r), rank(a), r.due, r.occurrence.planned_for, r.occurrence.era, r.id.as_str())
}

/// Catching up: the logs first, then backup, then deploy, then the rest.
fn rank(waiting: &Waiting<'_>) -> u8 {
    let (Trigger::Missed, Some(job)) = (waiting.record.trigger, waiting.job) else { return u8::MAX };
    match &job.action {
        Action::Builtin(Builtin::Logrotate) => 0,
        _ if job.name.as_str() == "backup" => 1,
        Action::Builtin(Builtin::Autodeploy) => 2,
        _ => 3,
    }
}

/// Whether a row is a further attempt or a later action of a run.
pub(super) const fn has_begun(row: &RunRecord) -> bool {
    row.occurrence.attempt > 1 || row.occurrence.part > 0
}

/// Until when a row waits for a lock: no longer than its run may take.
fn patience(waiting: Waiting<'_>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let limit = TimeDelta::from_std(waiting.job?.policy.timeout?).ok()?;
    waiting.locked_since.unwrap_or(now).checked_add_signed(limit)
}

/// When a row is too late to start. What was decided to be caught up, asked for by a person, or
/// belongs to a run that began in time, is never too late.
fn expiry(row: &RunRecord, job: &Job) -> Option<DateTime<Utc>> {
    matches!(row.trigger, Trigger::Schedule | Trigger::Start)
        .then(|| TimeDelta::from_std(job.policy.deadline).ok().and_then(|late| row.due.checked_add_signed(late)))
        .flatten()
}

enum Verdict<'a> {
    Start,
    Wait(Why<'a>),
    Skip(SkipReason),
    GiveUp(String),
    NotYet,
}

/// The state of things as the rows are looked at one after the other.
struct Floor<'a> {
    room: usize,
    cap: usize,
    /// Lock → who holds it or came last to wait for it.
    locks: HashMap<&'a str, (&'a Occurrence, bool)>,
    /// Occurrences without an end, those looked at before included.
    open: HashMap<&'a JobName, Line<'a>>,
    catching_up: Option<&'a Occurrence>,
}

impl<'a> Floor<'a> {
    fn new(busy: &[Busy<'a>], cap: usize) -> Self {
        let cap = cap.max(1);
        let mut floor = Self {
            room: cap.saturating_sub(busy.len()),
            cap,
            locks: HashMap::new(),
            open: HashMap::new(),
            catching_up: None,
        };
        for run in busy {
            floor.locks.extend(run.locks.iter().map(|lock| (lock.as_str(), (&run.record.occurrence, true))));
            floor.note(run.record);
        }
        floor
    }

    fn note(&mut self, row: &'a RunRecord) {
        self.open.entry(&row.occurrence.job).or_default().push(&row.occurrence);
        if row.trigger == Trigger::Missed {
            self.catching_up = Some(&row.occurrence);
        }
    }

    fn judge(&mut self, now: DateTime<Utc>, waiting: Waiting<'a>) -> Verdict<'a> {
        let row = waiting.record;
        // A definition that has lost the action that is next is as good as none.
        let Some(job) = waiting.job.filter(|job| job.part(row.occurrence.part).is_some()) else {
            return Verdict::Skip(SkipReason::Removed);
        };
        let by_itself = matches!(row.trigger, Trigger::Schedule | Trigger::Start | Trigger::Missed);
        if by_itself && !job.enabled {
            return Verdict::Skip(SkipReason::Suspended);
        }
        if row.due > now {
            if has_begun(row) {
                self.open.entry(&row.occurrence.job).or_default().push(&row.occurrence);
            }
            return Verdict::NotYet;
        }
        if expiry(row, job).is_some_and(|end| end < now) {
            return Verdict::Skip(SkipReason::Deadline);
        }
        let verdict = self.overlap(row, job).or_else(|| self.capacity(row, job)).unwrap_or(Verdict::Start);
        match verdict {
            Verdict::Skip(_) => return verdict,
            Verdict::Wait(why @ Why::Lock { .. }) if patience(waiting, now).is_some_and(|end| end <= now) => {
                let limit = job.policy.timeout.unwrap_or(Duration::ZERO);
                return Verdict::GiveUp(format!("it waited {} s for {why}", limit.as_secs()));
            }
            _ => {}
        }
        let starts = matches!(verdict, Verdict::Start);
        self.room = self.room.saturating_sub(usize::from(starts));
        for lock in &job.policy.locks {
            self.locks.insert(lock, (&row.occurrence, starts));
        }
        self.note(row);
        verdict
    }

    /// The job with itself.
    fn overlap(&self, row: &'a RunRecord, job: &Job) -> Option<Verdict<'a>> {
        if job.policy.overlap == Overlap::Allow {
            return None;
        }
        let (others, before) = self.open.get(&row.occurrence.job)?.others(&row.occurrence)?;
        let patient = match (row.trigger, job.policy.overlap) {
            (Trigger::Schedule | Trigger::Start, Overlap::Skip) => false,
            (Trigger::Schedule | Trigger::Start, _) => others < 2,
            _ => true,
        };
        Some(if patient { Verdict::Wait(Why::Run(before.planned_for)) } else { Verdict::Skip(SkipReason::Overlap) })
    }

    /// Locks, catching up one at a time, the cap.
    fn capacity(&self, row: &RunRecord, job: &'a Job) -> Option<Verdict<'a>> {
        for name in &job.policy.locks {
            if let Some((before, held)) = self.locks.get(name.as_str()) {
                return Some(Verdict::Wait(Why::Lock { name, before, held: *held }));
            }
        }
        if row.trigger == Trigger::Missed
            && let Some(before) = self.catching_up
        {
            return Some(Verdict::Wait(Why::Turn(before)));
        }
        (self.room == 0).then_some(Verdict::Wait(Why::Place(self.cap)))
    }
}

#[cfg(test)]
mod tests;
