//! The last good configuration on disk: for a start at which the present one cannot be read.
//!
//! It holds secrets as `env.local` does: mode 0600, in the state dir that is closed to others, and
//! in no document. Kept is what the look has found and not what was made of it, so that a newer
//! scheduler makes its own of it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{InForce, fingerprint};
use crate::config::{Collected, Installation, ProbeRequest, resolve};
use crate::journal;

/// Its file below the state dir.
const FILE: &str = "last-good-configuration.json";

/// Counts the forms of the file that cannot be read as another one.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Writing<'a> {
    format: u32,
    since: DateTime<Utc>,
    collected: &'a Collected,
}

#[derive(Deserialize)]
struct Form {
    format: u32,
}

#[derive(Deserialize)]
struct Reading {
    since: DateTime<Utc>,
    collected: Collected,
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

/// Keeps a configuration; durable when it returns. Blocks.
///
/// # Errors
/// When it could not be made durable; the one before it is still kept then.
pub fn keep(state_dir: &Path, since: DateTime<Utc>, collected: &Collected) -> Result<()> {
    let text = serde_json::to_vec(&Writing { format: FORMAT, since, collected })?;
    journal::replace(&path(state_dir), &text)
}

/// The configuration that was kept, `None` when there is none.
///
/// # Errors
/// When there is one, and it is of no use: damaged, of another format, of another stack.
pub fn kept(state_dir: &Path, request: &ProbeRequest, installation: &Installation) -> Result<Option<InForce>> {
    let text = match std::fs::read(path(state_dir)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // The causes may quote what stands in the file.
    let form: Form = serde_json::from_slice(&text).ok().context("it is damaged")?;
    anyhow::ensure!(form.format == FORMAT, "it has the format {} and not {FORMAT}", form.format);
    let Reading { since, collected } =
        serde_json::from_slice(&text).ok().context("it is damaged, or of another version of the scheduler")?;
    anyhow::ensure!(
        (&collected.compose_dir, &collected.env_local) == (&request.compose_dir, &request.env_local),
        "it is of the stack in {} with {}",
        collected.compose_dir.display(),
        collected.env_local.display()
    );
    let print = fingerprint(&collected);
    let loaded = resolve(collected, installation);
    if let Some(project) = request.process_env.get("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty()) {
        anyhow::ensure!(*project == loaded.settings.project, "it is of the project {:?}", loaded.settings.project);
    }
    Ok(Some(InForce { loaded, print, since }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::examples::{collected, installation, job};
    use super::*;

    fn request(dir: &str, env: &[(&str, &str)]) -> ProbeRequest {
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        ProbeRequest::new(dir, Path::new(dir).join("env.local"), env)
    }

    /// Why what is kept is of no use.
    fn refused(state: &Path, request: &ProbeRequest) -> String {
        kept(state, request, &installation()).err().map(|e| format!("{e:#}")).unwrap_or_default()
    }

    #[test]
    fn what_is_kept_comes_back_for_its_owner_only() {
        let state = tempfile::tempdir().unwrap();
        let stack = request("/stack", &[]);
        assert!(kept(state.path(), &stack, &installation()).unwrap().is_none());
        let good = collected(&job("a", "@daily", "x"), &[("DB_PASSWORD", "hunter2")]);
        let since = "2026-01-02T03:04:05Z".parse().unwrap();
        keep(state.path(), since, &collected("", &[])).unwrap();
        keep(state.path(), since, &good).unwrap();
        let back = kept(state.path(), &stack, &installation()).unwrap().unwrap();
        assert_eq!((back.since, back.print), (since, fingerprint(&good)));
        assert!(back.loaded.job("a").is_some() && back.loaded.complete);
        let mode = path(state.path()).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_is_of_no_use_is_named_without_its_text() {
        let state = tempfile::tempdir().unwrap();
        let good = collected("", &[("COMPOSE_PROJECT_NAME", "one"), ("DB_PASSWORD", "hunter2")]);
        keep(state.path(), Utc::now(), &good).unwrap();
        assert_eq!(refused(state.path(), &request("/stack", &[("COMPOSE_PROJECT_NAME", "one")])), "");
        assert!(refused(state.path(), &request("/other", &[])).contains("/stack"));
        let project = refused(state.path(), &request("/stack", &[("COMPOSE_PROJECT_NAME", "two")]));
        assert!(project.contains("\"one\""), "{project}");
        let text = std::fs::read_to_string(path(state.path())).unwrap();
        for (broken, why) in [
            (text.replace("\"format\":1", "\"format\":7"), "format 7"),
            (text.replace("\"complete\":true", "\"complete\":\"hunter2\""), "another version"),
            (text[..text.len() / 2].to_owned(), "damaged"),
            (String::new(), "damaged"),
        ] {
            std::fs::write(path(state.path()), broken).unwrap();
            let said = refused(state.path(), &request("/stack", &[]));
            assert!(said.contains(why) && !said.contains("hunter2"), "{said}");
        }
    }
}
