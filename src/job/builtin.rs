//! The built-in jobs and what each of their containers needs.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A job body that Tender brings along: `tender job <name>` in a container of its own image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Builtin {
    /// Brings the stack to the newest revision vector, as a transaction.
    Autodeploy,
    /// Rotates every `*.log` below the log dir.
    Logrotate,
}

/// What the container of a built-in gets. Everything not listed it does not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// The engine's socket.
    pub socket: bool,
    /// Every checkout of the stack, writable, at its own path.
    pub checkouts: bool,
    /// The folder of deploy keys, read-only.
    pub keys: bool,
    /// The log dir, writable.
    pub logs: bool,
    /// The state volume, writable.
    pub state: bool,
    /// Bridge network; otherwise none.
    pub network: bool,
    /// Locks that its runs hold among jobs.
    pub locks: &'static [&'static str],
    /// Default time limit of a run.
    pub timeout: Duration,
    /// Capabilities kept; all others are dropped.
    pub capabilities: &'static [&'static str],
}

impl Builtin {
    /// All built-ins, in the order in which they are listed.
    pub const ALL: &'static [Self] = &[Self::Autodeploy, Self::Logrotate];

    /// Its word on the command line and in job files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Autodeploy => "autodeploy",
            Self::Logrotate => "logrotate",
        }
    }

    /// The built-in of this word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|b| b.name() == name)
    }

    /// What its container needs.
    pub const fn needs(self) -> Needs {
        match self {
            Self::Autodeploy => Needs {
                socket: true,
                checkouts: true,
                keys: true,
                logs: true,
                state: true,
                network: true,
                locks: &["stack"],
                timeout: Duration::from_secs(2 * 3600),
                // As the owner of each checkout: change uid, write in folders that are not root's.
                capabilities: &["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETUID", "SETGID", "KILL"],
            },
            Self::Logrotate => Needs {
                socket: false,
                checkouts: false,
                keys: false,
                logs: true,
                state: true,
                network: false,
                locks: &["logs"],
                timeout: Duration::from_secs(3600),
                capabilities: &["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETUID", "SETGID"],
            },
        }
    }
}

impl fmt::Display for Builtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
