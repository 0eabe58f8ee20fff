//! A run's record to its row and back.

use anyhow::{Context, Result};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use crate::run::RunRecord;

/// Inserts a record unless its id or its occurrence is there; gives whether it is new.
pub(super) fn insert(connection: &Connection, record: &RunRecord) -> Result<bool> {
    let occurrence = &record.occurrence;
    let added = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO runs (id, job, planned_for, era, attempt, part, state, due, document)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            record.id.as_str(),
            occurrence.job.as_str(),
            occurrence.planned_for.timestamp(),
            occurrence.era,
            occurrence.attempt,
            occurrence.part,
            record.state.word(),
            record.due.timestamp_millis(),
            serde_json::to_string(record)?,
        ])
        .with_context(|| format!("failed to write run {}", record.id))?;
    Ok(added == 1)
}

/// Writes a changed record over its row.
pub(super) fn update(connection: &Connection, record: &RunRecord) -> Result<()> {
    connection
        .prepare_cached("UPDATE runs SET state = ?2, due = ?3, document = ?4 WHERE id = ?1")?
        .execute(params![
            record.id.as_str(),
            record.state.word(),
            record.due.timestamp_millis(),
            serde_json::to_string(record)?,
        ])
        .with_context(|| format!("failed to write run {}", record.id))?;
    Ok(())
}

/// The record in the column `document`, which must be the first one asked for.
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<String> {
    row.get(0)
}

/// Reads a document.
pub(super) fn parse(document: &str) -> Result<RunRecord> {
    serde_json::from_str(document).map_err(|source| {
        let all: serde_json::Value = serde_json::from_str(document).unwrap_or_default();
        Unreadable { run: all["id"].as_str().unwrap_or("unknown").to_owned(), source }.into()
    })
}

/// A row that this release cannot read, such as one in a state that a newer one has come up with.
#[derive(Debug, thiserror::Error)]
#[error("the row of run {run} cannot be read")]
pub struct Unreadable {
    run: String,
    source: serde_json::Error,
}

/// The records that a query finds; its first column is `document`. One row that cannot be read costs
/// no more than itself: it stays, and with it the occurrence that it is of.
pub(super) fn all_readable(connection: &Connection, sql: &str, params: impl Params) -> Result<Vec<RunRecord>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut records = Vec::new();
    for document in statement.query_map(params, read)? {
        match parse(&document?) {
            Ok(record) => records.push(record),
            Err(error) => tracing::warn!("a run is left out: {error:#}"),
        }
    }
    Ok(records)
}

/// The one record that a query finds, if any.
pub(super) fn one(connection: &Connection, sql: &str, params: impl Params) -> Result<Option<RunRecord>> {
    let document = connection.prepare_cached(sql)?.query_row(params, read).optional()?;
    document.as_deref().map(parse).transpose()
}
