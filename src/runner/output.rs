//! The output writer: one thread that owns all spools and job logs. Its queue is bounded, so that
//! a flood slows the follower and takes no memory.

mod lane;
mod writer;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow, bail};
use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot};

use super::projection::Trailer;
use super::shelf::Shelf;
use super::spool::Cursor;
use crate::engine::Frame;
use crate::run::RunId;
use writer::Writer;

/// Batches that may wait for the thread.
const QUEUE: usize = 32;

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
        let writer = Writer::new(shelf.clone(), Arc::clone(&trouble));
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
