//! Scripts of conf dirs that run before and after the services are brought up.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Such a script.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hook {
    /// Its path.
    pub path: PathBuf,
    /// When it runs.
    pub kind: HookKind,
}

/// When a script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookKind {
    /// Before, as a process of its own.
    Pre,
    /// Before, read by a shell: its variables reach compose.
    Include,
    /// After.
    Post,
}

impl HookKind {
    /// All, in the order in which those of one conf dir run.
    pub const ALL: [Self; 3] = [Self::Pre, Self::Include, Self::Post];

    /// Name of the file in a conf dir.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Pre => "pre-docker-compose-up",
            Self::Include => "pre-docker-compose-up.include",
            Self::Post => "post-docker-compose-up",
        }
    }
}
