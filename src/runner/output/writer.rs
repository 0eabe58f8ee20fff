//! The thread that writes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::sync::mpsc;

use super::lane::{Closed, Log, Open, append, write_spool};
use super::{LogTarget, Message, Stored};
use crate::engine::Frame;
use crate::run::RunId;
use crate::runner::joblog;
use crate::runner::projection::{Progress, Projector, Trailer};
use crate::runner::shelf::Shelf;
use crate::runner::spool::{self, Record};

/// Bytes that are gathered before they are written.
const BATCH: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Writer {
    shelf: Shelf,
    lanes: BTreeMap<RunId, Open>,
    /// Recorded runs whose log still lacks something.
    late: BTreeMap<RunId, (LogTarget, Trailer)>,
    trouble: Arc<Mutex<BTreeMap<PathBuf, String>>>,
}

impl Writer {
    pub(super) fn new(shelf: Shelf, trouble: Arc<Mutex<BTreeMap<PathBuf, String>>>) -> Self {
        Self { shelf, lanes: BTreeMap::new(), late: BTreeMap::new(), trouble }
    }

    pub(super) fn work(mut self, mut messages: mpsc::Receiver<Message>) {
        while let Some(first) = messages.blocking_recv() {
            let mut touched = BTreeSet::new();
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Stop { reply } => {
                        touched.iter().for_each(|run| self.flush(run));
                        let _ = reply.send(());
                        return;
                    }
                    Message::Open { run, log, broken, reply } => {
                        let _ = reply.send(self.open(&run, log, broken));
                        touched.insert(run);
                    }
                    Message::Push { run, pieces } => {
                        self.push(&run, pieces);
                        touched.insert(run);
                    }
                    Message::End { run, reply } => {
                        let _ = reply.send(self.end(&run));
                    }
                    Message::Close { run, log, trailer, reply } => {
                        let closed = self.close(&run, log, trailer);
                        let _ = reply.send(());
                        self.pack(&run, closed);
                    }
                    Message::Retry => self.retry(),
                }
                next = messages.try_recv().ok();
            }
            touched.iter().for_each(|run| self.flush(run));
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
            if let Log::Live(target, projector) = &mut log {
                projector.feed(piece);
                if failed.is_none() && projector.waiting().1.len() >= BATCH {
                    failed = append(target, run, projector).err();
                }
            }
        })?;
        let log = match (log, failed) {
            (Log::Live(target, _), Some(error)) => self.behind(target, &error),
            (log, _) => log,
        };
        let stored = Stored { cursor: found.cursor, ended: found.ended, bytes: found.bytes };
        let open = Open { file: found.file, buffer: Vec::new(), ended: found.ended, log, broken };
        self.lanes.insert(run.clone(), open);
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

    fn push(&mut self, run: &RunId, pieces: Vec<Frame>) {
        let Some(open) = self.lanes.get_mut(run) else { return };
        for piece in pieces {
            if let Log::Live(_, projector) = &mut open.log {
                projector.feed(&piece);
            }
            // Into memory: cannot fail but for the length, which the engine bounds.
            if spool::write(&mut open.buffer, &Record::Piece(piece)).is_err() {
                open.broken.store(true, Ordering::Release);
            }
        }
        if open.buffer.len() >= BATCH {
            self.flush(run);
        }
    }

    /// Spool first, log second: the log holds nothing that the spool lacks.
    fn flush(&mut self, run: &RunId) {
        let Some(mut open) = self.lanes.remove(run) else { return };
        if let Err(error) = write_spool(&mut open) {
            tracing::warn!("{:#}", error.context(format!("failed to store the output of run {run}")));
            open.broken.store(true, Ordering::Release);
            return;
        }
        fail::fail_point!("run.spooled");
        if let Log::Live(target, projector) = &mut open.log
            && let Err(error) = append(target, run, projector)
        {
            open.log = self.behind(target.clone(), &error);
        }
        fail::fail_point!("run.output");
        self.lanes.insert(run.clone(), open);
    }

    fn end(&mut self, run: &RunId) -> Result<()> {
        self.flush(run);
        let open = self.lanes.get_mut(run).with_context(|| format!("the output of run {run} could not be stored"))?;
        if !open.ended {
            spool::write(&mut open.file, &Record::End)?;
            open.ended = true;
        }
        open.file.sync_all().with_context(|| format!("failed to store the output of run {run}"))
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
                self.trouble.lock().unwrap_or_else(PoisonError::into_inner).remove(&target.path);
                Closed::Complete(Some(target.path))
            }
        }
    }

    /// Compresses the spool of a run whose log is complete. The note is dropped last: a spool that
    /// is found uncompressed has its note.
    fn pack(&mut self, run: &RunId, closed: Closed) {
        let Closed::Complete(log) = closed else { return };
        let packed = self.shelf.pack(run);
        fail::fail_point!("run.packed");
        if let Err(error) = packed.and_then(|()| log.map_or(Ok(()), |log| joblog::forget(&log, run))) {
            tracing::warn!("{error:#}");
        }
    }

    /// Makes up for logs that could not be written.
    fn retry(&mut self) {
        let behind: Vec<(RunId, LogTarget)> = self
            .lanes
            .iter()
            .filter_map(|(run, open)| match &open.log {
                Log::Behind(target) => Some((run.clone(), target.clone())),
                _ => None,
            })
            .collect();
        for (run, target) in behind {
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
            let closed = self.close(&run, Some(target), trailer);
            self.pack(&run, closed);
        }
        let waiting: BTreeSet<PathBuf> = self
            .lanes
            .values()
            .filter_map(|open| match &open.log {
                Log::Behind(target) => Some(target.path.clone()),
                _ => None,
            })
            .chain(self.late.values().map(|(target, _)| target.path.clone()))
            .collect();
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).retain(|path, _| waiting.contains(path));
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
