//! Stacks as they are found in the wild, of each generation, read as their operators would read them.

use serde_json::{Value, json};
use tender::config::{Loaded, job_document};

use crate::house::{Stack, problems, variable};

/// What the operator looks at: where things are, what runs when and how, and what is wrong.
fn seen(stack: &Stack, loaded: &Loaded, variables: &[&str]) -> String {
    let settings = &loaded.settings;
    let document = json!({
        "project": settings.project,
        "log_dir": settings.log_dir,
        "key_dir": settings.key_dir,
        "checkouts": settings.checkouts,
        "conf_dirs": loaded.conf_dirs.iter().map(|d| {
            let why = d.reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
            format!("{}{}{why}", if d.active { "" } else { "- " }, d.path.display())
        }).collect::<Vec<_>>(),
        "compose_files": loaded.compose_files,
        "variables": variables.iter().map(|name| {
            let (value, source) = variable(loaded, name).unwrap_or_default();
            format!("{name}={value:?} of {source}")
        }).collect::<Vec<_>>(),
        "jobs": loaded.jobs.iter().map(|job| short(&job_document(job))).collect::<Vec<_>>(),
        "problems": problems(loaded).lines().collect::<Vec<_>>(),
    });
    stack.shown(&document)
}

/// A job in few lines: what is not said is as always.
fn short(job: &Value) -> Value {
    let mut out = json!({
        "name": job["name"],
        "schedule": job["schedule"],
        "comment": job["comment"],
        "origin": job["origin"],
        "log": job["log"],
        "timezone": job["timezone"],
        "enabled": job["enabled"],
        "does": action(job),
        "timeout_ms": job["policy"]["timeout_ms"],
        "missed": job["policy"]["missed"],
        "locks": job["policy"]["locks"],
        "after_success": job["after_success"].as_array().unwrap().iter().map(action).collect::<Vec<_>>(),
    });
    let usual =
        [("timezone", json!("UTC")), ("enabled", json!(true)), ("locks", json!([])), ("after_success", json!([]))];
    for (key, value) in usual {
        if out[key] == value {
            out.as_object_mut().unwrap().remove(key);
        }
    }
    out
}

fn action(action: &Value) -> Value {
    match action["action"].as_str() {
        Some("run") => {
            let container = &action["container"];
            let mounts = container["mounts"].as_array().unwrap().iter().map(|m| {
                let options = if m["read_only"] == true { ":ro" } else { "" };
                format!("{}:{}{options}", m["source"].as_str().unwrap_or_default(), m["target"].as_str().unwrap())
            });
            json!({
                "image": container["image"],
                "command": container["command"],
                "mounts": mounts.collect::<Vec<_>>(),
                "env": container["env"],
                "networks": container["networks"],
                "user": container["user"],
            })
        }
        Some("exec") => json!({ "exec": action["exec"]["target"], "command": action["exec"]["command"] }),
        _ => action["builtin"].clone(),
    }
}

#[test]
fn a_platform_of_components() {
    let stack = Stack::new("birdhouse");
    let loaded = stack.load();
    let variables = [
        "BIRDHOUSE_FQDN_PUBLIC",
        "BIRDHOUSE_PUBLIC_URL",
        "BIRDHOUSE_DATA_PERSIST_ROOT",
        "BIRDHOUSE_DATA_PERSIST_SHARED_ROOT",
        "THREDDS_SERVICE_DATA_LOCATION_ON_HOST",
        "BIRDHOUSE_LOG_DIR",
        "BIRDHOUSE_EXE",
        "BIRDHOUSE_NAME",
        "BIRDHOUSE_EXTRA_PYWPS_CONFIG",
        "NGINX_EXTRA",
        "SHORT_NAME",
        "BUILT_BY",
        "UNSET_IS_FINE",
        "SITE_URL",
        "DOCKER_NOTEBOOK_IMAGES",
        "BIRDHOUSE_AUTODEPLOY_EXTRA_REPOS_AS_DOCKER_VOLUMES",
        "EXTRAS_GREETING",
    ];
    insta::assert_snapshot!(seen(&stack, &loaded, &variables));
    assert!(loaded.complete && !loaded.has_errors(), "{}", problems(&loaded));
    // Its own hooks look for a component at the end of a line.
    assert!(loaded.environment.0["BIRDHOUSE_EXTRA_CONF_DIRS"].lines().any(|l| l.ends_with("/jupyterhub")));
}

#[test]
fn the_first_generation() {
    let stack = Stack::new("pavics");
    let loaded = stack.load();
    insta::assert_snapshot!(seen(&stack, &loaded, &["AUTODEPLOY_EXTRA_REPOS", "EMU_IMAGE", "PROMETHEUS_RETENTION"]));
    assert!(loaded.complete && !loaded.has_errors(), "{}", problems(&loaded));
}

#[test]
fn a_mistake_in_the_variable_of_jobs_spoils_nothing_else() {
    let stack = Stack::new("pavics");
    let file = stack.root.path().join("private/env.local.real");
    let text = std::fs::read_to_string(&file).unwrap().replace("- name: dump_magpie", "- name: dump_magpie\n bad");
    std::fs::write(&file, text).unwrap();
    let loaded = stack.load();
    let names: Vec<&str> = loaded.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["autodeploy", "logrotate", "notebookdeploy"]);
    assert!(problems(&loaded).contains("error: AUTODEPLOY_EXTRA_SCHEDULER_JOBS:"), "{}", problems(&loaded));
}
