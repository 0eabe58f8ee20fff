//! A configuration that changes while runs are under way: what goes on as it began, what begins
//! anew, what does not begin at all.

use std::time::Duration;

use chrono::Utc;
use tender::engine::fake::{Gate, Script};
use tender::job::{Action, Job, Overlap, Retries};
use tender::run::{Outcome, RunRecord, SkipReason, State, Trigger};
use tender::runner::recovery;

use super::house::{House, job};

/// The same job with a variable in the environment of each of its actions.
fn with_value(mut job: Job, value: &str) -> Job {
    for action in std::iter::once(&mut job.action).chain(&mut job.follow_ups.on_success) {
        if let Action::Run(spec) = action {
            spec.env.0.insert("VALUE".to_owned(), value.to_owned());
        }
    }
    job
}

/// What the container of a run was given; it must be there.
fn value_of(house: &House, record: &RunRecord) -> String {
    let spec = house.fake.spec(&record.occurrence.container_name("stack")).unwrap();
    spec.env.0["VALUE"].clone()
}

fn outcome(record: &RunRecord) -> String {
    record.outcome().map_or("none".to_owned(), ToString::to_string)
}

#[tokio::test]
async fn a_job_that_is_removed_while_it_runs_finishes_with_all_its_actions() {
    House::new()
        .run(async |house| {
            let (main, after) = (Gate::new(), Gate::new());
            house.fake.script("hello", Script::exits(0).out("main\n").waits(&main));
            house.fake.script("hello", Script::exits(0).out("after\n").waits(&after));
            let mut hello = job("hello");
            hello.follow_ups.on_success = vec![hello.action.clone()];
            let jobs = [with_value(hello, "old")];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "hello", 60).await;
            house.until_started(&mut runner).await;
            // Removed; one more occurrence of it had been planned.
            runner.enqueue(house.store.plan(vec![house.row("hello", 120)], vec![], vec![], None).await.unwrap());
            let skipped = runner.pump(&[], Utc::now()).await.unwrap();
            assert_eq!(skipped[0].outcome(), Some(&Outcome::Skipped(SkipReason::Removed)));
            main.open();
            let record = house.end_of(&mut runner, &[]).await;
            assert_eq!((record.occurrence.part, outcome(&record).as_str()), (0, "succeeded"));
            house.until_started(&mut runner).await;
            let part = house.store.unfinished().await.unwrap().remove(0);
            assert_eq!((part.occurrence.part, value_of(house, &part).as_str()), (1, "old"));
            after.open();
            let record = house.end_of(&mut runner, &[]).await;
            assert_eq!((record.occurrence.part, outcome(&record).as_str()), (1, "succeeded"));
            assert_eq!(house.store.unfinished().await.unwrap(), []);
            assert_eq!(house.fake.names(), [""; 0]);
            let log = house.log("hello");
            assert!(log.contains("main\n") && log.contains("after\n"), "{log}");
            assert_eq!(log.matches("outcome=succeeded").count(), 2, "{log}");
        })
        .await;
}

#[tokio::test]
async fn what_waits_begins_with_the_new_definition_and_what_runs_keeps_the_old_one() {
    House::new()
        .run(async |house| {
            let gates = [Gate::new(), Gate::new(), Gate::new()];
            for gate in &gates {
                house.fake.script("hello", Script::exits(0).waits(gate));
            }
            let mut hello = job("hello");
            hello.policy.overlap = Overlap::Queue;
            hello.follow_ups.on_success = vec![hello.action.clone()];
            let (old, new) = ([with_value(hello.clone(), "old")], [with_value(hello, "new")]);
            let mut runner = house.runner();
            let first = house.plan(&mut runner, &old, "hello", 60).await;
            house.until_started(&mut runner).await;
            let second = house.plan(&mut runner, &old, "hello", 120).await;
            assert_eq!(runner.waiting().len(), 1);
            runner.pump(&new, Utc::now()).await.unwrap();
            assert_eq!(value_of(house, &first), "old");
            gates[0].open();
            house.end_of(&mut runner, &new).await;
            // The action after it is of the run that goes on; the next run is not.
            house.until_started(&mut runner).await;
            let part = house.store.unfinished().await.unwrap().into_iter().find(|r| r.occurrence.part == 1).unwrap();
            assert_eq!(value_of(house, &part), "old");
            gates[1].open();
            house.end_of(&mut runner, &new).await;
            house.until_started(&mut runner).await;
            assert_eq!(value_of(house, &second), "new");
            gates[2].open();
            assert_eq!(house.end_of(&mut runner, &new).await.id, second.id);
        })
        .await;
}

#[tokio::test]
async fn the_next_attempt_is_made_as_the_configuration_in_force_says() {
    House::new()
        .run(async |house| {
            let gate = Gate::new();
            house.fake.script("hello", Script::exits(3));
            house.fake.script("hello", Script::exits(0).waits(&gate));
            let mut hello = job("hello");
            hello.policy.retries = Retries { max: 2, backoff: Duration::from_millis(20), ..Retries::default() };
            let (old, new) = ([with_value(hello.clone(), "old")], [with_value(hello, "new")]);
            let mut runner = house.runner();
            house.plan(&mut runner, &old, "hello", 60).await;
            let failed = house.end_of(&mut runner, &new).await;
            assert_eq!(outcome(&failed), "failed(3)");
            while !matches!(runner.next_event().await, tender::runner::Event::Started(_)) {
                runner.pump(&new, Utc::now()).await.unwrap();
            }
            let retry = house.store.unfinished().await.unwrap().remove(0);
            assert_eq!((retry.occurrence.attempt, value_of(house, &retry).as_str()), (2, "new"));
            gate.open();
            assert_eq!(outcome(&house.end_of(&mut runner, &new).await), "succeeded");
        })
        .await;
}

#[tokio::test]
async fn an_attempt_to_come_of_a_removed_job_is_skipped_at_once_and_seen() {
    House::new()
        .run(async |house| {
            house.fake.script("hello", Script::exits(3));
            let mut hello = job("hello");
            hello.policy.retries = Retries { max: 1, backoff: Duration::from_secs(3600), ..Retries::default() };
            let jobs = [hello];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "hello", 60).await;
            house.end_of(&mut runner, &jobs).await;
            assert_eq!(runner.waiting().len(), 1, "in an hour");
            let skipped = runner.pump(&[], Utc::now()).await.unwrap();
            assert_eq!((skipped[0].trigger, outcome(&skipped[0]).as_str()), (Trigger::Retry, "skipped(removed)"));
            assert_eq!(runner.waiting(), []);
            assert_eq!(house.fake.calls_of("create").len(), 1);
        })
        .await;
}

#[tokio::test]
async fn what_belongs_after_a_failure_is_done_when_the_job_is_removed_before_its_next_attempt() {
    removed_between_the_attempts(false).await;
}

#[tokio::test]
async fn that_holds_over_a_restart_between_the_attempts() {
    removed_between_the_attempts(true).await;
}

async fn removed_between_the_attempts(restart: bool) {
    House::new()
        .run(async |house| {
            house.fake.script("hello", Script::exits(3));
            house.fake.script("hello", Script::exits(0).out("clean\n"));
            let mut hello = job("hello");
            hello.policy.retries = Retries { max: 1, backoff: Duration::from_secs(3600), ..Retries::default() };
            hello.follow_ups.always = vec![hello.action.clone()];
            let jobs = [hello];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "hello", 60).await;
            house.end_of(&mut runner, &jobs).await;
            if restart {
                runner.stop().await;
                house.restart();
                runner = house.runner();
                let recovered = recovery::recover(&house.fake, &house.store, &house.identity, Utc::now()).await;
                runner.adopt(recovered.unwrap().resumes, &jobs);
            }
            // The job goes while its next attempt waits.
            let skipped = runner.pump(&[], Utc::now()).await.unwrap();
            assert_eq!(skipped.iter().map(outcome).collect::<Vec<_>>(), ["skipped(removed)"]);
            let record = house.end_of(&mut runner, &[]).await;
            assert_eq!((record.trigger, outcome(&record).as_str()), (Trigger::FollowUp, "succeeded"));
            assert!(house.log("hello").contains("clean\n"));
            assert_eq!(house.store.unfinished().await.unwrap(), []);
        })
        .await;
}

#[tokio::test]
async fn an_attempt_to_come_of_a_job_that_stays_is_kept() {
    House::new()
        .run(async |house| {
            house.fake.script("hello", Script::exits(3));
            let mut hello = job("hello");
            hello.policy.retries = Retries { max: 1, backoff: Duration::from_secs(3600), ..Retries::default() };
            let mut runner = house.runner();
            house.plan(&mut runner, &[hello.clone()], "hello", 60).await;
            house.end_of(&mut runner, &[hello.clone()]).await;
            let before = runner.waiting();
            // Disabled: a run that has begun is not given up for that.
            hello.enabled = false;
            assert_eq!(runner.pump(&[hello], Utc::now()).await.unwrap(), []);
            assert_eq!((runner.waiting(), before.len()), (before, 1));
        })
        .await;
}

#[tokio::test]
async fn a_job_that_is_disabled_while_it_waits_is_skipped_and_one_asked_for_by_hand_is_not() {
    House::new()
        .run(async |house| {
            let gate = Gate::new();
            house.fake.script("hello", Script::exits(0).waits(&gate));
            let mut hello = job("hello");
            hello.policy.overlap = Overlap::Queue;
            let mut runner = house.runner();
            house.plan(&mut runner, &[hello.clone()], "hello", 60).await;
            house.until_started(&mut runner).await;
            house.plan(&mut runner, &[hello.clone()], "hello", 120).await;
            let mut by_hand = house.row("hello", 180);
            by_hand.trigger = Trigger::Manual;
            let by_hand = house.plan_row(&mut runner, &[hello.clone()], by_hand).await;
            hello.enabled = false;
            let skipped = runner.pump(&[hello.clone()], Utc::now()).await.unwrap();
            assert_eq!(skipped.iter().map(outcome).collect::<Vec<_>>(), ["skipped(suspended)"]);
            gate.open();
            house.end_of(&mut runner, &[hello.clone()]).await;
            assert_eq!(house.end_of(&mut runner, &[hello]).await.id, by_hand.id);
        })
        .await;
}

#[tokio::test]
async fn settings_hold_for_what_begins_after_them() {
    House::new()
        .run(async |house| {
            let gate = Gate::new();
            house.fake.script("one", Script::exits(0).out("1\n").waits(&gate));
            house.fake.script("two", Script::exits(0).out("2\n"));
            house.settings.max_running = 1;
            let jobs = [job("one"), job("two")];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "one", 60).await;
            house.until_started(&mut runner).await;
            let two = house.plan(&mut runner, &jobs, "two", 60).await;
            assert_eq!(runner.waiting()[0].waiting.as_deref(), Some("a free place: 1 of 1 are taken"));
            // Another log dir and a larger cap: the run under way stays where it is.
            let old_log = house.settings.log_dir.clone();
            house.settings.max_running = 2;
            house.settings.log_dir = old_log.with_file_name("other");
            runner.configure(house.room());
            runner.pump(&jobs, Utc::now()).await.unwrap();
            assert_eq!(house.end_of(&mut runner, &jobs).await.id, two.id);
            gate.open();
            house.end_of(&mut runner, &jobs).await;
            assert!(house.log("two").contains("\n2\n"), "in the new folder");
            let one = std::fs::read_to_string(old_log.join("one.log")).unwrap();
            assert!(one.contains("\n1\n") && one.contains("outcome=succeeded"), "{one}");
            assert!(!house.settings.log_dir.join("one.log").exists());
        })
        .await;
}

#[tokio::test]
async fn a_removed_job_that_is_asked_for_by_hand_and_waits_has_an_end_that_is_recorded() {
    House::new()
        .run(async |house| {
            let gate = Gate::new();
            house.fake.script("hello", Script::exits(0).waits(&gate));
            let jobs = [job("hello")];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "hello", 60).await;
            house.until_started(&mut runner).await;
            let mut row = house.row("hello", 120);
            row.trigger = Trigger::Manual;
            let row = house.plan_row(&mut runner, &jobs, row).await;
            runner.pump(&[], Utc::now()).await.unwrap();
            let stored = house.store.get(&row.id).await.unwrap().unwrap();
            assert_eq!(stored.state, State::Finished(Outcome::Skipped(SkipReason::Removed)));
            gate.open();
            house.end_of(&mut runner, &[]).await;
        })
        .await;
}
