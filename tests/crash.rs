//! Every occurrence has exactly one record, at most one container ever ran for it, and its exit code
//! and output are complete: whatever kills the scheduler, wherever it is just then.
//!
//! A scheduler of its own for each test, as a process of this host, on the real engine. What happened
//! is known from the jobs themselves and from the engine's events; Tender's word is what is checked.
//! Needs Docker; without it it fails. `CRASH_ROUNDS` repeats everything, `CRASH_KILLS` says how often
//! the one under load is killed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod busybox;
mod crash {
    pub mod bed;
    pub mod books;
    mod by_hand;
    pub mod jobs;
    pub mod stack;
    mod standby;
    mod under_load;
}

use crash::books::Books;
use crash::jobs::{Kind, target};
use crash::stack::{Scheduler, Stack};

/// A number of the environment.
fn number(name: &str, usual: u32) -> u32 {
    std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap())
}

/// Dies at each place in the middle of a run of the first job, and is started again.
fn matrix(stack: &Stack, places: &[&str]) {
    let kind = &stack.kinds[0];
    let mut runs = 0;
    let mut scheduler = stack.start();
    for _ in 0..number("CRASH_ROUNDS", 1) {
        for place in places {
            scheduler = once(stack, scheduler, kind, place);
            runs += kind.launches.len();
            stack.settle(runs);
        }
    }
    Books::open(stack).audit();
    drop(scheduler);
}

fn once(stack: &Stack, mut scheduler: Scheduler, kind: &Kind, place: &str) -> Scheduler {
    stack.arm(place);
    stack.trigger(&mut scheduler, kind.name);
    scheduler.dies(place);
    stack.start()
}

#[test]
fn at_every_place_of_a_run() {
    let stack = Stack::new("well", |_| vec![Kind::well()]);
    let places = [
        "plan.manual",
        "run.create",
        "run.created",
        "run.marked",
        "run.started",
        "run.running",
        "run.spooled",
        "log.noted",
        "run.output",
        "run.exited",
        "run.drained",
        "run.recording",
        "run.recorded",
        "run.logged",
        "run.renamed",
        "run.packed",
        "run.closed",
        "run.removed",
        "run.ended",
    ];
    matrix(&stack, &places);
}

#[test]
fn between_two_attempts() {
    let stack = Stack::new("retried", |_| vec![Kind::retried()]);
    matrix(
        &stack,
        &[
            "run.recording",
            "run.recorded",
            "run.ended",
            "run.create:2",
            "run.created:2",
            "run.marked:2",
            "run.recorded:2",
        ],
    );
}

#[test]
fn between_actions_that_follow() {
    let stack = Stack::new("followed", |_| vec![Kind::followed()]);
    matrix(
        &stack,
        &[
            "run.recording",
            "run.recorded",
            "run.ended:2",
            "run.create:3",
            "run.marked:4",
            "run.recorded:3",
            "run.ended:4",
        ],
    );
}

#[test]
fn when_the_time_is_over() {
    let stack = Stack::new("overdue", |_| vec![Kind::overdue()]);
    matrix(&stack, &["run.running", "run.stopping", "run.exited", "run.recorded"]);
}

#[test]
fn with_a_command_in_another_container() {
    let stack = Stack::new("exec", |stack| vec![Kind::exec(stack)]);
    let books = format!("{}:/books", stack.path("books").display());
    let label = format!("tender.crash={}", stack.name);
    busybox::docker(&[
        "run",
        "-d",
        "--init=false",
        "--name",
        &target(&stack.name),
        "--label",
        &label,
        "-v",
        &books,
        "--network",
        "none",
        stack.jobs_image.name(),
        "sleep",
        "100000",
    ]);
    let places =
        ["run.created", "run.marked", "run.started", "run.output", "run.exited", "run.drained", "run.recorded"];
    let tested = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| matrix(&stack, &places)));
    busybox::docker(&["rm", "-fv", &target(&stack.name)]);
    tested.unwrap_or_else(|why| std::panic::resume_unwind(why));
}

#[test]
fn with_a_built_in() {
    let stack = Stack::new("builtin", |_| vec![Kind::builtin()]);
    matrix(&stack, &["run.created", "run.marked", "run.started", "run.exited", "run.recorded", "run.closed"]);
}

#[test]
fn in_the_middle_of_recovery() {
    let stack = Stack::new("recovery", |_| vec![Kind::well()]);
    let deaths = [
        ("run.created", "recover.swept"),
        ("run.marked", "recover.planned"),
        ("run.started", "recover.listed"),
        ("run.output", "recover.adopted"),
        ("run.exited", "run.drained"),
        ("run.recorded", "recover.output"),
        ("run.closed", "recover.removed"),
    ];
    for (n, (first, then)) in deaths.into_iter().enumerate() {
        let mut scheduler = stack.start();
        stack.arm(first);
        stack.trigger(&mut scheduler, "well");
        scheduler.dies(first);
        stack.spawn(Some(then)).dies(then);
        let _scheduler = stack.start();
        stack.settle(n + 1);
    }
    Books::open(&stack).audit();
}

#[test]
fn with_the_store_gone() {
    for place in ["run.created", "run.started", "run.drained"] {
        let stack = Stack::new(&place.replace('.', "-"), |_| vec![Kind::well()]);
        let mut scheduler = stack.start();
        stack.arm(place);
        stack.trigger(&mut scheduler, "well");
        scheduler.dies(place);
        stack.lose_store();
        stack.spawn(Some("recover.row")).dies("recover.row");
        let _scheduler = stack.start();
        stack.settle(1);
        Books::open(&stack).audit();
    }
}
