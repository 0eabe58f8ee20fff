//! A command in a running container without a holder: create → mark → start → follow → record, by
//! this process alone. Three calls to the engine, and nobody can take it up again: when this
//! process ends meanwhile the run is lost, and is not repeated.

use std::cell::RefCell;
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use chrono::Utc;
use futures_util::FutureExt;

use super::follow::{after, until};
use super::output::{Lane, LogTarget};
use super::pause::Pause;
use super::projection::Trailer;
use super::room::Event;
use super::signal::{Began, MARKER, Sender, Wish};
use super::target::{self, NoTarget, Target};
use super::task::{Planning, Task};
use crate::engine::{Channel, EngineError, Frame, Host, Life};
use crate::job::ExecSpec;
use crate::run::{Ledger, Outcome, RunId, RunRecord, State, StopReason};

/// How long the end of a command that was killed is waited for.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// How a command in one target ended.
enum Ended {
    Code(i64),
    /// It was stopped; its code, if the engine still told it.
    Stopped(StopReason, Option<i64>),
    Broken(EngineError),
}

impl<E: Host> Task<E> {
    /// Performs a planned run to its end and gives the finished record.
    pub(super) async fn direct(&self, planning: &Planning<'_, E>, exec: &ExecSpec) -> RunRecord {
        let mut record = self.shared.borrow().clone();
        let prepared = match self.prepared(&record, exec).await {
            Ok(prepared) => prepared,
            Err(outcome) => return self.record(planning, record, outcome, None).await,
        };
        fail::fail_point!("direct.created");
        let now = Utc::now();
        let names: Vec<&str> = prepared.iter().map(|(target, _)| target.name.as_str()).collect();
        record.started_at = Some(now);
        record.container_name = Some(names.join(", "));
        let open = self.until_done(&record, || self.output.open(&record.id, self.log(&record)));
        let Some(lane) = self.order.cancel.run_until_cancelled(open).await else {
            record.started_at = None;
            return self.record(planning, record, Outcome::Cancelled, None).await;
        };
        // Its time begins with the command.
        let deadline = self.order.limits.timeout.and_then(|limit| after(Utc::now(), limit));
        record.state = State::Direct { deadline, stopping: None };
        // From here on it is never begun again.
        let mark = self.until_done(&record, || self.store.direct(&record));
        if self.order.cancel.run_until_cancelled(mark).await.is_none() {
            record.started_at = None;
            return self.record(planning, record, Outcome::Cancelled, None).await;
        }
        fail::fail_point!("direct.marked");
        *self.shared.borrow_mut() = record.clone();
        // The daemon may have ended in the meantime.
        let _ = self.events.send(Event::Started(Box::new(record.clone())));
        let (outcome, code) = self.in_turn(&mut record, &lane, prepared).await;
        fail::fail_point!("direct.ended");
        if let Err(error) = lane.end().await {
            note(&mut record, format!("output incomplete: {error:#}"));
        }
        self.record(planning, record, outcome, code).await
    }

    /// Finds the targets and prepares the command in each. An engine that cannot be reached is
    /// waited for: nothing has begun.
    async fn prepared(&self, record: &RunRecord, exec: &ExecSpec) -> Result<Vec<(Target, String)>, Outcome> {
        let mut exec = exec.clone();
        exec.env.0.insert(MARKER.to_owned(), record.id.to_string());
        let mut pause = Pause::default();
        loop {
            let prepare = async {
                let targets = target::find(&*self.engine, &self.room.identity.stack, &exec.target).await?;
                target::prepare(&*self.engine, targets, &exec).await
            };
            match self.order.cancel.run_until_cancelled(prepare).await {
                None => return Err(Outcome::Cancelled),
                Some(Ok(prepared)) => return Ok(prepared),
                Some(Err(NoTarget::Engine(error @ EngineError::Unavailable(_)))) => {
                    if pause.is_first() {
                        tracing::warn!("run {} of {} is held up: {error}", record.id, record.occurrence);
                    }
                }
                Some(Err(why)) => return Err(Outcome::CouldNotStart(why.to_string())),
            }
            self.order.cancel.run_until_cancelled(pause.over()).await;
        }
    }

    /// The command in one target after the other; the first code that is not 0 counts.
    async fn in_turn(
        &self,
        record: &mut RunRecord,
        lane: &Lane,
        prepared: Vec<(Target, String)>,
    ) -> (Outcome, Option<i64>) {
        let mut first = 0;
        let mut bytes = 0;
        for (at, (target, exec)) in prepared.into_iter().enumerate() {
            match self.attend(record, lane, &target, &exec, &mut bytes).await {
                Ended::Code(code) => first = if first == 0 { code } else { first },
                Ended::Stopped(why, code) => return (stopped(why, code), code),
                Ended::Broken(error @ (EngineError::Unavailable(_) | EngineError::Protocol(_))) => {
                    note(record, format!("output incomplete: {error}; the command may go on in {}", target.name));
                    return (Outcome::Lost, None);
                }
                Ended::Broken(refused) => {
                    let why = target::refused(&target, refused).to_string();
                    if at == 0 {
                        return (Outcome::CouldNotStart(why), None);
                    }
                    // A further attempt would repeat what was done in those before.
                    note(record, format!("only some have run it: {why}"));
                    return (Outcome::Lost, None);
                }
            }
        }
        let outcome = if first == 0 { Outcome::Succeeded } else { Outcome::Failed { code: first, oom: false } };
        (outcome, Some(first))
    }

    /// Starts a command and follows it to its end, or stops it.
    async fn attend(&self, record: &mut RunRecord, lane: &Lane, target: &Target, exec: &str, bytes: &mut u64) -> Ended {
        let (run, began) = (record.id.clone(), Began::now());
        // Nothing is taken from the engine while what was taken before is being stored.
        let taken: RefCell<Vec<Frame>> = RefCell::default();
        let mut sink = |channel, bytes: &[u8]| {
            let time_ns = Utc::now().timestamp_nanos_opt().unwrap_or_default();
            taken.borrow_mut().push(Frame { channel, time_ns, bytes: bytes.to_vec() });
        };
        let mut command = pin!(self.engine.exec_start(exec, &mut sink));
        let mut ended = None;
        let mut signalling = pin!(futures_util::future::OptionFuture::from(None));
        let mut stopping: Option<StopReason> = None;
        let mut give_up: Option<tokio::time::Instant> = None;
        loop {
            let due = match record.state {
                State::Direct { deadline: Some(at), stopping: None } => until(at).left_future(),
                _ => std::future::pending().right_future(),
            };
            let next = poll_fn(|cx| match command.as_mut().poll(cx) {
                Poll::Ready(end) => Poll::Ready(Some(end)),
                Poll::Pending if !taken.borrow().is_empty() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            let why = tokio::select! {
                end = next, if ended.is_none() => {
                    ended = end;
                    let pieces = taken.take();
                    *bytes += pieces.iter().map(|piece| piece.bytes.len() as u64).sum::<u64>();
                    self.keep(record, lane, pieces).await;
                    (*bytes > self.order.limits.max_output).then_some(StopReason::OutputLimit)
                }
                Some(sent) = &mut signalling, if stopping.is_some() && give_up.is_none() => {
                    give_up = Some(tokio::time::Instant::now() + AFTER_KILL);
                    if let Err(error) = sent {
                        tracing::warn!("run {} could not be stopped: {error}", record.id);
                    }
                    None
                }
                () = due => Some(StopReason::Timeout),
                () = self.order.cancel.cancelled(), if stopping.is_none() => Some(StopReason::Cancel),
                () = sleep_until(give_up) => {
                    note(record, format!("something of the command goes on in {}", target.name));
                    return Ended::Stopped(stopping.unwrap_or(StopReason::Cancel), None);
                }
            };
            if let (Some(why), None, None) = (why, stopping, &ended) {
                stopping = Some(why);
                self.note_stop(record, why).await;
                signalling.set(Some(self.signal(run.clone(), target, began.clone())).into());
            }
            // Processes that it has left behind are ended as well.
            let signalled = stopping.is_none() || give_up.is_some();
            if let Some(end) = ended.take_if(|_| signalled) {
                return match (stopping, end) {
                    (Some(why), end) => Ended::Stopped(why, end.ok()),
                    (None, Ok(code)) => Ended::Code(code),
                    (None, Err(error)) => Ended::Broken(error),
                };
            }
        }
    }

    async fn signal(&self, run: RunId, target: &Target, began: Option<Began>) -> Result<i64, EngineError> {
        let grace = self.order.limits.grace.unwrap_or_default();
        let (identity, image) = (&self.room.identity, &self.room.installation.image);
        let sender = Sender { identity, run: &run, image };
        let mut report = |_: Channel, bytes: &[u8]| {
            tracing::info!("run {run}: {}", String::from_utf8_lossy(bytes).trim_end());
        };
        let wish = Wish::End { run: run.clone(), began, grace };
        sender.send(&*self.engine, &target.id, &wish, &mut report).await
    }

    /// Stores output; without a place for it the command goes on.
    async fn keep(&self, record: &mut RunRecord, lane: &Lane, pieces: Vec<Frame>) {
        if pieces.is_empty() {
            return;
        }
        if let Err(error) = lane.push(pieces).await {
            note(record, format!("output incomplete: {error:#}"));
        }
    }

    async fn note_stop(&self, record: &mut RunRecord, why: StopReason) {
        if let State::Direct { stopping, .. } = &mut record.state {
            *stopping = Some(why);
        }
        if let Err(error) = self.store.direct(record).await {
            tracing::warn!("the stop of run {} could not be noted: {error:#}", record.id);
        }
        self.shared.borrow_mut().state.clone_from(&record.state);
    }

    async fn record(
        &self,
        planning: &Planning<'_, E>,
        mut record: RunRecord,
        outcome: Outcome,
        code: Option<i64>,
    ) -> RunRecord {
        if let State::Direct { stopping: Some(StopReason::OutputLimit), .. } = record.state {
            note(&mut record, format!("stopped: it wrote more than {} bytes", self.order.limits.max_output));
        }
        record.exit_code = code;
        record.finished_at = Some(Utc::now());
        record.state = State::Finished(outcome);
        self.until_done(&record, || planning.finished(&record)).await;
        fail::fail_point!("direct.recorded");
        if let Some(trailer) = Trailer::of(&record)
            && let Err(error) = self.output.close(&record.id, self.log(&record), trailer).await
        {
            tracing::warn!("{error:#}");
        }
        record
    }

    /// Tries until it works: a store that cannot be written is waited for.
    async fn until_done<T, F: Future<Output = anyhow::Result<T>>>(
        &self,
        record: &RunRecord,
        attempt: impl Fn() -> F,
    ) -> T {
        let mut pause = Pause::default();
        loop {
            match attempt().await {
                Ok(value) => return value,
                Err(error) => {
                    let what = format!("run {} waits for its ledger: {error:#}", record.id);
                    if pause.is_first() {
                        tracing::error!("{what}");
                    }
                    let _ = self.events.send(Event::Trouble { run: record.id.clone(), what });
                }
            }
            pause.over().await;
        }
    }

    fn log(&self, record: &RunRecord) -> Option<LogTarget> {
        let path: PathBuf = self.order.log.clone()?;
        let started = record.started_at.unwrap_or_else(Utc::now);
        Some(LogTarget { path, job: record.occurrence.job.to_string(), started })
    }

    /// Takes away a signal container whose process died over it.
    pub(super) async fn sweep(&self, record: &RunRecord) {
        let ends = [Outcome::TimedOut, Outcome::Cancelled, Outcome::Lost];
        if !(self.order.held || self.order.direct.is_some()) || !record.outcome().is_some_and(|o| ends.contains(o)) {
            return;
        }
        let (identity, image) = (&self.room.identity, &self.room.installation.image);
        let sender = Sender { identity, run: &record.id, image };
        let swept = async {
            match self.engine.look(&sender.name()).await? {
                // One that runs still does what it was told.
                Some(seen) if seen.life != Life::Running && sender.is_its(&seen) => self.engine.remove(&seen.id).await,
                _ => Ok(()),
            }
        };
        if let Err(error) = swept.await {
            tracing::warn!("the signal container of run {} could not be removed: {error}", record.id);
        }
    }
}

const fn stopped(why: StopReason, code: Option<i64>) -> Outcome {
    match (why, code) {
        (StopReason::Timeout, _) => Outcome::TimedOut,
        (StopReason::Cancel, _) => Outcome::Cancelled,
        (StopReason::OutputLimit, Some(code)) => Outcome::Failed { code, oom: false },
        (StopReason::OutputLimit, None) => Outcome::Failed { code: 137, oom: false },
    }
}

/// Adds to what is missing, once.
fn note(record: &mut RunRecord, text: String) {
    match &mut record.output_note {
        Some(note) if note.contains(&text) => {}
        Some(note) => *note = format!("{note}; {text}"),
        None => record.output_note = Some(text),
    }
}

async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
