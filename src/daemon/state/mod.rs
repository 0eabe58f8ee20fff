//! All that the loop works on, and what it does at each event.

mod armed;
mod deploys;
mod downed;
mod reload;
mod show;
mod stop;
mod stuck;
mod upkeep;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::time::Instant;

use anyhow::Result;
use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, watch};

use crate::config::{Installation, LoadError, Loaded};
use crate::daemon::configuration::{InForce, Look, Looks, View, Watch};
use crate::daemon::health::{Reasons, troubles};
use crate::daemon::options::ServeOptions;
use crate::engine::{Host, Runs};
use crate::job::JobName;
use crate::run::{Command, RunId, RunRecord, SkipRow, Snapshot, Trigger};
use crate::runner::labels::Identity;
use crate::runner::output::Output;
use crate::runner::recovery::{finish_output, recover};
use crate::runner::shelf::Shelf;
use crate::runner::{Event, Room, Runner};
use crate::scheduler::{Plan, Planner};
use crate::store::{LastOutcome, Lease, Opened, Store};

/// A host that has been up for less than this, in seconds, has just booted.
const BOOT: i64 = 600;

/// All that the loop works on.
pub(in crate::daemon) struct Daemon<E> {
    options: ServeOptions,
    engine: Rc<E>,
    installation: Installation,
    /// Id of the own container; empty outside one.
    container: String,
    store: Store,
    lease: Lease,
    pictures: watch::Sender<Snapshot>,
    runner: Option<Runner<E>>,
    planner: Option<Planner>,
    in_force: Option<InForce>,
    reasons: Reasons,
    last: HashMap<JobName, LastOutcome>,
    shown: show::Shown,
    stuck: stuck::Watched,
    downed: downed::Watched<E>,
    /// Jobs whose last run found its name taken, and by what.
    taken: BTreeMap<JobName, String>,
    /// Where looks at the configuration come back.
    found: mpsc::Sender<Look>,
    looks: Looks,
    watch: Watch,
    looked_at: Instant,
    /// Not all that decides about the configuration can be seen from here.
    hidden: bool,
    retry_config_at: Option<Instant>,
    /// Why the last look failed, as it was logged.
    failed: Option<String>,
    resume_at: Option<Instant>,
    /// How often a deploy was taken up since none was open.
    resumed: u32,
    /// Plans that the store did not take yet.
    pruning: upkeep::Pruning,
    unwritten: VecDeque<Plan>,
    /// When this process began.
    begun: DateTime<Utc>,
}

impl<E: Runs + Host + 'static> Daemon<E> {
    #[expect(clippy::too_many_arguments, reason = "each is a part of its own, and it is called once")]
    pub(in crate::daemon) fn new(
        options: ServeOptions,
        engine: Rc<E>,
        installation: Installation,
        container: String,
        opened: Opened,
        lease: Lease,
        pictures: watch::Sender<Snapshot>,
        found: mpsc::Sender<Look>,
        view: View,
    ) -> Self {
        let mut reasons = Reasons::default();
        if let Some(path) = &opened.set_aside {
            tracing::error!(path = %path.display(), "the store was damaged; it was set aside and a new one begun");
            let mut what = format!("the store was damaged and lies at {}", path.display());
            if opened.notes_lost {
                what.push_str("; services that were stopped for runs may be down");
            }
            reasons.raise(troubles::STORE_REPLACED, what);
        }
        Self {
            options,
            engine,
            installation,
            container,
            store: opened.store,
            lease,
            pictures,
            runner: None,
            planner: None,
            in_force: None,
            reasons,
            last: HashMap::new(),
            shown: show::Shown::default(),
            stuck: stuck::Watched::default(),
            downed: downed::Watched::new(),
            taken: BTreeMap::new(),
            found,
            looks: Looks::default(),
            watch: Watch::new(view),
            looked_at: Instant::now(),
            hidden: false,
            retry_config_at: None,
            failed: None,
            resume_at: None,
            resumed: 0,
            pruning: upkeep::Pruning::default(),
            unwritten: VecDeque::new(),
            begun: Utc::now(),
        }
    }

    /// Reads the configuration and recovers. One that is not there at all, and never was, ends the
    /// start; one that cannot be read is tried again.
    pub(in crate::daemon) async fn begin(&mut self) -> Result<()> {
        let look = self.look().await;
        if matches!(look.result, Err(LoadError::Missing { .. }))
            && self.kept().is_none()
            && let Err(error) = look.result
        {
            return Err(error.into());
        }
        self.on_look(look).await;
        Ok(())
    }

    fn loaded(&self) -> Option<&Loaded> {
        self.in_force.as_ref().map(|in_force| &in_force.loaded)
    }

    /// The first time that a configuration is there: recovery, then everything is armed.
    async fn recover(&mut self, loaded: &Loaded) -> Result<()> {
        // The name of the node is that of the container, which changes when it is made anew.
        let host = match self.engine.info().await?.id {
            id if id.is_empty() => rustix::system::uname().nodename().to_string_lossy().into_owned(),
            id => id,
        };
        let room = self.room(loaded);
        let recovered = recover(&*self.engine, &self.store, &room.identity, self.begun).await?;
        self.sweep_probes().await;
        fail::fail_point!("recover.swept");
        for remark in &recovered.remarks {
            tracing::warn!("{remark}");
        }
        let under_way = recovered.resumes.iter().filter(|r| r.record.state.container().is_some()).count();
        if under_way > 0 {
            tracing::info!(runs = under_way, "runs of before are taken up");
        }
        let output = Output::start(Shelf::new(&self.options.state_dir))?;
        let mut runner =
            Runner::new(self.engine.clone(), self.store.clone(), output, room).with_services(self.engine.clone());
        runner.adopt(recovered.resumes, &loaded.jobs);
        fail::fail_point!("recover.adopted");
        finish_output(runner.output(), &self.store, &loaded.settings.log_dir).await?;
        fail::fail_point!("recover.output");
        self.runner = Some(runner);
        self.look_at_deploys().await;

        self.last = self.store.last_outcomes().await?.into_iter().collect();
        let now = Utc::now();
        let armed = self.store.meta_get(armed::KEY).await?;
        let watermarks = armed::watermarks(self.store.watermarks().await?, armed.as_deref());
        let mut planner = Planner::new(&loaded.jobs, &watermarks, self.store.era().await?, &host, now);
        let mut missed = planner.catch_up(now);
        if rustix::system::sysinfo().uptime < BOOT {
            // The stack is starting, too: what is caught up waits until it has settled.
            let settled = now + loaded.settings.start_delay;
            for row in missed.rows.iter_mut().filter(|row| row.trigger == Trigger::Missed) {
                row.due = row.due.max(settled);
            }
        }
        let at_start = self.at_start(&planner, now).await?;
        self.planner = Some(planner);
        if let Some(runner) = &mut self.runner {
            runner.enqueue(at_start);
        }
        self.write(missed).await;
        fail::fail_point!("recover.planned");
        self.pump().await;
        Ok(())
    }

    fn room(&self, loaded: &Loaded) -> Room {
        Room {
            identity: Identity {
                stack: loaded.settings.project.clone(),
                instance: self.installation.instance.clone(),
                generation: self.lease.generation(),
                parent: None,
            },
            settings: loaded.settings.clone(),
            installation: self.installation.clone(),
            paths: loaded.paths.clone(),
            stack_env: self.options.stack_environment(),
        }
    }

    /// Rows of `@reboot` jobs, once for each boot of the host and container made by the user.
    async fn at_start(&self, planner: &Planner, now: DateTime<Utc>) -> Result<Vec<RunRecord>> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let mark = format!("{}/{}", boot.trim(), self.container);
        self.store.plan_once("start-mark", &mark, planner.reboot(now)).await
    }

    pub(in crate::daemon) fn next_due(&self) -> Option<DateTime<Utc>> {
        self.planner.as_ref().and_then(Planner::next)
    }

    pub(in crate::daemon) async fn plan_due(&mut self) {
        self.reasons.clear(troubles::TICK_LOST);
        if let Some(planner) = &mut self.planner {
            let plan = planner.due(Utc::now());
            self.write(plan).await;
        }
    }

    /// Stores a plan, after those that could not be stored before: were a later watermark stored
    /// without them, and this process killed, their occurrences would be lost.
    async fn write(&mut self, plan: Plan) {
        for correction in &plan.corrected {
            tracing::warn!(job.name = %correction.job, was = %correction.was, "its watermark lay ahead of the clock and became now");
        }
        if !plan.is_empty() {
            self.unwritten.push_back(plan);
        }
        let mut stored = false;
        while let Some(plan) = self.unwritten.front().cloned() {
            let skips = plan.skips.into_iter().map(|s| SkipRow {
                job: s.job,
                from: s.from,
                to: s.to,
                count: u32::try_from(s.count).unwrap_or(u32::MAX),
                reason: s.reason,
            });
            let watermarks = plan.watermarks.into_iter().map(|(job, w)| (job, w.planned, w.era)).collect();
            fail::fail_point!("plan.due");
            match self.store.plan(plan.rows, skips.collect(), watermarks, plan.era).await {
                Ok(rows) => {
                    fail::fail_point!("plan.stored");
                    self.unwritten.pop_front();
                    self.reasons.clear(troubles::STORE_UNWRITABLE);
                    if let Some(runner) = &mut self.runner {
                        runner.enqueue(rows);
                    }
                    stored = true;
                }
                Err(error) => {
                    self.store_failed(&error);
                    break;
                }
            }
        }
        if stored {
            self.pump().await;
        }
    }

    fn store_failed(&mut self, error: &anyhow::Error) {
        if !self.reasons.stands(troubles::STORE_UNWRITABLE) {
            tracing::error!("the store cannot be written: {error:#}");
        }
        self.reasons.raise(troubles::STORE_UNWRITABLE, format!("the store cannot be written: {error:#}"));
    }

    async fn pump(&mut self) {
        let (Some(runner), Some(in_force)) = (&mut self.runner, &self.in_force) else { return };
        match runner.pump(&in_force.loaded.jobs, Utc::now()).await {
            Ok(skipped) => {
                for record in skipped {
                    let outcome = record.outcome().map(ToString::to_string).unwrap_or_default();
                    tracing::warn!(job.name = %record.occurrence.job, run.outcome = outcome, "skipped");
                }
            }
            Err(error) => self.store_failed(&error),
        }
    }

    pub(in crate::daemon) async fn clock_stepped(&mut self, from: DateTime<Utc>, to: DateTime<Utc>) {
        let Some(planner) = &mut self.planner else { return };
        let notice = planner.clock_stepped(from, to);
        tracing::warn!(%from, %to, how = ?notice.kind, "the clock was set");
        self.plan_due().await;
    }

    pub(in crate::daemon) fn tick_lost(&mut self) {
        tracing::error!("the tick of the alarm had stopped and was started anew");
        self.reasons.raise(troubles::TICK_LOST, "the tick of the alarm had stopped and was started anew");
    }

    /// The next thing that happens to a run; never, while nothing can run.
    pub(in crate::daemon) async fn next_event(&mut self) -> Event {
        match &mut self.runner {
            Some(runner) => runner.next_event().await,
            None => std::future::pending().await,
        }
    }

    pub(in crate::daemon) async fn on_event(&mut self, event: Event) {
        match event {
            Event::Started(record) => tracing::info!(
                job.name = %record.occurrence.job,
                run.id = %record.id,
                trigger = record.trigger.word(),
                planned = %record.occurrence.planned_for,
                "started"
            ),
            Event::Ended(record) => self.on_end(*record).await,
            Event::Trouble { run, what } => {
                tracing::error!(run.id = %run, "{what}");
                self.reasons.raise(troubles::RUN_IN_TROUBLE, what);
            }
            Event::StillStopped(what) if what.is_empty() => {
                tracing::info!("all services that were stopped for runs were started again");
                self.reasons.clear(troubles::SERVICE_STILL_STOPPED);
            }
            Event::StillStopped(what) => {
                for sentence in &what {
                    tracing::error!("{sentence}");
                }
                self.reasons.raise(troubles::SERVICE_STILL_STOPPED, what.join("; "));
            }
            Event::Due => {}
        }
        self.pump().await;
    }

    async fn on_end(&mut self, record: RunRecord) {
        let outcome = record.outcome().map(ToString::to_string).unwrap_or_default();
        let took = record.started_at.zip(record.finished_at).map(|(a, b)| (b - a).num_milliseconds());
        let job = record.occurrence.job.clone();
        if record.outcome().is_some_and(|o| o.is_success()) {
            tracing::info!(job.name = %job, run.id = %record.id, run.outcome = outcome, duration_ms = took, "ended");
        } else {
            tracing::warn!(job.name = %job, run.id = %record.id, run.outcome = outcome, duration_ms = took, "ended");
        }
        self.note_name(&record);
        let is_deploy = self.is_deploy(&job);
        self.reasons.clear(troubles::RUN_IN_TROUBLE);
        if let (0, Some(outcome)) = (record.occurrence.part, record.outcome().cloned()) {
            let last = LastOutcome { outcome, finished_at: record.finished_at };
            self.shown.board().ended(&job, &last);
            self.last.insert(job, last);
        }
        if is_deploy {
            self.after_deploy(&record).await;
        }
    }

    /// A name that is taken is worth a look by a person, until the job's next run gets its own.
    fn note_name(&mut self, record: &RunRecord) {
        let job = &record.occurrence.job;
        match record.outcome().filter(|outcome| outcome.is_name_taken()).and_then(|outcome| outcome.reason()) {
            Some(why) => drop(self.taken.insert(job.clone(), why)),
            None => drop(self.taken.remove(job)),
        }
        if self.taken.is_empty() {
            self.reasons.clear(troubles::NAME_TAKEN);
        } else {
            let each: Vec<String> = self.taken.iter().map(|(job, why)| format!("{job}: {why}")).collect();
            self.reasons.raise(troubles::NAME_TAKEN, each.join("; "));
        }
    }

    async fn plan_by_hand(&mut self, job: &JobName, env: BTreeMap<String, String>, trigger: Trigger) -> Result<RunId> {
        let record = self.store.plan_manual(job.clone(), crate::secret::Environment(env), trigger, Utc::now()).await?;
        fail::fail_point!("plan.manual");
        let id = record.id.clone();
        if let Some(runner) = &mut self.runner {
            runner.enqueue(vec![record]);
        }
        self.pump().await;
        Ok(id)
    }

    pub(in crate::daemon) async fn on_command(&mut self, command: Command) {
        match command {
            Command::Run { job, env, reply } => {
                let known = self.loaded().is_some_and(|l| l.job(job.as_str()).is_some());
                let answer = if known {
                    self.plan_by_hand(&job, env, Trigger::Manual).await.map_err(|e| format!("{e:#}"))
                } else {
                    Err(format!("there is no job {job}"))
                };
                // Whoever asked may have gone; the run goes on.
                let _ = reply.send(answer);
            }
            Command::Stop { what, reply } => {
                let _ = reply.send(self.stop_run(&what).await);
            }
            Command::Reload { reply } => self.start_look(Some(reply)),
        }
    }

    /// Once a second: what no event tells.
    pub(in crate::daemon) async fn housekeeping(&mut self) {
        self.resume_deploy().await;
        if !self.unwritten.is_empty() {
            self.write(Plan::default()).await;
        }
        self.look_for_stuck_runs().await;
        self.look_for_downed_services().await;
        self.look_if_worth_it().await;
        self.upkeep().await;
        if self.reasons.has_changed() {
            self.touch();
        }
    }

    /// Makes durable what is only in memory.
    pub(in crate::daemon) async fn flush(&mut self) {
        if let Some(runner) = self.runner.take() {
            runner.stop().await;
        }
    }
}
