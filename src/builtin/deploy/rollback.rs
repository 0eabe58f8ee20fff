//! The way back: the old vector, the old images, and the proof that they serve.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use chrono::Utc;

use super::context::{Context, STOPPED, Stopwatch};
use super::{rendering, services, short, stage, step, up};
use crate::engine::{EngineError, Host};
use crate::journal::deploy::{Bad, DeployState, Good, Step};
use crate::run::{DeployOutcome, DeployRecord};

/// Name under which the image of a service is kept while a deploy is under way and after it.
pub fn kept_name(project: &str, service: &str, id: &str) -> String {
    format!("tender/{}/{}:{id}", part(project), part(service))
}

/// A name as a part of an image's name, which is narrower than what compose allows.
fn part(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let single = |c: char| "._-".contains(c);
    let doubled = name.as_bytes().windows(2).any(|two| single(two[0].into()) && single(two[1].into()));
    let fits = name.chars().all(|c| plain(c) || single(c)) && !name.starts_with(single) && !name.ends_with(single);
    if fits && !doubled {
        return name.to_owned();
    }
    name.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// Keeps the image of every service under a name of ours, so that no prune takes it.
///
/// # Errors
/// When the engine refuses.
pub async fn keep_images<H: Host>(
    context: &Context<H>,
    state: &DeployState,
    images: &BTreeMap<String, String>,
) -> Result<()> {
    for (service, image) in images {
        let name = kept_name(&context.settings.project, service, &state.id);
        match context.host.image_tag(image, &name).await {
            // Somebody has removed it by force; there is nothing left to keep.
            Err(EngineError::NotFound(_)) => {
                context.say(format!("WARNING: the image that {service} runs is gone; a rollback cannot bring it back"));
            }
            tagged => tagged.with_context(|| format!("failed to keep the image of {service}"))?,
        }
    }
    Ok(())
}

/// Puts image names that a build or pull has moved back on the images that they had.
///
/// # Errors
/// When the engine refuses.
pub async fn restore_names<H: Host>(context: &Context<H>, state: &DeployState) -> Result<()> {
    for (name, image) in &state.images {
        if context.host.image_id(name).await?.as_deref() != Some(image) {
            match context.host.image_tag(image, name).await {
                // It served nobody, or a rollback finds out: no reason to try this for ever.
                Err(EngineError::NotFound(_)) => {
                    context.say(format!("WARNING: {name} stays as it is: the image that it named before is gone"));
                }
                tagged => tagged.with_context(|| format!("failed to put {name} back"))?,
            }
        }
    }
    Ok(())
}

/// Removes the names of all deploys but these.
pub async fn forget_images<H: Host>(context: &Context<H>, keep: &[&str]) {
    let prefix = kept_name(&context.settings.project, "", "");
    let prefix = prefix.trim_end_matches(':');
    let Ok(names) = context.host.image_names(prefix).await else { return };
    for name in names {
        if !keep.iter().any(|id| name.ends_with(&format!(":{id}"))) {
            // A name that stays behind is only disk space, and the next deploy tries again.
            let _ = context.host.image_untag(&name).await;
        }
    }
}

/// Brings the old vector back and proves it; then the new one is remembered as bad.
///
/// # Errors
/// When the ledgers cannot be written. That the stack could not be brought back is a record, not an error.
pub async fn roll_back<H: Host>(
    context: &Context<H>,
    state: &mut DeployState,
    good: &Good,
    why: String,
) -> Result<DeployRecord> {
    let why = match state.step {
        // The engine's end, or the host's, looks like any failure.
        Step::RollingBack { .. } => why,
        _ if context.stop.is_set() && !why.starts_with(STOPPED) => format!("{STOPPED}: {why}"),
        _ => why,
    };
    let stopped = why.starts_with(STOPPED);
    context.say(format!("ERROR: {why}"));
    context.say("rolling back to the last good vector");
    context.enter(state, Step::RollingBack { why: why.clone() })?;
    let watch = Stopwatch::start("rollback");
    let result = bring_back(context, state, good).await;
    let took = watch.done(state, &result);
    match result {
        Ok(()) => {
            context.ledgers.remember_bad(Bad {
                vector: state.to.clone(),
                at: Utc::now(),
                why: why.clone(),
                stopped: u32::from(stopped),
            })?;
            let next = if stopped {
                "it was stopped, which says nothing about this vector"
            } else {
                "this vector is not tried again until a commit changes"
            };
            context.say(format!("rolled back in {:.1} s; {next}", took.as_secs_f64()));
            let record = state.record(DeployOutcome::RolledBack, Some(why));
            close(context, &record)?;
            Ok(record)
        }
        Err(error) => {
            let why = format!("{why}; and the rollback failed: {error:#}");
            context.say(format!("ERROR: the rollback failed: {error:#}"));
            let record = state.record(DeployOutcome::Failed, Some(why.clone()));
            context.ledgers.file(&record)?;
            if state.attempts >= crate::journal::deploy::ATTEMPTS {
                context.say("ERROR: giving up; everything is left as it is for a person: bring the stack into the state that you want, then remove deploy/journal.json from the state volume");
                context.enter(state, Step::Stuck { why })?;
            }
            Ok(record)
        }
    }
}

async fn bring_back<H: Host>(context: &Context<H>, state: &mut DeployState, good: &Good) -> Result<()> {
    step::end(context, state).await?;
    // Before the checkouts move: folders that are empty then go with them.
    rendering::take_back(context, state).await?;
    // Once only: a second time, what lies there is the old version's own.
    state.rendered.clear();
    context.ledgers.journal().write(state)?;
    for (checkout, (from, to)) in state.moves.iter().filter(|(checkout, _)| state.begun.contains(*checkout)) {
        let head = context.git.head(checkout).await?;
        if &head == from && context.git.look(checkout).await.verdict.verdict != crate::run::Verdict::Dirty {
            continue;
        }
        context.say(format!("  {}: back to {}", checkout.display(), short(from)));
        context
            .git
            .switch(checkout, to, from, true)
            .await
            .with_context(|| format!("failed to switch {} back", checkout.display()))?;
    }
    restore_names(context, state).await?;
    let loaded =
        stage::read_configuration(context, vec![], &[]).await.context("the old configuration cannot be read")?;
    let before: Vec<String> = good_services(state);
    let present = services::present(context).await?;
    let touched: Vec<String> = before
        .iter()
        .filter(|name| differs(name, &present, good_images(state, good), good_hashes(state, good)))
        .cloned()
        .collect();
    let force: Vec<String> = state
        .services
        .iter()
        .filter(|s| state.touched && s.force && before.contains(&s.name))
        .map(|s| s.name.clone())
        .collect();
    let plain: Vec<String> = touched.into_iter().filter(|name| !force.contains(name)).collect();
    up::up(context, &loaded, &plain, &force, true).await?;
    // Services that only the new vector has were not there before.
    for (name, containers) in services::present(context).await? {
        if state.services.iter().any(|s| s.name == name && s.action == crate::run::ServiceAction::Create) {
            for seen in containers {
                context.say(format!("  {name}: removed, the old vector does not run it"));
                context.host.remove(&seen.id).await?;
            }
        }
    }
    let judged: Vec<String> = before.iter().filter(|name| state.well_before.contains(name)).cloned().collect();
    up::gate(context, &judged, true).await.context("after the rollback")?;
    // Another compose program than the one that made the containers hashes in another way.
    let hashes_now = up::compose(&loaded).hashes().await.unwrap_or_default();
    prove(context, state, good, &before, &hashes_now).await
}

/// Services that had a container before this deploy.
fn good_services(state: &DeployState) -> Vec<String> {
    use crate::run::ServiceAction::{Create, LeaveOut, Orphan};
    state.services.iter().filter(|s| !matches!(s.action, Create | LeaveOut | Orphan)).map(|s| s.name.clone()).collect()
}

fn good_images<'a>(state: &'a DeployState, good: &'a Good) -> &'a BTreeMap<String, String> {
    if state.running_images.is_empty() { &good.images } else { &state.running_images }
}

fn good_hashes<'a>(state: &'a DeployState, good: &'a Good) -> &'a BTreeMap<String, String> {
    if state.running_hashes.is_empty() { &good.hashes } else { &state.running_hashes }
}

fn differs(
    name: &str,
    present: &BTreeMap<String, Vec<crate::engine::Seen>>,
    images: &BTreeMap<String, String>,
    hashes: &BTreeMap<String, String>,
) -> bool {
    let (now_images, now_hashes) = (services::images(present), services::hashes(present));
    now_images.get(name) != images.get(name)
        || now_hashes.get(name) != hashes.get(name)
        || present.get(name).is_none_or(|all| all.iter().any(|seen| !services::is_well(seen)))
}

/// Rolled back means: the very images and configurations of before. `expected` are the hashes that
/// the configuration of before has now.
async fn prove<H: Host>(
    context: &Context<H>,
    state: &DeployState,
    good: &Good,
    before: &[String],
    expected: &BTreeMap<String, String>,
) -> Result<()> {
    let present = services::present(context).await?;
    let (images, hashes) = (services::images(&present), services::hashes(&present));
    for name in before {
        if images.get(name) != good_images(state, good).get(name) {
            bail!("{name} runs another image than before the deploy");
        }
        let hash = hashes.get(name);
        if hash != good_hashes(state, good).get(name) && (hash.is_none() || hash != expected.get(name)) {
            bail!("{name} runs with another configuration than before the deploy");
        }
    }
    context.say("  proven: images and configurations are those of before");
    Ok(())
}

/// Files the record of a deploy that has ended, and closes its journal.
///
/// # Errors
/// When it cannot be written; the journal stays open then.
pub fn close<H: Host>(context: &Context<H>, record: &DeployRecord) -> Result<()> {
    context.ledgers.file(record)?;
    stage::clear(context)?;
    context.ledgers.journal().clear()?;
    context.ledgers.forget_configs();
    // After the journal, which names them.
    match std::fs::remove_dir_all(context.ledgers.aside()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("failed to clear what was kept aside")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::kept_name;

    #[test]
    fn kept_names_are_valid_references() {
        assert_eq!(kept_name("birdhouse", "web-app.2", "1"), "tender/birdhouse/web-app.2:1");
        assert_eq!(kept_name("birdhouse", "", ""), "tender/birdhouse/:");
        for odd in ["Web", "_web", "web_", "a--b", "a._b"] {
            let name = kept_name("p", odd, "1");
            let part = name.strip_prefix("tender/p/").unwrap().strip_suffix(":1").unwrap();
            assert!(part.bytes().all(|b| b.is_ascii_hexdigit()), "{name}");
        }
    }
}
