//! The two ways in: `tender job logrotate` in its container, and `tender rotate` by hand.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Serialize;

use super::{Lock, Locked, Options, Report, run};
use crate::config::Settings;

/// Exit code of `tender job logrotate` when another rotation has the state.
const JOB_LOCKED: u8 = 75;
/// Exit code of `tender rotate` when another rotation has the state: that of logrotate.
const LOCKED: u8 = 3;

/// What `tender rotate` was told.
#[derive(Debug, Clone)]
pub struct Args {
    /// Files with rules.
    pub configs: Vec<PathBuf>,
    /// The state file.
    pub state: PathBuf,
    /// The folder of the logs.
    pub log_dir: PathBuf,
    /// Rotates whatever the policy says.
    pub force: bool,
    /// Changes nothing.
    pub dry_run: bool,
    /// Says something about every log.
    pub verbose: bool,
    /// A file that gets all lines too; what it held is gone.
    pub log: Option<PathBuf>,
    /// What happens when another rotation is under way.
    pub lock: Lock,
}

/// The document that the scheduler keeps with the run.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    report: &'a Report,
    error: Option<String>,
}

/// The job: every `*.log` of the log dir by the default policy. Its state lies in
/// `<state_dir>/logrotate/`. The result document goes to `result`. Returns the exit code: 0, 1 when
/// anything failed, 75 when another rotation is under way.
pub fn job_main(
    settings: &Settings,
    state_dir: &Path,
    result: Option<&Path>,
    now: DateTime<Utc>,
    say: &mut dyn FnMut(&str),
) -> u8 {
    let state = state_dir.join("logrotate").join("state");
    job(&Options::new(&settings.log_dir, state, now, settings.timezone), result, say)
}

fn job(options: &Options, result: Option<&Path>, say: &mut dyn FnMut(&str)) -> u8 {
    let outcome = run(options, say);
    let written = result.map_or(Ok(()), |path| write_document(path, &outcome));
    let code = conclude(outcome, JOB_LOCKED, say);
    match written {
        Err(error) => {
            say(&format!("{error:#}"));
            code.max(1)
        }
        Ok(()) => code,
    }
}

/// `tender rotate`: works on files alone. Returns logrotate's exit codes: 0, 1 on any error, 3 when
/// the state is locked.
pub fn cli_main(args: &Args, now: DateTime<Utc>, zone: Tz, say: &mut dyn FnMut(&str)) -> u8 {
    let mut copy = None;
    let outcome = prepare(args, now, zone).and_then(|(options, log)| {
        copy = log;
        run(&options, &mut |line| both(&mut copy, say, line))
    });
    conclude(outcome, LOCKED, &mut |line| both(&mut copy, say, line))
}

fn prepare(args: &Args, now: DateTime<Utc>, zone: Tz) -> Result<(Options, Option<File>)> {
    if let Some(config) = args.configs.first() {
        bail!(
            "--config {}: rules from files are not supported by this version; without it every *.log of --log-dir is \
             rotated by the built-in rule",
            config.display()
        );
    }
    let log = match &args.log {
        Some(path) => Some(File::create(path).with_context(|| format!("failed to open --log {}", path.display()))?),
        None => None,
    };
    let absolute = |path| std::path::absolute(path).context("a path is empty");
    let options = Options {
        force: args.force,
        dry_run: args.dry_run,
        verbose: args.verbose || args.dry_run,
        lock: args.lock,
        ..Options::new(absolute(&args.log_dir)?, absolute(&args.state)?, now, zone)
    };
    Ok((options, log))
}

fn both(copy: &mut Option<File>, say: &mut dyn FnMut(&str), line: &str) {
    say(line);
    if let Some(file) = copy
        && let Err(error) = writeln!(file, "{line}")
    {
        say(&format!("--log: {error}"));
        *copy = None; // said once
    }
}

fn conclude(outcome: Result<Report>, locked: u8, say: &mut dyn FnMut(&str)) -> u8 {
    match outcome {
        Ok(report) => {
            if report.rotated.is_empty() && report.failed.is_empty() {
                let plural = if report.looked_at == 1 { "" } else { "s" };
                say(&format!("nothing to rotate: {} log{plural} looked at", report.looked_at));
            }
            report.exit_code()
        }
        Err(error) => {
            say(&format!("{error:#}"));
            if error.is::<Locked>() { locked } else { 1 }
        }
    }
}

fn write_document(path: &Path, outcome: &Result<Report>) -> Result<()> {
    let (none, error) = (Report::default(), outcome.as_ref().err().map(|error| format!("{error:#}")));
    let document = Document { report: outcome.as_ref().unwrap_or(&none), error };
    let text = serde_json::to_vec(&document).context("failed to write the result document")?;
    crate::journal::replace(path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_job_says_what_it_did_and_leaves_a_document() {
        let dir = tempfile::tempdir().unwrap();
        let (logs, result) = (dir.path().join("logs"), dir.path().join("result.json"));
        std::fs::create_dir(&logs).unwrap();
        std::fs::write(logs.join("autodeploy.log"), "a line of a log\n".repeat(80_000)).unwrap();
        let now = "2026-03-29T00:00:00Z".parse().unwrap();
        let mut options = Options::new(&logs, dir.path().join("state"), now, Tz::UTC);
        let (code, said) = told(|say| job(&options, Some(&result), say));
        assert_eq!((code, &said[..]), (0, &["nothing to rotate: 1 log looked at".to_owned()][..]));

        options.force = true;
        let (code, said) = told(|say| job(&options, Some(&result), say));
        assert_eq!((code, said.len()), (0, 1));
        let document: serde_json::Value = serde_json::from_slice(&std::fs::read(&result).unwrap()).unwrap();
        let one = &document["rotated"][0];
        assert_eq!((&one["archive"], &one["before"]), (&"autodeploy.log-20260329.gz".into(), &1_280_000.into()));
        let after = crate::builtin::rotate::report::bytes(one["after"].as_u64().unwrap());
        assert_eq!(said[0], format!("autodeploy.log: rotated to autodeploy.log-20260329.gz (1.3 MB → {after})"));

        let held = super::super::lock::take(&options.state_file, Lock::Fail).unwrap();
        let (code, _) = told(|say| job(&options, Some(&result), say));
        assert_eq!(code, 75);
        let document: serde_json::Value = serde_json::from_slice(&std::fs::read(&result).unwrap()).unwrap();
        assert!(document["error"].as_str().unwrap().contains("locked"), "{document}");
        drop(held);
    }

    fn told(call: impl FnOnce(&mut dyn FnMut(&str)) -> u8) -> (u8, Vec<String>) {
        let mut said = Vec::new();
        let code = call(&mut |line| said.push(line.to_owned()));
        (code, said)
    }
}
