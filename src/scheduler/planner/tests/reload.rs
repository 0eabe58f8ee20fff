//! What a new configuration means for the occurrences to come.

use super::*;

#[test]
fn a_reload_keeps_what_did_not_change() {
    let mut planner =
        planner(&[job("same", "0 * * * *"), job("other", "0 * * * *"), job("gone", "30 * * * *")], "00:10:00");
    // The reload comes late: what was due before still runs.
    planner.reload(&[job("same", "0 * * * *"), job("other", "15 * * * *"), job("new", "45 0 * * *")], at("00:30:01"));
    let plan = planner.due(at("00:30:01"));
    assert_eq!(rows(&plan), ["gone 00:30:00"]);
    assert_eq!(marks(&plan).len(), 2, "of the changed and the new job: {plan:?}");
    assert_eq!(rows(&planner.due(at("00:45:00"))), ["new 00:45:00"]);
    assert_eq!(rows(&planner.due(at("01:00:00"))), ["same 01:00:00"]);
    assert_eq!(rows(&planner.due(at("01:15:00"))), ["other 01:15:00"]);
    // A schedule that is changed to what was due a moment ago is not run again.
    planner.reload(&[job("other", "15,20 * * * *")], at("01:15:00.200"));
    assert_eq!(planner.due(at("01:15:00.200")).rows, []);
    assert_eq!(rows(&planner.due(at("01:20:00"))), ["other 01:20:00"]);
}

#[test]
fn a_reload_does_not_forget_an_unsaved_watermark() {
    let jobs = [job("monthly", "@monthly")];
    let mut planner = Planner::new(&jobs, &HashMap::new(), 0, "host", at("00:00:00"));
    planner.reload(&jobs, at("00:00:01"));
    assert_eq!(marks(&planner.due(at("00:00:02"))).len(), 1);
}

/// Every hour at minute 0 until 00:10, then the second definition from `reload` on: what is due
/// at each of the instants.
fn after_reload(jobs: &[Job], reload: &str, then: &[&str]) -> Vec<String> {
    let mut planner = planner(&[job("job", "0 * * * *")], "00:10:00");
    planner.reload(jobs, at(reload));
    then.iter().flat_map(|now| rows(&planner.due(at(now)))).collect()
}

#[test]
fn another_action_or_policy_leaves_the_next_occurrence_where_it_is() {
    let image = crate::job::ContainerSpec { image: "other".to_owned(), ..Default::default() };
    let policy = Policy { timeout: None, grace: Duration::from_secs(1), ..Policy::default() };
    let changed =
        Job { action: Action::Run(Box::new(image)), policy, origin: "elsewhere".to_owned(), ..job("job", "0 * * * *") };
    let mut planner = planner(&[job("job", "0 * * * *")], "00:10:00");
    let before = planner.next();
    planner.reload(&[changed], at("00:30:00"));
    assert_eq!((planner.next(), before), (before, Some(at("01:00:00"))));
    assert!(planner.due(at("00:30:00")).is_empty(), "and nothing of it is stored anew");
}

#[test]
fn another_schedule_catches_up_nothing_of_before() {
    // Of the many instants that the new schedule has before the reload none is run.
    assert_eq!(after_reload(&[job("job", "* * * * *")], "00:30:30", &["00:30:30", "00:31:00"]), ["job 00:31:00"]);
    assert_eq!(after_reload(&[job("job", "@every 1h")], "00:30:30", &["00:59:00", "01:00:00"]), ["job 01:00:00"]);
}

#[test]
fn another_zone_is_another_schedule() {
    let zoned = |zone: Tz| Job { schedule: Schedule::parse("0 3 * * *", zone, "job").unwrap(), ..job("job", "@daily") };
    let mut planner = planner(&[zoned(Tz::UTC)], "01:30:00");
    assert_eq!(planner.next(), Some(at("03:00:00")));
    // 03:00 in Berlin is 02:00 in UTC: gone by at 02:30, so that tomorrow's is next.
    planner.reload(&[zoned(Tz::Europe__Berlin)], at("02:30:00"));
    assert_eq!(planner.due(at("02:30:00")).rows, []);
    assert_eq!(planner.next(), Some(at("01-03T02:00:00")));
    assert!(planner.due(at("03:00:00")).is_empty(), "nothing of the old zone is left");
}

#[test]
fn a_job_that_was_gone_or_disabled_for_a_while_starts_where_it_comes_back() {
    let there = [job("job", "0 * * * *")];
    for away in [vec![], vec![Job { enabled: false, ..job("job", "0 * * * *") }], vec![job("renamed", "0 * * * *")]] {
        let mut planner = planner(&there, "00:10:00");
        planner.reload(&away, at("00:20:00"));
        let gone: Vec<String> =
            ["01:00:00", "02:00:00", "03:00:00"].iter().flat_map(|now| rows(&planner.due(at(now)))).collect();
        assert!(gone.iter().all(|row| row.starts_with("renamed")), "{gone:?}");
        planner.reload(&there, at("03:20:00"));
        assert_eq!(planner.armed().map(JobName::as_str).collect::<Vec<_>>(), ["job"]);
        let plan = planner.due(at("03:20:00"));
        assert_eq!((plan.rows.len(), plan.skips.len()), (0, 0), "neither run nor counted as missed");
        assert_eq!(rows(&planner.due(at("04:00:00"))), ["job 04:00:00"]);
    }
}

#[test]
fn another_jitter_neither_doubles_nor_drops_an_occurrence() {
    let jittered = |seconds| {
        let policy = Policy { jitter: Duration::from_secs(seconds), missed: Missed::Once, ..Policy::default() };
        [Job { policy, ..job("job", "0 * * * *") }]
    };
    for (old, new) in [(0, 3000), (3000, 0), (600, 3000)] {
        let mut planner = Planner::new(&jittered(old), &HashMap::new(), 0, "host", at("00:10:00"));
        let mut seen = Vec::new();
        for minute in 10..240 {
            let now = at("00:00:00") + TimeDelta::minutes(minute);
            if minute == 70 {
                planner.reload(&jittered(new), now);
            }
            seen.extend(planner.due(now).rows.iter().map(|row| row.occurrence.planned_for.format("%H").to_string()));
        }
        seen.truncate(3);
        assert_eq!(seen, ["01", "02", "03"], "{old} to {new}");
    }
}

#[test]
fn reloads_one_after_the_other_change_nothing() {
    let jobs = [job("job", "0 * * * *"), job("other", "*/7 * * * *")];
    let (mut often, mut never) = (planner(&jobs, "00:10:00"), planner(&jobs, "00:10:00"));
    for minute in 10..200 {
        let now = at("00:00:00") + TimeDelta::minutes(minute);
        often.reload(&jobs, now);
        often.reload(&jobs, now);
        assert_eq!(rows(&often.due(now)), rows(&never.due(now)));
    }
}
