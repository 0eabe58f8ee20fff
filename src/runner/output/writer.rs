//! The thread that writes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::mpsc;

use super::lane::{BATCH, Log, Open, append};
use super::packer::Packer;
use super::{LogTarget, Message, QUEUE, Stored};
use crate::run::RunId;
use crate::runner::joblog;
use crate::runner::projection::{Progress, Projector, Trailer};
use crate::runner::shelf::Shelf;
use crate::runner::spool::{self, Record};

/// Time between two attempts at logs that cannot be written: each may read whole spools.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// What became of a log at the end of its run.
#[derive(Debug)]
enum Closed {
    /// All is in.
    Complete(Option<PathBuf>),
    /// It follows when it can be written.
    Late,
}

#[derive(Debug)]
pub(super) struct Writer {
    shelf: Shelf,
    packer: Packer,
    lanes: BTreeMap<RunId, Open>,
    /// Recorded runs whose log still lacks something.
    late: BTreeMap<RunId, (LogTarget, Trailer)>,
    trouble: Arc<Mutex<BTreeMap<PathBuf, String>>>,
    /// When logs that cannot be written are tried again, and the time until then.
    again: Option<(Instant, Duration)>,
    scratch: Vec<u8>,
}

impl Writer {
    pub(super) fn new(shelf: Shelf, packer: Packer, trouble: Arc<Mutex<BTreeMap<PathBuf, String>>>) -> Self {
        let (lanes, late) = (BTreeMap::new(), BTreeMap::new());
        Self { shelf, packer, lanes, late, trouble, again: None, scratch: Vec::new() }
    }

    pub(super) fn work(mut self, mut messages: mpsc::Receiver<Message>) {
        while let Some(first) = messages.blocking_recv() {
            let mut touched = BTreeSet::new();
            let (mut next, mut left) = (Some(first), QUEUE);
            while let Some(message) = next {
                match message {
                    Message::Stop { reply } => {
                        touched.iter().for_each(|run| self.flush(run));
                        self.again = None;
                        self.retry();
                        let _ = reply.send(());
                        return;
                    }
                    Message::Open { run, log, broken, reply } => {
                        let _ = reply.send(self.open(&run, log, broken));
                        touched.insert(run);
                    }
                    Message::Push { run, pieces, share } => {
                        if let Some(open) = self.lanes.get_mut(&run) {
                            open.push(pieces, share);
                            touched.insert(run);
                        }
                    }
                    Message::End { run, complete, reply } => {
                        let _ = reply.send(self.end(&run, complete));
                    }
                    Message::Close { run, log, trailer, reply } => {
                        let closed = self.close(&run, log, trailer);
                        let _ = reply.send(());
                        self.pack(&run, closed);
                    }
                    Message::Retry => self.retry(),
                }
                // Bounded, so that one who never stops talking does not hold back what others said.
                left -= 1;
                next = if left == 0 { None } else { messages.try_recv().ok() };
            }
            touched.iter().for_each(|run| self.flush(run));
            self.scratch.shrink_to(BATCH);
        }
    }

    fn open(&mut self, run: &RunId, log: Option<LogTarget>, broken: Arc<AtomicBool>) -> Result<Stored> {
        if let Some(before) = self.lanes.remove(run) {
            before.broken.store(true, Ordering::Release);
        }
        let mut log = match log {
            None => Log::None,
            Some(target) => self.begin(run, target),
        };
        let mut failed = None;
        let found = self.shelf.resume(run, |piece| {
            if let (Log::Live(target, projector), None) = (&mut log, &failed) {
                projector.feed(piece);
                if projector.waiting().1.len() >= BATCH {
                    failed = append(target, run, projector).err();
                }
            }
        })?;
        let log = match (log, failed) {
            (Log::Live(target, _), Some(error)) => self.behind(target, &error),
            (log, _) => log,
        };
        let stored = Stored { cursor: found.cursor, ended: found.ended, bytes: found.bytes };
        self.lanes.insert(run.clone(), Open::new(found.file, found.ended, log, broken));
        Ok(stored)
    }

    /// Looks up how far a run's text is in its log.
    fn begin(&mut self, run: &RunId, target: LogTarget) -> Log {
        match joblog::progress(&target.path, run) {
            Ok(Some(progress)) if progress.done => Log::Done(target.path),
            Ok(progress) => {
                let progress = progress.unwrap_or_else(|| Progress::new(target.started));
                let projector = Projector::resume(&target.job, progress);
                Log::Live(target, Box::new(projector))
            }
            Err(error) => self.behind(target, &error),
        }
    }

    fn flush(&mut self, run: &RunId) {
        let Some(mut open) = self.lanes.remove(run) else { return };
        let flushed = open.flush(run, &mut self.scratch).map(|behind| match (&mut open.log, behind) {
            // Such as the marker at the beginning, when there is no output yet.
            (Log::Live(target, projector), None) => append(target, run, projector).err(),
            (_, behind) => behind,
        });
        match flushed {
            Err(error) => {
                tracing::warn!("{:#}", error.context(format!("failed to store the output of run {run}")));
                open.broken.store(true, Ordering::Release);
                return;
            }
            Ok(Some(error)) => {
                if let Log::Live(target, _) = &open.log {
                    open.log = self.behind(target.clone(), &error);
                }
            }
            Ok(None) => {}
        }
        fail::fail_point!("run.output");
        self.lanes.insert(run.clone(), open);
    }

    fn end(&mut self, run: &RunId, complete: bool) -> Result<()> {
        self.flush(run);
        let open = self.lanes.get_mut(run).with_context(|| format!("the output of run {run} could not be stored"))?;
        let ended = (|| {
            if complete && !open.ended {
                spool::write(&mut open.file, &Record::End)?;
                open.ended = true;
            }
            open.file.sync_all()
        })();
        if ended.is_err() {
            // A torn record may be at its end, and a failed fsync is not to be asked again.
            open.broken.store(true, Ordering::Release);
            self.lanes.remove(run);
        }
        ended.with_context(|| format!("failed to store the output of run {run}"))
    }

    /// Writes the marker at the end; tells whether the log is complete, and which it is.
    fn close(&mut self, run: &RunId, log: Option<LogTarget>, trailer: Trailer) -> Closed {
        self.flush(run);
        if !self.lanes.contains_key(run) && !self.shelf.raw(run).exists() && self.shelf.packed(run).exists() {
            return Closed::Complete(log.map(|target| target.path));
        }
        if !self.lanes.contains_key(run)
            && let Err(error) = self.open(run, log.clone(), Arc::default())
        {
            tracing::warn!("{error:#}");
        }
        let log = match (self.lanes.remove(run), log) {
            (Some(open), _) => open.log,
            (None, None) => Log::None,
            // No spool can be opened: the marker at least, once it can be.
            (None, Some(target)) => Log::Behind(target),
        };
        match log {
            Log::None => Closed::Complete(None),
            Log::Done(path) => Closed::Complete(Some(path)),
            Log::Behind(target) => {
                self.late.insert(run.clone(), (target, trailer));
                Closed::Late
            }
            Log::Live(target, mut projector) => {
                projector.finish(&trailer);
                if let Err(error) = append(&target, run, &mut projector) {
                    self.behind(target.clone(), &error);
                    self.late.insert(run.clone(), (target, trailer));
                    return Closed::Late;
                }
                fail::fail_point!("run.logged");
                Closed::Complete(Some(target.path))
            }
        }
    }

    fn pack(&self, run: &RunId, closed: Closed) {
        if let Closed::Complete(log) = closed {
            self.packer.pack(run, log);
        }
    }

    /// Makes up for logs that could not be written.
    fn retry(&mut self) {
        let (at, pause) = self.again.unwrap_or((Instant::now(), PAUSES[0]));
        if Instant::now() < at {
            return;
        }
        for (run, target) in self.behind_now() {
            // A look that costs nothing before one that reads the whole spool.
            if joblog::progress(&target.path, &run).is_err() {
                continue;
            }
            self.flush(&run);
            let broken = self.lanes.get(&run).map(|open| Arc::clone(&open.broken));
            // The same lane goes on: its follower need not know.
            let Some(broken) = broken else { continue };
            self.lanes.remove(&run);
            if let Err(error) = self.open(&run, Some(target), Arc::clone(&broken)) {
                tracing::warn!("{error:#}");
                broken.store(true, Ordering::Release);
            }
            self.flush(&run);
        }
        for (run, (target, trailer)) in std::mem::take(&mut self.late) {
            let closed = if joblog::progress(&target.path, &run).is_ok() {
                self.close(&run, Some(target), trailer)
            } else {
                self.late.insert(run.clone(), (target, trailer));
                Closed::Late
            };
            self.pack(&run, closed);
        }
        let waiting: BTreeSet<PathBuf> = self
            .behind_now()
            .into_iter()
            .map(|(_, target)| target.path)
            .chain(self.late.values().map(|(target, _)| target.path.clone()))
            .collect();
        self.again = (!waiting.is_empty()).then(|| (Instant::now() + pause, (pause * 2).min(PAUSES[1])));
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        for path in trouble.keys().filter(|path| !waiting.contains(*path)) {
            tracing::info!("the log {} can be written again and is complete", path.display());
        }
        trouble.retain(|path, _| waiting.contains(path));
    }

    /// Runs under way whose log lags behind.
    fn behind_now(&self) -> Vec<(RunId, LogTarget)> {
        let behind = self.lanes.iter().filter_map(|(run, open)| match &open.log {
            Log::Behind(target) => Some((run.clone(), target.clone())),
            _ => None,
        });
        behind.collect()
    }

    /// Notes that a log cannot be written, and says so once.
    fn behind(&mut self, target: LogTarget, error: &anyhow::Error) -> Log {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let why = format!("{error:#}");
        if trouble.insert(target.path.clone(), why.clone()).is_none() {
            tracing::warn!("{why}; the output is kept and follows when it can be written");
        }
        Log::Behind(target)
    }
}
