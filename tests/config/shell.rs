//! Shell files as they are in the wild: read right, or refused with the way out, by every shell.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tender::config::{Collected, Gathered, ProbeRequest, Severity, Text};

use crate::house::{Stack, problems};

/// The three shells that files are written for. All are installed where the tests run.
const SHELLS: &[&str] = &["bash", "dash", "busybox"];

fn path_of(shell: &str) -> PathBuf {
    let found = ["/bin", "/usr/bin"].iter().map(|dir| Path::new(dir).join(shell)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{shell} is not installed; deployment/test installs it"))
}

/// What was found with one of them.
fn with(stack: &Stack, shell: &str) -> Collected {
    stack.collect(&ProbeRequest { shell: Some(path_of(shell)), ..stack.request() })
}

fn is_from_a_file(gathered: &Gathered) -> bool {
    gathered.source.starts_with('/')
}

/// All that files have set.
fn values(collected: &Collected) -> BTreeMap<&str, String> {
    let values = collected.values.iter().filter(|(_, g)| is_from_a_file(g));
    values.map(|(name, g)| (name.as_str(), format!("{:?}", g.value.lossy()))).collect()
}

fn complaints(collected: &Collected) -> String {
    collected.problems.iter().map(|p| format!("{p}\n")).collect()
}

/// Values, places and problems as a text.
fn shown(stack: &Stack, collected: &Collected) -> String {
    let mut out = String::new();
    for (name, gathered) in collected.values.iter().filter(|(_, g)| is_from_a_file(g)) {
        out += &format!("{name}={:?}\n", gathered.value.lossy());
        match &gathered.written {
            Some(w) => out += &format!("    {}:{}:{}  {}\n", w.file.display(), w.line, w.column, w.text),
            None => out += &format!("    {}\n", gathered.source),
        }
    }
    out += &format!("\ncomplete: {}\n{}", collected.complete, complaints(collected));
    out.replace(stack.root.path().canonicalize().unwrap().to_str().unwrap(), "[ROOT]")
}

#[test]
fn all_shells_read_the_same() {
    for case in ["plain", "conf-dirs", "shell-written", "shell-values", "shell-twice"] {
        let stack = Stack::new(case);
        let first = stack.collect(&stack.request());
        for shell in SHELLS {
            let other = with(&stack, shell);
            assert_eq!(values(&other), values(&first), "{case} {shell}");
            assert_eq!(complaints(&other), complaints(&first), "{case} {shell}");
            // Only bash tells which files it reads; of others the text does, where it can.
            assert!(other.sourced.is_subset(&first.sourced), "{case} {shell}");
            assert!(shell != &"bash" || other.sourced == first.sourced, "{case}");
        }
    }
}

#[test]
fn what_bash_and_ash_know() {
    let stack = Stack::new("shell-bash-and-ash");
    let first = stack.collect(&stack.request());
    insta::assert_snapshot!(shown(&stack, &first));
    for shell in ["bash", "busybox"] {
        assert_eq!(values(&with(&stack, shell)), values(&first), "{shell}");
    }
    // dash does not, and says so.
    assert!(complaints(&with(&stack, "dash")).contains("env.local:"));
}

#[test]
fn bad_manners_change_nothing() {
    let stack = Stack::new("shell-manners");
    let first = stack.collect(&stack.request());
    let text = shown(&stack, &first);
    insta::assert_snapshot!(text.lines().filter(|l| !l.contains("tmp.")).collect::<Vec<_>>().join("\n"));
    let temporary = first.values["TRAPS"].value.lossy();
    assert!(!temporary.is_empty() && !Path::new(&temporary).exists(), "{temporary}: its own trap was not obeyed");
    for shell in SHELLS {
        let other = with(&stack, shell);
        let (mut left, mut right) = (values(&other), values(&first));
        for (name, value) in [left.remove_entry("TRAPS"), right.remove_entry("TRAPS")].into_iter().flatten() {
            assert!(value.contains("tmp"), "{shell} {name} {value}");
        }
        assert_eq!(left, right, "{shell}");
        assert_eq!(complaints(&other), complaints(&first), "{shell}");
    }
}

#[test]
fn each_broken_file_has_one_problem_and_the_rest_goes_on() {
    let stack = Stack::new("shell-broken");
    let first = stack.collect(&stack.request());
    let text = shown(&stack, &first);
    insta::assert_snapshot!(text);
    assert!(!text.contains("planted-secret"));
    for shell in SHELLS {
        let other = with(&stack, shell);
        let text = shown(&stack, &other);
        insta::assert_snapshot!(format!("broken_in_{shell}"), text.split_once("\ncomplete").unwrap().1);
        assert!(!text.contains("planted-secret"), "{shell}");
        assert!(!other.complete, "{shell}");
        assert_eq!(other.values["GOOD"].value.lossy(), "1", "{shell}");
        let mut files: Vec<&str> = other
            .problems
            .iter()
            .map(|p| p.origin.name.split("/stack/").nth(1).unwrap().split('/').next().unwrap())
            .collect();
        files.sort_unstable();
        let all = files.len();
        files.dedup();
        assert_eq!(files.len(), all, "{shell}: {text}");
    }
}

#[test]
fn an_endless_file_leaves_time_for_the_others() {
    let stack = Stack::new("loop");
    for shell in SHELLS {
        let request = ProbeRequest { time_limit_ms: 4000, shell: Some(path_of(shell)), ..stack.request() };
        let collected = stack.collect(&request);
        assert!(complaints(&collected).contains("env.local: did not end within 2000 ms"), "{}", complaints(&collected));
        assert_eq!(collected.problems.len(), 1);
        assert!(!collected.complete);
        assert_eq!(collected.values["FROM_DEFAULT"].value.lossy(), "1");
    }
}

#[test]
fn no_process_is_left_over() {
    let stack = Stack::new("shell-processes");
    let left = || -> Vec<String> {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes
            .filter(|p| fs::read_link(p.path().join("cwd")).is_ok_and(|dir| dir == stack.dir))
            .filter_map(|p| fs::read_to_string(p.path().join("cmdline")).ok())
            .filter(|line| line.contains("stay.sh"))
            .collect()
    };
    for shell in SHELLS {
        let collected = with(&stack, shell);
        assert_eq!(collected.values["DONE"].value.lossy(), "1");
        assert_eq!(left(), Vec::<String>::new(), "{shell}");
    }
    // Seen from here, they would be found.
    let mut one = std::process::Command::new("sh").arg("stay.sh").current_dir(&stack.dir).spawn().unwrap();
    let found = left();
    one.kill().unwrap();
    one.wait().unwrap();
    assert_eq!(found.len(), 1);
}

#[test]
fn the_place_of_every_value() {
    let stack = Stack::new("shell-written");
    let collected = stack.collect(&stack.request());
    insta::assert_snapshot!(shown(&stack, &collected));
    assert!(!shown(&stack, &collected).lines().any(|l| l.starts_with("    ") && l.contains("secret';")));
    let loaded = stack.load();
    for file in ["function", "nested", "one", "two", "empty", "over"] {
        let path = stack.dir.join("more").join(file).with_extension("env");
        assert!(loaded.files.contains(&path), "{}", path.display());
    }
}

#[test]
fn values_as_they_are() {
    let stack = Stack::new("shell-values");
    let collected = stack.collect(&stack.request());
    insta::assert_snapshot!(shown(&stack, &collected));
    assert!(collected.values["LATIN1"].value == Text::Bytes(b"caf\xe9".to_vec()));
    let loaded = stack.load();
    let said = problems(&loaded);
    assert!(said.contains("SCHEDULER_TIMEZONE is not UTF-8") && said.contains("LATIN1 is not UTF-8"), "{said}");
    assert_eq!(loaded.environment.0["LATIN1"], "caf\u{fffd}");
    assert_eq!(loaded.environment.0["AFTER"], "ok");
}

#[test]
fn files_of_other_systems() {
    let stack = Stack::new("shell-windows");
    insta::assert_snapshot!(shown(&stack, &stack.collect(&stack.request())));
}

#[test]
fn mistakes_that_a_shell_lets_pass() {
    let stack = Stack::new("shell-mistakes");
    let collected = stack.collect(&stack.request());
    insta::assert_snapshot!(shown(&stack, &collected));
    for shell in SHELLS {
        let text = complaints(&with(&stack, shell));
        assert!(text.contains("env.local:1: calls a program that is not here"), "{shell}: {text}");
        assert!(text.contains("env.local:3: sets something that is no name"), "{shell}: {text}");
        assert!(!text.contains("secret"), "{shell}: {text}");
    }
}

#[test]
fn read_only_names() {
    let stack = Stack::new("shell-readonly");
    for shell in SHELLS {
        let collected = with(&stack, shell);
        assert_eq!(complaints(&collected), "", "{shell}");
        for (name, value) in [("SITE", "first"), ("UID", "1234"), ("GID", "5678"), ("AFTER", "first 1234")] {
            assert_eq!(collected.values[name].value.lossy(), value, "{shell} {name}");
        }
    }
}

#[test]
fn many_and_large_values() {
    let stack = Stack::new("plain");
    let large = "x".repeat(1 << 20);
    let mut text = format!("LARGE='{large}'\nDURING=$(sh -c 'echo during')\n");
    for i in 0..10_000 {
        text += &format!("NUMBER_{i}='value of number {i}'\n");
    }
    text += "AFTER=$(sh -c 'echo after')\nexport BIRDHOUSE_EXTRA_CONF_DIRS=./late\n";
    fs::write(stack.dir.join("env.local"), text).unwrap();
    fs::create_dir(stack.dir.join("late")).unwrap();
    fs::write(stack.dir.join("late/default.env"), "export LATE=\"$(sh -c 'echo late') ${#LARGE}\"\n").unwrap();
    for shell in SHELLS {
        // A busy machine takes its time; how much is not the point.
        let collected =
            stack.collect(&ProbeRequest { time_limit_ms: 300_000, shell: Some(path_of(shell)), ..stack.request() });
        assert_eq!(complaints(&collected), "", "{shell}");
        for (name, value) in
            [("LARGE", large.as_str()), ("DURING", "during"), ("AFTER", "after"), ("LATE", "late 1048576")]
        {
            assert!(collected.values[name].value.lossy() == value, "{shell} {name}");
        }
        assert_eq!(collected.values["NUMBER_9999"].value.lossy(), "value of number 9999");
    }
    // What is exported on purpose is too much for any program; the line that suffers is named.
    let text = format!("export LARGE='{large}'\nDURING=$(sh -c 'echo during')\n");
    fs::write(stack.dir.join("env.local"), text).unwrap();
    for shell in SHELLS {
        let collected = with(&stack, shell);
        assert!(complaints(&collected).contains("exported for any: LARGE"), "{shell}: {}", complaints(&collected));
        assert!(collected.values["LARGE"].value.lossy() == large, "{shell}");
    }
}

#[test]
fn what_is_appended_and_generated_is_there_once() {
    let stack = Stack::new("shell-twice");
    let loaded = stack.load();
    let jobs: Vec<String> = loaded.jobs.iter().map(|job| job.name.to_string()).collect();
    let repos: Vec<String> = loaded.settings.checkouts.iter().map(|p| p.display().to_string()).collect();
    let text = format!("{}\n{}\n{}", jobs.join("\n"), repos.join("\n"), problems(&loaded));
    insta::assert_snapshot!(text.replace(stack.root.path().canonicalize().unwrap().to_str().unwrap(), "[ROOT]"));
    assert!(loaded.problems.iter().all(|p| p.severity == Severity::Warning));
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 8, ..Default::default() })]
    /// Several at a time, as each look costs a shell.
    #[test]
    fn a_quoted_value_is_read_as_it_is(texts in proptest::collection::vec("(?s)[^\0]{0,40}", 1..20)) {
        let stack = Stack::new("plain");
        let mut file = String::new();
        for (i, text) in texts.iter().enumerate() {
            file += &format!("V{i}='{}'\n", text.replace('\'', r"'\''"));
        }
        fs::write(stack.dir.join("env.local"), file).unwrap();
        for shell in SHELLS {
            let collected = with(&stack, shell);
            for (i, text) in texts.iter().enumerate() {
                assert_eq!(&collected.values[&format!("V{i}")].value.lossy(), text, "{shell}");
            }
        }
    }
}

#[test]
fn a_file_that_is_left_early_is_told() {
    let stack = Stack::new("plain");
    std::fs::write(stack.dir.join("env.local"), "BEFORE=1\nreturn 1\nAFTER=1\n").unwrap();
    for shell in SHELLS {
        let collected = with(&stack, shell);
        assert!(complaints(&collected).contains("was left by `return 1`"), "{shell}: {}", complaints(&collected));
        assert!(collected.complete, "{shell}");
        assert!(collected.values.contains_key("BEFORE") && !collected.values.contains_key("AFTER"), "{shell}");
    }
}
