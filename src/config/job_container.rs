//! Everything about a container but image and command.

use super::docker_args::{self, Flaw, For, Parsed};
use super::fields::{Fields, unexpected};
use super::job_command::words;
use super::masking::Masking;
use super::resolve::Context;
use super::wrong::Wrong;
use super::yaml::{Span, Value};
use super::{conf_dir, docker_values, env_file, values};
use crate::job::{ContainerSpec, Mount};
use crate::secret::Environment;

/// Memory limit of a hardened job that names none.
const HARDENED_MEMORY: i64 = 1 << 30;

/// Where secrets are mounted.
const SECRETS: &str = "/run/secrets";

/// Everything about a new container but image and command.
pub fn container(fields: &mut Fields<'_>, context: &Context<'_>) -> ContainerSpec {
    let mut spec = ContainerSpec::default();
    let api_socket = docker_arguments(fields, context, For::Run, &mut spec);
    environment(fields, context, &mut spec.env);
    for (text, place) in fields.list("volumes") {
        match docker_values::volume(&text, &context.settings.compose_dir) {
            Ok(Some(mount)) => spec.mounts.push(mount),
            Ok(None) => fields.warning("volumes", place, "an entry mounts nothing and is left out"),
            Err(message) => fields.bad("volumes", place, &text, message, None),
        }
    }
    for (text, place) in fields.list("ports") {
        match docker_values::port(&text) {
            Ok(port) => spec.ports.push(port),
            Err(message) => fields.bad("ports", place, &text, message, None),
        }
    }
    for (text, place) in fields.list("expose") {
        match docker_values::expose(&text) {
            Ok(port) => spec.expose.push(port),
            Err(message) => fields.bad("expose", place, &text, message, None),
        }
    }
    secrets(fields, context, &mut spec);
    spec.networks.extend(fields.list("network").into_iter().map(|n| n.0));
    for (name, place) in fields.list("cap_add") {
        if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic() || c == '_') {
            spec.cap_add.push(name.to_ascii_uppercase());
        } else {
            fields.bad("cap_add", place, &name, "expected a capability such as NET_ADMIN", None);
        }
    }
    spec.entrypoint = entrypoint(fields).or(spec.entrypoint);
    spec.user = fields.parsed("user", filled).or(spec.user);
    spec.workdir = fields.parsed("workdir", folder).or(spec.workdir);
    spec.memory = fields.parsed("memory", memory).or(spec.memory);
    spec.nano_cpus = fields.parsed("cpus", values::nano_cpus).or(spec.nano_cpus);
    spec.pids = fields.parsed("pids", pids).or(spec.pids).or(Some(context.settings.pids_limit));
    let read_only = fields.truth("read_only");
    spec.read_only = read_only.unwrap_or(spec.read_only);
    spec.privileged = fields.truth("privileged").unwrap_or(spec.privileged);
    spec.pull = fields.parsed("pull", docker_args::pull).unwrap_or(spec.pull);
    let said = fields.truth("hardened");
    if said.unwrap_or(context.settings.job_hardened) {
        harden(fields, &mut spec, said.is_some());
        spec.read_only = read_only.unwrap_or(true);
    }
    if fields.truth("socket") == Some(true) || api_socket {
        add_mount(&mut spec, socket(context));
    }
    spec
}

/// `entrypoint`; an empty text or list resets it.
pub fn entrypoint(fields: &mut Fields<'_>) -> Option<Vec<String>> {
    let node = fields.take("entrypoint")?;
    if node.text() == Some("") { Some(Vec::new()) } else { words(fields, "entrypoint", node) }
}

/// A text that is not empty.
///
/// # Errors
/// Says what was expected.
pub fn filled(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// An absolute path.
///
/// # Errors
/// Says what was expected.
pub fn folder(text: &str) -> Result<String, String> {
    if text.starts_with('/') { Ok(text.to_owned()) } else { Err("expected an absolute path".to_owned()) }
}

fn memory(text: &str) -> Result<i64, String> {
    let size = i64::try_from(values::bytes(text)?).map_err(|_| "too large".to_owned())?;
    // The engine refuses less.
    if size < 6 << 20 { Err("expected at least 6M".to_owned()) } else { Ok(size) }
}

fn pids(text: &str) -> Result<i64, String> {
    let limit = text.trim().parse().ok().filter(|n| *n > 0 || *n == -1);
    limit.ok_or_else(|| "expected a number above zero, or -1 for no limit".to_owned())
}

/// `secrets`: paths, or names with paths. They are mounted; nobody reads them here.
fn secrets(fields: &mut Fields<'_>, context: &Context<'_>, spec: &mut ContainerSpec) {
    let Some(node) = fields.take("secrets") else { return };
    let named = match &node.value {
        Value::Map(entries) => entries.iter().map(|(name, node)| (Some(name.clone()), node)).collect(),
        _ => node.items().iter().map(|node| (None, node)).collect::<Vec<_>>(),
    };
    for (name, node) in named {
        let Some(text) = node.text() else {
            fields.error("secrets", node.mark(), unexpected("a path", node));
            continue;
        };
        let path = fields.expanded("secrets", node.place, text);
        let path = conf_dir::absolute(&context.settings.compose_dir, path);
        let own = || path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.or_else(own).unwrap_or_default();
        if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
            let message = format!("{text:?}: expected the path of a file, under a plain name");
            fields.error("secrets", node.place, message);
            continue;
        }
        let target = std::path::Path::new(SECRETS).join(&name);
        if spec.mounts.iter().any(|mount| mount.target == target) {
            fields.error("secrets", node.place, format!("{} is there twice", target.display()));
            continue;
        }
        spec.mounts.push(Mount::bind(path, target, true));
    }
}

fn harden(fields: &mut Fields<'_>, spec: &mut ContainerSpec, said: bool) {
    if spec.privileged {
        let place = fields.key_place(if said { "hardened" } else { "privileged" });
        let hint =
            (!said).then(|| "SCHEDULER_JOB_HARDENED asks for it; `hardened: false` makes an exception".to_owned());
        fields.error("", place, Wrong { hint, ..Wrong::from("cannot be hardened and privileged") });
    }
    spec.cap_drop = vec!["ALL".to_owned()];
    spec.security_opt.push("no-new-privileges:true".to_owned());
    spec.memory.get_or_insert(HARDENED_MEMORY);
}

pub fn socket(context: &Context<'_>) -> Mount {
    Mount::bind(&context.installation.socket, "/var/run/docker.sock", false)
}

/// Adds a mount unless its target is taken.
pub fn add_mount(spec: &mut ContainerSpec, mount: Mount) {
    if !spec.mounts.iter().any(|m| m.target == mount.target) {
        spec.mounts.push(mount);
    }
}

/// Reads `dockerargs`; gives whether it asks for the engine's socket.
pub fn docker_arguments(
    fields: &mut Fields<'_>,
    context: &Context<'_>,
    purpose: For,
    spec: &mut ContainerSpec,
) -> bool {
    let Some((text, place)) = fields.raw("dockerargs") else { return false };
    if substitutes(&text) {
        fields.error("dockerargs", place, "holds a command ($(…) or `…`), which nobody runs; write its result");
        return false;
    }
    let text = fields.shell_expanded("dockerargs", place, &text);
    let parse = |text: &str| docker_args::parse(text, purpose, &context.settings.compose_dir, fields.lookup());
    let parsed = parse(&text);
    let (warnings, errors) = said(&parsed, &text, context, parse);
    for flaw in warnings {
        fields.warning("dockerargs", fields.within(place, &flaw.word), flaw.wrong);
    }
    for flaw in errors {
        fields.error("dockerargs", fields.within(place, &flaw.word), flaw.wrong);
    }
    let given = parsed.spec.env.clone();
    *spec = parsed.spec;
    // What the command line sets beats the files that it names.
    for path in parsed.env_files {
        env_from_file(fields, context, "dockerargs", place, &path, &mut spec.env);
    }
    spec.env.0.extend(given.0);
    parsed.socket
}

/// Warnings and errors of a text of flags. They show pieces of it, and a piece of a secret cannot be
/// told from anything else: where there is one, they are those of the text without it.
fn said(parsed: &Parsed, text: &str, context: &Context<'_>, parse: impl Fn(&str) -> Parsed) -> (Vec<Flaw>, Vec<Flaw>) {
    let all = (parsed.warnings.clone(), parsed.errors.clone());
    if all.0.is_empty() && all.1.is_empty() {
        return all;
    }
    let shown =
        Masking::of(context.environment.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))).masked(text);
    if shown == text {
        return all;
    }
    let mut masked = parse(&shown);
    if masked.errors.is_empty() && !all.1.is_empty() {
        masked.errors.push(Flaw::new("", "a secret does not fit where it stands"));
    }
    (masked.warnings, if all.1.is_empty() { Vec::new() } else { masked.errors })
}

/// Whether a shell would run a command to read this.
fn substitutes(text: &str) -> bool {
    let (mut single, mut double, mut chars) = (false, false, text.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '\\' if !single => drop(chars.next()),
            '\'' if !double => single = !single,
            '"' if !single => double = !double,
            '`' if !single => return true,
            '$' if !single && chars.peek() == Some(&'(') => return true,
            _ => {}
        }
    }
    false
}

fn env_from_file(
    fields: &mut Fields<'_>,
    context: &Context<'_>,
    key: &str,
    place: Span,
    path: &str,
    env: &mut Environment,
) {
    let path = conf_dir::absolute(&context.settings.compose_dir, path);
    match context.collected.files.get(&path) {
        Some(text) => env.0.extend(env_file::pairs(&text.lossy(), fields.lookup())),
        None => fields.error(key, place, format!("the env file {} does not exist or cannot be read", path.display())),
    }
}

/// `env_file`, then `environment` and `env`, each a list of `NAME=value` or a mapping.
pub fn environment(fields: &mut Fields<'_>, context: &Context<'_>, env: &mut Environment) {
    for (path, place) in fields.list("env_file") {
        env_from_file(fields, context, "env_file", place, &path, env);
    }
    for key in ["environment", "env"] {
        let Some(node) = fields.take(key) else { continue };
        let mut pairs: Vec<(String, Option<String>, Span)> = Vec::new();
        match &node.value {
            Value::Map(entries) => {
                for (name, value) in entries {
                    match (&value.value, value.text()) {
                        _ if !is_variable(name) => {
                            fields.error(
                                key,
                                value.key.unwrap_or(value.place),
                                format!("{name:?} is no name of a variable"),
                            );
                        }
                        (Value::Null, _) => pairs.push((name.clone(), None, value.place)),
                        (_, Some(text)) => pairs.push((name.clone(), Some(text.to_owned()), value.place)),
                        _ => fields.error(&format!("{key}.{name}"), value.mark(), unexpected("a text", value)),
                    }
                }
            }
            _ => {
                for item in node.items() {
                    match item.text().map(|text| text.split_once('=').unwrap_or((text, "\0"))) {
                        Some((name, _)) if !is_variable(name) => {
                            fields.error(key, item.place, "expected NAME=value");
                        }
                        Some((name, "\0")) => pairs.push((name.to_owned(), None, item.place)),
                        Some((name, value)) => pairs.push((name.to_owned(), Some(value.to_owned()), item.place)),
                        None => fields.error(key, item.mark(), unexpected("NAME=value", item)),
                    }
                }
            }
        }
        for (name, value, place) in pairs {
            // A name alone hands the variable's own value on, as `docker run -e NAME` does.
            match value {
                Some(value) => {
                    let value = fields.expanded(key, place, &value);
                    env.0.insert(name, value);
                }
                None => match (fields.lookup())(&name) {
                    Some(value) => {
                        env.0.insert(name, value);
                    }
                    None => fields.warning(key, place, format!("{name} is not set and left out")),
                },
            }
        }
    }
}

/// What the engine takes for a name: anything but nothing, `=` and NUL.
fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0', '\n']) && !name.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_in_flags_are_found() {
        for (text, expected) in [
            ("--user $(id -u)", true),
            ("-e \"A=`date`\"", true),
            ("-e 'A=$(x)'", false),
            ("-e A=\\$(x)", false),
            ("-e A=\"it's $(x)\"", true),
            ("-v $HOME:/x", false),
        ] {
            assert_eq!(substitutes(text), expected, "{text}");
        }
    }
}
