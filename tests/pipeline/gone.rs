//! An engine that restarts or crashes: what it took away is interrupted, and nothing else is.

use tender::engine::fake::Script;
use tender::engine::{EngineError, Life, Runs};
use tender::job::{ContainerSpec, OnInterrupt};
use tender::run::{Outcome, RunRecord, State};
use tender::runner::recovery;

use super::house::{House, job};

fn outcome(record: &RunRecord) -> String {
    record.outcome().map_or("none".to_owned(), ToString::to_string)
}

#[tokio::test]
async fn what_it_takes_away_is_interrupted_and_repeated_once_on_request() {
    for (script, crash, expected) in [
        (Script::default(), false, "interrupted(143)"),
        (Script::default().ignores_stop(), false, "interrupted(137)"),
        // It obeys and ends in peace: no success of the job all the same.
        (Script::default().on_stop(0), false, "interrupted(0)"),
        (Script::default().on_stop(3), true, "interrupted(3)"),
    ] {
        House::new()
            .run(async |house| {
                house.fake.script("hello", script.clone().out("begun\n").stays());
                let mut job = job("hello");
                job.policy.on_interrupt = OnInterrupt::Retry;
                let jobs = [job];
                let mut runner = house.runner();
                house.plan(&mut runner, &jobs, "hello", 60).await;
                for attempt in [1_u32, 2] {
                    house.until_started(&mut runner).await;
                    house.until_said("hello", "begun\n", attempt as usize).await;
                    if crash {
                        house.fake.engine_crash()
                    } else {
                        house.fake.engine_restart()
                    }
                    let record = house.end_of(&mut runner, &jobs).await;
                    assert_eq!((outcome(&record).as_str(), record.occurrence.attempt), (expected, attempt));
                    let incomplete = record.output_note.is_some_and(|note| note.starts_with("output incomplete"));
                    assert_eq!(incomplete, crash, "only a crash loses output");
                }
                assert_eq!(house.store.unfinished().await.unwrap(), [], "repeated once");
            })
            .await;
    }
}

#[tokio::test]
async fn what_was_killed_by_hand_failed_although_no_scheduler_was_there() {
    for (restarted, expected) in [(false, "failed(137)"), (true, "interrupted(137)")] {
        House::new()
            .run(async |house| {
                house.fake.script("hello", Script::forever().ignores_stop());
                let jobs = [job("hello")];
                let mut runner = house.runner();
                house.plan(&mut runner, &jobs, "hello", 60).await;
                house.until_started(&mut runner).await;
                drop(runner);
                house.restart();
                if restarted {
                    house.fake.engine_restart();
                } else {
                    let name = house.fake.names()[0].clone();
                    house.fake.kill(&name);
                }
                let mut runner = house.runner();
                let found = recovery::recover(&house.fake, &house.store, &house.identity, chrono::Utc::now()).await;
                runner.adopt(found.unwrap().resumes, &jobs);
                let record = house.end_of(&mut runner, &jobs).await;
                assert_eq!(outcome(&record), expected);
            })
            .await;
    }
}

#[tokio::test]
async fn what_is_left_of_a_run_that_the_history_forgot_is_removed_and_not_run_again() {
    // Whether it had run, or was cancelled before.
    for ran in [true, false] {
        House::new()
            .run(async |house| {
                let row = house.store.plan(vec![house.row("hello", 60)], vec![], vec![], None).await.unwrap().remove(0);
                let spec = ContainerSpec { image: "busybox".to_owned(), ..ContainerSpec::default() };
                let name = row.occurrence.container_name("stack");
                house.fake.script("hello", Script::exits(0).out("once\n"));
                house.fake.create(&name, &house.identity.dress(spec, &row)).await.unwrap();
                if ran {
                    house.fake.start(&name).await.unwrap();
                    while house.fake.look(&name).await.unwrap().unwrap().life != Life::Exited {
                        tokio::task::yield_now().await;
                    }
                }
                let mut later = house.store.plan(vec![house.row("hello", 120)], vec![], vec![], None).await.unwrap();
                for mut record in [row.clone(), later.remove(0)] {
                    record.state = State::Finished(Outcome::Succeeded);
                    house.store.finish(&record, vec![]).await.unwrap();
                }
                assert_eq!(house.store.prune(1, chrono::DateTime::UNIX_EPOCH).await.unwrap(), 1);
                house.restart();
                let found = recovery::recover(&house.fake, &house.store, &house.identity, chrono::Utc::now()).await;
                let found = found.unwrap();
                assert_eq!((found.resumes, found.removed), (vec![], vec![name]));
                assert!(found.remarks[0].contains("the history has forgotten"), "{:?}", found.remarks);
                assert_eq!(house.fake.names(), [""; 0]);
                assert_eq!(house.store.get(&row.id).await.unwrap(), None, "it is not told twice");
            })
            .await;
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_holds_up_nobody_else() {
    House::new()
        .run(async |house| {
            house.fake.script("hello", Script::default().stays());
            let jobs = [job("hello")];
            let mut runner = house.runner();
            let row = house.plan(&mut runner, &jobs, "hello", 60).await;
            house.until_started(&mut runner).await;
            runner.stop().await;
            let other = rusqlite::Connection::open(house.settings.state_dir.join("store.sqlite")).unwrap();
            let newer = "UPDATE runs SET state = 'melting', document = json_set(document, '$.state', 'melting')";
            other.execute_batch(newer).unwrap();
            house.restart();
            let mut waiting = house.row("other", 60);
            waiting.due = chrono::Utc::now();
            house.store.plan(vec![waiting.clone()], vec![], vec![], None).await.unwrap();
            let found = recovery::recover(&house.fake, &house.store, &house.identity, chrono::Utc::now()).await;
            let found = found.unwrap();
            let resumed: Vec<_> = found.resumes.iter().map(|resume| resume.record.id.clone()).collect();
            assert_eq!(resumed, [waiting.id]);
            assert!(found.remarks[0].contains("cannot be read"), "{:?}", found.remarks);
            let output = tender::runner::output::Output::start(house.shelf()).unwrap();
            recovery::finish_output(&output, &house.store, &house.settings.log_dir).await.unwrap();
            assert_eq!(house.fake.names(), [row.occurrence.container_name("stack")], "it is left alone");
            let again = house.row("hello", 60);
            assert_eq!(house.store.plan(vec![again], vec![], vec![], None).await.unwrap(), [], "nor repeated");
        })
        .await;
}

#[tokio::test]
async fn a_container_that_could_not_be_removed_is_tried_again_later() {
    House::new()
        .run(async |house| {
            house.fake.script("hello", Script::exits(0).out("once\n"));
            for _ in 0..7 {
                house.fake.fail_next("remove", EngineError::Other("device or resource busy".to_owned()));
            }
            let jobs = [job("hello")];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "hello", 60).await;
            assert_eq!(outcome(&house.end_of(&mut runner, &jobs).await), "succeeded");
            assert_eq!((house.fake.names().len(), house.fake.calls_of("remove").len()), (1, 6));
            while !house.fake.names().is_empty() {
                runner.tidy();
                tokio::task::yield_now().await;
            }
            assert_eq!(house.fake.calls_of("remove").len(), 8);
        })
        .await;
}
