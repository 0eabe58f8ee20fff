//! Rows that come into being.

use anyhow::{Context, Result};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, params};

use super::{read, row};
use crate::job::JobName;
use crate::run::{Occurrence, RunRecord, SkipRow, State, Trigger};
use crate::secret::Environment;

pub(super) fn plan(
    connection: &Connection,
    rows: Vec<RunRecord>,
    skips: &[SkipRow],
    watermarks: &[(JobName, DateTime<Utc>, u32)],
) -> Result<Vec<RunRecord>> {
    for skip in skips {
        add_skips(connection, skip)?;
    }
    for (job, at, era) in watermarks {
        raise(connection, job, *at, *era)?;
    }
    insert_new(connection, rows)
}

/// Inserts rows and gives those that were new.
pub(super) fn insert_new(connection: &Connection, rows: Vec<RunRecord>) -> Result<Vec<RunRecord>> {
    let mut new = Vec::with_capacity(rows.len());
    for record in rows {
        if row::insert(connection, &record)? {
            new.push(record);
        }
    }
    Ok(new)
}

/// Inserts rows and gives those that are to run now: also one that was there before and still waits,
/// for whoever inserted it may have died before it told.
pub(super) fn in_force(connection: &Connection, rows: Vec<RunRecord>) -> Result<Vec<RunRecord>> {
    let mut waiting = Vec::with_capacity(rows.len());
    for record in rows {
        if row::insert(connection, &record)? {
            waiting.push(record);
        } else if let Some(stored) = read::find(connection, &record.occurrence)?
            && matches!(stored.state, State::Planned { .. })
        {
            waiting.push(stored);
        }
    }
    Ok(waiting)
}

pub(super) fn plan_manual(
    connection: &Connection,
    job: JobName,
    env: Environment,
    trigger: Trigger,
    now: DateTime<Utc>,
) -> Result<RunRecord> {
    let era = read::era(connection)?;
    let mut at = now.trunc_subsecs(0);
    loop {
        let mut record = RunRecord::planned(Occurrence::first(job.clone(), at, era), trigger);
        // Due when it was asked for, however far the occurrence had to move.
        record.due = now;
        record.extra_env = env.clone();
        if row::insert(connection, &record)? {
            return Ok(record);
        }
        at += TimeDelta::seconds(1);
    }
}

pub(super) fn insert_from_labels(connection: &Connection, record: RunRecord) -> Result<RunRecord> {
    let occurrence = record.occurrence.clone();
    raise(connection, &occurrence.job, occurrence.planned_for, occurrence.era)?;
    row::insert(connection, &record)?;
    match read::get(connection, &record.id)? {
        Some(stored) => Ok(stored),
        None => read::find(connection, &occurrence)?.context("the row that was just written is gone"),
    }
}

/// Raises a watermark: a later era beats an earlier one, within an era the later instant.
pub(super) fn raise(connection: &Connection, job: &JobName, at: DateTime<Utc>, era: u32) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO watermarks (job, at, era) VALUES (?1, ?2, ?3)
             ON CONFLICT (job) DO UPDATE SET at = excluded.at, era = excluded.era
             WHERE (excluded.era, excluded.at) > (era, at)",
        )?
        .execute(params![job.as_str(), at.timestamp(), era])?;
    Ok(())
}

/// Adds skips to the job's last row of skips, if it has the same reason and no run came after it.
pub(super) fn add_skips(connection: &Connection, skip: &SkipRow) -> Result<()> {
    let reason = serde_json::to_string(&skip.reason)?;
    let job = skip.job.as_str();
    let last: Option<(i64, String, i64)> = connection
        .prepare_cached("SELECT id, reason, last_at FROM skips WHERE job = ?1 ORDER BY last_at DESC, id DESC LIMIT 1")?
        .query_row([job], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    if let Some((id, last_reason, last_at)) = last
        && last_reason == reason
        && last_at < skip.from.timestamp()
        && !ran_between(connection, job, last_at, skip.from.timestamp())?
    {
        connection
            .prepare_cached("UPDATE skips SET last_at = ?2, count = count + ?3 WHERE id = ?1")?
            .execute(params![id, skip.to.timestamp(), skip.count])?;
        return Ok(());
    }
    connection
        .prepare_cached("INSERT INTO skips (job, first_at, last_at, count, reason) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![job, skip.from.timestamp(), skip.to.timestamp(), skip.count, reason])?;
    Ok(())
}

fn ran_between(connection: &Connection, job: &str, from: i64, to: i64) -> Result<bool> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM runs WHERE job = ?1 AND planned_for > ?2 AND planned_for < ?3 LIMIT 1")?
        .exists(params![job, from, to])?)
}
