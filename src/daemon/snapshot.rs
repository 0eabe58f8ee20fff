//! The picture that pages, metrics and the command line are shown.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, Utc};

use super::configuration::InForce;
use crate::config::Severity;
use crate::job::{Job, JobName};
use crate::run::{JobStatus, RunRecord, RunStatus, Snapshot, State};

use super::health::Reasons;

/// Draws the picture.
pub fn draw(
    in_force: Option<&InForce>,
    unfinished: &[RunRecord],
    last: &HashMap<JobName, RunRecord>,
    reasons: &Reasons,
    generation: u64,
    now: DateTime<Utc>,
) -> Snapshot {
    let (waiting, running): (Vec<&RunRecord>, Vec<&RunRecord>) =
        unfinished.iter().partition(|r| matches!(r.state, State::Planned { .. }));
    let loaded = in_force.map(|in_force| &in_force.loaded);
    let jobs = loaded.map(|l| l.jobs.as_slice()).unwrap_or_default();
    Snapshot {
        health: reasons.health(),
        reasons: reasons.list(),
        generation,
        stack: loaded.map(|l| l.settings.project.clone()).unwrap_or_default(),
        configured_at: in_force.map(|in_force| in_force.since),
        running: running.into_iter().map(RunStatus::from).collect(),
        waiting: waiting.into_iter().map(RunStatus::from).collect(),
        refused: loaded
            .map(|l| l.problems.iter().filter(|p| p.severity == Severity::Error).map(ToString::to_string).collect())
            .unwrap_or_default(),
        jobs: jobs.iter().map(|j| job(j, last.get(&j.name), now)).collect(),
    }
}

fn job(job: &Job, last: Option<&RunRecord>, now: DateTime<Utc>) -> JobStatus {
    let next = job.enabled.then(|| job.schedule.next_after(now)).flatten();
    JobStatus {
        name: job.name.clone(),
        schedule: job.schedule.text().to_owned(),
        timezone: job.schedule.zone(),
        enabled: job.enabled,
        next: next.map(|at| at.with_timezone(&job.schedule.zone()).to_rfc3339_opts(SecondsFormat::Secs, false)),
        last_outcome: last.and_then(|r| r.outcome()).map(ToString::to_string),
        last_finished_at: last.and_then(|r| r.finished_at),
    }
}
