//! What the loop does about the configuration: one look at a time, the last good one in force.

use std::rc::Rc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::{Daemon, armed, troubles};
use crate::config::{Collected, Installation, Loaded, Probe, ProbeRequest, Severity};
use crate::daemon::configuration::{
    Asker, Found, InForce, Look, Verdict, changes, hold_state_dir, judge, keep, kept, look,
};
use crate::daemon::health::Trouble;
use crate::engine::{Host, Runs};
use crate::run::Reloaded;
use crate::runner::probe::ContainerProbe;

/// How soon a configuration that cannot be read is tried again.
const RETRY_CONFIG: Duration = Duration::from_secs(30);

/// How soon a recovery that failed is.
const RETRY_RECOVERY: Duration = Duration::from_secs(5);

/// What a look leads to.
type Answer = Result<Reloaded, String>;

impl<E: Runs + Host + 'static> Daemon<E> {
    /// Reads the configuration aside; the loop goes on.
    pub(in crate::daemon) fn start_look(&mut self, asker: Option<Asker>) {
        if self.looks.ask(asker) {
            self.spawn_look();
        }
    }

    fn spawn_look(&self) {
        let (found, work) = (self.found.clone(), self.look());
        tokio::task::spawn_local(async move {
            // The receiver lives as long as the loop.
            let _ = found.send(work.await).await;
        });
    }

    pub(super) fn look(&self) -> impl Future<Output = Look> + 'static {
        let probe = Inside { engine: self.engine.clone(), installation: self.installation.clone() };
        let (view, known) = (self.watch.view().clone(), self.watch.paths());
        look(probe, self.options.request(), self.installation.clone(), view, known)
    }

    /// Whether a look is under way.
    pub(in crate::daemon) const fn is_looking(&self) -> bool {
        self.looks.is_under_way()
    }

    /// Once a second: looks when it is time to try again, when a file has changed, or when it is
    /// time for what no file here can tell. Not in the middle of a deploy, which ends with a look.
    pub(super) async fn look_if_worth_it(&mut self) {
        let changed = self.watch.tick().await;
        let poll = self.loaded().and_then(|loaded| loaded.settings.config_poll);
        let poll = self.hidden && poll.is_some_and(|every| self.looked_at.elapsed() >= every);
        let retry = self.retry_config_at.is_some_and(|at| Instant::now() >= at);
        if (changed || poll || retry) && !self.is_looking() && !self.deploy_under_way() {
            self.start_look(None);
        }
    }

    /// A look has ended: what it found is in force as a whole, or what was in force stays.
    pub(in crate::daemon) async fn on_look(&mut self, look: Look) {
        self.looked_at = Instant::now();
        self.retry_config_at = None;
        self.watch.follow(look.stamps);
        let answer = match look.result {
            Ok(found) => self.on_found(found).await,
            Err(error) => self.stay(troubles::CONFIG_UNREADABLE, error.to_string(), None).await,
        };
        if self.looks.ended(&answer) {
            self.spawn_look();
        }
        self.pump().await;
    }

    async fn on_found(&mut self, found: Found) -> Answer {
        self.hidden = found.hidden;
        // At the start, what was last in force is asked for only where it matters.
        let doubtful = !found.loaded.complete || found.loaded.conf_dirs.iter().any(|dir| dir.is_missing());
        let before = if self.in_force.is_none() && doubtful { self.kept() } else { None };
        let known = self.in_force.as_ref().or(before.as_ref());
        match judge(&found.loaded, &found.print, known, self.in_force.is_some()) {
            Verdict::Stay(trouble, why) => self.stay(trouble, why, before).await,
            Verdict::Same => {
                self.is_in_force(found.loaded.complete);
                tracing::debug!("the configuration was read again and is the same");
                Ok(changes(Some(&found.loaded), &found.loaded))
            }
            Verdict::Take => {
                let Found { collected, print, loaded, .. } = found;
                let (complete, since) = (loaded.complete, Utc::now());
                let reloaded = self.take_in_force(InForce { loaded, print, since }).await?;
                self.is_in_force(complete);
                if complete {
                    self.keep(collected, since).await;
                }
                Ok(reloaded)
            }
        }
    }

    async fn keep(&self, collected: Collected, since: DateTime<Utc>) {
        let state_dir = self.options.state_dir.clone();
        let kept = tokio::task::spawn_blocking(move || keep(&state_dir, since, &collected)).await;
        if let Err(error) = kept.map_err(Into::into).flatten() {
            tracing::warn!("the configuration in force could not be kept for the next start: {error:#}");
        }
    }

    /// What the files say is in force, as a whole or as far as it could be read.
    fn is_in_force(&mut self, complete: bool) {
        if !complete {
            let why = "it was not read to its end, and no whole one is known: what was read is in force";
            return self.unreadable(troubles::CONFIG_UNREADABLE, why.to_owned());
        }
        if self.failed.take().is_some() {
            tracing::info!("the configuration can be read again");
        }
        self.reasons.clear(troubles::CONFIG_UNREADABLE);
        self.reasons.clear(troubles::RESTART_NEEDED);
    }

    /// What is in force stays; at the start, what was last in force comes in force again.
    async fn stay(&mut self, trouble: Trouble, why: String, before: Option<InForce>) -> Answer {
        if self.in_force.is_none()
            && let Some(before) = before.or_else(|| self.kept())
        {
            // A recovery that fails is tried again with the next look.
            self.take_in_force(before).await?;
        }
        let in_force = match &self.in_force {
            Some(in_force) => format!("in force is the one of {}", in_force.since.format("%F %TZ")),
            None => "there is none of before".to_owned(),
        };
        self.unreadable(trouble, format!("{why}; {in_force}"));
        Err(format!("the configuration stays as it was: {why}; {in_force}"))
    }

    /// Notes that the configuration on disk is not in force, and tries again soon.
    fn unreadable(&mut self, trouble: Trouble, what: String) {
        self.retry_config_at = Some(Instant::now() + RETRY_CONFIG);
        if self.failed.as_ref() != Some(&what) {
            tracing::error!(code = trouble.code, "the configuration on disk is not in force as it is: {what}");
        }
        for other in [troubles::CONFIG_UNREADABLE, troubles::RESTART_NEEDED] {
            if other.code != trouble.code {
                self.reasons.clear(other);
            }
        }
        self.failed = Some(what.clone());
        self.reasons.raise(trouble, what);
    }

    /// The configuration that was in force last, by the state dir. One that is of no use is named.
    pub(super) fn kept(&self) -> Option<InForce> {
        kept(&self.options.state_dir, &self.options.request(), &self.installation).unwrap_or_else(|error| {
            tracing::warn!("the last good configuration in the state dir is not used: {error:#}");
            None
        })
    }

    /// Puts a configuration in force. Nothing that can fail comes after the first step but what
    /// concerns the store, which says so by itself.
    async fn take_in_force(&mut self, mut new: InForce) -> Answer {
        hold_state_dir(&mut new.loaded, &self.options.state_dir);
        let loaded = &new.loaded;
        let room = self.room(loaded);
        match (&mut self.runner, &mut self.planner) {
            (Some(runner), Some(planner)) => {
                planner.reload(&loaded.jobs, Utc::now());
                runner.configure(room);
            }
            _ => self.begin_with(loaded).await?,
        }
        (self.options.on_settings)(&loaded.settings);
        self.engine.set_logins(loaded.logins.clone());
        let reloaded = changes(self.loaded(), loaded);
        for problem in &loaded.problems {
            let known = self.loaded().is_some_and(|l| l.problems.contains(problem));
            match problem.severity {
                _ if known => {}
                Severity::Error => tracing::error!("{problem}"),
                Severity::Warning => tracing::warn!("{problem}"),
            }
        }
        match reloaded.refused.len() {
            0 => self.reasons.clear(troubles::CONFIG_REFUSED),
            n => self.reasons.raise(troubles::CONFIG_REFUSED, format!("{n} parts of the configuration were refused")),
        }
        if self.in_force.is_none() || reloaded.is_change() {
            tracing::info!(stack = %loaded.settings.project, "configuration in force: {reloaded}");
        } else {
            tracing::debug!("the configuration was read again, and nothing of it concerns the scheduler");
        }
        let complete = loaded.complete;
        self.in_force = Some(new);
        if complete {
            // Watermarks first: a job that comes back would else be noted with the old one, and a
            // start after a crash would catch up the time that it was gone.
            self.plan_due().await;
            self.note_armed().await;
        }
        Ok(reloaded)
    }

    async fn begin_with(&mut self, loaded: &Loaded) -> Result<(), String> {
        let Err(error) = self.recover(loaded).await else {
            self.reasons.clear(troubles::RUN_IN_TROUBLE);
            return Ok(());
        };
        let what = format!("recovery failed and is tried again: {error:#}");
        tracing::error!("{what}");
        if let Some(runner) = self.runner.take() {
            runner.stop().await;
        }
        self.planner = None;
        self.retry_config_at = Some(Instant::now() + RETRY_RECOVERY);
        self.reasons.raise(troubles::RUN_IN_TROUBLE, what.clone());
        Err(what)
    }

    /// Notes which jobs are armed: whoever is not among them at the next start has missed nothing.
    async fn note_armed(&mut self) {
        let Some(planner) = &self.planner else { return };
        if let Err(error) = self.store.meta_set(armed::KEY, &armed::text(planner)).await {
            self.store_failed(&error);
        }
    }
}

/// The probe of the scheduler: a container on its engine.
struct Inside<E> {
    engine: Rc<E>,
    installation: Installation,
}

impl<E: Host> Probe for Inside<E> {
    async fn collect(&self, request: &ProbeRequest) -> anyhow::Result<Collected> {
        ContainerProbe::new(&*self.engine, &self.installation, "config").collect(request).await
    }
}

#[cfg(test)]
mod tests;
