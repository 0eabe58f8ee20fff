//! The life of runs against an engine in memory: every end that a run can have, and a crash at
//! every step on the way.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, which may fail loudly")]

mod pipeline {
    pub mod broken;
    mod execs;
    mod faults;
    mod full_disk;
    mod gone;
    pub mod house;
    mod oneoff;
    mod parts;
    mod reload;
    mod stop_list;
    pub mod stops;
    mod walk;
}

use std::path::PathBuf;
use std::time::Duration;

use chrono::Utc;
use pipeline::house::{House, exec_job, job, text_of};
use pipeline::stops::{Stops, When};
use tender::engine::fake::{Gate, Script};
use tender::engine::{Created, EngineError, Runs};
use tender::job::{ContainerSpec, Overlap, Retries};
use tender::run::{Outcome, RunRecord, SkipReason, State, Trigger, labels};
use tender::runner::Event;
use tender::runner::recovery;

fn outcome(record: &RunRecord) -> String {
    record.outcome().map_or("none".to_owned(), ToString::to_string)
}

#[tokio::test]
async fn a_success_leaves_a_record_a_log_and_nothing_else() {
    House::new()
        .run(async |house| {
            house.fake.script("hello", Script::exits(0).out("one\n").err("two\n").out("three"));
            let jobs = [job("hello")];
            let mut runner = house.runner();
            let row = house.plan(&mut runner, &jobs, "hello", 60).await;
            let record = house.end_of(&mut runner, &jobs).await;
            assert_eq!((outcome(&record), record.exit_code), ("succeeded".to_owned(), Some(0)));
            assert_eq!(record.container_name, Some(row.occurrence.container_name("stack")));
            assert!(record.image.as_deref().unwrap().starts_with("sha256:"));
            assert_eq!(house.store.get(&row.id).await.unwrap(), Some(record));
            assert_eq!(house.fake.names(), [""; 0]);
            let log = house.log("hello");
            let (head, rest) = log.split_once("+00:00\n").unwrap();
            assert!(head.starts_with("==========\nhello START_TIME="), "{log}");
            assert!(rest.starts_with("one\ntwo\nthree\nhello finished START_TIME="), "{log}");
            assert!(log.ends_with(&format!(" outcome=succeeded run={}\n", row.id)), "{log}");
            assert_eq!(text_of(house.shelf().read(&row.id).unwrap().unwrap()), "one\ntwo\nthree");
        })
        .await;
}

/// Few calls: nothing is asked twice, nothing is polled. A live follow may lack the last lines, so
/// that the log of a run that was followed is read once more.
#[tokio::test]
async fn a_run_costs_five_calls_where_the_engine_tells_of_its_end() {
    for (tells, gated, expected) in [
        (true, false, vec!["create", "start", "look", "log", "remove"]),
        (true, true, vec!["create", "start", "log", "look", "log", "remove"]),
        (false, true, vec!["create", "start", "log", "exit", "look", "log", "remove"]),
    ] {
        House::new()
            .run(async |house| {
                if tells {
                    house.fake.tells_ends();
                }
                let gate = Gate::new();
                let script = Script::exits(0).out("one\n");
                let script = if gated { script.waits(&gate).out("two") } else { script.out("two") };
                house.fake.script("hello", script);
                let jobs = [job("hello")];
                let mut runner = house.runner();
                let row = house.plan(&mut runner, &jobs, "hello", 60).await;
                if gated {
                    house.until_logged_while("hello", "one\n", &mut runner).await;
                    gate.open();
                }
                let record = house.end_of(&mut runner, &jobs).await;
                assert_eq!((outcome(&record), record.exit_code), ("succeeded".to_owned(), Some(0)));
                assert_eq!(text_of(house.shelf().read(&row.id).unwrap().unwrap()), "one\ntwo");
                let mut calls: Vec<String> =
                    house.fake.calls().iter().map(|c| c.split(' ').next().unwrap().to_owned()).collect();
                // The end and the output are asked for at the same time.
                calls.sort_unstable();
                let mut expected = expected;
                expected.sort_unstable();
                assert_eq!(calls, expected, "tells: {tells}, gated: {gated}");
            })
            .await;
    }
}

#[tokio::test]
async fn what_a_container_is_told_and_carries() {
    House::new()
        .run(async |house| {
            let gate = Gate::new();
            house.fake.script("hello", Script::exits(0).waits(&gate));
            let jobs = [job("hello")];
            let mut runner = house.runner();
            let row = house.plan(&mut runner, &jobs, "hello", 60).await;
            house.until_started(&mut runner).await;
            let spec = house.fake.spec(&row.occurrence.container_name("stack")).unwrap();
            assert_eq!(spec.env.0["TENDER_RUN"], row.id.as_str());
            assert_eq!(spec.env.0["TENDER_PLANNED"], "1970-01-01T00:01:00Z");
            assert_eq!(spec.labels[labels::INSTANCE], house.identity.instance);
            assert!(spec.labels.keys().all(|key| key.starts_with("tender.")));
            gate.open();
            house.end_of(&mut runner, &jobs).await;
        })
        .await;
}

#[tokio::test]
async fn failures_are_retried_with_pauses() {
    House::new()
        .run(async |house| {
            house.fake.script("hello", Script::exits(3).out("no\n"));
            house.fake.script("hello", Script::exits(0).out("yes\n"));
            let mut job = job("hello");
            job.policy.retries = Retries { max: 2, backoff: Duration::from_millis(30), ..Retries::default() };
            let jobs = [job];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "hello", 60).await;
            let first = house.end_of(&mut runner, &jobs).await;
            assert_eq!((outcome(&first), first.occurrence.attempt), ("failed(3)".to_owned(), 1));
            let second = house.end_of(&mut runner, &jobs).await;
            assert_eq!((outcome(&second), second.occurrence.attempt), ("succeeded".to_owned(), 2));
            assert_eq!(second.trigger, Trigger::Retry);
            assert!(second.container_name.unwrap().ends_with("-a2"));
            assert_eq!(house.store.unfinished().await.unwrap(), []);
            assert!(house.log("hello").contains("outcome=failed(3)"));
        })
        .await;
}

#[tokio::test]
async fn a_timeout_stops_then_kills() {
    House::new()
        .run(async |house| {
            for (script, calls) in [(Script::forever(), 1), (Script::forever().ignores_stop(), 1)] {
                house.fake.script("slow", script);
                let mut job = job("slow");
                job.policy.timeout = Some(Duration::from_millis(50));
                job.policy.grace = Duration::from_millis(50);
                let jobs = [job];
                let mut runner = house.runner();
                let before = house.fake.calls_of("stop").len();
                house.plan(&mut runner, &jobs, "slow", 60 + i64::try_from(before).unwrap()).await;
                let record = house.end_of(&mut runner, &jobs).await;
                assert_eq!(outcome(&record), "timed out");
                assert!(matches!(record.exit_code, Some(137 | 143)), "{record:?}");
                assert_eq!(house.fake.calls_of("stop").len(), before + calls);
            }
        })
        .await;
}

#[tokio::test]
async fn a_run_is_cancelled_before_and_after_its_start() {
    House::new()
        .run(async |house| {
            house.fake.script("slow", Script::forever().on_stop(0));
            let mut job = job("slow");
            job.policy.overlap = Overlap::Queue;
            let jobs = [job];
            let mut runner = house.runner();
            let first = house.plan(&mut runner, &jobs, "slow", 60).await;
            house.until_started(&mut runner).await;
            let second = house.plan(&mut runner, &jobs, "slow", 120).await;
            let waiting = runner.waiting();
            assert_eq!(waiting[0].waiting.as_deref(), Some("the run of 1970-01-01T00:01:00Z"));
            assert_eq!(
                house.store.get(&second.id).await.unwrap().unwrap().state,
                State::Planned { waiting: waiting[0].waiting.clone() }
            );
            assert!(runner.cancel(&second.id, Utc::now()).await.unwrap());
            assert_eq!(outcome(&house.end_of(&mut runner, &jobs).await), "cancelled");
            assert!(runner.cancel(&first.id, Utc::now()).await.unwrap());
            let record = house.end_of(&mut runner, &jobs).await;
            assert_eq!((record.id, record.state), (first.id.clone(), State::Finished(Outcome::Cancelled)));
            assert!(!runner.cancel(&first.id, Utc::now()).await.unwrap());
            assert_eq!(house.fake.calls_of("create").len(), 1);
        })
        .await;
}

#[tokio::test]
async fn too_much_output_ends_a_run() {
    House::new()
        .run(async |house| {
            house.settings.max_output = 1000;
            house.fake.script("flood", Script::exits(0).out(vec![b'x'; 5000]).stays());
            let jobs = [job("flood")];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "flood", 60).await;
            let record = house.end_of(&mut runner, &jobs).await;
            assert_eq!(outcome(&record), "failed(143)");
            assert_eq!(record.output_note.as_deref(), Some("stopped: it wrote more than 1000 bytes"));
        })
        .await;
}

#[tokio::test]
async fn memory_and_images() {
    House::new()
        .run(async |house| {
            let gate = Gate::new();
            house.fake.script("fat", Script::exits(0).waits(&gate));
            house.fake.unpullable("absent");
            let (fat, mut absent, mut pulled) = (job("fat"), job("absent"), job("pulled"));
            pipeline::house::set_image(&mut absent, "absent");
            pipeline::house::set_image(&mut pulled, "elsewhere");
            let jobs = [fat, absent, pulled];
            let mut runner = house.runner();
            let row = house.plan(&mut runner, &jobs, "fat", 60).await;
            house.until_started(&mut runner).await;
            house.fake.kill_for_memory(&row.occurrence.container_name("stack"));
            assert_eq!(outcome(&house.end_of(&mut runner, &jobs).await), "failed(137, out of memory)");
            house.plan(&mut runner, &jobs, "absent", 60).await;
            let record = house.end_of(&mut runner, &jobs).await;
            assert_eq!(outcome(&record), "could not start(not found: image absent cannot be pulled)");
            assert!(house.log("absent").contains("outcome=could-not-start"), "{}", house.log("absent"));
            house.plan(&mut runner, &jobs, "pulled", 60).await;
            assert_eq!(outcome(&house.end_of(&mut runner, &jobs).await), "succeeded");
            assert_eq!(house.fake.calls_of("ensure_image"), ["absent", "elsewhere"], "asked only where needed");
        })
        .await;
}

#[tokio::test]
async fn a_name_that_a_stranger_has() {
    House::new()
        .run(async |house| {
            let jobs = [job("hello")];
            let mut runner = house.runner();
            let row = house.row("hello", 60);
            let name = row.occurrence.container_name("stack");
            house
                .fake
                .create(&name, &ContainerSpec { image: "busybox".to_owned(), ..ContainerSpec::default() })
                .await
                .unwrap();
            house.plan_row(&mut runner, &jobs, row).await;
            let record = house.end_of(&mut runner, &jobs).await;
            assert!(outcome(&record).starts_with(&format!("could not start(the name {name} is taken by container ")));
            assert_eq!(house.fake.names(), [name], "it is left alone");
            assert_eq!(house.fake.calls_of("start"), [""; 0]);
        })
        .await;
}

#[tokio::test]
async fn a_name_that_is_ours_is_adopted() {
    House::new()
        .run(async |house| {
            house.fake.script("hello", Script::exits(0).out("once\n"));
            let jobs = [job("hello")];
            let row = house.row("hello", 60);
            let spec = ContainerSpec { image: "busybox".to_owned(), ..ContainerSpec::default() };
            let spec = house.identity.dress(spec, &row);
            let Created::New(id) = house.fake.create(&row.occurrence.container_name("stack"), &spec).await.unwrap()
            else {
                panic!("the name is free");
            };
            // A request of a process that died, which the engine carried out: it runs already.
            house.fake.start(&id).await.unwrap();
            let mut runner = house.runner();
            house.plan_row(&mut runner, &jobs, row).await;
            assert_eq!(outcome(&house.end_of(&mut runner, &jobs).await), "succeeded");
            assert_eq!(house.fake.calls_of("start").len(), 1);
            assert_eq!(house.log("hello").matches("once\n").count(), 1);
        })
        .await;
}

#[tokio::test]
async fn a_container_that_vanishes_is_lost_and_never_repeated() {
    House::new()
        .run(async |house| {
            house.fake.script("hello", Script::exits(0).out("begun\n").stays());
            let mut job = job("hello");
            job.policy.retries = Retries { max: 5, ..Retries::default() };
            let jobs = [job];
            let mut runner = house.runner();
            let row = house.plan(&mut runner, &jobs, "hello", 60).await;
            house.until_started(&mut runner).await;
            house.until_logged("hello", "begun\n").await;
            house.fake.vanish(&row.occurrence.container_name("stack"));
            assert_eq!(outcome(&house.end_of(&mut runner, &jobs).await), "lost");
            assert_eq!(house.store.unfinished().await.unwrap(), []);
            assert_eq!(text_of(house.shelf().read(&row.id).unwrap().unwrap()), "begun\n", "what was said is kept");
        })
        .await;
}

#[tokio::test]
async fn a_container_that_is_removed_before_its_start_is_made_again() {
    House::new()
        .run(async |house| {
            house.fake.script("hello", Script::exits(0).out("hello\n"));
            house.fake.prune_before_start();
            let jobs = [job("hello")];
            let mut runner = house.runner();
            let row = house.plan(&mut runner, &jobs, "hello", 60).await;
            assert_eq!(outcome(&house.end_of(&mut runner, &jobs).await), "succeeded");
            assert_eq!((house.fake.calls_of("create").len(), house.fake.calls_of("start").len()), (2, 2));
            assert_eq!(text_of(house.shelf().read(&row.id).unwrap().unwrap()), "hello\n");

            // One that was found, and not made here, may have run at somebody's request.
            drop(runner);
            house.fake.prune_before_start();
            let row = house.row("hello", 120);
            let spec = house.identity.dress(ContainerSpec { image: "busybox".to_owned(), ..Default::default() }, &row);
            house.fake.create(&row.occurrence.container_name("stack"), &spec).await.unwrap();
            let mut runner = house.runner();
            house.plan_row(&mut runner, &jobs, row).await;
            assert_eq!(outcome(&house.end_of(&mut runner, &jobs).await), "lost");
        })
        .await;
}

#[tokio::test]
async fn an_engine_that_is_away_loses_nothing() {
    House::new()
        .run(async |house| {
            let (first, second) = (Gate::new(), Gate::new());
            house.fake.script(
                "hello",
                Script::exits(4).out("one\n").waits(&first).out("two\n").waits(&second).err("three\n"),
            );
            let jobs = [job("hello")];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "hello", 60).await;
            house.until_logged_while("hello", "one\n", &mut runner).await;
            house.fake.set_reachable(false);
            first.open();
            second.open();
            tokio::task::yield_now().await;
            house.fake.set_reachable(true);
            let record = house.end_of(&mut runner, &jobs).await;
            assert_eq!(outcome(&record), "failed(4)", "a socket that was closed is no engine that stopped");
            assert!(house.log("hello").contains("\none\ntwo\nthree\n"), "{}", house.log("hello"));
        })
        .await;
}

#[tokio::test]
async fn answers_that_do_not_arrive() {
    for call in ["create", "start", "look", "remove"] {
        House::new()
            .run(async |house| {
                house.fake.script("hello", Script::exits(0).out("once\n"));
                house.fake.lose_answer(call);
                let jobs = [job("hello")];
                let mut runner = house.runner();
                house.plan(&mut runner, &jobs, "hello", 60).await;
                assert_eq!(outcome(&house.end_of(&mut runner, &jobs).await), "succeeded", "{call}");
                assert_eq!(house.log("hello").matches("once\n").count(), 1, "{call}");
                assert_eq!(house.fake.calls_of("start").len(), 1, "{call}");
                assert_eq!(house.fake.names(), [""; 0], "{call}");
            })
            .await;
    }
}

#[tokio::test]
async fn an_engine_that_refuses_the_start() {
    House::new()
        .run(async |house| {
            house.fake.fail_next("start", EngineError::Other("exec: \"nonsense\": not found".to_owned()));
            let jobs = [job("hello")];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "hello", 60).await;
            let record = house.end_of(&mut runner, &jobs).await;
            assert_eq!(outcome(&record), "could not start(exec: \"nonsense\": not found)");
            assert_eq!(house.fake.names(), [""; 0]);
        })
        .await;
}

#[tokio::test]
async fn overlap_and_removed_jobs_are_skipped() {
    House::new()
        .run(async |house| {
            house.fake.script("hello", Script::forever());
            let jobs = [job("hello")];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "hello", 60).await;
            house.until_started(&mut runner).await;
            runner.enqueue(
                house
                    .store
                    .plan(vec![house.row("hello", 120), house.row("gone", 120)], vec![], vec![], None)
                    .await
                    .unwrap(),
            );
            let skipped = runner.pump(&jobs, Utc::now()).await.unwrap();
            let mut reasons: Vec<_> = skipped.iter().map(|r| r.outcome().cloned().unwrap()).collect();
            reasons.sort_by_key(|r| format!("{r}"));
            assert_eq!(reasons, [Outcome::Skipped(SkipReason::Removed), Outcome::Skipped(SkipReason::Overlap)]);
            assert_eq!(house.store.unfinished().await.unwrap().len(), 1);
        })
        .await;
}

#[tokio::test]
async fn output_of_any_kind_comes_through_unchanged() {
    House::new()
        .run(async |house| {
            let mut bytes: Vec<u8> = (0..=255).collect();
            bytes.extend(vec![b'x'; 10 << 20]);
            bytes.extend(b"\nend without a newline \xff\xfe");
            let mut script = Script::exits(0);
            for piece in bytes.chunks(16 << 10) {
                script = script.out(piece);
            }
            house.fake.script("blob", script);
            let jobs = [job("blob")];
            let mut runner = house.runner();
            let row = house.plan(&mut runner, &jobs, "blob", 60).await;
            house.end_of(&mut runner, &jobs).await;
            let mut spooled = Vec::new();
            tender::runner::shelf::copy(&mut house.shelf().read(&row.id).unwrap().unwrap(), &mut spooled).unwrap();
            assert!(spooled == bytes, "the spool differs");
            let log = std::fs::read(house.settings.log_dir.join("blob.log")).unwrap();
            let head = log.windows(7).position(|w| w == b"+00:00\n").unwrap() + 7;
            assert!(log[head..head + bytes.len()] == bytes[..], "the log differs");
            assert!(log[head + bytes.len()..].starts_with(b"\nblob finished START_TIME="));
        })
        .await;
}

#[tokio::test]
async fn a_result_document_becomes_part_of_the_record() {
    House::new()
        .run(async |house| {
            let gate = Gate::new();
            house.fake.script("hello", Script::exits(0).waits(&gate));
            let jobs = [job("hello")];
            let mut runner = house.runner();
            let row = house.plan(&mut runner, &jobs, "hello", 60).await;
            house.until_started(&mut runner).await;
            let path = house.settings.state_dir.join(format!("results/{}.json", row.id));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, r#"{"outcome":"committed"}"#).unwrap();
            gate.open();
            let record = house.end_of(&mut runner, &jobs).await;
            assert_eq!(record.result, Some(serde_json::json!({"outcome": "committed"})));
            assert!(!path.exists());
        })
        .await;
}

#[tokio::test]
async fn a_log_that_cannot_be_written_stops_nothing_and_is_made_up_for() {
    House::new()
        .run(async |house| {
            // A folder in its place: not writable for root either.
            let log = house.settings.log_dir.join("hello.log");
            std::fs::create_dir_all(&log).unwrap();
            house.fake.script("hello", Script::exits(0).out("one\ntwo\n"));
            let jobs = [job("hello")];
            let mut runner = house.runner();
            let row = house.plan(&mut runner, &jobs, "hello", 60).await;
            assert_eq!(outcome(&house.end_of(&mut runner, &jobs).await), "succeeded");
            assert_eq!(runner.output().trouble().keys().collect::<Vec<_>>(), [&log]);
            assert_eq!(
                house.shelf().open_spools().unwrap(),
                std::slice::from_ref(&row.id),
                "the spool stays until then"
            );
            std::fs::remove_dir(&log).unwrap();
            runner.output().retry();
            runner.stop().await;
            let text = house.log("hello");
            assert!(text.contains("+00:00\none\ntwo\n\nhello finished"), "{text}");
            assert_eq!(house.shelf().open_spools().unwrap(), []);
        })
        .await;
}

#[tokio::test]
async fn an_exec_runs_in_a_holder() {
    House::new()
        .run(async |house| {
            house.fake.image("tender");
            let jobs = [exec_job("touch")];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "touch", 60).await;
            house.until_started(&mut runner).await;
            let name = house.row("touch", 60).occurrence.container_name("stack");
            assert!(house.fake.calls_of("create").contains(&name));
            assert_eq!(outcome(&house.end_of(&mut runner, &jobs).await), "succeeded");
        })
        .await;
}

/// The process dies at each call to the engine, before the engine has heard of it or after it has
/// carried it out; the container goes on, or ends meanwhile. Each time: one start, one record, the
/// whole output once, nothing left over.
#[tokio::test]
async fn a_crash_at_every_step() {
    let mut crashes = 0;
    for ends_meanwhile in [true, false] {
        for at in 0..8 {
            for when in [When::Before, When::After] {
                House::new()
                    .run(async |house| {
                        crashes += usize::from(crash(house, at, when, ends_meanwhile).await);
                    })
                    .await;
            }
        }
    }
    assert!(crashes >= 18, "only {crashes} crashes took place");
}

async fn crash(house: &mut House, at: usize, when: When, ends_meanwhile: bool) -> bool {
    let about = format!("crash {when:?} call {at}, container ends meanwhile: {ends_meanwhile}");
    let gate = Gate::new();
    house.fake.script("hello", Script::exits(7).out("one\n").err("two\nthr").waits(&gate).err("ee\n").out("four"));
    if ends_meanwhile {
        gate.open();
    }
    let jobs = [job("hello")];
    let stops = Stops::new(house.fake.clone(), at, when);
    let mut runner = house.runner_on(stops.clone());
    let row = house.plan(&mut runner, &jobs, "hello", 60).await;
    let crashed = tokio::select! {
        () = stops.reached() => true,
        _ = async { loop { if let Event::Ended(_) = runner.next_event().await { break } } } => false,
        () = house.quiet() => false,
    };
    // Dies: nothing of its tasks goes on. What the writer had not written is gone, and its last
    // batch may be torn.
    runner.stop().await;
    house.tear();
    gate.open();

    house.restart();
    let mut runner = house.runner();
    let recovered = recovery::recover(&house.fake, &house.store, &house.identity, Utc::now()).await.unwrap();
    assert_eq!(recovered.remarks, [""; 0], "{about}");
    recovery::finish_output(runner.output(), &house.store, &house.settings.log_dir).await.unwrap();
    runner.adopt(recovered.resumes, &jobs);
    runner.pump(&jobs, Utc::now()).await.unwrap();
    if !runner.running().is_empty() {
        house.end_of(&mut runner, &jobs).await;
    }
    runner.stop().await;

    let record = house.store.get(&row.id).await.unwrap().unwrap();
    assert_eq!(outcome(&record), "failed(7)", "{about}");
    assert_eq!(house.store.unfinished().await.unwrap(), [], "{about}");
    assert_eq!(house.fake.names(), [""; 0], "{about}");
    let starts = house.fake.calls_of("start").len();
    assert_eq!(starts, 1, "{about}");
    let log = house.log("hello");
    let text: String = log
        .lines()
        .filter(|l| !l.starts_with("hello ") && !l.starts_with('=') && !l.is_empty())
        .map(|l| format!("{l}\n"))
        .collect();
    assert_eq!(text, "one\ntwo\nthree\nfour\n", "{about}\n{log}");
    assert_eq!(log.matches("==========").count(), 1, "{about}\n{log}");
    assert_eq!(log.matches(" outcome=failed(7) ").count(), 1, "{about}\n{log}");
    assert_eq!(text_of(house.shelf().read(&row.id).unwrap().unwrap()), "one\ntwo\nthree\nfour", "{about}");
    crashed
}

#[tokio::test]
async fn a_lost_store_is_rebuilt_from_labels() {
    House::new()
        .run(async |house| {
            let gate = Gate::new();
            house.fake.script("hello", Script::exits(0).out("one\n").waits(&gate).out("two\n"));
            house.fake.service("stack", "web", "web");
            let jobs = [job("hello")];
            let mut runner = house.runner();
            let row = house.plan(&mut runner, &jobs, "hello", 60).await;
            house.until_logged_while("hello", "one\n", &mut runner).await;
            runner.stop().await;
            house.lose_store();
            let mut runner = house.runner();
            let recovered = recovery::recover(&house.fake, &house.store, &house.identity, Utc::now()).await.unwrap();
            assert_eq!(recovered.remarks.len(), 1, "{recovered:?}");
            runner.adopt(recovered.resumes, &jobs);
            gate.open();
            let record = house.end_of(&mut runner, &jobs).await;
            assert_eq!((&record.id, outcome(&record).as_str()), (&row.id, "succeeded"));
            assert!(house.log("hello").contains("\none\ntwo\n"), "{}", house.log("hello"));
            assert!(house.store.watermarks().await.unwrap()[&row.occurrence.job].at >= row.occurrence.planned_for);
            assert_eq!(house.fake.names(), ["web"], "what is not ours is left alone");
        })
        .await;
}

#[tokio::test]
async fn recovery_sorts_what_it_finds() {
    House::new()
        .run(async |house| {
            let row = |name: &str| house.row(name, 60);
            let spec = |row: &RunRecord, extra: &[(&str, &str)]| {
                let spec = ContainerSpec { image: "busybox".to_owned(), ..ContainerSpec::default() };
                let mut spec = house.identity.dress(spec, row);
                spec.labels.extend(extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
                spec
            };
            let (ended, parent, lost) = (row("ended"), row("parent"), row("lost"));
            let planned = house
                .store
                .plan(vec![ended.clone(), parent.clone(), lost.clone()], vec![], vec![], None)
                .await
                .unwrap();
            assert_eq!(planned.len(), 3);
            for record in [&ended, &parent] {
                let mut done = record.clone();
                done.state = State::Finished(Outcome::Succeeded);
                house.store.finish(&done, vec![]).await.unwrap();
            }
            use tender::run::{Ledger, Started};
            let started = Started { container: "gone".to_owned(), name: "gone".to_owned(), image: None };
            house.store.starting(&lost.id, &started).await.unwrap();
            let mut other = house.identity.clone();
            other.instance = "other".to_owned();
            let foreign =
                other.dress(ContainerSpec { image: "busybox".to_owned(), ..ContainerSpec::default() }, &ended);
            for (name, spec) in [
                ("ended", spec(&ended, &[])),
                ("step-of-ended", spec(&row("x"), &[(labels::PARENT, parent.id.as_str())])),
                ("step-of-unknown", spec(&row("y"), &[(labels::PARENT, "ffffffffffff")])),
                ("probe", spec(&row("z"), &[(labels::ROLE, "probe")])),
                ("foreign", foreign),
            ] {
                house.fake.create(name, &spec).await.unwrap();
            }
            let recovered = recovery::recover(&house.fake, &house.store, &house.identity, Utc::now()).await.unwrap();
            assert_eq!(recovered.removed, ["ended", "step-of-ended", "probe"]);
            assert_eq!(house.fake.names(), ["step-of-unknown", "foreign"]);
            assert_eq!(recovered.resumes.len(), 1);
            let mut runner = house.runner();
            runner.adopt(recovered.resumes, &[]);
            let record = house.end_of(&mut runner, &[]).await;
            assert_eq!((record.id.clone(), outcome(&record)), (lost.id.clone(), "lost".to_owned()));
        })
        .await;
}

#[tokio::test]
async fn a_deploy_is_asked_to_stop_and_never_killed() {
    House::new()
        .run(async |house| {
            house.fake.image("tender");
            let gate = Gate::new();
            house.fake.script("autodeploy", Script::exits(0).waits(&gate).ignores_stop());
            let mut job = job("autodeploy");
            job.action = tender::job::Action::Builtin(tender::job::Builtin::Autodeploy);
            job.policy.timeout = Some(Duration::from_millis(20));
            let jobs = [job];
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "autodeploy", 60).await;
            while house.fake.calls_of("stop").is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let stop = house.fake.calls_of("stop").remove(0);
            let grace: f64 = stop.rsplit(' ').next().unwrap().trim_end_matches('s').parse().unwrap();
            assert!(grace > 1e6, "{stop}");
            gate.open();
            assert_eq!(outcome(&house.end_of(&mut runner, &jobs).await), "timed out");
        })
        .await;
}

#[tokio::test]
async fn a_ledger_that_cannot_be_written_keeps_the_container() {
    use pipeline::broken::Broken;
    use tender::runner::output::Output;
    use tender::runner::perform::{Entry, Order, Performer};
    // What fails; whether the container was started by then.
    for (fails, started) in [("starting", false), ("finished", true)] {
        House::new()
            .run(async |house| {
                house.fake.script("hello", Script::exits(0).out("once\n"));
                let output = Output::start(house.shelf()).unwrap();
                let ledger = Broken::new(house.store.clone(), fails);
                let performer = Performer {
                    engine: &house.fake,
                    ledger: &ledger,
                    output: &output,
                    identity: &house.identity,
                    results: &house.settings.state_dir.join("results"),
                    left: &tender::runner::left::LeftOver::default(),
                };
                let spec = ContainerSpec { image: "busybox".to_owned(), ..ContainerSpec::default() };
                let order = Order { spec: Some(spec), ..Order::default() };
                let row = house.store.plan(vec![house.row("hello", 60)], vec![], vec![], None).await.unwrap().remove(0);
                let error = performer.perform(row.clone(), &order, Entry::Fresh).await.unwrap_err();
                assert!(error.to_string().contains("disk full"), "{error}");
                assert_eq!(house.fake.names().len(), 1, "{fails}: it is the only record");
                assert_eq!(house.fake.calls_of("start").len(), usize::from(started), "{fails}");
                ledger.mend();
                let row = house.store.get(&row.id).await.unwrap().unwrap();
                let record = performer.perform(row, &order, Entry::Unknown).await.unwrap();
                assert_eq!(outcome(&record), "succeeded", "{fails}");
                assert_eq!(house.fake.calls_of("start").len(), 1, "{fails}");
                assert_eq!(house.fake.names(), [""; 0], "{fails}");
                assert_eq!(text_of(house.shelf().read(&record.id).unwrap().unwrap()), "once\n", "{fails}");
            })
            .await;
    }
}

#[tokio::test]
async fn a_fault_in_one_run_does_not_end_the_scheduler() {
    House::new()
        .run(async |house| {
            house.fake.script("hello", Script::exits(0).out("once\n"));
            let jobs = [job("hello")];
            let stops = Stops::new(house.fake.clone(), 2, When::Panic);
            let mut runner = house.runner_on(stops);
            house.plan(&mut runner, &jobs, "hello", 60).await;
            let mut trouble = String::new();
            let record = loop {
                match runner.next_event().await {
                    Event::Trouble { what, .. } => trouble = what,
                    Event::Ended(record) => break record,
                    Event::Started(_) | Event::StillStopped(_) | Event::Due => {}
                }
            };
            assert!(trouble.contains("was taken up again"), "{trouble}");
            assert_eq!(outcome(&record), "succeeded");
            assert_eq!(house.fake.calls_of("start").len(), 1);
            assert_eq!(house.log("hello").matches("once\n").count(), 1);
        })
        .await;
}

#[tokio::test]
async fn a_secret_that_is_not_there_keeps_a_run_from_starting() {
    House::new()
        .run(async |house| {
            let mut job = job("hello");
            let tender::job::Action::Run(spec) = &mut job.action else { panic!("{:?}", job.action) };
            spec.mounts = vec![tender::job::Mount::bind("/srv/token", "/run/secrets/token", true)];
            let jobs = [job];
            let why = "invalid mount config for type \"bind\": bind source path does not exist: /srv/token";
            house.fake.fail_next("create", EngineError::Other(why.to_owned()));
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "hello", 60).await;
            assert_eq!(outcome(&house.end_of(&mut runner, &jobs).await), format!("could not start({why})"));
            assert_eq!(house.fake.calls_of("create").len(), 1, "it is not made without it");
        })
        .await;
}

#[tokio::test]
async fn a_mount_that_may_be_missing_keeps_no_container_from_being_made() {
    House::new()
        .run(async |house| {
            let mut job = job("hello");
            let (here, gone) = (PathBuf::from("/srv/here"), PathBuf::from("/srv/gone"));
            let tender::job::Action::Run(spec) = &mut job.action else { panic!("{:?}", job.action) };
            spec.mounts = [&here, &gone].map(|path| tender::job::Mount::same_path(path, false)).into();
            spec.optional = vec![here, gone];
            let jobs = [job];
            let gate = Gate::new();
            house.fake.script("hello", Script::exits(0).waits(&gate));
            let why = "invalid mount config for type \"bind\": bind source path does not exist: /srv/gone";
            house.fake.fail_next("create", EngineError::Other(why.to_owned()));
            let mut runner = house.runner();
            house.plan(&mut runner, &jobs, "hello", 60).await;
            while house.fake.names().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let made = house.fake.spec(&house.fake.names()[0]).unwrap();
            assert_eq!(made.mounts.iter().map(|m| m.target.display().to_string()).collect::<Vec<_>>(), ["/srv/here"]);
            gate.open();
            assert_eq!(outcome(&house.end_of(&mut runner, &jobs).await), "succeeded");
        })
        .await;
}
