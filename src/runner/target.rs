//! The running containers that a command goes to.

use crate::compose::label;
use crate::engine::{EngineError, HealthState, Host, Life, Seen};
use crate::job::{ExecSpec, ExecTarget};

/// A container to execute in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its id, or its name where nobody looked.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum NoTarget {
    /// It is not there, or does not run: what, and the way out.
    #[error("{0}")]
    Absent(String),
    /// The engine does not say.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Finds the containers, at least one. That of a given name is not looked at: the engine says what
/// is wrong with it when the command is prepared, see [`refused`].
///
/// # Errors
/// When there is none, or the engine does not answer.
pub async fn find(host: &impl Host, stack: &str, target: &ExecTarget) -> Result<Vec<Target>, NoTarget> {
    match target {
        ExecTarget::Container(name) => Ok(vec![Target { id: name.clone(), name: name.clone() }]),
        ExecTarget::Service(service) => {
            let mut found = running(host, stack, service).await?;
            found.truncate(1);
            Ok(found)
        }
        ExecTarget::Project { project, service } => match running(host, project, service).await {
            Err(absent @ NoTarget::Absent(_)) => {
                let named = named(host, project, service).await?;
                if named.is_empty() { Err(absent) } else { Ok(named) }
            }
            answer => answer,
        },
    }
}

/// Prepares a command in all targets, so that it begins in none of them when one is missing.
///
/// # Errors
/// When one cannot take it, or the engine does not answer.
pub async fn prepare(
    host: &impl Host,
    targets: Vec<Target>,
    spec: &ExecSpec,
) -> Result<Vec<(Target, String)>, NoTarget> {
    let mut prepared = Vec::with_capacity(targets.len());
    for target in targets {
        let exec = host.exec_create(&target.id, spec).await.map_err(|error| refused(&target, error))?;
        prepared.push((target, exec));
    }
    Ok(prepared)
}

/// What it means that a command could not be prepared.
pub fn refused(target: &Target, error: EngineError) -> NoTarget {
    let name = &target.name;
    match error {
        EngineError::NotFound(_) => NoTarget::Absent(format!("there is no container {name}")),
        EngineError::Conflict(why) if why.contains("is not running") => {
            NoTarget::Absent(format!("container {name} is not running; `docker start {name}` starts it"))
        }
        EngineError::Conflict(why) => NoTarget::Absent(why),
        error => NoTarget::Engine(error),
    }
}

impl From<Seen> for Target {
    fn from(seen: Seen) -> Self {
        Self { id: seen.id, name: seen.name }
    }
}

/// The running containers of a service: healthy ones first, then by number. At least one.
async fn running(host: &impl Host, project: &str, service: &str) -> Result<Vec<Target>, NoTarget> {
    let mut found = Vec::new();
    for id in host.list(&[(label::PROJECT, project), (label::SERVICE, service)]).await? {
        found.extend(host.look(&id).await?.filter(|s| s.life == Life::Running && !label::is_oneoff(&s.labels)));
    }
    found.sort_by_key(|seen| {
        let rank = match seen.health {
            HealthState::Healthy => 0,
            HealthState::None => 1,
            HealthState::Starting => 2,
            HealthState::Unhealthy => 3,
        };
        (rank, label::number_of(&seen.labels), seen.name.clone())
    });
    if found.is_empty() {
        return Err(NoTarget::Absent(format!(
            "service {service} of project {project} has no running container; `docker compose up -d {service}` starts it"
        )));
    }
    Ok(found.into_iter().map(Target::from).collect())
}

/// The running containers that are called as the first compose called those of a service, whoever
/// made them: `<project>_<service>_<number>`, with any one letter before the number.
async fn named(host: &impl Host, project: &str, service: &str) -> Result<Vec<Target>, NoTarget> {
    let front = format!("{project}_{service}");
    let number = |name: &str| {
        let mut rest = name.strip_prefix(&front)?.chars();
        rest.next()?;
        rest.as_str().parse::<u32>().ok()
    };
    let mut found: Vec<Target> = Vec::new();
    for id in host.list(&[]).await? {
        let seen = host.look(&id).await?;
        let fits = |seen: &Seen| seen.life == Life::Running && number(&seen.name).is_some();
        found.extend(seen.filter(fits).map(Target::from));
    }
    found.sort_by_key(|target| number(&target.name));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fake::Fake;

    async fn names(fake: &Fake, target: ExecTarget) -> Result<Vec<String>, String> {
        let found = find(fake, "stack", &target).await.map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|target| target.name).collect())
    }

    fn project(project: &str, service: &str) -> ExecTarget {
        ExecTarget::Project { project: project.to_owned(), service: service.to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_service_the_healthiest_or_all() {
        let fake = Fake::new();
        for name in ["web-1", "web-2", "web-3"] {
            fake.service("stack", "web", name);
        }
        fake.service("other", "web", "other-web-1");
        fake.service("stack", "db", "db-1");
        fake.set_health("web-1", HealthState::Unhealthy);
        fake.set_health("web-3", HealthState::Healthy);
        let web = || ExecTarget::Service("web".to_owned());
        assert_eq!(names(&fake, web()).await.unwrap(), ["web-3"]);
        assert_eq!(names(&fake, project("stack", "web")).await.unwrap(), ["web-3", "web-2", "web-1"]);
        fake.edit("web-3", |seen| seen.life = Life::Exited);
        assert_eq!(names(&fake, web()).await.unwrap(), ["web-2"]);
        let oneoff = |seen: &mut Seen| drop(seen.labels.insert("com.docker.compose.oneoff".into(), "True".into()));
        fake.edit("web-2", oneoff);
        assert_eq!(names(&fake, web()).await.unwrap(), ["web-1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_project_without_labels_is_found_by_names() {
        let fake = Fake::new();
        for name in ["old_web_10", "old_web_2", "old_web_x", "old_website_1", "old_web_3", "xold_web_1"] {
            fake.service("none", "none", name);
        }
        fake.edit("old_web_3", |seen| seen.life = Life::Exited);
        assert_eq!(names(&fake, project("old", "web")).await.unwrap(), ["old_web_2", "old_web_10"]);
        let error = names(&fake, project("old", "db")).await.unwrap_err();
        assert!(error.contains("has no running container"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_that_does_not_run_is_named_with_the_way_out() {
        let fake = Fake::new();
        fake.service("stack", "web", "web-1");
        fake.edit("web-1", |seen| seen.life = Life::Exited);
        let error = names(&fake, ExecTarget::Service("web".to_owned())).await.unwrap_err();
        assert!(error.contains("docker compose up -d web"), "{error}");
        let target = Target { id: "web-1".to_owned(), name: "web-1".to_owned() };
        for (error, words) in [
            (EngineError::NotFound("x".to_owned()), "no container web-1"),
            (EngineError::Conflict("Container web-1 is not running".to_owned()), "docker start web-1"),
            (EngineError::Conflict("Container web-1 is paused".to_owned()), "is paused"),
        ] {
            let said = refused(&target, error).to_string();
            assert!(said.contains(words), "{said}");
        }
        let away = refused(&target, EngineError::Unavailable("gone".to_owned()));
        assert!(matches!(away, NoTarget::Engine(EngineError::Unavailable(_))), "{away:?}");
    }
}
