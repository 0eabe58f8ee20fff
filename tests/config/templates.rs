//! Templates and hooks of conf dirs.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;
use tender::config::Loaded;

use crate::house::{Stack, problems};

fn shown(loaded: &Loaded) -> serde_json::Value {
    let templates = loaded.templates.iter().map(|t| {
        json!({
            "source": t.source,
            "target": t.target,
            "dir": t.dir,
            "mode": format!("{:o}", t.mode & 0o111),
            "text": String::from_utf8_lossy(t.text.expose()),
        })
    });
    let unset: Vec<String> = loaded.unset.iter().map(ToString::to_string).collect();
    json!({
        "templates": templates.collect::<Vec<_>>(),
        "hooks": loaded.hooks,
        "unset": unset,
        "problems": loaded.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

#[test]
fn what_conf_dirs_hold_for_a_deploy() {
    let stack = Stack::new("templates");
    let dir = stack.dir.join("components/proxy");
    // None of these is entered or rendered.
    for folder in [".git", "data"] {
        fs::create_dir(dir.join(folder)).unwrap();
    }
    fs::write(dir.join(".git/x.template"), "").unwrap();
    fs::write(dir.join("data/.template"), "").unwrap();
    symlink(dir.join("conf.d"), dir.join("link")).unwrap();
    symlink("nowhere", dir.join("gone.template")).unwrap();
    let loaded = stack.load();
    insta::assert_snapshot!(stack.shown(&shown(&loaded)));
    assert_eq!(loaded.templates[1].text.expose(), b"to= \xff\n", "bytes that are no text stay as they are");
    assert!(!format!("{loaded:?}").contains("server_name"), "what is rendered holds secrets and is not shown");
}

#[test]
fn a_required_variable_may_come_from_the_process() {
    let stack = Stack::new("templates");
    let mut request = stack.request();
    request.process_env.insert("ALERT_TO".to_owned(), "ops@example.org".to_owned());
    let loaded = stack.try_load(&request).unwrap();
    assert_eq!(loaded.unset, []);
    assert!(!problems(&loaded).contains("required"));
}

#[test]
fn a_conf_dir_inside_another_one_brings_nothing_twice() {
    let stack = Stack::new("templates");
    let mut text = fs::read_to_string(stack.dir.join("env.local")).unwrap();
    text.push_str("BIRDHOUSE_EXTRA_CONF_DIRS=./components\n");
    fs::write(stack.dir.join("env.local"), text).unwrap();
    let targets: Vec<_> = stack.load().templates.into_iter().map(|t| t.target).collect();
    assert_eq!(targets.len(), 2, "{targets:?}");
}

/// Values are those of the last reading, never of the one that made a container before.
#[test]
fn jobs_take_their_values_anew() {
    let stack = Stack::new("templates");
    let job = "- {name: greet, schedule: '@daily', command: echo, image: busybox, dockerargs: -e SITE=$SITE_NAME}";
    let path = stack.dir.join("env.local");
    let text = fs::read_to_string(&path).unwrap() + &format!("AUTODEPLOY_EXTRA_SCHEDULER_JOBS=\"{job}\"\n");
    let site = || format!("{:?}", stack.load().job("greet").unwrap().action);
    fs::write(&path, &text).unwrap();
    assert!(site().contains("\"SITE\": \"example\""), "{}", site());
    fs::write(&path, text.replace("=example", "=other")).unwrap();
    assert!(site().contains("\"SITE\": \"other\""), "{}", site());
}
