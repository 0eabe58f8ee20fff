//! Documents about jobs and their containers; secrets are masked by name here, by value in the
//! command line.

use serde_json::{Map, Value, json};

use crate::job::{Action, ContainerSpec, ExecTarget, Http, Job, Missed, MountSource, Policy};
use crate::secret::{MASK, redact, shown, shown_address, shown_header};

/// One item of `jobs --json`; `next` is added by who knows the clock, and the container of a
/// built-in by who makes it.
pub fn job_document(job: &Job) -> Value {
    let mut document = json!({
        "name": job.name,
        "comment": job.comment,
        "schedule": job.schedule.text(),
        "timezone": job.schedule.zone().name(),
        "enabled": job.enabled,
        "on_start": job.run_on_start,
        "origin": job.origin,
        "log": job.log_file,
        "watch": job.watch,
        "stop": job.stop,
        "policy": policy_document(&job.policy),
    });
    if let (Some(document), Value::Object(action)) = (document.as_object_mut(), action_document(&job.action)) {
        document.extend(action);
    }
    for (key, list) in job.follow_ups.lists() {
        document[key] = list.iter().map(action_document).collect();
    }
    document
}

/// An action: its kind under `action`, and what it is made of under `container`, `exec` or `builtin`.
pub fn action_document(action: &Action) -> Value {
    match action {
        Action::Run(spec) => json!({ "action": action.kind(), "container": container_document(spec) }),
        Action::Exec(exec) => {
            let target = match &exec.target {
                ExecTarget::Service(service) => json!({ "service": service }),
                ExecTarget::Container(container) => json!({ "container": container }),
                ExecTarget::Project { project, service } => json!({ "project": project, "service": service }),
            };
            json!({ "action": action.kind(), "exec": {
                "target": target,
                "command": masked_words(&exec.command),
                "env": exec.env.masked(),
                "user": exec.user,
                "workdir": exec.workdir,
                "privileged": exec.privileged,
                "direct": exec.direct,
            }})
        }
        Action::ServiceRun(run) => json!({ "action": action.kind(), "service-run": {
            "service": run.service,
            "command": masked_words(&run.command),
            "entrypoint": run.entrypoint,
            "env": run.env.masked(),
            "user": run.user,
            "workdir": run.workdir,
        }}),
        Action::Http(http) => json!({ "action": action.kind(), "http": {
            "url": shown_address(&http.url),
            "method": http.method,
            "headers": shown_headers(http),
            "status": http.status,
            "timeout_ms": http.timeout.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
            "networks": http.networks,
        }}),
        Action::Builtin(builtin) => json!({ "action": action.kind(), "builtin": builtin.name() }),
        Action::Host(host) => json!({ "action": action.kind(), "host": {
            "command": masked_words(std::slice::from_ref(&host.command))[0],
            "user": host.user,
            "env": host.env.masked(),
            "workdir": host.workdir,
            "privileged": host.privileged,
        }}),
    }
}

fn shown_headers(http: &Http) -> Map<String, Value> {
    http.headers.0.iter().map(|(name, value)| (name.clone(), json!(shown_header(name, value)))).collect()
}

/// A container, as the engine would be asked for it.
pub fn container_document(spec: &ContainerSpec) -> Value {
    // Everything of the type, then the fields of which the shape is promised.
    let mut document = serde_json::to_value(spec).unwrap_or_default();
    let mounts: Vec<Value> = spec
        .mounts
        .iter()
        .map(|mount| {
            let source = match &mount.source {
                MountSource::Bind(path) => json!(path),
                MountSource::Volume(name) => json!(name),
                MountSource::Anonymous => Value::Null,
                MountSource::Tmpfs(_) => json!("tmpfs"),
            };
            json!({ "source": source, "target": mount.target, "read_only": mount.read_only, "options": mount.options })
        })
        .collect();
    document["mounts"] = json!(mounts);
    document["env"] = json!(spec.env.masked());
    document["command"] = json!(masked_words(&spec.command));
    document["network"] = json!(spec.networks.first());
    let labels: Map<String, Value> = spec.labels.iter().map(|(k, v)| (k.clone(), json!(shown(k, v)))).collect();
    document["labels"] = Value::Object(labels);
    document
}

/// Words in which `--token=…` or `PASSWORD=…` is masked.
fn masked_words(words: &[String]) -> Vec<String> {
    let mask = |word: &String| match word.split_once('=') {
        Some((name, value)) if shown(&name.trim_start_matches('-').replace('-', "_"), value) == MASK => {
            format!("{name}={MASK}")
        }
        _ => redact(word),
    };
    words.iter().map(mask).collect()
}

fn policy_document(policy: &Policy) -> Value {
    let ms = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let missed = match policy.missed {
        Missed::Skip => "skip".to_owned(),
        Missed::Once => "once".to_owned(),
        Missed::All(n) => format!("all({n})"),
    };
    json!({
        "overlap": policy.overlap,
        "timeout_ms": policy.timeout.map(ms),
        "locks": policy.locks,
        "missed": missed,
        "deadline_ms": ms(policy.deadline),
        "jitter_ms": ms(policy.jitter),
        "grace_ms": ms(policy.grace),
        "on_interrupt": policy.on_interrupt,
        "retries": {
            "max": policy.retries.max,
            "backoff_ms": ms(policy.retries.backoff),
            "factor": policy.retries.factor,
            "max_backoff_ms": ms(policy.retries.max_backoff),
            "on": policy.retries.on,
        },
    })
}
