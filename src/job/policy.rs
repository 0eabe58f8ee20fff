//! The rules under which a job's runs happen.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The rules of a job's runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// What happens when the job is due while it runs.
    pub overlap: Overlap,
    /// Names of locks; jobs that share one never run together. In order, without doubles.
    pub locks: Vec<String>,
    /// Limit of a run; `None` for the legacy form, which has no limit.
    pub timeout: Option<Duration>,
    /// Time between the stop signal and the kill.
    pub grace: Duration,
    /// Further attempts after a failure.
    pub retries: Retries,
    /// What happens to occurrences that fell due while nobody looked.
    pub missed: Missed,
    /// How late an occurrence may still start.
    pub deadline: Duration,
    /// Upper bound of the delay that spreads a fleet.
    pub jitter: Duration,
    /// What happens after the engine took the run away.
    pub on_interrupt: OnInterrupt,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            overlap: Overlap::Skip,
            locks: Vec::new(),
            timeout: Some(Duration::from_secs(3600)),
            grace: Duration::from_secs(10),
            retries: Retries::default(),
            missed: Missed::Once,
            deadline: Duration::from_secs(24 * 3600),
            jitter: Duration::ZERO,
            on_interrupt: OnInterrupt::Fail,
        }
    }
}

/// What happens when a job is due while it still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// The occurrence is recorded as skipped.
    #[default]
    Skip,
    /// One occurrence waits.
    Queue,
    /// Both run.
    Allow,
}

/// What happens to missed occurrences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missed {
    /// None is caught up.
    Skip,
    /// The newest one is.
    Once,
    /// The newest n are.
    All(u32),
}

/// Further attempts after a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retries {
    /// How many attempts beyond the first.
    pub max: u32,
    /// Pause before the first of them.
    pub backoff: Duration,
    /// What the pause is multiplied by each time.
    pub factor: f64,
    /// Longest pause.
    pub max_backoff: Duration,
    /// Exit codes that are worth it; empty for all.
    pub on: Vec<i64>,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            max: 0,
            backoff: Duration::from_secs(10),
            factor: 2.0,
            max_backoff: Duration::from_secs(600),
            on: Vec::new(),
        }
    }
}

/// What happens after a run was interrupted by the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnInterrupt {
    /// It counts as failed.
    #[default]
    Fail,
    /// It is repeated once.
    Retry,
}
