//! The contract of an engine, held by a real one; and what only a real one can show.
//! Needs Docker and `/bin/busybox`; without them it fails.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod busybox;
mod contract;

use std::cell::Cell;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use busybox::{Image, docker};
use contract::{Bench, Program};
use tender::builtin::holder::Holder;
use tender::engine::docker::Docker;
use tender::engine::{Channel, Created, EngineError, Host, Life, Runs};
use tender::job::{ContainerSpec, ExecSpec, ExecTarget, Mount, MountSource};
use tender::run::RunId;
use tender::runner::labels::Identity;
use tender::secret::Environment;

static BENCHES: Mutex<u32> = Mutex::new(0);

struct DockerBench {
    docker: Docker,
    prefix: String,
    image: Image,
    names: Cell<u32>,
}

impl DockerBench {
    fn new() -> Self {
        let number = {
            let mut benches = BENCHES.lock().unwrap();
            *benches += 1;
            *benches
        };
        let prefix = format!("tender-test-{}-{number}", std::process::id());
        Self { docker: Docker::connect(None).unwrap(), prefix, image: Image::new(), names: Cell::new(0) }
    }

    fn shell(&self, script: &str) -> (String, ContainerSpec) {
        self.names.set(self.names.get() + 1);
        let (key, value) = self.label();
        let spec = ContainerSpec {
            image: self.image.name().to_owned(),
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            labels: [(key.to_owned(), value)].into(),
            networks: vec!["none".to_owned()],
            ..ContainerSpec::default()
        };
        (format!("{}-{}", self.prefix, self.names.get()), spec)
    }

    /// The output and the code of a one-shot.
    async fn says(&self, name: &str, spec: &ContainerSpec) -> (String, i64) {
        let mut said = Vec::new();
        let mut sink = |_: Channel, bytes: &[u8]| said.extend_from_slice(bytes);
        let code = self.docker.attach_once(name, spec, Duration::from_secs(60), &mut sink).await.unwrap();
        (String::from_utf8(said).unwrap(), code)
    }

    async fn started(&self, name: &str, spec: &ContainerSpec) -> String {
        let Created::New(id) = self.docker.create(name, spec).await.unwrap() else { panic!("{name} is taken") };
        self.docker.start(&id).await.unwrap();
        id
    }
}

impl Drop for DockerBench {
    fn drop(&mut self) {
        let (key, value) = self.label();
        let label = format!("label={key}={value}");
        for (list, remove) in [(&["ps", "-aq"][..], &["rm", "-fv"][..]), (&["network", "ls", "-q"], &["network", "rm"])]
        {
            let found = docker(&[list, &["--filter", &label]].concat());
            if !found.is_empty() {
                docker(&[remove, &found.lines().collect::<Vec<_>>()].concat());
            }
        }
    }
}

impl Bench for DockerBench {
    type Engine = Docker;

    fn engine(&self) -> &Docker {
        &self.docker
    }

    fn container(&self, program: Program) -> (String, ContainerSpec) {
        match program {
            Program::Exits(code) => self.shell(&format!("exit {code}")),
            Program::Says => self.shell("echo one; echo two >&2; sleep 0.1; printf three"),
            Program::LongLine => self.shell("head -c 40000 /dev/zero | tr '\\0' x; echo"),
            Program::Stays => self.shell("trap 'exit 143' TERM; echo ready; sleep 1000 & wait"),
            // The kernel delivers no TERM to a first process that does not ask for it.
            Program::Deaf => self.shell("echo ready; sleep 1000; exit 1"),
        }
    }

    fn command(&self, name: &str) -> ExecSpec {
        command(name, "echo out; echo err >&2; exit 4")
    }

    fn label(&self) -> (&'static str, String) {
        ("bench", self.prefix.clone())
    }
}

fn command(name: &str, script: &str) -> ExecSpec {
    ExecSpec {
        target: ExecTarget::Container(name.to_owned()),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        env: Environment::default(),
        user: None,
        workdir: None,
        privileged: false,
        direct: false,
    }
}

contract!(DockerBench::new(), #[tokio::test]);

#[tokio::test]
async fn a_spec_reaches_the_process() {
    let bench = DockerBench::new();
    let (name, spec) = bench.shell("echo $GREETING; id -u; id -g; pwd; hostname; cat /proc/sys/kernel/msgmax; ls /mem");
    let spec = ContainerSpec {
        env: Environment([("GREETING".to_owned(), "hello = world".to_owned())].into()),
        user: Some("12:34".to_owned()),
        workdir: Some("/tmp".to_owned()),
        hostname: Some("box".to_owned()),
        sysctls: [("kernel.msgmax".to_owned(), "4242".to_owned())].into(),
        mounts: vec![Mount { source: MountSource::Tmpfs("size=1m".to_owned()), ..Mount::bind("/", "/mem", false) }],
        ..spec
    };
    assert_eq!(bench.says(&name, &spec).await, ("hello = world\n12\n34\n/tmp\nbox\n4242\n".to_owned(), 0));
}

#[tokio::test]
async fn a_missing_path_is_refused_unless_it_may_be_made() {
    let bench = DockerBench::new();
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent");
    let (name, spec) = bench.shell("ls /m");
    let strict = ContainerSpec { mounts: vec![Mount::bind(&absent, "/m", true)], ..spec.clone() };
    let refused = bench.docker.create(&name, &strict).await.unwrap_err().to_string();
    assert!(refused.contains("absent"), "{refused}");
    assert!(!absent.exists());
    let lax = ContainerSpec { mounts: vec![Mount { create: true, ..Mount::bind(&absent, "/m", false) }], ..spec };
    assert_eq!(bench.says(&name, &lax).await.1, 0);
    assert!(absent.is_dir());
}

#[tokio::test]
async fn all_networks_are_joined_before_the_start() {
    let bench = DockerBench::new();
    let (key, value) = bench.label();
    let networks = ["a", "b"].map(|n| format!("{}-{n}", bench.prefix));
    for network in &networks {
        docker(&["network", "create", "--internal", "--label", &format!("{key}={value}"), network]);
    }
    let (name, spec) = bench.shell("exit 0");
    let spec = ContainerSpec { networks: networks.to_vec(), network_aliases: vec!["me".to_owned()], ..spec };
    let Created::New(id) = bench.docker.create(&name, &spec).await.unwrap() else { panic!("taken") };
    bench.docker.start(&id).await.unwrap();
    assert_eq!(bench.docker.look(&id).await.unwrap().unwrap().networks, networks);
}

#[tokio::test]
async fn anonymous_volumes_go_with_their_container() {
    let bench = DockerBench::new();
    let (name, spec) = bench.shell("exit 0");
    let mount = Mount { source: MountSource::Anonymous, ..Mount::bind("/", "/data", false) };
    let id = bench.started(&name, &ContainerSpec { mounts: vec![mount], ..spec }).await;
    let seen = bench.docker.look(&id).await.unwrap().unwrap();
    let volume = seen.mounts[0].name.clone().unwrap();
    assert!(docker(&["volume", "ls", "-q"]).lines().any(|v| v == volume));
    bench.docker.remove(&id).await.unwrap();
    assert!(!docker(&["volume", "ls", "-q"]).lines().any(|v| v == volume));
}

#[tokio::test]
async fn short_memory_is_told() {
    let bench = DockerBench::new();
    let (name, spec) = bench.shell("tail /dev/zero");
    let memory = Some(8 << 20);
    let id = bench.started(&name, &ContainerSpec { memory, memory_swap: memory, ..spec }).await;
    assert_ne!(bench.docker.exit(&id).await.unwrap(), 0);
    // The engine learns of it from another event than of the end, now and then a moment later.
    let told = async {
        while !bench.docker.look(&id).await.unwrap().unwrap().oom {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), told).await.expect("short memory is never told");
}

#[tokio::test]
async fn output_of_a_one_shot_reaches_no_log_file() {
    let bench = DockerBench::new();
    let (name, spec) = bench.shell("echo secret; sleep 1000");
    let mut sink = |_: Channel, _: &[u8]| {};
    let once = bench.docker.attach_once(&name, &spec, Duration::from_secs(60), &mut sink);
    let looked = async {
        loop {
            let format = "{{.HostConfig.LogConfig.Type}} {{.State.Running}}";
            let out = Command::new("docker").args(["inspect", "-f", format, &name]).output().unwrap();
            match String::from_utf8_lossy(&out.stdout).trim() {
                "none true" => break,
                driver if driver.ends_with("true") => panic!("log driver {driver}"),
                _ => tokio::task::yield_now().await,
            }
        }
    };
    tokio::select! { ended = once => panic!("{ended:?}"), () = looked => {} }
    // Given up half-way: it goes all the same.
    tokio::time::timeout(Duration::from_secs(30), async {
        while bench.docker.look(&name).await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the container of a one-shot that was given up is still there");
}

#[tokio::test]
async fn a_command_gets_what_its_spec_says() {
    let bench = DockerBench::new();
    let (name, spec) = bench.shell("trap 'exit 143' TERM; sleep 1000 & wait");
    let id = bench.started(&name, &spec).await;
    let spec = ExecSpec {
        env: Environment([("A".to_owned(), "b".to_owned())].into()),
        user: Some("7".to_owned()),
        workdir: Some("/tmp".to_owned()),
        ..command(&name, "echo $A; id -u; pwd")
    };
    let mut said = Vec::new();
    let code = bench.docker.exec(&id, &spec, &mut |_, bytes| said.extend_from_slice(bytes)).await.unwrap();
    assert_eq!((code, said.as_slice()), (0, &b"b\n7\n/tmp\n"[..]));
    let absent = ExecSpec { command: vec!["no-such-program".to_owned()], ..spec };
    let mut said = Vec::new();
    let answer = bench.docker.exec(&id, &absent, &mut |_, bytes| said.extend_from_slice(bytes)).await;
    match answer {
        Ok(code) => assert!(matches!(code, 126 | 127), "{code} {}", String::from_utf8_lossy(&said)),
        Err(EngineError::Other(why)) => assert!(why.contains("no-such-program"), "{why}"),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn much_output_arrives_complete() {
    let bench = DockerBench::new();
    let (name, spec) = bench.shell("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done");
    let id = bench.started(&name, &spec).await;
    use futures_util::TryStreamExt;
    let frames: Vec<_> = bench.docker.output(&id, 0).try_collect().await.unwrap();
    assert_eq!(frames.len(), 20_000);
    assert!(frames.iter().enumerate().all(|(i, f)| f.bytes == format!("line {i}\n").as_bytes()));
    assert!(frames.windows(2).all(|w| w[0].time_ns <= w[1].time_ns));
    assert_eq!(bench.docker.exit(&id).await.unwrap(), 0);
}

/// The log of a container that has ended is complete, its last line without a line break included,
/// as soon as the end is told.
#[tokio::test]
async fn ends_are_told_and_the_log_is_complete_by_then() {
    use futures_util::TryStreamExt;
    let mut bench = DockerBench::new();
    bench.docker = Docker::connect_and_listen(None).unwrap();
    let mut told = 0;
    for _ in 0..30 {
        let (name, mut spec) = bench.shell("printf 'one\\nthe end'; exit 7");
        spec.labels.insert(tender::run::labels::RUN.to_owned(), name.clone());
        let id = bench.started(&name, &spec).await;
        match tokio::time::timeout(Duration::from_secs(60), bench.docker.ended(&id)).await.unwrap() {
            Some(code) => {
                assert_eq!(code, 7);
                told += 1;
            }
            // The stream was not there yet.
            None => assert_eq!(bench.docker.exit(&id).await.unwrap(), 7),
        }
        let (frames, seen) = tokio::join!(bench.docker.log(&id, 0).try_collect::<Vec<_>>(), bench.docker.look(&id));
        let bytes: Vec<u8> = frames.unwrap().into_iter().flat_map(|frame| frame.bytes).collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), "one\nthe end");
        let seen = seen.unwrap().unwrap();
        assert_eq!((seen.life, seen.exit_code), (Life::Exited, Some(7)));
        bench.docker.remove(&id).await.unwrap();
        if told == 5 {
            return;
        }
    }
    panic!("only {told} ends were told");
}

/// Runs this very test once more, inside a container, with another host name.
#[tokio::test]
async fn a_process_finds_its_own_container() {
    if let Some(file) = std::env::var_os("TENDER_TEST_ME") {
        let me = Docker::connect(None).unwrap().me().await.unwrap();
        return std::fs::write(file, me.expect("not found although inside a container").seen.name).unwrap();
    }
    let bench = DockerBench::new();
    let (name, spec) = bench.shell("");
    let answer = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let of_the_host = ["/usr", "/lib", "/lib64", "/var/run/docker.sock"].map(|path| Mount::same_path(path, false));
    let spec = ContainerSpec {
        entrypoint: Some(vec!["/test".to_owned()]),
        command: ["--exact", "a_process_finds_its_own_container"].map(str::to_owned).to_vec(),
        env: Environment(
            [("TENDER_TEST_ME", "/answer/name"), ("PATH", "/usr/bin:/bin")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
        ),
        hostname: Some("anything".to_owned()),
        mounts: [Mount::bind(program, "/test", true), Mount::bind(answer.path(), "/answer", false)]
            .into_iter()
            .chain(of_the_host)
            .collect(),
        ..spec
    };
    let (said, code) = bench.says(&name, &spec).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(std::fs::read_to_string(answer.path().join("name")).unwrap(), name);
}

/// An image of Tender as this build has it, for containers of its own. Gone when dropped.
struct OwnImage(String);

impl OwnImage {
    fn new() -> Self {
        let name = format!("tender-test-{}:program", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        // Only the symbols are large.
        let stripped = folder.path().join("tender");
        let built = env!("CARGO_BIN_EXE_tender");
        let strip = Command::new("strip").arg("-o").arg(&stripped).arg(built).status();
        assert!(strip.expect("this test needs strip, of binutils").success());
        busybox::import(&name, &[(&stripped, "tender")]);
        Self(name)
    }
}

impl Drop for OwnImage {
    fn drop(&mut self) {
        docker(&["rmi", &self.0]);
    }
}

/// A service with a restart policy goes on while a command in it, and all that the command has left
/// behind, is ended; and it is still started when it crashes later.
#[tokio::test]
async fn a_held_command_ends_with_all_its_processes_and_its_container_goes_on() {
    let (bench, program) = (DockerBench::new(), OwnImage::new());
    let name = format!("{}-service", bench.prefix);
    let label = format!("bench={}", bench.prefix);
    let service = "trap 'exit 9' USR1; while :; do sleep 0.1; done";
    let image = bench.image.name();
    docker(&["run", "-d", "--name", &name, "--label", &label, "--restart", "always", image, "sh", "-c", service]);
    let identity = Identity { stack: bench.prefix.clone(), instance: "i".to_owned(), generation: 0, parent: None };
    let holder = Holder {
        identity: identity.clone(),
        run: RunId("0123456789ab".to_owned()),
        image: program.0.clone(),
        grace: Duration::from_secs(1),
    };
    let (begun, is_begun) = tokio::sync::oneshot::channel();
    let (mut begun, mut said) = (Some(begun), Vec::new());
    let mut out = |_: Channel, bytes: &[u8]| {
        said.extend_from_slice(bytes);
        if let Some(begun) = begun.take_if(|_| said.ends_with(b"begun\n")) {
            begun.send(()).unwrap();
        }
    };
    let stop = async { is_begun.await.unwrap() };
    let script = "trap 'echo told' TERM; setsid sleep 7001 & (trap '' HUP; sleep 7002 >/dev/null 2>&1 &) & \
        env -i sleep 7004 & (setsid env -i sleep 7005 &); (setsid sleep 7006 >/dev/null 2>&1 &); \
        echo begun; while :; do sleep 0.1; done";
    // Another user than that of the signals.
    let work = ExecSpec { user: Some("1234".to_owned()), ..command(&name, script) };
    let ended = holder.run(&bench.docker, &work, stop, &mut out).await.unwrap();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(ended, 143, "{said}");
    assert!(said.contains("told\n") && said.contains("were killed"), "{said}");
    let processes = docker(&["top", &name, "-eo", "pid,args"]);
    assert!(!processes.contains(" 700"), "{said}{processes}");
    let seen = bench.docker.look(&name).await.unwrap().unwrap();
    assert_eq!((seen.life, seen.restart_count), (Life::Running, 0));
    assert_eq!(bench.docker.list(&identity.filter()).await.unwrap(), [""; 0], "signal containers are gone");
    docker(&["exec", &name, "sh", "-c", "kill -USR1 1"]);
    let restarted = async {
        while bench.docker.look(&name).await.unwrap().unwrap().restart_count == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), restarted).await.expect("the engine does not start it again");
}
