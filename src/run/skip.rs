//! Occurrences that were skipped, many to a row.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::SkipReason;
use crate::job::JobName;

/// Consecutive occurrences of a job that were skipped for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkipRow {
    /// The job.
    pub job: JobName,
    /// The first planned instant.
    pub from: DateTime<Utc>,
    /// The last planned instant.
    pub to: DateTime<Utc>,
    /// How many there were.
    pub count: u32,
    /// Why.
    pub reason: SkipReason,
}

impl SkipRow {
    /// One skipped occurrence.
    pub const fn one(job: JobName, planned_for: DateTime<Utc>, reason: SkipReason) -> Self {
        Self { job, from: planned_for, to: planned_for, count: 1, reason }
    }
}
