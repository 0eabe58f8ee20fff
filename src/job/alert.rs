//! Who hears of a job's runs.

use serde::{Deserialize, Serialize};

/// Addresses that a job reports its life to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ping {
    /// Asked before the main action.
    pub start: Option<String>,
    /// Asked after a success.
    pub success: Option<String>,
    /// Asked after a failure.
    pub failure: Option<String>,
}

/// Who is told how runs end, instead of everybody.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Notify {
    /// Names of notification targets; empty for nobody.
    pub to: Vec<String>,
    /// What they are told of; empty for everything.
    pub on: Vec<NotifyOn>,
}

/// Something to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotifyOn {
    /// A run failed.
    Failed,
    /// A run succeeded after failures.
    Recovered,
    /// A run began late.
    Late,
    /// A run takes much longer than usual.
    Stuck,
    /// An occurrence was missed.
    Missed,
}

impl NotifyOn {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Failed, Self::Recovered, Self::Late, Self::Stuck, Self::Missed];

    /// The stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Recovered => "recovered",
            Self::Late => "late",
            Self::Stuck => "stuck",
            Self::Missed => "missed",
        }
    }
}
