//! Jobs that are due when files change.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A job is due when the set of content hashes below a folder has changed and been quiet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Folder on the host.
    pub path: PathBuf,
    /// Which files of it, such as `*.nc`.
    pub glob: String,
    /// How long nothing may change before it counts.
    pub settle: Duration,
    /// How often it is looked at.
    pub poll: Duration,
}
