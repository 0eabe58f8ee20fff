//! Laying a vector out aside, and trying there everything that can fail without touching a container.

mod place;
mod program;
mod proxies;

pub use program::{Answer, Request, StagedService, main};

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::context::Context;
use super::lines::Lines;
use crate::config::{LoadError, Loaded, Severity};
use crate::engine::Host;
use crate::job::{ContainerSpec, Mount};
use crate::journal::deploy::DeployState;
use crate::run::labels;
use crate::runner::container::hardened;
use crate::runner::probe::ContainerProbe;
use crate::secret::Environment;

/// How long the programs in a stage container may take: builds are slow.
const STAGE_LIMIT: Duration = Duration::from_secs(2 * 3600);

/// A vector laid out aside.
#[derive(Debug, Default)]
pub struct Stage {
    /// Its folder, as seen from here.
    dir: PathBuf,
    /// The same folder on the host.
    on_host: PathBuf,
    /// Mounts that put it at the checkouts' own paths.
    pub overlays: Vec<Mount>,
    /// Checkout → the folder that its files are laid out in.
    trees: BTreeMap<PathBuf, PathBuf>,
    /// Rendered file that is mounted over the one in place → its name in the stage.
    rendered: BTreeMap<PathBuf, String>,
    /// Folders that such mounts lie in: a probe must see all of them.
    paths: Vec<PathBuf>,
    /// Rendered files that no stage can hold.
    unstaged: BTreeSet<PathBuf>,
}

impl Stage {
    /// Lays out those checkouts that move. The others are used as they are.
    ///
    /// # Errors
    /// When a commit cannot be written out, or the disk is full.
    pub async fn lay_out<H: Host>(context: &Context<H>, state: &DeployState) -> Result<Self> {
        let dir = context.ledgers.stage().join(&state.id);
        let on_host = context.state_on_host.join("deploy/stage").join(&state.id);
        fs::create_dir_all(&dir).with_context(|| format!("failed to make {}", dir.display()))?;
        let mut stage = Self { dir, on_host, ..Self::default() };
        for (checkout, (_, to)) in &state.moves {
            stage.add(context, checkout, to).await?;
        }
        Ok(stage)
    }

    /// Reads the configuration of the new vector, in a probe container that sees the stage.
    ///
    /// # Errors
    /// When it cannot be read as a whole. A broken job file is no reason: it is said and left out.
    pub async fn configuration<H: Host>(&self, context: &Context<H>) -> Result<Loaded> {
        let loaded = read_configuration(context, self.overlays.clone(), &self.paths).await?;
        for problem in loaded.problems.iter().filter(|p| p.severity == Severity::Error) {
            context.say(format!("  {problem}"));
        }
        Ok(loaded)
    }

    /// Asks compose about the new configuration, and has it build and pull; the first time, as a
    /// whole, too.
    ///
    /// # Errors
    /// When compose refuses the configuration, a build fails, or an image cannot be had.
    pub async fn compose<H: Host>(
        &self,
        context: &Context<H>,
        loaded: &Loaded,
        build: Vec<String>,
        pull: Vec<String>,
    ) -> Result<Answer> {
        let request = Request {
            project: loaded.settings.project.clone(),
            dir: loaded.settings.compose_dir.clone(),
            files: loaded.compose_files.clone(),
            env: compose_environment(loaded),
            docker_config: loaded.settings.docker_config.clone(),
            resolve: build.is_empty() && pull.is_empty(),
            build,
            pull,
        };
        crate::journal::replace(&self.dir.join("request.json"), &serde_json::to_vec(&request)?)?;
        let spec = self.container(context, loaded);
        let mut lines = Lines::default();
        let code = context
            .host
            .attach_once(&container_name(context), &spec, STAGE_LIMIT, &mut |channel, bytes| {
                for line in lines.feed(channel, bytes) {
                    context.say(format!("  {line}"));
                }
            })
            .await;
        // The container removes it once it was read; one that never started did not.
        let request = fs::remove_file(self.dir.join("request.json"));
        if let Err(error) = request.as_ref()
            && error.kind() != std::io::ErrorKind::NotFound
        {
            request.context("failed to remove the request of the stage")?;
        }
        let code = code.context("the stage container failed")?;
        let answer = fs::read(self.dir.join("answer.json"));
        let answer: Answer = match answer {
            Ok(text) => serde_json::from_slice(&text).context("the stage container left a damaged answer")?,
            Err(_) => bail!("the stage container ended with {code} and left no answer"),
        };
        match &answer.error {
            Some(error) => bail!("{error}"),
            None => Ok(answer),
        }
    }

    /// Removes this stage.
    ///
    /// # Errors
    /// When a folder cannot be removed.
    pub fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.dir).with_context(|| format!("failed to remove {}", self.dir.display()))
    }

    fn container<H: Host>(&self, context: &Context<H>, loaded: &Loaded) -> ContainerSpec {
        let in_container =
            context.settings.state_dir.join("deploy/stage").join(self.dir.file_name().unwrap_or_default());
        let mut mounts: Vec<Mount> =
            context.settings.checkouts.iter().filter(|c| c.is_dir()).map(|c| Mount::same_path(c, true)).collect();
        for path in &loaded.paths {
            if !mounts.iter().any(|m| path.starts_with(&m.target)) && path.exists() {
                mounts.push(Mount::same_path(path, true));
            }
        }
        mounts.retain(|m| !self.overlays.iter().any(|o| o.target == m.target));
        mounts.extend(self.overlays.iter().cloned());
        mounts.sort_by_key(|m| m.target.components().count());
        mounts.push(Mount::bind(&context.installation.socket, "/var/run/docker.sock", false));
        mounts.push(Mount {
            source: context.installation.state.clone(),
            target: context.settings.state_dir.clone(),
            read_only: false,
            options: vec![],
            create: false,
        });
        if let Some(login) = context.settings.docker_config.as_ref().filter(|path| path.exists()) {
            mounts.push(Mount::same_path(login, true));
        }
        let base = hardened(&context.installation, &["job", "stage"]);
        mounts.extend(base.mounts.iter().cloned());
        ContainerSpec {
            // As the deploy itself: it reads what belongs to others, and builds may fetch.
            cap_add: vec!["DAC_OVERRIDE".into()],
            networks: vec!["bridge".into()],
            env: Environment([("TENDER_STAGE".to_owned(), in_container.display().to_string())].into()),
            mounts,
            labels: [
                (labels::STACK.to_owned(), context.settings.project.clone()),
                (labels::INSTANCE.to_owned(), context.installation.instance.clone()),
                (labels::ROLE.to_owned(), "stage".to_owned()),
            ]
            .into(),
            ..base
        }
    }
}

/// Reads the configuration in a probe container, with these mounts over the real ones, and with
/// these paths besides the checkouts from the beginning.
///
/// # Errors
/// When it cannot be read as a whole.
pub async fn read_configuration<H: Host>(
    context: &Context<H>,
    overlays: Vec<Mount>,
    paths: &[PathBuf],
) -> Result<Loaded> {
    let probe = ContainerProbe::new(&context.host, &context.installation, &context.settings.project)
        .with_overlays(overlays)
        .with_paths(context.settings.checkouts.iter().chain(paths).cloned().collect());
    let request = crate::config::ProbeRequest::new(
        &context.settings.compose_dir,
        &context.settings.env_local,
        context.stack_env.clone(),
    );
    let loaded = crate::config::load(&probe, &request, &context.installation).await.map_err(|error| match error {
        // Keeps its type: an engine that is away is no fault of the vector.
        LoadError::Probe(error) => error.context("the configuration cannot be looked at"),
        error => error.into(),
    })?;
    if !loaded.complete {
        let why: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
        bail!("it was not read to its end: {}", why.join("; "));
    }
    Ok(loaded)
}

/// Name of the stage container of this run.
pub fn container_name<H>(context: &Context<H>) -> String {
    format!("tender-{}-stage-{}", context.settings.project, context.run)
}

/// The environment for compose: all variables, and what the legacy wrapper adds to them.
pub fn compose_environment(loaded: &Loaded) -> Environment {
    let mut env = loaded.environment.clone();
    // The root of our containers is read-only, and builds want to write here.
    if loaded.settings.docker_config.is_none() {
        env.0.entry("DOCKER_CONFIG".to_owned()).or_insert_with(|| "/tmp/.docker".to_owned());
    }
    proxies::add(&mut env, &loaded.settings);
    env.0.entry("PROXY_HTTP_PORT".to_owned()).or_insert_with(|| "80".to_owned());
    env
}

/// Removes all stages; nothing runs from them.
///
/// # Errors
/// When a folder cannot be removed.
pub fn clear<H: Host>(context: &Context<H>) -> Result<()> {
    match fs::remove_dir_all(context.ledgers.stage()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("failed to clear the stage"),
        _ => Ok(()),
    }
}
