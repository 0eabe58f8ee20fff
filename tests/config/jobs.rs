//! Every key of a job: what it comes to, what is wrong with it, what this version cannot run.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tender::config::{job_keys_markdown, problems_document};
use tender::job::{Action, MountSource};

use crate::house::{Stack, jobs, problems};

#[test]
fn every_key_has_its_meaning() {
    let stack = Stack::new("job-keys");
    let loaded = stack.load();
    assert_eq!(problems(&loaded), "");
    insta::assert_snapshot!(stack.shown(&jobs(&loaded)));
}

#[test]
fn every_mistake_is_explained_and_takes_no_other_job_with_it() {
    let stack = Stack::new("job-mistakes");
    let loaded = stack.load();
    let good: Vec<&str> = loaded.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(good, ["autodeploy", "logrotate", "good"]);
    insta::assert_snapshot!(stack.shown(&problems_document(&loaded.problems)));
}

#[test]
fn what_cannot_run_yet_is_checked_and_refused_by_name() {
    let stack = Stack::new("job-later");
    let loaded = stack.load();
    let good: Vec<&str> = loaded.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(good, ["autodeploy", "logrotate", "not asked for"]);
    let root = stack.root.path().canonicalize().unwrap();
    insta::assert_snapshot!(problems(&loaded).replace(root.to_str().unwrap(), "[ROOT]"));
}

#[test]
fn secrets_are_mounted_and_never_made() {
    let loaded = Stack::new("job-keys").load();
    let Action::Run(spec) = &loaded.job("secrets by name").unwrap().action else { panic!("it has an image") };
    let secret = spec.mounts.iter().find(|mount| mount.target == Path::new("/run/secrets/password")).unwrap();
    assert_eq!(secret.source, MountSource::Bind("/srv/secrets/db-password".into()));
    assert!(secret.read_only && !secret.create && spec.optional.is_empty());
}

/// Keys of a job or an action, those of the mappings below it included.
fn keys_of(job: &Value, keys: &mut BTreeSet<String>) {
    for (key, value) in job.as_object().unwrap() {
        keys.insert(key.clone());
        match (key.as_str(), value) {
            ("run" | "exec" | "service-run" | "host", Value::Object(_)) => keys_of(value, keys),
            ("on_success" | "on_failure" | "always", Value::Array(actions)) => {
                actions.iter().for_each(|action| keys_of(action, keys));
            }
            ("http" | "watch" | "ping" | "notify" | "retries" | "missed", Value::Object(inner)) => {
                keys.extend(inner.keys().map(|inner| format!("{key}.{inner}")));
            }
            _ => {}
        }
    }
}

/// The two fixtures use every key where it is read (else it would be reported), and nothing but
/// what the table names: so the table is neither short nor long.
#[test]
fn the_table_of_keys_is_what_is_read() {
    let mut used = BTreeSet::new();
    for case in ["job-keys", "job-later"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config").join(case);
        let text = fs::read_to_string(folder.join("stack/jobs/jobs.yml")).unwrap();
        let file: Value = serde_saphyr::from_str(&text).unwrap();
        file.as_object().unwrap().values().for_each(|job| keys_of(job, &mut used));
    }
    let table = job_keys_markdown();
    let named: BTreeSet<String> =
        table.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned())).collect();
    assert_eq!(named, used);
}
