//! The contract of an engine, held by the one in memory; and what only that one can do.
#![allow(clippy::unwrap_used, reason = "a test")]

mod contract;

use std::cell::Cell;
use std::time::Duration;

use contract::{Bench, Program};
use futures_util::{StreamExt, TryStreamExt};
use tender::engine::fake::{Fake, Gate, Script};
use tender::engine::{Channel, Created, EngineError, Host, Life, Runs};
use tender::job::{ContainerSpec, ExecSpec, ExecTarget};

struct FakeBench {
    fake: Fake,
    names: Cell<u32>,
}

impl FakeBench {
    fn new() -> Self {
        let fake = Fake::new();
        fake.image("test");
        Self { fake, names: Cell::new(0) }
    }
}

impl Bench for FakeBench {
    type Engine = Fake;

    fn engine(&self) -> &Fake {
        &self.fake
    }

    fn container(&self, program: Program) -> (String, ContainerSpec) {
        self.names.set(self.names.get() + 1);
        let name = format!("tender-test-{}", self.names.get());
        let second = Duration::from_secs(1);
        self.fake.script(
            &name,
            match program {
                Program::Exits(code) => Script::exits(code).takes(second),
                Program::Says => Script::default().out("one\n").err("two\n").takes(second).out("three"),
                Program::LongLine => Script::default().out(format!("{}\n", "x".repeat(40_000))),
                Program::Stays => Script::default().takes(second).out("ready\n").stays(),
                Program::Deaf => Script::default().out("ready\n").stays().ignores_stop(),
            },
        );
        let (key, value) = self.label();
        let spec = ContainerSpec {
            image: "test".to_owned(),
            labels: [(key.to_owned(), value)].into(),
            ..ContainerSpec::default()
        };
        (name, spec)
    }

    fn command(&self, name: &str) -> ExecSpec {
        self.fake.script_exec(name, Script::exits(4).out("out\n").takes(Duration::from_secs(1)).err("err\n"));
        ExecSpec {
            target: ExecTarget::Container(name.to_owned()),
            command: vec!["work".to_owned()],
            env: tender::secret::Environment::default(),
            user: None,
            workdir: None,
            privileged: false,
            direct: false,
        }
    }

    fn label(&self) -> (&'static str, String) {
        ("bench", "fake".to_owned())
    }
}

contract!(FakeBench::new(), #[tokio::test(start_paused = true)]);

async fn running(fake: &Fake, name: &str, script: Script) -> String {
    fake.image("test");
    fake.script(name, script);
    let spec = ContainerSpec { image: "test".to_owned(), ..ContainerSpec::default() };
    let Created::New(id) = fake.create(name, &spec).await.unwrap() else { panic!("{name} is taken") };
    fake.start(&id).await.unwrap();
    id
}

#[tokio::test(start_paused = true)]
async fn a_gate_holds_a_container_until_the_test_opens_it() {
    let fake = Fake::new();
    let gate = Gate::new();
    let id = running(&fake, "a", Script::exits(5).out("1\n").waits(&gate).out("2\n")).await;
    let mut output = fake.output(&id, 0);
    assert_eq!(output.next().await.unwrap().unwrap().bytes, b"1\n");
    let waiting = tokio::time::timeout(Duration::from_secs(3600), fake.exit(&id)).await;
    assert!(waiting.is_err(), "it ended with the gate closed");
    gate.open();
    let (code, rest) = tokio::join!(fake.exit(&id), output.try_collect::<Vec<_>>());
    assert_eq!(code.unwrap(), 5);
    assert_eq!(rest.unwrap().iter().map(|f| f.bytes.as_slice()).collect::<Vec<_>>(), [b"2\n"]);
}

#[tokio::test(start_paused = true)]
async fn containers_go_on_while_nobody_looks() {
    let fake = Fake::new();
    let before = fake.clone();
    let id = running(&before, "a", Script::exits(2).takes(Duration::from_secs(60))).await;
    drop(before);
    tokio::time::advance(Duration::from_secs(3600)).await;
    let seen = fake.look(&id).await.unwrap().unwrap();
    assert_eq!((seen.life, seen.exit_code), (Life::Exited, Some(2)));
    assert_eq!((seen.finished_at.unwrap() - seen.started_at.unwrap()).num_seconds(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_the_engine_ends_containers_and_streams() {
    let fake = Fake::new();
    fake.service("stack", "web", "stack-web-1");
    let id = running(&fake, "a", Script::forever()).await;
    let deaf = running(&fake, "b", Script::forever().ignores_stop()).await;
    let (waited, ()) = tokio::join!(fake.exit(&id), async { fake.engine_restart() });
    assert!(matches!(waited, Err(EngineError::Unavailable(_))), "{waited:?}");
    assert_eq!(fake.exit(&id).await.unwrap(), 143);
    assert_eq!(fake.exit(&deaf).await.unwrap(), 137);
    assert_eq!(fake.look("stack-web-1").await.unwrap().unwrap().life, Life::Running);
}

#[tokio::test(start_paused = true)]
async fn calls_fail_as_told_and_are_noted() {
    let fake = Fake::new();
    fake.image("test");
    let spec = ContainerSpec { image: "test".to_owned(), ..ContainerSpec::default() };
    fake.fail_next("create", EngineError::Other("disk full".to_owned()));
    fake.lose_answer("create");
    assert!(matches!(fake.create("a", &spec).await, Err(EngineError::Other(_))));
    assert_eq!(fake.names(), [""; 0]);
    assert!(matches!(fake.create("a", &spec).await, Err(EngineError::Unavailable(_))));
    assert_eq!(fake.names(), ["a"], "carried out although no answer came");
    assert!(matches!(fake.create("a", &spec).await, Ok(Created::Taken(_))));
    fake.set_reachable(false);
    assert!(matches!(fake.look("a").await, Err(EngineError::Unavailable(_))));
    fake.set_reachable(true);
    fake.vanish("a");
    assert_eq!(fake.look("a").await.unwrap(), None);
    assert_eq!(fake.calls_of("create"), ["a", "a", "a"]);
}

#[tokio::test(start_paused = true)]
async fn scripts_are_taken_in_order_and_the_last_one_stays() {
    let fake = Fake::new();
    fake.image("test");
    fake.script("test", Script::exits(1));
    fake.script("test", Script::exits(0));
    let spec = ContainerSpec { image: "test".to_owned(), ..ContainerSpec::default() };
    let mut codes = Vec::new();
    for name in ["a", "b", "c"] {
        codes.push(fake.attach_once(name, &spec, Duration::from_secs(1), &mut |_: Channel, _| {}).await.unwrap());
    }
    assert_eq!(codes, [1, 0, 0]);
}
