//! The services that a job stops during its run.

use std::collections::BTreeSet;

use super::compose_files;
use super::fields::Fields;
use super::probe::Text;
use super::resolve::Context;
use super::wrong::{Wrong, meant};
use crate::job::Policy;

/// What keeps deploys, rotation and the like away while services are down.
const LOCK: &str = "stack";

/// Reads the list. A job that has one takes the lock of the stack.
pub fn read(fields: &mut Fields<'_>, context: &Context<'_>, policy: &mut Policy) -> Vec<String> {
    let mut stop: Vec<String> = Vec::new();
    let known = known(context);
    for (service, place) in fields.list("stop") {
        if let Some(known) = known.as_ref().filter(|known| !known.contains(&service)) {
            let hint = meant(&service, known.iter().map(String::as_str));
            let wrong = Wrong { hint, ..Wrong::from(format!("{service} is no service of the stack")) };
            // A wrapper may have more compose files than are known here.
            let certain = context.settings.compose_command.is_none() && context.collected.wrapper.is_none();
            if certain { fields.error("stop", place, wrong) } else { fields.warning("stop", place, wrong) }
        }
        if !stop.contains(&service) {
            stop.push(service);
        }
    }
    if !stop.is_empty() && !policy.locks.iter().any(|lock| lock == LOCK) {
        policy.locks.push(LOCK.to_owned());
        policy.locks.sort();
    }
    stop
}

/// The services of the stack; nothing where its compose files do not say all of them.
fn known(context: &Context<'_>) -> Option<BTreeSet<String>> {
    let collected = context.collected;
    let mut services = BTreeSet::new();
    for file in &collected.compose_files {
        let text = collected.files.get(file).map(Text::lossy)?;
        services.extend(compose_files::services(&text)?);
    }
    (!services.is_empty()).then_some(services)
}
