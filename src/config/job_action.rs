//! The action of a job: which container, which command.

use super::docker_args::{self, For};
use super::fields::Fields;
use super::resolve::Context;
use super::words::{CommandLine, command_line};
use super::yaml::{Node, Value};
use super::{Place, conf_dir, docker_values, env_file, values};
use crate::job::{Action, Builtin, ContainerSpec, ExecSpec, ExecTarget, Mount};
use crate::secret::Environment;

/// The keys that describe an action, wherever it stands.
pub const KEYS: &[&str] = &[
    "run",
    "exec",
    "builtin",
    "image",
    "container",
    "project",
    "service",
    "command",
    "dockerargs",
    "volumes",
    "environment",
    "network",
    "ports",
    "expose",
    "env",
    "env_file",
    "user",
    "workdir",
    "entrypoint",
    "memory",
    "cpus",
    "pids",
    "read_only",
    "cap_add",
    "privileged",
    "hardened",
    "socket",
    "pull",
];

/// Memory limit of a hardened job that names none.
const HARDENED_MEMORY: i64 = 1 << 30;

/// An action and how it was written.
pub struct Written {
    /// The action.
    pub action: Action,
    /// In the form of the legacy scheduler, which knows no time limit.
    pub legacy_form: bool,
}

/// Reads the action of a mapping.
pub fn read(fields: &mut Fields<'_>, context: &Context<'_>) -> Option<Written> {
    if !fields.which(&["service-run", "http", "host"]).is_empty() {
        // Reported by name with all other keys of later versions.
        KEYS.iter().for_each(|key| {
            fields.take(key);
        });
        return None;
    }
    let explicit = fields.which(&["run", "exec", "builtin"]);
    if let [_, second, ..] = explicit.as_slice() {
        let place = fields.place();
        fields.error(second, place, format!("a job has one action, not {}", explicit.join(" and ")));
        KEYS.iter().for_each(|key| {
            fields.take(key);
        });
        return None;
    }
    let action = match explicit.first() {
        Some(&"builtin") => builtin(fields)?,
        Some(&"run") => {
            unfold(fields, "run", &["image"]);
            run(fields, context, false)?
        }
        Some(_) => {
            unfold(fields, "exec", &["service", "container"]);
            exec(fields, context)?
        }
        None if fields.has("image") => run(fields, context, true)?,
        None if fields.has("container") => exec(fields, context)?,
        None => own_image(fields, context)?,
    };
    Some(Written { action, legacy_form: explicit.is_empty() })
}

/// `run: {image: …}`, `run: IMAGE`, or `run: [words…]` beside `image:`.
fn unfold<'a>(fields: &mut Fields<'a>, key: &'static str, targets: &[&'static str]) {
    let Some(node) = fields.take(key) else { return };
    match &node.value {
        Value::Map(_) => fields.add(node),
        Value::Text(_) if fields.which(targets).is_empty() => fields.put(targets[0], node),
        _ if fields.has("command") => fields.error(key, node.place, "the command stands here twice"),
        _ => fields.put("command", node),
    }
}

fn builtin(fields: &mut Fields<'_>) -> Option<Action> {
    let (name, place) = fields.text("builtin")?;
    match Builtin::from_name(&name) {
        Some(builtin) => Some(Action::Builtin(builtin)),
        None => {
            let all: Vec<&str> = Builtin::ALL.iter().map(|b| b.name()).collect();
            let message = format!("this version has no such built-in; it has {}", all.join(", "));
            fields.bad("builtin", place, &name, message, None);
            None
        }
    }
}

fn run(fields: &mut Fields<'_>, context: &Context<'_>, legacy: bool) -> Option<Action> {
    let place = fields.place();
    let image = fields.text("image");
    if image.is_none() {
        fields.error("image", place, "is missing");
    }
    if fields.take("container").is_some() {
        fields.warning("container", place, "is not used beside image");
    }
    let command = command(fields, legacy);
    let mut spec = container(fields, context);
    spec.image = image?.0;
    spec.command = command?;
    Some(Action::Run(Box::new(spec)))
}

/// A legacy job with neither image nor container ran inside the old scheduler.
fn own_image(fields: &mut Fields<'_>, context: &Context<'_>) -> Option<Action> {
    let place = fields.place();
    let command = command(fields, true);
    let mut spec = container(fields, context);
    let command = command?;
    let log_dir = &context.settings.log_dir;
    fields.warning(
        "image",
        place,
        "has neither image nor container and runs in the scheduler's own image, with the engine's socket and the \
         log dir; name an `image:` and what it needs instead",
    );
    spec.image.clone_from(&context.installation.image);
    add_mount(&mut spec, socket(context));
    add_mount(&mut spec, Mount::same_path(log_dir, false));
    spec.command = command;
    Some(Action::Run(Box::new(spec)))
}

fn exec(fields: &mut Fields<'_>, context: &Context<'_>) -> Option<Action> {
    let place = fields.place();
    let service = fields.text("service");
    let container = fields.text("container");
    let project = fields.text("project");
    let command = command(fields, true);
    let target = match (service, container, project) {
        (Some((service, _)), None, Some((project, _))) | (None, Some((service, _)), Some((project, _))) => {
            ExecTarget::Project { project, service }
        }
        (Some((service, _)), None, None) => ExecTarget::Service(service),
        (None, Some((container, _)), None) => ExecTarget::Container(container),
        (Some(_), Some(_), _) => {
            fields.error("service", place, "names a service and a container; say one of them");
            return None;
        }
        _ => {
            fields.error("service", place, "names neither service nor container");
            return None;
        }
    };
    let mut spec = ContainerSpec::default();
    docker_arguments(fields, context, For::Exec, &mut spec);
    environment(fields, context, &mut spec.env);
    Some(Action::Exec(Box::new(ExecSpec {
        target,
        command: command?,
        env: spec.env,
        user: fields.text("user").map(|t| t.0).or(spec.user),
        workdir: fields.text("workdir").map(|t| t.0).or(spec.workdir),
        privileged: fields.truth("privileged").unwrap_or(spec.privileged),
        direct: false,
    })))
}

/// The words of the command. Without one a new container runs what its image says.
fn command(fields: &mut Fields<'_>, needed: bool) -> Option<Vec<String>> {
    let Some(node) = fields.take("command") else {
        if needed {
            let place = fields.place();
            fields.error("command", place, "is missing");
            return None;
        }
        return Some(Vec::new());
    };
    words(fields, "command", node)
}

fn words(fields: &mut Fields<'_>, key: &'static str, node: &Node) -> Option<Vec<String>> {
    match &node.value {
        Value::Text(text) => {
            let text = if fields.legacy { fields.shell_expanded(key, node.place, text) } else { text.clone() };
            match command_line(&text) {
                Ok(CommandLine::Words(words)) => Some(words),
                Ok(CommandLine::Shell) => Some(vec!["sh".to_owned(), "-c".to_owned(), text.trim().to_owned()]),
                Err(error) => {
                    fields.error(key, node.place, error);
                    None
                }
            }
        }
        Value::List(items) => {
            let mut words = Vec::new();
            for item in items {
                match item.text() {
                    Some(text) if fields.legacy => words.push(fields.expanded(key, item.place, text)),
                    Some(text) => words.push(text.to_owned()),
                    None => {
                        fields.error(key, item.place, format!("expected a text, found {}", item.kind()));
                        return None;
                    }
                }
            }
            Some(words)
        }
        _ => {
            fields.error(key, node.place, format!("expected a text or a list of words, found {}", node.kind()));
            None
        }
    }
}

/// Everything about a new container but image and command.
fn container(fields: &mut Fields<'_>, context: &Context<'_>) -> ContainerSpec {
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
    spec.networks.extend(fields.list("network").into_iter().map(|n| n.0));
    spec.cap_add.extend(fields.list("cap_add").into_iter().map(|c| c.0));
    if let Some(node) = fields.take("entrypoint") {
        spec.entrypoint = match node.text() {
            Some("") => Some(Vec::new()),
            _ => words(fields, "entrypoint", node),
        };
    }
    spec.user = fields.text("user").map(|t| t.0).or(spec.user);
    spec.workdir = fields.text("workdir").map(|t| t.0).or(spec.workdir);
    let memory = fields.parsed("memory", |t| i64::try_from(values::bytes(t)?).map_err(|_| "too large".to_owned()));
    spec.memory = memory.or(spec.memory);
    spec.nano_cpus = fields.parsed("cpus", values::nano_cpus).or(spec.nano_cpus);
    spec.pids = fields.number("pids").or(spec.pids).or(Some(context.settings.pids_limit));
    spec.read_only = fields.truth("read_only").unwrap_or(spec.read_only);
    spec.privileged = fields.truth("privileged").unwrap_or(spec.privileged);
    spec.pull = fields.parsed("pull", docker_args::pull).unwrap_or(spec.pull);
    let said = fields.truth("hardened");
    if said.unwrap_or(context.settings.job_hardened) {
        harden(fields, &mut spec, said.is_some());
    }
    if fields.truth("socket") == Some(true) || api_socket {
        add_mount(&mut spec, socket(context));
    }
    spec
}

fn harden(fields: &mut Fields<'_>, spec: &mut ContainerSpec, said: bool) {
    if spec.privileged {
        let place = fields.place();
        let way_out =
            if said { "" } else { ", as SCHEDULER_JOB_HARDENED wants it; `hardened: false` makes an exception" };
        fields.error("hardened", place, format!("cannot be hardened and privileged{way_out}"));
    }
    spec.cap_drop = vec!["ALL".to_owned()];
    spec.security_opt.push("no-new-privileges:true".to_owned());
    spec.read_only = true;
    spec.memory.get_or_insert(HARDENED_MEMORY);
}

fn socket(context: &Context<'_>) -> Mount {
    Mount::bind(&context.installation.socket, "/var/run/docker.sock", false)
}

/// Adds a mount unless its target is taken.
fn add_mount(spec: &mut ContainerSpec, mount: Mount) {
    if !spec.mounts.iter().any(|m| m.target == mount.target) {
        spec.mounts.push(mount);
    }
}

/// Reads `dockerargs`; gives whether it asks for the engine's socket.
fn docker_arguments(fields: &mut Fields<'_>, context: &Context<'_>, purpose: For, spec: &mut ContainerSpec) -> bool {
    let Some((text, place)) = fields.raw("dockerargs") else { return false };
    let text = fields.shell_expanded("dockerargs", place, &text);
    let parsed = docker_args::parse(&text, purpose, &context.settings.compose_dir, fields.lookup());
    parsed.warnings.iter().for_each(|w| fields.warning("dockerargs", place, w));
    parsed.errors.iter().for_each(|e| fields.error("dockerargs", place, e));
    let given = parsed.spec.env.clone();
    *spec = parsed.spec;
    // What the command line sets beats the files that it names.
    for path in parsed.env_files {
        env_from_file(fields, context, "dockerargs", place, &path, &mut spec.env);
    }
    spec.env.0.extend(given.0);
    parsed.socket
}

fn env_from_file(
    fields: &mut Fields<'_>,
    context: &Context<'_>,
    key: &str,
    place: Place,
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
fn environment(fields: &mut Fields<'_>, context: &Context<'_>, env: &mut Environment) {
    for (path, place) in fields.list("env_file") {
        env_from_file(fields, context, "env_file", place, &path, env);
    }
    for key in ["environment", "env"] {
        let Some(node) = fields.take(key) else { continue };
        let mut pairs: Vec<(String, Option<String>, Place)> = Vec::new();
        match &node.value {
            Value::Map(entries) => {
                for (name, value) in entries {
                    match (&value.value, value.text()) {
                        (Value::Null, _) => pairs.push((name.clone(), None, value.place)),
                        (_, Some(text)) => pairs.push((name.clone(), Some(text.to_owned()), value.place)),
                        _ => fields.error(key, value.place, format!("{name}: expected a text, found {}", value.kind())),
                    }
                }
            }
            _ => {
                for item in node.items() {
                    match item.text().map(|text| text.split_once('=').unwrap_or((text, "\0"))) {
                        Some(("", _)) => fields.error(key, item.place, "expected NAME=value"),
                        Some((name, "\0")) => pairs.push((name.to_owned(), None, item.place)),
                        Some((name, value)) => pairs.push((name.to_owned(), Some(value.to_owned()), item.place)),
                        None => fields.error(key, item.place, format!("expected NAME=value, found {}", item.kind())),
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
