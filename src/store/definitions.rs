//! The definitions with which unfinished runs have begun: one for each occurrence, as JSON. What
//! they hold in secret goes as soon as nothing follows any more.

use std::collections::HashMap;

use anyhow::Result;
use rusqlite::{Connection, params};

use crate::job::Job;
use crate::run::{Occurrence, RunId};

pub(super) fn keep(connection: &Connection, run: &RunId, definition: &str) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO definitions (job, era, planned_for, document)
             SELECT job, era, planned_for, ?2 FROM runs WHERE id = ?1",
        )?
        .execute(params![run.as_str(), definition])?;
    Ok(())
}

/// Drops that of an occurrence of which nothing is open any more.
pub(super) fn drop_done(connection: &Connection, occurrence: &Occurrence) -> Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM definitions WHERE job = ?1 AND era = ?2 AND planned_for = ?3 AND NOT EXISTS (
               SELECT 1 FROM runs WHERE job = ?1 AND era = ?2 AND planned_for = ?3 AND state <> 'finished')",
        )?
        .execute(params![occurrence.job.as_str(), occurrence.era, occurrence.planned_for.timestamp()])?;
    Ok(())
}

/// The definitions of all unfinished runs that have one. One that cannot be read, such as that of
/// another release, counts as none.
pub(super) fn all(connection: &Connection) -> Result<HashMap<RunId, Job>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, definitions.document FROM runs JOIN definitions USING (job, era, planned_for)
         WHERE state <> 'finished'",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut definitions = HashMap::new();
    for row in rows {
        let (run, document) = row?;
        match serde_json::from_str(&document) {
            Ok(job) => drop(definitions.insert(RunId(run), job)),
            Err(error) => {
                tracing::warn!(run.id = run, "the definition that the run began with cannot be read: {error}")
            }
        }
    }
    Ok(definitions)
}
