//! The daemon with an engine in memory, whose probe answers what a test says.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, oneshot, watch};

use super::*;
use crate::config::LogFormat;
use crate::daemon::configuration::View;
use crate::daemon::configuration::examples::{collected, installation, job};
use crate::daemon::options::ServeOptions;
use crate::engine::EngineError;
use crate::engine::fake::{Fake, Gate, Script};
use crate::run::Snapshot;
use crate::store::{Lease, Store};

/// What outlives a process: the state dir, the engine.
struct House {
    state: tempfile::TempDir,
    fake: Fake,
}

/// One process.
struct Running {
    daemon: Daemon<Fake>,
    looks: mpsc::Receiver<Look>,
    snapshot: watch::Receiver<Snapshot>,
}

impl House {
    fn new() -> Self {
        let fake = Fake::new();
        fake.image("tender");
        fake.image("busybox");
        Self { state: tempfile::tempdir().unwrap(), fake }
    }

    /// What the probes find from now on.
    fn found(&self, collected: &Collected) {
        self.says(Script::exits(0).out(serde_json::to_vec(collected).unwrap()));
    }

    fn breaks(&self) {
        self.says(Script::exits(1).err("no such thing"));
    }

    fn says(&self, script: Script) {
        self.fake.rescript("tender", script);
    }

    /// A process that has the lease, before it has begun.
    fn process(&self) -> Running {
        let state = self.state.path().to_owned();
        let lease = Lease::try_take(&state, None).unwrap().unwrap();
        let opened = Store::open(&state, &lease).unwrap();
        let (pictures, snapshot) = watch::channel(Snapshot::default());
        let (found, looks) = mpsc::channel(4);
        let options = ServeOptions {
            compose_dir: "/stack".into(),
            env_local: None,
            state_dir: state,
            process_env: BTreeMap::new(),
            on_settings: Box::new(|_| ()),
        };
        let engine = Rc::new(self.fake.clone());
        let view = View::below(vec![]);
        let daemon = Daemon::new(options, engine, installation(), String::new(), opened, lease, pictures, found, view);
        Running { daemon, looks, snapshot }
    }

    async fn start(&self) -> Running {
        let mut running = self.process();
        running.daemon.begin().await.unwrap();
        running
    }
}

impl Running {
    /// Asks, and lets the loop do what it does until there is an answer.
    async fn reload(&mut self) -> Answer {
        let (asker, answer) = oneshot::channel();
        self.daemon.start_look(Some(asker));
        let look = self.looks.recv().await.unwrap();
        self.daemon.on_look(look).await;
        answer.await.unwrap()
    }

    fn set_poll(&mut self, poll: Option<Duration>) {
        self.daemon.in_force.as_mut().unwrap().loaded.settings.config_poll = poll;
    }

    fn jobs(&self) -> Vec<String> {
        let jobs = self.daemon.loaded().map(|l| l.jobs.as_slice()).unwrap_or_default();
        jobs.iter().map(|job| job.name.to_string()).filter(|name| name.len() == 1).collect()
    }

    fn reasons(&self) -> Vec<String> {
        self.daemon.reasons.list().into_iter().map(|reason| reason.code).collect()
    }

    fn what(&self) -> String {
        self.daemon.reasons.list().into_iter().map(|reason| reason.what).collect()
    }
}

async fn local(test: impl AsyncFnOnce(House)) {
    tokio::task::LocalSet::new().run_until(test(House::new())).await;
}

fn with(jobs: &[&str]) -> Collected {
    collected(&jobs.iter().map(|name| job(name, "@daily", "x")).collect::<String>(), &[])
}

fn half() -> Collected {
    Collected { complete: false, ..with(&[]) }
}

#[tokio::test]
async fn a_reload_is_in_force_as_a_whole_and_says_what_changed() {
    local(async |house| {
        house.found(&with(&["a", "b"]));
        let mut running = house.start().await;
        assert_eq!((running.jobs(), running.reasons()), (vec!["a".into(), "b".into()], vec![]));
        house.found(&collected(&job("b", "@daily", "x"), &[("SCHEDULER_LOG_FORMAT", "json")]));
        let reloaded = running.reload().await.unwrap();
        assert_eq!(reloaded.to_string(), "removed a; settings changed: SCHEDULER_LOG_FORMAT; 3 jobs in force");
        let armed: Vec<_> = running.daemon.planner.as_ref().unwrap().armed().map(ToString::to_string).collect();
        assert!(armed.contains(&"b".to_owned()) && !armed.contains(&"a".to_owned()), "{armed:?}");
        assert_eq!(running.daemon.loaded().unwrap().settings.log_format, LogFormat::Json);
        running.daemon.touch();
        running.daemon.show();
        assert_eq!(running.snapshot.borrow().jobs.len(), 3);
        assert!(running.snapshot.borrow().configured_at.is_some());
    })
    .await;
}

#[tokio::test]
async fn a_failed_look_leaves_everything_as_it_is_until_it_is_mended() {
    local(async |house| {
        house.found(&with(&["a"]));
        let mut running = house.start().await;
        let since = running.daemon.in_force.as_ref().unwrap().since;
        let missing = Collected { missing: vec!["/stack/env.local".into()], ..with(&[]) };
        for bad in [Some(half()), Some(missing), None] {
            bad.as_ref().map_or_else(|| house.breaks(), |bad| house.found(bad));
            let why = running.reload().await.unwrap_err();
            assert!(why.contains("in force is the one of"), "{why}");
            assert_eq!((running.jobs(), running.reasons()), (vec!["a".into()], vec!["config-unreadable".into()]));
            assert!(running.daemon.retry_config_at.is_some(), "and it is tried again");
        }
        house.found(&with(&["a"]));
        running.reload().await.unwrap();
        assert_eq!(running.reasons(), [""; 0]);
        assert!(running.daemon.retry_config_at.is_none());
        assert_eq!(running.daemon.in_force.as_ref().unwrap().since, since, "it is the same");
    })
    .await;
}

#[tokio::test]
async fn a_start_without_a_readable_configuration_has_the_last_good_one() {
    for missing in [false, true] {
        local(async |house| {
            house.found(&with(&["a"]));
            drop(house.start().await);
            if missing {
                house.found(&Collected { missing: vec!["/stack/env.local".into()], ..with(&[]) });
            } else {
                house.found(&half());
            }
            let mut running = house.start().await;
            assert_eq!((running.jobs(), running.reasons()), (vec!["a".into()], vec!["config-unreadable".into()]));
            assert!(running.what().contains("in force is the one of"), "{}", running.what());
            house.found(&with(&["a", "b"]));
            assert_eq!(running.reload().await.unwrap().to_string(), "added b; 4 jobs in force");
            assert_eq!(running.reasons(), [""; 0]);
        })
        .await;
    }
}

#[tokio::test]
async fn half_a_configuration_is_better_than_none_and_is_not_kept() {
    local(async |house| {
        house.found(&Collected { complete: false, ..with(&["a"]) });
        let mut running = house.start().await;
        assert_eq!((running.jobs(), running.reasons()), (vec!["a".into()], vec!["config-unreadable".into()]));
        // The same half again is no better.
        running.reload().await.unwrap();
        assert_eq!(running.reasons(), ["config-unreadable"]);
        assert!(running.daemon.kept().is_none());
        house.found(&with(&["a", "b"]));
        running.reload().await.unwrap();
        assert_eq!((running.jobs(), running.reasons()), (vec!["a".into(), "b".into()], vec![]));
        assert!(running.daemon.kept().is_some());
    })
    .await;
}

#[tokio::test]
async fn nothing_to_read_and_nothing_kept_ends_the_start_and_a_probe_that_fails_does_not() {
    local(async |house| {
        house.found(&Collected { missing: vec!["/stack/env.local".into()], ..with(&[]) });
        let mut running = house.process();
        let error = running.daemon.begin().await.unwrap_err();
        assert!(error.to_string().contains("/stack/env.local does not exist"), "{error}");
        drop(running);
        house.breaks();
        let mut running = house.start().await;
        assert_eq!(running.reasons(), ["config-unreadable"]);
        house.found(&with(&["a"]));
        running.reload().await.unwrap();
        assert_eq!((running.jobs(), running.reasons()), (vec!["a".into()], vec![]));
    })
    .await;
}

#[tokio::test]
async fn a_recovery_that_fails_puts_nothing_in_force() {
    local(async |house| {
        house.found(&with(&["a"]));
        house.fake.fail_next("list", EngineError::Unavailable("away".to_owned()));
        let mut running = house.start().await;
        assert_eq!((running.jobs(), running.reasons()), (vec![], vec!["run-in-trouble".into()]));
        running.reload().await.unwrap();
        assert_eq!((running.jobs(), running.reasons()), (vec!["a".into()], vec![]));
    })
    .await;
}

#[tokio::test]
async fn whoever_asks_during_a_look_is_answered_by_the_next() {
    local(async |house| {
        house.found(&with(&["a"]));
        let mut running = house.start().await;
        let gate = Gate::new();
        let old = serde_json::to_vec(&with(&["a"])).unwrap();
        house.says(Script::exits(0).waits(&gate).out(old));
        house.fake.script("tender", Script::exits(0).out(serde_json::to_vec(&with(&["b"])).unwrap()));
        running.daemon.start_look(None);
        let (asker, answer) = oneshot::channel();
        let probes = || house.fake.calls_of("attach_once").len();
        while probes() < 2 {
            tokio::task::yield_now().await;
        }
        running.daemon.start_look(Some(asker));
        running.daemon.start_look(None);
        gate.open();
        for _ in 0..2 {
            let look = running.looks.recv().await.unwrap();
            running.daemon.on_look(look).await;
        }
        assert_eq!(answer.await.unwrap().unwrap().to_string(), "added b; removed a; 3 jobs in force");
        assert_eq!((probes(), running.daemon.is_looking()), (3, false), "one look for both");
    })
    .await;
}

#[tokio::test]
async fn files_are_polled_where_they_cannot_be_seen_and_not_during_a_deploy() {
    local(async |house| {
        house.found(&with(&["a"]));
        let mut running = house.start().await;
        assert!(running.daemon.hidden, "nothing is mounted here");
        running.daemon.look_if_worth_it().await;
        assert!(!running.daemon.is_looking(), "it is not time");
        running.set_poll(Some(Duration::ZERO));
        running.daemon.resume_at = Some(Instant::now());
        running.daemon.look_if_worth_it().await;
        assert!(!running.daemon.is_looking(), "a deploy is under way");
        running.daemon.resume_at = None;
        running.daemon.look_if_worth_it().await;
        assert!(running.daemon.is_looking());
        let look = running.looks.recv().await.unwrap();
        running.daemon.on_look(look).await;
        running.set_poll(None);
        running.daemon.look_if_worth_it().await;
        assert!(!running.daemon.is_looking(), "never");
    })
    .await;
}
