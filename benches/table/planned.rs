//! What the figures of the alarm and the planner share: jobs, a planner, a store.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use tender::job::{Action, Builtin, Job, JobName, Policy};
use tender::schedule::Schedule;
use tender::scheduler::{Plan, Planner};
use tender::store::{Lease, Store};

/// A planner and its store, as the daemon has them.
pub(crate) struct Planned {
    pub(crate) planner: Planner,
    store: Store,
    _lease: Lease,
    _state: tempfile::TempDir,
}

impl Planned {
    /// So many jobs of one schedule, all known to the store.
    pub(crate) async fn new(jobs: usize, schedule: &str, now: DateTime<Utc>) -> anyhow::Result<Self> {
        let state = tempfile::tempdir()?;
        let lease = Lease::try_take(state.path(), None)?.ok_or_else(|| anyhow::anyhow!("no lease"))?;
        let store = Store::open(state.path(), &lease)?.store;
        let jobs: Vec<Job> = (0..jobs).map(|n| job(n, schedule)).collect::<anyhow::Result<_>>()?;
        let planner = Planner::new(&jobs, &HashMap::new(), 0, "host", now);
        let mut planned = Self { planner, store, _lease: lease, _state: state };
        planned.decide(now).await?;
        Ok(planned)
    }

    /// What is due, decided and durable; gives how many rows that were.
    pub(crate) async fn decide(&mut self, now: DateTime<Utc>) -> anyhow::Result<usize> {
        let Plan { rows, watermarks, .. } = self.planner.due(now);
        let watermarks = watermarks.into_iter().map(|(job, mark)| (job, mark.planned, mark.era)).collect();
        Ok(self.store.plan(rows, vec![], watermarks, None).await?.len())
    }
}

fn job(number: usize, schedule: &str) -> anyhow::Result<Job> {
    let name = format!("job{number}");
    let schedule = Schedule::parse(schedule, chrono_tz::UTC, &name)?;
    Ok(Job::new(JobName::new(&name)?, schedule, Action::Builtin(Builtin::Logrotate), Policy::default()))
}
