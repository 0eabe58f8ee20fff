//! The output writer: one thread that owns all open spools and job logs, and one beside it that
//! compresses and drops old ones. What waits for the thread is bounded in bytes, so that a flood
//! slows its follower and takes no memory.

mod lane;
mod packer;
#[cfg(test)]
mod tests;
mod writer;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow, bail};
use chrono::{DateTime, Utc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::projection::Trailer;
use super::shelf::{Keep, Shelf};
use super::spool::Cursor;
use crate::engine::Frame;
use crate::run::RunId;
use packer::Packer;
use writer::Writer;

/// Messages that may wait for the thread.
const QUEUE: usize = 64;

/// Bytes of pieces that may be on their way to the disk, of all runs together.
const BUDGET: usize = 2 << 20;

/// What a piece takes beside its bytes.
const PIECE: usize = 64;

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
    budget: Arc<Semaphore>,
    packer: Packer,
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
    budget: Arc<Semaphore>,
    broken: Arc<AtomicBool>,
    used: Cell<bool>,
    complete: Cell<bool>,
}

#[derive(Debug)]
enum Message {
    Open { run: RunId, log: Option<LogTarget>, broken: Arc<AtomicBool>, reply: oneshot::Sender<Result<Stored>> },
    Push { run: RunId, pieces: Vec<Frame>, share: OwnedSemaphorePermit },
    End { run: RunId, complete: bool, reply: oneshot::Sender<Result<()>> },
    Close { run: RunId, log: Option<LogTarget>, trailer: Trailer, reply: oneshot::Sender<()> },
    Retry,
    Stop { reply: oneshot::Sender<()> },
}

impl Output {
    /// Starts the threads; they end when all handles are gone, or at [`Output::stop`].
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(shelf: Shelf) -> Result<Self> {
        let (queue, messages) = mpsc::channel(QUEUE);
        let trouble = Arc::default();
        let packer = Packer::start(shelf.clone())?;
        let writer = Writer::new(shelf.clone(), packer.clone(), Arc::clone(&trouble));
        std::thread::Builder::new().name("output".to_owned()).spawn(move || writer.work(messages))?;
        Ok(Self { queue, budget: Arc::new(Semaphore::new(BUDGET)), packer, shelf, trouble })
    }

    /// The folder of spools.
    pub const fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Says which spools of finished runs stay: at once, and from now on.
    pub fn keep(&self, keep: Keep) {
        self.packer.keep(keep);
    }

    /// Opens a run's spool for more, and its log if it has one. A lane that is open already ends.
    ///
    /// # Errors
    /// When the spool can be neither read nor written. A log that cannot be written is caught up later.
    pub async fn open(&self, run: &RunId, log: Option<LogTarget>) -> Result<Lane> {
        let broken = Arc::new(AtomicBool::new(false));
        let (reply, answer) = oneshot::channel();
        let message = Message::Open { run: run.clone(), log, broken: Arc::clone(&broken), reply };
        let stored = ask(&self.queue, message, answer).await??;
        let (used, complete) = (Cell::new(false), Cell::new(stored.ended));
        let (queue, budget) = (self.queue.clone(), Arc::clone(&self.budget));
        Ok(Lane { stored, run: run.clone(), queue, budget, broken, used, complete })
    }

    /// Closes a run that is recorded: the marker in its log, then compression. When the log cannot
    /// be written this is done later; until then the spool stays.
    ///
    /// # Errors
    /// When the thread has ended.
    pub async fn close(&self, run: &RunId, log: Option<LogTarget>, trailer: Trailer) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        ask(&self.queue, Message::Close { run: run.clone(), log, trailer, reply }, answer).await
    }

    /// Puts the spool of a run that nobody goes on with among those of finished ones.
    pub fn put_away(&self, run: &RunId) {
        self.packer.pack(run, None);
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

    /// Writes everything that is queued, compresses what is over, and ends the threads.
    pub async fn stop(&self) {
        let (reply, answer) = oneshot::channel();
        // Whoever asks a second time finds it ended, or as good as.
        let _ = ask(&self.queue, Message::Stop { reply }, answer).await;
        self.packer.stop().await;
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

    /// Stores pieces; waits while too many bytes are on their way.
    ///
    /// # Errors
    /// When pieces before could not be stored: open the run again, and follow from there.
    pub async fn push(&self, pieces: Vec<Frame>) -> Result<()> {
        let cost = pieces.iter().map(|piece| piece.bytes.len() + PIECE).sum::<usize>().min(BUDGET);
        let share = Arc::clone(&self.budget).acquire_many_owned(u32::try_from(cost)?).await.map_err(ended)?;
        if self.broken.load(Ordering::Acquire) {
            bail!("the output of run {} could not be stored", self.run);
        }
        self.used.set(true);
        self.queue.send(Message::Push { run: self.run.clone(), pieces, share }).await.map_err(ended)
    }

    /// Marks the output as complete; on the disk when it returns.
    ///
    /// # Errors
    /// When it could not be stored.
    pub async fn end(&self) -> Result<()> {
        self.finish(true).await?;
        self.complete.set(true);
        Ok(())
    }

    /// What was pushed is on the disk when it returns.
    ///
    /// # Errors
    /// When it could not be stored.
    pub async fn sync(&self) -> Result<()> {
        self.finish(false).await
    }

    async fn finish(&self, complete: bool) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        ask(&self.queue, Message::End { run: self.run.clone(), complete, reply }, answer).await?
    }
}

/// Sends a message and waits for its answer. A message that is sent while the thread ends may stay in
/// the queue for ever, unanswered.
async fn ask<T>(queue: &mpsc::Sender<Message>, message: Message, answer: oneshot::Receiver<T>) -> Result<T> {
    queue.send(message).await.map_err(ended)?;
    tokio::select! {
        biased;
        answer = answer => answer.map_err(ended),
        () = queue.closed() => Err(ended(())),
    }
}

fn ended<E>(_: E) -> anyhow::Error {
    anyhow!("the output writer has ended")
}
