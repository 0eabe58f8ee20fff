//! What the planner hands out.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use crate::job::JobName;
use crate::run::{RunRecord, SkipReason};

/// How far the occurrences of a job are dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    /// The last planned instant that is dealt with (for a new job: when it was first seen).
    pub planned: DateTime<Utc>,
    /// The era of the clock in which that was.
    pub era: u32,
}

/// What is to be stored in one transaction.
#[derive(Debug, Clone, PartialEq, Default)]
#[must_use = "the planner has moved on: what is not stored is lost"]
pub struct Plan {
    /// Occurrences that are to run, the one that fell due first in front.
    pub rows: Vec<RunRecord>,
    /// Occurrences that are not.
    pub skips: Vec<Skip>,
    /// Watermarks that changed.
    pub watermarks: Vec<(JobName, Watermark)>,
    /// The era, when a new one has begun.
    pub era: Option<u32>,
    /// Watermarks that lay ahead of the clock: worth a warning.
    pub corrected: Vec<Correction>,
}

/// Consecutive occurrences of one job that are not run, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// The job.
    pub job: JobName,
    /// The first of them.
    pub from: DateTime<Utc>,
    /// The last of them.
    pub to: DateTime<Utc>,
    /// How many, at least one.
    pub count: u64,
    /// Why.
    pub reason: SkipReason,
}

/// A watermark that lay ahead of the clock and became *now*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// The job.
    pub job: JobName,
    /// Where its watermark was.
    pub was: DateTime<Utc>,
}

/// What a step of the clock means for the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepNotice {
    /// What the clock showed.
    pub from: DateTime<Utc>,
    /// What it showed instead.
    pub to: DateTime<Utc>,
    /// How it was taken.
    pub kind: StepKind,
}

/// How a step of the clock is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// Forward, up to 3 h: fixed-time jobs in between run once.
    Forward,
    /// Back, up to 3 h: fixed-time jobs are not repeated.
    Back,
    /// More than 3 h: all jobs go by the new time.
    Correction,
}

/// Steps and leads of more than this are corrections (as in Vixie cron).
pub(super) const CORRECTION: TimeDelta = TimeDelta::hours(3);

impl Plan {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
            && self.skips.is_empty()
            && self.watermarks.is_empty()
            && self.era.is_none()
            && self.corrected.is_empty()
    }
}

impl StepKind {
    /// How a step is taken.
    pub fn of(from: DateTime<Utc>, to: DateTime<Utc>) -> Self {
        match to - from {
            step if step.abs() > CORRECTION => Self::Correction,
            step if step < TimeDelta::zero() => Self::Back,
            _ => Self::Forward,
        }
    }
}

impl fmt::Display for StepNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = self.to - self.from;
        let direction = if step < TimeDelta::zero() { "back" } else { "forward" };
        let meaning = match self.kind {
            StepKind::Forward => "fixed-time jobs in between run once",
            StepKind::Back => "fixed-time jobs are not repeated",
            StepKind::Correction => "taken as a correction, all jobs go by the new time",
        };
        let seconds = step.abs().as_seconds_f64();
        write!(f, "the clock stepped {direction} by {seconds:.1} s to {}: {meaning}", self.to.format("%FT%TZ"))
    }
}

impl fmt::Display for Correction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} was planned until {}, ahead of the clock; it goes on from now",
            self.job,
            self.was.format("%FT%TZ")
        )
    }
}
