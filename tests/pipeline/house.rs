//! What all tests share: an engine, a state dir and a log dir that outlive the process under test.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tempfile::TempDir;
use tender::config::{Installation, Settings};
use tender::engine::Host;
use tender::engine::fake::Fake;
use tender::job::{Action, ContainerSpec, ExecSpec, ExecTarget, Job, JobName, MountSource, Policy};
use tender::run::{Occurrence, RunRecord, Trigger};
use tender::runner::labels::Identity;
use tender::runner::output::Output;
use tender::runner::shelf::{self, Reader, Shelf};
use tender::runner::{Event, Room, Runner};
use tender::schedule::Schedule;
use tender::store::{Lease, Store};

pub struct House {
    pub fake: Fake,
    pub store: Store,
    pub identity: Identity,
    pub settings: Settings,
    lease: Lease,
    _dir: TempDir,
}

impl House {
    pub fn new() -> Self {
        Self::within(tempfile::tempdir().unwrap())
    }

    /// With its state and its logs in this folder.
    pub fn within(dir: TempDir) -> Self {
        let state = dir.path().join("state");
        let lease = Lease::try_take(&state, None).unwrap().unwrap();
        let store = Store::open(&state, &lease).unwrap().store;
        let identity = Identity { stack: "stack".to_owned(), instance: "abc".to_owned(), generation: 1, parent: None };
        let fake = Fake::new();
        fake.image("busybox");
        Self { fake, store, identity, settings: settings(state, dir.path().join("logs")), lease, _dir: dir }
    }

    /// Runs a test on a `LocalSet`, with a limit: what hangs is a failure.
    pub async fn run(mut self, test: impl AsyncFnOnce(&mut Self)) {
        let local = tokio::task::LocalSet::new();
        let ended = local.run_until(async { tokio::time::timeout(Duration::from_secs(30), test(&mut self)).await });
        ended.await.expect("the test hangs");
    }

    pub fn runner(&self) -> Runner<Fake> {
        self.runner_on(self.fake.clone())
    }

    pub fn runner_on<E: Host + 'static>(&self, engine: E) -> Runner<E> {
        let output = Output::start(self.shelf()).unwrap();
        Runner::new(Rc::new(engine), self.store.clone(), output, self.room())
    }

    pub fn room(&self) -> Room {
        Room {
            identity: self.identity.clone(),
            settings: self.settings.clone(),
            installation: Installation {
                image: "tender".to_owned(),
                socket: "/var/run/docker.sock".into(),
                state: MountSource::Volume("tender".to_owned()),
                instance: self.identity.instance.clone(),
            },
            paths: vec![],
            stack_env: std::collections::BTreeMap::new(),
        }
    }

    pub fn shelf(&self) -> Shelf {
        Shelf::new(&self.settings.state_dir)
    }

    pub fn log(&self, job: &str) -> String {
        let log = std::fs::read(self.settings.log_dir.join(format!("{job}.log"))).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    pub fn row(&self, job: &str, seconds: i64) -> RunRecord {
        let at = DateTime::from_timestamp(seconds, 0).unwrap();
        let mut row = RunRecord::planned(Occurrence::first(JobName::new(job).unwrap(), at, 0), Trigger::Schedule);
        // Planned long ago, so that names are the same each time; due now.
        row.due = Utc::now();
        row
    }

    pub async fn plan<E: Host + 'static>(
        &self,
        runner: &mut Runner<E>,
        jobs: &[Job],
        job: &str,
        seconds: i64,
    ) -> RunRecord {
        self.plan_row(runner, jobs, self.row(job, seconds)).await
    }

    pub async fn plan_row<E: Host + 'static>(&self, runner: &mut Runner<E>, jobs: &[Job], row: RunRecord) -> RunRecord {
        runner.enqueue(self.store.plan(vec![row.clone()], vec![], vec![], None).await.unwrap());
        assert_eq!(runner.pump(jobs, Utc::now()).await.unwrap(), []);
        row
    }

    /// The record of the next run that ends.
    pub async fn end_of<E: Host + 'static>(&self, runner: &mut Runner<E>, jobs: &[Job]) -> RunRecord {
        loop {
            let event = runner.next_event().await;
            runner.pump(jobs, Utc::now()).await.unwrap();
            if let Event::Ended(record) = event {
                return *record;
            }
        }
    }

    pub async fn until_started<E: Host + 'static>(&self, runner: &mut Runner<E>) {
        while !matches!(runner.next_event().await, Event::Started(_)) {}
    }

    /// Waits until a job's log holds a text. Another thread writes it: nothing tells when.
    pub async fn until_logged(&self, job: &str, text: &str) {
        self.until_said(job, text, 1).await;
    }

    /// Waits until it holds a text so many times.
    pub async fn until_said(&self, job: &str, text: &str, times: usize) {
        while self.log(job).matches(text).count() < times {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub async fn until_logged_while<E: Host + 'static>(&self, job: &str, text: &str, runner: &mut Runner<E>) {
        self.until_started(runner).await;
        self.until_logged(job, text).await;
    }

    /// Over when a run that waits for a gate has said all that it says before: the step at which
    /// it is to die is then not among those that it comes to.
    pub async fn quiet(&self) {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }

    /// Tears what was written last, as a death in the middle of a write does: half of the last
    /// batch of each log, and the end of each spool that goes on.
    pub fn tear(&self) {
        for run in self.shelf().open_spools().unwrap() {
            let path = self.shelf().raw(&run);
            cut(&path, 3);
        }
        for entry in std::fs::read_dir(&self.settings.log_dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "log") {
                let pos = std::fs::read_to_string(tender::runner::joblog::pos_path(&path)).unwrap();
                let pos: tender::runner::joblog::Pos = serde_json::from_str(pos.lines().next().unwrap()).unwrap();
                if pos.run.is_some() {
                    cut(&path, pos.length / 2);
                }
            }
        }
    }

    /// Opens the store anew, as the next process does.
    pub fn restart(&mut self) {
        self.store = Store::open(&self.settings.state_dir, &self.lease).unwrap().store;
    }

    /// Closes the store's file, as the end of the process does. Until [`House::restart`] there is another.
    pub async fn close_store(&mut self) {
        let other = tempfile::tempdir().unwrap();
        let lease = Lease::try_take(other.path(), None).unwrap().unwrap();
        self.store = Store::open(other.path(), &lease).unwrap().store;
        while self.settings.state_dir.join("store.sqlite-wal").exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The store is gone; everything else is as it was.
    pub fn lose_store(&mut self) {
        for name in ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm"] {
            std::fs::remove_file(self.settings.state_dir.join(name)).ok();
        }
        self.restart();
    }
}

fn cut(path: &std::path::Path, bytes: u64) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length.saturating_sub(bytes)).unwrap();
}

pub fn text_of(mut reader: Reader) -> String {
    let mut text = Vec::new();
    shelf::copy(&mut reader, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

pub fn job(name: &str) -> Job {
    let spec = ContainerSpec { image: "busybox".to_owned(), ..ContainerSpec::default() };
    let policy = Policy { grace: Duration::from_millis(100), ..Policy::default() };
    let schedule = Schedule::parse("@daily", chrono_tz::UTC, name).unwrap();
    Job::new(JobName::new(name).unwrap(), schedule, Action::Run(Box::new(spec)), policy)
}

pub fn exec_job(name: &str) -> Job {
    let exec = ExecSpec {
        target: ExecTarget::Service("web".to_owned()),
        command: vec!["true".to_owned()],
        env: tender::secret::Environment::default(),
        user: None,
        workdir: None,
        privileged: false,
        direct: false,
    };
    Job { action: Action::Exec(Box::new(exec)), ..job(name) }
}

pub fn set_image(job: &mut Job, image: &str) {
    if let Action::Run(spec) = &mut job.action {
        image.clone_into(&mut spec.image);
    }
}

fn settings(state_dir: PathBuf, log_dir: PathBuf) -> Settings {
    Settings {
        state_dir,
        log_dir,
        grace: Duration::from_secs(1),
        start_delay: Duration::ZERO,
        gate_soak: Duration::ZERO,
        gate_timeout: Duration::ZERO,
        min_free: 0,
        ..Settings::defaults(Path::new("/stack"))
    }
}
