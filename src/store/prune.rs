//! What the history forgets: in rounds, so that nobody waits for long in between.

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};

use super::{read, sql, write};

/// Rows that one round removes at most; it takes a few milliseconds.
const ROUND: i64 = 200;

/// Pages that one round gives back to the file system at most.
const PAGES: i64 = 256;

/// Free pages below which the file is left as it is: new rows will take them.
const SPARE: i64 = 1024;

/// Where it is noted up to which instant runs were dropped, in seconds.
const FORGOTTEN: &str = "forgotten";

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
    let runs = forget(connection, before(sql::CUT)?)?;
    let skips = connection.prepare_cached(sql::PRUNE_SKIPS)?.execute(params![before(sql::CUT_SKIPS)?, ROUND])?;
    let full = |gone: usize| i64::try_from(gone).is_ok_and(|gone| gone >= ROUND);
    let shrunk = shrink(connection)?;
    Ok(Round { runs, more: full(runs) || full(skips) || shrunk })
}

/// Drops runs, and notes up to which instant they are forgotten.
fn forget(connection: &Connection, before: i64) -> Result<usize> {
    let mut statement = connection.prepare_cached(sql::PRUNE)?;
    let gone: Vec<i64> = statement.query_map(params![before, ROUND], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let (last, known) = (gone.iter().copied().max(), forgotten(connection)?);
    if let Some(last) = last.filter(|last| known.is_none_or(|known| known < *last)) {
        write::set_meta(connection, FORGOTTEN, &last.to_string())?;
    }
    Ok(gone.len())
}

/// The last planned instant of which a run was ever dropped.
pub(super) fn forgotten(connection: &Connection) -> Result<Option<i64>> {
    let at = read::meta(connection, FORGOTTEN)?;
    at.map(|at| at.parse().context("the store holds an instant that is no number")).transpose()
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
    // Each step frees one page.
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let mut pages = statement.query([])?;
    while pages.next()?.is_some() {}
    Ok(true)
}
