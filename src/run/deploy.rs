//! Revision vectors and the record of a deploy.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The commits of all checkouts of a stack, taken together: path of the checkout → commit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RevisionVector(pub BTreeMap<PathBuf, String>);

/// What is found at one checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Equal to its upstream, or only ahead of it.
    UpToDate,
    /// The upstream has commits that the checkout lacks: a candidate.
    Behind,
    /// Behind, and the repo's own conditional trigger says that nothing has to be restarted.
    UpdateOnly,
    /// Behind and ahead, or the upstream was force-pushed.
    Diverged,
    /// Tracked files changed, or untracked files that are not ignored.
    Dirty,
    /// On no branch: left as it is.
    Pinned,
    /// The branch has no upstream, or the upstream was deleted.
    NoUpstream,
    /// There is no such folder.
    Missing,
    /// The folder is no git checkout.
    NotARepo,
    /// The remote could not be asked: never the same as up to date.
    Unknown,
}

impl Verdict {
    /// The stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::UpToDate => "up-to-date",
            Self::Behind => "behind",
            Self::UpdateOnly => "update-only",
            Self::Diverged => "diverged",
            Self::Dirty => "dirty",
            Self::Pinned => "pinned",
            Self::NoUpstream => "no-upstream",
            Self::Missing => "missing",
            Self::NotARepo => "not-a-repo",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a deploy of all checkouts stops here.
    pub const fn blocks(self) -> bool {
        matches!(self, Self::Diverged | Self::Dirty | Self::Unknown)
    }
}

/// One checkout in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckoutVerdict {
    /// Path of the checkout.
    pub path: PathBuf,
    /// What it follows, such as `branch main`.
    pub follow: String,
    /// The commit that is checked out.
    pub from: Option<String>,
    /// The commit that it would be moved to.
    pub to: Option<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// What there is to say about it.
    pub reason: Option<String>,
}

/// What happens to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceAction {
    /// It has no container yet.
    Create,
    /// Its container is replaced.
    Recreate,
    /// Its container exists and does not run.
    Start,
    /// It is no longer part of the stack; it is left running unless `--remove-orphans` is asked for.
    Orphan,
    /// Nothing.
    #[serde(rename = "none")]
    Keep,
    /// Tender's own service: the hand-over's business.
    LeaveOut,
}

impl ServiceAction {
    /// Whether `up` has to do something.
    pub const fn touches(self) -> bool {
        matches!(self, Self::Create | Self::Recreate | Self::Start)
    }
}

/// One service in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePlan {
    /// Compose service.
    pub name: String,
    /// What happens to it.
    pub action: ServiceAction,
    /// Why, in words.
    pub why: String,
    /// Compose would not see the change (content of a mounted file): recreate it by force.
    #[serde(default)]
    pub force: bool,
}

/// How a deploy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeployOutcome {
    /// The new vector is last good.
    Committed,
    /// The old vector serves again.
    RolledBack,
    /// It failed, and the stack is not proven to be whole.
    Failed,
    /// Files were updated, no service was touched.
    UpdateOnly,
}

/// One step of a deploy, as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployStep {
    /// Its name, such as `gate`.
    pub name: String,
    /// `ok`, or what went wrong.
    pub outcome: String,
    /// How long it took.
    pub duration_ms: u64,
}

/// The record of a deploy; the shape of `deploys --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployRecord {
    /// Id of the deploy.
    pub id: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// How it ended.
    pub outcome: DeployOutcome,
    /// The vector before.
    pub from: RevisionVector,
    /// The vector it went for.
    pub to: RevisionVector,
    /// The services that it changed.
    pub services: Vec<String>,
    /// Its steps.
    pub steps: Vec<DeployStep>,
    /// Why it ended so.
    pub reason: Option<String>,
    /// The scheduler's own service or image is older than the vector: a hand-over is due.
    #[serde(default)]
    pub scheduler_behind: bool,
}
