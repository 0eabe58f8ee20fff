//! A deploy that goes on from its journal, against real checkouts and an engine in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, which may fail loudly")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chrono::Utc;
use tender::builtin::deploy::context::{Context, StopFlag};
use tender::builtin::deploy::stage::Stage;
use tender::builtin::deploy::{Ended, Wishes, run};
use tender::config::{Installation, ProbeRequest, Settings, Template, probe_main};
use tender::engine::fake::{Fake, Gate, Script};
use tender::engine::{Created, Runs};
use tender::git::{Git, GitOptions, HostKeyPolicy, Network};
use tender::job::{ContainerSpec, MountSource};
use tender::journal::deploy::{Before, DeployState, FirstSteps, Good, HookState, Ledgers, Step};
use tender::run::{DeployOutcome, RevisionVector, RunId, ServiceAction, ServicePlan, labels};
use tender::secret::Secret;

/// A remote, a clone to work in, the checkout that is deployed, and the context of a deploy.
struct Stack {
    checkout: PathBuf,
    author: PathBuf,
    context: Context<Fake>,
    _dir: tempfile::TempDir,
}

fn git(dir: &Path, words: &[&str]) -> String {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"];
    let done = Command::new("git").current_dir(dir).args(identity).args(words).output().unwrap();
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

impl Stack {
    fn new() -> Self {
        let stack = Self::unseen();
        stack.context.host.script("tender", Script::exits(0).out(found(&stack.checkout)));
        stack
    }

    /// One of which the probe does not know yet what it finds.
    fn unseen() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (remote, author, checkout) =
            (dir.path().join("remote.git"), dir.path().join("work"), dir.path().join("stack"));
        let text = |path: &Path| path.display().to_string();
        git(dir.path(), &["init", "-q", "--bare", "-b", "main", &text(&remote)]);
        git(dir.path(), &["clone", "-q", &text(&remote), &text(&author)]);
        let files = [("docker-compose.yml", "services: {}\n"), ("env.local", ""), ("old", "1\n")];
        push(&author, &files);
        git(dir.path(), &["clone", "-q", "-b", "main", &text(&remote), &text(&checkout)]);
        let state = dir.path().join("state");
        fs::create_dir(&state).unwrap();
        let settings = settings(&checkout, &state, dir.path());
        let fake = Fake::new();
        fake.image("tender");
        let context = Context {
            host: fake,
            git: Git::new(GitOptions {
                program: PathBuf::from(env!("CARGO_BIN_EXE_tender")),
                key_dir: None,
                known_hosts: state.join("known_hosts"),
                host_keys: HostKeyPolicy::AcceptNew,
                deadline: Duration::from_secs(60),
                compose_dir: Some(checkout.clone()),
                network: Network::default(),
            }),
            ledgers: Ledgers::below(&state),
            installation: Installation {
                image: "tender".to_owned(),
                socket: "/var/run/docker.sock".into(),
                state: MountSource::Bind(state.clone()),
                instance: "i".to_owned(),
            },
            run: RunId("r".to_owned()),
            stack_env: BTreeMap::new(),
            stop: StopFlag::default(),
            state_on_host: state,
            settings,
        };
        let stack = Self { checkout, author, context, _dir: dir };
        stack.context.ledgers.good().write(&stack.good()).unwrap();
        stack
    }

    fn head(&self) -> String {
        git(&self.checkout, &["rev-parse", "HEAD"])
    }

    fn vector(&self, commit: &str) -> RevisionVector {
        RevisionVector([(self.checkout.clone(), commit.to_owned())].into())
    }

    fn good(&self) -> Good {
        Good {
            id: "1".into(),
            at: Utc::now(),
            vector: self.vector(&self.head()),
            images: BTreeMap::new(),
            hashes: BTreeMap::new(),
            compose_version: None,
            config: None,
            scheduler_behind: false,
        }
    }

    /// The journal of a deploy to a commit, as it was when it was cut off.
    fn cut_off(&self, to: &str, step: Step, begun: bool) {
        let state = DeployState {
            id: "2".into(),
            started_at: Utc::now(),
            attempts: 1,
            from: self.vector(&self.head()),
            to: self.vector(to),
            moves: [(self.checkout.clone(), (self.head(), to.to_owned()))].into(),
            begun: begun.then(|| self.checkout.clone()).into_iter().collect(),
            services: vec![],
            well_before: vec![],
            images: BTreeMap::new(),
            running_images: BTreeMap::new(),
            running_hashes: BTreeMap::new(),
            scheduler_behind: false,
            first: FirstSteps::Open,
            rendered: BTreeMap::new(),
            hooks: BTreeMap::new(),
            touched: false,
            step,
            steps: vec![],
        };
        self.context.ledgers.journal().write(&state).unwrap();
    }

    /// What the probe finds from now on: the files of a commit.
    fn probe_sees(&self, commit: &str) {
        let head = self.head();
        git(&self.checkout, &["reset", "-q", "--hard", commit]);
        self.context.host.script("tender", Script::exits(0).out(found(&self.checkout)));
        git(&self.checkout, &["reset", "-q", "--hard", &head]);
    }

    /// Cuts a deploy off in the middle of its switch, with one service that nothing changes.
    fn cut_off_at_the_switch(&self, to: &str) {
        self.cut_off(to, Step::Switching, true);
        let mut state = self.context.ledgers.journal().read().unwrap().unwrap();
        state.services = vec![ServicePlan {
            name: "web".to_owned(),
            action: ServiceAction::Orphan,
            why: String::new(),
            force: false,
        }];
        self.context.ledgers.journal().write(&state).unwrap();
    }

    async fn run(&self) -> anyhow::Result<Ended> {
        run(&self.context, Wishes::default()).await.map(|(ended, _)| ended)
    }
}

/// What a probe finds: it looks at the same files as in its container.
fn found(checkout: &Path) -> String {
    let request = ProbeRequest::new(checkout, checkout.join("env.local"), BTreeMap::new());
    let request = ProbeRequest { includes: true, ..request };
    String::from_utf8(probe_main(&serde_json::to_string(&request).unwrap())).unwrap()
}

/// Commits files and pushes them; gives the commit.
fn push(author: &Path, files: &[(&str, &str)]) -> String {
    for (name, text) in files {
        let path = author.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    git(author, &["add", "-A"]);
    git(author, &["commit", "-q", "-m", "change"]);
    git(author, &["push", "-q", "origin", "HEAD:main"]);
    git(author, &["rev-parse", "HEAD"])
}

fn settings(checkout: &Path, state: &Path, dir: &Path) -> Settings {
    Settings {
        state_dir: state.to_owned(),
        log_dir: dir.to_owned(),
        gate_soak: Duration::ZERO,
        gate_timeout: Duration::ZERO,
        min_free: 0,
        ..Settings::defaults(checkout)
    }
}

fn outcome(ended: &Ended) -> DeployOutcome {
    let Ended::Recorded(record) = ended else { panic!("{ended:?}") };
    record.outcome
}

#[tokio::test]
async fn a_way_back_leaves_what_lay_in_the_way() {
    let stack = Stack::new();
    let before = stack.head();
    let to = push(&stack.author, &[("new", "theirs\n"), ("old", "2\n")]);
    git(&stack.checkout, &["fetch", "-q"]);
    // It came between the look and the switch, so the switch was refused.
    fs::write(stack.checkout.join("new"), "mine\n").unwrap();
    stack.cut_off(&to, Step::RollingBack { why: "files are in the way".into() }, false);
    assert_eq!(outcome(&stack.run().await.unwrap()), DeployOutcome::RolledBack);
    assert_eq!(fs::read_to_string(stack.checkout.join("new")).unwrap(), "mine\n");
    assert_eq!(stack.head(), before);
    assert_eq!(stack.context.ledgers.journal().read().unwrap(), None);
}

#[tokio::test]
async fn a_switch_that_is_refused_touches_nothing_on_the_way_back() {
    let stack = Stack::new();
    let before = stack.head();
    let to = push(&stack.author, &[("new", "theirs\n")]);
    git(&stack.checkout, &["fetch", "-q"]);
    fs::write(stack.checkout.join("new"), "mine\n").unwrap();
    stack.cut_off(&to, Step::Switching, false);
    assert_eq!(outcome(&stack.run().await.unwrap()), DeployOutcome::RolledBack);
    assert_eq!(fs::read_to_string(stack.checkout.join("new")).unwrap(), "mine\n");
    assert_eq!(stack.head(), before);
}

#[tokio::test]
async fn a_switch_that_was_cut_off_is_finished() {
    let stack = Stack::new();
    let to = push(&stack.author, &[("new", "theirs\n"), ("old", "2\n")]);
    git(&stack.checkout, &["fetch", "-q"]);
    fs::write(stack.checkout.join("new"), "thei").unwrap();
    stack.cut_off(&to, Step::Switching, true);
    assert_eq!(outcome(&stack.run().await.unwrap()), DeployOutcome::UpdateOnly);
    assert_eq!(stack.head(), to);
    assert_eq!(fs::read_to_string(stack.checkout.join("new")).unwrap(), "theirs\n");
    assert_eq!(git(&stack.checkout, &["status", "--porcelain"]), "");
    assert_eq!(stack.context.ledgers.good().read().unwrap().unwrap().vector, stack.vector(&to));
}

#[tokio::test]
async fn one_that_always_dies_while_nothing_is_touched_ends() {
    let stack = Stack::new();
    let to = push(&stack.author, &[("new", "theirs\n")]);
    git(&stack.checkout, &["fetch", "-q"]);
    let before = stack.head();
    stack.cut_off(&to, Step::Target, false);
    let mut state = stack.context.ledgers.journal().read().unwrap().unwrap();
    state.attempts = 3;
    stack.context.ledgers.journal().write(&state).unwrap();
    let Ended::Recorded(record) = stack.run().await.unwrap() else { panic!() };
    assert_eq!(record.outcome, DeployOutcome::Failed);
    assert!(record.reason.as_deref().unwrap().contains("cut off 3 times"), "{record:?}");
    assert_eq!((stack.head(), stack.context.ledgers.journal().read().unwrap()), (before, None));
}

#[tokio::test]
async fn a_deploy_that_was_stopped_leaves_no_bad_vector() {
    let stack = Stack::new();
    let to = push(&stack.author, &[("new", "theirs\n")]);
    git(&stack.checkout, &["fetch", "-q"]);
    for (why, holds) in [("it was asked to stop", false), ("web was unhealthy", true)] {
        stack.cut_off(&to, Step::RollingBack { why: why.into() }, true);
        assert_eq!(outcome(&stack.run().await.unwrap()), DeployOutcome::RolledBack);
        assert_eq!(stack.context.ledgers.bad().read().unwrap().unwrap()[0].holds(), holds, "{why}");
    }
}

const TEMPLATES: &[(&str, &str)] = &[
    (".gitignore", "conf/site.conf\nconf/new.conf\n"),
    ("env.local", "EXTRA_CONF_DIRS=./conf VARS='$GREETING' GREETING=hello\n"),
    ("conf/site.conf.template", "say $GREETING to $host\n"),
    ("conf/new.conf.template", "new\n"),
];

/// A stack that is to get templates, with a file that an older rendering left.
fn with_templates(more: &[(&str, &str)]) -> (Stack, String, PathBuf) {
    let stack = Stack::unseen();
    let to = push(&stack.author, &[TEMPLATES, more].concat());
    git(&stack.checkout, &["fetch", "-q"]);
    stack.probe_sees(&to);
    let conf = stack.checkout.join("conf");
    fs::create_dir_all(&conf).unwrap();
    fs::write(conf.join("site.conf"), "of before, and longer than what is to come\n").unwrap();
    stack.cut_off_at_the_switch(&to);
    (stack, to, conf)
}

#[tokio::test]
async fn templates_are_rendered_at_the_switch() {
    let (stack, to, conf) = with_templates(&[]);
    let inode = conf.join("site.conf").metadata().unwrap().ino();
    assert_eq!(outcome(&stack.run().await.unwrap()), DeployOutcome::Committed);
    assert_eq!(fs::read_to_string(conf.join("site.conf")).unwrap(), "say hello to $host\n");
    assert_eq!(conf.join("site.conf").metadata().unwrap().ino(), inode);
    assert_eq!(conf.join("new.conf").metadata().unwrap().mode() & 0o777, 0o644);
    assert_eq!(stack.head(), to);
    assert_eq!(git(&stack.checkout, &["status", "--porcelain"]), "");
    assert!(!stack.context.ledgers.aside().exists());
}

#[tokio::test]
async fn the_way_back_takes_rendered_files_back() {
    let (stack, _, conf) = with_templates(&[("conf/pre-docker-compose-up", "#!/bin/sh\nexit 3\n")]);
    let (before, inode) = (stack.head(), conf.join("site.conf").metadata().unwrap().ino());
    stack.context.host.script("tender-stack-2-p1", Script::exits(3).out("no\n"));
    let Ended::Recorded(record) = stack.run().await.unwrap() else { panic!() };
    assert_eq!(record.outcome, DeployOutcome::RolledBack, "{record:?}");
    let why = record.reason.unwrap();
    assert!(why.contains("conf/pre-docker-compose-up ended with 3"), "{why}");
    assert_eq!(fs::read_to_string(conf.join("site.conf")).unwrap(), "of before, and longer than what is to come\n");
    assert_eq!(conf.join("site.conf").metadata().unwrap().ino(), inode);
    assert!(!conf.join("new.conf").exists());
    assert_eq!(stack.head(), before);
    assert!(!stack.context.ledgers.aside().exists());
}

#[tokio::test]
async fn what_is_in_the_way_of_a_rendered_file_is_named() {
    let (stack, _, conf) = with_templates(&[]);
    fs::create_dir_all(conf.join("new.conf/data")).unwrap();
    let Ended::Recorded(record) = stack.run().await.unwrap() else { panic!() };
    let why = record.reason.unwrap();
    assert!(why.contains("conf/new.conf is a folder that is not empty"), "{why}");
    assert!(why.contains("made from"), "{why}");
    assert!(conf.join("new.conf/data").is_dir());
    assert!(fs::read_to_string(conf.join("site.conf")).unwrap().starts_with("of before"));
}

const HOOKS: &[(&str, &str)] = &[
    ("conf/pre-docker-compose-up", "#!/bin/sh\n"),
    ("conf/pre-docker-compose-up.include", "export FROM_INCLUDE=1\n"),
    ("conf/post-docker-compose-up", "#!/bin/sh\n"),
];

#[tokio::test]
async fn hooks_run_in_order_with_the_configuration_of_now() {
    let (stack, _, _) = with_templates(HOOKS);
    assert_eq!(outcome(&stack.run().await.unwrap()), DeployOutcome::Committed);
    let created = stack.context.host.calls_of("create");
    let steps: Vec<&str> = created.iter().filter_map(|call| call.split_once("-2-p")).map(|(_, n)| n).collect();
    assert_eq!(steps, ["1", "2", "3"], "{created:?}");
    assert_eq!(stack.context.host.names(), [""; 0]);
}

#[tokio::test]
async fn a_hook_runs_once_however_often_its_deploy_is_taken_up() {
    for (state, there, expected, creates) in [
        // It has ended: its code is on record.
        (Some(HookState::Ended(0)), None, DeployOutcome::Committed, 0),
        (Some(HookState::Ended(4)), None, DeployOutcome::RolledBack, 0),
        // Its container is there, at work or ended.
        (Some(HookState::Begun), Some(Script::exits(0)), DeployOutcome::Committed, 1),
        (Some(HookState::Begun), Some(Script::exits(5)), DeployOutcome::RolledBack, 1),
        // Nobody knows.
        (Some(HookState::Begun), None, DeployOutcome::RolledBack, 0),
        (None, None, DeployOutcome::Committed, 1),
    ] {
        let (stack, _, conf) = with_templates(&HOOKS[..1]);
        let what = format!("{state:?} {there:?}");
        if let Some(state) = state {
            let mut journal = stack.context.ledgers.journal().read().unwrap().unwrap();
            journal.hooks.insert(conf.join("pre-docker-compose-up"), state);
            stack.context.ledgers.journal().write(&journal).unwrap();
        }
        let host = &stack.context.host;
        if let Some(script) = there {
            host.image("hook");
            host.script("tender-stack-2-p1", script);
            let labels = [(labels::INSTANCE.to_owned(), "i".to_owned())].into();
            let spec = ContainerSpec { image: "hook".to_owned(), labels, ..ContainerSpec::default() };
            let Created::New(id) = host.create("tender-stack-2-p1", &spec).await.unwrap() else { panic!() };
            host.start(&id).await.unwrap();
        }
        assert_eq!(outcome(&stack.run().await.unwrap()), expected, "{what}");
        let created = host.calls_of("create").into_iter().filter(|call| call.contains("-2-p")).count();
        assert_eq!(created, creates, "{what}");
        assert_eq!(host.names(), [""; 0], "{what}");
    }
}

#[tokio::test]
async fn what_lay_there_before_a_crash_is_what_is_put_back() {
    let (stack, _, conf) = with_templates(&HOOKS[..1]);
    stack.context.host.script("tender-stack-2-p1", Script::exits(3));
    // Cut off in the middle of rendering: one file is kept aside and half written, the other made.
    let ledgers = &stack.context.ledgers;
    fs::create_dir_all(ledgers.aside()).unwrap();
    fs::write(ledgers.aside().join("2-0"), "original\n").unwrap();
    fs::write(conf.join("site.conf"), "say he").unwrap();
    fs::write(conf.join("new.conf"), "new\n").unwrap();
    let mut journal = ledgers.journal().read().unwrap().unwrap();
    for (name, kept) in [("site.conf", Some("2-0".to_owned())), ("new.conf", None)] {
        journal.rendered.insert(conf.join(name), Before { dir: conf.clone(), kept });
    }
    ledgers.journal().write(&journal).unwrap();
    assert_eq!(outcome(&stack.run().await.unwrap()), DeployOutcome::RolledBack);
    assert_eq!(fs::read_to_string(conf.join("site.conf")).unwrap(), "original\n");
    assert!(!conf.join("new.conf").exists());
}

/// The container of a step of this deploy, as it is while it runs.
async fn step_of(stack: &Stack, name: &str) -> (ContainerSpec, DeployOutcome) {
    let gate = Gate::new();
    stack.context.host.script(name, Script::exits(0).waits(&gate));
    let look = async {
        let spec = loop {
            match stack.context.host.spec(name) {
                Some(spec) => break spec,
                None => tokio::task::yield_now().await,
            }
        };
        gate.open();
        spec
    };
    let (spec, ended) = tokio::join!(look, stack.run());
    (spec, outcome(&ended.unwrap()))
}

#[tokio::test]
async fn hooks_get_the_values_of_the_new_version() {
    let (stack, _, conf) = with_templates(HOOKS);
    let (spec, ended) = step_of(&stack, "tender-stack-2-p1").await;
    assert_eq!(ended, DeployOutcome::Committed);
    let value = |name: &str| spec.env.0.get(name).map(String::as_str);
    assert_eq!((value("GREETING"), value("FROM_INCLUDE")), (Some("hello"), Some("1")));
    assert_eq!(value("COMPOSE_DIR"), stack.checkout.to_str());
    assert_eq!(value("COMPOSE_PROJECT_NAME"), Some("stack"));
    assert_eq!(spec.workdir.as_deref(), stack.checkout.to_str());
    assert_eq!(spec.command, [conf.join("pre-docker-compose-up").display().to_string()]);
    assert_eq!(spec.labels[labels::PARENT], "r");
}

#[tokio::test]
async fn a_wrapper_is_told_nothing_that_the_stacks_files_set() {
    let files = [
        ("birdhouse-compose.sh", "#!/bin/sh\n"),
        ("env.local", "EXTRA_CONF_DIRS=./conf BIRDHOUSE_LOG_DIR=/new/logs DOCKER_COMPOSE=own GREETING=hello\n"),
    ];
    let (stack, _, conf) = with_templates(&[&files[..], HOOKS].concat());
    let mut journal = stack.context.ledgers.journal().read().unwrap().unwrap();
    journal.services[0].action = ServiceAction::Create;
    stack.context.ledgers.journal().write(&journal).unwrap();
    let (spec, _) = step_of(&stack, "tender-stack-wrapper").await;
    let names: Vec<&str> = spec.env.0.keys().map(String::as_str).collect();
    assert_eq!(names, ["BIRDHOUSE_LOCAL_ENV", "COMPOSE_DIR", "COMPOSE_PROJECT_NAME"]);
    let created = stack.context.host.calls_of("create");
    assert!(!created.iter().any(|call| call.contains("-2-p")), "hooks are the wrapper's: {created:?}");
    assert!(!conf.join("new.conf").exists(), "and so are templates");
}

#[tokio::test]
async fn what_cannot_be_rendered_is_refused_before_anything_is_touched() {
    for (env, expected) in [
        ("EXTRA_CONF_DIRS=./conf VARS='$GREETING $OWNER'\n", "required variable OWNER is not set"),
        ("EXTRA_CONF_DIRS=./conf\n", "conf/site.conf is a folder that is not empty"),
    ] {
        let stack = Stack::unseen();
        let before = stack.head();
        let to = push(&stack.author, &[TEMPLATES, &[("env.local", env)]].concat());
        git(&stack.checkout, &["fetch", "-q"]);
        stack.probe_sees(&to);
        fs::create_dir_all(stack.checkout.join("conf/site.conf")).unwrap();
        fs::create_dir_all(stack.checkout.join(".git/info")).unwrap();
        fs::write(stack.checkout.join(".git/info/exclude"), "conf/site.conf\n").unwrap();
        fs::write(stack.checkout.join("conf/site.conf/data"), "").unwrap();
        let Ended::Recorded(record) = stack.run().await.unwrap() else { panic!("{expected}") };
        assert_eq!(record.outcome, DeployOutcome::Failed);
        let why = record.reason.unwrap();
        assert!(why.contains(expected), "{why}");
        assert_eq!(stack.head(), before);
        assert!(!stack.checkout.join("conf/new.conf").exists());
        assert_eq!(stack.context.ledgers.journal().read().unwrap(), None);
    }
}

fn template(dir: &Path, name: &str, text: &str) -> Template {
    let target = dir.join(name);
    let source = dir.join(format!("{name}.template"));
    Template { source, target, dir: dir.to_owned(), mode: 0o644, text: Secret::new(text.into()) }
}

#[tokio::test]
async fn a_stage_shows_what_will_be_rendered() {
    let stack = Stack::new();
    let to = push(&stack.author, &[(".gitignore", "conf/*.conf\n"), ("conf/keep", "")]);
    git(&stack.checkout, &["pull", "-q"]);
    let conf = stack.checkout.join("conf");
    fs::write(conf.join("old.conf"), "old").unwrap();
    stack.cut_off(&to, Step::Target, false);
    let mut state = stack.context.ledgers.journal().read().unwrap().unwrap();
    state.moves.clear();
    let mut stage = Stage::lay_out(&stack.context, &state).await.unwrap();
    assert_eq!(stage.overlays, []);
    // Nothing moves: a file that is there gets a mount over it, and only where it differs.
    let old = template(&conf, "old.conf", "old");
    assert_eq!(stage.render(&stack.context, &[old]).await.unwrap().len(), 0);
    let changed = template(&conf, "old.conf", "changed");
    assert_eq!(stage.render(&stack.context, std::slice::from_ref(&changed)).await.unwrap().len(), 1);
    let targets = |stage: &Stage| stage.overlays.iter().map(|o| o.target.clone()).collect::<Vec<_>>();
    assert_eq!(targets(&stage), [conf.join("old.conf")]);
    assert!(stage.render(&stack.context, &[changed]).await.unwrap().is_empty(), "once is enough");
    // A new one needs its checkout laid out: nothing is written in the checkout itself.
    let new = template(&conf, "new.conf", "new");
    assert_eq!(stage.render(&stack.context, &[new]).await.unwrap().len(), 1);
    assert_eq!(targets(&stage), [stack.checkout.clone(), conf.join("old.conf")]);
    let tree = stack.context.ledgers.stage().join("2/0");
    assert_eq!(fs::read_to_string(tree.join("conf/new.conf")).unwrap(), "new");
    assert!(!conf.join("new.conf").exists());
    assert_eq!(fs::read_to_string(conf.join("old.conf")).unwrap(), "old");
    // Outside of all checkouts a new file has no place.
    let outside = template(Path::new("/nowhere/conf"), "x.conf", "x");
    let staged = stage.render(&stack.context, std::slice::from_ref(&outside)).await.unwrap();
    assert_eq!(stage.unstaged(&staged).collect::<Vec<_>>(), [&outside.target]);
    stage.remove().unwrap();
}
