//! A row that waits for its start, and what it will be started as.

use std::rc::Rc;

use chrono::{DateTime, Utc};

use super::guard::Waiting;
use super::next;
use crate::job::Job;
use crate::run::{RunRecord, SkipReason};

/// A row that is to run.
pub(super) struct Queued {
    pub(super) record: RunRecord,
    /// The definition that its run began with, when it has begun.
    pub(super) began_as: Option<Rc<Job>>,
}

impl Queued {
    /// As the guard sees it.
    pub(super) fn waiting<'a>(&'a self, jobs: &'a [Job]) -> Waiting<'a> {
        Waiting { record: &self.record, job: self.definition(jobs) }
    }

    /// The definition that it begins with: a later action that of its run, a main action the one
    /// in force.
    pub(super) fn definition<'a>(&'a self, jobs: &'a [Job]) -> Option<&'a Job> {
        let began_as = self.began_as.as_deref().filter(|_| self.record.occurrence.part > 0);
        began_as.or_else(|| jobs.iter().find(|job| job.name == self.record.occurrence.job))
    }

    /// What follows when it is skipped: a run that has begun and is tried no more has failed.
    pub(super) fn given_up(&self, reason: SkipReason, now: DateTime<Utc>) -> Option<RunRecord> {
        let began_as = self.began_as.as_ref().filter(|_| reason == SkipReason::Removed)?;
        next::given_up(&self.record, began_as, now)
    }
}
