//! Compression and retention of the spools of finished runs, on a thread of its own: a spool of a
//! gigabyte takes seconds, and other runs go on talking meanwhile.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use tokio::sync::oneshot;

use crate::run::RunId;
use crate::runner::joblog;
use crate::runner::shelf::{Keep, Shelf};

/// After so many compressed spools the folder is looked through. Looking costs 0.2 s with 100,000.
const ROUND: usize = 256;

/// Longest time between two looks: spools also grow old while nothing runs.
const HOUR: Duration = Duration::from_secs(3600);

/// Time until what could not be compressed is tried again.
const PAUSE: Duration = Duration::from_secs(30);

/// What the thread is asked for.
#[derive(Debug)]
enum Work {
    Pack { run: RunId, log: Option<PathBuf> },
    Keep(Keep),
    Stop(oneshot::Sender<()>),
}

/// A handle to the thread. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Packer {
    work: Sender<Work>,
    /// What is sent while the thread ends may stay in the queue for ever, unanswered.
    stopped: Arc<AtomicBool>,
}

impl Packer {
    /// Starts the thread; it ends with the last handle, or at [`Packer::stop`].
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(shelf: Shelf) -> Result<Self> {
        let (work, queue) = mpsc::channel();
        std::thread::Builder::new().name("packer".to_owned()).spawn(move || {
            // On Linux this is of the thread alone. Whatever is due comes first.
            let _ = rustix::process::nice(10);
            work_off(&shelf, &queue);
        })?;
        Ok(Self { work, stopped: Arc::default() })
    }

    /// Compresses the spool of a run whose log is complete. The log's note is dropped last: a spool
    /// that is found uncompressed has its note.
    pub(super) fn pack(&self, run: &RunId, log: Option<PathBuf>) {
        // A thread that has ended leaves it to the next start.
        let _ = self.work.send(Work::Pack { run: run.clone(), log });
    }

    /// Says what stays.
    pub(super) fn keep(&self, keep: Keep) {
        let _ = self.work.send(Work::Keep(keep));
    }

    /// Ends the thread when its work is done.
    pub(super) async fn stop(&self) {
        let (reply, answer) = oneshot::channel();
        if self.stopped.swap(true, Ordering::AcqRel) {
            return;
        }
        if self.work.send(Work::Stop(reply)).is_ok() {
            let _ = answer.await;
        }
    }
}

fn pack(shelf: &Shelf, run: &RunId, log: Option<&Path>) -> Result<()> {
    shelf.pack(run)?;
    fail::fail_point!("run.packed");
    log.map_or(Ok(()), |log| joblog::forget(log, run))
}

fn work_off(shelf: &Shelf, queue: &Receiver<Work>) {
    let (mut keep, mut since) = (None, 0);
    // Such as on a full disk.
    let mut failed = Vec::new();
    loop {
        match queue.recv_timeout(if failed.is_empty() { HOUR } else { PAUSE }) {
            Ok(Work::Pack { run, log }) => {
                if let Err(error) = pack(shelf, &run, log.as_deref()) {
                    tracing::warn!("{error:#}; it is tried again");
                    failed.push((run, log));
                }
                since += 1;
                if since < ROUND {
                    continue;
                }
            }
            Ok(Work::Keep(new)) if keep == Some(new) => continue,
            Ok(Work::Keep(new)) => keep = Some(new),
            Ok(Work::Stop(reply)) => {
                let _ = reply.send(());
                return;
            }
            Err(RecvTimeoutError::Timeout) if !failed.is_empty() => {
                // What goes for its age or size may make the room.
                failed.retain(|(run, log)| pack(shelf, run, log.as_deref()).is_err());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        since = 0;
        if let Some(keep) = keep
            && let Err(error) = shelf.prune(keep, SystemTime::now())
        {
            tracing::warn!("{error:#}");
        }
    }
}
