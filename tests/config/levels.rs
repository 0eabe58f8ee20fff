//! Which of several values of one setting holds, over old and new names and all sources.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tender::config::{HostKeys, Snapshot, config_document};
use tender::job::Action;

use crate::house::{Stack, problems};

#[test]
fn each_level_beats_those_below_it_under_either_name() {
    let stack = Stack::new("levels");
    let loaded = stack.load();
    // The process over env.local, whose value stands under the other name.
    assert_eq!(loaded.settings.log_dir, Path::new("/var/log/of-the-process"));
    let document = config_document(&loaded);
    let frozen = &document["settings"]["BIRDHOUSE_LOG_DIR"]["frozen"];
    assert_eq!(frozen.as_str(), stack.dir.join("env.local").to_str(), "{document:#}");
    // The later conf dir over the one before.
    assert_eq!(loaded.settings.snapshot, Snapshot::All);
    // At one level the old name, with a warning.
    assert_eq!(loaded.settings.host_keys, HostKeys::Strict);
    let said = problems(&loaded);
    assert!(said.contains("AUTODEPLOY_HOST_KEYS and BIRDHOUSE_AUTODEPLOY_HOST_KEYS are both set and differ; AUTODEPLOY_HOST_KEYS holds"), "{said}");
    assert_eq!(said.matches("both set").count(), 1, "{said}");
    // Jobs, compose and hooks find the value that holds under either name.
    let Action::Run(spec) = &loaded.job("site").unwrap().action else { panic!("no container") };
    assert_eq!(spec.command.join(" "), "x mine.example.org blue /var/log/of-the-process True");
    for (name, value) in [
        ("BIRDHOUSE_FQDN", "mine.example.org"),
        ("PAVICS_FQDN", "mine.example.org"),
        ("BIRDHOUSE_SITE_COLOUR", "blue"),
        ("PAVICS_LOG_DIR", "/var/log/of-the-process"),
        ("BIRDHOUSE_EXTRA_CONF_DIRS", "./components/a ./components/b"),
        ("BIRDHOUSE_BACKWARD_COMPATIBLE_ALLOWED", "True"),
    ] {
        assert_eq!(loaded.environment.0.get(name).map(String::as_str), Some(value), "{name}");
    }
    // Named is what somebody wrote.
    assert!(document["settings"]["BIRDHOUSE_EXTRA_CONF_DIRS"].is_null());
    assert!(document["settings"]["EXTRA_CONF_DIRS"].is_object());
}

#[test]
fn the_switch_decides_at_one_level_only() {
    let stack = Stack::new("levels");
    let file = stack.dir.join("env.local");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\nBIRDHOUSE_BACKWARD_COMPATIBLE_ALLOWED=False\n")).unwrap();
    let loaded = stack.load();
    assert_eq!(loaded.settings.host_keys, HostKeys::AcceptNew);
    let said = problems(&loaded);
    assert!(said.contains("differ; BIRDHOUSE_AUTODEPLOY_HOST_KEYS holds"), "{said}");
    assert_eq!(loaded.environment.0["BIRDHOUSE_FQDN"], "mine.example.org", "env.local is above default.env");
    assert_eq!(loaded.environment.0["AUTODEPLOY_HOST_KEYS"], "accept-new");
}

#[test]
fn what_a_stack_ships_is_no_wish_of_its_owner() {
    let stack = Stack::new("levels");
    let loaded = stack.load();
    assert_eq!(loaded.settings.key_dir, None, "the home of the evaluation is nobody's home");
    let said = problems(&loaded);
    assert!(said.contains("ADMIN_PASSWORD: still has the value of the sample"), "{said}");
    assert!(!said.contains("sample-password"), "{said}");
    let file = stack.dir.join("env.local");
    fs::write(&file, "BIRDHOUSE_AUTODEPLOY_DEPLOY_KEY_ROOT_DIR=/home/me/.ssh").unwrap();
    assert_eq!(stack.load().settings.key_dir.as_deref(), Some(Path::new("/home/me/.ssh")));
}

#[test]
fn the_oldest_stacks_log_elsewhere() {
    let stack = Stack::new("plain");
    let wrapper = |name: &str| {
        fs::write(stack.dir.join(name), "").unwrap();
        fs::set_permissions(stack.dir.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    wrapper("pavics-compose.sh");
    let loaded = stack.load();
    assert_eq!(loaded.settings.log_dir, Path::new("/var/log/PAVICS"));
    assert_eq!(config_document(&loaded)["settings"]["BIRDHOUSE_LOG_DIR"]["value"], "/var/log/PAVICS");
    wrapper("birdhouse-compose.sh");
    assert_eq!(stack.load().settings.log_dir, Path::new("/var/log/birdhouse"));
}
