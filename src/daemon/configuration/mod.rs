//! What the loop knows about the configuration: who asked for a look, what a look has found, whether
//! that may take the place of what is in force, and which change is a reason to look again.
//!
//! A configuration is in force as a whole or not at all. What holds from the start of the process to
//! its end: the compose dir and `env.local` (where the question begins), the state dir (that of the
//! service; another one in a file is ignored, with a warning), the compose project and the engine's
//! address (a configuration that changes these needs a restart, see [`judge()`]).

mod changes;
mod judge;
mod last_good;
mod look;
mod looks;
mod stamps;
mod watch;

pub use changes::changes;
pub use judge::{Verdict, hold_state_dir, judge};
pub use last_good::{keep, kept};
pub use look::{Found, Look, look};
pub use looks::{Asker, Looks};
pub use stamps::View;
pub use watch::Watch;

use chrono::{DateTime, Utc};

use crate::config::{Collected, Loaded};

/// Tells two configurations apart.
pub type Fingerprint = [u8; 32];

/// The configuration that runs begin with.
pub struct InForce {
    /// The configuration.
    pub loaded: Loaded,
    /// Of what it was made from.
    pub print: Fingerprint,
    /// When this was first read.
    pub since: DateTime<Utc>,
}

/// The fingerprint of what was found.
pub fn fingerprint(collected: &Collected) -> Fingerprint {
    use sha2::{Digest, Sha256};
    // It always has a JSON form, with its maps in order.
    Sha256::digest(serde_json::to_vec(collected).unwrap_or_default()).into()
}

#[cfg(test)]
pub mod examples {
    use super::*;
    use crate::config::{Gathered, Installation, JobFile, Text, resolve};
    use crate::job::MountSource;

    pub fn installation() -> Installation {
        Installation {
            image: "tender".to_owned(),
            socket: "/var/run/docker.sock".into(),
            state: MountSource::Volume("tender".to_owned()),
            instance: "abc".to_owned(),
        }
    }

    /// A whole look at a stack with these jobs and settings.
    pub fn collected(jobs: &str, settings: &[(&str, &str)]) -> Collected {
        let mut collected = Collected {
            compose_dir: "/stack".into(),
            env_local: "/stack/env.local".into(),
            complete: true,
            ..Collected::default()
        };
        let file = std::path::PathBuf::from("/stack/jobs/jobs.yml");
        collected.conf_dirs.push(conf_dir("/stack/jobs"));
        collected.files.insert(file.clone(), Text::Utf8(jobs.to_owned()));
        collected.job_files.push(JobFile { path: file, legacy: false, template: false });
        for (name, value) in settings {
            let gathered: Gathered =
                serde_json::from_value(serde_json::json!({"value": value, "source": "/stack/env.local"})).unwrap();
            collected.values.insert((*name).to_owned(), gathered);
        }
        collected
    }

    pub fn conf_dir(path: &str) -> crate::config::ConfDir {
        crate::config::ConfDir { path: path.into(), active: true, reason: None }
    }

    pub fn in_force(collected: &Collected) -> InForce {
        let loaded = resolve(collected.clone(), &installation());
        InForce { loaded, print: fingerprint(collected), since: DateTime::UNIX_EPOCH }
    }

    /// A job with this schedule and command.
    pub fn job(name: &str, schedule: &str, command: &str) -> String {
        format!("- {{name: {name}, schedule: \"{schedule}\", image: busybox, command: [{command}]}}\n")
    }
}
