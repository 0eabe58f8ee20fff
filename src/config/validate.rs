//! From texts to settings: every bad value is reported and replaced by its default.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono_tz::Tz;

use super::conf_dir::{self, Entry, absolute};
use super::probe::Collected;
use super::raw::RawSettings;
use super::setting::Setting;
use super::wrong::{Wrong, choice};
use super::{HostKeys, LegacyJobs, LogFormat, Problem, Settings, Snapshot, Templates, job, proxies, values, words};
use crate::schedule::Schedule;

/// Where each setting was written: its name there and its source.
pub type Written = BTreeMap<&'static str, (&'static str, String)>;

/// Makes the settings. `project` is the compose project where no variable names it.
pub fn validate(
    raw: RawSettings,
    written: &Written,
    collected: &Collected,
    project: &str,
    problems: &mut Vec<Problem>,
) -> Settings {
    let proxies = proxies::read(&raw, written, problems);
    let mut check = Check { written, collected, problems };
    let dir = &collected.compose_dir;
    let path = |text: &str| -> Result<PathBuf, String> {
        if text.starts_with('/') {
            Ok(absolute(Path::new("/"), text))
        } else {
            Err("expected an absolute path".to_owned())
        }
    };
    let below_dir = |text: &str| Ok::<_, Wrong>(absolute(dir, text));
    let whole = |text: &str| {
        text.parse::<u64>().ok().filter(|n| *n > 0).ok_or_else(|| "expected a number above zero".to_owned())
    };
    let mut checkouts = vec![match &collected.checkout {
        Some(top) => top.clone(),
        None => {
            check.problems.push(
                Problem::warning(dir.display().to_string(), "lies in no git checkout and cannot be deployed")
                    .hint("clone the stack's repository, with its .git folder"),
            );
            dir.clone()
        }
    }];
    for repo in check.folders("BIRDHOUSE_AUTODEPLOY_EXTRA_REPOS", raw.birdhouse_autodeploy_extra_repos, dir) {
        if !collected.existing.contains(&repo) {
            check.warn("BIRDHOUSE_AUTODEPLOY_EXTRA_REPOS", &repo.display().to_string(), "the checkout does not exist");
        }
        if !checkouts.contains(&repo) {
            checkouts.push(repo);
        }
    }
    // Read elsewhere, by name.
    drop((
        raw.birdhouse_extra_conf_dirs,
        raw.birdhouse_default_conf_dirs,
        raw.birdhouse_autodeploy_extra_scheduler_jobs,
    ));
    check.truth("BIRDHOUSE_BACKWARD_COMPATIBLE_ALLOWED", raw.birdhouse_backward_compatible_allowed);
    Settings {
        compose_dir: dir.clone(),
        env_local: collected.env_local.clone(),
        project: check
            .value("COMPOSE_PROJECT_NAME", raw.compose_project_name, project_name)
            .unwrap_or_else(|| project.to_owned()),
        checkouts,
        timezone: check.value("SCHEDULER_TIMEZONE", raw.scheduler_timezone, job::timezone).unwrap_or(Tz::UTC),
        state_dir: check.value("SCHEDULER_STATE_DIR", raw.scheduler_state_dir, path).unwrap_or_default(),
        log_dir: check.value("BIRDHOUSE_LOG_DIR", raw.birdhouse_log_dir, path).unwrap_or_default(),
        log_format: check
            .value("SCHEDULER_LOG_FORMAT", raw.scheduler_log_format, |text| {
                choice(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
            })
            .unwrap_or_default(),
        log_level: check.value("SCHEDULER_LOG_LEVEL", raw.scheduler_log_level, log_level).unwrap_or_default(),
        max_running: check
            .value("SCHEDULER_MAX_RUNNING", raw.scheduler_max_running, |t| {
                usize::try_from(whole(t)?).map_err(|_| "too large".to_owned())
            })
            .unwrap_or(1),
        grace: check.value("SCHEDULER_GRACE", raw.scheduler_grace, values::duration).unwrap_or_default(),
        max_output: check.value("SCHEDULER_MAX_OUTPUT", raw.scheduler_max_output, values::bytes).unwrap_or_default(),
        keep_runs: check
            .value("SCHEDULER_KEEP_RUNS", raw.scheduler_keep_runs, |t| {
                usize::try_from(whole(t)?).map_err(|_| "too large".to_owned())
            })
            .unwrap_or(1),
        keep_for: check.value("SCHEDULER_KEEP_FOR", raw.scheduler_keep_for, values::duration).unwrap_or_default(),
        keep_output: check.value("SCHEDULER_KEEP_OUTPUT", raw.scheduler_keep_output, values::bytes).unwrap_or_default(),
        start_delay: check
            .value("SCHEDULER_START_DELAY", raw.scheduler_start_delay, values::duration)
            .unwrap_or_default(),
        image: own_image(&mut check, raw.scheduler_image),
        platform_frequency: check
            .value("BIRDHOUSE_AUTODEPLOY_PLATFORM_FREQUENCY", raw.birdhouse_autodeploy_platform_frequency, |text| {
                let pattern = text.trim().trim_start_matches('#').trim();
                match Schedule::parse(pattern, Tz::UTC, "autodeploy") {
                    Err(error) if pattern == text.trim() => Err(error),
                    _ => Ok(text.to_owned()),
                }
            })
            .unwrap_or_default(),
        key_dir: check.value(
            "BIRDHOUSE_AUTODEPLOY_DEPLOY_KEY_ROOT_DIR",
            raw.birdhouse_autodeploy_deploy_key_root_dir.filter(|dir| !is_shipped_home(dir, written, collected)),
            path,
        ),
        host_keys: check
            .value("BIRDHOUSE_AUTODEPLOY_HOST_KEYS", raw.birdhouse_autodeploy_host_keys, |text| {
                choice(text, &[("accept-new", HostKeys::AcceptNew), ("strict", HostKeys::Strict)])
            })
            .unwrap_or_default(),
        code_ownership: check.value(
            "BIRDHOUSE_AUTODEPLOY_CODE_OWNERSHIP",
            raw.birdhouse_autodeploy_code_ownership,
            |text| {
                let ids = text.split_once(':').and_then(|(u, g)| Some((u.parse().ok()?, g.parse().ok()?)));
                ids.ok_or_else(|| "expected uid:gid in numbers, such as 1000:1000".to_owned())
            },
        ),
        snapshot: check
            .value("BIRDHOUSE_AUTODEPLOY_SNAPSHOT", raw.birdhouse_autodeploy_snapshot, |text| {
                choice(text, &[("all", Snapshot::All), ("available", Snapshot::Available)])
            })
            .unwrap_or_default(),
        compose_command: check.value(
            "BIRDHOUSE_AUTODEPLOY_COMPOSE_COMMAND",
            raw.birdhouse_autodeploy_compose_command,
            below_dir,
        ),
        autodeploy_image: raw.scheduler_job_autodeploy_image,
        up_options: check
            .value("BIRDHOUSE_COMPOSE_UP_EXTRA_OPTS", raw.birdhouse_compose_up_extra_opts, words::words)
            .unwrap_or_default(),
        gate_soak: check.value("SCHEDULER_GATE_SOAK", raw.scheduler_gate_soak, values::duration).unwrap_or_default(),
        gate_timeout: check
            .value("SCHEDULER_GATE_TIMEOUT", raw.scheduler_gate_timeout, values::duration)
            .unwrap_or_default(),
        min_free: check.value("SCHEDULER_MIN_FREE", raw.scheduler_min_free, values::bytes).unwrap_or_default(),
        docker_config: check.value("SCHEDULER_DOCKER_CONFIG", raw.scheduler_docker_config, path),
        docker_host: check.value("DOCKER_HOST", raw.docker_host, |text| {
            let known = ["unix://", "tcp://", "http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
            if known { Ok(text.to_owned()) } else { Err("expected unix:///path or tcp://host:port".to_owned()) }
        }),
        probe_dirs: check.folders("SCHEDULER_PROBE_DIRS", raw.scheduler_probe_dirs, dir),
        pids_limit: check
            .value("SCHEDULER_PIDS_LIMIT", raw.scheduler_pids_limit, |t| {
                i64::try_from(whole(t)?).map_err(|_| "too large".to_owned())
            })
            .unwrap_or(-1),
        job_hardened: check.truth("SCHEDULER_JOB_HARDENED", raw.scheduler_job_hardened),
        legacy_jobs: check
            .value("SCHEDULER_LEGACY_JOBS", raw.scheduler_legacy_jobs, |text| {
                choice(text, &[("take-over", LegacyJobs::TakeOver), ("keep", LegacyJobs::Keep)])
            })
            .unwrap_or_default(),
        host_jobs: check.truth("SCHEDULER_HOST_JOBS", raw.scheduler_host_jobs),
        job_proxy: check.truth("SCHEDULER_JOB_PROXY", raw.scheduler_job_proxy),
        revive: check.truth("SCHEDULER_REVIVE", raw.scheduler_revive),
        templates: templates(&mut check, raw.birdhouse_compose_template_skip, raw.birdhouse_compose_template_force),
        poll_jitter: check
            .value("SCHEDULER_POLL_JITTER", raw.scheduler_poll_jitter, values::duration)
            .unwrap_or_default(),
        proxies,
        ca_file: check.value("SCHEDULER_CA_FILE", raw.scheduler_ca_file, |text| {
            let file = path(text)?;
            match collected.files.get(&file).map(|text| text.lossy().contains("-----BEGIN CERTIFICATE-----")) {
                Some(true) => Ok(file),
                Some(false) => Err("holds no certificate in PEM form".to_owned()),
                None => Err("there is no such file".to_owned()),
            }
        }),
        config_poll: check
            .value("SCHEDULER_CONFIG_POLL", raw.scheduler_config_poll, values::duration)
            .filter(|poll| !poll.is_zero()),
    }
}

fn templates(check: &mut Check<'_>, skip: Option<String>, force: Option<String>) -> Templates {
    let skips = check.truth("BIRDHOUSE_COMPOSE_TEMPLATE_SKIP", skip);
    let forces = check.truth("BIRDHOUSE_COMPOSE_TEMPLATE_FORCE", force);
    match (skips, forces) {
        (true, true) => {
            check.warn(
                "BIRDHOUSE_COMPOSE_TEMPLATE_FORCE",
                "true",
                "has no effect beside BIRDHOUSE_COMPOSE_TEMPLATE_SKIP",
            );
            Templates::Skip
        }
        (true, false) => Templates::Skip,
        (false, true) => Templates::Force,
        (false, false) => Templates::Render,
    }
}

struct Check<'a> {
    written: &'a Written,
    collected: &'a Collected,
    problems: &'a mut Vec<Problem>,
}

impl Check<'_> {
    /// The value, or the default of the table where it is absent or bad.
    fn value<T, E: Into<Wrong>>(
        &mut self,
        name: &str,
        raw: Option<String>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let default = Setting::find(name).map(|s| s.default_in(self.collected)).filter(|d| !d.is_empty());
        if let Some(text) = raw {
            match parse(text.trim()) {
                Ok(value) => return Some(value),
                Err(wrong) => {
                    let wrong = wrong.into();
                    let mended = default.map_or("it counts as not set until it is mended".to_owned(), |default| {
                        format!("the default {default} holds until it is mended")
                    });
                    let (key, source) = self.origin(name);
                    self.problems.push(Problem::wrong(source, wrong).at(&key, &text).note(mended));
                }
            }
        }
        default.and_then(|text| parse(text).ok())
    }

    fn truth(&mut self, name: &str, raw: Option<String>) -> bool {
        let parse = |text: &str| values::truth(text).ok_or_else(|| "expected true or false".to_owned());
        self.value(name, raw, parse).unwrap_or_default()
    }

    fn folders(&mut self, name: &str, raw: Option<String>, base: &Path) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        for entry in conf_dir::entries(&raw.unwrap_or_default()) {
            let Entry::Path(path) = entry else { continue };
            let path = absolute(base, path);
            if !folders.contains(&path) {
                folders.push(path);
            }
        }
        if name == "SCHEDULER_PROBE_DIRS" && folders.iter().any(|f| f == Path::new("/")) {
            self.warn(name, "/", "lets configuration files read everything on the host");
        }
        folders
    }

    fn warn(&mut self, name: &str, value: &str, message: &str) {
        let (key, source) = self.origin(name);
        self.problems.push(Problem::warning(source, message).at(&key, value));
    }

    fn origin(&self, name: &str) -> (String, String) {
        let (key, source) =
            self.written.get(name).map_or((name, "environment"), |(key, source)| (*key, source.as_str()));
        (key.to_owned(), source.to_owned())
    }
}

/// Legacy stacks ship `$HOME/.ssh` as the folder of keys. Whose home that is on the host, nobody knows
/// where this is read.
fn is_shipped_home(dir: &str, written: &Written, collected: &Collected) -> bool {
    let source = written.get("BIRDHOUSE_AUTODEPLOY_DEPLOY_KEY_ROOT_DIR").map(|(_, source)| Path::new(source));
    let shipped = source.is_some_and(|s| s != collected.env_local && s != Path::new("environment"));
    let home = collected.values.get("HOME").map(|g| g.value.lossy()).unwrap_or_default();
    shipped && absolute(Path::new("/"), dir) == absolute(Path::new("/"), format!("{home}/.ssh"))
}

/// What compose takes as the name of a project.
fn project_name(text: &str) -> Result<String, String> {
    let good = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if good {
        Ok(text.to_owned())
    } else {
        Err("expected lower-case letters, digits, dashes and underscores, a letter or digit first".to_owned())
    }
}

/// A level, or `target=level` in a list separated by commas.
fn log_level(text: &str) -> Result<String, Wrong> {
    let levels = ["error", "warn", "info", "debug", "trace", "off"].map(|level| (level, ()));
    for part in text.split(',') {
        choice(&part.rsplit('=').next().unwrap_or(part).trim().to_ascii_lowercase(), &levels)?;
    }
    Ok(text.to_owned())
}

/// A stack may still set the image of the legacy scheduler, which knows no built-in job.
fn own_image(check: &mut Check<'_>, raw: Option<String>) -> String {
    if let Some(image) = raw.as_deref().filter(|image| image.starts_with("pavics/crontab")) {
        check.warn("SCHEDULER_IMAGE", image, "is the image of the legacy scheduler and is not used");
    }
    let raw = raw.filter(|image| !image.starts_with("pavics/crontab"));
    check.value("SCHEDULER_IMAGE", raw, |text| Ok::<_, Wrong>(text.to_owned())).unwrap_or_default()
}
