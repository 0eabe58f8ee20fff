//! `tender run --dry-run`: what the engine would be asked for.

use chrono::DateTime;
use serde_json::{Value, json};

use super::context::Context;
use super::control::no_job;
use super::failure::Failure;
use super::{document, exit, load};
use crate::config::{Installation, Loaded};
use crate::job::{Action, ContainerSpec, Job};
use crate::run::{Occurrence, RunId, RunRecord, Trigger, labels};
use crate::runner::labels::Identity;
use crate::secret::Environment;

/// What is known only when the run is planned.
const INSTANT: &str = "<yyyymmddThhmmssZ>";
const PLANNED: &str = "<planned>";

/// The exact container of a job's main action, secrets masked.
pub(super) async fn dry_run(context: &Context, name: &str, env: &[(String, String)]) -> anyhow::Result<u8> {
    let loaded = load::loaded(context).await?;
    let Some(job) = loaded.job(name) else {
        let known = loaded.jobs.iter().map(|job| job.name.as_str());
        return Err(Failure::usage(no_job(name, known)));
    };
    let installation = load::installation(context).await;
    let extra = Environment(env.iter().cloned().collect());
    let spec = match &job.action {
        Action::ServiceRun(run) => {
            let mut run = (**run).clone();
            run.env.0.extend(extra.0);
            load::one_off(context, &run, &loaded).await?
        }
        action => load::container(action, &extra, Some(job), &loaded, &installation),
    };
    context.out.json(&request(job, spec, &loaded, &installation))?;
    Ok(exit::DONE)
}

fn request(job: &Job, spec: ContainerSpec, loaded: &Loaded, installation: &Installation) -> Value {
    let stack = &loaded.settings.project;
    let or = |text: &str, unknown: &str| if text.is_empty() { unknown.to_owned() } else { text.to_owned() };
    let identity = Identity {
        stack: stack.clone(),
        instance: or(&installation.instance, "<instance>"),
        generation: 0,
        parent: None,
    };
    let occurrence = Occurrence::first(job.name.clone(), DateTime::UNIX_EPOCH, 0);
    let mut record = RunRecord::planned(occurrence.clone(), Trigger::Manual);
    record.id = RunId("<run>".to_owned());
    let mut spec = identity.dress(spec, &record);
    spec.labels.insert(labels::GENERATION.to_owned(), "<generation>".to_owned());
    spec.labels.insert(labels::PLANNED.to_owned(), PLANNED.to_owned());
    spec.env.0.insert("TENDER_PLANNED".to_owned(), PLANNED.to_owned());
    let mut document = document::container(&spec, &loaded.masking());
    let epoch = DateTime::UNIX_EPOCH.format("%Y%m%dT%H%M%SZ").to_string();
    document["name"] = json!(occurrence.container_name(stack).replace(&epoch, INSTANT));
    document["stop"] = json!(job.stop);
    document
}
