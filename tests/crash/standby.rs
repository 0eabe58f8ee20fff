//! Two schedulers: the second one waits, and takes over when the first one dies.

use std::time::Instant;

use super::bed::wait_for;
use super::books::Books;
use super::jobs::Kind;
use super::stack::Stack;

fn until_it_runs(stack: &Stack, runs: usize) {
    wait_for("the run to begin", || {
        let trail = std::fs::read_to_string(stack.path("books/trail")).unwrap_or_default();
        (trail.matches("start ").count() == runs).then_some(())
    });
}

#[test]
fn on_one_state_dir() {
    let stack = Stack::new("standby", |_| {
        vec![Kind::well().saying(60, "sleep 2"), Kind::scheduled("due", "* * * * * *", "skip", "0.1")]
    });
    let mut first = stack.start();
    for runs in 1..=3 {
        let second = stack.spawn(None);
        second.says("waiting as a standby");
        stack.trigger(&mut first, "well");
        wait_for("the run to begin", || stack.records().iter().any(|r| r.state.word() == "running").then_some(()));
        let killed = Instant::now();
        first.kill();
        second.says("holds the lease");
        println!("take-over {runs} after {} ms", killed.elapsed().as_millis());
        second.says("armed");
        first = second;
    }
    let _scheduler = stack.quiesce(first);
    Books::open(&stack).audit();
}

#[test]
fn on_one_stack_with_two_state_dirs() {
    let stack = Stack::new("two-states", |_| vec![Kind::well().saying(60, "sleep 1")]);
    let mut first = stack.start();
    let mut second = stack.spawn_with_other_state();
    second.says("waiting as a standby");
    stack.trigger(&mut first, "well");
    until_it_runs(&stack, 1);
    first.kill();
    second.says("armed");
    // What is of another instance is left alone, and found by that one when it comes back.
    second.kill();
    let _first = stack.start();
    stack.settle(1);
    Books::open(&stack).audit();
}
