//! Commands in containers of others: in a holder, and without one.

use std::time::Duration;

use chrono::Utc;
use tender::engine::EngineError;
use tender::engine::fake::{Gate, Script};
use tender::job::{Action, ExecTarget, Job};
use tender::run::RunRecord;
use tender::runner::recovery;

use super::house::{House, exec_job, text_of};
use super::stops::{Stops, When};

fn outcome(record: &RunRecord) -> String {
    record.outcome().map_or("none".to_owned(), ToString::to_string)
}

/// A job without a holder; its target is named, so that nobody has to be asked for it.
fn direct_job(name: &str) -> Job {
    let mut job = exec_job(name);
    if let Action::Exec(exec) = &mut job.action {
        exec.direct = true;
        exec.target = ExecTarget::Container("web".to_owned());
    }
    job
}

async fn ran(house: &House, job: Job, seconds: i64) -> RunRecord {
    let name = job.name.to_string();
    let jobs = [job];
    let mut runner = house.runner();
    house.plan(&mut runner, &jobs, &name, seconds).await;
    let record = house.end_of(&mut runner, &jobs).await;
    runner.stop().await;
    record
}

#[tokio::test]
async fn without_a_holder_the_engine_is_asked_for_the_command_alone() {
    House::new()
        .run(async |house| {
            house.fake.service("stack", "web", "web");
            house.fake.script_exec("web", Script::exits(3).out("one\n").err("two"));
            let record = ran(house, direct_job("touch"), 60).await;
            assert_eq!((outcome(&record).as_str(), record.exit_code), ("failed(3)", Some(3)));
            assert_eq!((record.container_name.as_deref(), record.image.as_deref()), (Some("web"), None));
            assert!(record.started_at.is_some() && record.output_note.is_none(), "{record:?}");
            assert_eq!(house.store.get(&record.id).await.unwrap().as_ref(), Some(&record));
            assert_eq!(house.fake.calls(), ["exec_create web true", "exec_start 0"]);
            assert_eq!(house.fake.execs()[0].env.0["TENDER_RUN"], record.id.as_str());
            let log = house.log("touch");
            assert!(log.contains("\none\ntwo\n") && log.contains(" outcome=failed(3) "), "{log}");
            assert_eq!(text_of(house.shelf().read(&record.id).unwrap().unwrap()), "one\ntwo");
        })
        .await;
}

#[tokio::test]
async fn what_cannot_begin_is_told_with_its_reason() {
    House::new()
        .run(async |house| {
            let record = ran(house, direct_job("touch"), 60).await;
            assert_eq!(outcome(&record), "could not start(there is no container web)");
            house.fake.image("tender");
            let word = "tender: could not start: service web has no running container\n";
            house.fake.script("hold", Script::exits(125).err(word));
            let record = ran(house, exec_job("hold"), 60).await;
            assert_eq!(outcome(&record), "could not start(service web has no running container)");
            assert_eq!(house.fake.names(), [""; 0]);
        })
        .await;
}

#[tokio::test]
async fn an_engine_that_is_away_is_waited_for_while_nothing_has_begun() {
    House::new()
        .run(async |house| {
            house.fake.service("stack", "web", "web");
            house.fake.fail_next("exec_create", EngineError::Unavailable("gone".to_owned()));
            assert_eq!(outcome(&ran(house, direct_job("touch"), 60).await), "succeeded");
            house.fake.fail_next("exec_start", EngineError::Unavailable("gone".to_owned()));
            let record = ran(house, direct_job("touch"), 120).await;
            assert_eq!(outcome(&record), "lost", "it may have begun");
            assert!(record.output_note.as_deref().unwrap().contains("may go on in web"), "{record:?}");
            assert_eq!(house.fake.calls_of("exec_start").len(), 2);
        })
        .await;
}

#[tokio::test]
async fn a_command_without_a_holder_is_stopped_from_inside() {
    for cancel in [false, true] {
        House::new()
            .run(async |house| {
                let gate = Gate::new();
                house.fake.image("tender");
                house.fake.service("stack", "web", "web");
                house.fake.script_exec("web", Script::exits(143).out("begun\n").waits(&gate).out("cleaned\n"));
                let mut job = direct_job("slow");
                job.policy.timeout = (!cancel).then_some(Duration::from_millis(50));
                let jobs = [job];
                let mut runner = house.runner();
                let row = house.plan(&mut runner, &jobs, "slow", 60).await;
                house.until_logged_while("slow", "begun\n", &mut runner).await;
                if cancel {
                    assert!(runner.cancel(&row.id, Utc::now()).await.unwrap());
                }
                let obeys = async {
                    while house.fake.calls_of("attach_once").is_empty() {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    gate.open();
                };
                let (record, ()) = tokio::join!(house.end_of(&mut runner, &jobs), obeys);
                assert_eq!(outcome(&record), if cancel { "cancelled" } else { "timed out" });
                assert_eq!(record.exit_code, Some(143));
                assert!(house.log("slow").contains("begun\ncleaned\n"), "{}", house.log("slow"));
                let signals = house.fake.calls_of("attach_once");
                assert_eq!(signals.len(), 1);
                assert!(signals[0].starts_with(&format!("tender-stack-signal-{}", row.id)), "{signals:?}");
                assert_eq!(house.fake.names(), ["web"]);
                assert_eq!(house.fake.calls_of("stop"), [""; 0], "the service is left alone");
            })
            .await;
    }
}

/// The process dies at each of its calls: what may have begun is lost and never begun again; what
/// cannot have begun is done by the next one.
#[tokio::test]
async fn a_crash_without_a_holder() {
    for (at, when, begun) in
        [(0, When::Before, false), (0, When::After, false), (1, When::Before, true), (1, When::After, true)]
    {
        House::new()
            .run(async |house| {
                house.fake.service("stack", "web", "web");
                house.fake.script_exec("web", Script::exits(0).out("one\n"));
                let jobs = [direct_job("touch")];
                let stops = Stops::new(house.fake.clone(), at, when);
                let mut runner = house.runner_on(stops.clone());
                let row = house.plan(&mut runner, &jobs, "touch", 60).await;
                stops.reached().await;
                runner.stop().await;
                house.restart();
                let before = house.fake.calls_of("exec_start").len();
                let mut runner = house.runner();
                let recovered = recovery::recover(&house.fake, &house.store, &house.identity, Utc::now()).await;
                runner.adopt(recovered.unwrap().resumes, &jobs);
                runner.pump(&jobs, Utc::now()).await.unwrap();
                let record = house.end_of(&mut runner, &jobs).await;
                let about = format!("{at} {when:?} {record:?}");
                assert_eq!(record.id, row.id, "{about}");
                assert_eq!(outcome(&record), if begun { "lost" } else { "succeeded" }, "{about}");
                let note = record.output_note.as_deref().unwrap_or_default();
                assert_eq!(note.contains("output incomplete"), begun, "{about}");
                let after = house.fake.calls_of("exec_start").len();
                assert_eq!(after - before, usize::from(!begun), "{about}");
                assert_eq!(house.fake.names(), ["web"], "{about}");
            })
            .await;
    }
}

#[tokio::test]
async fn a_holder_that_was_killed_knows_of_no_end() {
    House::new()
        .run(async |house| {
            house.fake.image("tender");
            house.fake.script("killed", Script::exits(137).out("one\n"));
            let record = ran(house, exec_job("killed"), 60).await;
            assert_eq!((outcome(&record).as_str(), record.exit_code), ("lost", Some(137)));
            assert!(record.output_note.as_deref().unwrap().contains("may go on"), "{record:?}");
            house.fake.script("memory", Script::exits(137).err("tender: the command ended with 137\n"));
            assert_eq!(outcome(&ran(house, exec_job("memory"), 60).await), "failed(137)");
            assert_eq!(house.fake.calls_of("start").len(), 2, "neither is repeated");
        })
        .await;
}

#[tokio::test]
async fn a_holder_gets_more_time_than_its_command() {
    House::new()
        .run(async |house| {
            house.fake.image("tender");
            house.fake.script("slow", Script::forever());
            let mut job = exec_job("slow");
            job.policy.timeout = Some(Duration::from_millis(50));
            job.policy.grace = Duration::from_secs(7);
            let record = ran(house, job, 60).await;
            assert_eq!(outcome(&record), "timed out");
            let stops = house.fake.calls_of("stop");
            assert!(stops.len() == 1 && stops[0].ends_with(" 47s"), "{stops:?}");
        })
        .await;
}
