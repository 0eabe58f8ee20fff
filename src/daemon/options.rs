//! What `serve` is started with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::{ProbeRequest, Settings};

/// What `serve` is started with.
pub struct ServeOptions {
    /// Folder of the stack's `docker-compose.yml`.
    pub compose_dir: PathBuf,
    /// The stack's `env.local`; the one in the compose dir where none is named.
    pub env_local: Option<PathBuf>,
    /// Folder of the state.
    pub state_dir: PathBuf,
    /// The environment of the process.
    pub process_env: BTreeMap<String, String>,
    /// Called with each new settings: sets form and level of the log.
    pub on_settings: Box<dyn Fn(&Settings)>,
}

/// Variables of the process that say nothing about the stack: they are the image's or the engine's.
const OWN: &[&str] = &["PATH", "HOME", "HOSTNAME", "USER", "TERM", "PWD", "OLDPWD", "SHLVL", "LANG", "_"];

impl ServeOptions {
    /// What a configuration probe is asked.
    pub fn request(&self) -> ProbeRequest {
        let env_local = self.env_local.clone().unwrap_or_else(|| self.compose_dir.join("env.local"));
        ProbeRequest::new(&self.compose_dir, env_local, self.stack_environment())
    }

    /// The part of the process environment that belongs to the stack and outranks its files.
    pub fn stack_environment(&self) -> BTreeMap<String, String> {
        let belongs = |name: &&String| !OWN.contains(&name.as_str());
        self.process_env.iter().filter(|(name, _)| belongs(name)).map(|(k, v)| (k.clone(), v.clone())).collect()
    }
}
