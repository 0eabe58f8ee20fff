//! Every setting is named in the same way everywhere.

use std::fs;
use std::path::Path;

use tender::config::{Problem, Role, SETTINGS, settings_example, settings_table_markdown};

use crate::house::Stack;

#[test]
fn the_example_names_every_setting() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("env.local.example");
    assert_eq!(fs::read_to_string(file).unwrap(), settings_example(), "write settings_example() to env.local.example");
    for setting in SETTINGS {
        assert!(settings_table_markdown().contains(&format!("| `{}`", setting.name)), "{}", setting.name);
    }
}

#[test]
fn the_example_is_a_shell_file_of_defaults() {
    let stack = Stack::new("plain");
    let plain = stack.load().settings;
    let example = settings_example().replace("#export ", "export ");
    fs::write(stack.dir.join("env.local"), example).unwrap();
    let loaded = stack.load();
    // Who sets what only a later version uses is told so, with a value that it would take.
    let later = SETTINGS.iter().filter(|s| s.role != Role::Now && !s.default.is_empty());
    let expected: Vec<&str> = later.map(|s| s.name).collect();
    let said = |p: &Problem| (p.message == "has no effect in this version").then(|| p.key.clone().unwrap());
    assert_eq!(loaded.problems.iter().map(said).collect::<Option<Vec<_>>>().unwrap(), expected);
    let expected = tender::config::Settings { platform_frequency: "7 5 * * *".to_owned(), ..plain };
    assert_eq!(loaded.settings, expected);
}

#[test]
fn names_are_unique_and_defaults_can_be_used() {
    let mut names: Vec<String> = SETTINGS.iter().flat_map(|s| s.names()).map(str::to_owned).collect();
    names.extend(SETTINGS.iter().flat_map(|s| s.file_names()).map(|(_, file)| file));
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "a name stands twice");
    for setting in SETTINGS {
        let Role::Later { takes, .. } = setting.role else { continue };
        assert!(setting.default.is_empty() || takes.check(setting.default).is_ok(), "{}", setting.name);
    }
}
