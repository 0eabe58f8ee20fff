//! The facade for the daemon's loop: rows go in, events come out.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::comeback::Comeback;
use super::container::{container_of_run, result_path, with_env};
use super::downed::Downed;
use super::labels::Identity;
use super::left::LeftOver;
use super::next;
use super::oneoff::Services;
use super::output::Output;
use super::perform::{Entry, Limits, Order};
use super::queued::Queue;
use super::recovery::Resume;
use super::shelf::Keep;
use super::signal;
use super::stop_list::StopList;
use super::task::{Next, Shared, Task};
use crate::config::{Installation, Settings};
use crate::engine::Host;
use crate::job::{Action, Builtin, ContainerSpec, Job};
use crate::run::{Outcome, RunId, RunRecord, RunStatus, State};
use crate::store::Store;

/// How often a run whose task panicked is taken up again.
const PANICS: u32 = 3;

/// What runs are made of, as the configuration in force has it.
#[derive(Debug, Clone)]
pub struct Room {
    /// Whose containers these are.
    pub identity: Identity,
    /// The settings.
    pub settings: Settings,
    /// Where Tender is installed.
    pub installation: Installation,
    /// Paths that the configuration was read from.
    pub paths: Vec<PathBuf>,
    /// The part of the process environment that belongs to the stack: a deploy reads the
    /// configuration again, and it must outrank the files there too.
    pub stack_env: BTreeMap<String, String>,
}

/// What the daemon's loop is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A run's container was started.
    Started(Box<RunRecord>),
    /// A run is over: its record.
    Ended(Box<RunRecord>),
    /// A run cannot go on for the moment.
    Trouble {
        /// Which.
        run: RunId,
        /// Why, in a sentence.
        what: String,
    },
    /// Services that were stopped for runs cannot be started again, one sentence each; none: all run.
    StillStopped(Vec<String>),
    /// A row that waited for its time is due: call [`Runner::pump`].
    Due,
}

/// All runs of a scheduler. Lives on a `LocalSet`.
///
/// What of a configuration holds for what: every main action, further attempts included, begins as
/// the configuration in force says at that moment. What has begun goes on as it was begun, and so
/// do the actions after it: they are of one run. So a job that is removed while it runs finishes;
/// an attempt that was to follow is skipped, and what belongs after a failure is done. The
/// definition of what has begun is stored with it, so that a restart changes nothing of this.
pub struct Runner<E> {
    engine: Rc<E>,
    pub(super) store: Store,
    pub(super) output: Output,
    pub(super) room: Rc<Room>,
    pub(super) queue: Queue,
    pub(super) active: BTreeMap<RunId, Active>,
    comeback: Rc<Comeback<E>>,
    /// The one task that starts again what was stopped.
    keeping: JoinSet<()>,
    left: LeftOver,
    /// The one task that removes what is left over.
    tidying: JoinSet<()>,
    tasks: JoinSet<RunRecord>,
    ids: HashMap<Id, RunId>,
    pub(super) sender: mpsc::UnboundedSender<Event>,
    events: mpsc::UnboundedReceiver<Event>,
    pub(super) again: Option<DateTime<Utc>>,
    services: Option<Rc<dyn Services>>,
}

pub(super) struct Active {
    pub(super) shared: Shared,
    /// What follows from its end, as soon as that is durable.
    next: Next,
    pub(super) locks: Vec<String>,
    job: Option<Rc<Job>>,
    order: Order,
    /// As it was when the run was taken up.
    room: Rc<Room>,
    panics: u32,
}

impl<E: Host + 'static> Runner<E> {
    /// A runner without runs.
    pub fn new(engine: Rc<E>, store: Store, output: Output, room: Room) -> Self {
        output.keep(keep(&room.settings));
        let (sender, events) = mpsc::unbounded_channel();
        Self {
            comeback: Rc::new(Comeback::new(Rc::clone(&engine), store.clone(), sender.clone())),
            keeping: JoinSet::new(),
            left: LeftOver::default(),
            tidying: JoinSet::new(),
            engine,
            store,
            output,
            room: Rc::new(room),
            queue: Queue::default(),
            active: BTreeMap::new(),
            tasks: JoinSet::new(),
            ids: HashMap::new(),
            sender,
            events,
            again: None,
            services: None,
        }
    }

    /// With what knows the services of the stack; without it no service-run can start.
    #[must_use]
    pub fn with_services(mut self, services: Rc<dyn Services>) -> Self {
        self.services = Some(services);
        self
    }

    /// What looks after services that went down with the engine.
    pub fn downed(&self) -> Downed<E> {
        Downed::new(Rc::clone(&self.engine), Rc::clone(&self.comeback), self.room.identity.stack.clone())
    }

    /// Puts another configuration in force for runs that begin from now on. Call
    /// [`Runner::pump`] with its jobs from now on.
    pub fn configure(&mut self, room: Room) {
        self.output.keep(keep(&room.settings));
        self.room = Rc::new(room);
    }

    /// Takes up what recovery has found: runs with a container at once, all others in their turn.
    pub fn adopt(&mut self, resumes: Vec<Resume>, jobs: &[Job]) {
        for Resume { record, entry, began_as } in resumes {
            let waits = matches!(record.state, State::Planned { .. });
            let in_force = || jobs.iter().find(|job| job.name == record.occurrence.job).cloned();
            let job = began_as.or_else(in_force).map(Rc::new);
            if waits && !record.stop_asked && matches!(entry, Entry::Fresh | Entry::Created(_) | Entry::Unknown) {
                // What has begun keeps its definition, as it would without the restart.
                let begun = record.occurrence.attempt > 1 || record.occurrence.part > 0;
                self.follow_with(vec![record], job.as_ref().filter(|_| begun));
            } else {
                self.spawn(record, job, entry);
            }
        }
    }

    /// Takes rows that were planned. They begin at the next [`Runner::pump`] that lets them.
    pub fn enqueue(&mut self, rows: Vec<RunRecord>) {
        self.follow_with(rows, None);
    }

    /// Takes the rows that follow a run. One that is here already is not taken twice.
    pub(super) fn follow_with(&mut self, rows: Vec<RunRecord>, began_as: Option<&Rc<Job>>) {
        for record in rows {
            if !self.active.contains_key(&record.id) {
                self.queue.insert(record, began_as.cloned());
            }
        }
    }

    /// Starts the task that brings services back, at the first pump and after a fault in it.
    pub(super) fn keep_services_up(&mut self) {
        while let Some(ended) = self.keeping.try_join_next() {
            tracing::error!("what brings services back met a fault and begins again: {ended:?}");
        }
        if self.keeping.is_empty() {
            self.keeping.spawn_local(Rc::clone(&self.comeback).keep());
        }
    }

    /// Tries again to remove the containers of runs that are over. Call it now and then.
    pub fn tidy(&mut self) {
        while self.tidying.try_join_next().is_some() {}
        if self.tidying.is_empty() {
            self.tidying.spawn_local(self.left.clone().remove(Rc::clone(&self.engine)));
        }
    }

    /// Waits for the next event. May be dropped and called again without losing one.
    pub async fn next_event(&mut self) -> Event {
        loop {
            tokio::select! {
                biased;
                Some(event) = self.events.recv() => return event,
                Some(ended) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                    if let Some(event) = self.ended(ended) {
                        return event;
                    }
                }
                () = due(self.again) => {
                    self.again = None;
                    return Event::Due;
                }
            }
        }
    }

    /// Ends a run: one that waits never begins, any other is stopped. Gives whether there is one
    /// whose end is still to come; that it was asked for is durable then. Where a further attempt
    /// or a later action is given up, what belongs at the very end of its run is still done.
    ///
    /// # Errors
    /// When the store cannot be written. One that is under way is stopped all the same.
    pub async fn cancel(&mut self, run: &RunId, now: DateTime<Utc>) -> Result<bool> {
        if let Some(active) = self.active.get(run) {
            let cancel = active.order.cancel.clone();
            let asked = self.store.ask_to_stop(run).await;
            fail::fail_point!("cancel.asked");
            cancel.cancel();
            return asked;
        }
        let Some(queued) = self.queue.get(run) else { return Ok(false) };
        let (mut record, began_as) = (queued.record.clone(), queued.began_as.clone());
        record.state = State::Finished(Outcome::Cancelled);
        record.finished_at = Some(now);
        let next = began_as.as_ref().map(|job| next::rows(&record, job, now)).unwrap_or_default();
        let next = self.store.finish(&record, next).await?;
        fail::fail_point!("cancel.recorded");
        self.queue.remove(run);
        self.follow_with(next, began_as.as_ref());
        let _ = self.sender.send(Event::Ended(Box::new(record)));
        Ok(true)
    }

    /// Runs under way.
    pub fn running(&self) -> Vec<RunStatus> {
        let status = |active: &Active| RunStatus::from(&*active.shared.borrow());
        self.active.values().filter(|active| active.shared.borrow().outcome().is_none()).map(status).collect()
    }

    /// Runs under way that may take as long as they like.
    pub fn without_limit(&self) -> Vec<RunStatus> {
        let all = self.active.values().filter(|active| active.order.limits.timeout.is_none());
        all.map(|active| RunStatus::from(&*active.shared.borrow())).collect()
    }

    /// Runs that wait, in their order.
    pub fn waiting(&self) -> Vec<RunStatus> {
        self.queue.iter().map(|queued| RunStatus::from(&queued.record)).collect()
    }

    /// The output writer.
    pub const fn output(&self) -> &Output {
        &self.output
    }

    /// Lets go of all runs, whose containers go on and will be adopted, and writes what is queued.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        self.keeping.shutdown().await;
        self.tidying.shutdown().await;
        self.output.stop().await;
    }

    pub(super) fn spawn(&mut self, mut record: RunRecord, job: Option<Rc<Job>>, entry: Entry) {
        if let Some(job) = &job {
            record.log_file.get_or_insert_with(|| job.log_file.clone());
        } else {
            record.log_file.get_or_insert_with(|| record.occurrence.job.log_file());
        }
        let active = Active {
            locks: locks_of(&record, job.as_deref()),
            order: order_for(&record, job.as_deref(), &self.room),
            job,
            shared: Shared::new(record.clone().into()),
            next: Next::default(),
            room: Rc::clone(&self.room),
            panics: 0,
        };
        if record.stop_asked {
            active.order.cancel.cancel();
        }
        self.comeback.hold(&record.id, &active.order.stop.services);
        self.active.insert(record.id.clone(), active);
        self.launch(&record.id, entry);
    }

    fn launch(&mut self, run: &RunId, entry: Entry) {
        let Some(active) = self.active.get(run) else { return };
        let task = Task {
            engine: Rc::clone(&self.engine),
            comeback: Rc::clone(&self.comeback),
            store: self.store.clone(),
            output: self.output.clone(),
            left: self.left.clone(),
            room: Rc::clone(&active.room),
            events: self.sender.clone(),
            shared: Rc::clone(&active.shared),
            next: Rc::clone(&active.next),
            job: active.job.clone(),
            order: active.order.clone(),
            services: self.services.clone(),
        };
        let handle = self.tasks.spawn_local(task.run(entry));
        self.ids.insert(handle.id(), run.clone());
    }

    fn ended(&mut self, ended: std::result::Result<(Id, RunRecord), tokio::task::JoinError>) -> Option<Event> {
        match ended {
            Ok((id, record)) => {
                self.ids.remove(&id);
                fail::fail_point!("run.ended");
                if let Some(active) = self.active.remove(&record.id) {
                    self.follow_with(active.next.take(), active.job.as_ref());
                }
                Some(Event::Ended(Box::new(record)))
            }
            Err(error) => {
                let run = self.ids.remove(&error.id())?;
                let active = self.active.get_mut(&run)?;
                active.panics += 1;
                // The container goes on whatever became of the task that followed it.
                let what = if active.panics <= PANICS {
                    self.launch(&run, Entry::Unknown);
                    format!("run {run} met a fault of the scheduler and was taken up again: {error}")
                } else {
                    format!("run {run} meets a fault of the scheduler again and again: {error}; restart to adopt it")
                };
                tracing::error!("{what}");
                Some(Event::Trouble { run, what })
            }
        }
    }
}

/// Which output of finished runs stays.
const fn keep(settings: &Settings) -> Keep {
    Keep { count: settings.keep_runs, age: settings.keep_for, bytes: settings.keep_output }
}

async fn due(at: Option<DateTime<Utc>>) {
    let Some(at) = at else { return std::future::pending().await };
    while let Ok(left) = (at - Utc::now()).to_std() {
        // The wall clock may be set meanwhile.
        tokio::time::sleep(left.min(Duration::from_secs(60))).await;
    }
}

/// The built-in that a run is of, by its job or, when that is gone, by its name.
fn builtin_of(record: &RunRecord, job: Option<&Job>) -> Option<Builtin> {
    match job.map(|job| job.part(record.occurrence.part)) {
        Some(Some(Action::Builtin(builtin))) => Some(*builtin),
        Some(_) => None,
        None => Builtin::from_name(record.occurrence.job.as_str()),
    }
}

/// The locks of a run: those of its job or, when that is gone, of the built-in of its name.
fn locks_of(record: &RunRecord, job: Option<&Job>) -> Vec<String> {
    match job {
        Some(job) => job.policy.locks.clone(),
        None => builtin_of(record, None)
            .map(|builtin| builtin.needs().locks.iter().map(|lock| (*lock).to_owned()).collect())
            .unwrap_or_default(),
    }
}

fn order_for(record: &RunRecord, job: Option<&Job>, room: &Room) -> Order {
    let policy = job.map(|job| &job.policy);
    // A deploy that is killed has to be undone by the next one: it gets the signal and its time.
    let gentle = builtin_of(record, job) == Some(Builtin::Autodeploy);
    let exec = match job.and_then(|job| job.part(record.occurrence.part)) {
        Some(action @ Action::Exec(_)) => match with_env(action, &record.extra_env) {
            Action::Exec(exec) => Some(exec),
            _ => None,
        },
        _ => None,
    };
    // With services to stop it has a holder all the same: what it may lose then is more than output.
    let stops = job.is_some_and(|job| record.occurrence.part == 0 && !job.stop.is_empty());
    let direct = exec.as_ref().is_some_and(|exec| exec.direct) && !stops;
    let held = exec.is_some() && !direct;
    let grace = policy.map_or(room.settings.grace, |policy| policy.grace);
    Order {
        refused: None,
        spec: job.and_then(|job| spec_for(record, job, room)),
        limits: Limits {
            timeout: policy.and_then(|policy| policy.timeout),
            // A holder gives the command its grace, and then needs time to have it killed.
            grace: (!gentle).then(|| if held { grace + signal::MARGIN + signal::MARGIN } else { grace }),
            max_output: room.settings.max_output,
        },
        direct: exec.filter(|_| direct),
        held,
        cancel: CancellationToken::new(),
        stop: StopList {
            // The services are up again when the actions follow.
            services: job.filter(|_| record.occurrence.part == 0).map(|job| job.stop.clone()).unwrap_or_default(),
            state: Some(room.installation.state.clone()),
        },
        log: record.log_file.as_ref().map(|file| room.settings.log_dir.join(file)),
    }
}

fn spec_for(record: &RunRecord, job: &Job, room: &Room) -> Option<ContainerSpec> {
    let action = job.part(record.occurrence.part)?;
    let extra = &record.extra_env;
    let mut spec = container_of_run(action, extra, Some(job), &room.settings, &room.installation, &room.paths);
    if matches!(action, Action::Builtin(_)) && !room.stack_env.is_empty() {
        let text = serde_json::to_string(&room.stack_env).unwrap_or_default();
        spec.env.0.insert("TENDER_STACK_ENV".to_owned(), text);
    }
    if let Some(path) = result_path(action, &record.id) {
        spec.env.0.insert("TENDER_RESULT".to_owned(), path.display().to_string());
    }
    Some(spec)
}
