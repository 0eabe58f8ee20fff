//! The life of one run, as one function that can be entered at every step:
//! create → (stop services) → mark → start → follow → drain → record → remove.
//!
//! A container is started only when `inspect` says *created* and the mark is durable; it is removed
//! only when its outcome is durable. Whatever breaks off on the way is answered by looking at the
//! container again and going on from what is found.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::gap;
use super::held;
use super::judge::{Ending, Known, judge, proven};
use super::labels::Identity;
use super::left::LeftOver;
use super::output::{LogTarget, Output};
use super::pause::Pause;
use super::probe::names;
use super::projection::Trailer;
use super::stop_list::StopList;
use super::tap::Tap;
use crate::engine::{Created, EngineError, Life, Runs, Seen};
use crate::job::{ContainerSpec, ExecSpec, MountSource, PullPolicy};
use crate::run::{Ledger, Outcome, RunRecord, SkipReason, Started, State, StopReason};

/// A result document that is longer is not read.
const LONGEST_RESULT: u64 = 1 << 20;

/// How often a removal may be refused before the run ends without it. An engine that is away is waited for.
const REMOVALS: u32 = 6;

/// What a run is performed with.
#[derive(Debug)]
pub struct Performer<'a, E, L> {
    /// The engine.
    pub engine: &'a E,
    /// Where each step is made durable.
    pub ledger: &'a L,
    /// Where output goes.
    pub output: &'a Output,
    /// Whose containers these are.
    pub identity: &'a Identity,
    /// Folder of result documents.
    pub results: &'a Path,
    /// Where it is noted which containers could not be removed.
    pub left: &'a LeftOver,
}

/// How one run is to be performed.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// What to create; `None` when nobody knows any more, which is enough for a run that has begun.
    pub spec: Option<ContainerSpec>,
    /// Why nothing can be created, where that is known: the run could not start then.
    pub refused: Option<String>,
    /// Its limits.
    pub limits: Limits,
    /// Asks for the end.
    pub cancel: CancellationToken,
    /// The log of its job.
    pub log: Option<std::path::PathBuf>,
    /// Services that are stopped before it is started. Starting them again is the caller's.
    pub stop: StopList,
    /// The command of a run that needs no container of its own.
    pub direct: Option<Box<ExecSpec>>,
    /// Its container is the holder of a command in another one.
    pub held: bool,
}

/// The limits of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest time that it may take.
    pub timeout: Option<Duration>,
    /// Time between the stop signal and the kill; `None`: it is asked to stop and never killed.
    pub grace: Option<Duration>,
    /// Most bytes that it may write.
    pub max_output: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: None, grace: Some(Duration::from_secs(10)), max_output: u64::MAX }
    }
}

/// Where a run is entered.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// Nobody has looked yet.
    Unknown,
    /// It has no container.
    Fresh,
    /// Its container was never started.
    Created(Box<Seen>),
    /// Its container runs.
    Running(Box<Seen>),
    /// Its container has ended.
    Exited(Box<Seen>),
    /// Its container is gone, although its start may have been asked for.
    Vanished,
}

impl Entry {
    /// What a row and a look at its container say together.
    pub fn of(state: &State, seen: Option<Seen>) -> Self {
        let marked = state.container().is_some() || matches!(state, State::Direct { .. });
        match seen.map(|seen| (seen.life, Box::new(seen))) {
            None if marked => Self::Vanished,
            None => Self::Fresh,
            Some((Life::Created, seen)) => Self::Created(seen),
            Some((Life::Running, seen)) => Self::Running(seen),
            Some((Life::Exited, seen)) => Self::Exited(seen),
            Some((Life::Removing, seen)) if marked => Self::Exited(seen),
            // Its name is free again as soon as it is gone.
            Some((Life::Removing, _)) => Self::Fresh,
        }
    }
}

/// The next thing to do.
#[derive(Debug)]
pub(super) enum Step {
    Look,
    Create,
    Start {
        id: String,
        image: Option<String>,
    },
    Follow {
        id: String,
        image: Option<String>,
        started_at: DateTime<Utc>,
    },
    /// `code` is the exit code if it was seen to end, `seen` what `inspect` has said since.
    Collect {
        id: String,
        code: Option<i64>,
        seen: Option<Box<Seen>>,
    },
    Record(Ending),
    Done {
        container: Option<String>,
    },
}

impl From<Entry> for Step {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Unknown => Self::Look,
            Entry::Fresh => Self::Create,
            Entry::Created(seen) => Self::Start { id: seen.id, image: Some(seen.image) },
            Entry::Running(seen) => Self::Follow {
                id: seen.id,
                image: Some(seen.image),
                started_at: seen.started_at.unwrap_or_else(Utc::now),
            },
            Entry::Exited(seen) => Self::Collect { id: seen.id.clone(), code: None, seen: Some(seen) },
            Entry::Vanished => Self::Record(Ending::without_container(Outcome::Lost)),
        }
    }
}

/// Why a step broke off.
#[derive(Debug)]
pub(super) enum Setback {
    /// It may work later: look again and go on.
    Passing(anyhow::Error),
    /// A step could not be made durable. The container is kept.
    Ledger(anyhow::Error),
}

impl From<EngineError> for Setback {
    fn from(error: EngineError) -> Self {
        Self::Passing(error.into())
    }
}

pub(super) type Stepped<T = Step> = std::result::Result<T, Setback>;

/// A run on its way.
pub(super) struct Run<'a> {
    pub(super) record: RunRecord,
    pub(super) order: &'a Order,
    pub(super) tap: Option<Tap>,
    /// What is missing from its output.
    pub(super) note: Option<String>,
    /// How often in a row the rest of its output has stayed away.
    pub(super) stalls: u32,
    /// The container that this process has created: nobody else can have started it.
    pub(super) made: Option<String>,
}

impl<E: Runs, L: Ledger> Performer<'_, E, L> {
    /// Performs a run to its end and gives the finished record. An engine that cannot be reached
    /// is waited for.
    ///
    /// # Errors
    /// When the ledger cannot be written: the container is kept then, as the only record of the
    /// run. Call again with [`Entry::Unknown`] and the same record.
    pub async fn perform(&self, record: RunRecord, order: &Order, entry: Entry) -> Result<RunRecord> {
        let mut run = Run { record, order, tap: None, note: None, stalls: 0, made: None };
        let mut step = Step::from(entry);
        let mut pause = Pause::default();
        loop {
            let begun = tokio::time::Instant::now();
            let next = match step {
                Step::Look => self.look(&run).await,
                Step::Create => self.create(&mut run).await,
                Step::Start { id, image } => self.start(&mut run, id, image).await,
                Step::Follow { id, image, started_at } => self.follow(&mut run, id, image, started_at).await,
                Step::Collect { id, code, seen } => self.collect(&mut run, id, code, seen).await,
                Step::Record(ending) => self.record(&mut run, ending).await,
                Step::Done { container } => {
                    self.close(&run).await;
                    if let Some(id) = container {
                        self.remove(&run, &id).await;
                    }
                    return Ok(run.record);
                }
            };
            step = match next {
                Ok(step) => step,
                Err(Setback::Ledger(error)) => return Err(error),
                Err(Setback::Passing(error)) => {
                    run.tap = None;
                    if begun.elapsed() > Pause::LONGEST {
                        pause = Pause::default();
                    }
                    if pause.is_first() {
                        tracing::warn!("run {} of {} is held up: {error:#}", run.record.id, run.record.occurrence);
                    }
                    pause.over().await;
                    Step::Look
                }
            };
        }
    }

    async fn look(&self, run: &Run<'_>) -> Stepped {
        let name = self.name(run);
        let seen = self.engine.look(run.record.state.container().unwrap_or(&name)).await?;
        // A stranger with its name: creating says so.
        let seen = seen.filter(|s| run.record.state.container().is_some() || self.is_its(run, s));
        if run.record.outcome().is_some() {
            // It was recorded when something broke off: what is left is to tidy up.
            return Ok(Step::Done { container: seen.map(|seen| seen.id) });
        }
        Ok(Entry::of(&run.record.state, seen).into())
    }

    fn name(&self, run: &Run<'_>) -> String {
        run.record.occurrence.container_name(&self.identity.stack)
    }

    fn is_its(&self, run: &Run<'_>, seen: &Seen) -> bool {
        self.identity.owns_run(seen, &run.record.occurrence)
    }

    async fn create(&self, run: &mut Run<'_>) -> Stepped {
        let cancel = &run.order.cancel;
        if let Some(why) = &run.order.refused {
            return self.refuse(run, why).await;
        }
        if cancel.is_cancelled() {
            return Ok(Step::Record(Ending::without_container(Outcome::Cancelled)));
        }
        let Some(spec) = &run.order.spec else {
            return Ok(Step::Record(Ending::without_container(Outcome::Skipped(SkipReason::Removed))));
        };
        let spec = self.identity.dress(spec.clone(), &run.record);
        fail::fail_point!("run.create");
        match cancel.run_until_cancelled(self.place(&self.name(run), &spec)).await {
            None => Ok(Step::Record(Ending::without_container(Outcome::Cancelled))),
            Some(Ok((Created::New(id), image))) => {
                fail::fail_point!("run.created");
                run.made = Some(id.clone());
                Ok(Step::Start { id, image })
            }
            Some(Ok((Created::Taken(seen), _))) if !self.is_its(run, &seen) => {
                let outcome = Outcome::name_taken(&seen.name, &seen.id, &seen.image);
                Ok(Step::Record(Ending::without_container(outcome)))
            }
            Some(Ok((Created::Taken(seen), _))) if seen.life == Life::Removing => {
                Err(Setback::Passing(anyhow::anyhow!("the container {} is still being removed", seen.name)))
            }
            Some(Ok((Created::Taken(seen), _))) => Ok(Entry::of(&run.record.state, Some(*seen)).into()),
            Some(Err(error @ EngineError::Unavailable(_))) => Err(error.into()),
            Some(Err(error)) => Ok(Step::Record(Ending::without_container(Outcome::CouldNotStart(error.to_string())))),
        }
    }

    /// Ends a run for which nothing can be created; one that was created before goes on.
    async fn refuse(&self, run: &Run<'_>, why: &str) -> Stepped {
        let seen = self.engine.look(&self.name(run)).await?.filter(|seen| self.is_its(run, seen));
        Ok(match seen {
            Some(seen) if seen.life != Life::Removing => Entry::of(&run.record.state, Some(seen)).into(),
            _ => Step::Record(Ending::without_container(Outcome::CouldNotStart(why.to_owned()))),
        })
    }

    /// Creates the container, and fetches the image first only where that is needed: a run whose
    /// image is there costs no question about it.
    async fn place(&self, name: &str, spec: &ContainerSpec) -> Result<(Created, Option<String>), EngineError> {
        if !matches!(spec.pull, PullPolicy::Always | PullPolicy::Daily) {
            match self.make(name, spec).await {
                Err(EngineError::NotFound(_)) if spec.pull == PullPolicy::Missing => {}
                answer => return answer.map(|created| (created, None)),
            }
        }
        let image = self.engine.ensure_image(&spec.image, spec.pull).await?;
        if let Some(warning) = image.warning {
            tracing::warn!("{name}: {warning}");
        }
        Ok((self.make(name, spec).await?, Some(image.id)))
    }

    /// Creates the container without those optional mounts that are not there: the engine names them.
    async fn make(&self, name: &str, spec: &ContainerSpec) -> Result<Created, EngineError> {
        let mut spec = Cow::Borrowed(spec);
        loop {
            let answer = self.engine.create(name, &spec).await;
            let Err(EngineError::Other(why)) = &answer else { return answer };
            let Some(at) = spec.optional.iter().position(|path| names(why, path)) else { return answer };
            let spec = spec.to_mut();
            let path = spec.optional.remove(at);
            tracing::warn!("{name} goes without {}, which is not there", path.display());
            spec.mounts.retain(|mount| mount.source != MountSource::Bind(path.clone()));
        }
    }

    /// Makes the mark, without which nothing is started.
    pub(super) async fn mark(&self, run: &mut Run<'_>, id: &str, image: Option<String>) -> Stepped<()> {
        let started = Started { container: id.to_owned(), name: self.name(run), image };
        self.ledger.starting(&run.record.id, &started).await.map_err(Setback::Ledger)?;
        fail::fail_point!("run.marked");
        run.record.state = State::Starting { container: started.container };
        run.record.container_name = Some(started.name);
        run.record.image = started.image.or(run.record.image.take());
        Ok(())
    }

    async fn start(&self, run: &mut Run<'_>, id: String, image: Option<String>) -> Stepped {
        if run.order.cancel.is_cancelled() {
            return Ok(Step::Record(Ending { container: Some(id), ..Ending::without_container(Outcome::Cancelled) }));
        }
        if let Some(outcome) = self.stop_services(run).await? {
            return Ok(Step::Record(Ending { container: Some(id), ..Ending::without_container(outcome) }));
        }
        self.mark(run, &id, image.clone()).await?;
        let error = match self.engine.start(&id).await {
            Ok(()) => {
                fail::fail_point!("run.started");
                return Ok(Step::Follow { id, image, started_at: Utc::now() });
            }
            Err(error @ EngineError::Unavailable(_)) => return Err(error.into()),
            Err(error) => error,
        };
        // It may have started all the same; what it says itself decides.
        let seen = self.engine.look(&id).await?;
        let removed = seen.is_none() && matches!(error, EngineError::NotFound(_));
        if removed && run.made.as_ref() == Some(&id) {
            self.ledger.not_started(&run.record.id).await.map_err(Setback::Ledger)?;
            run.record.state = State::Planned { waiting: None };
            return Err(Setback::Passing(anyhow::anyhow!("its container was removed before its start")));
        }
        Ok(match Entry::of(&run.record.state, seen) {
            Entry::Created(_) => {
                let outcome = Outcome::CouldNotStart(error.to_string());
                Step::Record(Ending { container: Some(id), ..Ending::without_container(outcome) })
            }
            other => other.into(),
        })
    }

    /// Opens the spool and the log, unless they are open.
    pub(super) async fn open(&self, run: &mut Run<'_>) -> Stepped<()> {
        if run.tap.is_none() {
            let lane = self.output.open(&run.record.id, log_target(run)).await.map_err(Setback::Passing)?;
            run.tap = Some(Tap::new(lane));
        }
        Ok(())
    }

    async fn collect(&self, run: &mut Run<'_>, id: String, code: Option<i64>, seen: Option<Box<Seen>>) -> Stepped {
        if run.record.state.container().is_none() {
            self.mark(run, &id, None).await?;
        }
        run.record.started_at = run.record.started_at.or(seen.as_ref().and_then(|seen| seen.started_at));
        self.open(run).await?;
        let (seen, code) = match seen {
            Some(seen) => {
                self.drain(run, &id).await?;
                (Some(*seen), code)
            }
            None => {
                let asked = tokio::time::Instant::now();
                let look = async { (self.engine.look(&id).await, asked.elapsed()) };
                let ((seen, took), drained) = tokio::join!(look, self.drain(run, &id));
                drained?;
                let seen = seen?;
                let code = proven(code, seen.as_ref(), took);
                (seen, code)
            }
        };
        // Whoever said so was wrong.
        if let Some(seen) = seen.as_ref().filter(|seen| seen.life == Life::Running) {
            return Ok(Entry::Running(Box::new(seen.clone())).into());
        }
        if let Some(tap) = run.tap.as_ref().filter(|tap| !tap.lane.is_complete()) {
            // Where something is missing a later pass is to find that out again, should the outcome
            // not become durable.
            let stored = if run.note.is_none() { tap.lane.end().await } else { tap.lane.sync().await };
            stored.map_err(Setback::Passing)?;
            fail::fail_point!("run.drained");
        }
        let known = match code {
            Some(code) => Known::Live(code),
            None => gap::known_later(self.engine, seen.as_ref()).await?,
        };
        let ending = judge(&run.record.state, known, seen.as_ref());
        let ending = held::heard(self.output.shelf(), run, ending).await;
        Ok(Step::Record(Ending { container: Some(id), ..ending }))
    }

    async fn record(&self, run: &mut Run<'_>, ending: Ending) -> Stepped {
        let mut record = run.record.clone();
        record.exit_code = ending.code;
        record.image = ending.image.or(record.image);
        record.started_at = ending.started_at.or(record.started_at);
        record.finished_at = Some(ending.finished_at.unwrap_or_else(Utc::now));
        let loss = held::loss(&run.record.state, run.order, &ending.outcome);
        let notes: Vec<String> = run.note.take().into_iter().chain(ending.note).chain(loss).collect();
        record.output_note = (!notes.is_empty()).then(|| notes.join("; "));
        if let State::Stopping { why: StopReason::OutputLimit, .. } = &record.state {
            record.output_note = Some(format!("stopped: it wrote more than {} bytes", run.order.limits.max_output));
        }
        record.result = self.result(&record);
        record.state = State::Finished(ending.outcome);
        self.ledger.finished(&record).await.map_err(Setback::Ledger)?;
        fail::fail_point!("run.recorded");
        run.record = record;
        Ok(Step::Done { container: ending.container })
    }

    /// The document that the job left. It is small, and on a local disk.
    fn result(&self, record: &RunRecord) -> Option<serde_json::Value> {
        let path = self.results.join(format!("{}.json", record.id));
        let length = std::fs::metadata(&path).ok()?.len();
        let read = || -> Result<serde_json::Value> {
            anyhow::ensure!(length <= LONGEST_RESULT, "it has {length} bytes, more than {LONGEST_RESULT}");
            Ok(serde_json::from_slice(&std::fs::read(&path)?)?)
        };
        match read().with_context(|| format!("the result {} cannot be read", path.display())) {
            Ok(document) => Some(document),
            Err(error) => {
                tracing::warn!("{error:#}");
                None
            }
        }
    }

    async fn close(&self, run: &Run<'_>) {
        let record = &run.record;
        if let Some(trailer) = Trailer::of(record)
            && let Err(error) = self.output.close(&record.id, log_target(run), trailer).await
        {
            tracing::warn!("{error:#}");
        }
        fail::fail_point!("run.closed");
        std::fs::remove_file(self.results.join(format!("{}.json", record.id))).ok();
    }

    async fn remove(&self, run: &Run<'_>, id: &str) {
        let mut pause = Pause::default();
        let mut tries = REMOVALS;
        while tries > 0 {
            match self.engine.remove(id).await {
                Ok(()) => {
                    fail::fail_point!("run.removed");
                    return;
                }
                Err(error) => {
                    if pause.is_first() {
                        tracing::warn!("the container of run {} could not be removed: {error}", run.record.id);
                    }
                    tries -= u32::from(!matches!(error, EngineError::Unavailable(_)));
                }
            }
            pause.over().await;
        }
        self.left.note(id);
    }
}

fn log_target(run: &Run<'_>) -> Option<LogTarget> {
    let record = &run.record;
    Some(LogTarget {
        path: run.order.log.clone()?,
        job: record.occurrence.job.to_string(),
        started: record.started_at.unwrap_or_else(Utc::now),
    })
}
