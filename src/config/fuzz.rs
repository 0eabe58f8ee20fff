//! What holds for any input, however it was made: the bodies of the fuzz targets in `fuzz/`, which
//! the tests run on everything that was ever found.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::DateTime;
use chrono_tz::Tz;
use serde_json::json;

use super::docker_args::{self, For};
use super::probe::{Collected, Gathered, JobFile, Text};
use super::shell_dump::Dump;
use super::words::{self, CommandLine};
use super::{Installation, Loaded, config_document, problems_document, resolve};
use crate::job::MountSource;
use crate::schedule::Schedule;

/// Secrets that stand among the variables of every input: of one line, and of two with quotes.
const PLANTED: [(&str, &str); 2] =
    [("FUZZ_PASSWORD", "planted-5ecret-one"), ("FUZZ_TOKEN", "planted-\"5ecret\"\nplanted-5ecret-two")];

/// What a shell tells of its variables, or the JSON of a whole answer of the probe.
pub fn probe_dump(data: &[u8]) {
    if let Ok(collected) = serde_json::from_slice::<Collected>(data) {
        resolved(&collected);
    }
    let mut collected = Collected::default();
    for (name, value) in Dump::new(data, data).variables {
        set(&mut collected, &name, Text::from(value));
    }
    resolved(&collected);
}

/// The text of a job file, as one of the legacy scheduler and as one of the new form.
pub fn job_yaml(data: &[u8]) {
    job_file(data, "jobs.yml", false, false);
    job_file(data, "config.yml", true, false);
    job_file(data, "config.yml.template", true, true);
}

fn job_file(data: &[u8], name: &str, legacy: bool, template: bool) {
    let mut collected = Collected::default();
    let path = Path::new("/stack").join(name);
    collected.files.insert(path.clone(), Text::from(data.to_vec()));
    collected.job_files.push(JobFile { path, legacy, template });
    for (name, value) in [("VARS", "$A $FUZZ_PASSWORD"), ("A", "a value"), ("QUOTE", "it's \"one\" `of` $(them)")] {
        set(&mut collected, name, Text::Utf8(value.to_owned()));
    }
    resolved(&collected);
}

/// The flags of `docker run` and `docker exec`.
pub fn dockerargs(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for purpose in [For::Run, For::Exec] {
        let parse = || docker_args::parse(&text, purpose, Path::new("/stack"), &|name| planted(name));
        assert!(parse() == parse(), "two readings differ");
    }
    let job = json!([{ "name": "fuzz", "schedule": "@daily", "image": "i", "command": "c", "dockerargs": text }]);
    job_file(job.to_string().as_bytes(), "config.yml", true, false);
}

/// A schedule: the next occurrence lies behind the instant that was asked about.
pub fn schedule(data: &[u8]) {
    let Some((at, text)) = data.split_at_checked(4) else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let seconds = at.iter().fold(0_i64, |n, byte| n << 8 | i64::from(*byte));
    let Some(mut at) = DateTime::from_timestamp(seconds, 0) else { return };
    for zone in [Tz::UTC, Tz::America__Montreal, Tz::Australia__Lord_Howe] {
        let Ok(schedule) = Schedule::parse(text, zone, "fuzz") else { continue };
        assert_eq!(Schedule::parse(text, zone, "fuzz").as_ref(), Ok(&schedule));
        let _ = schedule.explain();
        for _ in 0..20 {
            let Some(next) = schedule.next_after(at) else { break };
            assert!(next > at, "{text:?}: {next} is not after {at}");
            at = next;
        }
    }
}

/// A command line: what was split and is quoted again is split the same.
pub fn words(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(CommandLine::Words(found)) = words::command_line(&text) {
        let quoted = found.iter().map(|word| words::quote(word)).collect::<Vec<_>>().join(" ");
        assert_eq!(words::command_line(&quoted), Ok(CommandLine::Words(found)), "{text:?}");
    }
    if let Ok(found) = words::words(&text) {
        let quoted = found.iter().map(|word| words::quote(word)).collect::<Vec<_>>().join("\n");
        assert_eq!(words::words(&quoted), Ok(found), "{text:?}");
    }
}

fn set(collected: &mut Collected, name: &str, value: Text) {
    let gathered =
        Gathered { value, source: "/stack/env.local".to_owned(), frozen: None, mapped: false, written: None };
    collected.values.insert(name.to_owned(), gathered);
}

fn planted(name: &str) -> Option<String> {
    PLANTED.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
}

/// Resolves with the secrets planted; two times the same, and no document shows one.
fn resolved(collected: &Collected) {
    let mut collected = collected.clone();
    for (name, value) in PLANTED {
        set(&mut collected, name, Text::Utf8(value.to_owned()));
    }
    let (once, twice) = (resolve(collected.clone(), &installation()), resolve(collected, &installation()));
    let shown = [config_document(&once).to_string(), problems_document(&once.problems).to_string()];
    for text in &shown {
        let leak = text.find("5ecret").map(|at| text[..at].chars().rev().take(300).collect::<Vec<_>>());
        let leak: Option<String> = leak.map(|chars| chars.into_iter().rev().collect());
        assert_eq!(leak, None, "a secret is shown");
    }
    assert_eq!(said(&once), said(&twice), "two readings differ");
}

fn said(loaded: &Loaded) -> (String, &BTreeMap<String, String>) {
    (format!("{loaded:?}"), &loaded.environment.0)
}

fn installation() -> Installation {
    Installation {
        image: "sha256:own".to_owned(),
        socket: "/run/docker.sock".into(),
        state: MountSource::Volume("state".to_owned()),
        instance: "abcd".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    type Target = (&'static str, fn(&[u8]));

    const TARGETS: [Target; 5] = [
        ("probe_dump", probe_dump),
        ("job_yaml", job_yaml),
        ("dockerargs", dockerargs),
        ("schedule", schedule),
        ("words", words),
    ];

    #[test]
    fn what_was_found_before() {
        for (name, target) in TARGETS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/regressions").join(name);
            let mut inputs = 0;
            for entry in fs::read_dir(&folder).unwrap() {
                target(&fs::read(entry.unwrap().path()).unwrap());
                inputs += 1;
            }
            assert!(inputs > 0, "{} holds no input", folder.display());
        }
    }
}
