//! Rows that wait for their start, and what they will be started as.

use std::collections::HashMap;
use std::collections::btree_map::{BTreeMap, Values};
use std::rc::Rc;

use chrono::{DateTime, Utc};

use super::guard::{Waiting, has_begun};
use super::next;
use crate::job::{Job, JobName};
use crate::run::{RunId, RunRecord, SkipReason};

/// The definitions in force, by name.
pub(super) type Jobs<'a> = HashMap<&'a JobName, &'a Job>;

/// A row that is to run.
pub(super) struct Queued {
    pub(super) record: RunRecord,
    /// The definition that its run began with, when it has begun.
    pub(super) began_as: Option<Rc<Job>>,
    /// The digest of what it waits for, as it is stored.
    pub(super) why: Option<u64>,
    /// Since when it has waited for a lock.
    pub(super) locked_since: Option<DateTime<Utc>>,
}

impl Queued {
    /// As the guard sees it.
    pub(super) fn waiting<'a>(&'a self, jobs: &Jobs<'a>) -> Waiting<'a> {
        Waiting { record: &self.record, job: self.definition(jobs), locked_since: self.locked_since, noted: self.why }
    }

    /// The definition that it begins with: a later action that of its run, a main action the one
    /// in force.
    pub(super) fn definition<'a>(&'a self, jobs: &Jobs<'a>) -> Option<&'a Job> {
        let began_as = self.began_as.as_deref().filter(|_| self.record.occurrence.part > 0);
        began_as.or_else(|| jobs.get(&self.record.occurrence.job).copied())
    }

    /// What follows when it is skipped: a run that has begun and is tried no more has failed.
    pub(super) fn given_up(&self, reason: SkipReason, now: DateTime<Utc>) -> Option<RunRecord> {
        let began_as = self.began_as.as_ref().filter(|_| reason == SkipReason::Removed)?;
        next::given_up(&self.record, began_as, now)
    }
}

/// The place of a row: what has begun first, then by the instant at which it fell due.
type Place = (bool, DateTime<Utc>, DateTime<Utc>, u32, RunId);

/// All rows that wait, in their order.
#[derive(Default)]
pub(super) struct Queue {
    rows: BTreeMap<Place, Queued>,
    places: HashMap<RunId, Place>,
}

impl Queue {
    /// Takes a row; one that is there already stays as it is.
    pub(super) fn insert(&mut self, record: RunRecord, began_as: Option<Rc<Job>>) {
        if self.places.contains_key(&record.id) {
            return;
        }
        let occurrence = &record.occurrence;
        let place = (!has_begun(&record), record.due, occurrence.planned_for, occurrence.era, record.id.clone());
        self.places.insert(record.id.clone(), place.clone());
        self.rows.insert(place, Queued { record, began_as, why: None, locked_since: None });
    }

    pub(super) fn get(&self, run: &RunId) -> Option<&Queued> {
        self.rows.get(self.places.get(run)?)
    }

    pub(super) fn get_mut(&mut self, run: &RunId) -> Option<&mut Queued> {
        self.rows.get_mut(self.places.get(run)?)
    }

    pub(super) fn remove(&mut self, run: &RunId) -> Option<Queued> {
        self.rows.remove(&self.places.remove(run)?)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All of them, in their order.
    pub(super) fn iter(&self) -> Values<'_, Place, Queued> {
        self.rows.values()
    }
}
