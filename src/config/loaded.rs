//! A configuration that was read as a whole.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::masking::Masking;
use super::{Hook, Problem, Settings, Template, Written};
use crate::job::Job;
use crate::secret::{Environment, Secret};

/// A configuration that was read as a whole: what is good of it, and what was refused.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings. A bad value was replaced by its default and is among the problems.
    pub settings: Settings,
    /// The registry logins, as `docker login` writes them.
    pub logins: Option<Secret<String>>,
    /// The good jobs, built-ins included, in the order of their definition.
    pub jobs: Vec<Job>,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// The conf dirs in reading order.
    pub conf_dirs: Vec<ConfDir>,
    /// The compose files of the stack in the order of their `-f`.
    pub compose_files: Vec<PathBuf>,
    /// The environment for compose and hooks: all variables, derived ones included.
    pub environment: Environment,
    /// Each variable with where it came from.
    pub values: BTreeMap<String, Sourced>,
    /// Files that were read; a change of one of them is a reason to read again.
    pub files: Vec<PathBuf>,
    /// Files and folders that would be read if they were there.
    pub absent: Vec<PathBuf>,
    /// The `deploy.yml` files that were found, with their text.
    pub deploy_files: Vec<(PathBuf, String)>,
    /// What takes the place of compose for `up`: the command that is set, or the main checkout's own
    /// wrapper. Templates and hooks are its business then.
    pub wrapper: Option<PathBuf>,
    /// Templates of the conf dirs, rendered; none while `BIRDHOUSE_COMPOSE_TEMPLATE_SKIP` is set.
    pub templates: Vec<Template>,
    /// Required variables that are not set; also among the problems. No deploy goes on with one.
    pub unset: Vec<Problem>,
    /// Hooks of the conf dirs, in the order of these.
    pub hooks: Vec<Hook>,
    /// Paths on the host that a container needs for reading all of this.
    pub paths: Vec<PathBuf>,
    /// Every shell file was read to its end. Where not, an older configuration is the better one.
    pub complete: bool,
}

/// A value and where it came from. `Debug` never shows the value: it does not know whose it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Sourced {
    /// The value; masked by whoever shows it.
    pub value: String,
    /// `environment`, `default`, `derived`, or the path of a file.
    pub source: String,
    /// The assignment in a file, where it is known.
    pub written: Option<Written>,
    /// The file whose different value the process environment keeps from taking effect.
    pub frozen: Option<String>,
    /// It has this value because its other name has it; left out of what is shown.
    pub mapped: bool,
}

impl fmt::Debug for Sourced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sourced").field("source", &self.source).field("frozen", &self.frozen).finish_non_exhaustive()
    }
}

/// One entry of the list of conf dirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfDir {
    /// Its absolute path.
    pub path: PathBuf,
    /// Whether it is used.
    pub active: bool,
    /// Why it is not, or what asked for it.
    pub reason: Option<String>,
}

impl ConfDir {
    /// The reason for which a dir that is not there is not used.
    pub(super) const MISSING: &'static str = "does not exist";

    /// Whether it is listed, and not there.
    pub fn is_missing(&self) -> bool {
        !self.active && self.reason.as_deref() == Some(Self::MISSING)
    }
}

impl Loaded {
    /// The job of this name.
    pub fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.name.as_str() == name)
    }

    /// What takes secrets out of documents about it.
    pub fn masking(&self) -> Masking {
        let environment = self.environment.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let values = self.values.iter().map(|(name, sourced)| (name.as_str(), sourced.value.as_str()));
        Masking::of(environment.chain(values))
    }

    /// Whether anything was refused.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|p| p.severity == super::Severity::Error)
    }
}
