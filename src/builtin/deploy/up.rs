//! Bringing services up, by compose or by the stack's own wrapper, and watching them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use chrono::Utc;

use super::context::{Context, STOPPED};
use super::gate::{Judgement, judge, patience};
use super::stage::compose_environment;
use super::{services, step};
use crate::compose::{Compose, Labelled, Repair, leftovers};
use crate::config::Loaded;
use crate::engine::{Created, EngineError, Host, Life, Seen};
use crate::run::labels;
use crate::secret::Environment;

/// How often services are looked at while they are watched.
const LOOK: Duration = Duration::from_millis(500);

/// Pauses after which an `up` that failed is tried again.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(8)];

/// Compose for a configuration.
pub fn compose(loaded: &Loaded) -> Compose {
    Compose {
        program: Compose::find_program(),
        project: loaded.settings.project.clone(),
        dir: loaded.settings.compose_dir.clone(),
        files: loaded.compose_files.clone(),
        env: compose_environment(loaded),
        docker_config: loaded.settings.docker_config.clone(),
    }
}

/// Brings services up: those in `force` are replaced although compose sees no change in them.
///
/// # Errors
/// When compose or the wrapper fails, or the deploy was asked to stop.
pub async fn up<H: Host>(
    context: &Context<H>,
    loaded: &Loaded,
    services: &[String],
    force: &[String],
    back: bool,
) -> Result<()> {
    if context.stop.is_set() && !back {
        bail!(STOPPED);
    }
    repair(context).await?;
    if services.is_empty() && force.is_empty() {
        return Ok(());
    }
    if let Some(wrapper) = &loaded.wrapper {
        if !services.is_empty() {
            by_wrapper(context, loaded, wrapper, &[], services, back).await?;
        }
        if !force.is_empty() {
            by_wrapper(context, loaded, wrapper, &["--no-deps", "--force-recreate"], force, back).await?;
        }
        return Ok(());
    }
    let compose = compose(loaded);
    // All that has to change is named. Without `--no-deps` compose would also replace a scheduler
    // that somebody depends on, and run one-shots that have ended once more.
    let mut options: Vec<String> = vec!["--no-build".into(), "--no-deps".into()];
    if back {
        options.extend(["--pull".into(), "never".into()]);
    }
    if !services.is_empty() {
        let mut all = options.clone();
        all.extend(loaded.settings.up_options.clone());
        by_compose(context, &compose, services, &all, back).await?;
    }
    if !force.is_empty() {
        let mut all = options;
        all.push("--force-recreate".into());
        by_compose(context, &compose, force, &all, back).await?;
    }
    Ok(())
}

/// One `up`, tried again after a pause: what it stumbles over (a name still in use, a registry, a
/// busy engine) is often gone a moment later.
async fn by_compose<H: Host>(
    context: &Context<H>,
    compose: &Compose,
    services: &[String],
    options: &[String],
    back: bool,
) -> Result<()> {
    let mut pauses = PAUSES.iter();
    loop {
        let mut say = |line: &str| context.say(format!("  {line}"));
        let done = tokio::select! {
            done = compose.up(services, options, &mut say) => done.context("up failed"),
            () = context.stop.asked(), if !back => bail!(STOPPED),
        };
        let Err(error) = done else { return Ok(()) };
        let Some(pause) = pauses.next() else { return Err(error) };
        context.say(format!("  up failed and is tried again in {} s", pause.as_secs()));
        tokio::time::sleep(*pause).await;
        repair(context).await?;
    }
}

/// Containers that an interrupted recreation left under a temporary name get their own back.
async fn repair<H: Host>(context: &Context<H>) -> Result<()> {
    let all = context.host.project(&context.settings.project).await?;
    let labelled: Vec<Labelled<'_>> =
        all.iter().map(|seen| Labelled { id: &seen.id, name: &seen.name, labels: &seen.labels }).collect();
    for leftover in leftovers(&labelled) {
        context.say(format!("repairing {}: an interrupted recreation left it behind", leftover.name));
        match leftover.repair {
            Repair::Remove => context.host.remove(&leftover.id).await?,
            Repair::Rename(name) => context.host.rename(&leftover.id, &name).await?,
        }
    }
    Ok(())
}

/// Runs the stack's own wrapper in a container of its own. Its name is fixed for this deploy: one
/// that a dead predecessor left behind is waited for, and then run anew, because `up` can be repeated.
async fn by_wrapper<H: Host>(
    context: &Context<H>,
    loaded: &Loaded,
    wrapper: &Path,
    options: &[&str],
    services: &[String],
    back: bool,
) -> Result<()> {
    let mut command = vec![wrapper.display().to_string(), "up".into(), "-d".into()];
    command.extend(options.iter().map(|o| (*o).to_owned()));
    command.extend(services.iter().cloned());
    let spec = step::container(context, loaded, command, wrapper_environment(loaded)).await?;
    let name = format!("tender-{}-wrapper", context.settings.project);
    let id = loop {
        match context.host.create(&name, &spec).await.context("the wrapper's container cannot be created")? {
            Created::New(id) => break id,
            Created::Taken(old) if old.labels.get(labels::INSTANCE) == Some(&context.installation.instance) => {
                if old.life == Life::Running {
                    context.say("a wrapper that was begun before is still at work; waiting for it");
                    context.host.exit(&old.id).await?;
                }
                context.host.remove(&old.id).await?;
            }
            Created::Taken(old) => bail!("the name {name} is taken by container {}, which is not ours", old.id),
        }
    };
    context.host.start(&id).await?;
    let code = step::follow(context, &id, back).await?;
    step::remove(context, &id).await?;
    if code != 0 {
        bail!("{} ended with {code}", wrapper.display());
    }
    Ok(())
}

/// What a wrapper is told. It reads the stack's files itself and lets its process environment beat
/// them, so a value of theirs is never among it: it would outlive its change. The project is the
/// exception that changes nothing: a deploy that would rename it is refused.
fn wrapper_environment(loaded: &Loaded) -> Environment {
    let mut env = BTreeMap::from(
        [
            ("COMPOSE_DIR", loaded.settings.compose_dir.display().to_string()),
            ("BIRDHOUSE_LOCAL_ENV", loaded.settings.env_local.display().to_string()),
            ("COMPOSE_PROJECT_NAME", loaded.settings.project.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    if !loaded.environment.0.contains_key("DOCKER_COMPOSE") {
        env.insert("DOCKER_COMPOSE".to_owned(), Compose::find_program().join(" "));
    }
    Environment(env)
}

/// Watches services until all are well.
///
/// # Errors
/// When one of them does not become well in its time; the text says which, and ends with its last lines.
pub async fn gate<H: Host>(context: &Context<H>, services: &[String], back: bool) -> Result<()> {
    let limits = services::limits(context);
    let begun = Instant::now();
    let mut restarts: BTreeMap<String, i64> = BTreeMap::new();
    let mut said: BTreeMap<String, String> = BTreeMap::new();
    loop {
        if context.stop.is_set() && !back {
            bail!(STOPPED);
        }
        let present = services::present(context).await?;
        let mut waiting = None;
        for name in services {
            let Some(containers) = present.get(name).filter(|all| !all.is_empty()) else {
                bail!("{name} has no container");
            };
            for seen in containers {
                let before = *restarts.entry(seen.id.clone()).or_insert(seen.restart_count);
                match judge(seen, before, limits, Utc::now()) {
                    Judgement::Well(how) => {
                        if said.insert(name.clone(), how.clone()).is_none() {
                            context.say(format!("  {name}: {how} after {:.1} s", begun.elapsed().as_secs_f64()));
                        }
                    }
                    Judgement::Wait(how) if begun.elapsed() < patience(seen, limits) => {
                        waiting = Some(format!("{name} {how}"))
                    }
                    Judgement::Wait(how) | Judgement::Failed(how) => {
                        bail!(
                            "{name} is not well: {how} after {:.1} s{}",
                            begun.elapsed().as_secs_f64(),
                            last_lines(context, seen).await
                        );
                    }
                }
            }
        }
        if waiting.is_none() {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn last_lines<H: Host>(context: &Context<H>, seen: &Seen) -> String {
    match context.host.tail(&seen.id, 10).await {
        Ok(text) if !text.trim().is_empty() => {
            let lines: String = text.trim_end().lines().map(|l| format!("\n    | {l}")).collect();
            format!("; its last lines:{lines}")
        }
        Ok(_) | Err(EngineError::NotFound(_)) => String::new(),
        Err(error) => format!("; its log cannot be read: {error}"),
    }
}
