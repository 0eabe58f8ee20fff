//! What is shipped beside the program, held to what the program does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn service(file: &str) -> Value {
    let document: Value = serde_saphyr::from_str(&shipped(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    document["services"]["scheduler"].clone()
}

/// Names in an `environment:` of either form.
fn environment(service: &Value) -> BTreeSet<String> {
    match &service["environment"] {
        Value::Null => BTreeSet::new(),
        Value::Object(map) => map.keys().cloned().collect(),
        Value::Array(list) => {
            list.iter().filter_map(Value::as_str).map(|v| v.split('=').next().unwrap_or(v).to_owned()).collect()
        }
        other => panic!("no environment: {other}"),
    }
}

/// A setting in the scheduler's own environment would win over `env.local`, and could not be changed
/// there any more without a new container.
#[test]
fn the_scheduler_is_handed_no_setting() {
    let component = service("deployment/scheduler/docker-compose-extra.yml");
    assert_eq!(environment(&component), ["COMPOSE_DIR", "BIRDHOUSE_LOCAL_ENV"].map(str::to_owned).into());
    let alone = service("docker-compose.yml");
    assert_eq!(environment(&alone), BTreeSet::new(), "all of it comes from the component");
    assert_eq!(alone["extends"]["file"], "deployment/scheduler/docker-compose-extra.yml");
    for service in [component, alone] {
        assert_eq!(service["env_file"], Value::Null);
    }
}

#[test]
fn the_image_sets_no_variable() {
    let text = shipped("Dockerfile");
    let (_, image) = text.rsplit_once("\nFROM ").unwrap_or_else(|| panic!("no stages"));
    let set: Vec<&str> = image.lines().filter(|line| line.trim_start().starts_with("ENV ")).collect();
    assert_eq!(set, [""; 0], "a container has these in its environment, where they win over env.local");
}
