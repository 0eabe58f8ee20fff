//! The body of an exec job: a throwaway container that runs a command in a running one.
//!
//! A bare exec cannot be adopted: after its client has died the engine neither keeps its output nor
//! knows its code. This process is that client, and its own container is followed and adopted.

mod processes;

use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use self::processes::Signal;
use crate::compose::label;
use crate::engine::{Channel, EngineError, HealthState, Host, Life, Seen};
use crate::job::{ExecSpec, ExecTarget};

/// Variable that marks the processes of a run inside the target.
pub const MARKER: &str = "TENDER_RUN";

/// Exit code of a command that was stopped.
const STOPPED: i64 = 143;

/// How long the end of a killed command is waited for.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// A holder: which stack and run it works for.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// Compose project of the stack.
    pub stack: &'a str,
    /// Id of the run.
    pub run: &'a str,
    /// Time between the stop signal and the kill.
    pub grace: Duration,
}

/// Runs the command as the body of this process: its output goes to standard output and error, a
/// SIGTERM is handed on.
///
/// # Errors
/// When there is no target, or the engine refuses the command.
pub async fn run(host: &impl Host, holder: Holder<'_>, spec: &ExecSpec) -> Result<i64> {
    let mut term = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let stop = async {
        term.recv().await;
    };
    let mut broken = None;
    let mut write = |channel: Channel, bytes: &[u8]| {
        let done = match channel {
            Channel::Out => std::io::stdout().write_all(bytes).and_then(|()| std::io::stdout().flush()),
            Channel::Err => std::io::stderr().write_all(bytes),
        };
        broken = broken.take().or(done.err());
    };
    let code = holder.run(host, spec, stop, &mut write).await?;
    match broken {
        Some(error) => Err(error).context("failed to pass on the output"),
        None => Ok(code),
    }
}

impl Holder<'_> {
    /// Runs the command in each target and hands its output to `out`; the first code that is not 0
    /// counts. When `stop` is there, the command is told to stop, and killed after the grace.
    ///
    /// # Errors
    /// When there is no target, or the engine refuses the command.
    pub async fn run(
        &self,
        host: &impl Host,
        spec: &ExecSpec,
        stop: impl Future<Output = ()>,
        out: &mut dyn FnMut(Channel, &[u8]),
    ) -> Result<i64> {
        let mut spec = spec.clone();
        spec.env.0.insert(MARKER.to_owned(), self.run.to_owned());
        let targets = targets(host, self.stack, &spec.target).await?;
        let mut stop = std::pin::pin!(stop);
        let mut first = 0;
        for target in targets {
            let mut command = std::pin::pin!(host.exec(&target.id, &spec, out));
            let ended = tokio::select! {
                biased;
                () = &mut stop => {
                    self.end(command).await;
                    return Ok(STOPPED);
                }
                ended = &mut command => ended,
            };
            let code = ended.with_context(|| format!("failed to execute in {}", target.name))?;
            if first == 0 {
                first = code;
            }
        }
        Ok(first)
    }

    /// Stops the marked processes; they are seen when this process shares the target's PID namespace.
    async fn end(&self, mut command: impl Future<Output = Result<i64, EngineError>> + Unpin) {
        let mark = format!("{MARKER}={}", self.run);
        for (sent, wait) in [(Signal::TERM, self.grace), (Signal::KILL, AFTER_KILL)] {
            let found = processes::send(Path::new("/proc"), &mark, sent);
            tracing::info!("sent {sent:?} to {found} processes of run {}", self.run);
            if tokio::time::timeout(wait, &mut command).await.is_ok() {
                return;
            }
        }
        tracing::warn!("the command of run {} did not end and goes on in its container", self.run);
    }
}

/// The containers that a command goes to.
async fn targets(host: &impl Host, stack: &str, target: &ExecTarget) -> Result<Vec<Seen>> {
    match target {
        ExecTarget::Container(name) => match host.look(name).await? {
            Some(seen) if seen.life == Life::Running => Ok(vec![seen]),
            Some(_) => bail!("container {name} is not running; `docker start {name}` starts it"),
            None => bail!("there is no container {name}"),
        },
        ExecTarget::Service(service) => {
            let mut running = running(host, stack, service).await?;
            running.truncate(1);
            Ok(running)
        }
        ExecTarget::Project { project, service } => match running(host, project, service).await {
            Ok(found) => Ok(found),
            Err(none) => {
                let named = named(host, project, service).await?;
                if named.is_empty() { Err(none) } else { Ok(named) }
            }
        },
    }
}

/// The running containers that are called as the first compose called those of a service, whoever
/// made them: `<project>_<service>_<number>`, with any one letter before the number.
async fn named(host: &impl Host, project: &str, service: &str) -> Result<Vec<Seen>> {
    let front = format!("{project}_{service}");
    let number = |name: &str| {
        let mut rest = name.strip_prefix(&front)?.chars();
        rest.next()?;
        rest.as_str().parse::<u32>().ok()
    };
    let mut found = Vec::new();
    for id in host.list(&[]).await? {
        found.extend(host.look(&id).await?.filter(|seen| seen.life == Life::Running && number(&seen.name).is_some()));
    }
    found.sort_by_key(|seen| number(&seen.name));
    Ok(found)
}

/// The running containers of a service: healthy ones first, then by number. At least one.
async fn running(host: &impl Host, project: &str, service: &str) -> Result<Vec<Seen>> {
    let mut found = host.project(project).await?;
    found.retain(|seen| {
        label::service_of(&seen.labels) == Some(service)
            && !label::is_oneoff(&seen.labels)
            && seen.life == Life::Running
    });
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
        bail!(
            "service {service} of project {project} has no running container; `docker compose up -d {service}` starts it"
        );
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fake::{Fake, Gate, Script};

    fn spec(target: ExecTarget) -> ExecSpec {
        ExecSpec {
            target,
            command: vec!["work".to_owned()],
            env: crate::secret::Environment::default(),
            user: None,
            workdir: None,
            privileged: false,
            direct: false,
        }
    }

    fn holder() -> Holder<'static> {
        Holder { stack: "stack", run: "0123456789ab", grace: Duration::from_secs(10) }
    }

    async fn ran(fake: &Fake, target: ExecTarget) -> (Result<i64>, String) {
        let mut said = Vec::new();
        let mut out = |_: Channel, bytes: &[u8]| said.extend_from_slice(bytes);
        let code = holder().run(fake, &spec(target), std::future::pending(), &mut out).await;
        (code, String::from_utf8(said).unwrap())
    }

    fn service(name: &str) -> ExecTarget {
        ExecTarget::Service(name.to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_is_served_by_its_healthy_container() {
        let fake = Fake::new();
        for name in ["web-1", "web-2", "web-3"] {
            fake.service("stack", "web", name);
        }
        fake.service("other", "web", "other-web-1");
        fake.set_health("web-1", HealthState::Unhealthy);
        fake.set_health("web-3", HealthState::Healthy);
        fake.script_exec("web-3", Script::exits(7).out("done\n").err("oh\n"));
        let (code, said) = ran(&fake, service("web")).await;
        assert_eq!((code.unwrap(), said.as_str()), (7, "done\noh\n"));
        assert_eq!(fake.calls_of("exec"), ["web-3 work"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_project_is_served_whole_and_the_first_failure_counts() {
        let fake = Fake::new();
        fake.service("old", "web", "web-1");
        fake.service("old", "web", "web-2");
        fake.service("old", "db", "db-1");
        fake.script_exec("web-1", Script::exits(3));
        let target = ExecTarget::Project { project: "old".to_owned(), service: "web".to_owned() };
        assert_eq!(ran(&fake, target).await.0.unwrap(), 3);
        assert_eq!(fake.calls_of("exec"), ["web-1 work", "web-2 work"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_project_without_labels_is_found_by_names() {
        let fake = Fake::new();
        for name in ["old_web_10", "old_web_2", "old_web_x", "old_website_1", "old_web_3", "xold_web_1"] {
            fake.service("none", "none", name);
        }
        fake.edit("old_web_3", |seen| seen.life = Life::Exited);
        let target = |service: &str| ExecTarget::Project { project: "old".to_owned(), service: service.to_owned() };
        assert_eq!(ran(&fake, target("web")).await.0.unwrap(), 0);
        assert_eq!(fake.calls_of("exec"), ["old_web_2 work", "old_web_10 work"]);
        let error = ran(&fake, target("db")).await.0.unwrap_err().to_string();
        assert!(error.contains("has no running container"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_that_does_not_run_is_named_with_the_way_out() {
        let fake = Fake::new();
        fake.service("stack", "web", "web-1");
        fake.edit("web-1", |seen| seen.life = Life::Exited);
        for (target, words) in [
            (service("web"), "docker compose up -d web"),
            (ExecTarget::Container("web-1".to_owned()), "docker start web-1"),
            (ExecTarget::Container("absent".to_owned()), "no container absent"),
        ] {
            let error = ran(&fake, target).await.0.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(fake.calls_of("exec"), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_the_command_but_not_for_ever() {
        let fake = Fake::new();
        fake.service("stack", "web", "web-1");
        fake.script_exec("web-1", Script::default().out("begun\n").waits(&Gate::new()));
        let mut said = Vec::new();
        let mut out = |_: Channel, bytes: &[u8]| said.extend_from_slice(bytes);
        let begin = tokio::time::Instant::now();
        let stop = tokio::time::sleep(Duration::from_secs(1));
        let code = holder().run(&fake, &spec(service("web")), stop, &mut out).await.unwrap();
        assert_eq!((code, said.as_slice()), (143, &b"begun\n"[..]));
        assert_eq!(begin.elapsed(), Duration::from_secs(1) + Duration::from_secs(10) + AFTER_KILL);
    }
}
