//! What a job does.

use serde::{Deserialize, Serialize};

use super::{ActionKind, Builtin, ContainerSpec};

/// One action. A job has one main action and may have more after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A new container from any image.
    Run(Box<ContainerSpec>),
    /// A command in a running container, executed from a holder: a throwaway container of
    /// Tender's own image that is followed and adopted like any run.
    Exec(Box<ExecSpec>),
    /// A program of Tender's own image; its container follows from the settings.
    Builtin(Builtin),
}

impl Action {
    /// The word for this action in JSON documents.
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::Run(_) => ActionKind::Run,
            Self::Exec(_) => ActionKind::Exec,
            Self::Builtin(_) => ActionKind::Builtin,
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
