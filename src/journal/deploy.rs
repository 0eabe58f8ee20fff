//! What a deploy makes durable: its journal, the last good record, the vectors that were rolled back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Journal;
use crate::run::{DeployOutcome, DeployRecord, DeployStep, RevisionVector, ServicePlan};

/// How often a deploy that was cut off is taken up again; the last attempt may only roll back.
pub const ATTEMPTS: u32 = 4;

/// The step that a deploy has reached. Durable before the step is taken, so that after a crash it
/// says what may have been begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The target is known. Nothing was touched; a resume begins again.
    Target,
    /// Staged and planned. Nothing was touched; a resume begins again.
    Staged,
    /// Checkouts are being moved to the new vector.
    Switching,
    /// All checkouts are at the new vector.
    Switched,
    /// Services are being brought up.
    Up,
    /// The services are being watched.
    Gating,
    /// The new vector is last good: from here only forward.
    Good,
    /// The old vector is being brought back, for this reason: from here only back.
    RollingBack {
        /// Why.
        why: String,
    },
    /// Nobody could bring it back: left as it is for a person.
    Stuck {
        /// Why.
        why: String,
    },
}

/// How far the steps of a first deploy came. They are never run twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstSteps {
    /// Not begun.
    #[default]
    Open,
    /// Begun: after a crash nobody knows how far they came.
    Begun,
    /// All done.
    Done,
}

/// The state of a deploy under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeployState {
    /// Id of the deploy: its start as `yyyymmddThhmmssZ`.
    pub id: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How often it was begun or taken up again.
    pub attempts: u32,
    /// The vector that served before.
    pub from: RevisionVector,
    /// The vector that it goes for.
    pub to: RevisionVector,
    /// Checkouts that it moves: path → (from, to).
    pub moves: BTreeMap<PathBuf, (String, String)>,
    /// Those of them whose files may have been touched: only there may anything be forced.
    #[serde(default)]
    pub begun: BTreeSet<PathBuf>,
    /// What is to happen to each service.
    pub services: Vec<ServicePlan>,
    /// Services that were running well before.
    pub well_before: Vec<String>,
    /// Image names that a service uses → id of the image before.
    pub images: BTreeMap<String, String>,
    /// Service → id of the image that ran before.
    pub running_images: BTreeMap<String, String>,
    /// Service → compose's config hash that ran before.
    pub running_hashes: BTreeMap<String, String>,
    /// Whether Tender's own service is older than the target.
    pub scheduler_behind: bool,
    /// How far the steps of a first deploy came.
    #[serde(default)]
    pub first: FirstSteps,
    /// Rendered files that may have been written → what lay there before.
    #[serde(default)]
    pub rendered: BTreeMap<PathBuf, Before>,
    /// Hooks that were begun.
    #[serde(default)]
    pub hooks: BTreeMap<PathBuf, HookState>,
    /// `up` was begun: only then is there a reason to replace unchanged services on the way back.
    #[serde(default)]
    pub touched: bool,
    /// Where it stands.
    pub step: Step,
    /// Steps done.
    pub steps: Vec<DeployStep>,
}

/// How far a hook came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookState {
    /// Its container was about to be created.
    Begun,
    /// It ended with this code.
    Ended(i64),
}

/// What lay where a rendered file was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// The conf dir that it lies in.
    pub dir: PathBuf,
    /// Name under which its bytes are kept in [`Ledgers::aside`]; `None`: there was no file.
    pub kept: Option<String>,
}

/// The last good vector and what served it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Good {
    /// Id of the deploy, or `adopted-…`.
    pub id: String,
    /// When it was committed.
    pub at: DateTime<Utc>,
    /// The vector.
    pub vector: RevisionVector,
    /// Service → image id.
    pub images: BTreeMap<String, String>,
    /// Service → compose's config hash.
    pub hashes: BTreeMap<String, String>,
    /// Version of the compose program; another one may recreate everything.
    pub compose_version: Option<String>,
    /// The deploy whose configuration serves, where it was kept ([`Ledgers::config`]).
    #[serde(default)]
    pub config: Option<String>,
    /// Tender's own service is older than the vector.
    #[serde(default)]
    pub scheduler_behind: bool,
}

/// How often a vector is tried whose deploy was stopped from outside.
const STOPS: u32 = 3;

/// A vector that was rolled back: not tried again until one of its commits changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bad {
    /// The vector.
    pub vector: RevisionVector,
    /// When it was rolled back.
    pub at: DateTime<Utc>,
    /// Why.
    pub why: String,
    /// How often its deploy was only stopped from outside; 0 once it was found to be bad.
    #[serde(default)]
    pub stopped: u32,
}

impl Bad {
    /// Whether it holds a deploy back: a vector that was only stopped gets further tries.
    pub const fn holds(&self) -> bool {
        self.stopped == 0 || self.stopped >= STOPS
    }
}

/// The folder of all of this.
#[derive(Debug, Clone)]
pub struct Ledgers {
    dir: PathBuf,
}

impl Ledgers {
    /// The ledgers below a state dir.
    pub fn below(state_dir: &Path) -> Self {
        Self { dir: state_dir.join("deploy") }
    }

    /// The journal of the deploy under way.
    pub fn journal(&self) -> Journal<DeployState> {
        Journal::at(self.dir.join("journal.json"))
    }

    /// The last good record.
    pub fn good(&self) -> Journal<Good> {
        Journal::at(self.dir.join("good.json"))
    }

    /// The configuration of a deploy, as compose printed it. It holds secrets.
    pub fn config<T: Serialize + DeserializeOwned>(&self, deploy: &str) -> Journal<T> {
        Journal::at(self.configs().join(format!("{deploy}.json")))
    }

    /// Removes the configurations of all deploys but that of the last good one. What cannot be removed
    /// is left to the next time.
    pub fn forget_configs(&self) {
        let Ok(good) = self.good().read() else { return };
        let kept = good.and_then(|good| good.config).map(|id| format!("{id}.json"));
        for entry in std::fs::read_dir(self.configs()).into_iter().flatten().flatten() {
            if kept.as_deref().is_none_or(|kept| entry.file_name() != kept) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    fn configs(&self) -> PathBuf {
        self.dir.join("configs")
    }

    /// The vectors that were rolled back.
    pub fn bad(&self) -> Journal<Vec<Bad>> {
        Journal::at(self.dir.join("bad.json"))
    }

    /// Where a vector is laid out aside.
    pub fn stage(&self) -> PathBuf {
        self.dir.join("stage")
    }

    /// Where files are kept that a deploy has overwritten, until it ends.
    pub fn aside(&self) -> PathBuf {
        self.dir.join("aside")
    }

    /// Files a record for ever.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file(&self, record: &DeployRecord) -> Result<()> {
        Journal::at(self.dir.join("records").join(format!("{}.json", record.id))).write(record)
    }

    /// Adds a bad vector; at most fifty are remembered.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember_bad(&self, mut bad: Bad) -> Result<()> {
        let journal = self.bad();
        let mut all = journal.read()?.unwrap_or_default();
        if let Some(known) = all.iter().find(|known| known.vector == bad.vector)
            && bad.stopped > 0
        {
            bad.stopped = if known.stopped == 0 { 0 } else { known.stopped + bad.stopped };
        }
        all.retain(|known| known.vector != bad.vector);
        all.push(bad);
        let surplus = all.len().saturating_sub(50);
        all.drain(..surplus);
        journal.write(&all)
    }
}

impl DeployState {
    /// The record of this deploy as it ends.
    pub fn record(&self, outcome: DeployOutcome, reason: Option<String>) -> DeployRecord {
        DeployRecord {
            id: self.id.clone(),
            started_at: self.started_at,
            finished_at: Utc::now(),
            outcome,
            from: self.from.clone(),
            to: self.to.clone(),
            services: self.services.iter().filter(|s| s.action.touches()).map(|s| s.name.clone()).collect(),
            steps: self.steps.clone(),
            reason,
            scheduler_behind: self.scheduler_behind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(commit: &str) -> RevisionVector {
        RevisionVector([(PathBuf::from("/srv/stack"), commit.to_owned())].into())
    }

    #[test]
    fn a_bad_vector_is_remembered_once_and_only_fifty() {
        let dir = tempfile::tempdir().unwrap();
        let ledgers = Ledgers::below(dir.path());
        for n in 0..60 {
            ledgers
                .remember_bad(Bad { vector: vector(&n.to_string()), at: Utc::now(), why: "x".into(), stopped: 0 })
                .unwrap();
        }
        ledgers.remember_bad(Bad { vector: vector("59"), at: Utc::now(), why: "again".into(), stopped: 0 }).unwrap();
        let all = ledgers.bad().read().unwrap().unwrap();
        assert_eq!(all.len(), 50);
        assert_eq!(all.last().unwrap().why, "again");
        assert_eq!(all.iter().filter(|b| b.vector == vector("59")).count(), 1);
    }

    #[test]
    fn one_configuration_is_kept_and_nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let ledgers = Ledgers::below(dir.path());
        ledgers.forget_configs();
        for id in ["1", "2"] {
            ledgers.config(id).write(&id.to_owned()).unwrap();
        }
        let mode = ledgers.config::<String>("2").path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let good = Good {
            id: "3".into(),
            at: Utc::now(),
            vector: vector("a"),
            images: BTreeMap::new(),
            hashes: BTreeMap::new(),
            compose_version: None,
            config: Some("2".into()),
            scheduler_behind: false,
        };
        ledgers.good().write(&good).unwrap();
        ledgers.forget_configs();
        let read = |id: &str| ledgers.config::<String>(id).read().unwrap();
        assert_eq!((read("1"), read("2").as_deref()), (None, Some("2")));
        ledgers.good().write(&Good { config: None, ..good }).unwrap();
        ledgers.forget_configs();
        assert_eq!(read("2"), None);
    }

    #[test]
    fn a_vector_that_was_only_stopped_gets_three_tries() {
        let dir = tempfile::tempdir().unwrap();
        let ledgers = Ledgers::below(dir.path());
        let holds = |stopped| {
            ledgers.remember_bad(Bad { vector: vector("1"), at: Utc::now(), why: "x".into(), stopped }).unwrap();
            ledgers.bad().read().unwrap().unwrap()[0].holds()
        };
        assert_eq!([1, 1, 1].map(holds), [false, false, true]);
        assert!(holds(0));
        assert!(holds(1), "what was found to be bad stays bad");
    }
}
