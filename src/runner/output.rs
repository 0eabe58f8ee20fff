//! The output writer: one thread that owns all spools and job logs. Its queue is bounded, so that
//! a flood slows the follower and takes no memory.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot};

use super::joblog;
use super::projection::{Progress, Projector, Trailer};
use super::shelf::Shelf;
use super::spool::{self, Cursor, Record};
use crate::engine::Frame;
use crate::run::RunId;

/// Batches that may wait for the thread.
const QUEUE: usize = 32;

/// Bytes that are gathered before they are written.
const BATCH: usize = 1 << 20;

/// The log of a run's job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTarget {
    /// The file.
    pub path: PathBuf,
    /// The name that its markers carry.
    pub job: String,
    /// When the run started.
    pub started: DateTime<Utc>,
}

/// What is stored of a run's output when it is opened.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Where following goes on.
    pub cursor: Cursor,
    /// Whether the output is complete.
    pub ended: bool,
    /// Bytes of output so far.
    pub bytes: u64,
}

/// A handle to the output writer. Clones share it.
#[derive(Debug, Clone)]
pub struct Output {
    queue: mpsc::Sender<Message>,
    shelf: Shelf,
    trouble: Arc<Mutex<BTreeMap<PathBuf, String>>>,
}

/// The output of one run that is being followed.
#[derive(Debug)]
pub struct Lane {
    /// What was stored when it was opened.
    pub stored: Stored,
    run: RunId,
    queue: mpsc::Sender<Message>,
    broken: Arc<AtomicBool>,
    used: Cell<bool>,
    complete: Cell<bool>,
}

#[derive(Debug)]
enum Message {
    Open { run: RunId, log: Option<LogTarget>, broken: Arc<AtomicBool>, reply: oneshot::Sender<Result<Stored>> },
    Push { run: RunId, pieces: Vec<Frame> },
    End { run: RunId, reply: oneshot::Sender<Result<()>> },
    Close { run: RunId, log: Option<LogTarget>, trailer: Trailer, reply: oneshot::Sender<()> },
    Retry,
    Stop { reply: oneshot::Sender<()> },
}

impl Output {
    /// Starts the thread; it ends when all handles are gone, or at [`Output::stop`].
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(shelf: Shelf) -> Result<Self> {
        let (queue, messages) = mpsc::channel(QUEUE);
        let trouble = Arc::default();
        let writer = Writer {
            shelf: shelf.clone(),
            lanes: BTreeMap::new(),
            late: BTreeMap::new(),
            trouble: Arc::clone(&trouble),
        };
        std::thread::Builder::new().name("output".to_owned()).spawn(move || writer.work(messages))?;
        Ok(Self { queue, shelf, trouble })
    }

    /// The folder of spools.
    pub const fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Opens a run's spool for more, and its log if it has one. A lane that is open already ends.
    ///
    /// # Errors
    /// When the spool can be neither read nor written. A log that cannot be written is caught up later.
    pub async fn open(&self, run: &RunId, log: Option<LogTarget>) -> Result<Lane> {
        let broken = Arc::new(AtomicBool::new(false));
        let (reply, answer) = oneshot::channel();
        let message = Message::Open { run: run.clone(), log, broken: Arc::clone(&broken), reply };
        self.queue.send(message).await.map_err(ended)?;
        let stored = answer.await.map_err(ended)??;
        let (used, complete) = (Cell::new(false), Cell::new(stored.ended));
        Ok(Lane { stored, run: run.clone(), queue: self.queue.clone(), broken, used, complete })
    }

    /// Closes a run that is recorded: the marker in its log, then compression. When the log cannot
    /// be written this is done later; until then the spool stays.
    ///
    /// # Errors
    /// When the thread has ended.
    pub async fn close(&self, run: &RunId, log: Option<LogTarget>, trailer: Trailer) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Message::Close { run: run.clone(), log, trailer, reply }).await.map_err(ended)?;
        answer.await.map_err(ended)
    }

    /// Asks for another attempt at logs that could not be written. Cheap; drop it in now and then.
    pub fn retry(&self) {
        if !self.trouble.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            // A full queue means that it is busy: the next time will do.
            let _ = self.queue.try_send(Message::Retry);
        }
    }

    /// Logs that cannot be written at present, with the reason.
    pub fn trouble(&self) -> BTreeMap<PathBuf, String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes everything that is queued and ends the thread.
    pub async fn stop(&self) {
        let (reply, answer) = oneshot::channel();
        if self.queue.send(Message::Stop { reply }).await.is_ok() {
            let _ = answer.await;
        }
    }
}

impl Lane {
    /// Whether the output is marked as complete.
    pub const fn is_complete(&self) -> bool {
        self.complete.get()
    }

    /// Whether pieces were stored since it was opened, so that `stored` is out of date.
    pub const fn is_used(&self) -> bool {
        self.used.get()
    }

    /// Stores pieces; waits while the queue is full.
    ///
    /// # Errors
    /// When pieces before could not be stored: open the run again, and follow from there.
    pub async fn push(&self, pieces: Vec<Frame>) -> Result<()> {
        if self.broken.load(Ordering::Acquire) {
            bail!("the output of run {} could not be stored", self.run);
        }
        self.used.set(true);
        self.queue.send(Message::Push { run: self.run.clone(), pieces }).await.map_err(ended)
    }

    /// Marks the output as complete; on the disk when it returns.
    ///
    /// # Errors
    /// When it could not be stored.
    pub async fn end(&self) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Message::End { run: self.run.clone(), reply }).await.map_err(ended)?;
        answer.await.map_err(ended)??;
        self.complete.set(true);
        Ok(())
    }
}

fn ended<E>(_: E) -> anyhow::Error {
    anyhow!("the output writer has ended")
}

/// How the log of a run is kept.
#[derive(Debug)]
enum Log {
    /// It has none.
    None,
    /// Text is appended as it comes.
    Live(LogTarget, Box<Projector>),
    /// It could not be written; it is made up from the spool later.
    Behind(LogTarget),
    /// All is in.
    Done(PathBuf),
}

/// What became of a log at the end of its run.
#[derive(Debug)]
enum Closed {
    /// All is in.
    Complete(Option<PathBuf>),
    /// It follows when it can be written.
    Late,
}

#[derive(Debug)]
struct Open {
    file: File,
    buffer: Vec<u8>,
    ended: bool,
    log: Log,
    broken: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Writer {
    shelf: Shelf,
    lanes: BTreeMap<RunId, Open>,
    /// Recorded runs whose log still lacks something.
    late: BTreeMap<RunId, (LogTarget, Trailer)>,
    trouble: Arc<Mutex<BTreeMap<PathBuf, String>>>,
}

impl Writer {
    fn work(mut self, mut messages: mpsc::Receiver<Message>) {
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

fn write_spool(open: &mut Open) -> Result<()> {
    open.file.write_all(&open.buffer)?;
    open.buffer.clear();
    Ok(())
}

fn append(target: &LogTarget, run: &RunId, projector: &mut Projector) -> Result<()> {
    let (before, text) = projector.waiting();
    if !text.is_empty() {
        joblog::append(&target.path, run, before, text)?;
    }
    projector.written();
    Ok(())
}
