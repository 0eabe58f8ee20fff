//! Reading the configuration, from wherever the command runs.
//!
//! Inside the scheduler's own container a stack's shell files are evaluated in a throwaway
//! container, as the scheduler itself does it; anywhere else directly, without any engine.

use anyhow::bail;

use super::context::Context;
use super::failure::Failure;
use super::{exit, out};
use crate::config::{self, Installation, LoadError, Loaded, ProcessProbe, Settings, Severity};
use crate::engine::docker::Docker;
use crate::engine::{Host, Me};
use crate::job::{Action, ContainerSpec, Job, MountSource, ServiceRun};
use crate::runner::container::container_of_run;
use crate::runner::installation::{self, SOCKET};
use crate::runner::labels::Identity;
use crate::runner::probe::ContainerProbe;
use crate::runner::{Room, oneoff};
use crate::secret::Environment;

/// The configuration, or why there is none.
///
/// # Errors
/// When it cannot be read as a whole; the exit code is decided.
pub(super) async fn loaded(context: &Context) -> anyhow::Result<Loaded> {
    try_loaded(context).await?.map_err(failure)
}

/// As [`loaded`], with the reason why there is none as a value.
pub(super) async fn try_loaded(context: &Context) -> anyhow::Result<Result<Loaded, LoadError>> {
    // The question of the scheduler itself, so that both always read the same.
    let request = context.options(Box::new(|_| ()))?.request();
    Ok(match deployed(context).await {
        Some((engine, installation)) => {
            let probe = ContainerProbe::new(&engine, &installation, "config");
            let mut loaded = config::load(&probe, &request, &installation).await;
            if let (Ok(loaded), Some(known)) = (&mut loaded, oneoff::known_services(&context.state_dir())) {
                loaded.problems.extend(config::unknown_services(&loaded.jobs, &known));
            }
            loaded
        }
        None => config::load(&ProcessProbe::new(std::env::current_exe()?), &request, &on_a_desk()).await,
    })
}

/// The configuration where reading it costs no container; whatever is wrong with it does not matter.
pub(super) async fn cheaply(context: &Context) -> Option<Loaded> {
    if context.compose_dir().is_err() || deployed(context).await.is_some() {
        return None;
    }
    loaded(context).await.ok()
}

/// Where Tender is installed.
pub(super) async fn installation(context: &Context) -> Installation {
    deployed(context).await.map_or_else(on_a_desk, |(_, installation)| installation)
}

/// The container that an action of a job runs in. The run itself adds labels, and its own id to the
/// environment.
pub(super) fn container(
    action: &Action,
    extra: &Environment,
    job: Option<&Job>,
    loaded: &Loaded,
    installation: &Installation,
) -> ContainerSpec {
    container_of_run(action, extra, job, &loaded.settings, installation, &loaded.paths)
}

/// The container of a service-run, as it would be created now.
///
/// # Errors
/// When it could not be created, or what it is made of cannot be asked for from here.
pub(super) async fn one_off(context: &Context, run: &ServiceRun, loaded: &Loaded) -> anyhow::Result<ContainerSpec> {
    let Some((engine, installation)) = deployed(context).await else {
        bail!("the container of a service-run can be shown in the scheduler's own container only");
    };
    let identity = Identity {
        stack: loaded.settings.project.clone(),
        instance: installation.instance.clone(),
        generation: 0,
        parent: None,
    };
    let room = Room {
        identity,
        settings: Settings { state_dir: context.state_dir(), ..loaded.settings.clone() },
        installation,
        paths: loaded.paths.clone(),
        stack_env: context.options(Box::new(|_| ()))?.stack_environment(),
    };
    let (spec, remarks) = oneoff::container(&engine, run, &room).await?;
    remarks.iter().for_each(out::remark);
    Ok(spec)
}

/// The error with its exit code: that of missing configuration, or what kept the look from succeeding.
pub(super) fn failure(error: LoadError) -> anyhow::Error {
    match error {
        LoadError::Missing { .. } => Failure::config(error.to_string()),
        LoadError::Probe(why) => why.context("the configuration cannot be looked at"),
    }
}

/// Reports what was refused on standard error, and gives the exit code.
pub(super) fn report(loaded: &Loaded) -> u8 {
    for problem in &loaded.problems {
        if problem.severity == Severity::Error {
            out::remark(problem);
        }
    }
    if loaded.has_errors() { exit::CONFIG } else { exit::DONE }
}

/// The engine and the installation, where this process runs in the scheduler's own container: the
/// one that has the state dir mounted. Another container (a developer's, a CI job's) is as good as
/// a desk, and so is a machine whose engine does not answer.
pub(super) async fn deployed(context: &Context) -> Option<(Docker, Installation)> {
    let engine = Docker::connect(context.variable("DOCKER_HOST")).ok()?;
    let Me { seen } = engine.me().await.ok()??;
    let state_dir = context.state_dir();
    seen.mounts.iter().find(|mount| mount.target == state_dir)?;
    let instance = std::fs::read_to_string(state_dir.join(INSTANCE)).unwrap_or_default().trim().to_owned();
    let installation = installation::find(&engine, &seen.image, &state_dir, instance).await.ok()?;
    Some((engine, installation))
}

/// File of the state dir that holds its random id.
const INSTANCE: &str = "instance";

/// What stands for an installation where there is none.
fn on_a_desk() -> Installation {
    Installation {
        image: concat!("tender:", env!("CARGO_PKG_VERSION")).to_owned(),
        socket: SOCKET.into(),
        state: MountSource::Volume("tender-state".to_owned()),
        instance: String::new(),
    }
}
