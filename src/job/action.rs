//! What a job does.

use serde::{Deserialize, Serialize};

use super::{ActionKind, Builtin, ContainerSpec, Http};

/// One action. A job has one main action and may have more after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A new container from any image.
    Run(Box<ContainerSpec>),
    /// A command in a running container, executed from a holder: a throwaway container of
    /// Tender's own image that is followed and adopted like any run.
    Exec(Box<ExecSpec>),
    /// A one-off container of a compose service.
    ServiceRun(Box<ServiceRun>),
    /// A request, made by a container of Tender's own image.
    Http(Box<Http>),
    /// A program of Tender's own image; its container follows from the settings.
    Builtin(Builtin),
    /// A command on the host itself, as cron would run it.
    Host(Box<HostCommand>),
}

impl Action {
    /// The word for this action in JSON documents.
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::Run(_) => ActionKind::Run,
            Self::Exec(_) => ActionKind::Exec,
            Self::ServiceRun(_) => ActionKind::ServiceRun,
            Self::Http(_) => ActionKind::Http,
            Self::Builtin(_) => ActionKind::Builtin,
            Self::Host(_) => ActionKind::Host,
        }
    }
}

/// A command for a running container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecSpec {
    /// Which container.
    pub target: ExecTarget,
    /// The command, word by word.
    pub command: Vec<String>,
    /// Further environment for the command.
    #[serde(default)]
    pub env: crate::secret::Environment,
    /// `user[:group]` instead of the container's own.
    #[serde(default)]
    pub user: Option<String>,
    /// Working directory instead of the container's own.
    #[serde(default)]
    pub workdir: Option<String>,
    /// `--privileged` of `docker exec`.
    #[serde(default)]
    pub privileged: bool,
    /// Without a holder: its output is lost when the scheduler is replaced meanwhile.
    #[serde(default)]
    pub direct: bool,
}

/// A one-off container of a compose service, with what differs from the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceRun {
    /// Compose service of the stack.
    pub service: String,
    /// Words of the command; empty means the service's own.
    pub command: Vec<String>,
    /// `None`: the service's own; `Some([])`: reset to nothing.
    pub entrypoint: Option<Vec<String>>,
    /// Environment beyond the service's.
    pub env: crate::secret::Environment,
    /// `user[:group]` instead of the service's own.
    pub user: Option<String>,
    /// Working directory instead of the service's own.
    pub workdir: Option<String>,
}

/// A command of the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostCommand {
    /// What the host's `/bin/sh` runs.
    pub command: String,
    /// `user[:group]` of the host, by name or number.
    pub user: String,
    /// Environment beyond that of cron.
    #[serde(default)]
    pub env: crate::secret::Environment,
    /// Folder of the host instead of the user's home.
    #[serde(default)]
    pub workdir: Option<std::path::PathBuf>,
    /// With all capabilities of the host's root.
    #[serde(default)]
    pub privileged: bool,
}

/// Which running container an exec goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExecTarget {
    /// The first running container of a service of the stack.
    Service(String),
    /// A container by its name.
    Container(String),
    /// Legacy `project` + `container`: every running container of that service of that project.
    Project {
        /// Compose project.
        project: String,
        /// Compose service.
        service: String,
    },
}
