//! The durable row about a run.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Occurrence, Outcome, RunId, StopReason};

/// What asked for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// Its schedule.
    Schedule,
    /// A missed occurrence that is caught up.
    Missed,
    /// The start of the scheduler (`@reboot`).
    Start,
    /// A person or a program, by `tender run`.
    Manual,
    /// The attempt before it failed.
    Retry,
    /// The main action of the same run ended.
    FollowUp,
    /// An unfinished deploy journal.
    Resume,
}

impl Trigger {
    /// The stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Missed => "missed",
            Self::Start => "start",
            Self::Manual => "manual",
            Self::Retry => "retry",
            Self::FollowUp => "follow-up",
            Self::Resume => "resume",
        }
    }

    /// The trigger of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Schedule, Self::Missed, Self::Start, Self::Manual, Self::Retry, Self::FollowUp, Self::Resume]
            .into_iter()
            .find(|t| t.word() == word)
    }
}

/// Where a run stands: each variant is durable before the next step is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is to run, and may wait for something.
    Planned {
        /// What it waits for, in words.
        waiting: Option<String>,
    },
    /// Its container exists and its start is about to be asked for.
    Starting {
        /// Id of the container.
        container: String,
    },
    /// Its container was started.
    Running {
        /// Id of the container.
        container: String,
        /// When its time is over.
        deadline: Option<DateTime<Utc>>,
    },
    /// It is being stopped; the outcome follows from the reason, not from the exit code.
    Stopping {
        /// Id of the container.
        container: String,
        /// Why.
        why: StopReason,
        /// When it is killed.
        kill_at: DateTime<Utc>,
    },
    /// Its command runs in a container that is not its own, followed by the very process that began
    /// it: nobody can take it up again.
    Direct {
        /// When its time is over.
        deadline: Option<DateTime<Utc>>,
        /// Why it is being stopped, once it is.
        stopping: Option<StopReason>,
    },
    /// The outcome is durable.
    Finished(Outcome),
}

impl State {
    /// The run's own container, from *starting* to *stopping*.
    pub fn container(&self) -> Option<&str> {
        match self {
            Self::Starting { container } | Self::Running { container, .. } | Self::Stopping { container, .. } => {
                Some(container)
            }
            Self::Planned { .. } | Self::Direct { .. } | Self::Finished(_) => None,
        }
    }

    /// The stable word: `planned`, `starting`, `running`, `stopping` or `finished`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Planned { .. } => "planned",
            Self::Starting { .. } => "starting",
            Self::Running { .. } | Self::Direct { stopping: None, .. } => "running",
            Self::Stopping { .. } | Self::Direct { .. } => "stopping",
            Self::Finished(_) => "finished",
        }
    }
}

/// The durable row about one launch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its id.
    pub id: RunId,
    /// What it is the run of.
    pub occurrence: Occurrence,
    /// What asked for it.
    pub trigger: Trigger,
    /// Where it stands.
    pub state: State,
    /// Somebody asked for its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stop_asked: bool,
    /// When it became due (a retry is due later than the occurrence was planned).
    pub due: DateTime<Utc>,
    /// When its container was started.
    pub started_at: Option<DateTime<Utc>>,
    /// When its container ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The exit code.
    pub exit_code: Option<i64>,
    /// Id of the image that ran.
    pub image: Option<String>,
    /// Name of the container.
    pub container_name: Option<String>,
    /// File name of its log below the log dir.
    pub log_file: Option<String>,
    /// Environment given by `tender run -e`.
    pub extra_env: crate::secret::Environment,
    /// The job's own result document.
    pub result: Option<serde_json::Value>,
    /// Anything that is missing from its output, in words.
    pub output_note: Option<String>,
}

impl RunRecord {
    /// A row for an occurrence that has fallen due.
    pub fn planned(occurrence: Occurrence, trigger: Trigger) -> Self {
        Self {
            id: RunId::random(),
            due: occurrence.planned_for,
            occurrence,
            trigger,
            state: State::Planned { waiting: None },
            stop_asked: false,
            started_at: None,
            finished_at: None,
            exit_code: None,
            image: None,
            container_name: None,
            log_file: None,
            extra_env: crate::secret::Environment::default(),
            result: None,
            output_note: None,
        }
    }

    /// The outcome, once there is one.
    pub const fn outcome(&self) -> Option<&Outcome> {
        match &self.state {
            State::Finished(outcome) => Some(outcome),
            _ => None,
        }
    }
}
