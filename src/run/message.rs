//! What passes between the daemon's loop and those who ask it for something.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{Reloaded, RunId, RunRecord, State};
use crate::job::JobName;

/// A request to the daemon's loop, its only reader.
#[derive(Debug)]
pub enum Command {
    /// Run a job now.
    Run {
        /// The job.
        job: JobName,
        /// Environment for this run only.
        env: BTreeMap<String, String>,
        /// The run's id, or why not.
        reply: oneshot::Sender<Result<RunId, String>>,
    },
    /// End a run.
    Stop {
        /// Its id, or the job's name where it has only one.
        what: String,
        /// What becomes of it, or why nothing does.
        reply: oneshot::Sender<Result<Stopping, NotStopped>>,
    },
    /// Read the configuration again.
    Reload {
        /// What changed, or why the old configuration stays in force.
        reply: oneshot::Sender<Result<Reloaded, String>>,
    },
}

/// A run whose end was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopping {
    /// Its id: that of the attempt or the later action that the run has come to.
    pub id: RunId,
    /// The job.
    pub job: JobName,
    /// It waited, and is over. Any other is told to stop.
    pub waited: bool,
    /// It is never killed, however long it takes.
    pub gentle: bool,
}

/// Why no run was stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotStopped {
    /// There is neither a run nor a job of that name.
    Unknown(String),
    /// There is, and it cannot be.
    Refused(String),
}

/// How the scheduler is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// All is well.
    #[default]
    Ok,
    /// It works, and something needs a person.
    Degraded,
    /// It cannot do its work.
    Failing,
}

/// Why the scheduler is not well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable code, such as `config-refused`.
    pub code: String,
    /// What, in a sentence.
    pub what: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// What Tender does next.
    pub next: String,
    /// The one command for a person.
    pub command: String,
}

/// A run that is under way or waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStatus {
    /// Its id.
    pub id: RunId,
    /// The job.
    pub job: JobName,
    /// The planned instant.
    pub planned_for: DateTime<Utc>,
    /// When it started.
    pub started_at: Option<DateTime<Utc>>,
    /// `planned`, `starting`, `running` or `stopping`.
    pub state: String,
    /// What it waits for.
    pub waiting: Option<String>,
}

impl From<&RunRecord> for RunStatus {
    fn from(record: &RunRecord) -> Self {
        Self {
            id: record.id.clone(),
            job: record.occurrence.job.clone(),
            planned_for: record.occurrence.planned_for,
            started_at: record.started_at,
            state: record.state.word().to_owned(),
            waiting: match &record.state {
                State::Planned { waiting } => waiting.clone(),
                _ => None,
            },
        }
    }
}

/// A job as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatus {
    /// Its name.
    pub name: JobName,
    /// Its schedule, as written.
    pub schedule: String,
    /// The zone in which it is read.
    pub timezone: chrono_tz::Tz,
    /// Whether it is armed.
    pub enabled: bool,
    /// The next occurrence, with the offset of the job's zone.
    pub next: Option<String>,
    /// The last outcome, in words.
    pub last_outcome: Option<String>,
    /// When the last run ended.
    pub last_finished_at: Option<DateTime<Utc>>,
}

/// The daemon at one moment, for everyone who only looks.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// How it is.
    pub health: Health,
    /// Why it is not well.
    pub reasons: Vec<Reason>,
    /// Which generation of the scheduler this is.
    pub generation: u64,
    /// Compose project of the stack.
    pub stack: String,
    /// When the configuration in force was first read; an older one stays in force when the present
    /// one cannot be read.
    #[serde(default)]
    pub configured_at: Option<DateTime<Utc>>,
    /// Runs under way.
    pub running: Vec<RunStatus>,
    /// Runs that wait.
    pub waiting: Vec<RunStatus>,
    /// What was refused of the configuration, one sentence each.
    pub refused: Vec<String>,
    /// All jobs, in the order of their definition.
    pub jobs: Vec<JobStatus>,
}
