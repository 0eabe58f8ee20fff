//! The validated settings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::probe::Collected;
use super::raw::RawSettings;
use super::validate::{Written, validate};
use crate::secret::Environment;

/// Everything that one value of the configuration decides. No strings left to parse. The container
/// of a built-in receives it as the JSON text of `TENDER_SETTINGS`; of secrets it holds only the
/// credentials of proxies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Folder of the stack's `docker-compose.yml`.
    pub compose_dir: PathBuf,
    /// The stack's `env.local`, as named (it may be a symlink).
    pub env_local: PathBuf,
    /// Compose project of the stack.
    pub project: String,
    /// All checkouts of the stack: the one around `compose_dir` first, then `AUTODEPLOY_EXTRA_REPOS`.
    pub checkouts: Vec<PathBuf>,
    /// Zone in which schedules are read.
    pub timezone: Tz,
    /// Folder of the scheduler's state, inside its container.
    pub state_dir: PathBuf,
    /// Folder of the logs; same path on the host.
    pub log_dir: PathBuf,
    /// Form of the scheduler's own log.
    pub log_format: LogFormat,
    /// Filter of the scheduler's own log, such as `info`.
    pub log_level: String,
    /// How many runs may be under way at once.
    pub max_running: usize,
    /// Time between stop signal and kill where a job does not say.
    pub grace: Duration,
    /// A run that writes more bytes than this is stopped.
    pub max_output: u64,
    /// How many finished runs are kept in the store, and the output of how many.
    pub keep_runs: usize,
    /// How old they may become.
    pub keep_for: Duration,
    /// How many bytes their output may take together, compressed.
    pub keep_output: u64,
    /// How long catching up waits after the host has booted.
    pub start_delay: Duration,
    /// Tender's own image, for built-ins and probes.
    pub image: String,
    /// Schedule of the job `autodeploy`.
    pub platform_frequency: String,
    /// Folder of deploy keys; read-only.
    pub key_dir: Option<PathBuf>,
    /// What happens with unknown host keys.
    pub host_keys: HostKeys,
    /// `uid:gid` that all files of the checkouts get after a deploy.
    pub code_ownership: Option<(u32, u32)>,
    /// Whether one blocked checkout holds back the others.
    pub snapshot: Snapshot,
    /// Command that takes the place of `docker compose` for `up`; `None`: the main checkout's own
    /// wrapper where it has one.
    pub compose_command: Option<PathBuf>,
    /// Image of the container in which the wrapper runs.
    pub autodeploy_image: Option<String>,
    /// Further options of `up`.
    pub up_options: Vec<String>,
    /// How long a service without a health check must run before it counts as well.
    pub gate_soak: Duration,
    /// Least time that services get to become healthy.
    pub gate_timeout: Duration,
    /// Bytes that must be free before a deploy begins.
    pub min_free: u64,
    /// Folder or file with the registry logins.
    pub docker_config: Option<PathBuf>,
    /// Address of the engine, as in `DOCKER_HOST`; `None` for the usual socket.
    pub docker_host: Option<String>,
    /// Further paths that the configuration probe may read.
    pub probe_dirs: Vec<PathBuf>,
    /// Default limit of processes in a job's container.
    pub pids_limit: i64,
    /// Jobs of the user run hardened where they do not say otherwise.
    pub job_hardened: bool,
    /// What becomes of a job that has a built-in's name and runs its legacy script.
    pub legacy_jobs: LegacyJobs,
    /// Whether jobs may run commands on the host itself.
    pub host_jobs: bool,
    /// Whether jobs get the proxies of the scheduler.
    pub job_proxy: bool,
    /// Whether services with a restart policy are started that went down with the engine.
    pub revive: bool,
    /// Whether a deploy renders `*.template` files.
    pub templates: Templates,
    /// How much later than its schedule `autodeploy` starts at most, by a share of the host's own.
    pub poll_jitter: Duration,
    /// The variables of the proxies, in both spellings.
    pub proxies: Environment,
    /// Further certificate authorities, PEM.
    pub ca_file: Option<PathBuf>,
    /// How often files are looked at that the scheduler itself cannot see; `None` for never.
    pub config_poll: Option<Duration>,
}

impl Settings {
    /// What holds where nothing is set, for the stack in this folder.
    pub fn defaults(compose_dir: &Path) -> Self {
        let collected = Collected {
            compose_dir: compose_dir.to_owned(),
            env_local: compose_dir.join("env.local"),
            checkout: Some(compose_dir.to_owned()),
            ..Collected::default()
        };
        validate(RawSettings::default(), &Written::new(), &collected, "stack", &mut Vec::new())
    }
}

/// Where Tender itself is installed: what the containers of built-ins are made of. Found from the
/// scheduler's own container; the defaults serve on a developer's machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Image id or name of Tender.
    pub image: String,
    /// Path of the engine's socket on the host.
    pub socket: PathBuf,
    /// The state: a volume's name or a folder of the host.
    pub state: crate::job::MountSource,
    /// Random id of the state dir.
    pub instance: String,
}

/// Form of the scheduler's own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON document a line.
    Json,
}

/// What happens with the key of a host that is not known yet. A changed key is always refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostKeys {
    /// It is accepted and remembered.
    #[default]
    AcceptNew,
    /// It is refused.
    Strict,
}

/// Whether one blocked checkout holds back the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Snapshot {
    /// All checkouts move together or not at all.
    #[default]
    All,
    /// Those that can, move.
    Available,
}

/// What becomes of a job that has a built-in's name and runs its legacy script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LegacyJobs {
    /// The built-in runs in its place, on its schedule.
    #[default]
    TakeOver,
    /// It runs as it is written.
    Keep,
}

/// Whether a deploy renders `*.template` files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Templates {
    /// Where services are started.
    #[default]
    Render,
    /// Never (`BIRDHOUSE_COMPOSE_TEMPLATE_SKIP`).
    Skip,
    /// Whatever is done (`BIRDHOUSE_COMPOSE_TEMPLATE_FORCE`).
    Force,
}
