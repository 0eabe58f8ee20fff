//! From what was collected to a configuration. Touches nothing outside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::probe::{Collected, Text};
use super::raw::RawSettings;
use super::setting::SETTINGS;
use super::validate::{Written, validate};
use super::{
    HookKind, Installation, Loaded, Problem, Settings, Sourced, Templates, aliases, docker_logins, expand, job_list,
    names, secret_file, template, watched, yaml,
};
use crate::secret::{Environment, Secret};

/// What jobs are made from.
pub struct Context<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// Where Tender is installed.
    pub installation: &'a Installation,
    /// Variables and files.
    pub collected: &'a Collected,
    /// All variables, old and new names alike.
    pub environment: &'a Environment,
}

impl Context<'_> {
    /// The value of a variable.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.environment.0.get(name).cloned()
    }
}

/// Makes a configuration; everything that is wrong is among its problems, and the rest is used.
pub fn resolve(mut collected: Collected, installation: &Installation) -> Loaded {
    let mut problems = std::mem::take(&mut collected.problems);
    // Files and compose files use either name of a variable.
    aliases::map(&mut collected, &mut problems);
    let (mut pairs, mut written) = (Vec::new(), Written::new());
    let environment = collected.values.iter().map(|(name, g)| (name.clone(), g.value.lossy())).collect();
    let environment = Environment(environment);
    for setting in SETTINGS {
        let Some((name, chosen)) = aliases::choose(&collected, setting.name, setting.old, &mut problems) else {
            continue;
        };
        if let Text::Bytes(_) = chosen.value {
            problems.push(Problem::error(&chosen.source, "is not UTF-8").at_name(name));
            continue;
        }
        pairs.push((setting.name.to_owned(), chosen.value.lossy()));
        written.insert(setting.name, (name, chosen.source.clone()));
    }
    for (name, gathered) in &collected.values {
        let is_setting = SETTINGS.iter().any(|s| s.name == name || s.old == Some(name.as_str()));
        if matches!(gathered.value, Text::Bytes(_)) && !is_setting {
            problems.push(
                Problem::warning(
                    &gathered.source,
                    "is not UTF-8; whoever uses it gets `\u{fffd}` in place of what is not",
                )
                .at_name(name)
                .hint("save the file as UTF-8"),
            );
        }
    }
    names::misspelt(&collected, &mut problems);
    names::later(&collected, &mut problems);
    names::samples(&collected, &mut problems);
    docker_logins::check(&collected, &mut problems);
    let raw = RawSettings::from_pairs(pairs).unwrap_or_else(|error| {
        problems.push(Problem::error("environment", error.to_string()));
        RawSettings::default()
    });
    let project = project(&collected, &environment);
    let settings = validate(raw, &written, &collected, &project, &mut problems);
    let context = Context { settings: &settings, installation, collected: &collected, environment: &environment };
    let jobs = job_list::jobs(&context, &mut problems);
    let values = values(&collected, &written, &settings);
    let paths = paths(&collected, &settings);
    let mut files: Vec<PathBuf> = collected.files.keys().cloned().collect();
    files.push(collected.env_local.clone());
    files.extend(collected.sourced.iter().cloned());
    files.extend(collected.existing.iter().filter(|p| p.ends_with("default.env")).cloned());
    let includes = collected.hooks.iter().filter(|hook| hook.kind == HookKind::Include);
    files.extend(includes.map(|hook| hook.path.clone()));
    files.extend(secret_file::paths(&collected));
    files.extend(collected.logins.as_ref().map(|logins| logins.path.clone()));
    files.sort();
    files.dedup();
    let deploy_files = collected
        .files
        .iter()
        .filter(|(path, _)| path.ends_with("deploy.yml"))
        .map(|(path, text)| (path.clone(), text.lossy()))
        .collect();
    let command = settings.compose_command.as_ref().map(|command| collected.compose_dir.join(command));
    let wrapper = command.or_else(|| collected.wrapper.clone());
    let templates = match settings.templates {
        Templates::Skip => Vec::new(),
        // Rendering happens at every deploy: there is nothing to force.
        Templates::Render | Templates::Force => template::rendered(&collected),
    };
    let unset = template::unset(&collected);
    problems.extend(template::malformed(&collected));
    problems.extend(unset.iter().cloned());
    problems.dedup();
    problems.iter_mut().for_each(|problem| problem.locate(&collected.values));
    let mut environment = environment;
    environment.0.insert("COMPOSE_PROJECT_NAME".to_owned(), settings.project.clone());
    let mut loaded = Loaded {
        absent: watched::absent(&collected),
        settings,
        logins: collected.logins.map(|logins| Secret::new(logins.text.lossy())),
        jobs,
        problems,
        conf_dirs: collected.conf_dirs,
        compose_files: collected.compose_files,
        environment,
        values,
        files,
        deploy_files,
        wrapper,
        templates,
        unset,
        hooks: collected.hooks,
        paths,
        complete: collected.complete,
    };
    let masking = loaded.masking();
    loaded.problems.iter_mut().for_each(|problem| problem.mask(&masking));
    loaded
}

/// All variables with their sources, and the defaults of the settings that nobody sets.
fn values(collected: &Collected, written: &Written, settings: &Settings) -> BTreeMap<String, Sourced> {
    let mut values: BTreeMap<String, Sourced> = collected
        .values
        .iter()
        .map(|(name, g)| {
            let sourced = Sourced {
                value: g.value.lossy(),
                source: g.source.clone(),
                written: g.written.clone(),
                frozen: g.frozen.clone(),
                mapped: g.mapped,
            };
            (name.clone(), sourced)
        })
        .collect();
    for setting in SETTINGS.iter().filter(|s| !written.contains_key(s.name)) {
        let (value, source) = if setting.name == "COMPOSE_PROJECT_NAME" {
            (settings.project.clone(), "derived")
        } else {
            (setting.default_in(collected).to_owned(), "default")
        };
        values.insert(
            setting.name.to_owned(),
            Sourced { value, source: source.to_owned(), written: None, frozen: None, mapped: false },
        );
    }
    values
}

/// The compose project as compose itself finds it where no variable names it.
fn project(collected: &Collected, environment: &Environment) -> String {
    let dir = &collected.compose_dir;
    let text = |name: &str| collected.files.get(&dir.join(name)).map(Text::lossy).unwrap_or_default();
    let lookup = |name: &str| environment.0.get(name).cloned();
    let dotenv = text(".env").lines().find_map(|line| {
        let value = line.trim().strip_prefix("COMPOSE_PROJECT_NAME=")?.trim().trim_matches(['"', '\'']);
        (!value.is_empty()).then(|| value.to_owned())
    });
    let named = || {
        let documents = yaml::parse(&text("docker-compose.yml")).ok()?;
        let name = documents.first()?.get("name")?.text().map(|n| expand::plain(n, &lookup).0)?;
        (!name.is_empty()).then_some(name)
    };
    let folder = || {
        let name = dir.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
        name.trim_start_matches(['-', '_']).to_owned()
    };
    let found = dotenv.or_else(named).unwrap_or_else(folder);
    if found.is_empty() { "stack".to_owned() } else { found }
}

/// The host paths that a container needs for reading all of this, none below another. Keys and
/// logins are no part of it.
fn paths(collected: &Collected, settings: &Settings) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = vec![collected.compose_dir.clone()];
    let existing = |path: &&PathBuf| collected.existing.contains(*path);
    paths.extend(collected.checkout.iter().chain(&collected.private).cloned());
    paths.extend(settings.checkouts.iter().filter(existing).cloned());
    paths.extend(settings.probe_dirs.iter().filter(existing).cloned());
    paths.extend(collected.conf_dirs.iter().filter(|d| d.active).map(|d| d.path.clone()));
    let parents = [Some(&collected.env_local), collected.env_local_target.as_ref()];
    paths.extend(parents.into_iter().flatten().filter_map(|p| p.parent()).map(Path::to_owned));
    paths.sort();
    let mut kept: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !kept.iter().any(|k| path.starts_with(k)) {
            kept.push(path);
        }
    }
    kept
}
