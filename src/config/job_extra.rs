//! What the container of a built-in gets beyond its own needs.

use std::path::PathBuf;

use super::docker_args::{self, Flaw, For};
use super::resolve::Context;
use super::{Problem, Severity};
use crate::job::{Builtin, ContainerSpec, Mount, MountSource};

/// Flags of `docker run` that a legacy stack added to the container of its autodeploy job.
const VARIABLE: &str = "AUTODEPLOY_PLATFORM_EXTRA_DOCKER_ARGS";

/// What the container of a built-in gets beyond its own needs: what the variable of its legacy job
/// says, the folder that hooks of a `JupyterHub` component fill, and what the `dockerargs` of the
/// job that it takes over say.
pub fn of(
    builtin: Builtin,
    taken_over: Option<&str>,
    context: &Context<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Box<ContainerSpec>> {
    if builtin != Builtin::Autodeploy {
        return None;
    }
    let mut extra = arguments(context, problems).unwrap_or_default();
    if let Some(text) = taken_over {
        extra.add_extra(&of_script(text, context));
    }
    if let Some(path) = user_data(context) {
        let data = Mount::same_path(&path, false);
        extra.add_extra(&ContainerSpec { mounts: vec![data], optional: vec![path], ..ContainerSpec::default() });
    }
    (extra != ContainerSpec::default()).then(|| Box::new(extra))
}

/// The data of `JupyterHub` users, where that component is active, wherever it stands in the list.
fn user_data(context: &Context<'_>) -> Option<PathBuf> {
    let active = context.collected.conf_dirs.iter().any(|dir| dir.active && dir.path.ends_with("jupyterhub"));
    let path = context.variable("JUPYTERHUB_USER_DATA_DIR").filter(|_| active)?;
    path.starts_with('/').then(|| path.into())
}

/// What a legacy script's container had and the built-in's has not: mounts of places that it does not
/// know, and variables that the configuration does not set (those it reads anew at each deploy).
fn of_script(text: &str, context: &Context<'_>) -> ContainerSpec {
    let lookup = |name: &str| context.variable(name);
    let text = super::expand::shell_text(text, &lookup).0;
    let mut spec = docker_args::parse(&text, For::Run, &context.settings.compose_dir, &lookup).spec;
    let settings = context.settings;
    let known: Vec<&PathBuf> = settings
        .checkouts
        .iter()
        .chain([&settings.compose_dir, &settings.log_dir, &context.installation.socket])
        .chain(&settings.key_dir)
        .collect();
    spec.mounts.retain(|mount| {
        let socket = mount.target.ends_with("docker.sock");
        !socket && !known.iter().any(|path| mount.target.starts_with(path) || path.starts_with(&mount.target))
    });
    for mount in &mut spec.mounts {
        // It was there for a script that is not run any more: its absence stops no deploy.
        mount.create = false;
        if let MountSource::Bind(path) = &mount.source {
            spec.optional.push(path.clone());
        }
    }
    let own = |name: &str| name == "CODE_OWNERSHIP" || name.starts_with("AUTODEPLOY_");
    spec.env.0.retain(|name, _| !own(name) && context.variable(name).is_none());
    ContainerSpec { mounts: spec.mounts, optional: spec.optional, env: spec.env, ..ContainerSpec::default() }
}

fn arguments(context: &Context<'_>, problems: &mut Vec<Problem>) -> Option<ContainerSpec> {
    let names = [VARIABLE.to_owned(), format!("BIRDHOUSE_{VARIABLE}")];
    let found = names.into_iter().find_map(|name| context.variable(&name).map(|text| (name, text)));
    let (name, text) = found.filter(|(_, text)| !text.trim().is_empty())?;
    let lookup = |name: &str| context.variable(name);
    let text = super::expand::shell_text(&text, &lookup).0;
    let mut parsed = docker_args::parse(&text, For::Run, &context.settings.compose_dir, &lookup);
    let at = |problem: Problem| problem.at_name(&name);
    let source = context.collected.values.get(&name).map_or("environment", |g| g.source.as_str());
    problems.extend(parsed.errors.drain(..).map(|flaw| at(Problem::wrong(source, flaw.wrong))));
    for path in &parsed.env_files {
        let message = format!("--env-file {path} is not read for a built-in; give each with --env");
        parsed.warnings.push(Flaw::new(path, message));
    }
    let mut rest = parsed.spec.clone();
    rest.forget_extra();
    if rest != ContainerSpec::default() {
        let message = "a built-in keeps its own privileges, user, limits and namespaces: of these flags it takes \
                       environment, mounts, networks, name servers, hosts, labels and groups";
        parsed.warnings.push(Flaw::new("", message));
    }
    let warning = |flaw: Flaw| Problem { severity: Severity::Warning, ..Problem::wrong(source, flaw.wrong) };
    problems.extend(parsed.warnings.drain(..).map(|flaw| at(warning(flaw))));
    let mut extra = ContainerSpec::default();
    extra.add_extra(&parsed.spec);
    Some(extra)
}
