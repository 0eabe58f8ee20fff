//! What must be looked after while nothing happens: the history, the logs, the disk.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::JoinHandle;

use super::Daemon;
use crate::daemon::health::troubles;
use crate::engine::{Host, Runs};

/// Time between two looks at what the history may forget.
const MINUTE: Duration = Duration::from_secs(60);

/// The round that drops old history, beside the loop: the first one after a setting was lowered may
/// have much to do.
#[derive(Debug, Default)]
pub(super) struct Pruning {
    begun: Option<Instant>,
    task: Option<JoinHandle<Result<usize>>>,
}

impl<E: Runs + Host + 'static> Daemon<E> {
    /// Once a second.
    pub(super) async fn upkeep(&mut self) {
        match self.store.look_at_disk() {
            Some(what) => self.reasons.raise(troubles::DISK_FULL, what),
            None => self.reasons.clear(troubles::DISK_FULL),
        }
        self.look_at_logs();
        if self.reasons.stands(troubles::STORE_UNWRITABLE)
            && self.unwritten.is_empty()
            && self.store.meta_set("written", &Utc::now().to_rfc3339()).await.is_ok()
        {
            self.reasons.clear(troubles::STORE_UNWRITABLE);
        }
        self.prune().await;
    }

    /// Makes up for logs that could not be written, and says which cannot.
    fn look_at_logs(&mut self) {
        let Some(runner) = &self.runner else { return };
        runner.output().retry();
        match runner.output().trouble().values().next() {
            Some(why) => self.reasons.raise(troubles::LOG_UNWRITABLE, why.clone()),
            None => self.reasons.clear(troubles::LOG_UNWRITABLE),
        }
    }

    async fn prune(&mut self) {
        if let Some(task) = self.pruning.task.take_if(|task| task.is_finished()) {
            match task.await.map_err(|error| anyhow!(error)) {
                Ok(Ok(0)) => {}
                Ok(Ok(gone)) => tracing::debug!(runs = gone, "the history forgot old runs"),
                Ok(Err(error)) | Err(error) => self.store_failed(&error),
            }
        }
        let Some(loaded) = &self.in_force else { return };
        if self.pruning.task.is_some() || self.pruning.begun.is_some_and(|at| at.elapsed() < MINUTE) {
            return;
        }
        if let Some(runner) = &mut self.runner {
            runner.tidy();
        }
        let (keep, age) = (loaded.loaded.settings.keep_runs, loaded.loaded.settings.keep_for);
        let since = TimeDelta::from_std(age).ok().and_then(|age| Utc::now().checked_sub_signed(age));
        let (store, since) = (self.store.clone(), since.unwrap_or(DateTime::<Utc>::MIN_UTC));
        self.pruning.begun = Some(Instant::now());
        self.pruning.task = Some(tokio::task::spawn_local(async move { store.prune(keep, since).await }));
    }

    /// Why the process must end and recover at its next start, if so.
    pub(in crate::daemon) fn must_end(&self) -> Option<String> {
        let what = self.store.damage()?;
        Some(format!("the store is damaged and is set aside at the next start: {what}"))
    }
}
