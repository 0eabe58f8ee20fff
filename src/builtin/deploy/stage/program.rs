//! What runs in the stage container, and what passes between it and the deploy.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::compose::{Compose, Resolved};
use crate::secret::Environment;

/// What the program in the stage container is asked.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// Compose project.
    pub project: String,
    /// The compose dir.
    pub dir: PathBuf,
    /// Compose files in order.
    pub files: Vec<PathBuf>,
    /// The whole environment for compose. The file that holds this is removed once it was read.
    pub env: Environment,
    /// Folder or file with the registry logins.
    pub docker_config: Option<PathBuf>,
    /// Services whose images are built.
    pub build: Vec<String>,
    /// Services whose images are pulled.
    pub pull: Vec<String>,
    /// The whole configuration is asked for.
    pub resolve: bool,
}

/// What it answers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// The services of the configuration.
    pub services: BTreeMap<String, StagedService>,
    /// Version of the compose program.
    pub compose_version: String,
    /// The whole configuration, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
    /// Why it failed.
    pub error: Option<String>,
}

/// A service of the staged configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StagedService {
    /// Compose's config hash.
    pub hash: String,
    /// Name of its image.
    pub image: String,
    /// Whether the image is built from the checkouts.
    pub builds: bool,
    /// Paths of the host that it mounts, and files that its configuration reads.
    pub sources: Vec<PathBuf>,
    /// Folders that its image is built from.
    pub contexts: Vec<PathBuf>,
    /// Started only on request.
    pub inactive: bool,
}

/// The program of the stage container: reads the request, asks compose, leaves the answer.
///
/// # Errors
/// When the request cannot be read or the answer cannot be left.
pub async fn main(dir: &Path) -> Result<()> {
    let path = dir.join("request.json");
    let request: Request = serde_json::from_slice(&fs::read(&path).context("the stage has no request")?)?;
    fs::remove_file(&path)?;
    let answer =
        answer(request).await.unwrap_or_else(|e| Answer { error: Some(format!("{e:#}")), ..Answer::default() });
    crate::journal::replace(&dir.join("answer.json"), &serde_json::to_vec(&answer)?)
}

#[expect(clippy::print_stdout, reason = "the program of a container talks through its output")]
async fn answer(request: Request) -> Result<Answer> {
    let compose = Compose {
        program: Compose::find_program(),
        project: request.project,
        dir: request.dir,
        files: request.files,
        env: request.env,
        docker_config: request.docker_config,
    };
    let mut say = |line: &str| println!("{line}");
    if !request.pull.is_empty() {
        compose.pull(&request.pull, &mut say).await.context("an image cannot be had")?;
    }
    if !request.build.is_empty() {
        compose.build(&request.build, &mut say).await.context("the build failed")?;
    }
    let whole = async { if request.resolve { compose.resolved().await.map(Some) } else { Ok(None) } };
    let (model, resolved) = tokio::join!(compose.model(), whole);
    let (model, resolved) = (model.context("compose refuses the configuration")?, resolved?);
    let hashes = compose.hashes().await.context("compose refuses the configuration")?;
    let services = model
        .services
        .iter()
        .map(|(name, service)| {
            let mut sources: Vec<PathBuf> = service.binds.iter().map(|b| b.source.clone()).collect();
            sources.extend(service.files.clone());
            let staged = StagedService {
                hash: hashes.get(name).cloned().unwrap_or_default(),
                image: service.image.clone().unwrap_or_else(|| format!("{}-{name}", compose.project)),
                builds: service.build.is_some(),
                sources,
                contexts: service.build.iter().map(|b| b.context.clone()).collect(),
                inactive: !hashes.contains_key(name),
            };
            (name.clone(), staged)
        })
        .collect();
    Ok(Answer { services, compose_version: compose.version().await?, resolved, error: None })
}
