//! Hooks of conf dirs, for a stack without a wrapper of its own: each in a container, in the order
//! of the conf dirs. None runs on the way back.

use anyhow::{Context as _, Result, bail};

use super::context::Context;
use super::stage::compose_environment;
use super::step;
use crate::compose::Compose;
use crate::config::{Hook, HookKind, Loaded};
use crate::engine::{Created, Host, Life, Seen};
use crate::journal::deploy::{DeployState, HookState};
use crate::run::labels;
use crate::secret::Environment;

/// Runs those that come before `up`.
///
/// # Errors
/// When one of them fails; no container of the stack was touched by the deploy then.
pub async fn before<H: Host>(context: &Context<H>, state: &mut DeployState, loaded: &Loaded) -> Result<()> {
    run(context, state, loaded, |kind| kind != HookKind::Post).await
}

/// Runs those that come after `up`.
///
/// # Errors
/// When one of them fails.
pub async fn after<H: Host>(context: &Context<H>, state: &mut DeployState, loaded: &Loaded) -> Result<()> {
    run(context, state, loaded, |kind| kind == HookKind::Post).await
}

async fn run<H: Host>(
    context: &Context<H>,
    state: &mut DeployState,
    loaded: &Loaded,
    now: impl Fn(HookKind) -> bool,
) -> Result<()> {
    if loaded.wrapper.is_some() {
        return Ok(());
    }
    for (number, hook) in (1..).zip(&loaded.hooks).filter(|(_, hook)| now(hook.kind)) {
        let name = format!("tender-{}-{}-p{number}", context.settings.project, state.id);
        let code = ended(context, state, loaded, hook, &name).await;
        let code = code.with_context(|| format!("the hook {} failed", hook.path.display()))?;
        if code != 0 {
            bail!("the hook {} ended with {code}", hook.path.display());
        }
    }
    Ok(())
}

/// The exit code of a hook, which runs once in a deploy, however often that is taken up again.
async fn ended<H: Host>(
    context: &Context<H>,
    state: &mut DeployState,
    loaded: &Loaded,
    hook: &Hook,
    name: &str,
) -> Result<i64> {
    let there = context.host.look(name).await?;
    if let Some(seen) = there.as_ref().filter(|seen| !is_ours(context, seen)) {
        bail!("the name {name} is taken by container {}, which is not ours", seen.id);
    }
    let id = match (state.hooks.get(&hook.path), there) {
        (Some(HookState::Ended(code)), there) => {
            let code = *code;
            if let Some(seen) = there {
                step::remove(context, &seen.id).await?;
            }
            return Ok(code);
        }
        (Some(HookState::Begun), None) => bail!("it was cut off, and nobody knows how far it came"),
        (Some(HookState::Begun), Some(seen)) => {
            context.say(format!("{} was begun before; waiting for its end", hook.path.display()));
            if seen.life == Life::Created {
                context.host.start(&seen.id).await?;
            }
            seen.id
        }
        (None, _) => {
            context.say(format!("hook: {}", hook.path.display()));
            let spec = step::container(context, loaded, command(hook), environment(loaded)).await?;
            state.hooks.insert(hook.path.clone(), HookState::Begun);
            context.ledgers.journal().write(state)?;
            let id = match context.host.create(name, &spec).await.context("its container cannot be created")? {
                Created::New(id) => id,
                Created::Taken(seen) => bail!("the name {name} is taken by container {}", seen.id),
            };
            context.host.start(&id).await?;
            id
        }
    };
    let code = step::follow(context, &id, false).await?;
    state.hooks.insert(hook.path.clone(), HookState::Ended(code));
    context.ledgers.journal().write(state)?;
    step::remove(context, &id).await?;
    Ok(code)
}

fn is_ours<H>(context: &Context<H>, seen: &Seen) -> bool {
    seen.labels.get(labels::INSTANCE) == Some(&context.installation.instance)
}

/// What a shell is told. What is sourced counts as failed when it ends the shell: that its last
/// command is false is common and fine.
fn command(hook: &Hook) -> Vec<String> {
    let path = hook.path.display().to_string();
    match hook.kind {
        HookKind::Pre | HookKind::Post => vec![path],
        HookKind::Include => vec!["-c".into(), ". \"$0\"\nexit 0".into(), path],
    }
}

/// The configuration as it is now: nothing of an older one.
fn environment(loaded: &Loaded) -> Environment {
    let mut env = compose_environment(loaded);
    env.0.entry("DOCKER_COMPOSE".to_owned()).or_insert_with(|| Compose::find_program().join(" "));
    env.0.entry("COMPOSE_PROJECT_NAME".to_owned()).or_insert_with(|| loaded.settings.project.clone());
    env
}
