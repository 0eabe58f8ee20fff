//! Somebody else's hands on the engine: containers that are removed, names that are taken.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tender::job::JobName;
use tender::run::{Occurrence, Outcome, RunRecord};

use super::bed::wait_for;
use super::books::Books;
use super::jobs::{Kind, LINES};
use super::stack::Stack;
use crate::busybox::docker;
use crate::number;

fn outcomes(records: &[RunRecord]) -> Vec<String> {
    records.iter().map(|record| record.outcome().map_or_else(|| "none".to_owned(), ToString::to_string)).collect()
}

/// Ids of the stack's containers.
fn containers(stack: &Stack) -> Vec<String> {
    let found = docker(&["ps", "-aq", "--no-trunc", "--filter", &format!("label=tender.stack={}", stack.name)]);
    found.lines().map(str::to_owned).collect()
}

#[test]
fn removed_while_it_runs() {
    let stack = Stack::new("rm-running", |_| vec![Kind::well().saying(LINES, "sleep 600")]);
    let mut scheduler = stack.start();
    stack.trigger(&mut scheduler, "well");
    let log = stack.path("logs/well.log");
    wait_for("the first half of the output", || {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        let half = LINES / 2;
        (log.contains(&format!("out {half}\n")) && log.contains(&format!("err {half}\n"))).then_some(())
    });
    docker(&["rm", "-f", &containers(&stack)[0]]);
    stack.settle(1);
    let record = stack.records().remove(0);
    assert!(matches!(record.outcome(), Some(Outcome::Failed { code: 137, .. } | Outcome::Lost)), "{record:?}");
    assert!(record.output_note.as_ref().is_some_and(|note| note.contains("output incomplete")), "{record:?}");
    Books::open(&stack).audit();
}

#[test]
fn removed_while_nobody_looks() {
    let stack = Stack::new("rm-unseen", |_| vec![Kind::well().saying(LINES, "sleep 2")]);
    // Where it was, and what can be said of it then.
    let deaths = [
        ("run.created", "succeeded"),
        ("run.marked", "lost"),
        ("run.started", "lost"),
        ("run.exited", "lost"),
        ("run.recorded", "succeeded"),
    ];
    for (n, (place, expected)) in deaths.into_iter().enumerate() {
        let mut scheduler = stack.start();
        stack.arm(place);
        stack.trigger(&mut scheduler, "well");
        scheduler.dies(place);
        docker(&["rm", "-f", &containers(&stack)[0]]);
        let _scheduler = stack.start();
        stack.settle(n + 1);
        assert_eq!(outcomes(&stack.records())[0], expected, "removed after {place}");
    }
    Books::open(&stack).audit();
}

/// Takes the name of an occurrence to come; tells when that is.
fn take_name(stack: &Stack, labels: &[&str]) -> (DateTime<Utc>, String) {
    let (job, step) = (JobName::new("due").unwrap(), stack.kinds[0].seconds());
    let of_the_test = format!("tender.crash={}", stack.name);
    wait_for("a name to be taken in time", || {
        let now = Utc::now().timestamp();
        let at = DateTime::from_timestamp(now - now % step + step, 0).unwrap();
        let name = Occurrence::first(job.clone(), at, 0).container_name(&stack.name);
        let labels = labels.iter().copied().chain([of_the_test.as_str()]).flat_map(|label| ["--label", label]);
        let arguments: Vec<&str> =
            ["create", "--name", &name].into_iter().chain(labels).chain([stack.jobs_image.name(), "sh"]).collect();
        let made = Command::new("docker").args(arguments).output().unwrap();
        let id = String::from_utf8_lossy(&made.stdout).trim().to_owned();
        let in_time = made.status.success() && Utc::now() + TimeDelta::seconds(1) < at;
        if in_time {
            return Some((at, id));
        }
        if made.status.success() {
            docker(&["rm", "-f", &id]);
        }
        None
    })
}

#[test]
fn names_that_are_taken() {
    let stack = Stack::new("taken", |_| vec![Kind::scheduled("due", "*/6 * * * * *", "allow", "0.1")]);
    let scheduler = stack.start();
    let of_this_stack = format!("tender.stack={}", stack.name);
    for labels in [&["whose=a-stranger"][..], &[&of_this_stack, "tender.instance=another", "tender.job=due"]] {
        let (at, id) = take_name(&stack, labels);
        wait_for("a reason for a person", || {
            let status = stack.tender(&["status", "--json"]);
            let status = String::from_utf8_lossy(&status.stdout).into_owned();
            (status.contains("\"name-taken\"") && status.contains(&id[..12])).then_some(())
        });
        let record = stack.records().into_iter().find(|record| record.occurrence.planned_for == at).unwrap();
        let outcome = record.outcome().unwrap().to_string();
        assert!(outcome.starts_with("could not start(the name ") && outcome.contains(&id[..12]), "{outcome}");
        assert_eq!(docker(&["inspect", "-f", "{{.State.Status}}", &id]), "created", "it was touched");
        docker(&["rm", &id]);
        wait_for("the reason to go", || {
            let status = stack.tender(&["status", "--json"]);
            (!String::from_utf8_lossy(&status.stdout).contains("\"name-taken\"")).then_some(())
        });
    }
    let _scheduler = stack.quiesce(scheduler);
    Books::open(&stack).audit();
}

/// A hundred runs, or as many as `CRASH_PRUNED` says.
#[test]
fn pruned_all_the_time() {
    let names = ["one", "two", "three"];
    let stack = Stack::new("prune", |_| names.map(|name| Kind::scheduled(name, "* * * * * *", "allow", "1")).into());
    let pruner = Pruner::start(format!("label=tender.stack={}", stack.name));
    let scheduler = stack.start();
    let wanted = number("CRASH_PRUNED", 100) as usize;
    wait_for("the runs", || (stack.records().len() >= wanted).then_some(()));
    // What ends while no scheduler looks, and is removed then, is lost: that is another matter.
    drop(pruner);
    let _scheduler = stack.quiesce(scheduler);
    let records = stack.records();
    let less = records.iter().filter(|r| r.output_note.is_some() || !r.outcome().unwrap().is_success());
    let less: Vec<String> = less.map(|r| format!("{} {:?}", r.outcome().unwrap(), r.output_note)).collect();
    println!("{} of {} runs say less: {less:#?}", less.len(), records.len());
    let ended = records.iter().all(|r| r.outcome().unwrap().is_success() && r.exit_code == Some(0));
    assert!(ended, "each end was seen as it happened");
    Books::open(&stack).audit();
}

/// Prunes every second until it is dropped.
struct Pruner {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pruner {
    fn start(filter: String) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                // The engine refuses a second one at a time.
                let _ = Command::new("docker").args(["container", "prune", "-f", "--filter", &filter]).output();
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Pruner {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
