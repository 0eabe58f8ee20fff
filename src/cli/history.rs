//! What the store and the scheduler know about the past.

use std::collections::BTreeMap;

use anyhow::Context as _;
use chrono_tz::Tz;

use super::context::Context;
use super::failure::Failure;
use super::load;
use crate::job::JobName;
use crate::run::{RunId, RunRecord};
use crate::store::{FILE, Filter, Listed, Reader, Store};

/// Runs and skips, newest first.
///
/// # Errors
/// When there is no state, or the store cannot be read.
pub(super) fn runs(context: &Context, job: Option<&str>, limit: usize) -> anyhow::Result<Vec<Listed>> {
    let Some(store) = open(context)? else { return Ok(Vec::new()) };
    let job = job.map(JobName::new).transpose().map_err(|why| Failure::usage(why.to_string()))?;
    store.runs(&Filter { job, limit: Some(limit) }).context("failed to read the store")
}

/// The row of a run.
///
/// # Errors
/// When there is no state, or the store cannot be read.
pub(super) fn run(context: &Context, id: &RunId) -> anyhow::Result<Option<RunRecord>> {
    let Some(store) = open(context)? else { return Ok(None) };
    store.get(id).context("failed to read the store")
}

/// The store to read from; `None` where the scheduler has not made one yet.
fn open(context: &Context) -> anyhow::Result<Option<Reader>> {
    let dir = context.state_dir();
    if !dir.is_dir() {
        return Err(Failure::config(format!(
            "there is no state at {}; run this in the scheduler's container (docker compose exec scheduler tender …) or give --state-dir DIR",
            dir.display()
        )));
    }
    if !dir.join(FILE).exists() {
        return Ok(None);
    }
    Store::open_read_only(&dir).map(Some).with_context(|| format!("failed to open the store in {}", dir.display()))
}

/// The zone of each job.
#[derive(Debug, Default)]
pub(super) struct Zones {
    jobs: BTreeMap<String, Tz>,
    default: Tz,
}

impl Zones {
    /// The zone of a job; of one that is no longer defined: the stack's.
    pub(super) fn of(&self, job: &str) -> Tz {
        self.jobs.get(job).copied().unwrap_or(self.default)
    }
}

/// The zones as the scheduler knows them, else as the configuration says where that is cheap to
/// read, else UTC.
pub(super) async fn zones(context: &Context) -> Zones {
    if let Ok(client) = context.scheduler()
        && let Ok(snapshot) = client.status().await
    {
        let jobs = snapshot.jobs.into_iter().map(|job| (job.name.into(), job.timezone)).collect();
        return Zones { jobs, ..Zones::default() };
    }
    let Some(loaded) = load::cheaply(context).await else { return Zones::default() };
    let jobs = loaded.jobs.iter().map(|job| (job.name.to_string(), job.schedule.zone())).collect();
    Zones { jobs, default: loaded.settings.timezone }
}
