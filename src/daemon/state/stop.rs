//! Ending a run on request.

use chrono::Utc;

use super::Daemon;
use crate::engine::{Host, Runs};
use crate::run::{NotStopped, RunId, RunRecord, State, Stopping};

impl<E: Runs + Host + 'static> Daemon<E> {
    /// Ends the run of this id, or the only one of the job of this name.
    pub(super) async fn stop_run(&mut self, what: &str) -> Result<Stopping, NotStopped> {
        let unreadable = |error: anyhow::Error| NotStopped::Refused(format!("the store cannot be read: {error:#}"));
        let open = self.store.unfinished().await.map_err(unreadable)?;
        let named = self.store.get(&RunId(what.to_owned())).await.map_err(unreadable)?;
        let is_job = self.loaded().is_some_and(|loaded| loaded.job(what).is_some());
        let record = choose(what, named.as_ref(), is_job, &open)?;
        let stopping = Stopping {
            id: record.id.clone(),
            job: record.occurrence.job.clone(),
            waited: matches!(record.state, State::Planned { .. }),
            gentle: record.occurrence.part == 0 && self.is_deploy(&record.occurrence.job),
        };
        let Some(runner) = &mut self.runner else {
            return Err(NotStopped::Refused("the scheduler has not begun yet".to_owned()));
        };
        match runner.cancel(&stopping.id, Utc::now()).await {
            Ok(true) => {}
            Ok(false) => return Err(NotStopped::Refused(format!("run {} has ended already", stopping.id))),
            Err(error) => {
                self.store_failed(&error);
                return Err(NotStopped::Refused(format!(
                    "that run {} is to stop could not be noted: {error:#}",
                    stopping.id
                )));
            }
        }
        tracing::info!(job.name = %stopping.job, run.id = %stopping.id, "stopped on request");
        Ok(stopping)
    }
}

/// The row that is meant, among those without an outcome.
fn choose<'a>(
    what: &str,
    named: Option<&RunRecord>,
    is_job: bool,
    open: &'a [RunRecord],
) -> Result<&'a RunRecord, NotStopped> {
    if let Some(named) = named {
        // An attempt or an action that is over stands for what has come after it.
        let same = |row: &&RunRecord| {
            let (a, b) = (&row.occurrence, &named.occurrence);
            (&a.job, a.planned_for, a.era) == (&b.job, b.planned_for, b.era)
        };
        let outcome = named.outcome().map(ToString::to_string).unwrap_or_default();
        let ended = || NotStopped::Refused(format!("run {what} has ended already: {outcome}"));
        return open.iter().find(|row| row.id == named.id).or_else(|| open.iter().find(same)).ok_or_else(ended);
    }
    let of_job: Vec<&RunRecord> = open.iter().filter(|row| row.occurrence.job.as_str() == what).collect();
    match of_job.as_slice() {
        [] if is_job => Err(NotStopped::Refused(format!("no run of {what} is under way or waits"))),
        [] => Err(NotStopped::Unknown(format!("there is neither a run nor a job {what:?}"))),
        [row] => Ok(row),
        several => {
            let each: Vec<String> = several.iter().map(|row| format!("{} ({})", row.id, state(row))).collect();
            Err(NotStopped::Refused(format!("{what} has several runs: {}; say which one", each.join(", "))))
        }
    }
}

fn state(row: &RunRecord) -> String {
    match &row.state {
        State::Planned { waiting: Some(why) } => format!("waits for {why}"),
        State::Planned { waiting: None } => format!("due at {}", row.due.format("%FT%TZ")),
        other => other.word().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobName;
    use crate::run::{Occurrence, Outcome, Trigger};

    fn row(job: &str, seconds: i64, attempt: u32) -> RunRecord {
        let at = chrono::DateTime::from_timestamp(seconds, 0).unwrap();
        let occurrence = Occurrence { attempt, ..Occurrence::first(JobName::new(job).unwrap(), at, 0) };
        RunRecord::planned(occurrence, Trigger::Schedule)
    }

    #[test]
    fn the_run_that_is_meant() {
        let (first, retry, other, twin) = (row("a", 60, 1), row("a", 60, 2), row("b", 60, 1), row("b", 120, 1));
        let over = RunRecord { state: State::Finished(Outcome::Failed { code: 1, oom: false }), ..first };
        let open = [retry.clone(), other.clone(), twin];
        let find = |what: &str, named: Option<&RunRecord>, is_job: bool| {
            choose(what, named, is_job, &open).map(|row| row.id.clone())
        };
        assert_eq!(find("a", None, true), Ok(retry.id.clone()));
        assert_eq!(find(retry.id.as_str(), Some(&retry), false), Ok(retry.id.clone()));
        assert_eq!(find(over.id.as_str(), Some(&over), false), Ok(retry.id), "its next attempt");
        let why = |refused: Result<RunId, NotStopped>| match refused.unwrap_err() {
            NotStopped::Unknown(why) => format!("unknown: {why}"),
            NotStopped::Refused(why) => why,
        };
        assert_eq!(
            why(find("b", None, true)),
            format!(
                "b has several runs: {} (due at 1970-01-01T00:01:00Z), {} (due at 1970-01-01T00:02:00Z); say which one",
                other.id, open[2].id
            )
        );
        assert_eq!(why(find("c", None, true)), "no run of c is under way or waits");
        assert_eq!(why(find("c", None, false)), "unknown: there is neither a run nor a job \"c\"");
        let mut done = row("c", 60, 1);
        done.state = State::Finished(Outcome::Succeeded);
        assert_eq!(why(find("x", Some(&done), false)), "run x has ended already: succeeded");
    }
}
