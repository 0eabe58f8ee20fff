//! The vocabulary of jobs: what to do, in which container, under which rules. Pure.

mod action;
mod builtin;
mod container;
mod name;
mod policy;

pub use action::{Action, ExecSpec, ExecTarget};
pub use builtin::{Builtin, Needs};
pub use container::{ContainerSpec, Mount, MountSource, Port, PullPolicy, Ulimit};
pub use name::{InvalidName, JobName};
pub use policy::{Missed, OnInterrupt, Overlap, Policy, Retries};

use serde::Serialize;

use crate::schedule::Schedule;

/// A named schedule plus an action.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Unique within a configuration.
    pub name: JobName,
    /// Free text for people; never interpreted.
    pub comment: Option<String>,
    /// When it is due. Holds its zone.
    pub schedule: Schedule,
    /// `false` for `enabled: false` and for the legacy schedule that begins with `#`.
    pub enabled: bool,
    /// Where it was defined, as `file:line` or the name of a variable.
    pub origin: String,
    /// It also runs once when the scheduler starts (legacy `onstart: true`).
    pub run_on_start: bool,
    /// The main action.
    pub action: Action,
    /// Actions after a success, in order (`on_success`, legacy `trigger`).
    pub after_success: Vec<Action>,
    /// The rules of its runs.
    pub policy: Policy,
    /// File name of its log below the log dir, such as `autodeploy.log`.
    pub log_file: String,
}

impl Job {
    /// The action of a part of its runs: 0 is the main one, the others come after a success.
    pub fn action_of(&self, part: u32) -> Option<&Action> {
        match part {
            0 => Some(&self.action),
            part => self.after_success.get(usize::try_from(part).ok()? - 1),
        }
    }

    /// Whether another definition says the same, wherever it stands.
    pub fn same_as(&self, other: &Self) -> bool {
        Self { origin: String::new(), ..self.clone() } == Self { origin: String::new(), ..other.clone() }
    }
}

/// How a job's action is called in JSON documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionKind {
    /// A new container from any image.
    Run,
    /// A command in a running container.
    Exec,
    /// A program of Tender's own image.
    Builtin,
}
