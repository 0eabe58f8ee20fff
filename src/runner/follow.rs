//! Following a container: its output into the spool, its end, and the reasons to stop it.

use std::future::pending;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;

use super::output::Lane;
use super::perform::{Performer, Run, Setback, Step, Stepped};
use super::spool::Filter;
use crate::engine::{EngineError, Frame, Runs};
use crate::run::{Ledger, State, StopReason};

/// Pieces that are handed on together.
const CHUNK: usize = 16;

/// How long the rest of the output of an ended container may stay away before it is asked for again.
const STALL: Duration = Duration::from_secs(10);

/// A stream that ended longer than this before the container did may have missed something.
const MOMENT: Duration = Duration::from_secs(1);

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
        self.open(run).await?;
        let Some(lane) = run.lane.take() else { return Ok(Step::Look) };
        let code = self.attend(run, &id, &lane).await?;
        run.lane = Some(lane);
        Ok(Step::Collect { id, code: Some(code) })
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

    async fn attend(&self, run: &mut Run<'_>, id: &str, lane: &Lane) -> Stepped<i64> {
        let mut tap = Tap::new(lane);
        let mut frames = std::pin::pin!(self.engine.output(id, tap.since()).ready_chunks(CHUNK));
        let mut exit = std::pin::pin!(self.engine.exit(id).fuse());
        let mut stop = std::pin::pin!(futures_util::future::OptionFuture::from(None));
        let mut stopping = false;
        if let State::Stopping { kill_at, .. } = &run.record.state {
            let left = (*kill_at - Utc::now()).to_std().unwrap_or_default();
            stop.set(Some(self.engine.stop(id, left)).into());
            stopping = true;
        }
        let mut code = None;
        let mut ended: Option<Instant> = None;
        let mut heard = Instant::now();
        loop {
            let due = match &run.record.state {
                State::Running { deadline: Some(at), .. } => until(*at).left_future(),
                _ => pending().right_future(),
            };
            let why = tokio::select! {
                chunk = frames.next(), if ended.is_none() => {
                    heard = Instant::now();
                    if !tap.take(chunk, &mut run.note).await? {
                        ended = Some(heard);
                    }
                    (tap.bytes > run.order.limits.max_output).then_some(StopReason::OutputLimit)
                }
                answer = &mut exit, if code.is_none() => {
                    code = Some(answer?);
                    fail::fail_point!("run.exited");
                    heard = Instant::now();
                    None
                }
                Some(answer) = &mut stop, if stopping => {
                    stop.set(None.into());
                    fail::fail_point!("run.stopped");
                    match answer {
                        Err(error @ EngineError::Unavailable(_)) => return Err(error.into()),
                        // It may have ended by itself in between.
                        Err(error) => tracing::warn!("run {} could not be stopped: {error}", run.record.id),
                        Ok(()) => {}
                    }
                    None
                }
                () = due => Some(StopReason::Timeout),
                () = run.order.cancel.cancelled(), if !stopping => Some(StopReason::Cancel),
                // The rest stays away: the drain asks again.
                () = tokio::time::sleep_until(heard + STALL), if code.is_some() => {
                    ended = Some(heard);
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
            if let (Some(code), Some(at)) = (code, ended) {
                if at.elapsed() < MOMENT {
                    lane.end().await.map_err(Setback::Passing)?;
                }
                return Ok(code);
            }
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

    /// Stores the rest of an ended container's output and marks it as complete. Done already is fine.
    pub(super) async fn drain(&self, run: &mut Run<'_>, id: &str) -> Stepped<()> {
        if run.lane.as_ref().is_some_and(|lane| lane.is_used() && !lane.is_complete()) {
            // Where to go on is told by the spool.
            run.lane = None;
            self.open(run).await?;
        }
        let Some(lane) = run.lane.as_ref().filter(|lane| !lane.is_complete()) else { return Ok(()) };
        let mut tap = Tap::new(lane);
        let mut frames = std::pin::pin!(self.engine.output(id, tap.since()).ready_chunks(CHUNK));
        loop {
            let Ok(chunk) = tokio::time::timeout(STALL, frames.next()).await else {
                run.note = Some("output incomplete: the engine does not give the rest".to_owned());
                break;
            };
            if !tap.take(chunk, &mut run.note).await? {
                break;
            }
        }
        lane.end().await.map_err(Setback::Passing)
    }
}

/// Where output flows from the engine into a lane.
struct Tap<'a> {
    lane: &'a Lane,
    filter: Filter,
    bytes: u64,
}

impl<'a> Tap<'a> {
    fn new(lane: &'a Lane) -> Self {
        Self { lane, filter: lane.stored.cursor.filter(), bytes: lane.stored.bytes }
    }

    fn since(&self) -> i64 {
        self.lane.stored.cursor.since()
    }

    /// Stores what is new of a chunk; tells whether more may come.
    async fn take(
        &mut self,
        chunk: Option<Vec<Result<Frame, EngineError>>>,
        note: &mut Option<String>,
    ) -> Stepped<bool> {
        let Some(chunk) = chunk else { return Ok(false) };
        let mut pieces = Vec::with_capacity(chunk.len());
        let mut failed = None;
        for piece in chunk {
            match piece {
                Ok(piece) => {
                    if self.filter.is_new(&piece) {
                        self.bytes += piece.bytes.len() as u64;
                        pieces.push(piece);
                    }
                }
                Err(error) => failed = Some(error),
            }
        }
        if !pieces.is_empty() {
            self.lane.push(pieces).await.map_err(Setback::Passing)?;
        }
        match failed {
            None => Ok(true),
            Some(error @ (EngineError::Unavailable(_) | EngineError::Protocol(_))) => Err(error.into()),
            Some(error) => {
                // Such as a log driver that cannot be read, or a container that is gone.
                *note = Some(format!("output incomplete: {error}"));
                Ok(false)
            }
        }
    }
}

fn after(at: DateTime<Utc>, time: Duration) -> Option<DateTime<Utc>> {
    TimeDelta::from_std(time).ok().and_then(|time| at.checked_add_signed(time))
}

/// Waits for an instant of the wall clock; looks again at least each minute, for it may be set.
async fn until(at: DateTime<Utc>) {
    while let Ok(left) = (at - Utc::now()).to_std() {
        tokio::time::sleep(left.min(Duration::from_secs(60))).await;
    }
}
