//! Job files of the legacy scheduler, of every generation, in the shape that they have in the wild.

use tender::config::problems_document;
use tender::job::Action;

use crate::house::{Stack, jobs, problems};

#[test]
fn one_template_for_all_jobs() {
    let stack = Stack::new("legacy-g1");
    let loaded = stack.load();
    insta::assert_snapshot!(stack.shown(&jobs(&loaded)));
    insta::assert_snapshot!("g1_problems", stack.shown(&problems_document(&loaded.problems)));
}

#[test]
fn one_file_for_each_component() {
    let stack = Stack::new("legacy-g3");
    let loaded = stack.load();
    insta::assert_snapshot!(stack.shown(&jobs(&loaded)));
    insta::assert_snapshot!("g3_problems", stack.shown(&problems_document(&loaded.problems)));
}

#[test]
fn odd_jobs_mean_what_they_meant() {
    let stack = Stack::new("legacy-odd");
    let loaded = stack.load();
    insta::assert_snapshot!(stack.shown(&jobs(&loaded)));
    insta::assert_snapshot!("odd_problems", stack.shown(&problems_document(&loaded.problems)));
    assert!(!problems(&loaded).contains("planted-secret"));
    assert!(!std::path::Path::new("/tmp/never").exists(), "a comment is text");
}

#[test]
fn legacy_scripts_run_as_written_on_request() {
    let loaded = Stack::new("legacy-keep").load();
    assert_eq!(problems(&loaded), "");
    for name in ["autodeploy", "logrotate"] {
        assert!(matches!(loaded.job(name).unwrap().action, Action::Run(_)), "{name}");
    }
}

#[test]
fn extra_arguments_go_to_the_built_in() {
    let stack = Stack::new("extra-args");
    let loaded = stack.load();
    insta::assert_snapshot!(stack.shown(&jobs(&loaded)[0]["extra"]));
    insta::assert_snapshot!("extra_problems", stack.shown(&problems_document(&loaded.problems)));
}
