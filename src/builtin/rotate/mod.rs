//! Rotation of logs: a plain program that works on files alone.
//!
//! The way of a log: a [`Policy`] judges it, [`rotation`] packs it into an archive and cuts it, the
//! [`state`] remembers when, old archives go. One rotation at a time is under way, and a [`journal`]
//! beside the state file tells the next run how far it got.

pub mod cut;
pub mod folder;
pub mod job;
pub mod journal;
pub mod lock;
pub mod name;
pub mod pack;
pub mod policy;
pub mod report;
pub mod rotation;
pub mod round;
pub mod state;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;

pub use job::{Args, cli_main, job_main};
pub use lock::{Lock, Locked};
pub use name::shown;
pub use policy::Policy;
pub use report::{Failed, Report, Rotated};
pub use rotation::Step;

/// What to rotate, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of the logs.
    pub log_dir: PathBuf,
    /// Which names in it are logs.
    pub patterns: Vec<OsString>,
    /// The rule for them.
    pub policy: Policy,
    /// Where the last rotations are remembered; lock, journal and tail lie beside it.
    pub state_file: PathBuf,
    /// The present.
    pub now: DateTime<Utc>,
    /// Zone of the dates in names and of periods.
    pub zone: Tz,
    /// Rotates whatever the policy says, empty logs excepted.
    pub force: bool,
    /// Changes nothing, and says what would be done.
    pub dry_run: bool,
    /// Says something about every log.
    pub verbose: bool,
    /// What happens when another rotation is under way.
    pub lock: Lock,
}

impl Options {
    /// The usual ones: every `*.log` of a folder by the default policy.
    pub fn new(log_dir: impl Into<PathBuf>, state_file: impl Into<PathBuf>, now: DateTime<Utc>, zone: Tz) -> Self {
        Self {
            log_dir: log_dir.into(),
            patterns: vec!["*.log".into()],
            policy: Policy::default_for_logs(),
            state_file: state_file.into(),
            now,
            zone,
            force: false,
            dry_run: false,
            verbose: false,
            lock: Lock::default(),
        }
    }
}

/// Rotates what is due. `say` gets a line for each thing that people should know.
///
/// # Errors
/// [`Locked`]; or when state, journal or folder cannot be used. What goes wrong with single logs is
/// in the report.
pub fn run(options: &Options, say: &mut dyn FnMut(&str)) -> Result<Report> {
    run_watched(options, say, &mut |_| {})
}

/// As [`run`], and tells each step: tests end there what a crash would end.
///
/// # Errors
/// As [`run`].
pub fn run_watched(options: &Options, say: &mut dyn FnMut(&str), watch: &mut dyn FnMut(Step)) -> Result<Report> {
    round::run(options, say, watch)
}

/// The file beside another one whose name only ends differently.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
