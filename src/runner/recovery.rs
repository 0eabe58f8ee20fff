//! The one way to start: what is found on the engine and in the store becomes runs that go on.
//! Nothing is armed before.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};

use super::labels::{Identity, record_from_labels};
use super::output::{LogTarget, Output};
use super::perform::Entry;
use super::projection::Trailer;
use crate::engine::{EngineError, Life, Runs, Seen};
use crate::job::{Job, JobName};
use crate::run::{Outcome, RunId, RunRecord, labels};
use crate::store::{Store, Unreadable, Watermark};

/// A run that goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct Resume {
    /// Its row.
    pub record: RunRecord,
    /// Where it is entered.
    pub entry: Entry,
    /// The definition that it began with, where it is known.
    pub began_as: Option<Job>,
}

/// What recovery has found and done.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recovered {
    /// Runs that go on, those that only wait included, first come first.
    pub resumes: Vec<Resume>,
    /// Containers that were removed because nothing about them was open.
    pub removed: Vec<String>,
    /// What a person should know, one sentence each.
    pub remarks: Vec<String>,
}

/// Brings store and engine together. `process_started` is when this process began: containers
/// without a run (probes and the like) that are older belong to nobody any more.
///
/// # Errors
/// When the engine cannot be reached or the store cannot be written: try again, nothing is lost.
pub async fn recover<E: Runs>(
    engine: &E,
    store: &Store,
    identity: &Identity,
    process_started: DateTime<Utc>,
) -> Result<Recovered> {
    let decided = store.watermarks().await?;
    let forgotten = store.forgotten().await?;
    let mut recovery = Recovery { engine, store, identity, decided, forgotten, done: Recovered::default() };
    let mut found: Vec<(RunId, Seen)> = Vec::new();
    let ids = engine.list(&identity.filter()).await.context("failed to list the containers of runs")?;
    fail::fail_point!("recover.listed");
    for id in ids {
        // `list` may lag behind; `inspect` waits for a start that is under way.
        let Some(seen) = engine.look(&id).await? else { continue };
        if let Some(run) = recovery.place(&seen, process_started).await? {
            found.push((run, seen));
        }
    }
    let mut definitions = store.definitions().await?;
    for record in store.unfinished().await? {
        let at = recovery.choose(&record, &found);
        let seen = match at {
            Some(at) => Some(found.swap_remove(at).1),
            // Its labels may be gone or changed; its id is not.
            None => match record.state.container() {
                Some(id) => engine.look(id).await?,
                None => None,
            },
        };
        let entry = Entry::of(&record.state, seen);
        let began_as = definitions.remove(&record.id);
        recovery.done.resumes.push(Resume { record, entry, began_as });
    }
    Ok(recovery.done)
}

struct Recovery<'a, E> {
    engine: &'a E,
    store: &'a Store,
    identity: &'a Identity,
    /// The watermarks as they were found.
    decided: BTreeMap<JobName, Watermark>,
    /// Up to when the history has forgotten runs.
    forgotten: Option<DateTime<Utc>>,
    done: Recovered,
}

impl<E: Runs> Recovery<'_, E> {
    /// Which of the containers found is that of a run: the one that was marked, else the one that
    /// has its name. Others that carry its labels were made by somebody else.
    fn choose(&mut self, record: &RunRecord, found: &[(RunId, Seen)]) -> Option<usize> {
        let mut of_run: Vec<usize> = (0..found.len()).filter(|at| found[*at].0 == record.id).collect();
        let name = record.occurrence.container_name(&self.identity.stack);
        of_run.sort_by_key(|at| {
            let seen = &found[*at].1;
            (record.state.container() != Some(seen.id.as_str()), seen.name != name)
        });
        // What was marked is the run, even if it is gone.
        let marked = |at: &usize| record.state.container().is_none_or(|id| id == found[*at].1.id);
        let chosen = of_run.first().copied().filter(marked);
        for other in of_run.iter().filter(|at| Some(**at) != chosen) {
            let name = &found[*other].1.name;
            self.remark(format!("the container {name} carries the labels of run {}; it is left alone", record.id));
        }
        chosen
    }

    /// Finds the row of a container, or makes one; `None` when it needs none or is done with.
    async fn place(&mut self, seen: &Seen, process_started: DateTime<Utc>) -> Result<Option<RunId>> {
        if let Some(parent) = seen.labels.get(labels::PARENT) {
            self.child(seen, &RunId(parent.clone())).await?;
            return Ok(None);
        }
        if seen.labels.contains_key(labels::ROLE) {
            // One that runs serves a deploy that goes on beside us; it is removed with that one.
            if seen.life != Life::Running && seen.started_at.is_none_or(|at| at < process_started) {
                self.remove(seen).await?;
            }
            return Ok(None);
        }
        let Some(rebuilt) = record_from_labels(seen) else {
            self.remark(format!(
                "the container {} carries our labels, but not those of a run; it is left alone",
                seen.name
            ));
            return Ok(None);
        };
        let stored = match self.stored(&rebuilt).await {
            Err(error) if error.is::<Unreadable>() => {
                self.remark(format!("the row of {} cannot be read; its container is left alone", seen.name));
                return Ok(None);
            }
            answer => answer?,
        };
        let Some(record) = stored else {
            if seen.life == Life::Created && self.is_decided(&rebuilt) {
                // Skipped while its container waited to be started.
                self.remove(seen).await?;
                return Ok(None);
            }
            if seen.life != Life::Running && self.forgotten.is_some_and(|at| rebuilt.occurrence.planned_for <= at) {
                // Only what has an outcome is forgotten. Were it rebuilt, it would be recorded or even
                // run once more.
                self.remark(format!(
                    "the container {} is left over from a run that the history has forgotten; it is removed",
                    seen.name
                ));
                self.remove(seen).await?;
                return Ok(None);
            }
            let record = self.store.insert_from_labels(rebuilt).await?;
            fail::fail_point!("recover.row");
            self.remark(format!(
                "the run of {} was not in the store; its row is rebuilt from {}",
                record.occurrence, seen.name
            ));
            return Ok(Some(record.id));
        };
        match record.outcome() {
            None => Ok(Some(record.id)),
            // Whatever the row says: what runs is not killed.
            Some(outcome) if seen.life == Life::Running => {
                self.remark(format!("the container {} still runs although its run ended as {outcome}", seen.name));
                Ok(None)
            }
            Some(_) => {
                self.remove(seen).await?;
                Ok(None)
            }
        }
    }

    async fn stored(&self, rebuilt: &RunRecord) -> Result<Option<RunRecord>> {
        match self.store.get(&rebuilt.id).await? {
            Some(record) => Ok(Some(record)),
            None => self.store.find(&rebuilt.occurrence).await,
        }
    }

    /// A step of another run: its parent decides about it for as long as that goes on.
    async fn child(&mut self, seen: &Seen, parent: &RunId) -> Result<()> {
        let parent_ended = match self.store.get(parent).await {
            Ok(Some(record)) => record.outcome().is_some(),
            // Of a lost store: its journal may still go on.
            Ok(None) => false,
            Err(error) if error.is::<Unreadable>() => false,
            Err(error) => return Err(error),
        };
        if parent_ended && seen.life != Life::Running {
            self.remove(seen).await?;
        }
        Ok(())
    }

    /// Whether the occurrence was decided about, although no row of it is left.
    fn is_decided(&self, record: &RunRecord) -> bool {
        let occurrence = &record.occurrence;
        let mark = self.decided.get(&occurrence.job);
        mark.is_some_and(|mark| (mark.era, mark.at) >= (occurrence.era, occurrence.planned_for))
    }

    async fn remove(&mut self, seen: &Seen) -> Result<()> {
        match self.engine.remove(&seen.id).await {
            Ok(()) => {
                fail::fail_point!("recover.removed");
                self.done.removed.push(seen.name.clone());
            }
            Err(error @ EngineError::Unavailable(_)) => return Err(error.into()),
            Err(error) => self.remark(format!("the container {} could not be removed: {error}", seen.name)),
        }
        Ok(())
    }

    fn remark(&mut self, text: String) {
        self.done.remarks.push(text);
    }
}

/// Completes the logs of runs that were recorded, but whose process died before the marker at
/// their end was written or their spool compressed.
///
/// # Errors
/// When the spools or the store cannot be read.
pub async fn finish_output(output: &Output, store: &Store, log_dir: &std::path::Path) -> Result<usize> {
    let mut finished = 0;
    for run in output.shelf().open_spools()? {
        let stored = match store.get(&run).await {
            Err(error) if error.is::<Unreadable>() => continue,
            answer => answer?,
        };
        let Some(record) = stored else {
            // Neither a row nor a container is left that could go on.
            output.put_away(&run);
            continue;
        };
        let (Some(trailer), Some(outcome)) = (Trailer::of(&record), record.outcome()) else { continue };
        if matches!(outcome, Outcome::Skipped(_)) {
            output.put_away(&run);
            continue;
        }
        let log = record.log_file.as_ref().map(|file| LogTarget {
            path: log_dir.join(file),
            job: record.occurrence.job.to_string(),
            started: record.started_at.unwrap_or(record.due),
        });
        output.close(&run, log, trailer).await?;
        finished += 1;
    }
    Ok(finished)
}
