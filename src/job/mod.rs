//! The vocabulary of jobs: what to do, in which container, under which rules. Pure.

mod action;
mod alert;
mod builtin;
mod container;
mod follow_ups;
mod http;
mod name;
mod policy;
mod watch;

pub use action::{Action, ExecSpec, ExecTarget, HostCommand, ServiceRun};
pub use alert::{Notify, NotifyOn, Ping};
pub use builtin::{Builtin, Needs};
pub use container::{ContainerSpec, Limits, Mount, MountSource, Port, PullPolicy, Rate, Ulimit};
pub use follow_ups::{Ended, FollowUps};
pub use http::Http;
pub use name::{InvalidName, JobName};
pub use policy::{Missed, OnInterrupt, Overlap, Policy, Retries};
pub use watch::Watch;

use serde::{Deserialize, Serialize};

use crate::schedule::Schedule;

/// A named schedule plus an action.
///
/// As JSON it is kept with a run that has begun: its schedule is no part of that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Unique within a configuration.
    pub name: JobName,
    /// Free text for people; never interpreted.
    pub comment: Option<String>,
    /// When it is due. Holds its zone.
    #[serde(skip, default = "Schedule::manual")]
    pub schedule: Schedule,
    /// `false` for `enabled: false` and for the legacy schedule that begins with `#`.
    pub enabled: bool,
    /// Where it was defined, as `file:line` or the name of a variable.
    pub origin: String,
    /// It also runs once when the scheduler starts (legacy `onstart: true`).
    pub run_on_start: bool,
    /// The main action.
    pub action: Action,
    /// Where the main action is a built-in: what its container gets beyond its own needs.
    pub extra: Option<Box<ContainerSpec>>,
    /// Actions after the main one.
    pub follow_ups: FollowUps,
    /// Files that make it due, beside its schedule.
    pub watch: Option<Watch>,
    /// Services of the stack that are stopped during the run.
    pub stop: Vec<String>,
    /// Addresses that it reports its life to.
    pub ping: Option<Ping>,
    /// Who is told of its runs; `None` for everybody.
    pub notify: Option<Notify>,
    /// The rules of its runs.
    pub policy: Policy,
    /// File name of its log below the log dir, such as `autodeploy.log`.
    pub log_file: String,
}

impl Job {
    /// An enabled job with nothing but a name, a schedule, an action and rules.
    pub fn new(name: JobName, schedule: Schedule, action: Action, policy: Policy) -> Self {
        Self {
            log_file: name.log_file(),
            name,
            comment: None,
            schedule,
            enabled: true,
            origin: "built-in".to_owned(),
            run_on_start: false,
            action,
            extra: None,
            follow_ups: FollowUps::default(),
            watch: None,
            stop: Vec::new(),
            ping: None,
            notify: None,
            policy,
        }
    }

    /// The action of a part of its runs; 0 is the main one.
    pub fn part(&self, part: u32) -> Option<&Action> {
        if part == 0 { Some(&self.action) } else { self.follow_ups.get(part) }
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
    /// A one-off container of a compose service.
    ServiceRun,
    /// A request.
    Http,
    /// A program of Tender's own image.
    Builtin,
    /// A command on the host.
    Host,
}
