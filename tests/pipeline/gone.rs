//! An engine that restarts or crashes: what it took away is interrupted, and nothing else is.

use tender::engine::fake::Script;
use tender::job::OnInterrupt;
use tender::run::RunRecord;
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
