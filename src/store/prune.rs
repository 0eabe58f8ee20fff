//! What the history forgets: in rounds, so that nobody waits for long in between.

use anyhow::Result;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};

use super::sql;

/// Rows that one round removes at most; it takes a few milliseconds.
const ROUND: i64 = 200;

/// Pages that one round gives back to the file system at most.
const PAGES: i64 = 256;

/// Free pages below which the file is left as it is: new rows will take them.
const SPARE: i64 = 1024;

/// What a round has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Round {
    /// Runs that went.
    pub(super) runs: usize,
    /// Whether there may be more to do.
    pub(super) more: bool,
}

/// Removes the oldest finished runs and skips beyond `keep`, and those that are older than `since`.
/// The last occurrence of each job stays.
pub(super) fn round(connection: &Connection, keep: usize, since: DateTime<Utc>) -> Result<Round> {
    let since = since.timestamp();
    let before = |sql| cut(connection, sql, keep).map(|cut| cut.map_or(since, |cut| cut.max(since)));
    let drop = |sql, before| anyhow::Ok(connection.prepare_cached(sql)?.execute(params![before, ROUND])?);
    let runs = drop(sql::PRUNE, before(sql::CUT)?)?;
    let skips = drop(sql::PRUNE_SKIPS, before(sql::CUT_SKIPS)?)?;
    let full = |gone: usize| i64::try_from(gone).is_ok_and(|gone| gone >= ROUND);
    let shrunk = shrink(connection)?;
    Ok(Round { runs, more: full(runs) || full(skips) || shrunk })
}

/// Everything before this instant is beyond `keep`; `None` when there are no more than that.
fn cut(connection: &Connection, sql: &str, keep: usize) -> Result<Option<i64>> {
    let Some(last) = keep.checked_sub(1) else { return Ok(Some(i64::MAX)) };
    Ok(connection.prepare_cached(sql)?.query_row([i64::try_from(last)?], |row| row.get(0)).optional()?)
}

/// Gives pages back when more than a quarter of the file is free, as after a setting was lowered.
fn shrink(connection: &Connection) -> Result<bool> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let free = number("freelist_count")?;
    if free < SPARE || free < number("page_count")? / 4 || number("auto_vacuum")? != 2 {
        return Ok(false);
    }
    connection.execute_batch(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    Ok(true)
}
