//! Questions to the store.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use super::{FILE, row, sql};
use crate::job::JobName;
use crate::run::{Occurrence, Outcome, RunId, RunRecord, SkipRow};

/// Which runs are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Of this job only.
    pub job: Option<JobName>,
    /// At most so many, counted from the newest; `None` for all.
    pub limit: Option<usize>,
}

/// One line of the history.
#[derive(Debug, Clone, PartialEq)]
pub enum Listed {
    /// A run.
    Run(Box<RunRecord>),
    /// Occurrences that were skipped.
    Skips(SkipRow),
}

impl Listed {
    /// The instant that decides about its place: the last one planned.
    pub fn at(&self) -> DateTime<Utc> {
        match self {
            Self::Run(record) => record.occurrence.planned_for,
            Self::Skips(skips) => skips.to,
        }
    }
}

/// Up to which instant a job's occurrences are decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    /// The last planned instant that is decided.
    pub at: DateTime<Utc>,
    /// Its clock era.
    pub era: u32,
}

/// How a job's main action ended the last time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastOutcome {
    /// How.
    pub outcome: Outcome,
    /// When.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A connection of its own that only reads.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

impl Reader {
    pub(super) fn open(state_dir: &Path) -> Result<Self> {
        let path = state_dir.join(FILE);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(&path, flags).with_context(|| format!("failed to open {}", path.display()))?;
        connection.busy_timeout(Duration::from_secs(5))?;
        Ok(Self { connection })
    }

    /// All runs without an outcome, by the instant at which they fell due.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn unfinished(&self) -> Result<Vec<RunRecord>> {
        unfinished(&self.connection)
    }

    /// The run of this id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn get(&self, run: &RunId) -> Result<Option<RunRecord>> {
        get(&self.connection, run)
    }

    /// Runs and skips, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn runs(&self, filter: &Filter) -> Result<Vec<Listed>> {
        runs(&self.connection, filter)
    }

    /// How each job's main action ended the last time.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn last_outcomes(&self) -> Result<BTreeMap<JobName, LastOutcome>> {
        last_outcomes(&self.connection)
    }

    /// Writes a copy of the store to a file that is not there yet, whole and at one instant.
    ///
    /// # Errors
    /// When the store cannot be read or the copy cannot be written.
    pub fn copy_to(&self, path: &Path) -> Result<()> {
        let to = path.to_str().context("the path of the copy is no text")?;
        self.connection.execute("VACUUM INTO ?1", [to]).with_context(|| format!("failed to copy the store to {to}"))?;
        Ok(())
    }

    /// Up to which instant the occurrences of each job are decided.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn watermarks(&self) -> Result<BTreeMap<JobName, Watermark>> {
        watermarks(&self.connection)
    }
}

pub(super) fn unfinished(connection: &Connection) -> Result<Vec<RunRecord>> {
    row::all_readable(connection, sql::UNFINISHED, [])
}

pub(super) fn get(connection: &Connection, run: &RunId) -> Result<Option<RunRecord>> {
    row::one(connection, sql::GET, [run.as_str()])
}

pub(super) fn find(connection: &Connection, occurrence: &Occurrence) -> Result<Option<RunRecord>> {
    row::one(
        connection,
        sql::FIND,
        params![
            occurrence.job.as_str(),
            occurrence.planned_for.timestamp(),
            occurrence.era,
            occurrence.attempt,
            occurrence.part
        ],
    )
}

pub(super) fn runs(connection: &Connection, filter: &Filter) -> Result<Vec<Listed>> {
    let job = filter.job.as_ref().map(JobName::as_str);
    let limit = filter.limit.map_or(Ok(-1), i64::try_from)?;
    let records = match job {
        None => row::all_readable(connection, sql::RUNS, [limit])?,
        Some(job) => row::all_readable(connection, sql::RUNS_OF_JOB, params![limit, job])?,
    };
    let mut listed: Vec<Listed> = records.into_iter().map(|record| Listed::Run(Box::new(record))).collect();
    listed.extend(skips(connection, job, limit)?.into_iter().map(Listed::Skips));
    // Stable, so that the parts of one occurrence stay in order.
    listed.sort_by_key(|line| std::cmp::Reverse(line.at()));
    listed.truncate(filter.limit.unwrap_or(usize::MAX));
    Ok(listed)
}

fn skips(connection: &Connection, job: Option<&str>, limit: i64) -> Result<Vec<SkipRow>> {
    let mut statement = connection.prepare_cached(if job.is_none() { sql::SKIPS } else { sql::SKIPS_OF_JOB })?;
    let columns =
        |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get::<_, String>(4)?));
    let rows = match job {
        None => statement.query_map([limit], columns)?,
        Some(job) => statement.query_map(params![limit, job], columns)?,
    };
    rows.map(|row| {
        let (job, from, to, count, reason) = row?;
        Ok(SkipRow {
            job: JobName::new(&job)?,
            from: instant(from)?,
            to: instant(to)?,
            count,
            reason: serde_json::from_str(&reason)?,
        })
    })
    .collect()
}

pub(super) fn last_outcomes(connection: &Connection) -> Result<BTreeMap<JobName, LastOutcome>> {
    let mut statement = connection.prepare_cached(sql::JOBS)?;
    let jobs = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut outcomes = BTreeMap::new();
    for job in jobs {
        let Some(record) = row::all_readable(connection, sql::LAST_OF_JOB, params![job, 1])?.pop() else { continue };
        if let Some(outcome) = record.outcome().cloned() {
            outcomes.insert(record.occurrence.job, LastOutcome { outcome, finished_at: record.finished_at });
        }
    }
    Ok(outcomes)
}

/// How long the last runs of a job's main action took that succeeded, the newest first.
pub(super) fn took(connection: &Connection, job: &JobName, last: usize) -> Result<Vec<TimeDelta>> {
    // Among twice as many will be enough that went well.
    let enough = i64::try_from(last.saturating_mul(2))?;
    let records = row::all_readable(connection, sql::LAST_OF_JOB, params![job.as_str(), enough])?;
    let well = records.iter().filter(|record| record.outcome().is_some_and(|outcome| outcome.is_success()));
    Ok(well.filter_map(|r| Some(r.finished_at? - r.started_at?)).take(last).collect())
}

pub(super) fn watermarks(connection: &Connection) -> Result<BTreeMap<JobName, Watermark>> {
    let mut statement = connection.prepare_cached("SELECT job, at, era FROM watermarks")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?)))?;
    rows.map(|row| {
        let (job, at, era) = row?;
        Ok((JobName::new(&job)?, Watermark { at: instant(at)?, era }))
    })
    .collect()
}

pub(super) fn meta(connection: &Connection, key: &str) -> Result<Option<String>> {
    Ok(connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?)
}

pub(super) fn era(connection: &Connection) -> Result<u32> {
    meta(connection, "era")?.map_or(Ok(0), |era| era.parse().context("the store holds a clock era that is no number"))
}

fn instant(seconds: i64) -> Result<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, 0).with_context(|| format!("the store holds an instant out of range: {seconds}"))
}
