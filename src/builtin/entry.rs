//! Where the program of a throwaway container begins: its settings from the environment, its
//! result document, its exit code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use super::deploy::context::StopFlag;
use super::deploy::{self, Ended, Wishes};
use super::holder::Holder;
use crate::config::Settings;
use crate::engine::docker::Docker;
use crate::job::ExecSpec;
use crate::run::{DeployOutcome, RunId};
use crate::runner::installation;
use crate::runner::labels::Identity;
use crate::runner::signal::WISH;

/// Exit codes of built-ins; those of the command line.
mod exit {
    pub const DONE: u8 = 0;
    pub const FAILED: u8 = 1;
    pub const BLOCKED: u8 = 3;
    pub const UNAVAILABLE: u8 = 69;
    pub const LOCKED: u8 = 75;
}

/// What a built-in gets from outside.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The settings in force.
    pub settings: Settings,
    /// The run that it is; a new one when it was started by hand.
    pub run: RunId,
    /// Random id of the state dir.
    pub instance: String,
    /// Where the result document goes.
    pub result: Option<PathBuf>,
    /// Process environment of the scheduler, which outranks the stack's files.
    pub stack_env: BTreeMap<String, String>,
    /// A deploy goes through the transaction although nothing is new.
    pub force: bool,
}

impl Entry {
    /// Reads what the scheduler has put into the container's environment. `None` when nothing is
    /// there: it was started by hand.
    ///
    /// # Errors
    /// When the settings cannot be read.
    pub fn from_environment(env: &BTreeMap<String, String>) -> Result<Option<Self>> {
        let Some(text) = env.get("TENDER_SETTINGS") else { return Ok(None) };
        let settings = serde_json::from_str(text).context("TENDER_SETTINGS is damaged")?;
        Ok(Some(Self::by_hand(settings, env)))
    }

    /// The same for a start by hand, with settings from elsewhere.
    pub fn by_hand(settings: Settings, env: &BTreeMap<String, String>) -> Self {
        Self {
            settings,
            run: env.get("TENDER_RUN").map_or_else(RunId::random, |id| RunId(id.clone())),
            instance: env.get("TENDER_INSTANCE").cloned().unwrap_or_default(),
            result: env.get("TENDER_RESULT").map(PathBuf::from),
            stack_env: env.get("TENDER_STACK_ENV").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
            force: env.get("AUTODEPLOY_FORCE").is_some_and(|v| !v.is_empty() && v != "0" && v != "false"),
        }
    }
}

/// The built-in `autodeploy`.
///
/// # Errors
/// When the state dir cannot be used, or the engine is needed and does not answer.
pub async fn autodeploy(entry: Entry) -> Result<u8> {
    let stop = StopFlag::default();
    let flag = stop.clone();
    let mut signal = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let listening = tokio::spawn(async move {
        while signal.recv().await.is_some() {
            flag.set();
        }
    });
    let context = deploy_context(&entry, stop).await?;
    let (ended, document) = deploy::run(&context, Wishes { force: entry.force }).await?;
    listening.abort();
    if let Some(path) = &entry.result {
        leave(path, &document)?;
    }
    Ok(match ended {
        Ended::Nothing => exit::DONE,
        Ended::Recorded(record) => match record.outcome {
            DeployOutcome::Committed | DeployOutcome::UpdateOnly => exit::DONE,
            DeployOutcome::RolledBack | DeployOutcome::Failed => exit::FAILED,
        },
        Ended::Blocked(_) => exit::BLOCKED,
        Ended::Unreachable(_) => exit::UNAVAILABLE,
        Ended::Locked => exit::LOCKED,
    })
}

/// What `tender plan` shows, made in the container in which a deploy would run.
///
/// # Errors
/// When the state dir cannot be used.
pub async fn plan(entry: Entry) -> Result<deploy::PlanDocument> {
    let context = deploy_context(&entry, StopFlag::default()).await?;
    deploy::explain(&context).await
}

async fn deploy_context(entry: &Entry, stop: StopFlag) -> Result<deploy::context::Context<Docker>> {
    let mut docker = Docker::connect(entry.settings.docker_host.as_deref())?;
    if let Some(logins) = &entry.settings.docker_config {
        docker = docker.with_logins(logins);
    }
    let installation =
        installation::find(&docker, &entry.settings.image, &entry.settings.state_dir, entry.instance.clone()).await?;
    deploy::context(docker, entry.settings.clone(), installation, entry.run.clone(), entry.stack_env.clone(), stop)
        .await
}

/// The program of the stage container.
///
/// # Errors
/// When it is not told where the stage is, or cannot leave its answer.
pub async fn stage(env: &BTreeMap<String, String>) -> Result<u8> {
    let Some(dir) = env.get("TENDER_STAGE") else {
        bail!("`tender job stage` is started by a deploy, which says in TENDER_STAGE where the stage is");
    };
    deploy::stage::main(Path::new(dir)).await?;
    Ok(exit::DONE)
}

/// The holder of an exec.
///
/// # Errors
/// When it is not told what to run, the target is not there, or the engine does not answer.
pub async fn hold(env: &BTreeMap<String, String>) -> Result<u8> {
    let Some(text) = env.get("TENDER_EXEC") else {
        bail!("`tender job exec` is started by the scheduler, which says in TENDER_EXEC what to run");
    };
    let spec: ExecSpec = serde_json::from_str(text).context("TENDER_EXEC is damaged")?;
    let docker = Docker::connect(env.get("DOCKER_HOST").map(String::as_str))?;
    let word = |name: &str| env.get(name).cloned().unwrap_or_default();
    let grace = word("TENDER_GRACE").parse().context("TENDER_GRACE is no number of milliseconds")?;
    let holder = Holder {
        identity: Identity {
            stack: word("TENDER_STACK"),
            instance: word("TENDER_INSTANCE"),
            // Of no interest to what it makes.
            generation: 0,
            parent: None,
        },
        run: RunId(word("TENDER_RUN")),
        image: word("TENDER_IMAGE"),
        grace: Duration::from_millis(grace),
    };
    let code = super::holder::run(&docker, &holder, &spec).await?;
    Ok(u8::try_from(code).unwrap_or(exit::FAILED))
}

/// Signals to processes of the container whose PID namespace this one shares.
///
/// # Errors
/// When it is not told what to do, or the processes cannot be seen.
pub fn signal(env: &BTreeMap<String, String>) -> Result<u8> {
    let Some(wish) = env.get(WISH) else {
        bail!("`tender job signal` is started by a run, which says in {WISH} what to do");
    };
    super::signal::main(wish)
}

fn leave(path: &Path, document: &impl Serialize) -> Result<()> {
    crate::journal::replace(path, &serde_json::to_vec(document)?)
}
