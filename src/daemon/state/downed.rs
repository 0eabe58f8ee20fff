//! Services that went down with the engine: named until they run again, started if that is wanted.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use tokio::task::JoinHandle;

use super::Daemon;
use crate::daemon::health::troubles;
use crate::engine::{Host, Runs};
use crate::runner::downed::Downed;

/// Time between two looks, while there is anything to look at.
const EVERY: Duration = Duration::from_secs(10);

/// The looks, beside the loop: a start may take its time. An engine that restarts takes the
/// scheduler's container along, so that the first look is that of its start.
pub(super) struct Watched<E> {
    downed: Option<Rc<Downed<E>>>,
    looked: Option<Instant>,
    task: Option<JoinHandle<Result<Option<String>>>>,
    /// What was said last.
    said: String,
    over: bool,
}

impl<E> Watched<E> {
    pub(super) const fn new() -> Self {
        Self { downed: None, looked: None, task: None, said: String::new(), over: false }
    }
}

impl<E: Runs + Host + 'static> Daemon<E> {
    /// Once a second.
    pub(super) async fn look_for_downed_services(&mut self) {
        if let Some(task) = self.downed.task.take_if(|task| task.is_finished()) {
            match task.await.map_err(|error| anyhow!(error)) {
                Ok(Ok(None)) => {
                    self.reasons.clear(troubles::SERVICES_DOWN);
                    self.downed.over = true;
                    self.downed.downed = None;
                }
                Ok(Ok(Some(what))) => {
                    if self.downed.said != what {
                        tracing::warn!("{what}");
                        self.downed.said.clone_from(&what);
                    }
                    self.reasons.raise(troubles::SERVICES_DOWN, what);
                }
                Ok(Err(error)) | Err(error) => {
                    tracing::warn!("whether services are down since the engine's start cannot be seen: {error:#}");
                }
            }
        }
        let watched = &self.downed;
        if watched.over || watched.task.is_some() || watched.looked.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        // A deploy stops and starts services itself.
        let (Some(runner), Some(loaded), false) = (&self.runner, self.loaded(), self.deploy_under_way()) else {
            return;
        };
        let revive = loaded.settings.revive;
        let downed = self.downed.downed.clone().unwrap_or_else(|| Rc::new(runner.downed()));
        self.downed.downed = Some(Rc::clone(&downed));
        self.downed.looked = Some(Instant::now());
        self.downed.task = Some(tokio::task::spawn_local(async move { downed.round(revive).await }));
    }
}
