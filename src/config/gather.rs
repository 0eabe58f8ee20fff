//! The texts of the files that matter, once the variables are known.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::compose_files::{self, Brings};
use super::conf_dir::{self, Entry, absolute};
use super::evaluate::Evaluated;
use super::excerpt::Excerpt;
use super::probe::{Collected, JobFile, ProbeRequest, Text};
use super::setting::Setting;
use super::{Origin, Problem, aliases, dir_files, docker_logins, env_file, secret_file};

/// A configuration file larger than this is a mistake.
const FILE_LIMIT: u64 = 4 << 20;

/// Gathers everything that the variables name.
pub fn gather(request: &ProbeRequest, evaluated: Evaluated) -> Collected {
    let dir = &request.compose_dir;
    let mut collected = Collected {
        compose_dir: dir.clone(),
        env_local: request.env_local.clone(),
        env_local_target: target(&request.env_local),
        values: evaluated.values,
        problems: evaluated.problems,
        complete: evaluated.complete,
        conf_dirs: evaluated.conf_dirs,
        sourced: evaluated.sourced,
        listed: evaluated.listed,
        ..Collected::default()
    };
    for needed in [dir.join("docker-compose.yml"), request.env_local.clone()] {
        if !needed.is_file() {
            collected.missing.push(needed);
        }
    }
    collected.checkout = checkout(dir);
    collected.private = collected.env_local_target.as_deref().and_then(checkout);
    collected.wrapper = ["birdhouse-compose.sh", "pavics-compose.sh"]
        .iter()
        .map(|name| dir.join(name))
        .find(|path| dir_files::is_executable(path));
    look_at_named_paths(&mut collected);
    secret_file::gather(&mut collected);
    docker_logins::gather(&mut collected);
    read_compose_files(&mut collected);
    env_file::gather(&mut collected);
    dir_files::gather(&mut collected);
    collected
}

/// More links than this the kernel does not follow either.
const HOPS: usize = 40;

/// Where a symlink leads, by way of others; where it is not there, the first place that is missing.
fn target(path: &Path) -> Option<PathBuf> {
    let hop = |from: &Path| {
        let link = fs::read_link(from).ok()?;
        let parent = from.parent().unwrap_or(from);
        // A `..` in it is seen from where the folder really is.
        Some(absolute(&parent.canonicalize().unwrap_or_else(|_| parent.to_owned()), link))
    };
    let mut at = hop(path)?;
    if let Ok(end) = path.canonicalize() {
        return Some(end);
    }
    for _ in 0..HOPS {
        let Some(next) = hop(&at) else { break };
        at = next;
    }
    Some(at)
}

/// The toplevel of the checkout around a path.
fn checkout(path: &Path) -> Option<PathBuf> {
    path.ancestors().find(|above| above.join(".git").exists()).map(Path::to_owned)
}

fn look_at_named_paths(collected: &mut Collected) {
    let mut named: BTreeSet<PathBuf> = collected
        .conf_dirs
        .iter()
        .filter(|d| d.reason.as_deref() != Some("commented out"))
        .map(|d| d.path.clone())
        .collect();
    named.extend(collected.env_local_target.clone());
    for list in
        ["BIRDHOUSE_AUTODEPLOY_EXTRA_REPOS", "SCHEDULER_PROBE_DIRS", "SCHEDULER_CA_FILE", "SCHEDULER_DOCKER_CONFIG"]
    {
        named.extend(paths_of(collected, list));
    }
    for path in named {
        if path.exists() {
            collected.existing.insert(path);
        } else {
            collected.unseen.push(path);
        }
    }
}

fn paths_of(collected: &Collected, list: &str) -> Vec<PathBuf> {
    let Some(setting) = Setting::find(list) else { return Vec::new() };
    let Some((_, chosen)) = aliases::choose(collected, setting.name, setting.old, &mut Vec::new()) else {
        return Vec::new();
    };
    let entries = conf_dir::entries(&chosen.value.lossy()).into_iter();
    entries
        .filter_map(|e| match e {
            Entry::Path(path) => Some(absolute(&collected.compose_dir, path)),
            Entry::Commented(_) => None,
        })
        .collect()
}

fn read_compose_files(collected: &mut Collected) {
    let dir = collected.compose_dir.clone();
    let dirs: Vec<(PathBuf, Brings)> =
        collected.conf_dirs.iter().filter(|d| d.active).map(|d| (d.path.clone(), brings(&d.path))).collect();
    let main: Vec<PathBuf> = ["docker-compose.yml", "docker-compose.override.yml"]
        .iter()
        .map(|name| dir.join(name))
        .filter(|path| path.is_file())
        .collect();
    let ordered = compose_files::order(&dirs);
    for authorities in paths_of(collected, "SCHEDULER_CA_FILE") {
        read(collected, &authorities, true);
    }
    for name in ["default.env", ".env"] {
        read(collected, &dir.join(name), name == ".env");
    }
    for checkout in
        collected.checkout.iter().cloned().chain(paths_of(collected, "AUTODEPLOY_EXTRA_REPOS")).collect::<Vec<_>>()
    {
        read(collected, &checkout.join("deploy.yml"), true);
    }
    for file in &main {
        read(collected, file, true);
        find_legacy(collected, file);
    }
    collected.compose_files = main;
    for (i, (path, _)) in dirs.iter().enumerate() {
        for name in ["default.env", "deploy.yml"] {
            read(collected, &path.join(name), name == "deploy.yml");
        }
        for name in ["jobs.yml", "config/scheduler/jobs.yml"] {
            let file = path.join(name);
            if file.is_file() {
                read(collected, &file, true);
                collected.job_files.push(JobFile { path: file, legacy: false, template: false });
            }
        }
        for (_, file) in ordered.iter().filter(|(j, _)| *j == i) {
            read(collected, file, true);
            find_legacy(collected, file);
        }
    }
    collected.compose_files.extend(ordered.into_iter().map(|(_, file)| file));
}

/// What a conf dir has for compose.
fn brings(dir: &Path) -> Brings {
    let file = |path: PathBuf| Some(path).filter(|p| p.is_file());
    let mut overrides = BTreeMap::new();
    for entry in fs::read_dir(dir.join("config")).into_iter().flatten().flatten() {
        if let Some(path) = file(entry.path().join("docker-compose-extra.yml")) {
            overrides.insert(entry.file_name().to_string_lossy().into_owned(), path);
        }
    }
    Brings { extra: file(dir.join("docker-compose-extra.yml")), overrides }
}

/// The legacy job files that a compose file mounts.
fn find_legacy(collected: &mut Collected, compose_file: &Path) {
    let Some(text) = collected.files.get(compose_file).map(Text::lossy) else { return };
    let lookup = |name: &str| collected.values.get(name).map(|g| g.value.lossy());
    let skip =
        lookup("BIRDHOUSE_COMPOSE_TEMPLATE_SKIP").is_some_and(|value| super::values::truth(&value) == Some(true));
    match compose_files::legacy_job_files(&text, &collected.compose_dir, &lookup) {
        Ok(files) => {
            for path in files.into_iter().flat_map(job_files) {
                let mut template = path.clone().into_os_string();
                template.push(".template");
                let template = PathBuf::from(template);
                // Unless somebody else renders, the template is newer than what was made of it at the last deploy.
                let (path, is_template) =
                    if template.is_file() && !(skip && path.is_file()) { (template, true) } else { (path, false) };
                if collected.job_files.iter().any(|j| j.path == path) {
                    continue;
                }
                if !path.is_file() {
                    collected.problems.push(
                        Problem::warning(
                            compose_file.display().to_string(),
                            format!("mounts the job file {}, which does not exist", path.display()),
                        )
                        .hint("make it, or take the mount out"),
                    );
                    continue;
                }
                read(collected, &path, true);
                collected.job_files.push(JobFile { path, legacy: true, template: is_template });
            }
        }
        Err(error) => {
            let mut problem = Problem::error("", format!("is no YAML: {}", error.message));
            problem.origin = Origin::at(compose_file.display().to_string(), error.span.into());
            problem.excerpt = Excerpt::of(&text, error.span.start..error.span.end);
            collected.problems.push(problem);
        }
    }
}

/// The job files that a mounted path stands for: itself, or those of a folder in their order.
fn job_files(path: PathBuf) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path];
    }
    let inside = fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        inside.filter(|p| p.to_str().is_some() && p.extension().is_some_and(|e| e == "yml") && p.is_file()).collect();
    files.sort();
    files
}

/// Notes that a file was read; keeps its text where that is wanted.
pub fn read(collected: &mut Collected, path: &Path, keep: bool) {
    if !path.is_file() || collected.files.contains_key(path) {
        return;
    }
    if !keep {
        collected.existing.insert(path.to_owned());
        return;
    }
    let mut bytes = Vec::new();
    match fs::File::open(path).and_then(|f| f.take(FILE_LIMIT + 1).read_to_end(&mut bytes)) {
        Ok(n) if n as u64 > FILE_LIMIT => {
            collected.problems.push(Problem::error(path, "is larger than 4 MiB"));
        }
        Ok(_) => {
            collected.files.insert(path.to_owned(), Text::from(bytes));
        }
        Err(error) => {
            // It is there, so that what it says cannot count as nothing.
            collected.complete = false;
            collected.problems.push(Problem::error(path, format!("cannot be read: {error}")));
        }
    }
}
