//! Every mistake as `tender check` shows it: one of each kind in the fixture `mistakes`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tender::config::{Written, collect_here, resolve};

use crate::house::{Stack, installation};

/// What the program says about a stack, with nothing of this machine in it.
pub(crate) fn said(stack: &Stack, args: &[&str]) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tender"));
    command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.env("COMPOSE_DIR", &stack.dir).env("DOCKER_HOST", "unix:///nowhere/at/all.sock");
    let output = command.output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let root = stack.root.path().canonicalize().unwrap();
    (text.replace(root.to_str().unwrap(), "[ROOT]"), output.status.code())
}

#[test]
fn one_of_each_kind() {
    let (text, code) = said(&Stack::new("mistakes"), &["check"]);
    assert_eq!(code, Some(64));
    for secret in ["planted-secret", "hunter2222", "abc123", "\x1b"] {
        assert!(!text.contains(secret), "{secret}");
    }
    insta::assert_snapshot!("check", text);
}

#[test]
fn the_document_has_the_same_problems_with_their_places() {
    let stack = Stack::new("mistakes");
    let (text, code) = said(&stack, &["check", "--json"]);
    assert_eq!(code, Some(64));
    let document: Value = serde_json::from_str(&text).unwrap();
    let problems = document["problems"].as_array().unwrap();
    assert_eq!(problems.len(), stack.load().problems.len());
    for problem in problems {
        let keys: Vec<&str> = problem.as_object().unwrap().keys().map(String::as_str).collect();
        let promised = "column expected file hint job key line message note origin severity text value";
        assert_eq!(keys.join(" "), promised);
        let origin =
            [problem["file"].as_str().map(str::to_owned), number(&problem["line"]), number(&problem["column"])];
        let origin: Vec<String> = origin.into_iter().flatten().collect();
        if problem["file"].is_string() {
            assert_eq!(problem["origin"].as_str(), Some(origin.join(":").as_str()));
        }
    }
    let near: Vec<&str> =
        problems.iter().filter_map(|p| p["hint"].as_str()).filter(|h| h.contains("did you mean")).collect();
    for name in ["schedule", "max", "--volume", "skip", "once", "logrotate", "Europe/Berlin", "@daily", "json"] {
        assert!(near.iter().any(|hint| hint.contains(&format!("`{name}`"))), "{name}: {near:?}");
    }
}

fn number(value: &Value) -> Option<String> {
    value.as_u64().map(|n| n.to_string())
}

#[test]
fn each_line_of_the_log_reads_alone() {
    for problem in Stack::new("mistakes").load().problems {
        let line = problem.to_string();
        assert!(!line.contains('\n') && line.contains(": "), "{line}");
    }
}

#[test]
fn a_bad_setting_is_shown_where_it_is_set() {
    let stack = Stack::new("mistakes");
    let mut collected = collect_here(&stack.request());
    let file = stack.dir.join("env.local");
    let jobs = collected.values.get_mut("AUTODEPLOY_EXTRA_SCHEDULER_JOBS").unwrap();
    jobs.written = Some(Written { file: "/s/jobs.env".into(), line: 3, column: 8, text: "export A=".to_owned() });
    let loaded = resolve(collected, &installation());
    let find = |key: &str| loaded.problems.iter().find(|p| p.key.as_deref() == Some(key)).unwrap();
    for (key, marked) in [
        ("SCHEDULER_TIMEZONE", "\"America/Montrael\""),
        ("SCHEDULER_GRACE", "'soon'"),
        ("SCHEDULER_API_TOKEN", "SCHEDULER_API_TOKEN"),
        ("EXTRA_CONF_DIRS", "#./out"),
    ] {
        let (problem, excerpt) = (find(key), find(key).excerpt.as_ref().unwrap());
        assert_eq!(Path::new(&problem.origin.name), file);
        let place = problem.origin.place.unwrap();
        assert_eq!((&excerpt.text[excerpt.mark.clone()], excerpt.line), (marked, place.line), "{key}");
        assert_eq!(excerpt.text.find(marked).unwrap() as u64 + 1, place.column, "{key}");
    }
    let job = loaded.problems.iter().find(|p| p.job.as_deref() == Some("from-a-variable")).unwrap();
    assert_eq!(job.note.as_deref(), Some("AUTODEPLOY_EXTRA_SCHEDULER_JOBS is set at /s/jobs.env:3"));
    assert!(!format!("{:?}", loaded.problems).contains("planted-secret"));
}
