//! Where the life of a run is made durable.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{RunId, RunRecord};

/// The durable side of a run's life. The store implements it for the scheduler, a deploy's
/// journal for the steps of a deploy. Each call returns when the fact is durable.
pub trait Ledger {
    /// The container exists; its start is about to be asked for.
    fn starting(&self, run: &RunId, started: &Started) -> impl Future<Output = anyhow::Result<()>>;
    /// The container was started at `at`.
    fn running(
        &self,
        run: &RunId,
        at: DateTime<Utc>,
        deadline: Option<DateTime<Utc>>,
    ) -> impl Future<Output = anyhow::Result<()>>;
    /// The container is about to be told to stop.
    fn stopping(
        &self,
        run: &RunId,
        why: StopReason,
        kill_at: DateTime<Utc>,
    ) -> impl Future<Output = anyhow::Result<()>>;
    /// The run has ended: `record` holds the outcome. The one fsynced commit of a run.
    fn finished(&self, record: &RunRecord) -> impl Future<Output = anyhow::Result<()>>;
}

/// What is known when a container is about to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Id of the container.
    pub container: String,
    /// Its name.
    pub name: String,
    /// Id of its image.
    pub image: Option<String>,
}

/// Why a run is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// Its time is over.
    Timeout,
    /// Somebody asked for it.
    Cancel,
    /// It wrote more than allowed.
    OutputLimit,
}
