//! A stack with a scheduler that can be killed, at a named place or at any time, and started again.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;
use tender::run::RunRecord;
use tender::store::{Filter, Listed, Store};

use super::bed::{Image, PATIENCE, Recorder, wait_for, write};
use super::jobs::Kind;
use crate::busybox;

/// The signal that nothing can be done about.
const KILLED: i32 = 9;

pub struct Stack {
    pub name: String,
    pub kinds: Vec<Kind>,
    pub recorder: Recorder,
    pub jobs_image: busybox::Image,
    pub image: Image,
    dir: TempDir,
}

impl Stack {
    pub fn new(name: &str, kinds: impl FnOnce(&str) -> Vec<Kind>) -> Self {
        let name = format!("tcrash{}-{name}", std::process::id());
        let stack = Self {
            kinds: kinds(&name),
            recorder: Recorder::start(&name),
            jobs_image: busybox::Image::new(),
            image: Image::new(),
            dir: tempfile::tempdir().unwrap(),
            name,
        };
        for folder in ["stack/jobs", "logs", "books", "state"] {
            std::fs::create_dir_all(stack.path(folder)).unwrap();
        }
        write(&stack.path("stack/docker-compose.yml"), "services: {}\n");
        write(&stack.path("stack/env.local"), "\n");
        stack.configure();
        stack
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// Writes the jobs down, as they are in `kinds`.
    pub fn configure(&self) {
        self.write_jobs(|_| ());
    }

    fn write_jobs(&self, change: impl Fn(&mut Value)) {
        let books = self.path("books");
        let mut jobs: Vec<Value> =
            self.kinds.iter().map(|kind| kind.definition(self.jobs_image.name(), &books)).collect();
        jobs.iter_mut().for_each(change);
        if self.kinds.iter().all(|kind| kind.name != "logrotate") {
            jobs.push(json!({"name": "logrotate", "builtin": "logrotate", "schedule": "@manual"}));
        }
        write(&self.path("stack/jobs/jobs.yml"), &serde_json::to_string_pretty(&jobs).unwrap());
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tender"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("COMPOSE_DIR", self.path("stack"))
            .env("COMPOSE_PROJECT_NAME", &self.name)
            .env("SCHEDULER_STATE_DIR", self.path("state"))
            .env("SCHEDULER_IMAGE", self.image.name())
            .env("BIRDHOUSE_LOG_DIR", self.path("logs"))
            .env("EXTRA_CONF_DIRS", "./jobs")
            .env("AUTODEPLOY_PLATFORM_FREQUENCY", "@yearly")
            .env("SCHEDULER_MAX_RUNNING", "6");
        command
    }

    pub fn tender(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts a scheduler, which may never get far.
    pub fn spawn(&self, crash_at: Option<&str>) -> Scheduler {
        let mut command = self.command(&["serve"]);
        command.env("TENDER_CRASH_FILE", self.path("crash"));
        if let Some(place) = crash_at {
            command.env("TENDER_CRASH_AT", place);
        }
        Scheduler::spawn(command, self.path("serve.log"))
    }

    /// Starts a scheduler and waits until it is armed.
    pub fn start(&self) -> Scheduler {
        let scheduler = self.spawn(None);
        scheduler.says("armed");
        scheduler
    }

    /// A scheduler of the same stack with a state of its own.
    pub fn spawn_with_other_state(&self) -> Scheduler {
        let mut command = self.command(&["serve"]);
        command.env("SCHEDULER_STATE_DIR", self.path("other-state"));
        Scheduler::spawn(command, self.path("other.log"))
    }

    /// Lets nothing more fall due, and waits until all that did is over.
    pub fn quiesce(&self, scheduler: Scheduler) -> Scheduler {
        scheduler.terminate();
        self.write_jobs(|job| job["schedule"] = json!("@manual"));
        let scheduler = self.start();
        self.settle(1);
        scheduler
    }

    /// From now on the scheduler dies when it gets to this place.
    pub fn arm(&self, place: &str) {
        let path = self.path("crash");
        write(&path, place);
        wait_for("the place to be armed", || (!path.exists()).then_some(()));
    }

    /// Asks for a run. Whoever dies of it gives no answer.
    pub fn trigger(&self, scheduler: &mut Scheduler, job: &str) {
        wait_for("the control socket", || {
            let asked = self.tender(&["run", job]);
            let said = String::from_utf8_lossy(&asked.stderr).into_owned();
            let answered = asked.status.success() || said.contains("cannot be understood");
            let absent = asked.status.code() == Some(69) && !answered;
            assert!(answered || absent, "tender run {job}: {said}");
            (answered || !scheduler.lives()).then_some(())
        });
    }

    pub fn lose_store(&self) {
        for name in ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm"] {
            let _ = std::fs::remove_file(self.path("state").join(name));
        }
    }

    pub fn listed(&self) -> Vec<Listed> {
        let reader = Store::open_read_only(&self.path("state")).unwrap();
        reader.runs(&Filter::default()).unwrap()
    }

    pub fn records(&self) -> Vec<RunRecord> {
        let run = |listed| match listed {
            Listed::Run(record) => Some(*record),
            Listed::Skips(_) => None,
        };
        self.listed().into_iter().filter_map(run).collect()
    }

    /// Waits until at least so many runs are on record, all of them over, their containers gone and
    /// their output put away.
    pub fn settle(&self, runs: usize) {
        wait_for(&format!("{runs} runs to be over"), || {
            let records = self.records();
            let over = records.len() >= runs && records.iter().all(|record| record.outcome().is_some());
            over.then_some(())
        });
        let spools = self.path("state/spool");
        wait_for("the output to be put away", || {
            let files = std::fs::read_dir(&spools).into_iter().flatten().map_while(Result::ok);
            let raw = files.filter(|file| file.path().extension().is_some_and(|e| e == "spool")).count();
            (raw == 0).then_some(())
        });
        self.recorder.until("the end of all containers", |events| {
            let of = |what: &str| events.iter().filter(|e| e.what == what).count();
            of("create") == of("destroy")
        });
    }

    /// What the scheduler said, for those who look for the reason of a failure.
    pub fn tail(&self) -> String {
        let text = std::fs::read_to_string(self.path("serve.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(80)..].join("\n")
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let kept = std::env::var_os("TENDER_TEST_KEEP").map(|_| {
                let kept = std::env::temp_dir().join(&self.name);
                let _ = Command::new("cp").arg("-a").arg(self.dir.path()).arg(&kept).status();
                kept.display().to_string()
            });
            let _ = writeln!(std::io::stderr(), "--- {}: {kept:?}\n{}", self.name, self.tail());
        }
        // Probes of a scheduler that was killed carry no stack.
        let dir = format!("label=tender.compose-dir={}", self.path("stack").display());
        let of_the_test = format!("label=tender.crash={}", self.name);
        for filter in [format!("label=tender.stack={}", self.name), dir, of_the_test] {
            let found = Command::new("docker").args(["ps", "-aq", "--filter", &filter]).output();
            let found = found.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
            let ids: Vec<&str> = found.split_whitespace().collect();
            if !ids.is_empty() {
                let _ = Command::new("docker").args(["rm", "-fv"]).args(ids).output();
            }
        }
    }
}

/// A scheduler; dropped it is killed.
pub struct Scheduler {
    child: Child,
    said: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Scheduler {
    fn spawn(mut command: Command, log: PathBuf) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let said: Arc<(Mutex<Vec<String>>, Condvar)> = Arc::default();
        let (lines, tell) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&said));
        std::thread::spawn(move || {
            let mut log = std::fs::File::options().create(true).append(true).open(log).unwrap();
            for line in lines.lines().map_while(Result::ok) {
                let _ = writeln!(log, "{line}");
                tell.0.lock().unwrap().push(line);
                tell.1.notify_all();
            }
        });
        Self { child, said }
    }

    /// Waits until it says something.
    pub fn says(&self, what: &str) {
        let end = Instant::now() + PATIENCE;
        let mut said = self.said.0.lock().unwrap();
        while !said.iter().any(|line| line.contains(what)) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the scheduler never said {what:?} but\n{}", said.join("\n"));
            said = self.said.1.wait_timeout(said, left).unwrap().0;
        }
    }

    pub fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its death at the place that was armed.
    pub fn dies(&mut self, place: &str) {
        let status = wait_for(&format!("the death at {place}"), || self.child.try_wait().unwrap());
        assert_eq!(status.signal(), Some(KILLED), "at {place}: {status}");
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As an orderly stop does it.
    pub fn terminate(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = wait_for("the end", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
