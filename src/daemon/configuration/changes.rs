//! What one configuration has that another one has not.

use crate::config::{Loaded, SETTINGS, Severity};
use crate::job::{Job, JobName};
use crate::run::Reloaded;

/// What changed from the one to the other.
pub fn changes(before: Option<&Loaded>, now: &Loaded) -> Reloaded {
    let old = |name: &JobName| before.and_then(|before| before.job(name.as_str()));
    let names = |jobs: &mut dyn Iterator<Item = &Job>| jobs.map(|job| job.name.clone()).collect();
    let value = |loaded: &Loaded, name: &str| loaded.values.get(name).map(|sourced| sourced.value.clone());
    let differs = |name: &str| before.is_some_and(|before| value(before, name) != value(now, name));
    Reloaded {
        jobs: now.jobs.len(),
        added: names(&mut now.jobs.iter().filter(|job| old(&job.name).is_none())),
        changed: names(&mut now.jobs.iter().filter(|job| old(&job.name).is_some_and(|old| !old.same_as(job)))),
        removed: names(
            &mut before.into_iter().flat_map(|l| &l.jobs).filter(|job| now.job(job.name.as_str()).is_none()),
        ),
        settings: SETTINGS.iter().map(|s| s.name).filter(|name| differs(name)).map(str::to_owned).collect(),
        refused: now
            .problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .map(ToString::to_string)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::{collected, in_force, job};
    use super::*;

    fn shown(before: &str, now: &str) -> String {
        changes(Some(&in_force(&collected(before, &[])).loaded), &in_force(&collected(now, &[])).loaded).to_string()
    }

    #[test]
    fn jobs_come_change_and_go() {
        let (a, b) = (job("a", "@daily", "one"), job("b", "@daily", "one"));
        assert_eq!(shown(&a, &a), "no job changed; 3 jobs in force");
        assert_eq!(shown(&a, &format!("{b}{a}")), "added b; 4 jobs in force", "a stands on another line");
        assert_eq!(shown(&format!("{a}{b}"), &b), "removed a; 3 jobs in force");
        assert_eq!(shown(&a, &b), "added b; removed a; 3 jobs in force", "renamed");
        assert_eq!(shown(&a, &job("a", "@hourly", "one")), "changed a; 3 jobs in force");
        assert_eq!(shown(&a, &job("a", "@daily", "two")), "changed a; 3 jobs in force");
        assert_eq!(shown(&a, "- {name: a}\n"), "removed a; 2 jobs in force, 2 refused");
    }

    #[test]
    fn a_variable_in_a_jobs_environment_changes_the_job() {
        let jobs = "- {name: a, schedule: \"@daily\", image: busybox, command: [x], env: {TOKEN: \"${TOKEN}\"}}\n";
        let of = |token: &str| in_force(&collected(jobs, &[("TOKEN", token)])).loaded;
        assert_eq!(changes(Some(&of("one")), &of("two")).to_string(), "changed a; 3 jobs in force");
    }

    #[test]
    fn settings_are_named_and_never_shown() {
        let of = |grace: &str| in_force(&collected("", &[("SCHEDULER_GRACE", grace)])).loaded;
        assert_eq!(changes(Some(&of("1s")), &of("2s")).settings, ["SCHEDULER_GRACE"]);
        assert_eq!(changes(None, &of("2s")).settings, [""; 0]);
    }
}
