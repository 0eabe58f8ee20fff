//! What the loop does about the configuration: one look at a time, the last good one in force.

use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use chrono::Utc;

use super::{Asker, Daemon, LoadResult, troubles};
use crate::config::{Installation, LoadError, Loaded, ProbeRequest, Severity};
use crate::engine::docker::Docker;
use crate::runner::probe::ContainerProbe;

/// How soon a configuration that cannot be read is tried again.
const RETRY_CONFIG: Duration = Duration::from_secs(30);

/// How soon a recovery that failed is.
const RETRY_RECOVERY: Duration = Duration::from_secs(5);

impl Daemon {
    /// Reads the configuration aside; the loop goes on. One look at a time: who asks during one is
    /// answered by the next.
    pub(in crate::daemon) fn start_reload(&mut self, asker: Option<Asker>) {
        if self.loading.is_some() {
            self.again.get_or_insert_default().extend(asker);
            return;
        }
        self.loading = Some(asker.into_iter().collect());
        let done = self.loads.clone();
        let (engine, request, installation) = (self.engine.clone(), self.options.request(), self.installation.clone());
        tokio::task::spawn_local(async move {
            // The receiver lives as long as the loop.
            let _ = done.send(load(engine, request, installation).await).await;
        });
    }

    /// Whether a look is under way.
    pub(in crate::daemon) const fn is_looking(&self) -> bool {
        self.loading.is_some()
    }

    /// A configuration was read, or could not be: the last good one stays in force then.
    pub(in crate::daemon) async fn on_loaded(&mut self, loaded: LoadResult) {
        let answer = match loaded {
            Err(error) => {
                tracing::error!("the configuration cannot be read; the last good one stays in force: {error}");
                self.reasons.raise(troubles::CONFIG_UNREADABLE, error.to_string());
                self.retry_config_at = Some(Instant::now() + RETRY_CONFIG);
                Err(error.to_string())
            }
            // Half a configuration is worse than an older whole one.
            Ok(loaded) if !loaded.complete && self.loaded.is_some() => {
                let why = loaded.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                tracing::error!("the configuration was not read to its end; the last good one stays in force: {why}");
                self.reasons.raise(troubles::CONFIG_UNREADABLE, why.clone());
                self.remember_files(&loaded);
                Err(why)
            }
            Ok(loaded) => {
                self.reasons.clear(troubles::CONFIG_UNREADABLE);
                self.retry_config_at = None;
                self.take_in_force(loaded).await
            }
        };
        for asker in self.loading.take().into_iter().flatten() {
            // Whoever asked may have gone.
            let _ = asker.send(answer.clone());
        }
        if let Some(askers) = self.again.take() {
            self.start_reload(None);
            self.loading.get_or_insert_default().extend(askers);
        }
        self.pump().await;
    }

    async fn take_in_force(&mut self, loaded: Loaded) -> Result<String, String> {
        for problem in &loaded.problems {
            let known = self.loaded.as_ref().is_some_and(|l| l.problems.contains(problem));
            match problem.severity {
                _ if known => {}
                Severity::Error => tracing::error!("{problem}"),
                Severity::Warning => tracing::warn!("{problem}"),
            }
        }
        let errors = loaded.problems.iter().filter(|p| p.severity == Severity::Error).count();
        if errors > 0 {
            self.reasons.raise(troubles::CONFIG_REFUSED, format!("{errors} parts of the configuration were refused"));
        } else {
            self.reasons.clear(troubles::CONFIG_REFUSED);
        }
        self.remember_files(&loaded);
        (self.options.on_settings)(&loaded.settings);
        let sentence = format!("{} jobs, {errors} refused", loaded.jobs.len());
        let room = self.room(&loaded);
        match (&mut self.runner, &mut self.planner) {
            (Some(runner), Some(planner)) => {
                planner.reload(&loaded.jobs, Utc::now());
                runner.configure(room);
            }
            _ => {
                if let Err(error) = self.recover(&loaded).await {
                    tracing::error!("recovery failed and is tried again: {error:#}");
                    if let Some(runner) = self.runner.take() {
                        runner.stop().await;
                    }
                    self.planner = None;
                    self.retry_config_at = Some(Instant::now() + RETRY_RECOVERY);
                    return Err(format!("{error:#}"));
                }
            }
        }
        tracing::info!(jobs = loaded.jobs.len(), refused = errors, stack = %loaded.settings.project, "configuration in force");
        self.loaded = Some(loaded);
        Ok(sentence)
    }

    /// Notes the state of those files that can be seen from here.
    fn remember_files(&mut self, loaded: &Loaded) {
        self.files = loaded.files.iter().map(|path| (path.clone(), modified(path))).collect();
    }

    pub(super) fn files_changed(&self) -> bool {
        self.files.iter().any(|(path, before)| modified(path) != *before)
    }
}

pub(super) async fn load(
    engine: Rc<Docker>,
    request: ProbeRequest,
    installation: Installation,
) -> Result<Loaded, LoadError> {
    let probe = ContainerProbe::new(&*engine, &installation, "config");
    crate::config::load(&probe, &request, &installation).await
}

fn modified(path: &std::path::Path) -> Option<SystemTime> {
    path.metadata().and_then(|m| m.modified()).ok()
}
