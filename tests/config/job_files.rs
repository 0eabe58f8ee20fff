//! Files that define jobs: their forms, and what a mistake takes with it.

use std::fs;

use tender::config::{Loaded, problems_document};

use crate::house::{Stack, jobs};

/// Names of all jobs but the built-in ones, with where each stands.
fn names(stack: &Stack, loaded: &Loaded) -> Vec<String> {
    let own = loaded.jobs.iter().filter(|job| job.origin != "built-in");
    let root = stack.root.path().canonicalize().unwrap();
    let shown = |origin: &str| origin.replace(root.join("stack/").to_str().unwrap(), "");
    own.map(|job| format!("{} ({})", job.name, shown(&job.origin))).collect()
}

#[test]
fn every_form_is_read_and_a_mistake_takes_nothing_else_with_it() {
    let stack = Stack::new("job-files");
    let loaded = stack.load();
    insta::assert_debug_snapshot!(names(&stack, &loaded));
    insta::assert_snapshot!("file_problems", stack.shown(&problems_document(&loaded.problems)));
    let job =
        |name: &str| stack.shown(&jobs(&loaded)[loaded.jobs.iter().position(|j| j.name.as_str() == name).unwrap()]);
    assert!(job("merged").contains("debian") && job("merged").contains("\"A\": \"b\""), "{}", job("merged"));
    assert!(job("alias too").contains("\"C\": \"d\""));
}

#[test]
fn names_are_unique_and_who_came_first_holds() {
    let stack = Stack::new("job-duplicates");
    let loaded = stack.load();
    let found: Vec<String> =
        loaded.jobs.iter().map(|j| format!("{} {} {:?}", j.name, j.schedule.text(), j.action.kind())).collect();
    insta::assert_debug_snapshot!(found);
    insta::assert_snapshot!("duplicate_problems", stack.shown(&problems_document(&loaded.problems)));
}

#[test]
fn jobs_without_a_name_are_told_apart() {
    let stack = Stack::new("job-unnamed");
    let first = names(&stack, &stack.load());
    assert_eq!(first, names(&stack, &stack.load()), "the same at each load");
    insta::assert_debug_snapshot!(first);
}

#[test]
fn what_looks_like_another_type_stays_as_it_is_written() {
    let stack = Stack::new("job-yaml11");
    let loaded = stack.load();
    insta::assert_snapshot!(stack.shown(&jobs(&loaded)));
    insta::assert_snapshot!("yaml11_problems", stack.shown(&problems_document(&loaded.problems)));
}

/// A conf dir whose only job file is this text.
fn load_text(text: &str) -> (Stack, Loaded) {
    let stack = Stack::new("job-unnamed");
    fs::write(stack.dir.join("jobs/jobs.yml"), text).unwrap();
    let loaded = stack.load();
    (stack, loaded)
}

#[test]
fn a_thousand_jobs() {
    let text: String = (0..1000)
        .map(|i| format!("- {{name: job {i}, schedule: '{} * * * *', image: alpine, command: echo {i}}}\n", i % 60))
        .collect();
    let (_stack, loaded) = load_text(&text);
    assert_eq!((loaded.jobs.len(), loaded.problems.len()), (1002, 0));
}

#[test]
fn files_that_want_too_much_are_refused_alone() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let of = format!("*a{},", i - 1).repeat(10);
        bomb.push_str(&format!("a{i}: &a{i} [{}]\n", of.trim_end_matches(',')));
    }
    let deep = format!("- {}x{}\n", "[".repeat(100_000), "]".repeat(100_000));
    let large = format!("# {}\n", "x".repeat(5 << 20));
    for (text, says) in [(bomb, "is no YAML"), (deep, "is no YAML"), (large, "is larger than 4 MiB")] {
        let (_stack, loaded) = load_text(&text);
        let found: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
        assert!(found.len() == 1 && found[0].contains("jobs/jobs.yml") && found[0].contains(says), "{found:?}");
        assert_eq!(loaded.jobs.len(), 2, "the built-in ones");
    }
}
