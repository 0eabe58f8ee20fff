//! The whole way, from a request to a configuration.

use std::path::PathBuf;

use super::{Collected, Installation, Loaded, Probe, ProbeRequest, Problem, resolve};

/// Why there is no configuration at all.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file without which there is no stack is not there.
    #[error("{path} does not exist; {hint}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// How to make it.
        hint: String,
    },
    /// The look itself failed, which says nothing about the configuration.
    #[error("the configuration cannot be looked at: {0:#}")]
    Probe(anyhow::Error),
}

impl LoadError {
    /// The same as a problem, for documents.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Missing { path, hint } => {
                Problem::error(path.display().to_string(), "does not exist").hint(hint.clone())
            }
            Self::Probe(_) => Problem::error("probe", self.to_string()),
        }
    }
}

/// Looks and resolves.
///
/// # Errors
/// As [`look`]. Mistakes in the files are among the problems of what is loaded.
pub async fn load(
    probe: &impl Probe,
    request: &ProbeRequest,
    installation: &Installation,
) -> Result<Loaded, LoadError> {
    Ok(resolve(look(probe, request).await?, installation))
}

/// Looks.
///
/// # Errors
/// When `docker-compose.yml` or `env.local` is missing, or when the look failed.
pub async fn look(probe: &impl Probe, request: &ProbeRequest) -> Result<Collected, LoadError> {
    let collected = probe.collect(request).await.map_err(LoadError::Probe)?;
    if let Some(path) = collected.missing.first().cloned() {
        let hint = if path == collected.env_local {
            let target = collected.env_local_target.as_ref().filter(|t| !t.exists());
            let dangling = target.map(|t| format!("it is a symlink to {}, which is missing; ", t.display()));
            format!(
                "{}an empty file is enough to begin with (`touch {}`), env.local.example lists what can be set",
                dangling.unwrap_or_default(),
                path.display()
            )
        } else {
            "COMPOSE_DIR must be the folder of the stack's docker-compose.yml: clone the stack there, or name the \
             right folder"
                .to_owned()
        };
        return Err(LoadError::Missing { path, hint });
    }
    Ok(collected)
}
