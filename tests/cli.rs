//! The command line as others see it: exit codes, documents, messages. No engine, no scheduler.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A stack on disk and the program that looks at it.
struct Stack {
    dir: TempDir,
}

impl Stack {
    fn new(env_local: &str) -> Self {
        let stack = Self { dir: tempfile::tempdir().unwrap() };
        stack.write("stack/docker-compose.yml", "services:\n  web:\n    image: nginx\n");
        stack.write("stack/env.local", env_local);
        fs::create_dir(stack.dir.path().join("state")).unwrap();
        stack
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn path(&self, path: &str) -> String {
        self.dir.path().join(path).to_str().unwrap().to_owned()
    }

    /// The program with this stack, nothing of the test's own environment but the search path, and
    /// an engine that is not there.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = tender(args);
        command
            .env("COMPOSE_DIR", self.path("stack"))
            .env("SCHEDULER_STATE_DIR", self.path("state"))
            .env("DOCKER_HOST", format!("unix://{}", self.path("no-engine.sock")));
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        Ended::of(self.command(args))
    }
}

fn tender(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tender"));
    command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
    command
}

struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    fn of(mut command: Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
    }

    #[track_caller]
    fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "out: {}\nerr: {}", self.out, self.err);
        self
    }

    #[track_caller]
    fn says(self, text: &str) -> Self {
        assert!(self.out.contains(text), "{text:?} is not in: {}\nerr: {}", self.out, self.err);
        self
    }

    #[track_caller]
    fn complains(self, text: &str) -> Self {
        assert!(self.err.contains(text), "{text:?} is not in: {}\nout: {}", self.err, self.out);
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}\nerr: {}", self.out, self.err))
    }
}

const JOBS: &str = "
export AUTODEPLOY_EXTRA_SCHEDULER_JOBS='
- name: backup
  comment: the database
  schedule: \"30 2 * * *\"
  image: postgres:16
  command: pg_dump --password hunter2222
  dockerargs: --volume /srv/data:/data:ro --env DB_PASSWORD=hunter2222 --network none
- name: tidy
  schedule: \"@every 6h\"
  image: busybox
  command: [\"rm\", \"-rf\", \"/data/tmp\"]
'
export DB_PASSWORD=hunter2222
";

const BROKEN_JOBS: &str = "
export AUTODEPLOY_EXTRA_SCHEDULER_JOBS='
- name: good
  schedule: \"@daily\"
  image: busybox
  command: \"true\"
- name: bad
  schedule: \"61 * * * *\"
  image: busybox
  command: \"true\"
'
";

#[test]
fn the_help_is_as_documented() {
    let help = Ended::of(tender(&["--help"])).ends(0).out;
    insta::assert_snapshot!("help", help);
}

#[test]
fn every_command_is_documented() {
    let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md")).unwrap();
    let help = Ended::of(tender(&["--help"])).ends(0).out;
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands {
        assert!(docs.contains(&format!("### `tender {command}")), "docs/cli.md says nothing about {command}");
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    Ended::of(tender(&[])).ends(2);
    Ended::of(tender(&["frobnicate"])).ends(2).complains("unrecognized subcommand");
    Ended::of(tender(&["run", "x", "-e", "no-pair"])).ends(2).complains("expected NAME=VALUE");
    Ended::of(tender(&["next", "--count", "0"])).ends(2);
    Ended::of(tender(&["job", "nonsense"])).ends(2).complains("there is no job \"nonsense\"");
}

#[test]
fn no_stack_and_a_wrong_stack_end_with_64_and_the_way_out() {
    for command in ["check", "jobs", "next", "config"] {
        Ended::of(tender(&[command])).ends(64).complains("--compose-dir");
        let mut empty = tender(&[command]);
        empty.env("COMPOSE_DIR", "");
        Ended::of(empty).ends(64).complains("--compose-dir");
        Ended::of(tender(&[command, "--compose-dir", "/nowhere/at/all"])).ends(64).complains("/nowhere/at/all");
    }
    let document = Ended::of(tender(&["check", "--json", "--compose-dir", "/nowhere/at/all"])).ends(64).json();
    assert_eq!(document["problems"][0]["severity"], "error");
}

#[test]
fn a_missing_env_local_is_named_with_the_way_out() {
    let stack = Stack::new("");
    fs::remove_file(stack.path("stack/env.local")).unwrap();
    stack.run(&["check"]).ends(64).complains("env.local");
    stack.run(&["check", "--env-local", "/nowhere/env.local"]).ends(64).complains("/nowhere/env.local");
}

#[test]
fn a_good_configuration_ends_with_0() {
    let stack = Stack::new(JOBS);
    stack.run(&["check"]).ends(0).says("The configuration is good");
    let document = stack.run(&["check", "--json"]).ends(0).json();
    assert!(document["problems"].as_array().unwrap().iter().all(|p| p["severity"] == "warning"), "{document}");
}

#[test]
fn mistakes_are_told_with_their_place_and_what_is_good_is_printed() {
    let stack = Stack::new(BROKEN_JOBS);
    stack.run(&["check"]).ends(64).says("error: ");
    let document = stack.run(&["check", "--json"]).ends(64).json();
    let error = document["problems"].as_array().unwrap().iter().find(|p| p["severity"] == "error").unwrap();
    for key in ["severity", "origin", "key", "value", "message", "hint"] {
        assert!(error.get(key).is_some(), "{key} is missing in {error}");
    }
    for command in ["jobs", "next"] {
        stack.run(&[command]).ends(64).says("good").complains("error: ");
        let names: Vec<Value> = stack.run(&[command, "--json"]).ends(64).json().as_array().unwrap().clone();
        let key = if command == "jobs" { "name" } else { "job" };
        assert!(names.iter().any(|j| j[key] == "good") && names.iter().all(|j| j[key] != "bad"), "{names:?}");
    }
}

#[test]
fn jobs_have_the_promised_shape_in_the_order_of_their_definition() {
    let stack = Stack::new(JOBS);
    let ended = stack.run(&["jobs", "--json"]).ends(0);
    assert!(!ended.out.contains("hunter2222"), "{}", ended.out);
    let jobs = ended.json();
    let place = |name| jobs.as_array().unwrap().iter().position(|job| job["name"] == name).unwrap();
    assert!(place("backup") < place("tidy"));
    let backup = &jobs[place("backup")];
    assert_eq!(backup["comment"], "the database");
    assert_eq!((&backup["schedule"], &backup["timezone"]), (&json!("30 2 * * *"), &json!("UTC")));
    assert_eq!((&backup["enabled"], &backup["action"]), (&json!(true), &json!("run")));
    let next = backup["next"].as_str().unwrap();
    assert!(next.ends_with("T02:30:00+00:00"), "{next}");
    let container = &backup["container"];
    assert_eq!(container["image"], "postgres:16");
    assert_eq!(container["command"], json!(["pg_dump", "--password", "***"]));
    assert_eq!(container["env"]["DB_PASSWORD"], "***");
    assert_eq!(container["network"], "none");
    let mount = &container["mounts"][0];
    assert_eq!(
        (&mount["source"], &mount["target"], &mount["read_only"]),
        (&json!("/srv/data"), &json!("/data"), &json!(true))
    );
    assert_eq!(backup["after_success"], json!([]));
    assert_eq!(backup["policy"]["overlap"], "skip");
    for key in ["timeout_ms", "locks", "missed"] {
        assert!(backup["policy"].get(key).is_some(), "{key}");
    }

    let rotate = &jobs[place("logrotate")];
    assert_eq!((&rotate["action"], &rotate["builtin"]), (&json!("builtin"), &json!("logrotate")));
    assert_eq!(rotate["container"]["command"], json!(["job", "logrotate"]));
}

#[test]
fn the_container_of_a_run_can_be_looked_at() {
    let stack = Stack::new(JOBS);
    let container = stack.run(&["run", "backup", "--dry-run", "-e", "A=1"]).ends(0).json();
    assert_eq!((&container["image"], &container["env"]["A"]), (&json!("postgres:16"), &json!("1")));
    let name = container["name"].as_str().unwrap();
    assert!(name.starts_with("tender-") && name.ends_with("-<yyyymmddThhmmssZ>"), "{name}");
    assert_eq!(
        (&container["labels"]["tender.job"], &container["labels"]["tender.run"]),
        (&json!("backup"), &json!("<run>"))
    );
    assert_eq!((&container["env"]["TENDER_RUN"], &container["stop"]), (&json!("<run>"), &json!([])));
    stack.run(&["run", "backup", "--dry-run", "-e", "A"]).ends(2).complains("expected NAME=VALUE");
    stack.run(&["run", "bakcup", "--dry-run"]).ends(2).complains("did you mean \"backup\"?");
}

#[test]
fn settings_come_with_their_source_and_without_secrets() {
    let stack = Stack::new(&format!("{JOBS}\nexport SCHEDULER_TIMEZONE=Europe/Berlin\n"));
    let ended = stack.run(&["config", "--json"]).ends(0);
    assert!(!ended.out.contains("hunter2222"));
    let document = ended.json();
    assert_eq!(document["compose_dir"], stack.path("stack"));
    for key in ["checkouts", "conf_dirs", "compose_files", "problems"] {
        assert!(document[key].is_array(), "{key}");
    }
    let zone = &document["settings"]["SCHEDULER_TIMEZONE"];
    assert_eq!((&zone["value"], &zone["source"]), (&json!("Europe/Berlin"), &json!(stack.path("stack/env.local"))));
    let text = stack.run(&["config"]).ends(0).says("Europe/Berlin").out;
    assert!(!text.contains("hunter2222") && !text.contains("DB_PASSWORD "), "{text}");
    let all = stack.run(&["config", "--all"]).ends(0).says("DB_PASSWORD").says("***").out;
    assert!(!all.contains("hunter2222"), "{all}");
    let document = stack.run(&["config", "--all", "--json"]).ends(0).json();
    assert_eq!(document["variables"]["DB_PASSWORD"]["value"], "***");
}

#[test]
fn occurrences_of_all_jobs_and_of_one() {
    let stack = Stack::new(JOBS);
    let after = ["--after", "2026-03-29T00:00:00Z", "--count", "2", "--json"];
    let all = stack.run(&[&["next"], &after[..]].concat()).ends(0).json();
    let backup = all.as_array().unwrap().iter().find(|job| job["job"] == "backup").unwrap();
    assert_eq!(backup["next"], json!(["2026-03-29T02:30:00+00:00", "2026-03-30T02:30:00+00:00"]));
    let one = stack.run(&[&["next", "tidy"], &after[..]].concat()).ends(0).json();
    assert_eq!(one, json!([{"job": "tidy", "next": ["2026-03-29T06:00:00+00:00", "2026-03-29T12:00:00+00:00"]}]));
    stack.run(&["next", "tidyy"]).ends(2).complains("did you mean \"tidy\"?");
}

#[test]
fn occurrences_of_any_schedule_need_no_stack() {
    let next =
        |args: &[&str]| Ended::of(tender(&[&["next", "--json", "--after", "2026-03-28T12:00:00Z"], args].concat()));
    let berlin = next(&["--schedule", "30 2 * * *", "--timezone", "Europe/Berlin", "--count", "2"]).ends(0).json();
    assert_eq!(berlin, json!(["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]), "the gap loses nothing");
    let prefix = next(&["--schedule", "CRON_TZ=Asia/Tokyo 0 9 * * *", "--timezone", "Europe/Berlin", "--count", "1"]);
    assert_eq!(prefix.ends(0).json(), json!(["2026-03-29T09:00:00+09:00"]));
    assert_eq!(
        next(&["--schedule", "@every 90m", "--count", "1"]).ends(0).json(),
        json!(["2026-03-28T13:30:00+00:00"])
    );
    for never in ["0 0 30 2 *", "@reboot", "@manual"] {
        assert_eq!(next(&["--schedule", never]).ends(0).json(), json!([]), "{never}");
    }
    assert_eq!(next(&["--schedule", "@hourly"]).ends(0).json().as_array().unwrap().len(), 5);

    let invalid = next(&["--schedule", "61 * * * *"]).ends(64).complains("61");
    assert_eq!(invalid.out, "");
    next(&["--schedule", "@daily", "--timezone", "Europe/Berlim"])
        .ends(64)
        .complains("did you mean \"Europe/Berlin\"?");
    next(&["--schedule", "@daily", "--after", "tomorrow"]).ends(2);
}

#[test]
fn the_processs_own_zone_never_matters() {
    let mut command =
        tender(&["next", "--json", "--schedule", "@daily", "--count", "1", "--after", "2026-01-01T12:00:00Z"]);
    command.env("TZ", "Asia/Tokyo");
    assert_eq!(Ended::of(command).ends(0).json(), json!(["2026-01-02T00:00:00+00:00"]));
}

#[test]
fn a_schedule_is_explained_in_one_line() {
    let text = Ended::of(tender(&["explain", "7 5 * * *"])).ends(0).out;
    assert_eq!(text.lines().count(), 1);
    assert!(text.contains("05:07"), "{text}");
    assert_eq!(Ended::of(tender(&["explain", "7", "5", "*", "*", "*"])).ends(0).out, text);
    Ended::of(tender(&["next", "--schedule", "7 5 * * *", "--count", "1"])).ends(0).says(text.trim());
    Ended::of(tender(&["explain", "whenever"])).ends(64).complains("whenever");
}

#[test]
fn without_a_scheduler_what_needs_one_ends_with_69_and_health_with_1() {
    let stack = Stack::new(JOBS);
    for command in [
        &["status"][..],
        &["status", "--json"],
        &["reload"],
        &["run", "backup"],
        &["run", "backup", "--wait"],
        &["stop", "backup"],
    ] {
        let ended = stack.run(command).ends(69).complains("no scheduler answers");
        assert_eq!(ended.out, "");
    }
    stack.run(&["health"]).ends(1);
}

#[test]
fn records_are_read_without_a_scheduler() {
    let stack = Stack::new(JOBS);
    assert_eq!(stack.run(&["runs", "--json"]).ends(0).json(), json!([]));
    assert_eq!(stack.run(&["deploys", "--json"]).ends(0).json(), json!([]));
    let record = |id: &str, at: &str| {
        json!({"id": id, "started_at": at, "finished_at": at, "outcome": "committed", "from": {}, "to": {"/stack": "abc"},
            "services": ["web"], "steps": [{"name": "gate", "outcome": "ok", "duration_ms": 5}], "reason": null})
    };
    stack.write("state/deploy/records/1.json", &record("old", "2026-01-01T00:00:00Z").to_string());
    stack.write("state/deploy/records/2.json", &record("new", "2026-01-02T00:00:00Z").to_string());
    let document = stack.run(&["deploys", "--json", "--limit", "1"]).ends(0).json();
    assert_eq!(document.as_array().unwrap().len(), 1);
    assert_eq!((&document[0]["id"], &document[0]["to"]), (&json!("new"), &json!({"/stack": "abc"})));
    assert_eq!(document[0]["started_at"], "2026-01-02T00:00:00+00:00");
    stack.run(&["runs", "--state-dir", "/nowhere"]).ends(64).complains("--state-dir");
}

#[test]
fn a_jobs_log_is_shown_and_followed_through_a_rotation() {
    let stack = Stack::new("");
    stack.write("stack/env.local", &format!("{JOBS}\nexport BIRDHOUSE_LOG_DIR={}\n", stack.path("log")));
    stack.write("log/backup.log", "one\ntwo\n");
    assert_eq!(stack.run(&["logs", "backup"]).ends(0).out, "one\ntwo\n");
    assert_eq!(stack.run(&["logs", "backup", "-n", "1"]).ends(0).out, "two\n");
    stack.run(&["logs", "bakcup"]).ends(2).complains("did you mean \"backup\"?");

    let mut follower = stack.command(&["logs", "-f", "backup"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "one");
    assert_eq!(lines.next().unwrap(), "two");
    fs::rename(stack.path("log/backup.log"), stack.path("log/backup.log.1")).unwrap();
    stack.write("log/backup.log", "three\n");
    assert_eq!(lines.next().unwrap(), "three");
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn a_closed_pipe_is_no_mistake() {
    let mut child = tender(&["next", "--schedule", "@every 1s", "--count", "10000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut first).unwrap(); // and closed
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

#[test]
fn version_and_completions() {
    Ended::of(tender(&["version"])).ends(0).says(concat!("tender ", env!("CARGO_PKG_VERSION")));
    assert_eq!(Ended::of(tender(&["version", "--json"])).ends(0).json()["version"], env!("CARGO_PKG_VERSION"));
    for shell in ["bash", "zsh", "fish"] {
        Ended::of(tender(&["completions", shell])).ends(0).says("deploys");
    }
}
