//! Laying a vector out aside, and trying there everything that can fail without touching a container.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::context::Context;
use super::rendering::in_place;
use crate::compose::Compose;
use crate::config::{Loaded, Severity, Template};
use crate::engine::{Channel, Host};
use crate::job::{ContainerSpec, Mount, MountSource};
use crate::journal::deploy::DeployState;
use crate::run::{Verdict, labels};
use crate::runner::container::hardened;
use crate::runner::probe::ContainerProbe;
use crate::secret::Environment;

/// Untracked files up to this size are copied into the stage; larger ones and folders are mounted.
const COPY_LIMIT: u64 = 1 << 20;

/// How long the programs in a stage container may take: builds are slow.
const STAGE_LIMIT: Duration = Duration::from_secs(2 * 3600);

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
}

/// What it answers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// The services of the configuration.
    pub services: BTreeMap<String, StagedService>,
    /// Version of the compose program.
    pub compose_version: String,
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

    /// Lays out one checkout.
    async fn add<H: Host>(&mut self, context: &Context<H>, checkout: &Path, commit: &str) -> Result<()> {
        let number = self.trees.len().to_string();
        let tree = self.dir.join(&number);
        fs::create_dir_all(&tree)?;
        // The children that write here run as the owner of the checkout.
        let (uid, gid) = crate::git::owner(checkout)?;
        std::os::unix::fs::chown(&tree, Some(uid), Some(gid))?;
        context
            .git
            .materialise(checkout, commit, &tree)
            .await
            .with_context(|| format!("failed to lay out {}", checkout.display()))?;
        self.overlays.push(Mount::bind(self.on_host.join(&number), checkout, false));
        for entry in context.git.leftovers(checkout).await? {
            self.overlays.extend(carry_over(checkout, &tree, &entry)?);
        }
        self.trees.insert(checkout.to_owned(), tree);
        self.sort();
        Ok(())
    }

    /// Outer paths first: a mount hides what was mounted below it before.
    fn sort(&mut self) {
        self.overlays.sort_by_key(|m| m.target.components().count());
    }

    /// Renders templates in the stage; gives the files that had to be written for it.
    ///
    /// # Errors
    /// When a file cannot be written, or something else than a file is in its way.
    pub async fn render<H: Host>(&mut self, context: &Context<H>, templates: &[Template]) -> Result<BTreeSet<PathBuf>> {
        let mut written = BTreeSet::new();
        for template in templates {
            if self.place(context, template).await? {
                written.insert(template.target.clone());
            }
        }
        Ok(written)
    }

    /// Those of some rendered files that are not to be seen in the stage.
    pub fn unstaged<'a>(&'a self, of: &'a BTreeSet<PathBuf>) -> impl Iterator<Item = &'a PathBuf> {
        self.unstaged.intersection(of)
    }

    /// Puts one rendered file into the stage; tells whether it was another one before.
    async fn place<H: Host>(&mut self, context: &Context<H>, template: &Template) -> Result<bool> {
        let target = &template.target;
        let top = self.overlays.iter().rev().find(|overlay| target.starts_with(&overlay.target)).map(|o| &o.target);
        if let Some((checkout, tree)) = top.and_then(|top| self.trees.get_key_value(top)) {
            return crate::git::write_below(tree, &in_place(template, checkout))
                .with_context(|| format!("failed to render {} in the stage", template.source.display()));
        }
        // It lies where it is: there it is covered by a mount, or, where it is new, needs a stage.
        let bytes = template.text.expose();
        match fs::symlink_metadata(target) {
            Ok(found) if found.is_file() => {
                let known = self.rendered.get(target);
                let there = known.map_or_else(|| target.clone(), |name| self.dir.join(name));
                if fs::read(&there).with_context(|| format!("failed to read {}", there.display()))? == *bytes {
                    return Ok(false);
                }
                let name = known.cloned().unwrap_or_else(|| format!("rendered-{}", self.rendered.len()));
                crate::journal::replace(&self.dir.join(&name), bytes)?;
                if self.rendered.insert(target.clone(), name.clone()).is_none() {
                    self.overlays.push(Mount::bind(self.on_host.join(&name), target, true));
                    self.sort();
                    self.paths.push(template.dir.clone());
                }
                Ok(true)
            }
            _ => {
                let checkout = context.settings.checkouts.iter().find(|c| target.starts_with(c)).cloned();
                let checkout = checkout.filter(|c| !self.trees.contains_key(c) && c.join(".git").exists());
                let Some(checkout) = checkout else {
                    return Ok(self.unstaged.insert(target.clone()));
                };
                if context.git.look(&checkout).await.verdict.verdict == Verdict::Dirty {
                    return Ok(self.unstaged.insert(target.clone()));
                }
                let head = context.git.head(&checkout).await?;
                self.add(context, &checkout, &head).await?;
                Box::pin(self.place(context, template)).await
            }
        }
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

    /// Asks compose about the new configuration, and has it build and pull.
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
    let loaded =
        crate::config::load(&probe, &request, &context.installation).await.map_err(|e| anyhow::anyhow!("{e}"))?;
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

/// Brings an untracked or ignored entry into the stage: configuration may read it.
fn carry_over(checkout: &Path, tree: &Path, entry: &Path) -> Result<Option<Mount>> {
    let (from, to) = (checkout.join(entry), tree.join(entry));
    let Ok(meta) = from.symlink_metadata() else { return Ok(None) };
    if to.symlink_metadata().is_ok() {
        return Ok(None); // tracked in the new revision: the switch will judge it
    }
    // A link of the new revision in its way would lead out of the stage.
    let is_link = |part: &Path| tree.join(part).symlink_metadata().is_ok_and(|found| !found.is_dir());
    if entry.ancestors().skip(1).any(is_link) || !entry.components().all(|c| matches!(c, Component::Normal(_))) {
        return Ok(None);
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    if meta.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(&from)?, &to)?;
        return Ok(None);
    }
    if meta.is_file() && meta.len() <= COPY_LIMIT {
        fs::copy(&from, &to).with_context(|| format!("failed to copy {}", from.display()))?;
        return Ok(None);
    }
    if meta.is_file() || meta.is_dir() {
        // The place to mount it at: the probe sees the stage read-only.
        if meta.is_dir() {
            fs::create_dir_all(&to)?;
        } else {
            fs::write(&to, "")?;
        }
        return Ok(Some(Mount {
            source: MountSource::Bind(from.clone()),
            target: from,
            read_only: true,
            options: vec![],
            create: false,
        }));
    }
    Ok(None) // sockets and pipes are no configuration
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
    let model = compose.model().await.context("compose refuses the configuration")?;
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
    Ok(Answer { services, compose_version: compose.version().await?, error: None })
}

/// Cuts a stream of bytes into lines, each channel on its own.
#[derive(Debug, Default)]
pub struct Lines {
    rest: [Vec<u8>; 2],
}

impl Lines {
    /// The lines that are complete now.
    pub fn feed(&mut self, channel: Channel, bytes: &[u8]) -> Vec<String> {
        let rest = &mut self.rest[usize::from(channel == Channel::Err)];
        rest.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_for_each_channel() {
        let mut lines = Lines::default();
        assert!(lines.feed(Channel::Out, b"a").is_empty());
        assert_eq!(lines.feed(Channel::Err, b"x\ny"), ["x"]);
        assert_eq!(lines.feed(Channel::Out, b"b\nc\n"), ["ab", "c"]);
    }

    #[test]
    fn what_is_carried_over() {
        let (checkout, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (c, t) = (checkout.path(), tree.path());
        fs::write(c.join("env.local"), "X=1").unwrap();
        fs::create_dir(c.join("data")).unwrap();
        fs::write(c.join("big"), vec![0; (COPY_LIMIT + 1) as usize]).unwrap();
        std::os::unix::fs::symlink("../private/env", c.join("link")).unwrap();
        fs::write(c.join("now-tracked"), "old").unwrap();
        fs::write(t.join("now-tracked"), "new").unwrap();
        for name in ["env.local", "link", "now-tracked", "gone"] {
            assert_eq!(carry_over(c, t, Path::new(name)).unwrap(), None, "{name}");
        }
        assert_eq!(fs::read_to_string(t.join("env.local")).unwrap(), "X=1");
        assert_eq!(fs::read_link(t.join("link")).unwrap(), Path::new("../private/env"));
        assert_eq!(fs::read_to_string(t.join("now-tracked")).unwrap(), "new");
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), t.join("conf")).unwrap();
        fs::create_dir(c.join("conf")).unwrap();
        fs::write(c.join("conf/x"), "1").unwrap();
        assert_eq!(carry_over(c, t, Path::new("conf/x")).unwrap(), None);
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "a link is not followed");
        for name in ["data", "big"] {
            assert!(carry_over(c, t, Path::new(name)).unwrap().unwrap().read_only, "{name}");
        }
    }
}
