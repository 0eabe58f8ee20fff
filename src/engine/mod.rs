//! The seam to the container engine: two traits, shaped by what Tender needs.
//!
//! [`Runs`] is the life of one container; [`Host`] is what the scheduler and the built-ins need
//! beyond it. `docker` is the only user of the client library; `fake` stands in for tests.

pub mod docker;
pub mod fake;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::Stream;
use serde::{Deserialize, Serialize};

use crate::job::{ContainerSpec, PullPolicy};
use crate::secret::Secret;

/// What can go wrong at the engine, as far as a caller decides by it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no such container, image, network or volume.
    #[error("not found: {0}")]
    NotFound(String),
    /// The name is taken, or the object is in another state than needed.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The engine does not answer: no socket, no permission, connection refused, broken off.
    #[error("the engine is not reachable: {0}")]
    Unavailable(String),
    /// It answered something that cannot be understood.
    #[error("the engine answered something unexpected: {0}")]
    Protocol(String),
    /// It refused, and said why.
    #[error("{0}")]
    Other(String),
}

/// The result of a call to the engine.
pub type Result<T> = std::result::Result<T, EngineError>;

/// What an engine gives as the code of a command that it has lost sight of.
pub const EXEC_CUT_OFF: i64 = 126;

/// The engine itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// Its own id; another id means another engine.
    pub id: String,
    /// Version of the program.
    pub version: String,
    /// API version in use, such as `1.41`.
    pub api: String,
    /// Folder of its data.
    pub data_root: PathBuf,
}

/// How the engine process that answers has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineStart {
    /// When, by its own clock. What it found running and did not keep had ended by then.
    pub at: DateTime<Utc>,
    /// The containers that it ended itself as it began, and when: the process before it has crashed.
    pub swept: BTreeMap<String, DateTime<Utc>>,
}

/// An image that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its id (`sha256:…`).
    pub id: String,
    /// Why the local one had to serve although a pull was asked for.
    pub warning: Option<String>,
}

/// The answer to a create.
#[derive(Debug, Clone, PartialEq)]
pub enum Created {
    /// A new container of this id.
    New(String),
    /// The name belongs to this container already.
    Taken(Box<Seen>),
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Life {
    /// Never started.
    Created,
    /// Running, paused or restarting.
    Running,
    /// Ended. Starting it would run it again.
    Exited,
    /// Being removed, or dead.
    Removing,
}

/// What `inspect` says of a container.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its full id.
    pub id: String,
    /// Its name, without the slash.
    pub name: String,
    /// Where it is in its life.
    pub life: Life,
    /// Exit code, once it has ended.
    pub exit_code: Option<i64>,
    /// The kernel killed it for its memory.
    pub oom: bool,
    /// When it was started last.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended last.
    pub finished_at: Option<DateTime<Utc>>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Id of its image.
    pub image: String,
    /// How often the engine restarted it.
    pub restart_count: i64,
    /// Its health check.
    pub health: HealthState,
    /// Its restart policy: `no`, `always`, `unless-stopped` or `on-failure`.
    pub restart_policy: String,
    /// Settings of its health check, where it has one.
    pub healthcheck: Option<Healthcheck>,
    /// Its mounts.
    pub mounts: Vec<SeenMount>,
    /// Names of its networks.
    pub networks: Vec<String>,
    /// Time between its stop signal and the kill, where it was created with one.
    pub stop_timeout: Option<Duration>,
    /// PID of its main process on the host.
    pub pid: Option<i64>,
}

/// What the engine says about a container's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthState {
    /// It has no health check.
    None,
    /// Not decided yet.
    Starting,
    /// Well.
    Healthy,
    /// Not well.
    Unhealthy,
}

/// Settings of a health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Healthcheck {
    /// Time between probes.
    pub interval: Duration,
    /// Time limit of a probe.
    pub timeout: Duration,
    /// Time in which failures do not count.
    pub start_period: Duration,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
}

/// One mount of a container that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenMount {
    /// `bind`, `volume` or `tmpfs`.
    pub kind: String,
    /// Name of the volume.
    pub name: Option<String>,
    /// Path on the host.
    pub source: PathBuf,
    /// Path inside.
    pub target: PathBuf,
    /// Whether it may be written to.
    pub writable: bool,
}

/// One of the two streams of a container's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// One piece of output as the engine stored it: at most 16 KiB, not always a whole line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Which stream.
    pub channel: Channel,
    /// The engine's time stamp, nanoseconds since 1970. All pieces of one line carry the same.
    pub time_ns: i64,
    /// The bytes, time stamp stripped.
    pub bytes: Vec<u8>,
}

/// The scheduler's own container.
#[derive(Debug, Clone, PartialEq)]
pub struct Me {
    /// All that `inspect` says.
    pub seen: Seen,
}

/// The life of one container.
#[allow(async_fn_in_trait, reason = "one runtime thread; no caller needs Send futures")]
pub trait Runs {
    /// Asks the engine who it is.
    async fn info(&self) -> Result<EngineInfo>;
    /// From now on images are pulled with these registry logins, the text of a `config.json`.
    fn set_logins(&self, text: Option<Secret<String>>);
    /// Makes sure that an image is there, pulling it as the policy says.
    async fn ensure_image(&self, image: &str, pull: PullPolicy) -> Result<Image>;
    /// Creates a container under a name. `Taken` when the name belongs to another one.
    async fn create(&self, name: &str, spec: &ContainerSpec) -> Result<Created>;
    /// Starts a container that was never started. Callers ask `look` first: an exited one would run again.
    async fn start(&self, id: &str) -> Result<()>;
    /// Inspects by id or name; `None` when there is none.
    async fn look(&self, id_or_name: &str) -> Result<Option<Seen>>;
    /// Ids of all containers, running or not, that carry all these labels (an empty value matches any).
    async fn list(&self, labels: &[(&str, &str)]) -> Result<Vec<String>>;
    /// The output from `since_ns` (inclusive, 0 for all), following until the container has ended.
    fn output(&self, id: &str, since_ns: i64) -> impl Stream<Item = Result<Frame>>;
    /// One pass over its log from `since_ns` on: what is there and, while it runs, what comes. A
    /// pass that began while it ran may lack the last lines (always those without a line break on
    /// 20.10); one that begins after its end is complete.
    fn log(&self, id: &str, since_ns: i64) -> impl Stream<Item = Result<Frame>>;
    /// Waits for the end of a container that this process has started, as far as the engine tells
    /// of it by itself, and gives the exit code; `None` at once where it does not: ask with `exit`.
    async fn ended(&self, id: &str) -> Option<i64>;
    /// Waits until it does not run and gives its exit code. Asked after `start` only: a container
    /// that was never started answers 0 at once. Ends with code 3: `Ok(3)`.
    async fn exit(&self, id: &str) -> Result<i64>;
    /// Sends the stop signal, waits for `grace`, kills.
    async fn stop(&self, id: &str, grace: Duration) -> Result<()>;
    /// Removes a container and its anonymous volumes, running or not. Gone already is fine.
    async fn remove(&self, id: &str) -> Result<()>;
    /// How the engine process that answers has begun; `None` where it does not tell.
    async fn begun(&self) -> Result<Option<EngineStart>> {
        Ok(None)
    }
}

/// What the scheduler and the built-ins need beyond the life of one container.
#[allow(async_fn_in_trait, reason = "one runtime thread; no caller needs Send futures")]
pub trait Host: Runs {
    /// The container that this process runs in, found by its mounts and cgroup, not by its host name.
    async fn me(&self) -> Result<Option<Me>>;
    /// Creates, attaches, starts, hands each piece of output to `sink`, awaits the end, removes
    /// whatever happens, and gives the exit code. The log driver is `none` whatever the spec says:
    /// nothing of it reaches the engine's log files. At `timeout` it is killed: `Err(Other)`.
    async fn attach_once(
        &self,
        name: &str,
        spec: &ContainerSpec,
        timeout: Duration,
        sink: &mut dyn FnMut(Channel, &[u8]),
    ) -> Result<i64>;
    /// Prepares a command in a running container, by id or name. Nothing runs yet; the engine
    /// forgets what was never started. `Conflict` when the container does not run.
    async fn exec_create(&self, id_or_name: &str, spec: &crate::job::ExecSpec) -> Result<String>;
    /// Starts what was prepared, hands each piece of output to `sink`, and gives the exit code.
    /// When the connection breaks off the command goes on, and nobody can take it up again.
    async fn exec_start(&self, exec: &str, sink: &mut dyn FnMut(Channel, &[u8])) -> Result<i64>;
    /// The exit code of a command that was started; `None` while it runs. Where its connection broke
    /// off the engine may give [`EXEC_CUT_OFF`], whatever the command does. `NotFound` when the
    /// engine does not know it (any more), or it never began.
    async fn exec_look(&self, exec: &str) -> Result<Option<i64>>;
    /// Runs a command in a running container and hands each piece of output to `sink`.
    async fn exec(&self, id: &str, spec: &crate::job::ExecSpec, sink: &mut dyn FnMut(Channel, &[u8])) -> Result<i64> {
        let exec = self.exec_create(id, spec).await?;
        self.exec_start(&exec, sink).await
    }
    /// All containers of a compose project, one-offs included, by inspect.
    async fn project(&self, project: &str) -> Result<Vec<Seen>>;
    /// Names of the volumes of a compose project.
    async fn project_volumes(&self, project: &str) -> Result<Vec<String>>;
    /// Whether there is a volume of this name.
    async fn has_volume(&self, name: &str) -> Result<bool>;
    /// Renames a container.
    async fn rename(&self, id: &str, name: &str) -> Result<()>;
    /// The id of an image, `None` when it is not there.
    async fn image_id(&self, image: &str) -> Result<Option<String>>;
    /// Gives an image a further name, as `repository:tag`.
    async fn image_tag(&self, image: &str, name: &str) -> Result<()>;
    /// Takes a name from an image; the image goes when it was the last one. Gone already is fine.
    async fn image_untag(&self, name: &str) -> Result<()>;
    /// Names (`repository:tag`) of all images whose name begins so.
    async fn image_names(&self, prefix: &str) -> Result<Vec<String>>;
    /// The last lines of a container's log, for a message to a person.
    async fn tail(&self, id: &str, lines: usize) -> Result<String>;
}
