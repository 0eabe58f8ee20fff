//! The stack's compose files: their order, and the legacy job files that they mount.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::conf_dir::absolute;
use super::yaml::{Node, Value};
use super::{expand, yaml};

/// Where the legacy scheduler read its jobs.
const LEGACY_FILE: &str = "/opt/crontab/config.yml";
const LEGACY_FOLDER: &str = "/scheduler-job-configs";

/// What one conf dir brings.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Brings {
    /// Its `docker-compose-extra.yml`.
    pub extra: Option<PathBuf>,
    /// Component → its `config/<component>/docker-compose-extra.yml`.
    pub overrides: BTreeMap<String, PathBuf>,
}

/// Orders the files: each dir's own, right after it what earlier dirs have for it, then what it has
/// for dirs that are loaded already. An override of a component that is not active is not used.
pub fn order(dirs: &[(PathBuf, Brings)]) -> Vec<(usize, PathBuf)> {
    let component = |dir: &Path| dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut files = Vec::new();
    for (i, (dir, brings)) in dirs.iter().enumerate() {
        files.extend(brings.extra.clone().map(|f| (i, f)));
        let own = component(dir);
        let first = !dirs[..i].iter().any(|(d, _)| component(d) == own);
        for (j, (_, earlier)) in dirs[..i].iter().enumerate().filter(|_| first) {
            files.extend(earlier.overrides.get(&own).cloned().map(|f| (j, f)));
        }
        for (name, file) in &brings.overrides {
            if dirs[..=i].iter().any(|(d, _)| component(d) == *name) {
                files.push((i, file.clone()));
            }
        }
    }
    files
}

/// The host paths, files or whole folders, that a compose file mounts where the legacy scheduler
/// reads jobs.
///
/// # Errors
/// When it is no YAML.
pub fn legacy_job_files(
    text: &str,
    compose_dir: &Path,
    lookup: expand::Lookup<'_>,
) -> Result<Vec<PathBuf>, yaml::YamlError> {
    let mut found = Vec::new();
    for document in yaml::parse(text)? {
        let Some(Value::Map(services)) = document.get("services").map(|s| &s.value) else { continue };
        for volume in services.iter().filter_map(|(_, s)| s.get("volumes")).flat_map(Node::items) {
            let Some((source, target)) = mount(volume) else { continue };
            let (source, target) = (expand::plain(&source, lookup).0, expand::plain(&target, lookup).0);
            let legacy = target == LEGACY_FILE || Path::new(&target).starts_with(LEGACY_FOLDER);
            // A volume's name is no path.
            if legacy && source.starts_with(['/', '.']) {
                found.push(absolute(compose_dir, source));
            }
        }
    }
    Ok(found)
}

/// The names of the services in a compose file; nothing where others may come from elsewhere, or
/// where it cannot be read.
pub fn services(text: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for document in yaml::parse(text).ok()? {
        if document.get("include").is_some() {
            return None;
        }
        if let Some(Value::Map(services)) = document.get("services").map(|s| &s.value) {
            names.extend(services.iter().map(|(name, _)| name.clone()));
        }
    }
    Some(names)
}

fn mount(volume: &Node) -> Option<(String, String)> {
    match &volume.value {
        Value::Text(text) => {
            let mut parts = split_mount(text).into_iter();
            Some((parts.next()?, parts.next()?))
        }
        Value::Map(_) => {
            let part = |key: &str| volume.get(key).and_then(Node::text).map(str::to_owned);
            Some((part("source")?, part("target")?))
        }
        _ => None,
    }
}

/// Splits `source:target:options`; a colon inside `${…}` separates nothing.
pub fn split_mount(text: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0_u32);
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match parts.last_mut() {
            Some(part) if c != ':' || depth > 0 => part.push(c),
            _ => parts.push(String::new()),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_follow_their_component() {
        let brings = |dir: &str, overrides: &[&str]| {
            let overrides = overrides.iter().map(|c| ((*c).to_owned(), format!("{dir}/config/{c}").into())).collect();
            (PathBuf::from(dir), Brings { extra: Some(format!("{dir}/extra").into()), overrides })
        };
        let dirs = [brings("/a", &["b", "c", "a"]), brings("/b", &[]), brings("/d", &["b"])];
        let files: Vec<String> = order(&dirs).into_iter().map(|(_, f)| f.display().to_string()).collect();
        assert_eq!(files, ["/a/extra", "/a/config/a", "/b/extra", "/a/config/b", "/d/extra", "/d/config/b"]);
    }

    #[test]
    fn services_as_far_as_they_are_known() {
        let names = |text| services(text);
        assert_eq!(names("services:\n  web: {}\n  db:\n    image: x\n").unwrap(), ["web", "db"]);
        assert_eq!(names("volumes: {}\n"), Some(vec![]));
        assert_eq!(names("include: [a.yml]\nservices: {web: {}}\n"), None);
        assert_eq!(names("services: [\n"), None);
    }

    #[test]
    fn job_files_by_their_mount() {
        let text = "services:\n  scheduler:\n    volumes:\n      - ./c/config.yml:/opt/crontab/config.yml:ro\n      - ${DIR:-/x}/j.yml:/scheduler-job-configs/j.yml\n      - data:/scheduler-job-configs/\n      - /w:/scheduler-job-configs\n      - /o:/scheduler-job-configs-old/x\n      - /v:/scheduler-job-configs/v.yml:ro}\n      - {type: bind, source: /y, target: /scheduler-job-configs/y.yml}\n      - /z:/z\n";
        let files = legacy_job_files(text, Path::new("/s"), &|_| None).unwrap();
        assert_eq!(files, ["/s/c/config.yml", "/x/j.yml", "/w", "/v", "/y"].map(PathBuf::from));
    }
}
