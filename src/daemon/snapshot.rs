//! The picture that pages, metrics and the command line are shown.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, Utc};

use super::configuration::InForce;
use crate::config::Severity;
use crate::job::{Job, JobName};
use crate::run::{JobStatus, RunStatus, Snapshot};
use crate::store::LastOutcome;

use super::health::Reasons;

/// What is shown of the configuration in force, kept from picture to picture.
#[derive(Debug, Default)]
pub struct Board {
    configured_at: Option<DateTime<Utc>>,
    stack: String,
    refused: Vec<String>,
    jobs: Vec<JobStatus>,
    /// When each of the jobs is due next.
    next: Vec<Option<DateTime<Utc>>>,
    places: HashMap<JobName, usize>,
}

impl Board {
    /// A board for a configuration.
    pub fn new(in_force: &InForce, last: &HashMap<JobName, LastOutcome>) -> Self {
        let loaded = &in_force.loaded;
        let refused = loaded.problems.iter().filter(|p| p.severity == Severity::Error).map(ToString::to_string);
        Self {
            configured_at: Some(in_force.since),
            stack: loaded.settings.project.clone(),
            refused: refused.collect(),
            jobs: loaded.jobs.iter().map(|j| job(j, last.get(&j.name))).collect(),
            // Not known yet: looked up with the first picture.
            next: loaded.jobs.iter().map(|j| j.enabled.then_some(DateTime::<Utc>::MIN_UTC)).collect(),
            places: loaded.jobs.iter().zip(0..).map(|(job, at)| (job.name.clone(), at)).collect(),
        }
    }

    /// Whether it is of this configuration.
    pub fn is_of(&self, in_force: &InForce) -> bool {
        self.configured_at == Some(in_force.since)
    }

    /// Notes how a job has ended.
    pub fn ended(&mut self, job: &JobName, last: &LastOutcome) {
        if let Some(status) = self.places.get(job).and_then(|at| self.jobs.get_mut(*at)) {
            status.last_outcome = Some(last.outcome.to_string());
            status.last_finished_at = last.finished_at;
        }
    }

    /// Draws the picture. Looks up only those instants that have passed.
    pub fn draw(
        &mut self,
        jobs: &[Job],
        (running, waiting): (Vec<RunStatus>, Vec<RunStatus>),
        reasons: &Reasons,
        generation: u64,
        now: DateTime<Utc>,
    ) -> Snapshot {
        for ((job, status), next) in jobs.iter().zip(&mut self.jobs).zip(&mut self.next) {
            if next.is_some_and(|at| at <= now) {
                *next = job.schedule.next_after(now);
                let zone = job.schedule.zone();
                status.next = next.map(|at| at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, false));
            }
        }
        Snapshot {
            health: reasons.health(),
            reasons: reasons.list(),
            generation,
            stack: self.stack.clone(),
            configured_at: self.configured_at,
            running,
            waiting,
            refused: self.refused.clone(),
            jobs: self.jobs.clone(),
        }
    }
}

fn job(job: &Job, last: Option<&LastOutcome>) -> JobStatus {
    JobStatus {
        name: job.name.clone(),
        schedule: job.schedule.text().to_owned(),
        timezone: job.schedule.zone(),
        enabled: job.enabled,
        next: None,
        last_outcome: last.map(|last| last.outcome.to_string()),
        last_finished_at: last.and_then(|last| last.finished_at),
    }
}
