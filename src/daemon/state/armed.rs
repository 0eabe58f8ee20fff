//! Which jobs were armed last: a job that was not has missed nothing since then.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::job::JobName;
use crate::scheduler::{Planner, Watermark};
use crate::store;

/// Key of the store.
pub const KEY: &str = "armed";

/// What is stored of a planner.
pub fn text(planner: &Planner) -> String {
    // Names always have a JSON form.
    serde_json::to_string(&planner.armed().collect::<Vec<_>>()).unwrap_or_default()
}

/// The watermarks that count at a start. That of a job that was removed or disabled meanwhile is as
/// old as that: were it to count, the job would catch up on the time when it was not there. Without
/// a list, as a release without one leaves it, all count.
pub fn watermarks(stored: BTreeMap<JobName, store::Watermark>, armed: Option<&str>) -> HashMap<JobName, Watermark> {
    let armed: Option<BTreeSet<JobName>> = armed.and_then(|text| serde_json::from_str(text).ok());
    stored
        .into_iter()
        .filter(|(job, _)| armed.as_ref().is_none_or(|armed| armed.contains(job)))
        .map(|(job, mark)| (job, Watermark { planned: mark.at, era: mark.era }))
        .collect()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::job::{Action, Builtin, Job, Policy};
    use crate::schedule::Schedule;

    fn job(name: &str) -> Job {
        let schedule = Schedule::parse("@hourly", chrono_tz::UTC, name).unwrap();
        let action = Action::Builtin(Builtin::Logrotate);
        Job::new(JobName::new(name).unwrap(), schedule, action, Policy::default())
    }

    #[test]
    fn a_job_that_comes_back_over_a_restart_catches_up_nothing() {
        let at = |hour: u32| -> DateTime<Utc> { format!("2026-01-02T{hour:02}:30:00Z").parse().unwrap() };
        let both = [job("stays"), job("comes back")];
        let mark = store::Watermark { at: at(1), era: 0 };
        let stored: BTreeMap<_, _> = both.iter().map(|job| (job.name.clone(), mark)).collect();
        let caught_up = |armed: Option<&str>| {
            let mut planner = Planner::new(&both, &watermarks(stored.clone(), armed), 0, "host", at(5));
            let plan = planner.catch_up(at(5));
            plan.rows.iter().map(|row| row.occurrence.job.to_string()).collect::<Vec<_>>()
        };
        let without = Planner::new(&both[..1], &HashMap::new(), 0, "host", at(1));
        assert_eq!(caught_up(Some(&text(&without))), ["stays"]);
        let with = Planner::new(&both, &HashMap::new(), 0, "host", at(1));
        assert_eq!(caught_up(Some(&text(&with))), ["stays", "comes back"]);
        assert_eq!(caught_up(None), ["stays", "comes back"]);
        assert_eq!(caught_up(Some("damaged")), ["stays", "comes back"]);
    }
}
