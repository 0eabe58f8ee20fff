//! One run as a task of its own.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use anyhow::Result;
use chrono::{DateTime, Utc};
use tokio::sync::mpsc;

use super::comeback::Comeback;
use super::left::LeftOver;
use super::next;
use super::oneoff::Services;
use super::output::Output;
use super::pause::Pause;
use super::perform::{Entry, Order, Performer};
use super::room::{Event, Room};
use crate::engine::{EngineError, Host, Life, Runs};
use crate::job::{Action, Job, ServiceRun};
use crate::run::{Ledger, Outcome, RunId, RunRecord, Started, State, StopReason, Stopped};
use crate::store::Store;

/// A run's record as far as it is known, for everyone who looks.
pub(super) type Shared = Rc<RefCell<RunRecord>>;

/// The rows that follow from a run's end. They outlive a task that meets a fault after it.
pub(super) type Next = Rc<RefCell<Vec<RunRecord>>>;

/// What a task needs.
pub(super) struct Task<E> {
    pub(super) engine: Rc<E>,
    pub(super) comeback: Rc<Comeback<E>>,
    pub(super) store: Store,
    pub(super) output: Output,
    pub(super) left: LeftOver,
    pub(super) room: Rc<Room>,
    pub(super) events: mpsc::UnboundedSender<Event>,
    pub(super) shared: Shared,
    pub(super) next: Next,
    /// The job as it was when the run was taken up; `None` when it is gone.
    pub(super) job: Option<Rc<Job>>,
    pub(super) order: Order,
    /// Who knows what services are made of.
    pub(super) services: Option<Rc<dyn Services>>,
}

impl<E: Host> Task<E> {
    /// Performs the run to its end and gives the record. A store that cannot be written is waited
    /// for: until then the container is the record.
    pub(super) async fn run(self, mut entry: Entry) -> RunRecord {
        let planning = Planning { task: &self };
        let fresh = matches!(entry, Entry::Fresh | Entry::Unknown);
        if let Some(exec) = self.order.direct.as_deref()
            && fresh
            && matches!(self.shared.borrow().state, State::Planned { .. })
        {
            let record = self.direct(&planning, exec).await;
            self.comeback.release(&record.id).await;
            return record;
        }
        let performer = Performer {
            engine: &*self.engine,
            ledger: &planning,
            output: &self.output,
            identity: &self.room.identity,
            results: &self.room.settings.state_dir.join("results"),
            left: &self.left,
        };
        let run = self.shared.borrow().id.clone();
        if !self.order.stop.services.is_empty() {
            self.comeback.settled().await;
        }
        let order = self.ordered(&entry).await;
        let mut pause = Pause::default();
        loop {
            let record = self.shared.borrow().clone();
            match performer.perform(record, &order, entry).await {
                Ok(record) => {
                    self.comeback.release(&run).await;
                    self.sweep(&record).await;
                    return record;
                }
                Err(error) => {
                    let what = format!("run {run} waits for its ledger: {error:#}");
                    if pause.is_first() {
                        tracing::error!("{what}");
                    }
                    // The daemon may have ended in the meantime.
                    let _ = self.events.send(Event::Trouble { run: run.clone(), what });
                    self.spare_services(&run).await;
                    entry = Entry::Unknown;
                }
            }
            pause.over().await;
        }
    }
}

impl<E: Runs> Task<E> {
    /// A ledger may take long until it can be written: no service is down for that, unless the
    /// run's container runs.
    async fn spare_services(&self, run: &RunId) {
        let services = &self.order.stop.services;
        if services.is_empty() {
            return;
        }
        let name = self.shared.borrow().occurrence.container_name(&self.room.identity.stack);
        let container = self.shared.borrow().state.container().map_or(name, str::to_owned);
        if let Ok(seen) = self.engine.look(&container).await
            && seen.is_none_or(|seen| seen.life != Life::Running)
        {
            self.comeback.release(run).await;
            self.comeback.hold(run, services);
        }
    }
}

impl<E> Task<E> {
    /// The order, with the container of a service-run that has still to be created: what it is made of
    /// is asked now. An engine that cannot be reached is waited for.
    async fn ordered(&self, entry: &Entry) -> Order {
        let mut order = self.order.clone();
        let Some(run) = self.service_run(entry) else { return order };
        order.spec = None;
        let Some(services) = &self.services else {
            order.refused = Some("nobody here knows the services of the stack".to_owned());
            return order;
        };
        let mut pause = Pause::default();
        loop {
            let asked = order.cancel.run_until_cancelled(services.one_off(&run, &self.room)).await;
            match asked {
                None => return order,
                Some(Ok((spec, remarks))) => {
                    for remark in remarks {
                        tracing::warn!(service = run.service, "{}: {remark}", self.shared.borrow().occurrence.job);
                    }
                    order.spec = Some(spec);
                    return order;
                }
                Some(Err(error)) if is_away(&error) => {
                    if pause.is_first() {
                        tracing::warn!("run {} is held up: {error:#}", self.shared.borrow().id);
                    }
                    tokio::select! {
                        () = pause.over() => {}
                        () = order.cancel.cancelled() => {}
                    }
                }
                Some(Err(error)) => {
                    order.refused = Some(format!("{error:#}"));
                    return order;
                }
            }
        }
    }

    /// The service-run that the run is, with its own environment, unless its container is there.
    fn service_run(&self, entry: &Entry) -> Option<ServiceRun> {
        let record = self.shared.borrow();
        // One that was created may be gone before its start.
        let begun = matches!(entry, Entry::Running(_) | Entry::Exited(_) | Entry::Vanished);
        let to_create = !begun && record.state.container().is_none();
        let Action::ServiceRun(run) = self.job.as_ref()?.part(record.occurrence.part)? else { return None };
        let mut run = (**run).clone();
        run.env.0.extend(record.extra_env.0.clone());
        to_create.then_some(run)
    }
}

fn is_away(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref::<EngineError>(), Some(EngineError::Unavailable(_))))
}

/// The record that decides what follows: who asks for the end of a run wants no further attempt,
/// although it may have ended by itself meanwhile.
fn as_asked(record: &RunRecord, stop_asked: bool) -> Cow<'_, RunRecord> {
    match record.outcome() {
        Some(outcome) if stop_asked && !matches!(outcome, Outcome::Succeeded | Outcome::Skipped(_)) => {
            Cow::Owned(RunRecord { state: State::Finished(Outcome::Cancelled), ..record.clone() })
        }
        _ => Cow::Borrowed(record),
    }
}

/// The store, with what follows from an outcome in the same commit, and with a word to the loop.
pub(super) struct Planning<'a, E> {
    task: &'a Task<E>,
}

impl<E> Planning<'_, E> {
    fn change(&self, change: impl FnOnce(&mut RunRecord)) {
        change(&mut self.task.shared.borrow_mut());
    }
}

impl<E> Ledger for Planning<'_, E> {
    async fn starting(&self, run: &RunId, started: &Started) -> Result<()> {
        let begins = self.task.shared.borrow().occurrence.part == 0;
        let definition = self.task.job.as_deref().filter(|_| begins).map(serde_json::to_string).transpose()?;
        self.task.store.begin(run, started, definition).await?;
        self.change(|record| {
            record.state = State::Starting { container: started.container.clone() };
            record.container_name = Some(started.name.clone());
            record.image = started.image.clone().or(record.image.take());
        });
        Ok(())
    }

    async fn not_started(&self, run: &RunId) -> Result<()> {
        self.task.store.not_started(run).await?;
        self.change(|record| record.state = State::Planned { waiting: None });
        Ok(())
    }

    async fn running(&self, run: &RunId, at: DateTime<Utc>, deadline: Option<DateTime<Utc>>) -> Result<()> {
        let noted = self.task.store.running(run, at, deadline).await;
        self.change(|record| {
            record.started_at = Some(at);
            if let Some(container) = record.state.container().map(str::to_owned) {
                record.state = State::Running { container, deadline };
            }
        });
        let record = self.task.shared.borrow().clone();
        let _ = self.task.events.send(Event::Started(Box::new(record)));
        noted
    }

    async fn stopping(&self, run: &RunId, why: StopReason, kill_at: DateTime<Utc>) -> Result<()> {
        let noted = self.task.store.stopping(run, why, kill_at).await;
        self.change(|record| {
            if let Some(container) = record.state.container().map(str::to_owned) {
                record.state = State::Stopping { container, why, kill_at };
            }
        });
        noted
    }

    async fn stopped(&self, note: &Stopped) -> Result<()> {
        self.task.store.note_stopped(note).await
    }

    async fn finished(&self, record: &RunRecord) -> Result<()> {
        let job = self.task.job.as_deref();
        let stop_asked = self.task.order.cancel.is_cancelled();
        let next = job.map_or_else(Vec::new, |job| next::rows(&as_asked(record, stop_asked), job, Utc::now()));
        let next = self.task.store.finish(record, next).await?;
        *self.task.next.borrow_mut() = next;
        *self.task.shared.borrow_mut() = record.clone();
        Ok(())
    }
}
