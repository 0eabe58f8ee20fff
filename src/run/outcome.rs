//! How runs end.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a run ended. The text of the variants is what people and documents see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Exit code 0.
    Succeeded,
    /// It ended by itself with another code.
    Failed {
        /// The exit code.
        code: i64,
        /// The kernel killed it for its memory.
        oom: bool,
    },
    /// It was stopped because its time was over.
    TimedOut,
    /// It was stopped on request.
    Cancelled,
    /// It never started, on purpose.
    Skipped(SkipReason),
    /// It never started, for the reason given.
    CouldNotStart(String),
    /// The engine took it away.
    Interrupted {
        /// The exit code that the engine gave it.
        code: i64,
    },
    /// Its start was asked for and nobody saw its end: its container vanished, or it had none of its
    /// own. It may have run, and is not repeated.
    Lost,
}

/// Why an occurrence was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// The job was still running.
    Overlap,
    /// Nobody looked when it was due, and the policy says not to catch up.
    Missed,
    /// It could not start within its deadline.
    Deadline,
    /// The job is suspended.
    Suspended,
    /// The job was removed while it waited.
    Removed,
}

/// What the reason of a run whose name belongs to a stranger holds.
const TAKEN: &str = " is taken by container ";

impl Outcome {
    /// It could not start, because its container's name belongs to a container that is not its own.
    pub fn name_taken(name: &str, id: &str, image: &str) -> Self {
        let id: String = id.chars().take(12).collect();
        Self::CouldNotStart(format!("the name {name}{TAKEN}{id} of image {image}"))
    }

    /// Whether it is that.
    pub fn is_name_taken(&self) -> bool {
        matches!(self, Self::CouldNotStart(why) if why.starts_with("the name ") && why.contains(TAKEN))
    }

    /// The stable word for documents and filters.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed { .. } => "failed",
            Self::TimedOut => "timed-out",
            Self::Cancelled => "cancelled",
            Self::Skipped(_) => "skipped",
            Self::CouldNotStart(_) => "could-not-start",
            Self::Interrupted { .. } => "interrupted",
            Self::Lost => "lost",
        }
    }

    /// Whether nothing is wrong.
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Succeeded)
    }

    /// What there is to say beyond the word.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Succeeded | Self::TimedOut | Self::Cancelled => None,
            Self::Failed { oom: true, .. } => Some("out of memory".to_owned()),
            Self::Failed { .. } => None,
            Self::Skipped(reason) => Some(reason.to_string()),
            Self::CouldNotStart(why) => Some(why.clone()),
            Self::Interrupted { .. } => Some("the engine stopped".to_owned()),
            Self::Lost => Some("nobody saw its end after its start was asked for".to_owned()),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { code, oom } => write!(f, "failed({code}{})", if *oom { ", out of memory" } else { "" }),
            Self::Interrupted { code } => write!(f, "interrupted({code})"),
            Self::CouldNotStart(why) => write!(f, "could not start({why})"),
            Self::Skipped(reason) => write!(f, "skipped({reason})"),
            other => f.write_str(&other.word().replace('-', " ")),
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overlap => "still running",
            Self::Missed => "missed",
            Self::Deadline => "deadline",
            Self::Suspended => "suspended",
            Self::Removed => "removed",
        })
    }
}
