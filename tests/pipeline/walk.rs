//! What recovery does about each pair of a row and a container, whatever led to it.

use chrono::Utc;
use tender::engine::fake::{Fake, Gate, Script};
use tender::engine::{Created, Runs};
use tender::job::ContainerSpec;
use tender::run::{Ledger, Outcome, RunRecord, Started, State};
use tender::runner::recovery;

use super::house::{House, job, text_of};

fn outcome(record: &RunRecord) -> String {
    record.outcome().map_or("none".to_owned(), ToString::to_string)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Row {
    Planned,
    Starting,
    Running,
    Finished,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Container {
    Absent,
    Created,
    Running,
    Exited,
}

async fn make(fake: &Fake, house: &House, row: &RunRecord, name: &str) -> String {
    let spec = ContainerSpec { image: "busybox".to_owned(), ..ContainerSpec::default() };
    match fake.create(name, &house.identity.dress(spec, row)).await.unwrap() {
        Created::New(id) => id,
        Created::Taken(seen) => panic!("{seen:?}"),
    }
}

#[tokio::test]
async fn every_row_with_every_container() {
    use Container::{Absent, Created, Exited, Running};
    // The outcome; how often the container is started from here on; what a person is told.
    for (row, container, expected, starts, remarks) in [
        (Row::Planned, Absent, "succeeded", 1, 0),
        (Row::Planned, Created, "succeeded", 1, 0),
        (Row::Planned, Running, "succeeded", 0, 0),
        (Row::Planned, Exited, "succeeded", 0, 0),
        (Row::Starting, Absent, "lost", 0, 0),
        (Row::Starting, Created, "succeeded", 1, 0),
        (Row::Starting, Running, "succeeded", 0, 0),
        (Row::Starting, Exited, "succeeded", 0, 0),
        (Row::Running, Absent, "lost", 0, 0),
        (Row::Running, Running, "succeeded", 0, 0),
        (Row::Running, Exited, "succeeded", 0, 0),
        (Row::Finished, Absent, "failed(9)", 0, 0),
        (Row::Finished, Exited, "failed(9)", 0, 0),
        (Row::Finished, Running, "failed(9)", 0, 1),
    ] {
        House::new()
            .run(async |house| {
                let about = format!("{row:?} {container:?}");
                let gate = Gate::new();
                house.fake.script("hello", Script::exits(0).out("one\n").waits(&gate).out("two\n"));
                let planned = house.store.plan(vec![house.row("hello", 60)], vec![], vec![], None).await.unwrap();
                let record = &planned[0];
                let name = record.occurrence.container_name("stack");
                let mut id = "gone".to_owned();
                if container != Absent {
                    id = make(&house.fake, house, record, &name).await;
                }
                if matches!(container, Running | Exited) {
                    house.fake.start(&id).await.unwrap();
                }
                if container != Running {
                    gate.open();
                }
                if row != Row::Planned {
                    let started = Started { container: id.clone(), name: name.clone(), image: None };
                    house.store.starting(&record.id, &started).await.unwrap();
                }
                if row == Row::Running {
                    house.store.running(&record.id, Utc::now(), None).await.unwrap();
                }
                if row == Row::Finished {
                    let state = State::Finished(Outcome::Failed { code: 9, oom: false });
                    house.store.finish(&RunRecord { state, ..record.clone() }, vec![]).await.unwrap();
                }
                let before = house.fake.calls_of("start").len();

                let jobs = [job("hello")];
                house.restart();
                let mut runner = house.runner();
                let recovered =
                    recovery::recover(&house.fake, &house.store, &house.identity, Utc::now()).await.unwrap();
                assert_eq!(recovered.remarks.len(), remarks, "{about}: {:?}", recovered.remarks);
                runner.adopt(recovered.resumes, &jobs);
                assert_eq!(runner.pump(&jobs, Utc::now()).await.unwrap(), [], "{about}");
                gate.open();
                if row != Row::Finished {
                    house.end_of(&mut runner, &jobs).await;
                }
                runner.stop().await;
                let stored = house.store.get(&record.id).await.unwrap().unwrap();
                assert_eq!(outcome(&stored), expected, "{about}");
                assert_eq!(house.fake.calls_of("start").len() - before, starts, "{about}");
                let left = if remarks > 0 { vec![name] } else { vec![] };
                assert_eq!(house.fake.names(), left, "{about}");
                if expected == "succeeded" {
                    let spool = house.shelf().read(&record.id).unwrap().unwrap();
                    assert_eq!(text_of(spool), "one\ntwo\n", "{about}");
                }
            })
            .await;
    }
}

#[tokio::test]
async fn of_two_containers_with_the_labels_of_a_run_the_marked_one_is_the_run() {
    for marked_is_there in [true, false] {
        House::new()
            .run(async |house| {
                house.fake.script("hello", Script::exits(0).out("one\n"));
                let planned = house.store.plan(vec![house.row("hello", 60)], vec![], vec![], None).await.unwrap();
                let record = &planned[0];
                make(&house.fake, house, record, "copied").await;
                let mut id = "gone".to_owned();
                if marked_is_there {
                    id = make(&house.fake, house, record, &record.occurrence.container_name("stack")).await;
                    house.fake.start(&id).await.unwrap();
                }
                let started = Started { container: id, name: "x".to_owned(), image: None };
                house.store.starting(&record.id, &started).await.unwrap();
                let recovered =
                    recovery::recover(&house.fake, &house.store, &house.identity, Utc::now()).await.unwrap();
                let run = &record.id;
                let remark = format!("the container copied carries the labels of run {run}; it is left alone");
                assert_eq!(recovered.remarks, [remark]);
                let mut runner = house.runner();
                runner.adopt(recovered.resumes, &[job("hello")]);
                let record = house.end_of(&mut runner, &[]).await;
                assert_eq!(outcome(&record), if marked_is_there { "succeeded" } else { "lost" });
                assert_eq!(house.fake.names(), ["copied"]);
            })
            .await;
    }
}
