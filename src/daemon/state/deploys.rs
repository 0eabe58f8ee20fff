//! What the loop does about deploys: their results, and those that were cut off.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Daemon, troubles};
use crate::engine::{Host, Life, Runs};
use crate::job::{Action, Builtin, JobName};
use crate::journal::deploy::{Ledgers, Step};
use crate::run::{Outcome, RunRecord, Trigger, labels};

/// Pauses before a deploy that was cut off is taken up again, by attempt; in seconds.
const RESUME_AFTER: [u64; 4] = [0, 10, 60, 300];

impl<E: Runs + Host + 'static> Daemon<E> {
    /// A deploy's container has ended: what it says, what it left behind, and whether to go on.
    pub(super) async fn after_deploy(&mut self, record: &RunRecord) {
        let word = record.result.as_ref().and_then(|r| r.get("outcome")).and_then(|o| o.as_str()).unwrap_or_default();
        let why = record
            .result
            .as_ref()
            .and_then(|r| r.get("reasons"))
            .and_then(|r| r.as_array())
            .map(|all| all.iter().filter_map(|w| w.as_str()).collect::<Vec<_>>().join("; "))
            .unwrap_or_default();
        match word {
            "blocked" | "unreachable" => self.reasons.raise(troubles::DEPLOY_BLOCKED, why),
            "rolled-back" | "failed" => {
                self.reasons.clear(troubles::DEPLOY_BLOCKED);
                self.reasons.raise(troubles::DEPLOY_FAILED, why);
            }
            "committed" | "update-only" | "nothing-new" => {
                self.reasons.clear(troubles::DEPLOY_BLOCKED);
                self.reasons.clear(troubles::DEPLOY_FAILED);
            }
            "" => self.died_without_a_word(record).await,
            _ => {}
        }
        self.look_at_deploys().await;
        // Whatever became of it, checkouts have moved or may have.
        if matches!(word, "" | "committed" | "update-only" | "rolled-back" | "failed") {
            self.start_look(None);
        }
    }

    /// Whether this is the job that deploys; by its name when it is configured no more.
    pub(super) fn is_deploy(&self, job: &JobName) -> bool {
        match self.loaded().and_then(|loaded| loaded.job(job.as_str())) {
            Some(job) => job.action == Action::Builtin(Builtin::Autodeploy),
            None => job.as_str() == Builtin::Autodeploy.name(),
        }
    }

    /// Whether a deploy is under way, or waits to be taken up again: the checkouts may stand
    /// between two vectors.
    pub(super) fn deploy_under_way(&self) -> bool {
        let can_go_on =
            self.loaded().is_some_and(|l| l.jobs.iter().any(|j| j.action == Action::Builtin(Builtin::Autodeploy)));
        (can_go_on && self.resume_at.is_some())
            || self.runner.as_ref().is_some_and(|runner| runner.running().iter().any(|run| self.is_deploy(&run.job)))
    }

    async fn died_without_a_word(&mut self, record: &RunRecord) {
        let Some(outcome) = record.outcome() else { return };
        if matches!(outcome, Outcome::Succeeded | Outcome::Skipped(_) | Outcome::Cancelled) {
            return;
        }
        let log = record.log_file.as_deref().unwrap_or("its log");
        self.reasons.raise(troubles::DEPLOY_FAILED, format!("the deploy ended as {outcome}; {log} says why"));
        self.sweep().await;
    }

    /// Reads the deploy's own ledgers: an open journal is taken up again, whatever schedule says.
    pub(super) async fn look_at_deploys(&mut self) {
        let ledgers = Ledgers::below(&self.options.state_dir);
        match ledgers.journal().read() {
            Ok(None) => {
                self.resume_at = None;
                self.resumed = 0;
                self.reasons.clear(troubles::DEPLOY_STUCK);
            }
            Ok(Some(state)) => match state.step {
                Step::Stuck { why } => {
                    self.resume_at = None;
                    self.reasons.raise(troubles::DEPLOY_STUCK, format!("deploy {} is stuck: {why}", state.id));
                }
                _ => {
                    // One that cannot even count its attempts (a full disk) is not hurried either.
                    let n = (state.attempts.max(1) - 1).max(self.resumed);
                    let pause = usize::try_from(n).ok().and_then(|n| RESUME_AFTER.get(n)).copied().unwrap_or(300);
                    self.resume_at = Some(Instant::now() + Duration::from_secs(pause));
                }
            },
            Err(error) => self.reasons.raise(troubles::DEPLOY_STUCK, format!("{error:#}")),
        }
        match ledgers.good().read() {
            Ok(Some(good)) if good.scheduler_behind => self.reasons.raise_since(
                troubles::SCHEDULER_BEHIND,
                format!("the scheduler is behind deploy {}: its own service was left out", good.id),
                good.at,
            ),
            _ => self.reasons.clear(troubles::SCHEDULER_BEHIND),
        }
    }

    /// Takes up a deploy that was cut off, once none of its containers runs any more.
    pub(super) async fn resume_deploy(&mut self) {
        let due = self.resume_at.is_some_and(|at| Instant::now() >= at);
        let (true, Some(in_force), Some(_)) = (due, &self.in_force, &self.runner) else { return };
        let Some(job) = in_force.loaded.jobs.iter().find(|j| j.action == Action::Builtin(Builtin::Autodeploy)) else {
            return;
        };
        let under_way = match self.store.unfinished().await {
            Ok(rows) => rows.iter().any(|r| r.occurrence.job == job.name),
            Err(error) => return self.store_failed(&error),
        };
        if under_way {
            return;
        }
        self.resume_at = None;
        self.resumed += 1;
        let name = job.name.clone();
        tracing::warn!("a deploy was cut off; a new container goes on with it");
        self.sweep().await;
        if let Err(error) = self.plan_by_hand(&name, BTreeMap::new(), Trigger::Resume).await {
            self.store_failed(&error);
        }
    }

    /// Containers that a dead deploy has left: stages and triggers hold no outcome.
    async fn sweep(&self) {
        let Some(loaded) = self.loaded() else { return };
        for role in ["stage", "trigger"] {
            let labels = [
                (labels::STACK, loaded.settings.project.as_str()),
                (labels::INSTANCE, self.installation.instance.as_str()),
                (labels::ROLE, role),
            ];
            for id in self.engine.list(&labels).await.unwrap_or_default() {
                if let Err(error) = self.engine.remove(&id).await {
                    tracing::warn!(container = id, "a leftover could not be removed: {error}");
                }
            }
        }
    }

    /// Probes that ended after whoever asked had died.
    pub(super) async fn sweep_probes(&self) {
        // By the compose dir, which the lease guards: those of a lost state dir are ours, too.
        let dir = self.options.compose_dir.display().to_string();
        let labels = [(labels::COMPOSE_DIR, dir.as_str()), (labels::ROLE, "probe")];
        for id in self.engine.list(&labels).await.unwrap_or_default() {
            if let Ok(Some(seen)) = self.engine.look(&id).await
                && seen.life != Life::Running
                && let Err(error) = self.engine.remove(&id).await
            {
                tracing::warn!(container = id, "a leftover could not be removed: {error}");
            }
        }
    }
}
