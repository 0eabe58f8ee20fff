//! Services that are stopped during a run: they come back whatever happens.

use std::time::Duration;

use chrono::Utc;
use tender::engine::fake::{Gate, Script};
use tender::engine::{EngineError, Life, Runs};
use tender::job::{Action, ContainerSpec, FollowUps, Job, Retries};
use tender::run::{RunRecord, SkipReason, State, Trigger};
use tender::runner::{Event, Runner, recovery};

use super::house::{House, job};
use super::stops::{Stops, When};

fn outcome(record: &RunRecord) -> String {
    record.outcome().map_or("none".to_owned(), ToString::to_string)
}

fn stopping(name: &str, services: &[&str]) -> Job {
    let mut job = job(name);
    job.stop = services.iter().map(|s| (*s).to_owned()).collect();
    job
}

impl House {
    fn with_services(&self) {
        for name in ["web", "db"] {
            self.fake.service("stack", name, name);
            self.fake.edit(name, |seen| seen.stop_timeout = Some(Duration::from_secs(3)));
        }
    }

    async fn runs(&self, name: &str) -> bool {
        self.fake.look(name).await.unwrap().unwrap().life == Life::Running
    }

    /// Waits until nothing is noted as stopped any more.
    async fn until_back(&self) {
        while !self.store.stopped().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// What was done to containers, in order.
    fn moves(&self) -> Vec<String> {
        let calls = self.fake.calls().into_iter();
        calls.filter(|c| ["create ", "start ", "stop ", "remove "].iter().any(|word| c.starts_with(word))).collect()
    }

    /// The next process: what it does until nothing runs or waits.
    async fn after_a_restart(&mut self, jobs: &[Job]) -> Runner<tender::engine::fake::Fake> {
        self.restart();
        let mut runner = self.runner();
        let recovered = recovery::recover(&self.fake, &self.store, &self.identity, Utc::now()).await.unwrap();
        runner.adopt(recovered.resumes, jobs);
        runner.pump(jobs, Utc::now()).await.unwrap();
        while !runner.running().is_empty() || !runner.waiting().is_empty() {
            self.end_of(&mut runner, jobs).await;
        }
        runner
    }
}

#[tokio::test]
async fn services_are_down_while_the_container_runs() {
    House::new()
        .run(async |house| {
            house.with_services();
            let gate = Gate::new();
            house.fake.script("backup", Script::exits(0).waits(&gate));
            let mut job = stopping("backup", &["web", "db"]);
            let upload = ContainerSpec { image: "busybox".to_owned(), ..ContainerSpec::default() };
            job.follow_ups = FollowUps { on_success: vec![Action::Run(Box::new(upload))], ..FollowUps::default() };
            let jobs = [job];
            let mut runner = house.runner();
            let row = house.plan(&mut runner, &jobs, "backup", 60).await;
            house.until_started(&mut runner).await;
            assert!(!house.runs("web").await && !house.runs("db").await);
            let noted: Vec<String> = house.store.stopped().await.unwrap().into_iter().map(|n| n.service).collect();
            assert_eq!(noted, ["web", "db"]);
            gate.open();
            house.end_of(&mut runner, &jobs).await;
            house.end_of(&mut runner, &jobs).await;
            let name = row.occurrence.container_name("stack");
            let expected = [
                format!("create {name}"),
                "stop web 3s".to_owned(),
                "stop db 3s".to_owned(),
                format!("start {name}"),
                format!("remove {name}"),
                "start db".to_owned(),
                "start web".to_owned(),
                format!("create {name}-p1"),
            ];
            assert_eq!(house.moves()[..8], expected);
            assert_eq!(house.store.stopped().await.unwrap(), []);
        })
        .await;
}

#[tokio::test]
async fn services_are_up_between_attempts() {
    House::new()
        .run(async |house| {
            house.with_services();
            house.fake.script("backup", Script::exits(1));
            let mut job = stopping("backup", &["web"]);
            job.policy.retries = Retries { max: 1, backoff: Duration::from_millis(20), ..Retries::default() };
            let jobs = [job];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "backup", 60).await;
            house.end_of(&mut runner, &jobs).await;
            assert!(house.runs("web").await);
            house.end_of(&mut runner, &jobs).await;
            assert!(house.runs("web").await);
            assert_eq!(house.fake.calls_of("stop"), ["web 3s", "web 3s"]);
        })
        .await;
}

#[tokio::test]
async fn what_was_down_stays_down_and_what_is_none_keeps_the_run_from_starting() {
    House::new()
        .run(async |house| {
            house.with_services();
            house.fake.stop("db", Duration::ZERO).await.unwrap();
            let jobs = [stopping("backup", &["web", "db"]), stopping("typo", &["web", "dbb"])];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "backup", 60).await;
            assert_eq!(outcome(&house.end_of(&mut runner, &jobs).await), "succeeded");
            assert!(house.runs("web").await && !house.runs("db").await);

            let stops = house.fake.calls_of("stop").len();
            house.plan(&mut runner, &jobs, "typo", 60).await;
            let record = house.end_of(&mut runner, &jobs).await;
            assert!(outcome(&record).starts_with("could not start(dbb, which is to be stopped"), "{record:?}");
            assert_eq!(house.fake.calls_of("stop").len(), stops, "nothing was stopped");
            assert!(!house.fake.names().iter().any(|name| name.contains("typo")));
        })
        .await;
}

#[tokio::test]
async fn an_image_that_is_not_there_stops_nothing() {
    House::new()
        .run(async |house| {
            house.with_services();
            let mut job = stopping("backup", &["web"]);
            super::house::set_image(&mut job, "nowhere");
            house.fake.unpullable("nowhere");
            let jobs = [job];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "backup", 60).await;
            assert!(outcome(&house.end_of(&mut runner, &jobs).await).starts_with("could not start("));
            assert_eq!(house.fake.calls_of("stop"), [""; 0]);
        })
        .await;
}

#[tokio::test]
async fn every_end_of_a_run_brings_them_back() {
    for end in ["cancelled", "timed out", "lost", "the engine restarts", "could not start(no)", "failed(3)"] {
        House::new()
            .run(async |house| {
                house.with_services();
                house.fake.edit("web", |seen| seen.restart_policy = "unless-stopped".to_owned());
                let gate = Gate::new();
                house.fake.script("backup", Script::exits(3).waits(&gate));
                let mut job = stopping("backup", &["web"]);
                job.policy.timeout = (end == "timed out").then_some(Duration::from_millis(50));
                let jobs = [job];
                let mut runner = house.runner();
                if end.starts_with("could not start") {
                    house.fake.fail_next("start", EngineError::Other("no".to_owned()));
                }
                let row = house.plan(&mut runner, &jobs, "backup", 60).await;
                if !end.starts_with("could not start") {
                    house.until_started(&mut runner).await;
                }
                let name = row.occurrence.container_name("stack");
                match end {
                    "cancelled" => drop(runner.cancel(&row.id, Utc::now()).await.unwrap()),
                    "lost" => house.fake.vanish(&name),
                    "the engine restarts" => house.fake.engine_restart(),
                    "failed(3)" => gate.open(),
                    _ => {}
                }
                let record = house.end_of(&mut runner, &jobs).await;
                assert!(outcome(&record) == end || end == "the engine restarts", "{record:?}");
                assert!(house.runs("web").await, "{end}");
                assert_eq!(house.store.stopped().await.unwrap(), [], "{end}");
            })
            .await;
    }
}

#[tokio::test]
async fn the_container_that_a_deploy_put_in_its_place_is_started() {
    House::new()
        .run(async |house| {
            house.with_services();
            let gate = Gate::new();
            house.fake.script("backup", Script::exits(0).waits(&gate));
            let jobs = [stopping("backup", &["web", "db"])];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "backup", 60).await;
            house.until_started(&mut runner).await;
            house.fake.vanish("web");
            house.fake.service("stack", "web", "web-2");
            house.fake.stop("web-2", Duration::ZERO).await.unwrap();
            house.fake.vanish("db");
            gate.open();
            house.end_of(&mut runner, &jobs).await;
            assert!(house.runs("web-2").await);
            assert_eq!(house.store.stopped().await.unwrap(), [], "what is gone is not waited for");
        })
        .await;
}

#[tokio::test]
async fn a_start_that_fails_is_told_and_tried_again() {
    House::new()
        .run(async |house| {
            house.with_services();
            let gate = Gate::new();
            house.fake.script("backup", Script::exits(0).waits(&gate));
            let jobs = [stopping("backup", &["web"])];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "backup", 60).await;
            house.until_started(&mut runner).await;
            house.fake.fail_next("start", EngineError::Other("port is already allocated".to_owned()));
            gate.open();
            let mut told = Vec::new();
            while told.len() < 2 {
                if let Event::StillStopped(what) = runner.next_event().await {
                    told.push(what);
                }
            }
            assert!(told[0][0].starts_with("web was stopped for run "), "{told:?}");
            assert!(told[0][0].ends_with("cannot be started again: port is already allocated"), "{told:?}");
            assert_eq!(told[1], [""; 0]);
            assert!(house.runs("web").await);
        })
        .await;
}

#[tokio::test]
async fn an_engine_that_is_away_when_they_should_be_started_is_waited_for_over_restarts() {
    House::new()
        .run(async |house| {
            house.with_services();
            let gate = Gate::new();
            house.fake.script("backup", Script::exits(0).waits(&gate));
            let jobs = [stopping("backup", &["web"])];
            let stops = Stops::new(house.fake.clone(), usize::MAX, When::Before);
            let mut runner = house.runner_on(stops);
            house.plan(&mut runner, &jobs, "backup", 60).await;
            house.until_started(&mut runner).await;
            // It ends, is recorded, and the process dies.
            gate.open();
            house.fake.fail_next("start", EngineError::Unavailable("no socket".to_owned()));
            house.end_of(&mut runner, &jobs).await;
            house.fake.set_reachable(false);
            runner.stop().await;
            house.fake.set_reachable(true);
            let runner = house.after_a_restart(&jobs).await;
            house.until_back().await;
            assert!(house.runs("web").await);
            runner.stop().await;
        })
        .await;
}

/// The process dies at each call to the engine, before the engine has heard of it or after it has
/// carried it out. Each time: the run runs once, with the services down, and they are up after it.
#[tokio::test]
async fn a_crash_at_every_step_brings_them_back() {
    let mut crashes = 0;
    for at in 0..22 {
        for when in [When::Before, When::After] {
            House::new().run(async |house| crashes += usize::from(crash(house, at, when).await)).await;
        }
    }
    assert!(crashes >= 36, "only {crashes} crashes took place");
}

async fn crash(house: &mut House, at: usize, when: When) -> bool {
    let about = format!("crash {when:?} call {at}");
    house.with_services();
    house.fake.script("backup", Script::exits(7));
    let jobs = [stopping("backup", &["web", "db"])];
    let stops = Stops::new(house.fake.clone(), at, when);
    let mut runner = house.runner_on(stops.clone());
    let row = house.plan(&mut runner, &jobs, "backup", 60).await;
    let crashed = tokio::select! {
        () = stops.reached() => true,
        _ = house.end_of(&mut runner, &jobs) => false,
    };
    runner.stop().await;

    let runner = house.after_a_restart(&jobs).await;
    house.until_back().await;
    runner.stop().await;
    let record = house.store.get(&row.id).await.unwrap().unwrap();
    assert_eq!(outcome(&record), "failed(7)", "{about}");
    assert!(house.runs("web").await && house.runs("db").await, "{about}: {:?}", house.moves());
    let moves = house.moves();
    let name = row.occurrence.container_name("stack");
    let start = moves.iter().position(|call| *call == format!("start {name}")).unwrap();
    for service in ["web", "db"] {
        let last = moves[..start]
            .iter()
            .rposition(|call| call.ends_with(&format!(" {service}")) || call.contains(&format!(" {service} ")));
        assert!(moves[last.unwrap()].starts_with("stop"), "{about}: {service} was up: {moves:?}");
    }
    crashed
}

#[tokio::test]
async fn a_run_that_waits_again_or_never_begins_keeps_nobody_down() {
    for removed in [true, false] {
        House::new()
            .run(async |house| {
                house.with_services();
                let jobs = [stopping("backup", &["web"])];
                // Dies when the service is down: create, list, look, stop.
                let stops = Stops::new(house.fake.clone(), 3, When::After);
                let mut runner = house.runner_on(stops.clone());
                let row = house.plan(&mut runner, &jobs, "backup", 60).await;
                tokio::select! {
                    () = stops.reached() => {}
                    _ = runner.next_event() => {}
                }
                runner.stop().await;
                assert!(!house.runs("web").await);

                // Another run of the job stands before it in the line, or the job is gone.
                let gate = Gate::new();
                house.fake.rescript("backup", Script::exits(0).waits(&gate));
                let mut first = house.row("backup", 30);
                first.due = row.due - chrono::TimeDelta::seconds(60);
                first.trigger = Trigger::Manual;
                house.restart();
                let mut runner = house.runner();
                let recovered =
                    recovery::recover(&house.fake, &house.store, &house.identity, Utc::now()).await.unwrap();
                runner.adopt(recovered.resumes, &jobs);
                if removed {
                    let skipped = runner.pump(&[], Utc::now()).await.unwrap();
                    assert_eq!(skipped[0].state, State::Finished(tender::run::Outcome::Skipped(SkipReason::Removed)));
                } else {
                    let mut other = job("other");
                    other.policy.locks = vec!["stack".to_owned()];
                    let mut waits = stopping("backup", &["web"]);
                    waits.policy.locks = vec!["stack".to_owned()];
                    let jobs = [other, waits];
                    house.fake.script("other", Script::exits(0).waits(&gate));
                    first.occurrence.job = jobs[0].name.clone();
                    runner.enqueue(house.store.plan(vec![first], vec![], vec![], None).await.unwrap());
                    runner.pump(&jobs, Utc::now()).await.unwrap();
                    house.until_back().await;
                    assert!(house.runs("web").await);
                    gate.open();
                    house.end_of(&mut runner, &jobs).await;
                    let record = house.end_of(&mut runner, &jobs).await;
                    assert_eq!((&record.id, outcome(&record).as_str()), (&row.id, "succeeded"));
                }
                house.until_back().await;
                assert!(house.runs("web").await);
            })
            .await;
    }
}

/// The engine goes on with a stop whose caller has died: the service is not taken for one that runs.
#[tokio::test]
async fn a_stop_that_is_still_under_way_is_waited_for() {
    House::new()
        .run(async |house| {
            house.with_services();
            let jobs = [stopping("backup", &["web"])];
            let stops = Stops::new(house.fake.clone(), 3, When::Before);
            let mut runner = house.runner_on(stops.clone());
            house.plan(&mut runner, &jobs, "backup", 60).await;
            tokio::select! {
                () = stops.reached() => {}
                _ = runner.next_event() => {}
            }
            runner.stop().await;
            house.restart();
            let mut runner = house.runner();
            let recovered = recovery::recover(&house.fake, &house.store, &house.identity, Utc::now()).await.unwrap();
            runner.adopt(recovered.resumes, &[]);
            runner.pump(&[], Utc::now()).await.unwrap();
            while house.fake.calls_of("exit").is_empty() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            house.fake.stop("web", Duration::ZERO).await.unwrap();
            house.until_back().await;
            assert!(house.runs("web").await);
            assert_eq!(house.fake.calls_of("start"), ["web"]);
            runner.stop().await;
        })
        .await;
}

/// A full disk: the outcome cannot be written for a while. The container has ended, and the
/// services need not wait for the disk.
#[tokio::test]
async fn a_store_that_cannot_be_written_keeps_nobody_down() {
    House::new()
        .run(async |house| {
            house.with_services();
            let gate = Gate::new();
            house.fake.script("backup", Script::exits(0).waits(&gate));
            let jobs = [stopping("backup", &["web"])];
            let mut runner = house.runner();
            let row = house.plan(&mut runner, &jobs, "backup", 60).await;
            house.until_started(&mut runner).await;
            let other = rusqlite::Connection::open(house.settings.state_dir.join("store.sqlite")).unwrap();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            gate.open();
            while !matches!(runner.next_event().await, Event::Trouble { .. }) {}
            while !house.runs("web").await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(house.store.get(&row.id).await.unwrap().unwrap().outcome(), None);
            other.execute_batch("ROLLBACK").unwrap();
            assert_eq!(outcome(&house.end_of(&mut runner, &jobs).await), "succeeded");
            house.until_back().await;
            assert_eq!(house.fake.calls_of("stop"), ["web 3s"]);
        })
        .await;
}
