//! The bodies that pass over the control socket.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::job::JobName;
use crate::run::{Health, Outcome, Reason, RunId};

/// Body of `POST /run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRequest {
    /// The job.
    pub job: JobName,
    /// Environment for this run only.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// Answer to `POST /run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartReply {
    /// The run's id.
    pub id: RunId,
}

/// Body of `POST /stop`; the answer is a [`Stopping`](crate::run::Stopping).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// A run's id or a job's name.
    pub what: String,
}

/// Answer to `GET /runs/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReply {
    /// `planned`, `starting`, `running`, `stopping` or `finished`.
    pub state: String,
    /// What it waits for.
    pub waiting: Option<String>,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
    /// The exit code, once there is one.
    pub exit_code: Option<i64>,
}

/// Answer to `GET /healthz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReply {
    /// How the scheduler is.
    pub health: Health,
    /// Why it is not well.
    pub reasons: Vec<Reason>,
}

/// Body of every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Why not.
    pub error: String,
}
