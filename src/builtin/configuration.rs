//! The program that asks compose what the stack's configuration is, for a service-run of a stack that
//! no deploy has kept it of.

use anyhow::{Context as _, Result, bail};

use super::deploy::up;
use super::entry::Entry;
use crate::compose::Resolved;
use crate::config::{self, Installation, ProbeRequest, ProcessProbe};
use crate::job::MountSource;

/// The configuration of the checkouts as they are.
///
/// # Errors
/// When it cannot be read, or compose refuses it.
pub async fn resolved(entry: &Entry) -> Result<Resolved> {
    let settings = &entry.settings;
    let probe = ProcessProbe::new(std::env::current_exe().context("the own program cannot be found")?);
    let request = ProbeRequest::new(&settings.compose_dir, &settings.env_local, entry.stack_env.clone());
    // Nothing is installed here: what jobs are made of does not matter.
    let installation = Installation {
        image: settings.image.clone(),
        socket: "/var/run/docker.sock".into(),
        state: MountSource::Anonymous,
        instance: String::new(),
    };
    let loaded = config::load(&probe, &ProbeRequest { includes: true, ..request }, &installation).await?;
    if !loaded.complete {
        let why: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
        bail!("the configuration was not read to its end: {}", why.join("; "));
    }
    up::compose(&loaded).resolved().await
}
