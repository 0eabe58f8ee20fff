//! What every step of a deploy works with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::config::{Installation, Settings};
use crate::engine::Host;
use crate::git::Git;
use crate::journal::deploy::{DeployState, Ledgers, Step};
use crate::run::{DeployStep, RunId};

/// What every step of a deploy works with.
pub struct Context<H> {
    /// The engine.
    pub host: H,
    /// Remotes and checkouts.
    pub git: Git,
    /// The configuration in force.
    pub settings: Settings,
    /// What containers of Tender's own are made of.
    pub installation: Installation,
    /// Journal and records.
    pub ledgers: Ledgers,
    /// The run that this deploy is.
    pub run: RunId,
    /// Process environment of the scheduler, which outranks the stack's files.
    pub stack_env: BTreeMap<String, String>,
    /// Set when somebody wants it to end: roll back now.
    pub stop: StopFlag,
    /// Where the state dir lies on the host, for mounts.
    pub state_on_host: PathBuf,
}

/// The reason of a deploy that was told to end. Being stopped says nothing about the vector.
pub const STOPPED: &str = "it was asked to stop";

/// Set by the stop signal; looked at between and during steps.
#[derive(Debug, Clone, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Asks the deploy to end.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to end.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits until it is asked to end.
    pub async fn asked(&self) {
        while !self.is_set() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl<H: Host> Context<H> {
    /// Says one line of the story; it becomes a line of `autodeploy.log`.
    #[expect(clippy::print_stdout, reason = "the body of a job talks through its output")]
    pub fn say(&self, line: impl AsRef<str>) {
        println!("{}", line.as_ref());
    }

    /// Makes a step durable before it is taken.
    ///
    /// # Errors
    /// When the journal cannot be written; nothing was changed then.
    pub fn enter(&self, state: &mut DeployState, step: Step) -> anyhow::Result<()> {
        state.step = step;
        self.ledgers.journal().write(state)
    }

    /// The main checkout: the one around the compose dir.
    pub fn main_checkout(&self) -> &Path {
        self.settings.checkouts.first().unwrap_or(&self.settings.compose_dir)
    }
}

/// Measures a step and notes how it ended.
#[derive(Debug)]
pub struct Stopwatch {
    name: &'static str,
    begun: Instant,
}

impl Stopwatch {
    /// Starts now.
    pub fn start(name: &'static str) -> Self {
        Self { name, begun: Instant::now() }
    }

    /// Notes the step as done.
    pub fn done<T>(self, state: &mut DeployState, result: &anyhow::Result<T>) -> Duration {
        let took = self.begun.elapsed();
        state.steps.push(DeployStep {
            name: self.name.to_owned(),
            outcome: result.as_ref().map_or_else(|e| format!("{e:#}"), |_| "ok".to_owned()),
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        });
        took
    }
}
