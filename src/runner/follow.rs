//! Following a container: its output into the spool, its end, and the reasons to stop it.

use std::future::pending;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::OptionFuture;
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;

use super::judge::proven;
use super::perform::{Performer, Run, Setback, Step, Stepped};
use super::tap::CHUNK;
use crate::engine::{EngineError, Life, Runs};
use crate::run::{Ledger, State, StopReason};

/// How long a run may take whose output is read when it is over, all at once. Most of what is
/// started often takes less, and a live follow drops the last lines of it (measured on 20.10).
const SOON: Duration = Duration::from_millis(250);

/// How long the rest of the output of an ended container may stay away before it is asked for again.
const STALL: Duration = Duration::from_secs(10);

/// How often that is done before the rest is given up, when nothing comes in between.
const STALLS: u32 = 6;

/// A log that is closed for longer than this before the container ends is opened again.
const SETTLE: Duration = Duration::from_secs(1);

/// In place of a grace that never ends: a year.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

impl<E: Runs, L: Ledger> Performer<'_, E, L> {
    /// Follows a running container to its end.
    pub(super) async fn follow(
        &self,
        run: &mut Run<'_>,
        id: String,
        image: Option<String>,
        started_at: DateTime<Utc>,
    ) -> Stepped {
        if run.record.state.container().is_none() {
            self.mark(run, &id, image).await?;
        }
        self.note_start(run, &id, started_at).await;
        if let Err(setback) = self.open(run).await {
            self.stop_unheard(run, &id).await?;
            return Err(setback);
        }
        if let Some(code) = self.over_soon(run, &id).await {
            fail::fail_point!("run.exited");
            return Ok(Step::Collect { id, code: Some(code), seen: None });
        }
        self.attend(run, &id).await
    }

    /// Stops a run whose output has no place, if there is a reason to: the engine keeps what it says.
    async fn stop_unheard(&self, run: &mut Run<'_>, id: &str) -> Stepped<()> {
        let grace = match &run.record.state {
            State::Stopping { kill_at, .. } => (*kill_at - Utc::now()).to_std().unwrap_or_default(),
            _ if run.order.cancel.is_cancelled() => self.note_stop(run, id, StopReason::Cancel).await,
            State::Running { deadline: Some(at), .. } if *at <= Utc::now() => {
                self.note_stop(run, id, StopReason::Timeout).await
            }
            _ => return Ok(()),
        };
        Ok(self.engine.stop(id, grace).await?)
    }

    /// The code of a run that is over in no time, where the engine tells of ends by itself.
    async fn over_soon(&self, run: &Run<'_>, id: &str) -> Option<i64> {
        let State::Running { deadline, .. } = &run.record.state else { return None };
        let left = deadline.map_or(SOON, |at| (at - Utc::now()).to_std().unwrap_or_default().min(SOON));
        tokio::select! {
            code = self.engine.ended(id) => code,
            () = tokio::time::sleep(left) => None,
            () = run.order.cancel.cancelled() => None,
        }
    }

    /// Notes when it was started and when its time is over. Helpful, but nothing depends on it:
    /// the mark is durable.
    async fn note_start(&self, run: &mut Run<'_>, id: &str, started_at: DateTime<Utc>) {
        let State::Starting { .. } = run.record.state else { return };
        let started_at = run.record.started_at.unwrap_or(started_at);
        let deadline = run.order.limits.timeout.and_then(|limit| after(started_at, limit));
        if let Err(error) = self.ledger.running(&run.record.id, started_at, deadline).await {
            tracing::warn!("the start of run {} could not be noted: {error:#}", run.record.id);
        }
        fail::fail_point!("run.running");
        run.record.started_at = Some(started_at);
        run.record.state = State::Running { container: id.to_owned(), deadline };
    }

    /// Takes its output as it comes, and ends it when there is a reason to.
    async fn attend(&self, run: &mut Run<'_>, id: &str) -> Stepped {
        let Some(mut tap) = run.tap.take() else { return Ok(Step::Look) };
        let mut frames = std::pin::pin!(self.engine.log(id, tap.begin()).ready_chunks(CHUNK));
        let mut end = std::pin::pin!(self.told(id).left_future().fuse());
        let mut stop = std::pin::pin!(OptionFuture::from(None));
        let mut stopping = false;
        if let State::Stopping { kill_at, .. } = &run.record.state {
            let left = (*kill_at - Utc::now()).to_std().unwrap_or_default();
            stop.set(Some(self.engine.stop(id, left)).into());
            stopping = true;
        }
        let (mut open, mut code, mut heard) = (true, None, Instant::now());
        loop {
            let due = match &run.record.state {
                State::Running { deadline: Some(at), .. } => until(*at).left_future(),
                _ => pending().right_future(),
            };
            // A log that cannot be read is not asked for again.
            let (impatient, patience) = if open { (code.is_some(), STALL) } else { (run.note.is_none(), SETTLE) };
            let mut closed = false;
            let why = tokio::select! {
                chunk = frames.next(), if open => {
                    heard = Instant::now();
                    closed = !tap.take(chunk, &mut run.note).await?;
                    (tap.bytes > run.order.limits.max_output).then_some(StopReason::OutputLimit)
                }
                answer = &mut end, if code.is_none() => {
                    code = Some(answer?);
                    heard = Instant::now();
                    None
                }
                Some(answer) = &mut stop, if stopping => {
                    stop.set(None.into());
                    fail::fail_point!("run.stopped");
                    // Refused: it may have ended by itself in between; else it is sent again.
                    answer?;
                    if code.is_none() {
                        // The word of its end may never come; this question is answered.
                        end.set(self.engine.exit(id).right_future().fuse());
                    }
                    None
                }
                () = due => Some(StopReason::Timeout),
                () = run.order.cancel.cancelled(), if !stopping => Some(StopReason::Cancel),
                () = tokio::time::sleep_until(heard + patience), if impatient => {
                    if !open {
                        // It was closed too early by far: what is missing comes with the next pass.
                        run.tap = Some(tap);
                        return Ok(Step::Look);
                    }
                    // The rest stays away: the drain asks again.
                    closed = true;
                    None
                }
            };
            if let Some(why) = why
                && !stopping
                && code.is_none()
            {
                let grace = self.note_stop(run, id, why).await;
                stop.set(Some(self.engine.stop(id, grace)).into());
                stopping = true;
            }
            if closed {
                open = false;
                if code.is_none() {
                    // The word of the end comes with that of the log, or right after it.
                    code = tokio::time::timeout(SOON, &mut end).await.ok().transpose()?;
                }
                // A log ends with its container; what `inspect` says then is the last word about it.
                let asked = Instant::now();
                let seen = self.engine.look(id).await?;
                if seen.as_ref().is_none_or(|seen| seen.life != Life::Running) {
                    fail::fail_point!("run.exited");
                    run.tap = Some(tap);
                    let code = proven(code, seen.as_ref(), asked.elapsed());
                    return Ok(Step::Collect { id: id.to_owned(), code, seen: seen.map(Box::new) });
                }
                heard = Instant::now();
                end.set(self.engine.exit(id).right_future().fuse());
                code = None;
            } else if code.is_some() && !open {
                fail::fail_point!("run.exited");
                run.tap = Some(tap);
                return Ok(Step::Collect { id: id.to_owned(), code, seen: None });
            }
        }
    }

    /// Waits for the end: the engine tells of it by itself, or is asked.
    async fn told(&self, id: &str) -> Result<i64, EngineError> {
        match self.engine.ended(id).await {
            Some(code) => Ok(code),
            None => self.engine.exit(id).await,
        }
    }

    /// Notes why the run is stopped, before the signal. A ledger that cannot be written does not
    /// keep a run alive beyond its time.
    async fn note_stop(&self, run: &mut Run<'_>, id: &str, why: StopReason) -> Duration {
        let grace = run.order.limits.grace.unwrap_or(NEVER);
        let kill_at = after(Utc::now(), grace).unwrap_or(DateTime::<Utc>::MAX_UTC);
        if let Err(error) = self.ledger.stopping(&run.record.id, why, kill_at).await {
            tracing::warn!("the stop of run {} could not be noted: {error:#}", run.record.id);
        }
        fail::fail_point!("run.stopping");
        run.record.state = State::Stopping { container: id.to_owned(), why, kill_at };
        grace
    }

    /// Stores the rest of an ended container's output. Done already is fine.
    pub(super) async fn drain(&self, run: &mut Run<'_>, id: &str) -> Stepped<()> {
        let Some(tap) = run.tap.as_mut().filter(|tap| !tap.lane.is_complete()) else { return Ok(()) };
        let mut frames = std::pin::pin!(self.engine.log(id, tap.begin()).ready_chunks(CHUNK));
        let before = tap.bytes;
        loop {
            let Ok(chunk) = tokio::time::timeout(STALL, frames.next()).await else {
                run.stalls = if tap.bytes > before { 1 } else { run.stalls + 1 };
                if run.stalls <= STALLS {
                    let why = "the engine does not give the rest of the output";
                    return Err(Setback::Passing(anyhow::anyhow!(why)));
                }
                run.note = Some("output incomplete: the engine does not give the rest".to_owned());
                return Ok(());
            };
            if !tap.take(chunk, &mut run.note).await? {
                return Ok(());
            }
        }
    }
}

pub(super) fn after(at: DateTime<Utc>, time: Duration) -> Option<DateTime<Utc>> {
    TimeDelta::from_std(time).ok().and_then(|time| at.checked_add_signed(time))
}

/// Waits for an instant of the wall clock; looks again at least each minute, for it may be set.
pub(super) async fn until(at: DateTime<Utc>) {
    while let Ok(left) = (at - Utc::now()).to_std() {
        tokio::time::sleep(left.min(Duration::from_secs(60))).await;
    }
}
