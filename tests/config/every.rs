//! What holds for every fixture, those of tomorrow included.

use std::fs;
use std::process::Command;

use tender::config::{Collected, ProbeRequest, collect_here, config_document, problems_document, resolve};

use crate::house::{Stack, fixtures, installation};

/// The fixtures. Each may have a file `secrets.txt`, whose lines must never be seen, and a file
/// `time-limit` in milliseconds, where it is made to never end.
fn every() -> Vec<String> {
    let mut cases: Vec<String> =
        fs::read_dir(fixtures()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    cases.sort();
    assert!(cases.len() > 10, "{cases:?}");
    cases
}

fn request(stack: &Stack) -> (ProbeRequest, bool) {
    let limit = fs::read_to_string(stack.root.path().join("time-limit")).ok().map(|t| t.trim().parse().unwrap());
    let request = stack.request();
    (ProbeRequest { time_limit_ms: limit.unwrap_or(request.time_limit_ms), ..request }, limit.is_none())
}

#[test]
fn two_loads_are_equal() {
    for case in every() {
        let stack = Stack::new(&case);
        let (request, _) = request(&stack);
        let look = || collect_here(&request);
        let (first, second) = (look(), look());
        assert!(first == second, "{case}: {} {}", text(&first), text(&second));
        let loads = [first, second].map(|collected| format!("{:#?}", resolve(collected, &installation())));
        assert_eq!(loads[0], loads[1], "{case}");
    }
}

fn text(collected: &Collected) -> String {
    serde_json::to_string_pretty(collected).unwrap()
}

#[test]
fn no_document_shows_a_secret() {
    let mut planted = 0;
    for case in every() {
        let stack = Stack::new(&case);
        let secrets = fs::read_to_string(stack.root.path().join("secrets.txt")).unwrap_or_default();
        let secrets: Vec<&str> = secrets.lines().filter(|l| !l.is_empty()).collect();
        let (request, ends) = request(&stack);
        let collected = collect_here(&request);
        let raw = text(&collected);
        for secret in &secrets {
            assert!(raw.contains(secret), "{case} does not plant {secret}");
        }
        planted += secrets.len();
        let loaded = resolve(collected, &installation());
        let mut shown = vec![
            format!("{:?} {:?}", loaded.values, loaded.problems),
            config_document(&loaded).to_string(),
            problems_document(&loaded.problems).to_string(),
        ];
        shown.extend(loaded.problems.iter().map(ToString::to_string));
        if ends {
            for command in [
                &["check"][..],
                &["check", "--json"],
                &["config"],
                &["config", "--json"],
                &["jobs", "--json"],
                &["jobs"],
            ] {
                shown.push(said(&stack, command));
            }
        }
        for secret in secrets {
            for text in &shown {
                let around = text.find(secret).map(|at| text[..at].chars().rev().take(200).collect::<Vec<_>>());
                let before: Option<String> = around.map(|chars| chars.into_iter().rev().collect());
                assert_eq!(before, None, "{case} shows {secret}");
            }
        }
    }
    assert!(planted > 5, "{planted}");
}

/// All that the program says to a command.
fn said(stack: &Stack, command: &[&str]) -> String {
    let request = stack.request();
    let out = Command::new(env!("CARGO_BIN_EXE_tender"))
        .args(command)
        .env_clear()
        .envs(&request.process_env)
        .env("COMPOSE_DIR", &stack.dir)
        .env("BIRDHOUSE_LOCAL_ENV", stack.dir.join("env.local"))
        .arg("--env-local")
        .arg(stack.dir.join("env.local"))
        .arg("--state-dir")
        .arg(stack.root.path().join("state"))
        .output()
        .unwrap();
    let text = [out.stdout, out.stderr].concat();
    assert!(!text.is_empty(), "{command:?} says nothing");
    assert!(
        out.status.code().is_some_and(|code| code == 0 || code == 64),
        "{command:?}: {}",
        String::from_utf8_lossy(&text)
    );
    String::from_utf8_lossy(&text).into_owned()
}
