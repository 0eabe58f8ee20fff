//! The transaction: each step is durable before it is taken.

mod explain;
mod resume;
mod staging;
mod switch;

pub use explain::explain;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow, bail};
use chrono::Utc;

use super::adopt::{self, Known};
use super::context::{Context, STOPPED, Stopwatch};
use super::stage::{self, Answer};
use super::target::{Moves, Target, decide};
use super::{Ended, Wishes, first, hooks, look, rendering, rollback, services, short, up};
use crate::compose::Resolved;
use crate::config::Loaded;
use crate::engine::{EngineError, Host};
use crate::journal::deploy::{DeployState, FirstSteps, Good, Step};
use crate::run::{CheckoutVerdict, DeployOutcome, RevisionVector, ServiceAction, ServicePlan, Verdict};
use staging::{enough_space, stage_and_plan};
use switch::switch;

/// Runs the transaction, or goes on with one that was cut off.
///
/// # Errors
/// When the state dir cannot be used, or the engine is needed and does not answer.
pub async fn run<H: Host>(context: &Context<H>, wishes: Wishes, seen: &mut Vec<CheckoutVerdict>) -> Result<Ended> {
    // The git dir is the same inode from any container or shell; a folder without one is reported
    // as no checkout, and must not end here.
    let git_dir = crate::git::git_dir(context.main_checkout());
    let place = if git_dir.is_dir() { git_dir } else { context.settings.state_dir.clone() };
    let Some(_lock) = crate::git::lock(&place)? else {
        context.say("somebody else deploys this stack at this moment");
        return Ok(Ended::Locked);
    };
    let mut attempts = 1;
    if let Some(state) = context.ledgers.journal().read()? {
        attempts = state.attempts + 1;
        if let Some(ended) = resume::resume(context, state).await? {
            return Ok(ended);
        }
    }
    let known = adopt::last_good(context).await?;
    *seen = look::at_all(context).await?;
    let bad = context.ledgers.bad().read()?.unwrap_or_default();
    let force = wishes.force || matches!(known, Known::Adopted { start: true, .. });
    match decide(seen, known.good(), &bad, context.settings.snapshot, force) {
        Target::Nothing => {
            context.say("nothing new; nothing to do");
            Ok(Ended::Nothing)
        }
        Target::Blocked(blocked) => {
            let why: Vec<String> = blocked.iter().map(look::sentence).collect();
            context.say("no deploy: see the warnings above; the stack was not touched");
            Ok(if blocked.iter().all(|v| v.verdict == Verdict::Unknown) {
                Ended::Unreachable(why)
            } else {
                Ended::Blocked(why)
            })
        }
        Target::KnownBad(why) => {
            context.say("the newest vector was rolled back before and is not tried again until a commit changes:");
            context.say(format!("  {}", why.lines().next().unwrap_or_default()));
            context.say("  `tender run autodeploy -e AUTODEPLOY_FORCE=1` tries it once more");
            Ok(Ended::Blocked(vec![format!("known to be bad: {why}")]))
        }
        Target::UpdateOnly(moves) => update_only(context, &known, moves, attempts).await,
        Target::Deploy(moves) => deploy(context, &known, moves, attempts).await,
    }
}

fn begin(good: &Good, moves: &Moves, attempts: u32) -> DeployState {
    let started_at = Utc::now();
    DeployState {
        id: started_at.format("%Y%m%dT%H%M%SZ").to_string(),
        started_at,
        attempts,
        from: good.vector.clone(),
        to: moves.to.clone(),
        moves: moves.moves.clone(),
        begun: BTreeSet::new(),
        services: vec![],
        well_before: vec![],
        images: BTreeMap::new(),
        running_images: BTreeMap::new(),
        running_hashes: BTreeMap::new(),
        scheduler_behind: good.scheduler_behind,
        first: FirstSteps::Open,
        rendered: BTreeMap::new(),
        hooks: BTreeMap::new(),
        touched: false,
        step: Step::Target,
        steps: vec![],
    }
}

/// Moves files of checkouts whose own trigger asks for no restart.
async fn update_only<H: Host>(context: &Context<H>, known: &Known, moves: Moves, attempts: u32) -> Result<Ended> {
    let mut state = begin(known.good(), &moves, attempts);
    context.enter(&mut state, Step::Switching)?;
    if let Err(error) = switch(context, &mut state).await {
        return back_or_refuse(context, state, known.good(), &error).await;
    }
    let good = Good { vector: state.to.clone(), at: Utc::now(), id: state.id.clone(), ..known.good().clone() };
    commit(context, &good).await?;
    let record = state.record(DeployOutcome::UpdateOnly, None);
    rollback::close(context, &record)?;
    context.say("files updated; no service was touched");
    Ok(Ended::Recorded(Box::new(record)))
}

async fn deploy<H: Host>(context: &Context<H>, known: &Known, moves: Moves, attempts: u32) -> Result<Ended> {
    let good = known.good();
    let mut state = begin(good, &moves, attempts);
    if let Err(error) = enough_space(context) {
        return refuse(context, &state, format!("{error:#}")).await;
    }
    context.enter(&mut state, Step::Target)?;

    let watch = Stopwatch::start("stage");
    let staged = tokio::select! {
        staged = stage_and_plan(context, known, &mut state) => staged,
        () = context.stop.asked() => Err(anyhow!(STOPPED)),
    };
    watch.done(&mut state, &staged);
    let staged = match staged {
        Ok(staged) => staged,
        Err(error) => return refuse(context, &state, format!("{error:#}")).await,
    };
    context.enter(&mut state, Step::Staged)?;
    for service in &state.services {
        context.say(format!("plan: {} {}: {}", verb(service.action), service.name, service.why));
    }

    // Those that died while nothing was touched do not count for what comes now.
    state.attempts = 1;
    context.enter(&mut state, Step::Switching)?;
    let watch = Stopwatch::start("switch");
    let switched = async {
        switch(context, &mut state).await?;
        rendering::write(context, &mut state, &staged.loaded).await
    };
    let switched = switched.await;
    watch.done(&mut state, &switched);
    if let Err(error) = switched {
        return back_or_refuse(context, state, good, &error).await;
    }
    context.enter(&mut state, Step::Switched)?;
    forward(context, state, known, &staged.loaded, Some(staged.answer)).await
}

/// From *switched* on: up, gate, commit; any failure rolls back.
async fn forward<H: Host>(
    context: &Context<H>,
    mut state: DeployState,
    known: &Known,
    loaded: &Loaded,
    answer: Option<Answer>,
) -> Result<Ended> {
    let first = matches!(known, Known::New(_));
    match bring_up(context, &mut state, loaded, first).await {
        Ok(()) => {}
        Err(error) if engine_is_gone(&error) => return Err(error),
        Err(error) => {
            let record = rollback::roll_back(context, &mut state, known.good(), format!("{error:#}")).await?;
            return Ok(Ended::Recorded(Box::new(record)));
        }
    }
    finish(context, state, known.good(), answer.map(|a| a.compose_version)).await
}

async fn bring_up<H: Host>(context: &Context<H>, state: &mut DeployState, loaded: &Loaded, first: bool) -> Result<()> {
    let touched = |force: bool| -> Vec<String> {
        state.services.iter().filter(|s| s.action.touches() && s.force == force).map(|s| s.name.clone()).collect()
    };
    let (plain, force) = (touched(false), touched(true));
    let well: Vec<String> = state.well_before.clone();
    context.enter(state, Step::Up)?;
    let watch = Stopwatch::start("pre");
    let result = hooks::before(context, state, loaded).await;
    watch.done(state, &result);
    result?;
    state.touched = true;
    context.ledgers.journal().write(state)?;
    if plain.is_empty() && force.is_empty() {
        context.say("no service changes");
    } else {
        let names: Vec<&str> = plain.iter().chain(&force).map(String::as_str).collect();
        context.say(format!("up: {}", names.join(", ")));
    }
    if first && state.first == FirstSteps::Begun {
        bail!("the steps of the first deploy were cut off, and nobody knows how far they came");
    }
    if first && state.first == FirstSteps::Open {
        state.first = FirstSteps::Begun;
        context.ledgers.journal().write(state)?;
        let watch = Stopwatch::start("first-deploy");
        let result = first::steps(context, loaded).await;
        watch.done(state, &result);
        result?;
        state.first = FirstSteps::Done;
        context.ledgers.journal().write(state)?;
    }
    let watch = Stopwatch::start("up");
    let result = up::up(context, loaded, &plain, &force, false).await;
    watch.done(state, &result);
    result?;
    let watch = Stopwatch::start("post");
    let result = hooks::after(context, state, loaded).await;
    watch.done(state, &result);
    result?;
    context.enter(state, Step::Gating)?;
    let (judged, ailing) = judged(&state.services, &well);
    if !ailing.is_empty() {
        context.say(format!("not judged, because not well before and not changed: {}", ailing.join(", ")));
    }
    if !judged.is_empty() {
        context.say(format!(
            "gate: waiting until {} well",
            if judged.len() == 1 { format!("{} is", judged[0]) } else { format!("{} are", judged.join(", ")) }
        ));
    }
    let watch = Stopwatch::start("gate");
    let result = up::gate(context, &judged, false).await;
    watch.done(state, &result);
    result
}

/// Which services decide about a deploy: those that it changed, and those that were well before it.
/// The others were failing already and are only listed.
fn judged(services: &[ServicePlan], well_before: &[String]) -> (Vec<String>, Vec<String>) {
    use ServiceAction::{Create, Keep, LeaveOut, Orphan, Recreate, Start};
    let (mut judged, mut ailing) = (Vec::new(), Vec::new());
    for service in services {
        match service.action {
            Create | Recreate => judged.push(service.name.clone()),
            Start | Keep if well_before.contains(&service.name) => judged.push(service.name.clone()),
            Start | Keep => ailing.push(service.name.clone()),
            Orphan | LeaveOut => {}
        }
    }
    (judged, ailing)
}

/// The only decision point, and what comes after it.
async fn finish<H: Host>(
    context: &Context<H>,
    mut state: DeployState,
    before: &Good,
    compose_version: Option<String>,
) -> Result<Ended> {
    let present = services::present(context).await?;
    let good = Good {
        id: state.id.clone(),
        at: Utc::now(),
        vector: state.to.clone(),
        images: services::images(&present),
        hashes: services::hashes(&present),
        compose_version: compose_version.or_else(|| before.compose_version.clone()),
        // One that an older release staged has none; that of before is not this vector's.
        config: context.ledgers.config::<Resolved>(&state.id).path().exists().then(|| state.id.clone()),
        scheduler_behind: state.scheduler_behind,
    };
    context.enter(&mut state, Step::Good)?;
    settle(context, &state, &good, &before.id).await
}

/// After the decision: only forward.
async fn settle<H: Host>(context: &Context<H>, state: &DeployState, good: &Good, previous: &str) -> Result<Ended> {
    commit(context, good).await?;
    rollback::forget_images(context, &[&state.id, previous]).await;
    let record = state.record(DeployOutcome::Committed, None);
    rollback::close(context, &record)?;
    let seconds = (record.finished_at - record.started_at).as_seconds_f64();
    context.say(format!("deployed in {seconds:.1} s: {}", vector_in_words(&state.to)));
    if state.scheduler_behind {
        context.say("the scheduler itself is behind this vector: it was left out and keeps running as it is");
    }
    Ok(Ended::Recorded(Box::new(record)))
}

/// Makes a vector last good: in the state dir, as refs of the checkouts, and as a copy.
async fn commit<H: Host>(context: &Context<H>, good: &Good) -> Result<()> {
    // The ref first: a record that names a commit which `git gc` may take is worth nothing.
    for (checkout, commit) in &good.vector.0 {
        let name = format!("refs/tender/good/{}", good.id);
        if let Err(error) = context.git.keep(checkout, &name, commit).await {
            context.say(format!("WARNING: {}: {error:#}", checkout.display()));
            continue;
        }
        // Two generations are enough for every way back.
        let mut kept = context.git.kept(checkout).await.unwrap_or_default();
        kept.retain(|(name, _)| name.starts_with("refs/tender/good/"));
        kept.sort();
        let surplus = kept.len().saturating_sub(2);
        for (name, _) in kept.into_iter().take(surplus) {
            if let Err(error) = context.git.unkeep(checkout, &name).await {
                context.say(format!("WARNING: {}: {error:#}", checkout.display()));
            }
        }
    }
    context.ledgers.good().write(good)?;
    adopt::leave_copy(context, good).await;
    Ok(())
}

/// Nothing was touched yet: tags go back, the journal closes, the stack goes on as it was.
async fn refuse<H: Host>(context: &Context<H>, state: &DeployState, why: String) -> Result<Ended> {
    context.say(format!("ERROR: {why}"));
    context.say("no deploy: the stack was not touched");
    if context.stop.is_set() {
        // It may still build. Gone already is fine, and the sweep of the scheduler takes what stays.
        let _ = context.host.remove(&stage::container_name(context)).await;
    }
    if !state.images.is_empty() {
        rollback::restore_names(context, state).await?;
    }
    let record = state.record(DeployOutcome::Failed, Some(why));
    rollback::close(context, &record)?;
    Ok(Ended::Recorded(Box::new(record)))
}

async fn back_or_refuse<H: Host>(
    context: &Context<H>,
    mut state: DeployState,
    good: &Good,
    error: &anyhow::Error,
) -> Result<Ended> {
    if engine_is_gone(error) {
        bail!("{error:#}");
    }
    let record = rollback::roll_back(context, &mut state, good, format!("{error:#}")).await?;
    Ok(Ended::Recorded(Box::new(record)))
}

fn engine_is_gone(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref::<EngineError>(), Some(EngineError::Unavailable(_))))
}

const fn verb(action: ServiceAction) -> &'static str {
    match action {
        ServiceAction::Create => "create",
        ServiceAction::Recreate => "recreate",
        ServiceAction::Start => "start",
        ServiceAction::Orphan => "orphan",
        ServiceAction::Keep => "keep",
        ServiceAction::LeaveOut => "leave out",
    }
}

fn vector_in_words(vector: &RevisionVector) -> String {
    let words: Vec<String> = vector
        .0
        .iter()
        .map(|(path, commit)| {
            format!("{} at {}", path.file_name().unwrap_or_default().to_string_lossy(), short(commit))
        })
        .collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_failing_before_and_is_unchanged_decides_nothing() {
        use ServiceAction::{Create, Keep, LeaveOut, Orphan, Recreate, Start};
        let plan = |name: &str, action| ServicePlan { name: name.into(), action, why: String::new(), force: false };
        let services = [
            plan("new", Create),
            plan("changed", Recreate),
            plan("same", Keep),
            plan("sick", Keep),
            plan("down", Start),
            plan("gone", Orphan),
            plan("scheduler", LeaveOut),
        ];
        let (judged, ailing) = judged(&services, &["same".to_owned(), "gone".to_owned()]);
        assert_eq!(judged, ["new", "changed", "same"]);
        assert_eq!(ailing, ["sick", "down"]);
    }
}
