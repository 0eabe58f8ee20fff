//! Before anything is touched: room on the disks, the stage, and the plan made from it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::vector_in_words;
use crate::builtin::deploy::adopt::Known;
use crate::builtin::deploy::context::Context;
use crate::builtin::deploy::plan::plan;
use crate::builtin::deploy::stage::{self, Answer, Stage};
use crate::builtin::deploy::{first, rendering, rollback, services, step};
use crate::config::Loaded;
use crate::engine::Host;
use crate::journal::deploy::{DeployState, Good, Step};
use crate::run::{RevisionVector, ServiceAction};

/// A vector that was laid out and found to be possible.
pub(super) struct Staged {
    /// Its configuration.
    pub(super) loaded: Loaded,
    /// What compose makes of it.
    pub(super) answer: Answer,
}

/// Lays the vector out, tries there all that can fail, and plans.
///
/// # Errors
/// When it cannot be deployed; no container was touched.
pub(super) async fn stage_and_plan<H: Host>(
    context: &Context<H>,
    known: &Known,
    state: &mut DeployState,
) -> Result<Staged> {
    context.say(format!("staging {}", vector_in_words(&state.to)));
    let mut obstacles = Vec::new();
    for (checkout, (_, to)) in &state.moves {
        for obstacle in context.git.can_switch(checkout, to).await? {
            obstacles.push(format!("{}: {obstacle}", checkout.display()));
        }
    }
    if !obstacles.is_empty() {
        bail!("files are in the way: {}", obstacles.join("; "));
    }
    stage::clear(context)?;
    let mut stage = Stage::lay_out(context, state).await?;
    let (loaded, rendered) = rendering::in_stage(context, &mut stage).await?;
    first::check(&loaded)?;
    if loaded.wrapper.is_some() || !loaded.hooks.is_empty() {
        step::image(context, &loaded).await?;
    }
    let (now, then) = (&context.settings.project, &loaded.settings.project);
    if now != then {
        bail!(
            "the compose project would become {then:?} and is {now:?}: a deploy cannot rename the stack, do it by hand"
        );
    }
    let answer = stage.compose(context, &loaded, vec![], vec![]).await?;
    if let Some(resolved) = &answer.resolved {
        // Durable before the vector can become last good; one that does not is forgotten.
        context.ledgers.config(&state.id).write(resolved)?;
    }

    // What runs now, before anything is built or pulled: the way back needs it.
    let present = services::present(context).await?;
    state.running_images = services::images(&present);
    state.running_hashes = services::hashes(&present);
    state.well_before = present
        .iter()
        .filter(|(name, all)| *name != services::OWN && all.iter().all(services::is_well))
        .map(|(name, _)| name.clone())
        .collect();
    for service in answer.services.values() {
        if let Some(id) = context.host.image_id(&service.image).await? {
            state.images.insert(service.image.clone(), id);
        }
    }
    rollback::keep_images(context, state, &state.running_images.clone()).await?;
    context.enter(state, Step::Target)?;

    let active = |name: &&String| name.as_str() != services::OWN && !answer.services[*name].inactive;
    let build: Vec<String> =
        answer.services.keys().filter(active).filter(|n| answer.services[*n].builds).cloned().collect();
    let pull: Vec<String> = answer
        .services
        .keys()
        .filter(active)
        .filter(|n| !answer.services[*n].builds && !state.images.contains_key(&answer.services[*n].image))
        .cloned()
        .collect();
    let answer = if build.is_empty() && pull.is_empty() {
        answer
    } else {
        if !build.is_empty() {
            context.say(format!("building {}", build.join(", ")));
        }
        if !pull.is_empty() {
            context.say(format!("pulling {}", pull.join(", ")));
        }
        stage.compose(context, &loaded, build, pull).await?
    };
    let mut changed = changed_files(context, known.good(), &state.to).await?;
    changed.extend(rendered);
    state.services =
        plan(&services::wanted(context, &answer).await?, &services::in_plan_terms(&present), &changed, services::OWN);
    let own_checkout_moves = state.moves.keys().any(|path| is_tender(path));
    state.scheduler_behind |= own_checkout_moves
        || state.services.iter().any(|s| s.action == ServiceAction::LeaveOut && s.why.contains("behind"));
    Ok(Staged { loaded, answer })
}

/// Whether a checkout is one of Tender itself.
fn is_tender(checkout: &Path) -> bool {
    std::fs::read_to_string(checkout.join("Cargo.toml"))
        .is_ok_and(|text| text.lines().any(|line| line.trim() == "name = \"tender\""))
}

/// Absolute paths of files that differ between what serves and what is to come.
pub(super) async fn changed_files<H: Host>(
    context: &Context<H>,
    good: &Good,
    to: &RevisionVector,
) -> Result<BTreeSet<PathBuf>> {
    let mut changed = BTreeSet::new();
    for (checkout, commit) in &to.0 {
        match good.vector.0.get(checkout) {
            Some(before) if before != commit => {
                for (_, path) in context.git.changed_files(checkout, before, commit).await.unwrap_or_default() {
                    changed.insert(checkout.join(path));
                }
            }
            _ => {}
        }
    }
    Ok(changed)
}

/// # Errors
/// When a disk is too full to begin.
pub(super) fn enough_space<H: Host>(context: &Context<H>) -> Result<()> {
    let mut places = vec![context.settings.state_dir.clone(), context.settings.log_dir.clone()];
    places.extend(context.settings.checkouts.iter().cloned());
    for place in places.iter().filter(|p| p.exists()) {
        let stat =
            rustix::fs::statvfs(place).with_context(|| format!("failed to look at the disk of {}", place.display()))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < context.settings.min_free {
            bail!(
                "{} has only {} MB left, and a deploy needs {} MB (SCHEDULER_MIN_FREE); nothing was begun",
                place.display(),
                free / 1_000_000,
                context.settings.min_free / 1_000_000
            );
        }
    }
    Ok(())
}
