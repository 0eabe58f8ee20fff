//! What was stopped for a run and has to be started again.

use std::path::Path;

use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags, params};

use crate::run::Stopped;

pub(super) fn note(connection: &Connection, note: &Stopped) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO stopped (run, container, document) VALUES (?1, ?2, ?3)
             ON CONFLICT (run, container) DO UPDATE SET document = excluded.document",
        )?
        .execute(params![note.run.as_str(), note.container, serde_json::to_string(note)?])
        .with_context(|| format!("failed to note that {} is stopped", note.service))?;
    Ok(())
}

/// In the order in which they were noted.
pub(super) fn all(connection: &Connection) -> Result<Vec<Stopped>> {
    let mut statement = connection.prepare_cached("SELECT document FROM stopped ORDER BY rowid")?;
    let documents = statement.query_map([], |row| row.get::<_, String>(0))?;
    documents.map(|text| serde_json::from_str(&text?).context("the store holds a note that cannot be read")).collect()
}

pub(super) fn forget(connection: &Connection, note: &Stopped) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM stopped WHERE run = ?1 AND container = ?2")?
        .execute(params![note.run.as_str(), note.container])?;
    Ok(())
}

/// The notes of a store that was set aside, as far as they can be read; and whether that is all.
pub(super) fn rescue(path: &Path) -> (Vec<Stopped>, bool) {
    let mut notes = Vec::new();
    let read = |notes: &mut Vec<Stopped>| -> Result<()> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut statement = connection.prepare("SELECT document FROM stopped ORDER BY rowid")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            notes.push(serde_json::from_str(&row.get::<_, String>(0)?)?);
        }
        Ok(())
    };
    let done = read(&mut notes);
    if let Err(error) = &done {
        tracing::warn!("the notes about stopped services cannot all be read: {error:#}");
    }
    (notes, done.is_ok())
}
