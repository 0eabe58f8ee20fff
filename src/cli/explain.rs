//! `tender explain`: a schedule, or a job with all that it is and does, in plain words.

use chrono::Utc;
use serde_json::{Value, json};

use super::args::Explain;
use super::context::Context;
use super::control::no_job;
use super::failure::Failure;
use super::{describe, document, exit, instant, load, next};
use crate::config::{self, Installation, Loaded};
use crate::job::{Action, Job};
use crate::schedule::Schedule;
use crate::secret::Environment;

/// How many instants to come are shown.
const INSTANTS: u16 = 3;

/// `tender explain`: a schedule may be quoted or not.
pub(super) async fn explain(context: &Context, args: &Explain) -> anyhow::Result<u8> {
    let text = args.what.join(" ");
    let zone = context.default_zone()?;
    if let Ok(schedule) = Schedule::parse(&text, zone, "") {
        return of_schedule(context, args, &schedule);
    }
    // Without a stack there are no jobs, and the text can only have been meant as a schedule.
    if context.compose_dir().is_err() {
        next::parsed(&text, zone, "")?;
    }
    let loaded = load::loaded(context).await?;
    let Some(job) = loaded.job(text.trim()) else {
        if text.trim().contains(' ') || text.starts_with('@') {
            next::parsed(&text, zone, "")?;
        }
        let unknown = no_job(text.trim(), loaded.jobs.iter().map(|job| job.name.as_str()));
        return Err(Failure::usage(format!("{:?} is no schedule, and {unknown}", text.trim())));
    };
    let installation = load::installation(context).await;
    let explained = explained(job, &loaded, &installation);
    if args.form.json {
        context.out.json(&explained)?;
    } else {
        context.out.line(lines(&explained["explanation"]))?;
    }
    Ok(exit::DONE)
}

fn of_schedule(context: &Context, args: &Explain, schedule: &Schedule) -> anyhow::Result<u8> {
    if args.form.json {
        let next = upcoming(schedule);
        context.out.json(&json!({
            "schedule": schedule.text(), "timezone": schedule.zone().name(),
            "explanation": { "when": [schedule.explain()], "next": next },
        }))?;
    } else {
        context.out.line(schedule.explain())?;
    }
    Ok(exit::DONE)
}

fn upcoming(schedule: &Schedule) -> Vec<String> {
    next::coming(schedule, Utc::now(), INSTANTS).map(|at| instant::zoned(at, schedule.zone())).collect()
}

/// The document of the job with its explanation: lines of text under a few words.
fn explained(job: &Job, loaded: &Loaded, installation: &Installation) -> Value {
    let container = |action: &Action| load::container(action, &Environment::default(), Some(job), loaded, installation);
    let due = job.enabled.then(|| job.schedule.next_after(Utc::now())).flatten();
    let mut document = document::job(job, due, &loaded.masking(), &container);
    let mut when = vec![job.schedule.explain()];
    if let Some(watch) = &job.watch {
        when.push(format!("and when files {} in {} have changed", watch.glob, watch.path.display()));
    }
    if job.run_on_start {
        when.push("and once at each start of the stack's host or scheduler".to_owned());
    }
    if !job.enabled {
        when.push("but it is switched off, and runs on request only".to_owned());
    }
    let mut explanation = json!({
        "job": job.name,
        "comment": job.comment,
        "when": when,
        "next": if job.enabled { upcoming(&job.schedule) } else { Vec::new() },
        "what": describe::action(&document, &job.action),
        "rules": describe::rules(&job.policy, &job.stop),
        "defined": if job.origin == "built-in" { "Tender itself, as a built-in job" } else { &job.origin },
        "output": loaded.settings.log_dir.join(&job.log_file),
    });
    for (key, actions) in job.follow_ups.lists() {
        let documents = document[key].as_array().into_iter().flatten();
        explanation[key] =
            documents.zip(actions).flat_map(|(document, action)| describe::action(document, action)).collect();
    }
    document["explanation"] = explanation;
    document
}

/// The explanation as a text: words on the left, what they speak of on the right.
fn lines(explanation: &Value) -> String {
    let mut lines = Vec::new();
    let name = explanation["job"].as_str().unwrap_or_default();
    lines.push(explanation["comment"].as_str().map_or_else(|| name.to_owned(), |comment| format!("{name}: {comment}")));
    for (key, word) in [
        ("when", "when"),
        ("next", "next"),
        ("what", "what"),
        ("after_success", "after a success"),
        ("on_failure", "after a failure"),
        ("always", "at the very end"),
        ("rules", "rules"),
        ("defined", "defined in"),
        ("output", "output in"),
    ] {
        let texts: Vec<&str> = match &explanation[key] {
            Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
            Value::String(text) => vec![text],
            _ => vec![],
        };
        let mut word = word;
        for line in texts.into_iter().flat_map(str::lines) {
            lines.push(config::visible(format!("  {word:<16}{line}").trim_end()));
            word = "";
        }
    }
    lines.join("\n")
}
