//! What the container of a built-in gets beyond its own needs.

use super::Problem;
use super::docker_args::{self, For};
use super::resolve::Context;
use crate::job::{Builtin, ContainerSpec};

/// Flags of `docker run` that a legacy stack added to the container of its autodeploy job.
const VARIABLE: &str = "AUTODEPLOY_PLATFORM_EXTRA_DOCKER_ARGS";

/// The container of a built-in as the variable of its legacy job wants it.
pub fn of(builtin: Builtin, context: &Context<'_>, problems: &mut Vec<Problem>) -> Option<Box<ContainerSpec>> {
    if builtin != Builtin::Autodeploy {
        return None;
    }
    let names = [VARIABLE.to_owned(), format!("BIRDHOUSE_{VARIABLE}")];
    let found = names.into_iter().find_map(|name| context.variable(&name).map(|text| (name, text)));
    let (name, text) = found.filter(|(_, text)| !text.trim().is_empty())?;
    let lookup = |name: &str| context.variable(name);
    let text = super::expand::shell_text(&text, &lookup).0;
    let mut parsed = docker_args::parse(&text, For::Run, &context.settings.compose_dir, &lookup);
    let at = |problem: Problem| problem.at_name(&name);
    let source = context.collected.values.get(&name).map_or("environment", |g| g.source.as_str());
    problems.extend(parsed.errors.iter().map(|error| at(Problem::error(source, error))));
    for path in &parsed.env_files {
        let message = format!("--env-file {path} is not read for a built-in; give each with --env");
        parsed.warnings.push(message);
    }
    let mut rest = parsed.spec.clone();
    rest.forget_extra();
    if rest != ContainerSpec::default() {
        parsed.warnings.push(
            "a built-in keeps its own privileges, user, limits and namespaces: of these flags it takes environment, \
             mounts, networks, name servers, hosts, labels and groups"
                .to_owned(),
        );
    }
    problems.extend(parsed.warnings.iter().map(|warning| at(Problem::warning(source, warning))));
    Some(Box::new(parsed.spec))
}
