//! Containers that a deploy starts for a part of its work: the stack's own wrapper, and hooks.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::StreamExt;

use super::context::{Context, STOPPED};
use super::lines::Lines;
use crate::config::Loaded;
use crate::engine::{EngineError, Host, Life};
use crate::job::{Builtin, ContainerSpec, Mount, MountSource, PullPolicy};
use crate::journal::deploy::DeployState;
use crate::run::labels;
use crate::secret::Environment;

/// How long a step may take.
const LIMIT: Duration = Duration::from_secs(3600);

/// Time between stop signal and kill of a step that takes too long.
const GRACE: Duration = Duration::from_secs(10);

/// The image for steps, which is there then.
///
/// # Errors
/// When it cannot be had.
pub async fn image<H: Host>(context: &Context<H>, loaded: &Loaded) -> Result<String> {
    let image = loaded.settings.autodeploy_image.clone().unwrap_or_else(|| context.installation.image.clone());
    context
        .host
        .ensure_image(&image, PullPolicy::Missing)
        .await
        .with_context(|| format!("the image {image} for steps of the stack cannot be had"))?;
    Ok(image)
}

/// Ends the steps of this deploy that still work: on the way back nothing of it may go on.
///
/// # Errors
/// When the engine does not do it.
pub async fn end<H: Host>(context: &Context<H>, state: &DeployState) -> Result<()> {
    let project = &context.settings.project;
    let (hook, wrapper) = (format!("tender-{project}-{}-p", state.id), format!("tender-{project}-wrapper"));
    let ours = [(labels::INSTANCE, context.installation.instance.as_str())];
    for id in context.host.list(&ours).await? {
        let Some(seen) = context.host.look(&id).await? else { continue };
        if !(seen.name.starts_with(&hook) || seen.name == wrapper) {
            continue;
        }
        if seen.life == Life::Running {
            context.say(format!("{} is still at work and is ended", seen.name));
            context.host.stop(&seen.id, GRACE).await?;
        }
        context.host.remove(&seen.id).await?;
    }
    Ok(())
}

/// Removes a step that has ended. One that does not go now is swept later.
///
/// # Errors
/// When the engine is away.
pub async fn remove<H: Host>(context: &Context<H>, id: &str) -> Result<()> {
    match context.host.remove(id).await {
        Err(EngineError::Unavailable(why)) => Err(EngineError::Unavailable(why).into()),
        Err(error) => {
            context.say(format!("WARNING: the container {id} cannot be removed now: {error}"));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// The container of a step: a program of the stack's, with the engine, the checkouts and the logs.
///
/// # Errors
/// When its image cannot be had.
pub async fn container<H: Host>(
    context: &Context<H>,
    loaded: &Loaded,
    command: Vec<String>,
    env: Environment,
) -> Result<ContainerSpec> {
    let image = image(context, loaded).await?;
    let mut mounts: Vec<Mount> =
        loaded.settings.checkouts.iter().filter(|c| c.is_dir()).map(|c| Mount::same_path(c, false)).collect();
    for path in loaded.paths.iter().chain([&loaded.settings.log_dir]) {
        if !mounts.iter().any(|m| path.starts_with(&m.target)) && path.exists() {
            mounts.push(Mount::same_path(path, false));
        }
    }
    mounts.push(Mount::bind(&context.installation.socket, "/var/run/docker.sock", false));
    let mut spec = ContainerSpec {
        image,
        entrypoint: Some(vec!["/bin/sh".into()]),
        command,
        workdir: Some(loaded.settings.compose_dir.display().to_string()),
        env,
        mounts,
        labels: [
            (labels::STACK.to_owned(), context.settings.project.clone()),
            (labels::INSTANCE.to_owned(), context.installation.instance.clone()),
            (labels::PARENT.to_owned(), context.run.to_string()),
        ]
        .into(),
        ..ContainerSpec::default()
    };
    if let Some(extra) = loaded.job(Builtin::Autodeploy.name()).and_then(|job| job.extra.as_deref()) {
        add(&mut spec, extra);
    }
    Ok(spec)
}

/// Adds what the operator gave to the job that deployed the stack before: its hooks may need it.
fn add(spec: &mut ContainerSpec, extra: &ContainerSpec) {
    let mut extra = extra.clone();
    let optional = std::mem::take(&mut extra.optional);
    // This process has the same mounts, as far as they are there.
    extra.mounts.retain(|mount| match &mount.source {
        MountSource::Bind(path) => !optional.contains(path) || mount.target.exists(),
        _ => true,
    });
    spec.add_extra(&extra);
}

/// Follows a container that was started until it ends; its output becomes a part of the story.
///
/// # Errors
/// When it takes too long, or the deploy was asked to stop (not on the way back): it is gone then.
/// When the engine does not answer: it is left for a resume.
pub async fn follow<H: Host>(context: &Context<H>, id: &str, back: bool) -> Result<i64> {
    let code = async {
        let mut lines = Lines::default();
        let mut output = std::pin::pin!(context.host.output(id, 0));
        while let Some(frame) = output.next().await {
            let frame = frame?;
            for line in lines.feed(frame.channel, &frame.bytes) {
                context.say(format!("  {line}"));
            }
        }
        for line in lines.rest() {
            context.say(format!("  {line}"));
        }
        anyhow::Ok(context.host.exit(id).await?)
    };
    let why = tokio::select! {
        code = code => return code,
        () = context.stop.asked(), if !back => STOPPED.to_owned(),
        () = tokio::time::sleep(LIMIT) => format!("it did not end within {} minutes", LIMIT.as_secs() / 60),
    };
    context.host.stop(id, GRACE).await?;
    context.host.remove(id).await?;
    bail!(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_mounts_that_may_be_missing_are_left_out_where_they_are() {
        let here = tempfile::tempdir().unwrap();
        let gone = here.path().join("gone");
        let mounts =
            [here.path(), &gone, "/needed/and/gone".as_ref()].map(|path| Mount::same_path(path, true)).to_vec();
        let optional = vec![here.path().to_owned(), gone];
        let mut spec = ContainerSpec::default();
        add(&mut spec, &ContainerSpec { mounts, optional, ..ContainerSpec::default() });
        let targets: Vec<_> = spec.mounts.iter().map(|mount| mount.target.as_path()).collect();
        assert_eq!(targets, [here.path(), "/needed/and/gone".as_ref()]);
        assert!(spec.optional.is_empty());
    }
}
