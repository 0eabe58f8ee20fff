//! A deploy that goes on from its journal, against real checkouts and an engine in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, which may fail loudly")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chrono::Utc;
use tender::builtin::deploy::context::{Context, StopFlag};
use tender::builtin::deploy::{Ended, Wishes, run};
use tender::config::{Installation, ProbeRequest, Settings, probe_main};
use tender::engine::fake::{Fake, Script};
use tender::git::{Git, GitOptions, HostKeyPolicy};
use tender::job::MountSource;
use tender::journal::deploy::{DeployState, FirstSteps, Good, Ledgers, Step};
use tender::run::{DeployOutcome, RevisionVector, RunId};

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
        // The probe looks at the same files as in its container.
        let request = ProbeRequest::new(&checkout, checkout.join("env.local"), BTreeMap::new());
        let found = probe_main(&serde_json::to_string(&request).unwrap());
        fake.script("tender", Script::exits(0).out(String::from_utf8(found).unwrap()));
        let context = Context {
            host: fake,
            git: Git::new(GitOptions {
                program: PathBuf::from(env!("CARGO_BIN_EXE_tender")),
                key_dir: None,
                known_hosts: state.join("known_hosts"),
                host_keys: HostKeyPolicy::AcceptNew,
                deadline: Duration::from_secs(60),
                compose_dir: Some(checkout.clone()),
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
            step,
            steps: vec![],
        };
        self.context.ledgers.journal().write(&state).unwrap();
    }

    async fn run(&self) -> anyhow::Result<Ended> {
        run(&self.context, Wishes::default()).await.map(|(ended, _)| ended)
    }
}

/// Commits files and pushes them; gives the commit.
fn push(author: &Path, files: &[(&str, &str)]) -> String {
    for (name, text) in files {
        fs::write(author.join(name), text).unwrap();
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
