//! The documents about jobs and containers, completed and without any secret.

use serde_json::{Value, json};

use super::instant;
use crate::config::{Loaded, Masking, Problem, config_document, container_document, job_document};
use crate::job::{Action, ContainerSpec, Job};

/// The values of a configuration that no document may hold, wherever they were expanded to.
#[derive(Debug, Default)]
pub(super) struct Secrets(Masking);

impl Secrets {
    /// The values of all variables whose name tells of a secret.
    pub(super) fn of(loaded: &Loaded) -> Self {
        let variables = loaded.environment.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let values = loaded.values.iter().map(|(name, sourced)| (name.as_str(), sourced.value.as_str()));
        Self(Masking::of_variables(variables.chain(values)))
    }

    /// Masks the places of a container's or an exec's document that free text goes to.
    fn mask(&self, document: &mut Value) {
        for key in ["command", "entrypoint", "env", "labels"] {
            if let Some(part) = document.get_mut(key) {
                self.mask_all(part);
            }
        }
    }

    fn masked(&self, text: &str) -> String {
        self.0.masked(text)
    }

    fn mask_all(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.masked(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask_all(item)),
            Value::Object(entries) => entries.values_mut().for_each(|item| self.mask_all(item)),
            _ => {}
        }
    }
}

/// The problems of a configuration, as people and documents see them.
pub(super) fn problems(loaded: &Loaded) -> Vec<Problem> {
    let secrets = Secrets::of(loaded);
    let masked = |text: &Option<String>| text.as_deref().map(|text| secrets.masked(text));
    let problems = loaded.problems.iter().map(|problem| Problem {
        value: masked(&problem.value),
        message: secrets.masked(&problem.message),
        hint: masked(&problem.hint),
        ..problem.clone()
    });
    problems.collect()
}

/// The document about a configuration.
pub(super) fn config(loaded: &Loaded) -> Value {
    let mut document = config_document(loaded);
    let secrets = Secrets::of(loaded);
    if let Some(settings) = document["settings"].as_object_mut() {
        // A path is no secret, even where a folder is called like somebody's password.
        let values = settings.values_mut().filter_map(|setting| setting.get_mut("value"));
        values
            .filter(|value| !value.as_str().is_some_and(|text| text.starts_with('/')))
            .for_each(|v| secrets.mask_all(v));
    }
    document["problems"] = json!(problems(loaded));
    document
}

/// The document about a job. `container` gives the container that an action runs in.
pub(super) fn job(
    job: &Job,
    next: Option<chrono::DateTime<chrono::Utc>>,
    secrets: &Secrets,
    container: &dyn Fn(&Action) -> ContainerSpec,
) -> Value {
    let mut document = job_document(job);
    document["next"] = json!(next.map(|at| instant::zoned(at, job.schedule.zone())));
    complete(&mut document, &job.action, secrets, container);
    for (key, list) in job.follow_ups.lists() {
        for (at, action) in list.iter().enumerate() {
            complete(&mut document[key][at], action, secrets, container);
        }
    }
    document
}

fn complete(document: &mut Value, action: &Action, secrets: &Secrets, container: &dyn Fn(&Action) -> ContainerSpec) {
    match action {
        Action::Exec(_) => secrets.mask(&mut document["exec"]),
        // What its service is made of is known to compose alone.
        Action::ServiceRun(_) => secrets.mask(&mut document["service-run"]),
        Action::Run(_) | Action::Builtin(_) | Action::Http(_) | Action::Host(_) => {
            document["container"] = self::container(&container(action), secrets);
        }
    }
}

/// The document about a container.
pub(super) fn container(spec: &ContainerSpec, secrets: &Secrets) -> Value {
    let mut document = container_document(spec);
    secrets.mask(&mut document);
    document
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
    fn a_job_is_complete_and_holds_no_secret() {
        let secrets = Secrets(Masking::of_variables([("TOKEN", "hunter22")]));
        let own = |action: &Action| match action {
            Action::Run(spec) => (**spec).clone(),
            _ => ContainerSpec { image: "tender".into(), ..ContainerSpec::default() },
        };
        let at = chrono::DateTime::from_timestamp(1_774_746_000, 0);
        let document = job(&sample(), at, &secrets, &own);
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
