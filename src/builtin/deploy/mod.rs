//! The built-in `autodeploy`: brings the stack from the last good revision vector to the newest
//! one, completely or not at all. It runs in a container of its own, next to the scheduler, and
//! keeps a journal so that another one can go on wherever this one was cut off.

mod adopt;
mod conditional;
pub mod context;
mod first;
pub mod gate;
mod hooks;
mod lines;
mod look;
pub mod plan;
mod rendering;
mod rollback;
mod services;
pub mod stage;
mod step;
pub mod target;
mod transaction;
pub mod up;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::config::{HostKeys, Installation, Settings};
use crate::engine::{EngineError, Host};
use crate::git::{Git, GitOptions, HostKeyPolicy, Network};
use crate::journal::deploy::Ledgers;
use crate::run::{CheckoutVerdict, DeployRecord, RunId, ServicePlan};
use context::{Context, StopFlag};

/// Longest time for one request of git work, a fetch included.
const GIT_LIMIT: Duration = Duration::from_secs(600);

/// How an `autodeploy` ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// Nothing new, or this stack was adopted as it is.
    Nothing,
    /// Some checkout holds it back, or the vector is known to be bad.
    Blocked(Vec<String>),
    /// A remote could not be asked.
    Unreachable(Vec<String>),
    /// A deploy came to an end.
    Recorded(Box<DeployRecord>),
    /// Somebody else deploys this stack.
    Locked,
}

/// What the job writes for its run record.
#[derive(Debug, Clone, Serialize)]
pub struct ResultDocument {
    /// `nothing-new`, `blocked`, `unreachable`, `locked`, `refused`, or the outcome of the deploy.
    pub outcome: String,
    /// What was found at each checkout.
    pub checkouts: Vec<CheckoutVerdict>,
    /// Why.
    pub reasons: Vec<String>,
    /// The record of the deploy, where there was one.
    pub deploy: Option<DeployRecord>,
}

/// What somebody asked of a deploy beyond its usual way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes {
    /// Go through the transaction although nothing is new, and try a bad vector once more.
    pub force: bool,
}

/// Makes the context of a deploy.
///
/// # Errors
/// When the own program cannot be found, or the state dir is on no path of the host.
pub async fn context<H: Host>(
    host: H,
    settings: Settings,
    installation: Installation,
    run: RunId,
    stack_env: BTreeMap<String, String>,
    stop: StopFlag,
) -> Result<Context<H>> {
    let git = Git::new(GitOptions {
        program: std::env::current_exe().context("the own program cannot be found")?,
        key_dir: settings.key_dir.clone(),
        known_hosts: settings.state_dir.join("known_hosts"),
        host_keys: match settings.host_keys {
            HostKeys::AcceptNew => HostKeyPolicy::AcceptNew,
            HostKeys::Strict => HostKeyPolicy::Strict,
        },
        deadline: GIT_LIMIT,
        compose_dir: Some(settings.compose_dir.clone()),
        network: Network { proxies: settings.proxies.clone(), ca_file: settings.ca_file.clone() },
    });
    let ledgers = Ledgers::below(&settings.state_dir);
    let state_on_host = match host.me().await {
        Ok(Some(me)) => me
            .seen
            .mounts
            .iter()
            .find(|m| m.target == settings.state_dir)
            .map_or_else(|| settings.state_dir.clone(), |m| m.source.clone()),
        // Outside a container, or without an engine, the state dir is where it is.
        Ok(None) | Err(EngineError::Unavailable(_)) => settings.state_dir.clone(),
        Err(error) => return Err(error.into()),
    };
    Ok(Context { host, git, settings, installation, ledgers, run, stack_env, stop, state_on_host })
}

/// Brings the stack to the newest vector.
///
/// # Errors
/// When the state dir cannot be read or written, or the engine fails where it is needed.
pub async fn run<H: Host>(context: &Context<H>, wishes: Wishes) -> Result<(Ended, ResultDocument)> {
    let mut checkouts = Vec::new();
    let ended = transaction::run(context, wishes, &mut checkouts).await?;
    let (outcome, reasons, deploy) = match &ended {
        Ended::Nothing => ("nothing-new".to_owned(), vec![], None),
        Ended::Blocked(why) => ("blocked".to_owned(), why.clone(), None),
        Ended::Unreachable(why) => ("unreachable".to_owned(), why.clone(), None),
        Ended::Locked => ("locked".to_owned(), vec![], None),
        Ended::Recorded(record) => {
            let word = serde_json::to_value(record.outcome)?.as_str().unwrap_or_default().to_owned();
            (word, record.reason.clone().into_iter().collect(), Some((**record).clone()))
        }
    };
    Ok((ended, ResultDocument { outcome, checkouts, reasons, deploy }))
}

/// What `tender plan` shows.
#[derive(Debug, Clone, Serialize)]
pub struct PlanDocument {
    /// What was found at each checkout.
    pub checkouts: Vec<CheckoutVerdict>,
    /// What would happen to each service; `None` when no engine answers.
    pub services: Option<Vec<ServicePlan>>,
    /// Files made from templates that differ from what lies there.
    pub rendered: Vec<PathBuf>,
    /// What holds the deploy back.
    pub blocked: Vec<String>,
}

/// Fetches, stages and explains; pulls and builds nothing, touches nothing.
///
/// # Errors
/// When the state dir cannot be read or written.
pub async fn explain<H: Host>(context: &Context<H>) -> Result<PlanDocument> {
    transaction::explain(context).await
}

/// Short form of a commit for people.
pub(crate) fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}
