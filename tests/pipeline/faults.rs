//! Faults of the scheduler's own parts while runs are under way, and waiting that has an end.

use std::time::Duration;

use chrono::Utc;
use tender::engine::EngineError;
use tender::engine::fake::{Gate, Script};
use tender::job::{Action, Job};
use tender::run::{Outcome, RunRecord, Trigger};
use tender::runner::{Event, recovery};

use super::house::{House, job};
use super::stops::{Stops, When};

fn outcome(record: &RunRecord) -> String {
    record.outcome().map_or("none".to_owned(), ToString::to_string)
}

#[tokio::test]
async fn what_follows_is_not_lost_in_a_fault_after_the_record() {
    House::new()
        .run(async |house| {
            house.fake.tells_ends();
            house.fake.script("hello", Script::exits(0).out("main\n"));
            house.fake.script("hello", Script::exits(0).out("after\n"));
            let mut hello = job("hello");
            hello.follow_ups.on_success = vec![hello.action.clone()];
            let jobs = [hello];
            // create, start, look, log; then the removal.
            let mut runner = house.runner_on(Stops::new(house.fake.clone(), 4, When::Panic));
            house.plan(&mut runner, &jobs, "hello", 60).await;
            let mut troubles = 0;
            let record = loop {
                match runner.next_event().await {
                    Event::Trouble { .. } => troubles += 1,
                    Event::Ended(record) => break record,
                    _ => {}
                }
            };
            assert_eq!((troubles, outcome(&record)), (1, "succeeded".to_owned()));
            assert_eq!(house.fake.calls_of("remove").len(), 1, "the second attempt");
            runner.pump(&jobs, Utc::now()).await.unwrap();
            let part = house.end_of(&mut runner, &jobs).await;
            assert_eq!((part.occurrence.part, outcome(&part).as_str()), (1, "succeeded"));
            assert_eq!(house.fake.names(), [""; 0]);
            assert_eq!(house.log("hello").matches("outcome=succeeded").count(), 2, "{}", house.log("hello"));
        })
        .await;
}

#[tokio::test]
async fn a_record_that_cannot_be_written_keeps_the_container_until_it_can() {
    House::new()
        .run(async |house| {
            house.fake.script("hello", Script::exits(3).out("once\n"));
            let disk = rusqlite::Connection::open(house.settings.state_dir.join("store.sqlite")).unwrap();
            let full = "CREATE TRIGGER full BEFORE UPDATE ON runs WHEN NEW.state = 'finished'
                        BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END";
            disk.execute_batch(full).unwrap();
            let jobs = [job("hello")];
            let mut runner = house.runner();
            let row = house.plan(&mut runner, &jobs, "hello", 60).await;
            for _ in 0..2 {
                while !matches!(runner.next_event().await, Event::Trouble { .. }) {}
                assert_eq!(house.fake.names(), [row.occurrence.container_name("stack")], "it is the only record");
                assert_eq!(house.store.get(&row.id).await.unwrap().unwrap().outcome(), None);
            }
            disk.execute_batch("DROP TRIGGER full").unwrap();
            assert_eq!(outcome(&house.end_of(&mut runner, &jobs).await), "failed(3)");
            assert_eq!(house.fake.calls_of("start").len(), 1);
            assert_eq!(house.fake.names(), [""; 0]);
            assert_eq!(house.log("hello").matches("once\n").count(), 1);
        })
        .await;
}

fn with_value(mut job: Job, value: &str) -> Job {
    for action in std::iter::once(&mut job.action).chain(&mut job.follow_ups.on_success) {
        if let Action::Run(spec) = action {
            spec.env.0.insert("VALUE".to_owned(), value.to_owned());
        }
    }
    job
}

/// The process goes while the main action runs, and another definition (or none) is in force when
/// it comes back.
#[tokio::test]
async fn a_run_keeps_its_definition_over_a_restart() {
    for removed in [false, true] {
        House::new()
            .run(async |house| {
                let (main, after) = (Gate::new(), Gate::new());
                house.fake.script("hello", Script::exits(0).waits(&main));
                house.fake.script("hello", Script::exits(0).waits(&after));
                let mut hello = job("hello");
                hello.follow_ups.on_success = vec![hello.action.clone()];
                let old = [with_value(hello.clone(), "old")];
                let new = if removed { vec![] } else { vec![with_value(hello, "new")] };
                let mut runner = house.runner();
                house.plan(&mut runner, &old, "hello", 60).await;
                house.until_started(&mut runner).await;
                for (gate, follows) in [(&main, true), (&after, false)] {
                    runner.stop().await;
                    house.restart();
                    runner = house.runner();
                    let found = recovery::recover(&house.fake, &house.store, &house.identity, Utc::now()).await;
                    runner.adopt(found.unwrap().resumes, &new);
                    runner.pump(&new, Utc::now()).await.unwrap();
                    let open = house.store.unfinished().await.unwrap().remove(0);
                    let name = open.occurrence.container_name("stack");
                    assert_eq!(house.fake.spec(&name).unwrap().env.0["VALUE"], "old", "{name}");
                    gate.open();
                    assert_eq!(outcome(&house.end_of(&mut runner, &new).await), "succeeded");
                    if follows {
                        house.until_started(&mut runner).await;
                    }
                }
                assert_eq!(house.store.definitions().await.unwrap(), [].into(), "dropped with the last of it");
            })
            .await;
    }
}

#[tokio::test]
async fn a_lock_is_waited_for_in_sight_and_not_for_ever() {
    House::new()
        .run(async |house| {
            let gate = Gate::new();
            house.fake.script("holder", Script::exits(0).waits(&gate));
            let [mut holder, mut late] = ["holder", "late"].map(job);
            holder.policy.locks = vec!["stack".to_owned()];
            late.policy.locks = vec!["stack".to_owned()];
            late.policy.timeout = Some(Duration::from_millis(200));
            late.follow_ups.on_failure = vec![late.action.clone()];
            let jobs = [holder, late];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "holder", 60).await;
            house.until_started(&mut runner).await;
            let late = house.plan(&mut runner, &jobs, "late", 120).await;
            let why = "the lock stack, held by holder of 1970-01-01T00:01:00Z";
            assert_eq!(runner.waiting()[0].waiting.as_deref(), Some(why));
            let record = house.end_of(&mut runner, &jobs).await;
            assert_eq!(record.id, late.id);
            assert_eq!(record.outcome(), Some(&Outcome::CouldNotStart(format!("it waited 0 s for {why}"))));
            assert_eq!(house.fake.calls_of("create").len(), 1);
            // What belongs after a failure needs the lock as well.
            let follows = house.store.unfinished().await.unwrap();
            assert!(follows.iter().any(|row| row.trigger == Trigger::FollowUp), "{follows:?}");
            gate.open();
            house.end_of(&mut runner, &jobs).await;
        })
        .await;
}

#[tokio::test]
async fn a_stop_that_is_refused_is_sent_again() {
    House::new()
        .run(async |house| {
            house.fake.script("slow", Script::forever());
            house.fake.fail_next("stop", EngineError::Other("cannot stop container".to_owned()));
            let mut slow = job("slow");
            slow.policy.timeout = Some(Duration::from_millis(50));
            let jobs = [slow];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "slow", 60).await;
            assert_eq!(outcome(&house.end_of(&mut runner, &jobs).await), "timed out");
            assert_eq!(house.fake.calls_of("stop").len(), 2);
        })
        .await;
}

/// Adopted while its spool cannot be opened: its time is over all the same.
#[tokio::test]
async fn a_run_whose_output_has_no_place_is_stopped_in_time() {
    for cancel in [false, true] {
        House::new()
            .run(async |house| {
                house.fake.script("slow", Script::forever());
                let mut slow = job("slow");
                slow.policy.timeout = (!cancel).then_some(Duration::from_millis(300));
                let jobs = [slow];
                let mut runner = house.runner();
                // A file where its folder should be.
                let spools = house.shelf().raw(&house.row("slow", 60).id).parent().unwrap().to_owned();
                std::fs::remove_dir_all(&spools).ok();
                std::fs::write(&spools, "").unwrap();
                let row = house.plan(&mut runner, &jobs, "slow", 60).await;
                house.until_started(&mut runner).await;
                if cancel {
                    assert!(runner.cancel(&row.id, Utc::now()).await.unwrap());
                }
                while house.fake.calls_of("stop").is_empty() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                std::fs::remove_file(&spools).unwrap();
                let record = house.end_of(&mut runner, &jobs).await;
                assert_eq!(outcome(&record), if cancel { "cancelled" } else { "timed out" });
            })
            .await;
    }
}

/// It has ended by itself, and badly, before its end is asked for, and is not recorded yet.
#[tokio::test]
async fn who_asks_for_the_end_gets_no_further_attempt() {
    House::new()
        .run(async |house| {
            house.fake.script("slow", Script::exits(3));
            let disk = rusqlite::Connection::open(house.settings.state_dir.join("store.sqlite")).unwrap();
            let full = "CREATE TRIGGER full BEFORE UPDATE ON runs WHEN NEW.state = 'finished'
                        BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END";
            disk.execute_batch(full).unwrap();
            let mut slow = job("slow");
            slow.policy.retries.max = 3;
            let jobs = [slow];
            let mut runner = house.runner();
            let row = house.plan(&mut runner, &jobs, "slow", 60).await;
            while !matches!(runner.next_event().await, Event::Trouble { .. }) {}
            assert!(runner.cancel(&row.id, Utc::now()).await.unwrap());
            disk.execute_batch("DROP TRIGGER full").unwrap();
            assert_eq!(outcome(&house.end_of(&mut runner, &jobs).await), "failed(3)");
            assert_eq!(house.store.unfinished().await.unwrap(), []);
        })
        .await;
}

#[tokio::test]
async fn what_is_missing_from_output_is_known_again_after_a_fault() {
    House::new()
        .run(async |house| {
            house.fake.tells_ends();
            house.fake.script("hello", Script::exits(0).out("unreadable\n"));
            for _ in 0..100 {
                house.fake.fail_next("log", EngineError::Other("the driver cannot be read".to_owned()));
            }
            let disk = rusqlite::Connection::open(house.settings.state_dir.join("store.sqlite")).unwrap();
            let full = "CREATE TRIGGER full BEFORE UPDATE ON runs WHEN NEW.state = 'finished'
                        BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END";
            disk.execute_batch(full).unwrap();
            let jobs = [job("hello")];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "hello", 60).await;
            while !matches!(runner.next_event().await, Event::Trouble { .. }) {}
            disk.execute_batch("DROP TRIGGER full").unwrap();
            let record = house.end_of(&mut runner, &jobs).await;
            assert_eq!(record.output_note.as_deref(), Some("output incomplete: the driver cannot be read"));
        })
        .await;
}
