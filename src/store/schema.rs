//! The tables. Changes are additive, so that the release before can still read them.

use anyhow::{Context, Result};
use rusqlite::Connection;

/// One step from each version of the schema to the next; `user_version` counts those taken.
///
/// A run's row is its JSON document plus the columns by which it is looked for.
const STEPS: &[&str] = &[
    "
    CREATE TABLE runs (
        id          TEXT PRIMARY KEY,
        job         TEXT NOT NULL,
        planned_for INTEGER NOT NULL,
        era         INTEGER NOT NULL,
        attempt     INTEGER NOT NULL,
        part        INTEGER NOT NULL,
        state       TEXT NOT NULL,
        due         INTEGER NOT NULL,
        document    TEXT NOT NULL,
        UNIQUE (job, era, planned_for, part, attempt)
    ) STRICT;
    CREATE INDEX runs_unfinished ON runs (due) WHERE state <> 'finished';
    CREATE INDEX runs_newest ON runs (planned_for);
    CREATE TABLE watermarks (
        job TEXT PRIMARY KEY,
        at  INTEGER NOT NULL,
        era INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE skips (
        id         INTEGER PRIMARY KEY,
        job        TEXT NOT NULL,
        first_at   INTEGER NOT NULL,
        last_at    INTEGER NOT NULL,
        count      INTEGER NOT NULL,
        reason     TEXT NOT NULL
    ) STRICT;
    CREATE INDEX skips_by_job ON skips (job, last_at);
    CREATE TABLE meta (
        key   TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT;
",
    "
    CREATE TABLE stopped (
        run       TEXT NOT NULL,
        container TEXT NOT NULL,
        document  TEXT NOT NULL,
        PRIMARY KEY (run, container)
    ) STRICT;
",
    "
    CREATE TABLE definitions (
        job         TEXT NOT NULL,
        era         INTEGER NOT NULL,
        planned_for INTEGER NOT NULL,
        document    TEXT NOT NULL,
        PRIMARY KEY (job, era, planned_for)
    ) STRICT, WITHOUT ROWID;
",
    // The history in its own order, as a whole and of one job, without sorting all of it.
    "
    CREATE INDEX runs_in_order ON runs (planned_for, era, part, attempt);
    CREATE INDEX runs_of_job ON runs (job, planned_for, era, part, attempt);
    DROP INDEX runs_newest;
    CREATE INDEX skips_in_order ON skips (last_at);
    ",
];

/// Brings a store to the newest schema. One from a newer release is left as it is.
pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    let version: usize = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))?.try_into()?;
    if version > STEPS.len() {
        tracing::info!("the store is of a newer release; this one leaves out what it does not know");
    }
    for (index, step) in STEPS.iter().enumerate().skip(version) {
        let tx = connection.transaction()?;
        tx.execute_batch(step).with_context(|| format!("failed to bring the store to version {}", index + 1))?;
        tx.pragma_update(None, "user_version", i64::try_from(index + 1)?)?;
        tx.commit()?;
    }
    Ok(())
}
