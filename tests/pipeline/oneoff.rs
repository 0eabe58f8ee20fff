//! Runs in one-off containers of services: what they are made of, and what a crash leaves of them.

use std::collections::BTreeMap;
use std::rc::Rc;

use chrono::Utc;
use tender::compose::Resolved;
use tender::engine::fake::{Fake, Gate, Script};
use tender::engine::{EngineError, Runs};
use tender::job::{Action, Job, MountSource, ServiceRun};
use tender::journal::deploy::{Good, Ledgers};
use tender::run::{Outcome, RevisionVector, RunRecord, labels};
use tender::runner::{Runner, recovery};
use tender::secret::Environment;

use super::house::{House, job};

const CONFIG: &str = "services:
  web:
    image: web:1
    environment: {A: one, B: two}
    command: [serve]
    ports: ['80:80']
    labels: {com.docker.compose.x: y, own: z}
    volumes: [{type: volume, source: data, target: /data}]
    annotations: {a: b}
  near: {image: 'web:1', network_mode: 'service:web'}
  built: {build: {context: /x}}
volumes: {data: {name: stack_data}}
networks: {default: {name: stack_default}}
";

fn service_job(service: &str) -> Job {
    let run = ServiceRun {
        service: service.to_owned(),
        command: vec!["work".to_owned()],
        entrypoint: None,
        env: Environment([("B".to_owned(), "three".to_owned())].into()),
        user: None,
        workdir: None,
    };
    Job { action: Action::ServiceRun(Box::new(run)), ..job("hello") }
}

/// A stack that runs, and what its last good deploy has kept.
fn deployed(house: &House, image: Option<&str>) {
    house.fake.service("stack", "web", "stack-web-1");
    house.fake.volume("stack", "stack_data");
    house.fake.image("web:1");
    let ledgers = Ledgers::below(&house.settings.state_dir);
    ledgers.config("1").write(&Resolved::parse(CONFIG).unwrap()).unwrap();
    let good = Good {
        id: "1".to_owned(),
        at: Utc::now(),
        vector: RevisionVector::default(),
        images: image.map(|image| ("web".to_owned(), image.to_owned())).into_iter().collect(),
        hashes: BTreeMap::new(),
        compose_version: None,
        config: Some("1".to_owned()),
        scheduler_behind: false,
    };
    ledgers.good().write(&good).unwrap();
}

fn runner(house: &House) -> Runner<Fake> {
    house.runner().with_services(Rc::new(house.fake.clone()))
}

fn why(record: &RunRecord) -> &str {
    match record.outcome() {
        Some(Outcome::CouldNotStart(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn it_is_made_of_what_was_deployed() {
    House::new()
        .run(async |house| {
            deployed(house, Some("image-of-web"));
            let gate = Gate::new();
            house.fake.script("hello", Script::exits(0).out("done\n").waits(&gate));
            let jobs = [service_job("web")];
            let mut runner = runner(house);
            let row = house.plan(&mut runner, &jobs, "hello", 60).await;
            house.until_started(&mut runner).await;
            let spec = house.fake.spec(&row.occurrence.container_name("stack")).unwrap();
            assert_eq!((spec.image.as_str(), spec.command.as_slice()), ("image-of-web", &["work".to_owned()][..]));
            assert_eq!((spec.env.0["A"].as_str(), spec.env.0["B"].as_str()), ("one", "three"));
            assert_eq!(spec.env.0["TENDER_RUN"], row.id.as_str());
            assert_eq!((spec.networks.as_slice(), spec.ports.len()), (&["stack_default".to_owned()][..], 0));
            assert_eq!(spec.mounts[0].source, MountSource::Volume("stack_data".to_owned()));
            assert_eq!((spec.labels[labels::ONEOFF].as_str(), spec.labels["own"].as_str()), ("web", "z"));
            assert!(!spec.labels.keys().any(|key| key.starts_with("com.docker.compose")));
            assert_eq!(spec.pids, Some(4096), "as any job");
            gate.open();
            let record = house.end_of(&mut runner, &jobs).await;
            assert_eq!(record.outcome(), Some(&Outcome::Succeeded));
            assert!(house.log("hello").contains("done\n"));
        })
        .await;
}

#[tokio::test]
async fn the_image_is_one_that_is_there() {
    House::new()
        .run(async |house| {
            // The one that served was removed by hand: the name serves.
            deployed(house, Some("sha256:gone"));
            let jobs = [service_job("web")];
            let mut runner = runner(house);
            let row = house.plan(&mut runner, &jobs, "hello", 60).await;
            house.until_started(&mut runner).await;
            let name = row.occurrence.container_name("stack");
            assert_eq!(house.fake.spec(&name).unwrap().image, "web:1");
        })
        .await;
}

#[tokio::test]
async fn what_it_cannot_do_without_is_named() {
    House::new()
        .run(async |house| {
            deployed(house, None);
            let mut runner = runner(house);
            for (n, (service, words)) in [
                ("wep", "no service wep, did you mean web"),
                ("built", "image stack-built of the service built is not here"),
            ]
            .into_iter()
            .enumerate()
            {
                let jobs = [service_job(service)];
                house.plan(&mut runner, &jobs, "hello", 60 + i64::try_from(n).unwrap()).await;
                let record = house.end_of(&mut runner, &jobs).await;
                assert!(why(&record).contains(words), "{}", why(&record));
            }
            house.fake.vanish("stack-web-1");
            let jobs = [service_job("near")];
            house.plan(&mut runner, &jobs, "hello", 70).await;
            let record = house.end_of(&mut runner, &jobs).await;
            assert!(why(&record).contains("docker compose up -d web"), "{}", why(&record));
            let ledgers = Ledgers::below(&house.settings.state_dir);
            let other = CONFIG.replace("stack_data", "other_data");
            ledgers.config("1").write(&Resolved::parse(&other).unwrap()).unwrap();
            let jobs = [service_job("web")];
            house.plan(&mut runner, &jobs, "hello", 80).await;
            let record = house.end_of(&mut runner, &jobs).await;
            assert!(why(&record).contains("the volume other_data does not exist"), "{}", why(&record));
            assert_eq!(house.fake.calls_of("create"), [""; 0]);
        })
        .await;
}

#[tokio::test]
async fn without_a_deploy_compose_is_asked_and_the_running_image_serves() {
    House::new()
        .run(async |house| {
            house.fake.service("stack", "web", "stack-web-1");
            house.fake.volume("stack", "stack_data");
            house.fake.image("tender");
            let answer = serde_json::to_string(&Resolved::parse(CONFIG).unwrap()).unwrap();
            house.fake.script("tender", Script::exits(0).out(answer));
            let gate = Gate::new();
            house.fake.script("hello", Script::exits(0).waits(&gate));
            let jobs = [service_job("web")];
            let mut runner = runner(house);
            let row = house.plan(&mut runner, &jobs, "hello", 60).await;
            house.until_started(&mut runner).await;
            let serving = house.fake.look("stack-web-1").await.unwrap().unwrap().image;
            let name = row.occurrence.container_name("stack");
            assert_eq!(house.fake.spec(&name).unwrap().image, serving);
            assert_eq!(house.fake.names(), ["stack-web-1".to_owned(), name], "the one that asked is gone");
            gate.open();
            house.end_of(&mut runner, &jobs).await;
            house.fake.rescript("tender", Script::exits(1).err("no such file: env\n"));
            house.plan(&mut runner, &jobs, "hello", 120).await;
            let record = house.end_of(&mut runner, &jobs).await;
            assert!(why(&record).contains("no such file: env"), "{}", why(&record));
        })
        .await;
}

#[tokio::test]
async fn an_engine_that_is_away_is_waited_for() {
    House::new()
        .run(async |house| {
            deployed(house, Some("image-of-web"));
            house.fake.fail_next("image_id", EngineError::Unavailable("gone".to_owned()));
            let jobs = [service_job("web")];
            let mut runner = runner(house);
            house.plan(&mut runner, &jobs, "hello", 60).await;
            let record = house.end_of(&mut runner, &jobs).await;
            assert_eq!(record.outcome(), Some(&Outcome::Succeeded));
        })
        .await;
}

#[tokio::test]
async fn one_that_was_created_goes_on_although_its_service_is_gone() {
    House::new()
        .run(async |house| {
            deployed(house, Some("image-of-web"));
            let jobs = [service_job("web")];
            let row = house.row("hello", 60);
            house.store.plan(vec![row.clone()], vec![], vec![], None).await.unwrap();
            // A predecessor died between create and mark.
            let room = house.room();
            let spec = tender::runner::oneoff::container(&house.fake, service(&jobs[0]), &room).await.unwrap().0;
            let spec = house.identity.dress(spec, &row);
            house.fake.create(&row.occurrence.container_name("stack"), &spec).await.unwrap();
            let other = CONFIG.replace("  web:", "  other:");
            let ledgers = Ledgers::below(&house.settings.state_dir);
            ledgers.config("1").write(&Resolved::parse(&other).unwrap()).unwrap();
            let recovered = recovery::recover(&house.fake, &house.store, &house.identity, Utc::now()).await.unwrap();
            let mut runner = runner(house);
            runner.adopt(recovered.resumes, &jobs);
            runner.pump(&jobs, Utc::now()).await.unwrap();
            let record = house.end_of(&mut runner, &jobs).await;
            assert_eq!(record.outcome(), Some(&Outcome::Succeeded));
            assert_eq!(house.fake.calls_of("create").len(), 1);
        })
        .await;
}

fn service(job: &Job) -> &ServiceRun {
    match &job.action {
        Action::ServiceRun(run) => run,
        other => panic!("{other:?}"),
    }
}
