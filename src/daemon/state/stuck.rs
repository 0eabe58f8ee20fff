//! Runs without a time limit that take far longer than usual: named, and left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::Daemon;
use crate::daemon::health::troubles;
use crate::engine::{Host, Runs};
use crate::run::RunId;

/// No run is stuck before this.
const LEAST: TimeDelta = TimeDelta::hours(1);

/// How often is looked.
const EVERY: Duration = Duration::from_secs(60);

/// So many of the last runs say what is usual.
const USUAL: usize = 20;

/// The runs that are looked after.
#[derive(Debug, Default)]
pub(super) struct Watched {
    looked: Option<Instant>,
    /// From when on each of them counts as stuck.
    from: BTreeMap<RunId, DateTime<Utc>>,
    stuck: BTreeSet<RunId>,
}

/// How long a run may take before it counts as stuck: an hour, and three times the median.
fn limit(mut took: Vec<TimeDelta>) -> TimeDelta {
    took.sort_unstable();
    took.get(took.len() / 2).map_or(LEAST, |median| (*median * 3).max(LEAST))
}

impl<E: Runs + Host + 'static> Daemon<E> {
    pub(super) async fn look_for_stuck_runs(&mut self) {
        if self.stuck.looked.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        self.stuck.looked = Some(Instant::now());
        let Some(runner) = &self.runner else { return };
        let now = Utc::now();
        let long = runner.without_limit().into_iter().filter(|run| run.started_at.is_some_and(|at| now - at > LEAST));
        let long: Vec<_> = long.collect();
        self.stuck.from.retain(|id, _| long.iter().any(|run| run.id == *id));
        self.stuck.stuck.retain(|id| long.iter().any(|run| run.id == *id));
        let mut named = Vec::new();
        for run in long {
            let Some(started) = run.started_at else { continue };
            let from = match self.stuck.from.get(&run.id) {
                Some(from) => *from,
                None => match self.store.took(&run.job, USUAL).await {
                    Ok(took) => started + limit(took),
                    Err(error) => {
                        tracing::warn!("how long {} takes cannot be looked up: {error:#}", run.job);
                        continue;
                    }
                },
            };
            self.stuck.from.insert(run.id.clone(), from);
            if from < now {
                let what = format!("run {} of {} runs since {}", run.id, run.job, started.format("%F %TZ"));
                if self.stuck.stuck.insert(run.id) {
                    tracing::warn!(job.name = %run.job, "{what}, far longer than usual; it is left alone");
                }
                named.push(what);
            }
        }
        match named.is_empty() {
            true => self.reasons.clear(troubles::RUN_STUCK),
            false => self.reasons.raise(troubles::RUN_STUCK, named.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_and_three_times_the_median() {
        let minutes = |all: &[i64]| limit(all.iter().map(|m| TimeDelta::minutes(*m)).collect()).num_minutes();
        assert_eq!(minutes(&[]), 60, "nothing is known: an hour");
        assert_eq!(minutes(&[1, 2, 3]), 60);
        assert_eq!(minutes(&[600, 30, 40]), 120);
        assert_eq!(minutes(&[30, 40]), 120);
    }
}
