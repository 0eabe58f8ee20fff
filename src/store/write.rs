//! Rows that change. Each function checks that the step follows from the state that is stored.

use anyhow::{Context, Result, bail, ensure};
use rusqlite::{Connection, params};

use super::{definitions, plan, read, row};
use crate::run::{RunId, RunRecord, Started, State};
use crate::secret::Environment;

fn get(connection: &Connection, run: &RunId) -> Result<RunRecord> {
    read::get(connection, run)?.with_context(|| format!("there is no run {run}"))
}

pub(super) fn starting(connection: &Connection, run: &RunId, started: Started) -> Result<()> {
    let mut record = get(connection, run)?;
    match &record.state {
        State::Planned { .. } => {}
        // The mark of the process before this one, for the same container.
        State::Starting { container } if *container == started.container => {}
        other => bail!("run {run} is {} and cannot be started", other.word()),
    }
    record.state = State::Starting { container: started.container };
    record.container_name = Some(started.name);
    record.image = started.image.or(record.image);
    row::update(connection, &record)
}

/// Takes back the mark of a run that is certain never to have been started.
pub(super) fn not_started(connection: &Connection, run: &RunId) -> Result<()> {
    let mut record = get(connection, run)?;
    ensure!(matches!(record.state, State::Starting { .. }), "run {run} is {} already", record.state.word());
    record.state = State::Planned { waiting: None };
    record.container_name = None;
    row::update(connection, &record)
}

/// Takes a run that has a container one step further.
pub(super) fn advance(connection: &Connection, run: &RunId, step: impl FnOnce(&mut RunRecord, String)) -> Result<()> {
    let mut record = get(connection, run)?;
    let Some(container) = record.state.container().map(str::to_owned) else {
        bail!("run {run} is {} and has no container", record.state.word());
    };
    step(&mut record, container);
    row::update(connection, &record)
}

/// Notes that a run's end was asked for; gives whether it is still to come.
pub(super) fn ask_to_stop(connection: &Connection, run: &RunId) -> Result<bool> {
    let mut record = get(connection, run)?;
    if record.outcome().is_some() {
        return Ok(false);
    }
    record.stop_asked = true;
    row::update(connection, &record)?;
    Ok(true)
}

/// Takes a run without a container of its own one step further.
pub(super) fn direct(connection: &Connection, changed: RunRecord) -> Result<()> {
    let mut record = get(connection, &changed.id)?;
    ensure!(
        matches!(record.state, State::Planned { .. } | State::Direct { .. }),
        "run {} is {} already",
        record.id,
        record.state.word()
    );
    record.state = changed.state;
    record.started_at = changed.started_at;
    record.container_name = changed.container_name;
    row::update(connection, &record)
}

pub(super) fn finish(connection: &Connection, mut record: RunRecord, next: Vec<RunRecord>) -> Result<Vec<RunRecord>> {
    ensure!(record.outcome().is_some(), "run {} has no outcome to record", record.id);
    // The run is over: what it was given in secret is needed no more.
    record.extra_env = Environment(record.extra_env.masked());
    if !row::insert(connection, &record)? {
        let stored = get(connection, &record.id)?;
        if let Some(outcome) = stored.outcome() {
            ensure!(Some(outcome) == record.outcome(), "run {} ended as {outcome} already", record.id);
        }
        row::update(connection, &record)?;
    }
    fail::fail_point!("run.recording");
    let next = plan::in_force(connection, next)?;
    definitions::drop_done(connection, &record.occurrence)?;
    Ok(next)
}

pub(super) fn set_meta(connection: &Connection, key: &str, value: &str) -> Result<()> {
    connection
        .prepare_cached("INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2")?
        .execute(params![key, value])?;
    Ok(())
}
