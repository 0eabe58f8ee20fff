//! What must outlive the process: runs, watermarks, skips. The only user of SQLite.
//!
//! One thread owns the one connection that writes; [`Store`] is a handle to it that can be cloned.
//! Whoever only looks (a command beside a daemon, a page) opens a [`Reader`] of its own.

mod damage;
mod decide;
mod definitions;
pub mod disk;
mod lease;
mod open;
mod plan;
mod prune;
mod read;
mod row;
mod schema;
mod sql;
mod stopped;
mod thread;
mod write;

pub use decide::{Decided, Settled, Skipped};
pub use lease::{Lease, instance};
pub use open::Opened;
pub use read::{Filter, LastOutcome, Listed, Reader, Watermark};
pub use row::Unreadable;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};

use crate::job::{Job, JobName};
use crate::run::{Ledger, Occurrence, RunId, RunRecord, SkipRow, Started, State, StopReason, Stopped, Trigger};
use crate::secret::Environment;
use thread::{Durability, Thread};

/// File name of the store below the state dir. Nothing but SQLite opens it.
pub const FILE: &str = "store.sqlite";

/// A handle to the thread that owns the writing connection. Clones share it; the thread ends with
/// the last of them.
#[derive(Debug, Clone)]
pub struct Store {
    thread: Thread,
}

impl Store {
    /// Opens the store in a state dir, creating it where there is none. The lease proves that no
    /// other process writes to it.
    ///
    /// # Errors
    /// When the folder cannot be written. A corrupt file is no error: see [`Opened::set_aside`].
    pub fn open(state_dir: &Path, lease: &Lease) -> Result<Opened> {
        let _ = lease;
        open::open(state_dir)
    }

    /// Opens the store for reading only, beside a daemon.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn open_read_only(state_dir: &Path) -> Result<Reader> {
        Reader::open(state_dir)
    }

    /// Writes what a tick has decided, in one transaction, and gives the rows that are new: a row
    /// whose occurrence is there already is left out. `era` is the new clock era, when one began.
    ///
    /// # Errors
    /// When it could not be written; nothing of it is then.
    pub async fn plan(
        &self,
        rows: Vec<RunRecord>,
        skips: Vec<SkipRow>,
        watermarks: Vec<(JobName, DateTime<Utc>, u32)>,
        era: Option<u32>,
    ) -> Result<Vec<RunRecord>> {
        self.thread
            .write(Durability::Process, move |tx| {
                if let Some(era) = era {
                    write::set_meta(tx, "era", &era.to_string())?;
                }
                plan::plan(tx, rows, &skips, &watermarks)
            })
            .await
    }

    /// Plans rows that belong to a mark (such as a start of the host), together with the mark in one
    /// transaction: never twice for the same mark, and never the mark without its rows.
    ///
    /// # Errors
    /// When it could not be written; nothing of it is then.
    pub async fn plan_once(&self, key: &str, mark: &str, rows: Vec<RunRecord>) -> Result<Vec<RunRecord>> {
        let (key, mark) = (key.to_owned(), mark.to_owned());
        self.thread
            .write(Durability::Process, move |tx| {
                if read::meta(tx, &key)?.as_deref() == Some(mark.as_str()) {
                    return Ok(vec![]);
                }
                write::set_meta(tx, &key, &mark)?;
                plan::insert_new(tx, rows)
            })
            .await
    }

    /// Plans a run on request, at the whole second of `now` or the next one that is free.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn plan_manual(
        &self,
        job: JobName,
        env: Environment,
        trigger: Trigger,
        now: DateTime<Utc>,
    ) -> Result<RunRecord> {
        self.thread.write(Durability::Process, move |tx| plan::plan_manual(tx, job, env, trigger, now)).await
    }

    /// Writes what was decided about rows that wait, in one transaction that reaches the disk where
    /// a run has ended.
    ///
    /// # Errors
    /// When it could not be written; nothing of it is then.
    pub async fn decide(&self, decided: Decided, now: DateTime<Utc>) -> Result<Settled> {
        let durability = if decided.finished.is_empty() { Durability::Process } else { Durability::Power };
        self.thread.write(durability, move |tx| decide::decide(tx, decided, now)).await
    }

    /// Notes that somebody asked for the end of a run; gives whether that is still to come. Until
    /// it is recorded, whoever takes up the run ends it.
    ///
    /// # Errors
    /// When there is no such run, or it could not be written.
    pub async fn ask_to_stop(&self, run: &RunId) -> Result<bool> {
        let run = run.clone();
        self.thread.write(Durability::Process, move |tx| write::ask_to_stop(tx, &run)).await
    }

    /// As [`Ledger::starting`], together with the definition that the run begins with.
    ///
    /// # Errors
    /// When it could not be written; nothing of it is then.
    pub async fn begin(&self, run: &RunId, started: &Started, definition: Option<String>) -> Result<()> {
        let (run, started) = (run.clone(), started.clone());
        self.thread
            .write(Durability::Process, move |tx| {
                write::starting(tx, &run, started)?;
                definition.map_or(Ok(()), |definition| definitions::keep(tx, &run, &definition))
            })
            .await
    }

    /// The definitions that unfinished runs have begun with, as far as they are known.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn definitions(&self) -> Result<HashMap<RunId, Job>> {
        self.thread.read(definitions::all).await
    }

    /// Notes that the command of a run is about to be started in a container that is not its own, or
    /// stopped there.
    ///
    /// # Errors
    /// When there is no such run, or it has begun in another way or ended.
    pub async fn direct(&self, record: &RunRecord) -> Result<()> {
        let record = record.clone();
        self.thread.write(Durability::Process, move |tx| write::direct(tx, record)).await
    }

    /// Records an outcome together with the rows that follow from it (the next attempt, the next
    /// action) in one commit that reaches the disk. Gives those of the rows that wait now: they may have
    /// been there before.
    ///
    /// # Errors
    /// When the record holds no outcome, or could not be written; nothing of it is then.
    pub async fn finish(&self, record: &RunRecord, next: Vec<RunRecord>) -> Result<Vec<RunRecord>> {
        let record = record.clone();
        self.thread.write(Durability::Power, move |tx| write::finish(tx, record, next)).await
    }

    /// All runs without an outcome, by the instant at which they fell due, but for those that cannot
    /// be read: they are told in the log.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn unfinished(&self) -> Result<Vec<RunRecord>> {
        self.thread.read(read::unfinished).await
    }

    /// The run of this id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn get(&self, run: &RunId) -> Result<Option<RunRecord>> {
        let run = run.clone();
        self.thread.read(move |c| read::get(c, &run)).await
    }

    /// The run of this occurrence.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find(&self, occurrence: &Occurrence) -> Result<Option<RunRecord>> {
        let occurrence = occurrence.clone();
        self.thread.read(move |c| read::find(c, &occurrence)).await
    }

    /// Puts back a row that was rebuilt from a container's labels, and raises the job's watermark
    /// to it. Gives the row in force, which is the stored one if there is one.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn insert_from_labels(&self, record: RunRecord) -> Result<RunRecord> {
        self.thread.write(Durability::Process, move |tx| plan::insert_from_labels(tx, record)).await
    }

    /// Runs and skips, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn runs(&self, filter: Filter) -> Result<Vec<Listed>> {
        self.thread.read(move |c| read::runs(c, &filter)).await
    }

    /// How each job's main action ended the last time.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn last_outcomes(&self) -> Result<BTreeMap<JobName, LastOutcome>> {
        self.thread.read(read::last_outcomes).await
    }

    /// How long the last `last` runs of a job took that succeeded.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn took(&self, job: &JobName, last: usize) -> Result<Vec<TimeDelta>> {
        let job = job.clone();
        self.thread.read(move |c| read::took(c, &job, last)).await
    }

    /// Up to which instant the occurrences of each job are decided.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn watermarks(&self) -> Result<BTreeMap<JobName, Watermark>> {
        self.thread.read(read::watermarks).await
    }

    /// Raises a job's watermark; one that is higher stays.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn raise_watermark(&self, job: JobName, at: DateTime<Utc>, era: u32) -> Result<()> {
        self.thread.write(Durability::Process, move |tx| plan::raise(tx, &job, at, era)).await
    }

    /// Notes that a service's container is about to be stopped for a run, in a commit that reaches
    /// the disk. Noted before is fine: the newest note counts.
    ///
    /// # Errors
    /// When it could not be written: then it must not be stopped.
    pub async fn note_stopped(&self, note: &Stopped) -> Result<()> {
        let note = note.clone();
        self.thread.write(Durability::Power, move |tx| stopped::note(tx, &note)).await
    }

    /// Everything that was stopped for runs and is not known to run again, the first stopped first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn stopped(&self) -> Result<Vec<Stopped>> {
        self.thread.read(stopped::all).await
    }

    /// Notes that a container runs again. One that was not noted is fine.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn forget_stopped(&self, note: &Stopped) -> Result<()> {
        let note = note.clone();
        self.thread.write(Durability::Process, move |tx| stopped::forget(tx, &note)).await
    }

    /// A small value by its key.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn meta_get(&self, key: &str) -> Result<Option<String>> {
        let key = key.to_owned();
        self.thread.read(move |c| read::meta(c, &key)).await
    }

    /// Sets a small value.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn meta_set(&self, key: &str, value: &str) -> Result<()> {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.thread.write(Durability::Process, move |tx| write::set_meta(tx, &key, &value)).await
    }

    /// The clock era: how often the clock has stepped back.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn era(&self) -> Result<u32> {
        self.thread.read(read::era).await
    }

    /// Drops the oldest finished runs and skips beyond `keep`, and those planned before `since`; the
    /// last occurrence of each job stays. Others get their turn in between. Gives how many runs went.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn prune(&self, keep: usize, since: DateTime<Utc>) -> Result<usize> {
        let mut gone = 0;
        loop {
            let round = self.thread.write(Durability::Process, move |tx| prune::round(tx, keep, since)).await?;
            gone += round.runs;
            if !round.more {
                return Ok(gone);
            }
        }
    }

    /// The last planned instant of which a run was ever dropped by [`Store::prune`]. A run up to it
    /// that has no row had ended.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn forgotten(&self) -> Result<Option<DateTime<Utc>>> {
        let at = self.thread.read(prune::forgotten).await?;
        Ok(at.and_then(|at| DateTime::from_timestamp(at, 0)))
    }

    /// Why its disk has no room for output any more, if so. Cheap; it also gives up the ballast in
    /// time and makes it again.
    pub fn look_at_disk(&self) -> Option<String> {
        self.thread.ballast().look()
    }

    /// Why the file cannot be used any more, once damage was found: it is set aside at the next start.
    pub fn damage(&self) -> Option<String> {
        self.thread.damage().found()
    }
}

impl Ledger for Store {
    async fn starting(&self, run: &RunId, started: &Started) -> Result<()> {
        self.begin(run, started, None).await
    }

    async fn not_started(&self, run: &RunId) -> Result<()> {
        let run = run.clone();
        self.thread.write(Durability::Process, move |tx| write::not_started(tx, &run)).await
    }

    async fn running(&self, run: &RunId, at: DateTime<Utc>, deadline: Option<DateTime<Utc>>) -> Result<()> {
        let run = run.clone();
        self.thread
            .write(Durability::Process, move |tx| {
                write::advance(tx, &run, |record, container| {
                    record.started_at = Some(at);
                    record.state = State::Running { container, deadline };
                })
            })
            .await
    }

    async fn stopping(&self, run: &RunId, why: StopReason, kill_at: DateTime<Utc>) -> Result<()> {
        let run = run.clone();
        self.thread
            .write(Durability::Process, move |tx| {
                write::advance(tx, &run, |record, container| {
                    record.state = State::Stopping { container, why, kill_at };
                })
            })
            .await
    }

    async fn stopped(&self, note: &Stopped) -> Result<()> {
        self.note_stopped(note).await
    }

    async fn finished(&self, record: &RunRecord) -> Result<()> {
        self.finish(record, Vec::new()).await.map(drop)
    }
}

#[cfg(test)]
mod tests;
