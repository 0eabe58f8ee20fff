//! The actions after the main one: which follow which end, and what a crash between them leaves.

use std::time::Duration;

use chrono::Utc;
use tender::engine::fake::Script;
use tender::job::{FollowUps, Retries};
use tender::run::{Occurrence, RunRecord};
use tender::runner::recovery;

use super::house::{House, job};
use super::stops::{Stops, When};

fn outcome(record: &RunRecord) -> String {
    record.outcome().map_or("none".to_owned(), ToString::to_string)
}

#[tokio::test]
async fn actions_follow_a_success_in_the_same_log() {
    House::new()
        .run(async |house| {
            house.fake.script("hello", Script::exits(0).out("main\n"));
            house.fake.script("hello", Script::exits(0).out("first\n"));
            house.fake.script("hello", Script::exits(1).out("second\n"));
            let mut job = job("hello");
            job.follow_ups.on_success = vec![job.action.clone(), job.action.clone(), job.action.clone()];
            let jobs = [job];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "hello", 60).await;
            for (part, expected) in [(0, "succeeded"), (1, "succeeded"), (2, "failed(1)")] {
                let record = house.end_of(&mut runner, &jobs).await;
                assert_eq!((record.occurrence.part, outcome(&record).as_str()), (part, expected));
            }
            assert_eq!(house.store.unfinished().await.unwrap(), [], "a failure ends the chain");
            let log = house.log("hello");
            let at = |text: &str| log.find(text).unwrap();
            assert!(at("main\n") < at("first\n") && at("first\n") < at("second\n"), "{log}");
        })
        .await;
}

#[tokio::test]
async fn a_failure_has_actions_of_its_own_and_always_comes_last() {
    House::new()
        .run(async |house| {
            for script in
                [Script::exits(3).out("main\n"), Script::exits(1).out("tell\n"), Script::exits(0).out("tidy\n")]
            {
                house.fake.script("hello", script);
            }
            let mut job = job("hello");
            let (action, two) = (job.action.clone(), vec![job.action.clone(), job.action.clone()]);
            job.follow_ups = FollowUps { on_success: two.clone(), on_failure: two, always: vec![action] };
            let jobs = [job];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "hello", 60).await;
            for (part, expected) in [(0, "failed(3)"), (101, "failed(1)"), (201, "succeeded")] {
                let record = house.end_of(&mut runner, &jobs).await;
                assert_eq!((record.occurrence.part, outcome(&record).as_str()), (part, expected));
                assert_eq!(record.occurrence.planned_for.timestamp(), 60, "a part of the same run");
            }
            assert_eq!(house.store.unfinished().await.unwrap(), []);
            let log = house.log("hello");
            let at = |text: &str| log.find(text).unwrap();
            assert!(at("main\n") < at("tell\n") && at("tell\n") < at("tidy\n"), "{log}");
        })
        .await;
}

#[tokio::test]
async fn a_cancelled_run_is_tidied_up_after() {
    House::new()
        .run(async |house| {
            house.fake.script("slow", Script::forever().on_stop(0));
            house.fake.script("slow", Script::exits(0));
            let mut job = job("slow");
            let one = || vec![job.action.clone()];
            job.follow_ups = FollowUps { on_success: one(), on_failure: one(), always: one() };
            let jobs = [job];
            let mut runner = house.runner();
            let row = house.plan(&mut runner, &jobs, "slow", 60).await;
            house.until_started(&mut runner).await;
            assert!(runner.cancel(&row.id, Utc::now()).await.unwrap());
            for (part, expected) in [(0, "cancelled"), (201, "succeeded")] {
                let record = house.end_of(&mut runner, &jobs).await;
                assert_eq!((record.occurrence.part, outcome(&record).as_str()), (part, expected));
            }
            assert_eq!(house.store.unfinished().await.unwrap(), []);
        })
        .await;
}

/// A further attempt that is given up while it waits: the run is over, and tidied up after.
#[tokio::test]
async fn an_attempt_that_is_cancelled_while_it_waits_is_tidied_up_after() {
    for restarted in [false, true] {
        House::new()
            .run(async |house| {
                house.fake.script("slow", Script::exits(3));
                house.fake.script("slow", Script::exits(0));
                let mut job = job("slow");
                let one = || vec![job.action.clone()];
                job.follow_ups = FollowUps { on_success: one(), on_failure: one(), always: one() };
                job.policy.retries = Retries { max: 1, backoff: Duration::from_secs(3600), ..Retries::default() };
                let jobs = [job];
                let mut runner = house.runner();
                let row = house.plan(&mut runner, &jobs, "slow", 60).await;
                house.end_of(&mut runner, &jobs).await;
                if restarted {
                    runner.stop().await;
                    house.restart();
                    runner = house.runner();
                    let found =
                        recovery::recover(&house.fake, &house.store, &house.identity, Utc::now()).await.unwrap();
                    runner.adopt(found.resumes, &jobs);
                }
                let waiting = runner.waiting().remove(0).id;
                assert_ne!(waiting, row.id);
                assert!(runner.cancel(&waiting, Utc::now()).await.unwrap());
                for (attempt, part, expected) in [(2, 0, "cancelled"), (1, 201, "succeeded")] {
                    let record = house.end_of(&mut runner, &jobs).await;
                    let Occurrence { attempt: a, part: p, .. } = record.occurrence;
                    assert_eq!((a, p, outcome(&record).as_str()), (attempt, part, expected));
                }
                assert_eq!(house.store.unfinished().await.unwrap(), []);
            })
            .await;
    }
}

/// The process dies as soon as the end of a run was asked for: it ends all the same.
#[tokio::test]
async fn a_cancelled_run_ends_whatever_dies() {
    // How many calls reach the engine before: none, create, create and start, and all that follow.
    for calls in [0, 1, 2, 100] {
        House::new()
            .run(async |house| {
                house.fake.script("slow", Script::forever());
                let jobs = [job("slow")];
                let stops = Stops::new(house.fake.clone(), calls, When::Before);
                let mut runner = house.runner_on(stops.clone());
                let row = house.plan(&mut runner, &jobs, "slow", 60).await;
                tokio::select! {
                    () = stops.reached() => {}
                    _ = runner.next_event() => {}
                }
                assert!(runner.cancel(&row.id, Utc::now()).await.unwrap());
                runner.stop().await;
                house.restart();
                let mut runner = house.runner();
                let found = recovery::recover(&house.fake, &house.store, &house.identity, Utc::now()).await.unwrap();
                runner.adopt(found.resumes, &jobs);
                runner.pump(&jobs, Utc::now()).await.unwrap();
                let record = house.end_of(&mut runner, &jobs).await;
                assert_eq!((&record.id, outcome(&record).as_str()), (&row.id, "cancelled"), "{calls}");
                assert!(!runner.cancel(&row.id, Utc::now()).await.unwrap());
                assert_eq!(house.fake.names(), [""; 0], "{calls}");
                let starts = house.fake.calls_of("start").len();
                assert_eq!(starts, usize::from(calls >= 2), "{calls}: nothing begins after it");
            })
            .await;
    }
}

/// A death at every step of a run that fails and has two actions after it: each runs once, in order.
#[tokio::test]
async fn a_crash_between_the_parts_of_a_run_repeats_and_forgets_none() {
    let mut crashes = 0;
    for when in [When::Before, When::After] {
        for at in 0..18 {
            House::new().run(async |house| crashes += usize::from(crash_among_parts(house, at, when).await)).await;
        }
    }
    assert_eq!(crashes, 36, "every call was a place to die at");
}

async fn crash_among_parts(house: &mut House, at: usize, when: When) -> bool {
    let about = format!("crash {when:?} call {at}");
    for script in [Script::exits(3).out("main\n"), Script::exits(0).out("tell\n"), Script::exits(0).out("tidy\n")] {
        house.fake.script("hello", script);
    }
    let mut job = job("hello");
    let one = || vec![job.action.clone()];
    job.follow_ups = FollowUps { on_success: one(), on_failure: one(), always: one() };
    let jobs = [job];
    let stops = Stops::new(house.fake.clone(), at, when);
    let mut runner = house.runner_on(stops.clone());
    house.plan(&mut runner, &jobs, "hello", 60).await;
    let crashed = tokio::select! {
        () = stops.reached() => true,
        () = async { loop { runner.next_event().await; runner.pump(&jobs, Utc::now()).await.unwrap(); } } => false,
        () = house.quiet() => false,
    };
    runner.stop().await;
    house.restart();
    let mut runner = house.runner();
    let recovered = recovery::recover(&house.fake, &house.store, &house.identity, Utc::now()).await.unwrap();
    recovery::finish_output(runner.output(), &house.store, &house.settings.log_dir).await.unwrap();
    runner.adopt(recovered.resumes, &jobs);
    runner.pump(&jobs, Utc::now()).await.unwrap();
    while !runner.running().is_empty() {
        house.end_of(&mut runner, &jobs).await;
    }
    runner.stop().await;
    assert_eq!(house.store.unfinished().await.unwrap(), [], "{about}");
    assert_eq!(house.fake.names(), [""; 0], "{about}");
    let starts = house.fake.calls_of("start").len();
    assert_eq!(starts, 3, "{about}");
    let log = house.log("hello");
    let said: Vec<&str> = log.lines().filter(|line| ["main", "tell", "tidy"].contains(line)).collect();
    assert_eq!(said, ["main", "tell", "tidy"], "{about}\n{log}");
    crashed
}
