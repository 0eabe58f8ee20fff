//! The action of a job: which container, which command.

use super::docker_args::For;
use super::fields::Fields;
use super::job_command::{command, script};
use super::job_container::{add_mount, container, docker_arguments, entrypoint, environment, filled, folder, socket};
use super::resolve::Context;
use super::wrong::{Wrong, listed, meant};
use super::yaml::Value;
use super::{job_http, keys, support};
use crate::job::{Action, Builtin, ContainerSpec, ExecSpec, ExecTarget, HostCommand, Mount, ServiceRun};

/// The keys of which a job has one at most.
const EXPLICIT: &[&str] = &["run", "exec", "service-run", "http", "builtin", "host"];

/// An action and how it was written.
pub struct Written {
    /// The action.
    pub action: Action,
    /// In the form of the legacy scheduler, which knows no time limit.
    pub legacy_form: bool,
}

/// Takes all keys of an action without a look at them.
pub fn pass_over(fields: &mut Fields<'_>) {
    for key in keys::names(keys::ACTION) {
        fields.take(key);
    }
}

/// Reads the action of a mapping.
pub fn read(fields: &mut Fields<'_>, context: &Context<'_>) -> Option<Written> {
    let explicit = fields.which(EXPLICIT);
    if let [_, second, ..] = explicit.as_slice() {
        let place = fields.key_place(second);
        fields.error(second, place, format!("a job has one action, not {}", explicit.join(" and ")));
        pass_over(fields);
        return None;
    }
    let kind = match explicit.first() {
        Some(kind) => kind,
        None if fields.has("image") => "image",
        None if fields.has("container") => "container",
        None => "",
    };
    fields.is_a(kind);
    let action = match kind {
        "builtin" => builtin(fields),
        "http" => job_http::read(fields),
        "host" => host(fields, context),
        "service-run" => {
            unfold(fields, "service-run", &["service"]);
            service_run(fields, context)
        }
        "run" => {
            unfold(fields, "run", &["image"]);
            run(fields, context, false)
        }
        "exec" => {
            unfold(fields, "exec", &["service", "container"]);
            exec(fields, context)
        }
        "image" => run(fields, context, true),
        "container" => exec(fields, context),
        _ if fields.has("service") => {
            let (service, place) = fields.text("service")?;
            let hint = format!(
                "`exec: {service}` runs the command in its running container, `service-run: {service}` in a container \
                 of its own"
            );
            let wrong = Wrong { hint: Some(hint), ..Wrong::from("names a service, but not what to do") };
            fields.error("", place, wrong);
            pass_over(fields);
            None
        }
        _ if !fields.legacy && !fields.has("command") => {
            let place = fields.place();
            let expected = Some(format!("one of {}", EXPLICIT.join(", ")));
            fields.error("", place, Wrong { expected, ..Wrong::from("nothing says what to do") });
            None
        }
        _ => own_image(fields, context),
    };
    if action.is_none() {
        // One mistake is enough: the other keys are not to blame.
        pass_over(fields);
    }
    Some(Written { action: action?, legacy_form: explicit.is_empty() })
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
    if let Some(builtin) = Builtin::from_name(&name) {
        return Some(Action::Builtin(builtin));
    }
    let wrong = if support::is_later_builtin(&name) {
        Wrong::from("is not supported by this version")
    } else {
        let all: Vec<&str> = Builtin::ALL.iter().map(|b| b.name()).collect();
        let message = "is no built-in job".to_owned();
        Wrong { message, expected: Some(listed(&all)), hint: meant(&name, all) }
    };
    fields.bad("builtin", place, &name, wrong, None);
    None
}

fn run(fields: &mut Fields<'_>, context: &Context<'_>, legacy: bool) -> Option<Action> {
    let place = fields.place();
    let image = fields.parsed("image", filled);
    if image.is_none() && !fields.has("image") {
        fields.error("image", place, "is missing");
    }
    let command = command(fields, legacy);
    let mut spec = container(fields, context);
    spec.image = image?;
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
    let message = "has neither image nor container and runs in the scheduler's own image, with the engine's socket \
                   and the log dir";
    let hint = Some("name an `image:` and what it needs instead".to_owned());
    fields.warning("", place, Wrong { hint, ..Wrong::from(message) });
    spec.image.clone_from(&context.installation.image);
    // The image's own entry point is the scheduler.
    spec.entrypoint.get_or_insert_default();
    add_mount(&mut spec, socket(context));
    add_mount(&mut spec, Mount::same_path(log_dir, false));
    spec.command = command;
    Some(Action::Run(Box::new(spec)))
}

fn exec(fields: &mut Fields<'_>, context: &Context<'_>) -> Option<Action> {
    let place = fields.place();
    let service = fields.parsed("service", filled);
    let container = fields.parsed("container", filled);
    let project = fields.parsed("project", filled);
    let all = fields.truth("all").unwrap_or(false);
    let command = command(fields, true);
    let target = match (service, container, project) {
        (Some(_), Some(_), _) => {
            fields.error("service", place, "names a service and a container; say one of them");
            return None;
        }
        (Some(service), None, Some(project)) | (None, Some(service), Some(project)) => {
            ExecTarget::Project { project, service }
        }
        (Some(service), None, None) if all => {
            ExecTarget::Project { project: context.settings.project.clone(), service }
        }
        (Some(service), None, None) => ExecTarget::Service(service),
        (None, Some(_), None) if all => {
            fields.error("all", place, "goes with a service; a container is one");
            return None;
        }
        (None, Some(container), None) => ExecTarget::Container(container),
        (None, None, _) => {
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
        user: fields.parsed("user", filled).or(spec.user),
        workdir: fields.parsed("workdir", folder).or(spec.workdir),
        privileged: fields.truth("privileged").unwrap_or(spec.privileged),
        direct: fields.truth("direct").unwrap_or(false),
    })))
}

fn service_run(fields: &mut Fields<'_>, context: &Context<'_>) -> Option<Action> {
    let place = fields.place();
    let service = fields.parsed("service", filled);
    if service.is_none() && !fields.has("service") {
        fields.error("service", place, "is missing");
    }
    let command = command(fields, false);
    let mut spec = ContainerSpec::default();
    environment(fields, context, &mut spec.env);
    Some(Action::ServiceRun(Box::new(ServiceRun {
        entrypoint: entrypoint(fields),
        env: spec.env,
        user: fields.parsed("user", filled),
        workdir: fields.parsed("workdir", folder),
        service: service?,
        command: command?,
    })))
}

/// `host: COMMAND`, `host: [words…]`, or `host: {command: …}`.
fn host(fields: &mut Fields<'_>, context: &Context<'_>) -> Option<Action> {
    let node = fields.take("host")?;
    match &node.value {
        Value::Map(_) => fields.add(node),
        _ if fields.has("command") => {
            fields.error("host", node.place, "the command stands here twice");
            return None;
        }
        _ => fields.put("command", node),
    }
    let Some(written) = fields.take("command") else {
        fields.error("command", node.place, "is missing");
        return None;
    };
    let command = script(fields, "command", written);
    let user = fields.parsed("user", account);
    let wrong_user = user.is_none() && fields.has("user");
    let mut spec = ContainerSpec::default();
    environment(fields, context, &mut spec.env);
    let workdir = fields.parsed("workdir", folder).map(Into::into);
    let privileged = fields.truth("privileged").unwrap_or(false);
    if !context.settings.host_jobs {
        let hint = Some("set SCHEDULER_HOST_JOBS=true: such a job may do everything on the host".to_owned());
        fields.error("host", node.mark(), Wrong { hint, ..Wrong::from("is not allowed here") });
    }
    let user = user.unwrap_or_else(|| "root".to_owned());
    (!wrong_user).then_some(())?;
    Some(Action::Host(Box::new(HostCommand { command: command?, user, env: spec.env, workdir, privileged })))
}

/// `user[:group]` as the host knows them.
fn account(text: &str) -> Result<String, String> {
    let name = |text: &str| {
        let first = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let rest = |c: char| first(c) || "-.".contains(c);
        text.starts_with(first) && text.chars().all(rest)
    };
    let (user, group) = text.split_once(':').unwrap_or((text, "root"));
    if name(user) && name(group) { Ok(text.to_owned()) } else { Err("expected a user, or user:group".to_owned()) }
}
