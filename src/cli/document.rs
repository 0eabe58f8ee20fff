//! The documents about jobs and containers, completed and without any secret.

use serde_json::{Value, json};

use super::instant;
use crate::config::{Masking, container_document, job_document};
use crate::job::{Action, ContainerSpec, Job};
use crate::secret::{shown, shown_address, shown_header};

/// Masks the places of a container's or an exec's document that free text goes to.
fn mask(masking: &Masking, document: &mut Value) {
    for key in ["command", "entrypoint", "env", "labels"] {
        if let Some(part) = document.get_mut(key) {
            masking.mask(part);
        }
    }
}

/// The document about a job. `container` gives the container that an action runs in.
pub(super) fn job(
    job: &Job,
    next: Option<chrono::DateTime<chrono::Utc>>,
    masking: &Masking,
    container: &dyn Fn(&Action) -> ContainerSpec,
) -> Value {
    let mut document = job_document(job);
    document["next"] = json!(next.map(|at| instant::zoned(at, job.schedule.zone())));
    complete(&mut document, &job.action, masking, container);
    for (key, list) in job.follow_ups.lists() {
        for (at, action) in list.iter().enumerate() {
            complete(&mut document[key][at], action, masking, container);
        }
    }
    document
}

fn complete(document: &mut Value, action: &Action, masking: &Masking, container: &dyn Fn(&Action) -> ContainerSpec) {
    match action {
        // What its service is made of is asked when it runs.
        Action::ServiceRun(_) => return mask(masking, &mut document["service-run"]),
        Action::Exec(_) => mask(masking, &mut document["exec"]),
        Action::Http(_) => masking.mask(&mut document["http"]),
        Action::Host(_) => masking.mask(&mut document["host"]),
        Action::Run(_) | Action::Builtin(_) => {}
    }
    document["container"] = self::container(&container(action), masking);
}

/// The document about a container.
pub(super) fn container(spec: &ContainerSpec, masking: &Masking) -> Value {
    let mut document = container_document(spec);
    for value in document["env"].as_object_mut().into_iter().flat_map(|env| env.values_mut()) {
        // What a container of our own is told: names that tell of secrets stand inside.
        if let Some(Value::Object(told)) = value.as_str().and_then(|text| serde_json::from_str(text).ok()) {
            let mut told = Value::Object(told);
            mask_names(&mut told);
            *value = Value::String(told.to_string());
        }
    }
    mask(masking, &mut document);
    document
}

fn mask_names(document: &mut Value) {
    match document {
        Value::Object(entries) => {
            for (name, value) in entries {
                match value {
                    Value::String(text) if name == "url" => *text = shown_address(text),
                    Value::Object(headers) if name == "headers" => {
                        for (name, value) in headers {
                            if let Value::String(text) = value {
                                *text = shown_header(name, text).into_owned();
                            }
                        }
                    }
                    Value::String(text) => *text = shown(name, text).into_owned(),
                    _ => mask_names(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask_names),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Builtin, ExecSpec, ExecTarget, FollowUps, JobName, Policy};
    use crate::schedule::Schedule;
    use crate::secret::Environment;

    fn sample() -> Job {
        let run = ContainerSpec {
            image: "alpine".into(),
            command: vec!["sh".into(), "-c".into(), "login hunter22".into()],
            env: Environment(
                [("DB_PASSWORD".into(), "x".into()), ("URL".into(), "http://u:hunter22@h/".into())].into(),
            ),
            ..ContainerSpec::default()
        };
        let exec = ExecSpec {
            target: ExecTarget::Service("web".into()),
            command: vec!["reload".into(), "hunter22".into()],
            env: Environment::default(),
            user: None,
            workdir: None,
            privileged: false,
            direct: false,
        };
        let on_success = vec![Action::Exec(Box::new(exec)), Action::Builtin(Builtin::Logrotate)];
        let schedule = Schedule::parse("7 5 * * *", chrono_tz::Europe::Berlin, "backup").unwrap();
        let name = JobName::new("backup").unwrap();
        Job {
            follow_ups: FollowUps { on_success, ..FollowUps::default() },
            ..Job::new(name, schedule, Action::Run(Box::new(run)), Policy::default())
        }
    }

    #[test]
    fn what_a_request_is_told_is_no_secret() {
        let order = r#"{"request": {"url": "http://me:pw@h/0123456789abcdefghij", "headers": {"Authorization": "Bearer x", "A": "b"}}}"#;
        let env = Environment([("TENDER_HTTP".to_owned(), order.to_owned())].into());
        let document = container(&ContainerSpec { env, ..ContainerSpec::default() }, &Masking::of([]));
        let told: Value = serde_json::from_str(document["env"]["TENDER_HTTP"].as_str().unwrap()).unwrap();
        let expected = json!({"url": "http://***@h/***", "headers": {"Authorization": "***", "A": "b"}});
        assert_eq!(told["request"], expected);
    }

    #[test]
    fn a_job_is_complete_and_holds_no_secret() {
        let masking = Masking::of([("DB_PASSWORD", "hunter22")]);
        let own = |action: &Action| match action {
            Action::Run(spec) => (**spec).clone(),
            _ => ContainerSpec { image: "tender".into(), ..ContainerSpec::default() },
        };
        let at = chrono::DateTime::from_timestamp(1_774_746_000, 0);
        let document = job(&sample(), at, &masking, &own);
        assert!(!document.to_string().contains("hunter22"));
        assert_eq!(document["next"], "2026-03-29T03:00:00+02:00");
        assert_eq!(document["container"]["command"][2], "login ***");
        assert_eq!(document["container"]["env"], json!({"DB_PASSWORD": "***", "URL": "http://***@h/"}));
        assert_eq!(document["after_success"][0]["exec"]["command"], json!(["reload", "***"]));
        assert_eq!(document["after_success"][1]["builtin"], "logrotate");
        assert_eq!(document["after_success"][1]["container"]["image"], "tender");
        for key in ["name", "comment", "schedule", "timezone", "enabled", "origin", "action", "policy"] {
            assert!(document.get(key).is_some(), "{key}");
        }
    }
}
