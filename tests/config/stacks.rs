//! Whole stacks from `tests/fixtures/config`, as the operator of each would see them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::json;
use tender::config::{
    Collected, LoadError, ProbeRequest, collect_here, config_document, probe_main, problems_document,
};

use crate::house::{Stack, jobs, problems, variable};

#[test]
fn a_plain_stack() {
    let stack = Stack::new("plain");
    let loaded = stack.load();
    assert_eq!(problems(&loaded), "");
    assert!(loaded.complete);
    let mut document = config_document(&loaded);
    document["jobs"] = jobs(&loaded);
    insta::assert_snapshot!(stack.shown(&document));
    assert_eq!(loaded.environment.0["DB_PASSWORD"], "planted-secret");
    assert_eq!(loaded.settings.project, "plain");
    assert_eq!(loaded.settings.max_output, 4 << 30);
}

#[test]
fn conf_dirs_in_order_with_what_they_need() {
    let stack = Stack::new("conf-dirs");
    let loaded = stack.load();
    let lists = ["BIRDHOUSE_EXTRA_CONF_DIRS", "EXTRA_CONF_DIRS", "AUTODEPLOY_EXTRA_REPOS"];
    let variables = ["GREETING", "BASE", "TOP", "WORDS", "MULTI", "DEEP", "DEEPER", "PWD", "SCHEDULER_MAX_RUNNING"];
    let document = json!({
        "conf_dirs": loaded.conf_dirs,
        "compose_files": loaded.compose_files,
        "checkouts": loaded.settings.checkouts,
        "paths": loaded.paths,
        "files": loaded.files,
        "project": loaded.settings.project,
        "lists": lists.map(|name| loaded.environment.0.get(name)),
        "variables": variables.map(|name| (name, variable(&loaded, name))),
        "problems": loaded.problems,
    });
    insta::assert_snapshot!(stack.shown(&document));
    assert!(!loaded.has_errors());
}

#[test]
fn old_and_new_names() {
    let stack = Stack::new("names");
    let loaded = stack.load();
    assert_eq!(loaded.settings.log_dir, Path::new("/var/log/PAVICS"));
    assert_eq!(loaded.environment.0["BIRDHOUSE_LOG_DIR"], "/var/log/PAVICS");
    assert_eq!(loaded.settings.platform_frequency, "@hourly");
    assert_eq!(loaded.settings.grace.as_secs(), 30);
    assert_eq!(loaded.settings.project, "fromprocess");
    let document = config_document(&loaded);
    assert_eq!(document["settings"]["SCHEDULER_GRACE"]["source"], "environment");
    assert!(document["settings"]["SCHEDULER_GRACE"]["frozen"].as_str().unwrap().ends_with("env.local"));
    insta::assert_snapshot!(stack.shown(&problems_document(&loaded.problems)));
}

#[test]
fn bad_values_are_all_reported_and_replaced() {
    let stack = Stack::new("bad-values");
    let loaded = stack.load();
    insta::assert_snapshot!(stack.shown(&problems_document(&loaded.problems)));
    let good = Stack::new("plain").load().settings;
    assert_eq!(loaded.settings.grace, good.grace);
    assert_eq!(loaded.settings.log_dir, good.log_dir);
    assert_eq!(loaded.settings.image, good.image);
    assert_eq!(loaded.settings.platform_frequency, "7 5 * * *");
    assert_eq!(loaded.jobs.len(), 2);
}

#[test]
fn jobs_of_both_generations() {
    let stack = Stack::new("jobs");
    let loaded = stack.load();
    insta::assert_snapshot!("jobs", stack.shown(&jobs(&loaded)));
    insta::assert_snapshot!("jobs_problems", stack.shown(&problems_document(&loaded.problems)));
    let documents = [stack.shown(&config_document(&loaded)), problems(&loaded)].concat();
    assert!(!documents.contains("planted-secret"), "{documents}");
}

#[test]
fn a_linked_env_local() {
    let stack = Stack::new("symlink");
    let loaded = stack.load();
    let root = stack.root.path().canonicalize().unwrap();
    assert_eq!(loaded.environment.0["HERE"], root.join("private/env").to_str().unwrap());
    assert!(loaded.job("private").is_some());
    assert_eq!(problems(&loaded), "");
    assert_eq!(loaded.paths, [root]);

    fs::remove_file(stack.root.path().join("private/env/local")).unwrap();
    let collected = collect_here(&stack.request());
    assert_eq!(collected.unseen, [stack.root.path().canonicalize().unwrap().join("private/env/local")]);
    let error = stack.try_load(&stack.request()).unwrap_err().to_string();
    assert!(error.contains("symlink") && error.contains("touch"), "{error}");
}

#[test]
fn what_is_missing_is_said_with_the_way_out() {
    let stack = Stack::new("plain");
    fs::remove_file(stack.dir.join("env.local")).unwrap();
    let error = stack.try_load(&stack.request()).unwrap_err();
    assert!(matches!(&error, LoadError::Missing { path, .. } if path.ends_with("env.local")));
    assert!(error.to_string().contains("touch"), "{error}");
    let nowhere = ProbeRequest::new("/nowhere/at/all", "/nowhere/at/all/env.local", BTreeMap::new());
    let error = stack.try_load(&nowhere).unwrap_err();
    assert!(matches!(&error, LoadError::Missing { path, .. } if path.ends_with("docker-compose.yml")), "{error}");
}

#[test]
fn the_look_from_a_container_is_the_same_look() {
    let stack = Stack::new("jobs");
    fs::write(stack.dir.join("env.local"), b"export BINARY=\"\xff\xfe\"\n").unwrap();
    let request = stack.request();
    let answer = probe_main(&serde_json::to_string(&request).unwrap());
    let collected: Collected = serde_json::from_slice(&answer).unwrap();
    assert!(collected == collect_here(&request));
    assert!(collected.values.contains_key("BINARY"));
}
