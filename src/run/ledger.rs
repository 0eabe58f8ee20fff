//! Where the life of a run is made durable.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{RunId, RunRecord};

/// The durable side of a run's life. The store implements it for the scheduler, a deploy's
/// journal for the steps of a deploy. Each call returns when the fact is durable.
pub trait Ledger {
    /// The container exists; its start is about to be asked for.
    fn starting(&self, run: &RunId, started: &Started) -> impl Future<Output = anyhow::Result<()>>;
    /// The start was refused because the container is gone: it never ran, and may be created again.
    fn not_started(&self, run: &RunId) -> impl Future<Output = anyhow::Result<()>>;
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
    /// A service's container is about to be stopped for the run. It reaches the disk: whatever
    /// happens then, the container is started again.
    fn stopped(&self, note: &Stopped) -> impl Future<Output = anyhow::Result<()>> {
        let service = note.service.clone();
        async move { anyhow::bail!("nothing here would start {service} again") }
    }
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

/// A service's container that was stopped for a run, and is to be started again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// The run.
    pub run: RunId,
    /// Compose project of the service.
    pub project: String,
    /// The service.
    pub service: String,
    /// Id of the container.
    pub container: String,
    /// Which of the service's containers it is, from 1: whatever replaces it has the same number.
    pub number: Option<u32>,
    /// When it had been started before it was stopped. One that runs since then may still be about
    /// to stop.
    pub started_at: Option<DateTime<Utc>>,
    /// The time that it has between the stop signal and the kill, in milliseconds.
    pub grace_ms: u64,
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
