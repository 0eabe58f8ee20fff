//! The services of the stack as they are on the engine.

use std::collections::BTreeMap;

use anyhow::Result;
use chrono::{TimeDelta, Utc};

use super::context::Context;
use super::gate::Limits;
use super::plan::{Present, Wanted};
use super::stage::Answer;
use crate::compose::label;
use crate::engine::{HealthState, Host, Life, Seen};

/// The service that Tender itself runs as; a deploy leaves it to the hand-over.
pub const OWN: &str = "scheduler";

/// Containers of the stack by service, one-offs left out.
///
/// # Errors
/// When the engine does not answer.
pub async fn present<H: Host>(context: &Context<H>) -> Result<BTreeMap<String, Vec<Seen>>> {
    let mut services: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
    for seen in context.host.project(&context.settings.project).await? {
        if label::is_oneoff(&seen.labels) {
            continue;
        }
        if let Some(service) = label::service_of(&seen.labels) {
            services.entry(service.to_owned()).or_default().push(seen);
        }
    }
    Ok(services)
}

/// The same in the terms of the plan.
pub fn in_plan_terms(present: &BTreeMap<String, Vec<Seen>>) -> BTreeMap<String, Vec<Present>> {
    let term = |seen: &Seen| Present {
        hash: label::hash_of(&seen.labels).map(str::to_owned),
        image_id: seen.image.clone(),
        up: seen.life == Life::Running
            || (seen.life == Life::Exited && seen.exit_code == Some(0) && seen.restart_policy != "always"),
    };
    present.iter().map(|(name, all)| (name.clone(), all.iter().map(term).collect())).collect()
}

/// What the staged configuration wants, with the ids that its image names have now.
///
/// # Errors
/// When the engine does not answer.
pub async fn wanted<H: Host>(context: &Context<H>, answer: &Answer) -> Result<BTreeMap<String, Wanted>> {
    let mut wanted = BTreeMap::new();
    for (name, service) in &answer.services {
        wanted.insert(
            name.clone(),
            Wanted {
                hash: service.hash.clone(),
                image: service.image.clone(),
                image_id: context.host.image_id(&service.image).await?,
                sources: service.sources.clone(),
                inactive: service.inactive,
            },
        );
    }
    Ok(wanted)
}

/// Whether a container is well at this moment; what was not is listed by the gate, never counted.
pub fn is_well(seen: &Seen) -> bool {
    match seen.life {
        Life::Running => match seen.health {
            HealthState::None => !crashes(seen),
            health => health == HealthState::Healthy,
        },
        Life::Exited => seen.exit_code == Some(0) && seen.restart_policy != "always",
        Life::Created | Life::Removing => false,
    }
}

/// Whether it was restarted a moment ago: between two crashes it looks as if it ran. The engine
/// waits for up to a minute before it starts one again.
fn crashes(seen: &Seen) -> bool {
    seen.restart_count > 0 && seen.started_at.is_none_or(|at| Utc::now() - at < TimeDelta::minutes(2))
}

/// The limits of the gate.
pub fn limits<H>(context: &Context<H>) -> Limits {
    Limits { soak: context.settings.gate_soak, timeout: context.settings.gate_timeout }
}

/// Service → id of the image that runs.
pub fn images(present: &BTreeMap<String, Vec<Seen>>) -> BTreeMap<String, String> {
    present.iter().filter_map(|(name, all)| Some((name.clone(), all.first()?.image.clone()))).collect()
}

/// Service → compose's config hash of what runs.
pub fn hashes(present: &BTreeMap<String, Vec<Seen>>) -> BTreeMap<String, String> {
    present
        .iter()
        .filter_map(|(name, all)| Some((name.clone(), label::hash_of(&all.first()?.labels)?.to_owned())))
        .collect()
}
