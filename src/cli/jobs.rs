//! `tender jobs`: what is defined.

use chrono::Utc;

use super::args::Form;
use super::context::Context;
use super::{document, instant, load};
use crate::job::{Action, Job};
use crate::secret::{Environment, shown_address};

/// `tender jobs`: prints what is good and reports the rest.
pub(super) async fn jobs(context: &Context, args: &Form) -> anyhow::Result<u8> {
    let loaded = load::loaded(context).await?;
    let installation = load::installation(context).await;
    let now = Utc::now();
    let next = |job: &Job| job.enabled.then(|| job.schedule.next_after(now)).flatten();
    if args.json {
        let masking = loaded.masking();
        let document = loaded.jobs.iter().map(|job| {
            let container =
                |action: &Action| load::container(action, &Environment::default(), Some(job), &loaded, &installation);
            document::job(job, next(job), &masking, &container)
        });
        context.out.json(&document.collect::<Vec<_>>())?;
    } else if loaded.jobs.is_empty() {
        context.out.line("no job is defined")?;
    } else {
        let rows = loaded.jobs.iter().map(|job| {
            let next = match (job.enabled, next(job)) {
                (false, _) => "disabled".to_owned(),
                (true, Some(at)) => instant::short(at, job.schedule.zone()),
                (true, None) => "-".to_owned(),
            };
            [
                job.name.to_string(),
                job.schedule.text().to_owned(),
                next,
                what(&job.action),
                job.comment.clone().unwrap_or_default(),
            ]
        });
        context.out.table(["job", "schedule", "next", "runs", "comment"], rows)?;
    }
    Ok(load::report(&loaded))
}

fn what(action: &Action) -> String {
    match action {
        Action::Run(spec) => spec.image.clone(),
        Action::Exec(_) => "in a running container".to_owned(),
        Action::ServiceRun(run) => format!("service {}", run.service),
        Action::Http(http) => format!("{} {}", http.method, shown_address(&http.url)),
        Action::Builtin(builtin) => format!("built-in {builtin}"),
        Action::Host(host) => format!("as {} on the host", host.user),
    }
}
