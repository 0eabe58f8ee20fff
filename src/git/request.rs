//! What passes between the parent and the child: one JSON line each way.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::inplace::InPlace;
use crate::run::{CheckoutVerdict, Verdict};

/// A request about one checkout.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// The checkout, or the folder that the request is about.
    pub(super) checkout: PathBuf,
    pub(super) what: What,
}

/// What is asked for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum What {
    /// Without `access` the network is left alone.
    Examine {
        access: Option<Access>,
        trigger_dirs: Vec<PathBuf>,
    },
    Head,
    Materialise {
        commit: String,
        dir: PathBuf,
    },
    Leftovers,
    Obstacles {
        to: String,
    },
    Switch {
        from: String,
        to: String,
        resume: bool,
    },
    Keep {
        name: String,
        commit: String,
    },
    Kept,
    Unkeep {
        name: String,
    },
    ChangedFiles {
        from: String,
        to: String,
    },
    FileAt {
        commit: String,
        path: PathBuf,
    },
    Log {
        from: String,
        to: String,
        limit: usize,
    },
    WriteRecord {
        name: String,
        bytes: Vec<u8>,
    },
    ReadRecord {
        name: String,
    },
    /// The folder need be no checkout, as with the next.
    Occupants {
        paths: Vec<PathBuf>,
    },
    WriteInPlace {
        files: Vec<InPlace>,
    },
}

/// How a remote may be reached. The child has no access to the files that this comes from.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Access {
    /// The deploy key.
    pub(super) key: Option<Key>,
    /// Where a key is looked for; named when there is none.
    pub(super) key_wanted: Option<PathBuf>,
    /// `token` or `user:token`, for https.
    pub(super) token: Option<String>,
    /// Lines in the form of `known_hosts`.
    pub(super) known_hosts: String,
    /// Whether unknown hosts are refused.
    pub(super) strict: bool,
    /// Longest silence of a remote, in milliseconds.
    pub(super) stall_ms: u64,
    /// Longest time for all of it, in milliseconds.
    pub(super) deadline_ms: u64,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("key", &self.key.as_ref().map(|k| &k.path)).finish_non_exhaustive()
    }
}

/// A private key and where it was read.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// The child's reply. The value's type belongs to the request.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reply {
    /// Lines for the file of learnt host keys.
    pub(super) learnt: Vec<String>,
    pub(super) outcome: Result<serde_json::Value, Failure>,
}

/// Why git work failed, for callers that branch on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// The remote did not answer, or answered with an error of its own.
    #[error("{0}")]
    Unreachable(String),
    /// The remote's host key is not the known one, or is revoked.
    #[error("{0}")]
    HostKeyChanged(String),
    /// The remote's host key is not known and unknown ones are refused.
    #[error("{0}")]
    HostKeyUnknown(String),
    /// The remote refused the key or token, or there is none.
    #[error("{0}")]
    Auth(String),
    /// The folder is no checkout.
    #[error("{0}")]
    NotARepo(String),
    /// What keeps a checkout from being switched; nothing was changed.
    #[error("cannot switch: {}", .0.join("; "))]
    Obstacles(Vec<String>),
    /// The deadline passed.
    #[error("{0}")]
    TimedOut(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// What was found at one checkout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examined {
    /// The verdict.
    pub verdict: CheckoutVerdict,
    /// Status letter and path of every file that differs between the checked out commit and the
    /// upstream's; empty unless the checkout is behind.
    pub changed_files: Vec<(char, String)>,
    /// The repo's conditional trigger, when the checkout is behind and its upstream has one.
    pub trigger: Option<TriggerFile>,
    /// The branch that is checked out, such as `main`.
    pub branch: Option<String>,
    /// Its upstream, such as `origin/main`.
    pub upstream: Option<String>,
    /// Things to tell that decide nothing, such as files that need git-lfs.
    pub notes: Vec<String>,
    /// The typed reason of an unknown verdict.
    pub failure: Option<Failure>,
}

impl Examined {
    /// A verdict without anything more to say.
    pub(super) fn plain(checkout: &Path, verdict: Verdict, reason: Option<String>) -> Self {
        Self {
            verdict: CheckoutVerdict {
                path: checkout.to_owned(),
                follow: String::new(),
                from: None,
                to: None,
                verdict,
                reason,
            },
            changed_files: Vec::new(),
            trigger: None,
            branch: None,
            upstream: None,
            notes: Vec::new(),
            failure: None,
        }
    }

    /// What a failed look amounts to: never "up to date".
    pub(super) fn failed(checkout: &Path, failure: Failure) -> Self {
        let verdict = match failure {
            Failure::NotARepo(_) => Verdict::NotARepo,
            _ => Verdict::Unknown,
        };
        Self { failure: Some(failure.clone()), ..Self::plain(checkout, verdict, Some(failure.to_string())) }
    }
}

/// The executable `autodeploy/conditional-trigger` of an upstream's tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerFile {
    /// Path inside the repo.
    pub path: String,
    /// Its bytes.
    pub content: Vec<u8>,
}
