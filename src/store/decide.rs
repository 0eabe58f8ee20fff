//! What a look at all rows that wait has decided, in one transaction.

use anyhow::Result;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::{definitions, plan, write};
use crate::run::{Outcome, RunRecord, SkipReason, SkipRow, State, Trigger};
use crate::secret::Environment;

/// What becomes of rows that wait.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decided {
    /// Those that wait on, with what they wait for.
    pub waiting: Vec<RunRecord>,
    /// Those that never run.
    pub skipped: Vec<Skipped>,
    /// Those that end without having begun, with their outcome and what follows from it.
    pub finished: Vec<(RunRecord, Vec<RunRecord>)>,
}

/// A row that never runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Skipped {
    /// As it was planned.
    pub record: RunRecord,
    /// Why.
    pub reason: SkipReason,
    /// What follows from it.
    pub next: Vec<RunRecord>,
}

/// What is stored now.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settled {
    /// The state of each row that waits, in the order in which they were given.
    pub waiting: Vec<State>,
    /// Those that were skipped, in their last state, with the rows that follow.
    pub skipped: Vec<(RunRecord, Vec<RunRecord>)>,
    /// Those that ended, with the rows that follow.
    pub finished: Vec<(RunRecord, Vec<RunRecord>)>,
}

impl Decided {
    /// Whether there is nothing to write.
    pub const fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.skipped.is_empty() && self.finished.is_empty()
    }
}

pub(super) fn decide(connection: &Connection, decided: Decided, now: DateTime<Utc>) -> Result<Settled> {
    let mut settled = Settled::default();
    let mut note = connection.prepare_cached("UPDATE runs SET document = ?2 WHERE id = ?1 AND state = 'planned'")?;
    for record in decided.waiting {
        // One that is not planned any more is not in the way of the others.
        note.execute(params![record.id.as_str(), serde_json::to_string(&record)?])?;
        settled.waiting.push(record.state);
    }
    for Skipped { record, reason, next } in decided.skipped {
        // Before the skip goes: what follows is of the same occurrence.
        let next = plan::in_force(connection, next)?;
        settled.skipped.push((skip(connection, record, reason, now)?, next));
    }
    for (record, next) in decided.finished {
        let next = write::finish(connection, record.clone(), next)?;
        settled.finished.push((record, next));
    }
    Ok(settled)
}

/// Ends a planned row as skipped. Skips of one reason in a row become one [`SkipRow`]; that of a run
/// on request stays a row of its own.
fn skip(connection: &Connection, mut record: RunRecord, reason: SkipReason, now: DateTime<Utc>) -> Result<RunRecord> {
    record.state = State::Finished(Outcome::Skipped(reason));
    record.finished_at = Some(now);
    record.extra_env = Environment(record.extra_env.masked());
    let occurrence = &record.occurrence;
    if record.trigger == Trigger::Manual {
        connection
            .prepare_cached("UPDATE runs SET state = 'finished', document = ?2 WHERE id = ?1 AND state = 'planned'")?
            .execute(params![record.id.as_str(), serde_json::to_string(&record)?])?;
    } else {
        let gone = connection
            .prepare_cached("DELETE FROM runs WHERE id = ?1 AND state = 'planned'")?
            .execute([record.id.as_str()])?;
        if gone > 0 {
            // The watermark stands above it, so that the occurrence cannot come back.
            plan::raise(connection, &occurrence.job, occurrence.planned_for, occurrence.era)?;
            plan::add_skips(connection, &SkipRow::one(occurrence.job.clone(), occurrence.planned_for, reason))?;
        }
    }
    definitions::drop_done(connection, &record.occurrence)?;
    Ok(record)
}
